//! Texts that differ by noise only, such as identifiers: a compressor finds nothing in them, and makes hexadecimal digits
//! hardly shorter than five bits.
//!
//! The length of all texts as a varint, a byte for each position that says what it holds ([`Position`]), and the bytes
//! that all have in common. The noise goes elsewhere: whole bytes of all texts, then hexadecimal digits of all, two in
//! a byte.

use super::take_slice;
use gatelens_model::varint;

/// Longer texts are not identifiers.
const MAX_LENGTH: usize = 64;

/// What a position of the texts holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// The same byte in all of them.
    Same = 0,
    /// A hexadecimal digit, in lower case.
    Digit = 1,
    /// Any byte.
    Any = 2,
}

/// What texts have in common.
pub(super) struct Shape<'a> {
    positions: Vec<Position>,
    /// One of the texts.
    sample: &'a [u8],
}

impl<'a> Shape<'a> {
    /// The shape of texts; `None` if they have no common shape. Only identifiers in bytes may have a position that holds any byte.
    pub(super) fn of(mut texts: impl Iterator<Item = &'a [u8]>, are_bytes: bool) -> Option<Self> {
        let sample = texts.next().filter(|sample| sample.len() <= MAX_LENGTH)?;
        let mut differs = [false; MAX_LENGTH];
        let mut is_other = sample.iter().map(|byte| digit(*byte).is_none()).collect::<Vec<_>>();
        for text in texts {
            if text.len() != sample.len() {
                return None;
            }
            for (index, (byte, common)) in text.iter().zip(sample).enumerate() {
                differs[index] |= byte != common;
                is_other[index] |= digit(*byte).is_none();
            }
        }
        let positions = differs.iter().zip(&is_other).map(|known| match known {
            (false, _) => Some(Position::Same),
            (true, false) if !are_bytes => Some(Position::Digit),
            (true, _) => are_bytes.then_some(Position::Any),
        });
        Some(Self { positions: positions.collect::<Option<_>>()?, sample })
    }

    /// Appends the shape to a column, and the noise to `apart`. The texts must be those of the shape.
    pub(super) fn put(
        &self,
        out: &mut Vec<u8>,
        apart: &mut Vec<u8>,
        texts: impl Iterator<Item = &'a [u8]> + Clone,
    ) {
        varint::put(out, self.positions.len() as u64);
        out.extend(self.positions.iter().map(|position| *position as u8));
        out.extend(self.at(self.sample, Position::Same));
        for text in texts.clone() {
            apart.extend(self.at(text, Position::Any));
        }
        let mut high = None;
        for text in texts {
            for digit in self.at(text, Position::Digit).filter_map(digit) {
                match high.take() {
                    None => high = Some(digit),
                    Some(high) => apart.push(high << 4 | digit),
                }
            }
        }
        apart.extend(high.map(|high| high << 4));
    }

    /// Takes a shape off a column, and returns so many texts; `None` when they are damaged.
    pub(super) fn take(column: &mut &[u8], apart: &mut &[u8], count: usize) -> Option<Vec<Vec<u8>>> {
        let length = varint::take(column)?;
        if length > MAX_LENGTH as u64 {
            return None;
        }
        let positions = take_slice(column, length)?;
        let of = |kind: Position| positions.iter().filter(|position| **position == kind as u8).count();
        let common = take_slice(column, of(Position::Same) as u64)?;
        let mut whole = take_slice(apart, (count * of(Position::Any)) as u64)?.iter();
        let digits = count * of(Position::Digit);
        let packed = take_slice(apart, digits.div_ceil(2) as u64)?;
        let mut digits = packed.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut texts = Vec::with_capacity(count);
        for _ in 0..count {
            let mut common = common.iter();
            let byte = |position: &u8| match *position {
                0 => common.next().copied(),
                1 => digits.next().map(|digit| b"0123456789abcdef"[usize::from(digit)]),
                2 => whole.next().copied(),
                _ => None,
            };
            texts.push(positions.iter().map(byte).collect::<Option<Vec<_>>>()?);
        }
        Some(texts)
    }

    /// The bytes of a text at the positions of a kind.
    fn at<'b>(&'b self, text: &'b [u8], kind: Position) -> impl Iterator<Item = u8> + 'b {
        text.iter()
            .zip(&self.positions)
            .filter(move |(_, position)| **position == kind)
            .map(|(byte, _)| *byte)
    }
}

/// The value of a hexadecimal digit in lower case.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Shape;

    /// Bytes in the column and apart from it; `None` without a shape.
    fn check(texts: &[&[u8]], are_bytes: bool) -> Option<(usize, usize)> {
        let all = || texts.iter().copied();
        let (mut column, mut apart) = (Vec::new(), Vec::new());
        Shape::of(all(), are_bytes)?.put(&mut column, &mut apart, all());
        let (mut rest, mut rest_apart) = (column.as_slice(), apart.as_slice());
        assert_eq!(Shape::take(&mut rest, &mut rest_apart, texts.len()).unwrap(), texts);
        assert!(rest.is_empty() && rest_apart.is_empty());
        for cut in 0..column.len() {
            let _ = Shape::take(&mut &column[..cut], &mut apart.as_slice(), texts.len());
        }
        assert!(Shape::take(&mut column.as_slice(), &mut apart.split_last()?.1, texts.len()).is_none());
        Some((column.len(), apart.len()))
    }

    #[test]
    fn identifiers_come_back_in_as_many_bytes_as_they_differ_by() {
        let uuids: [&[u8]; 3] = [
            b"e2c5bd10-9f3a-4c1e-8b8f-0d5ae23d1f37",
            b"0a1b2c3d-4e5f-4061-9283-a4b5c6d7e8f9",
            b"ffffffff-0000-4fff-a000-123456789abc",
        ];
        // The version is the same in all, so that 31 digits differ: 93 in all.
        assert_eq!(check(&uuids, false), Some((1 + 36 + 5, 47)));
        assert_eq!(check(&[b"id-1", b"id-2"], false), Some((1 + 4 + 3, 1)));
        assert_eq!(check(&[&[0, 1, 0xff], &[0, 2, 0xfe]], true), Some((1 + 3 + 1, 4)));
    }

    #[test]
    fn texts_of_another_kind_have_no_shape() {
        assert_eq!(check(&[b"id-1", b"id-10"], false), None);
        assert_eq!(check(&[b"id-1", b"id-g"], false), None);
        assert_eq!(check(&[b"AB", b"CD"], false), None);
        assert_eq!(check(&[&[b'a'; 65], &[b'b'; 65]], false), None);
    }
}
