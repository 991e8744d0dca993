//! Where a request stands in the order of all requests, and the cursor that says it.

use crate::error::QueryError;
use gatelens_model::varint;

/// A place in the order of all requests; the greatest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) time: i64,
    /// Days since 1970 of the file.
    pub(super) day: i64,
    pub(super) chunk: i64,
    pub(super) row: u64,
}

impl Place {
    pub(super) fn to_text(self) -> String {
        let mut bytes = Vec::new();
        for number in [self.time, self.day, self.chunk] {
            varint::put_signed(&mut bytes, number);
        }
        varint::put(&mut bytes, self.row);
        hex(&bytes)
    }

    pub(super) fn parse(text: &str) -> Result<Self, QueryError> {
        let wrong = || QueryError::parameter("cursor", "cursor is to be the `next` of an answer");
        let bytes = text.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        });
        let bytes: Vec<u8> = bytes.collect::<Option<_>>().ok_or_else(wrong)?;
        let mut rest = bytes.as_slice();
        let mut next = || varint::take_signed(&mut rest).ok_or_else(wrong);
        let (time, day, chunk) = (next()?, next()?, next()?);
        let row = varint::take(&mut rest).ok_or_else(wrong)?;
        let place = Self { time, day, chunk, row };
        if rest.is_empty() { Ok(place) } else { Err(wrong()) }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
