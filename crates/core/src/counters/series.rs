//! The identity of a series.

use hashbrown::Equivalent;

use crate::outcome::{ErrorType, Method, Status};

/// A dimension of a series whose values a client can choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension<'a> {
    /// As it is.
    Value(&'a str),
    /// One of those beyond the dimension's cap.
    Overflow,
}

/// The identity of a series, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series<'a> {
    /// An ordinary one.
    Exact {
        /// The consumer.
        consumer: Dimension<'a>,
        /// With which method.
        method: Method,
        /// Which route.
        route: Dimension<'a>,
        /// How it ended.
        status: Status,
        /// Why, if it is an error.
        error: Option<ErrorType>,
    },
    /// What exceeds the cap of all series; `None` when even the statuses are too many.
    Overflow(Option<Status>),
}

/// The identity of a series as bytes: what maps and shared data hold.
///
/// Layout: a byte that tells the kinds apart (0 exact, 1 overflow with a status, 2 without); for an exact one a byte of
/// flags (1: the consumer overflows, 2: the route does), status (two bytes), method, error, length of the consumer (two
/// bytes), consumer, route; for an overflow with a status, the status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeriesKey(Vec<u8>);

const CONSUMER_OVERFLOWS: u8 = 1;
const ROUTE_OVERFLOWS: u8 = 2;

impl Equivalent<SeriesKey> for [u8] {
    fn equivalent(&self, key: &SeriesKey) -> bool {
        self == key.0
    }
}

impl<'a> Dimension<'a> {
    fn text(self) -> &'a str {
        match self {
            Dimension::Value(text) => text,
            Dimension::Overflow => "",
        }
    }

    fn new(text: &'a str, flags: u8, overflows: u8) -> Self {
        if flags & overflows == 0 { Dimension::Value(text) } else { Dimension::Overflow }
    }

    fn flag(self, overflows: u8) -> u8 {
        if self == Dimension::Overflow { overflows } else { 0 }
    }
}

impl SeriesKey {
    /// Writes a series into this key, whose memory is reused.
    pub fn set(&mut self, series: Series<'_>) {
        self.0.clear();
        match series {
            Series::Exact { consumer, method, route, status, error } => {
                let flags = consumer.flag(CONSUMER_OVERFLOWS) | route.flag(ROUTE_OVERFLOWS);
                self.0.extend([0, flags]);
                self.0.extend(status.0.to_le_bytes());
                self.0.extend([method.to_byte(), ErrorType::to_byte(error)]);
                let (consumer, route) = (consumer.text(), route.text());
                self.0.extend(u16::try_from(consumer.len()).unwrap_or(u16::MAX).to_le_bytes());
                self.0.extend(consumer.as_bytes());
                self.0.extend(route.as_bytes());
            }
            Series::Overflow(Some(status)) => {
                self.0.push(1);
                self.0.extend(status.0.to_le_bytes());
            }
            Series::Overflow(None) => self.0.push(2),
        }
    }

    /// Reads the series back; `None` if the bytes are not a series key.
    pub fn series(&self) -> Option<Series<'_>> {
        let (kind, rest) = self.0.split_first()?;
        match kind {
            0 => {
                let (&[flags, low, high, method, error], rest) = rest.split_first_chunk::<5>()?;
                let (length, rest) = rest.split_first_chunk::<2>()?;
                let (consumer, route) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
                Some(Series::Exact {
                    consumer: Dimension::new(std::str::from_utf8(consumer).ok()?, flags, CONSUMER_OVERFLOWS),
                    method: Method::from_byte(method)?,
                    route: Dimension::new(std::str::from_utf8(route).ok()?, flags, ROUTE_OVERFLOWS),
                    status: Status(u16::from_le_bytes([low, high])),
                    error: ErrorType::from_byte(error)?,
                })
            }
            1 => Some(Series::Overflow(Some(Status(u16::from_le_bytes(rest.try_into().ok()?))))),
            2 => Some(Series::Overflow(None)),
            _ => None,
        }
    }

    /// The key as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes bytes for a key.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_newer_version_is_not_read_as_another_one() {
        let key = |method: u8, error: u8| {
            SeriesKey::from_bytes(&[&[0, 0, 200, 0, method, error, 0, 0][..], b"/a"].concat())
        };
        assert!(key(1, 0).series().is_some());
        assert_eq!(key(200, 0).series(), None);
        assert_eq!(key(1, 200).series(), None);
    }
}
