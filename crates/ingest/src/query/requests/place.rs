//! The place of a request in the order of all requests, and the cursor that names it.

use crate::error::QueryError;
use data_encoding::HEXLOWER;
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
        HEXLOWER.encode(&bytes)
    }

    pub(super) fn parse(text: &str) -> Result<Self, QueryError> {
        let wrong = || QueryError::parameter("cursor", "cursor must be the `next` of an answer");
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| wrong())?;
        let mut rest = bytes.as_slice();
        let mut next = || varint::take_signed(&mut rest).ok_or_else(wrong);
        let (time, day, chunk) = (next()?, next()?, next()?);
        let row = varint::take(&mut rest).ok_or_else(wrong)?;
        let place = Self { time, day, chunk, row };
        if rest.is_empty() { Ok(place) } else { Err(wrong()) }
    }
}
