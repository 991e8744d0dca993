//! Header maps in the encoding of proxy-wasm, for edges that get them so.
//!
//! Layout, integers little-endian: `u32` number of pairs; per pair `u32` length of the name, `u32` length of the value;
//! then per pair the name, a zero byte, the value, a zero byte. Names and values are bytes: nothing here assumes UTF-8.

use std::ops::Range;

use super::HeaderMap;

/// A parsed view of an encoded header map; it owns the host's buffer and copies nothing out of it.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    buffer: Vec<u8>,
}

impl Pairs {
    /// Takes the buffer as the host gave it. A malformed one yields the pairs before the defect.
    pub fn from_host(buffer: Vec<u8>) -> Self {
        Self { buffer }
    }

    /// Encodes pairs as a host would.
    pub fn encode<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: &[(N, V)]) -> Self {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut buffer = u32::try_from(pairs.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
        for (name, value) in pairs {
            buffer.extend(length(name.as_ref()));
            buffer.extend(length(value.as_ref()));
        }
        for (name, value) in pairs {
            buffer.extend(name.as_ref());
            buffer.push(0);
            buffer.extend(value.as_ref());
            buffer.push(0);
        }
        Self { buffer }
    }

    /// All pairs in order.
    pub fn iter(&self) -> PairsIter<'_> {
        let (count, rest) = match self.buffer.split_first_chunk::<4>() {
            Some((count, rest)) => (u32::from_le_bytes(*count) as usize, rest),
            None => (0, &[][..]),
        };
        match count.checked_mul(8).and_then(|size| rest.split_at_checked(size)) {
            Some((lengths, data)) => PairsIter { lengths, data },
            None => PairsIter { lengths: &[], data: &[] },
        }
    }

    /// Whether the buffer is nothing but these pairs.
    pub fn is_well_formed(&self) -> bool {
        Self::encode(&self.iter().collect::<Vec<_>>()).buffer == self.buffer
    }

    /// Where in the buffer a part of it stands that this map has returned.
    pub fn place(&self, part: &[u8]) -> Range<usize> {
        let start = part.as_ptr().addr().wrapping_sub(self.buffer.as_ptr().addr());
        start..start.saturating_add(part.len())
    }

    /// The part of the buffer at a place; empty where it has none.
    pub fn at(&self, place: Range<usize>) -> &[u8] {
        self.buffer.get(place).unwrap_or_default()
    }

    /// The encoded values of a list, which the host hands over as pairs with empty second halves.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.iter().map(|(name, _)| name)
    }
}

impl HeaderMap for Pairs {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.iter()
    }
}

/// Iterator over the pairs of a [`Pairs`].
#[derive(Clone, Debug)]
pub struct PairsIter<'a> {
    lengths: &'a [u8],
    data: &'a [u8],
}

impl<'a> Iterator for PairsIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name_length, rest) = self.lengths.split_first_chunk::<4>()?;
        let (value_length, rest) = rest.split_first_chunk::<4>()?;
        let (name, data) = take_terminated(self.data, u32::from_le_bytes(*name_length))?;
        let (value, data) = take_terminated(data, u32::from_le_bytes(*value_length))?;
        self.lengths = rest;
        self.data = data;
        Some((name, value))
    }
}

fn take_terminated(data: &[u8], length: u32) -> Option<(&[u8], &[u8])> {
    let (taken, rest) = data.split_at_checked(length as usize)?;
    Some((taken, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(pairs in prop::collection::vec((any::<Vec<u8>>(), any::<Vec<u8>>()), 0..8)) {
            let encoded = Pairs::encode(&pairs);
            let read: Vec<_> = encoded.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            prop_assert_eq!(read, pairs);
        }

        #[test]
        fn garbage_is_survived(bytes in any::<Vec<u8>>()) {
            let total: usize = Pairs::from_host(bytes.clone()).iter().map(|(n, v)| n.len() + v.len()).sum();
            prop_assert!(total <= bytes.len());
        }
    }
}
