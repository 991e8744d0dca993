//! Cursors of lists: the place at which the next page begins, as a text that only the service reads.

use crate::error::QueryError;
use data_encoding::HEXLOWER;
use gatelens_model::varint;

/// The numbers and texts of a place, in an order that the list knows.
#[derive(Debug, Default)]
pub(super) struct Cursor(Vec<u8>);

impl Cursor {
    pub(super) fn number(mut self, number: i64) -> Self {
        varint::put_signed(&mut self.0, number);
        self
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        varint::put(&mut self.0, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn to_text(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// Reads the parameter `cursor` by `read`, which must use up all of it.
    pub(super) fn parse<T>(
        text: &str,
        read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Result<T, QueryError> {
        let read = || {
            let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
            let mut reader = Reader(&bytes);
            read(&mut reader).filter(|_| reader.0.is_empty())
        };
        read().ok_or_else(|| {
            QueryError::parameter("cursor", "cursor must be the `next` of an answer to the same question")
        })
    }
}

/// What is left of a cursor.
pub(super) struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    pub(super) fn number(&mut self) -> Option<i64> {
        varint::take_signed(&mut self.0)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let len = usize::try_from(varint::take(&mut self.0)?).ok()?;
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else() {
        let text = Cursor::default().number(-7).text("é").to_text();
        let read = |text: &str| Cursor::parse(text, |rest| Some((rest.number()?, rest.text()?)));
        assert_eq!(read(&text).unwrap(), (-7, "é".to_owned()));
        for wrong in ["", "x", &text[2..], &format!("{text}00"), &text[..text.len() - 2], "00ff"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
