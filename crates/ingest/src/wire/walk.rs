//! Protobuf, field by field: a message is read without being decoded, and only the records and points that are worth it
//! are decoded, one after the other.

use gatelens_model::varint;

/// The bytes are not protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The content of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Content<'a> {
    Number(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Four bytes.
    Fixed32,
    Bytes(&'a [u8]),
}

/// The fields of a message, as they come.
#[derive(Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// The fields of a message.
pub(super) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message }
}

/// The contents of the fields of this number that have a length: messages, texts, packed numbers.
pub(super) fn all(message: &[u8], number: u64) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    fields(message).filter_map(move |field| match field {
        Ok((found, Content::Bytes(bytes))) if found == number => Some(Ok(bytes)),
        Ok(_) => None,
        Err(malformed) => Some(Err(malformed)),
    })
}

/// How many numbers of eight bytes or varints a field packs.
pub(super) fn packed_varints(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte < 0x80).count()
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Content<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.take();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

impl<'a> Fields<'a> {
    fn take(&mut self) -> Option<(u64, Content<'a>)> {
        let tag = varint::take(&mut self.rest)?;
        let content = match tag & 7 {
            0 => Content::Number(varint::take(&mut self.rest)?),
            1 => Content::Fixed64(u64::from_le_bytes(self.skip(8)?.try_into().ok()?)),
            2 => {
                let len = usize::try_from(varint::take(&mut self.rest)?).ok()?;
                Content::Bytes(self.skip(len)?)
            }
            5 => self.skip(4).map(|_| Content::Fixed32)?,
            // Groups are in none of these messages, and nothing else exists.
            _ => return None,
        };
        Some((tag >> 3, content))
    }

    fn skip(&mut self, len: usize) -> Option<&'a [u8]> {
        let (content, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, Malformed, fields, packed_varints};

    #[test]
    fn fields_are_handed_on_as_they_come() {
        let check = |message: &[u8], expected: &[Result<(u64, Content<'_>), Malformed>]| {
            assert_eq!(fields(message).collect::<Vec<_>>(), expected, "{message:?}");
        };
        check(&[], &[]);
        check(
            &[0x08, 0x96, 0x01, 0x12, 2, 7, 8],
            &[Ok((1, Content::Number(150))), Ok((2, Content::Bytes(&[7, 8])))],
        );
        check(&[0x1d, 0, 0, 0, 0], &[Ok((3, Content::Fixed32))]);
        check(&[0x19, 7, 0, 0, 0, 0, 0, 0, 1], &[Ok((3, Content::Fixed64(1 << 56 | 7)))]);
        check(&[0x12, 3, 7, 8], &[Err(Malformed)]);
        check(&[0x0b], &[Err(Malformed)]);
        check(&[0x08], &[Err(Malformed)]);
        check(&[0x12, 0, 0x80], &[Ok((2, Content::Bytes(&[]))), Err(Malformed)]);
    }

    #[test]
    fn packed_varints_are_counted_by_their_ends() {
        assert_eq!(packed_varints(&[0x01, 0x96, 0x01, 0x00]), 3);
    }
}
