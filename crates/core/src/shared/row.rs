//! The building blocks of values in shared data: rows of numbers and sections of bytes, each with its length.
//!
//! Two versions of the filter may use the same values at once, while a gateway is upgraded. Both read each other's
//! values, because lengths are written out: a newer version may append numbers to a row and sections to a value, and an
//! older one writes back the parts that it does not know.

use gatelens_model::varint;

use super::store::Unreadable;

/// Maximum number of numbers in a row; a longer row is damaged.
const MAX_NUMBERS: u64 = 65_536;

/// Appends a row: the number of its numbers, then the numbers, all LEB128.
#[inline(never)]
pub(super) fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    varint::put(out, numbers.len() as u64);
    numbers.iter().for_each(|number| varint::put(out, *number));
}

/// Takes a row that [`put_numbers`] wrote.
#[inline(never)]
pub(super) fn take_numbers(input: &mut &[u8]) -> Result<Vec<u64>, Unreadable> {
    let length = varint::take(input).filter(|length| *length <= MAX_NUMBERS).ok_or(Unreadable)?;
    let mut numbers = Vec::with_capacity(input.len().min(length as usize));
    for _ in 0..length {
        numbers.push(varint::take(input).ok_or(Unreadable)?);
    }
    Ok(numbers)
}

/// Appends a section: its length, then its bytes.
pub(super) fn put_section(out: &mut Vec<u8>, section: &[u8]) {
    varint::put(out, section.len() as u64);
    out.extend_from_slice(section);
}

/// Takes a section that [`put_section`] wrote.
pub(super) fn take_section<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Unreadable> {
    let length = varint::take(input).and_then(|length| usize::try_from(length).ok()).ok_or(Unreadable)?;
    let (section, rest) = input.split_at_checked(length).ok_or(Unreadable)?;
    *input = rest;
    Ok(section)
}

/// Adds a row to another, number by number. The sum is as long as the longer one.
pub(super) fn add_numbers(sum: &mut Vec<u64>, numbers: &[u64]) {
    if sum.len() < numbers.len() {
        sum.resize(numbers.len(), 0);
    }
    for (sum, number) in sum.iter_mut().zip(numbers) {
        *sum = sum.saturating_add(*number);
    }
}

/// Replaces the first numbers of a row; what follows them stays.
pub(super) fn set_numbers(row: &mut Vec<u64>, numbers: &[u64]) {
    let known = row.len().min(numbers.len());
    row.splice(..known, numbers.iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_and_sections_come_back(numbers in prop::collection::vec(any::<u64>(), 0..20), section: Vec<u8>, rest: Vec<u8>) {
            let mut out = Vec::new();
            put_numbers(&mut out, &numbers);
            put_section(&mut out, &section);
            out.extend_from_slice(&rest);
            let mut input = &out[..];
            prop_assert_eq!(take_numbers(&mut input).unwrap(), numbers);
            prop_assert_eq!(take_section(&mut input).unwrap(), &section[..]);
            prop_assert_eq!(input, &rest[..]);
        }

        #[test]
        fn garbage_is_survived(bytes: Vec<u8>) {
            let _ = take_numbers(&mut &bytes[..]);
            let _ = take_section(&mut &bytes[..]);
        }

        #[test]
        fn a_row_keeps_the_numbers_of_a_newer_version(older in prop::collection::vec(0u64..1 << 40, 1..5), more in prop::collection::vec(0u64..1 << 40, 0..5)) {
            let newer = [older.clone(), more.clone()].concat();
            let mut sum = newer.clone();
            add_numbers(&mut sum, &older);
            prop_assert_eq!(&sum[older.len()..], &more[..]);
            let mut row = newer;
            set_numbers(&mut row, &vec![7; older.len()]);
            prop_assert!(row[..older.len()].iter().all(|number| *number == 7));
            prop_assert_eq!(&row[older.len()..], &more[..]);
        }
    }
}
