//! The place of a request in the order of all requests, and the cursor that names it.

use crate::error::QueryError;
use crate::model::RequestEvent;
use data_encoding::HEXLOWER;
use gatelens_model::varint;

/// What requests are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The newest first.
    Time,
    /// The slowest first; of equally slow ones those that came last. Those whose duration is not known come last of all.
    Duration,
}

/// A place in the order of all requests; the greatest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Nanoseconds of the duration, or -1, where they are sorted by it; else 0.
    pub(super) rank: i64,
    /// Unix nanoseconds where they are sorted by time; else 0.
    pub(super) time: i64,
    /// Days since 1970 of the file.
    pub(super) day: i64,
    pub(super) chunk: i64,
    pub(super) row: u64,
}

impl Order {
    /// Reads the value of `sort`.
    pub(super) fn parse(text: &str) -> Result<Self, QueryError> {
        match text {
            "time" => Ok(Self::Time),
            "duration" => Ok(Self::Duration),
            _ => Err(QueryError::parameter("sort", format!("sort must be time or duration, not {text:?}"))),
        }
    }

    /// The rank and the time of a request's place.
    pub(super) fn key(self, event: &RequestEvent) -> (i64, i64) {
        match self {
            Self::Time => (0, event.time),
            Self::Duration => (event.duration_ns.map_or(-1, |ns| i64::try_from(ns).unwrap_or(i64::MAX)), 0),
        }
    }
}

impl Place {
    pub(super) fn to_text(self, order: Order) -> String {
        let mut bytes = Vec::new();
        if order == Order::Duration {
            varint::put_signed(&mut bytes, self.rank);
        }
        for number in [self.time, self.day, self.chunk] {
            varint::put_signed(&mut bytes, number);
        }
        varint::put(&mut bytes, self.row);
        HEXLOWER.encode(&bytes)
    }

    pub(super) fn parse(text: &str, order: Order) -> Result<Self, QueryError> {
        let wrong =
            || QueryError::parameter("cursor", "cursor must be the `next` of an answer with the same sort");
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| wrong())?;
        let mut rest = bytes.as_slice();
        let mut next = || varint::take_signed(&mut rest).ok_or_else(wrong);
        let rank = if order == Order::Duration { next()? } else { 0 };
        let (time, day, chunk) = (next()?, next()?, next()?);
        let row = varint::take(&mut rest).ok_or_else(wrong)?;
        let place = Self { rank, time, day, chunk, row };
        if rest.is_empty() { Ok(place) } else { Err(wrong()) }
    }
}
