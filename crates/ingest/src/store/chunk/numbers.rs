//! Numbers of a column.
//!
//! The least number, the greatest common divisor of all distances to it, and how many low bytes of the quotients are kept
//! apart, each as a varint; then for each request a varint: 0 without a number, else one more than the rest of the
//! quotient. Low bytes are kept apart where they are noise, which a compressor only slows down for. [`SAME`] in place of the
//! number of low bytes says that all requests have the least number, and ends the column.

use gatelens_model::varint;

/// All requests have the same number.
const SAME: u64 = 8;

/// Appends numbers to a column, and their low bytes to `apart`.
pub(super) fn put(
    out: &mut Vec<u8>,
    apart: &mut Vec<u8>,
    numbers: impl Iterator<Item = Option<u64>> + Clone,
) {
    let mut sorted: Vec<u64> = numbers.clone().flatten().collect();
    sorted.sort_unstable();
    let [least, .., largest] = match sorted.as_slice() {
        [] => [0, 0, 0],
        [only] => [*only, *only, *only],
        [least, .., largest] => [*least, 0, *largest],
    };
    let divisor = divisor(&sorted, least);
    let low = match low_bytes(&sorted, least, divisor) {
        // One more than the quotient must be a number, too.
        0 if (largest - least) / divisor == u64::MAX => 1,
        low => low,
    };
    varint::put(out, least);
    varint::put(out, divisor);
    if !sorted.is_empty() && least == largest && numbers.clone().all(|number| number.is_some()) {
        varint::put(out, SAME);
        return;
    }
    varint::put(out, low as u64);
    for number in numbers {
        let Some(number) = number else {
            out.push(0);
            continue;
        };
        let quotient = (number - least) / divisor;
        varint::put(out, (quotient >> (8 * low)) + 1);
        apart.extend_from_slice(&quotient.to_le_bytes()[..low]);
    }
}

/// Takes numbers, one for each request, off the front of a column; `None` when they are damaged.
pub(super) fn take(column: &mut &[u8], apart: &mut &[u8], requests: usize) -> Option<Vec<Option<u64>>> {
    let (least, divisor, low) = (varint::take(column)?, varint::take(column)?, varint::take(column)?);
    if low == SAME {
        return Some(vec![Some(least); requests]);
    }
    let low = usize::try_from(low).ok().filter(|low| *low < 8)?;
    let mut numbers = Vec::with_capacity(requests);
    for _ in 0..requests {
        let Some(rest) = varint::take(column)?.checked_sub(1) else {
            numbers.push(None);
            continue;
        };
        let (bytes, after) = apart.split_at_checked(low)?;
        *apart = after;
        let mut quotient = [0; 8];
        quotient[..low].copy_from_slice(bytes);
        let quotient = u64::from_le_bytes(quotient) | rest.checked_mul(1 << (8 * low))?;
        numbers.push(Some(quotient.checked_mul(divisor)?.checked_add(least)?));
    }
    Some(numbers)
}

/// Divides all distances to the least number; 1 where all are the same.
fn divisor(sorted: &[u64], least: u64) -> u64 {
    let mut divisor = 0;
    for number in sorted {
        let mut rest = number - least;
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        if divisor == 1 {
            break;
        }
    }
    divisor.max(1)
}

/// How many low bytes of the quotients are noise: numbers that differ, beyond the byte in which their size shows.
fn low_bytes(sorted: &[u64], least: u64, divisor: u64) -> usize {
    let repeats = sorted.windows(2).filter(|pair| pair[0] == pair[1]).count();
    if 2 * repeats > sorted.len() {
        return 0;
    }
    let median = sorted.get(sorted.len() / 2).map_or(0, |median| (median - least) / divisor);
    let bits = 64 - median.leading_zeros() as usize;
    bits.saturating_sub(1) / 8
}

#[cfg(test)]
mod tests {
    use super::{put, take};
    use proptest::prelude::*;

    fn packed(numbers: &[Option<u64>]) -> (Vec<u8>, Vec<u8>) {
        let (mut column, mut apart) = (Vec::new(), Vec::new());
        put(&mut column, &mut apart, numbers.iter().copied());
        (column, apart)
    }

    fn check(numbers: &[Option<u64>]) {
        let (column, apart) = packed(numbers);
        let (mut rest, mut rest_apart) = (column.as_slice(), apart.as_slice());
        assert_eq!(take(&mut rest, &mut rest_apart, numbers.len()).as_deref(), Some(numbers));
        assert!(rest.is_empty() && rest_apart.is_empty(), "{numbers:?}");
    }

    proptest! {
        #[test]
        fn numbers_come_back(numbers in prop::collection::vec(prop::option::of(any::<u64>()), 0..40), step in 0..u64::MAX) {
            check(&numbers);
            let steps: Vec<_> = numbers.iter().map(|number| number.map(|number| number % 100 * (step / 100))).collect();
            check(&steps);
        }
    }

    #[test]
    fn the_ends_come_back() {
        check(&[]);
        check(&[None]);
        check(&[None, Some(7)]);
        check(&[Some(u64::MAX), Some(0)]);
        check(&[Some(u64::MAX), Some(0), Some(u64::MAX), None]);
        check(&[Some(u64::MAX); 3]);
    }

    #[test]
    fn what_all_have_takes_no_room() {
        let (column, apart) = packed(&[Some(200); 1_000]);
        assert!(column.len() < 8 && apart.is_empty(), "{column:?}");
    }

    #[test]
    fn a_coarse_clock_takes_less_room_than_a_fine_one() {
        let noise = |index: u64| index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let fine: Vec<_> = (0..100).map(|index| Some(noise(index))).collect();
        let coarse: Vec<_> = (0..100).map(|index| Some(noise(index) / 1_000_000 * 1_000_000)).collect();
        let size = |numbers: &[Option<u64>]| packed(numbers).0.len() + packed(numbers).1.len();
        assert!(size(&coarse) + 150 < size(&fine), "{} and {} bytes", size(&coarse), size(&fine));
    }

    #[test]
    fn damage_is_noticed_or_read() {
        let (column, apart) = packed(&[Some(1 << 40), Some(77_777), Some(0), None]);
        for at in 0..column.len() {
            for bit in 0..8 {
                let mut damaged = column.clone();
                damaged[at] ^= 1 << bit;
                let _ = take(&mut damaged.as_slice(), &mut apart.as_slice(), 4);
            }
        }
    }
}
