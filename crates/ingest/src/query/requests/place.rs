//! The place of a request in the order of all requests, and the cursor that names it.

use crate::clickhouse::{LogOrder, LogPlace};
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

/// The day of all places that are on a server. Files have no such day, so that a cursor is known by it.
const ON_SERVER: i64 = -1;

impl Order {
    /// Reads the value of `sort`.
    pub(super) fn parse(text: &str) -> Result<Self, QueryError> {
        match text {
            "time" => Ok(Self::Time),
            "duration" => Ok(Self::Duration),
            _ => Err(QueryError::parameter("sort", format!("sort must be time or duration, not {text:?}"))),
        }
    }

    /// The same order of a server.
    pub(super) fn of_server(self) -> LogOrder {
        match self {
            Self::Time => LogOrder::Time,
            Self::Duration => LogOrder::Duration,
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
    /// The place of a request on a server. Where durations are the same, the newest comes first.
    pub(super) fn on_server(order: Order, event: &RequestEvent, (batch, place): (u64, u32)) -> Self {
        let (rank, _) = order.key(event);
        // The numbers of batches use all 64 bits.
        let chunk = (batch ^ 1 << 63) as i64;
        Self { rank, time: event.time, day: ON_SERVER, chunk, row: place.into() }
    }

    /// The same place as a server knows it; `None` for one in a file.
    pub(super) fn of_server(self) -> Option<LogPlace> {
        let batch = self.chunk as u64 ^ 1 << 63;
        let place = u32::try_from(self.row).ok().filter(|_| self.day == ON_SERVER)?;
        Some(LogPlace { rank: self.rank, time: self.time, batch, place })
    }

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
