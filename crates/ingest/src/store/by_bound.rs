//! The stored form of counts by bound.
//!
//! A byte for the list of bounds: 1 for the default of the filter; 0 for another, of which the number follows, the unit as
//! a power of ten nanoseconds, and for each bound its distance from the one before in this unit. Then come pairs of a place
//! and its count, for places with a count. All numbers except the first byte are varints.

use crate::model::{ByBound, DEFAULT_BOUNDS};
use gatelens_model::varint;
use std::sync::Arc;

const LISTED: u8 = 0;
const DEFAULT: u8 = 1;

/// Appends the stored form, which is nothing without bounds.
pub(super) fn encode_to(out: &mut Vec<u8>, by_bound: &ByBound) {
    let bounds = by_bound.bounds();
    if bounds.is_empty() {
        return;
    }
    encode_bounds_to(out, bounds);
    for (place, count) in by_bound.counts().iter().enumerate().filter(|(_, count)| **count > 0) {
        varint::put(out, place as u64);
        varint::put(out, *count);
    }
}

/// Reads the stored form; `None` for bytes that [`encode_to`] cannot have written.
pub(super) fn decode(mut bytes: &[u8]) -> Option<ByBound> {
    if bytes.is_empty() {
        return Some(ByBound::default());
    }
    let bounds = take_bounds(&mut bytes)?;
    let mut counts = vec![0; bounds.len() + 1];
    while !bytes.is_empty() {
        let place = usize::try_from(varint::take(&mut bytes)?).ok()?;
        *counts.get_mut(place)? = varint::take(&mut bytes)?;
    }
    Some(ByBound::new(bounds, counts)).filter(|found| !found.bounds().is_empty())
}

fn encode_bounds_to(out: &mut Vec<u8>, bounds: &[u64]) {
    if *bounds == **DEFAULT_BOUNDS {
        out.push(DEFAULT);
        return;
    }
    out.push(LISTED);
    varint::put(out, bounds.len() as u64);
    let mut power = 0;
    while power < 9 && bounds.iter().all(|bound| bound % 10u64.pow(power + 1) == 0) {
        power += 1;
    }
    varint::put(out, u64::from(power));
    let mut before = 0;
    for bound in bounds {
        varint::put(out, (bound - before) / 10u64.pow(power));
        before = *bound;
    }
}

fn take_bounds(bytes: &mut &[u8]) -> Option<Arc<[u64]>> {
    let (&list, rest) = bytes.split_first()?;
    *bytes = rest;
    match list {
        DEFAULT => Some(DEFAULT_BOUNDS.clone()),
        LISTED => {
            let number = varint::take(bytes)?;
            let unit = 10u64.checked_pow(u32::try_from(varint::take(bytes)?).ok()?)?;
            let mut before = 0u64;
            // A number that is too large ends with the bytes.
            (0..number)
                .map(|_| {
                    before = before.checked_add(varint::take(bytes)?.checked_mul(unit)?)?;
                    Some(before)
                })
                .collect()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Data directories hold these bytes.
    #[test]
    fn the_stored_forms_never_change() {
        let check = |seconds: &[f64], counts: &[u64], expected: &[u8]| {
            let by_bound = ByBound::at_seconds(seconds, counts.to_vec());
            let mut out = Vec::new();
            encode_to(&mut out, &by_bound);
            assert_eq!(out, expected);
            assert_eq!(decode(&out), Some(by_bound));
        };
        let default = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
        check(&default, &[0, 300, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], &[1, 1, 0xac, 2, 11, 1]);
        check(&[0.1, 1.0, 2.5], &[2, 0, 0, 1], &[0, 3, 8, 1, 9, 15, 0, 2, 3, 1]);
        check(&[], &[0], &[]);
    }

    proptest! {
        #[test]
        fn counts_come_back(
            bounds in prop::collection::btree_set(1u64..1 << 50, 1..64),
            seed in prop::collection::vec(any::<u64>(), 65),
        ) {
            let bounds: Arc<[u64]> = bounds.into_iter().collect();
            let counts = seed.get(..=bounds.len()).unwrap().to_vec();
            let by_bound = ByBound::new(bounds, counts);
            let mut out = Vec::new();
            encode_to(&mut out, &by_bound);
            prop_assert_eq!(decode(&out), Some(by_bound));
        }

        #[test]
        fn garbage_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
