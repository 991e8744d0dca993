//! The stored form of a sketch.
//!
//! Version 2: a version byte, then as varints the zeros, the sum in nanoseconds and the number of buckets. For each bucket
//! follows twice its index (zigzag), or twice its distance from the bucket before, to which one is added if its count is not
//! 1; then the count comes next. Most buckets of a minute have one request. Version 1 has the index or the distance itself,
//! and always the count.

use gatelens_model::{sketch::Sketch, varint};

const VERSION: u8 = 2;
const FIRST_VERSION: u8 = 1;
/// Bounds of the indices that are ever stored.
const MIN_INDEX: i64 = -40 * 32;
const MAX_INDEX: i64 = 40 * 32 - 1;

/// The bytes are not a sketch that this version can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored sketch cannot be read")]
pub(crate) struct Unreadable;

/// The part of a stored sketch before its buckets.
pub(crate) struct Head {
    pub(crate) zeros: u64,
    pub(crate) sum_ns: u64,
}

/// The stored form, see the module.
pub(crate) fn encode(sketch: &Sketch) -> Vec<u8> {
    let mut out = Vec::with_capacity(8 + 3 * sketch.buckets().len());
    encode_to(&mut out, sketch);
    out
}

/// Appends the stored form.
pub(crate) fn encode_to(out: &mut Vec<u8>, sketch: &Sketch) {
    out.push(VERSION);
    varint::put(out, sketch.zeros);
    varint::put(out, sketch.sum_ns);
    varint::put(out, sketch.buckets().len() as u64);
    let mut last: Option<i64> = None;
    for &(index, count) in sketch.buckets() {
        // Values beyond the bounds were clamped when they were read; the filter cannot measure any.
        let index = i64::from(index).clamp(MIN_INDEX, MAX_INDEX);
        let place = match last {
            None => ((index << 1) ^ (index >> 63)) as u64,
            Some(last) => (index - last) as u64,
        };
        varint::put(out, place << 1 | u64::from(count != 1));
        if count != 1 {
            varint::put(out, count);
        }
        last = Some(index);
    }
}

/// Reads the stored form.
///
/// # Errors
/// [`Unreadable`] for bytes that [`encode`] cannot have written.
pub(crate) fn decode(bytes: &[u8]) -> Result<Sketch, Unreadable> {
    let mut sketch = Sketch::default();
    let head = read(bytes, |index, count| sketch.insert_bucket(index, count))?;
    sketch.insert_zeros(head.zeros);
    sketch.sum_ns = head.sum_ns;
    Ok(sketch)
}

/// Reads the stored form bucket by bucket, by rising index.
///
/// # Errors
/// [`Unreadable`] for bytes that [`encode`] cannot have written; buckets may have been handed on before.
pub(crate) fn read(bytes: &[u8], mut bucket: impl FnMut(i16, u64)) -> Result<Head, Unreadable> {
    let (&version, mut rest) = bytes.split_first().ok_or(Unreadable)?;
    if ![FIRST_VERSION, VERSION].contains(&version) {
        return Err(Unreadable);
    }
    let next = |rest: &mut &[u8]| varint::take(rest).ok_or(Unreadable);
    let (zeros, sum_ns, len) = (next(&mut rest)?, next(&mut rest)?, next(&mut rest)?);
    let mut index = None;
    for _ in 0..len {
        let mut place = next(&mut rest)?;
        let mut is_one = false;
        if version == VERSION {
            is_one = place & 1 == 0;
            place >>= 1;
        }
        let at = match index {
            None => (place >> 1) as i64 ^ ((place & 1) as i64).wrapping_neg(),
            Some(last) if place > 0 && place <= (MAX_INDEX - MIN_INDEX) as u64 => last + place as i64,
            Some(_) => return Err(Unreadable),
        };
        if !(MIN_INDEX..=MAX_INDEX).contains(&at) {
            return Err(Unreadable);
        }
        bucket(at as i16, if is_one { 1 } else { next(&mut rest)? });
        index = Some(at);
    }
    if rest.is_empty() { Ok(Head { zeros, sum_ns }) } else { Err(Unreadable) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Data directories hold these bytes.
    #[test]
    fn the_stored_forms_never_change() {
        let check = |zeros: u64, sum_ns: u64, buckets: &[(i16, u64)], first: &[u8], now: &[u8]| {
            let mut sketch = Sketch::with_sum(sum_ns);
            sketch.insert_zeros(zeros);
            buckets.iter().for_each(|(index, count)| sketch.insert_bucket(*index, *count));
            assert_eq!(encode(&sketch), now, "{sketch:?}");
            assert_eq!(decode(now).as_ref(), Ok(&sketch));
            assert_eq!(decode(first), Ok(sketch));
        };
        check(0, 0, &[], &[1, 0, 0, 0], &[2, 0, 0, 0]);
        check(
            0,
            300_000_000,
            &[(-107, 2), (-105, 1)],
            &[1, 0, 0x80, 0xc6, 0x86, 0x8f, 0x01, 2, 0xd5, 0x01, 2, 2, 1],
            &[2, 0, 0x80, 0xc6, 0x86, 0x8f, 0x01, 2, 0xab, 0x03, 2, 4],
        );
        check(
            200,
            0,
            &[(1279, 1)],
            &[1, 0xc8, 0x01, 0, 1, 0xfe, 0x13, 1],
            &[2, 0xc8, 0x01, 0, 1, 0xfc, 0x27],
        );
    }

    #[test]
    fn the_largest_sketch_is_read_again() {
        let mut sketch = Sketch::with_sum(u64::MAX);
        sketch.insert_zeros(u64::MAX);
        (MIN_INDEX..=MAX_INDEX).for_each(|index| sketch.insert_bucket(index as i16, u64::MAX));
        assert_eq!(decode(&encode(&sketch)), Ok(sketch));
    }

    proptest! {
        #[test]
        fn stored_sketches_come_back(zeros: u64, given: u64, buckets in prop::collection::btree_map(-1280i16..1280, 1u64..1000, 0..60)) {
            let mut sketch = Sketch::with_sum(given);
            sketch.insert_zeros(zeros);
            buckets.iter().for_each(|(index, count)| sketch.insert_bucket(*index, *count));
            prop_assert_eq!(decode(&encode(&sketch)), Ok(sketch));
        }

        #[test]
        fn garbage_is_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
