//! LEB128 integers, as protobuf, the counters in shared data and the store use them.

/// Appends a value in 1 to 10 bytes.
#[inline]
pub fn put(out: &mut Vec<u8>, value: u64) {
    // Most tags and lengths take one byte.
    if value < 0x80 { out.push(value as u8) } else { put_long(out, value) }
}

fn put_long(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed value; small absolute values take few bytes (zigzag).
pub fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Takes a value off the front of `input`; `None` when it ends early or does not fit in 64 bits.
#[inline]
pub fn take(input: &mut &[u8]) -> Option<u64> {
    // Most tags and lengths take one byte.
    match input.split_first()? {
        (byte, rest) if *byte < 0x80 => {
            *input = rest;
            Some(u64::from(*byte))
        }
        _ => take_long(input),
    }
}

fn take_long(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = input.split_first()?;
        *input = rest;
        // The tenth byte holds the 64th bit alone.
        if shift == 63 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Takes a value that [`put_signed`] wrote.
pub fn take_signed(input: &mut &[u8]) -> Option<i64> {
    let raw = take(input)?;
    Some((raw >> 1) as i64 ^ ((raw & 1) as i64).wrapping_neg())
}

/// Number of bytes that [`put`] writes for a value.
pub fn size(value: u64) -> usize {
    // Seven bits a byte; `| 1` because zero takes a byte too.
    (63 ^ (value | 1).leading_zeros() as usize).wrapping_div(7).wrapping_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(value in any::<u64>(), signed in any::<i64>()) {
            let mut out = Vec::new();
            put(&mut out, value);
            prop_assert_eq!(out.len(), size(value));
            put_signed(&mut out, signed);
            let mut input = &out[..];
            prop_assert_eq!(take(&mut input), Some(value));
            prop_assert_eq!(take_signed(&mut input), Some(signed));
            prop_assert!(input.is_empty());
        }

        #[test]
        fn more_than_64_bits_are_refused(last in 2u8..0x80) {
            let mut bytes = vec![0xff; 9];
            bytes.push(last);
            prop_assert_eq!(take(&mut &bytes[..]), None);
        }

        #[test]
        fn garbage_is_survived(bytes in any::<Vec<u8>>()) {
            let mut input = &bytes[..];
            while take(&mut input).is_some() {}
        }
    }
}
