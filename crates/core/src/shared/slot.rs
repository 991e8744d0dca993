//! The value of a slot: a series, its start and its values.

use gatelens_model::sketch::Sketch;

use super::row::{add_numbers, put_numbers, put_section, take_numbers, take_section};
use super::store::Unreadable;
use crate::counters::{Place, SeriesKey, Values};

/// The value of a slot.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// The series; empty in a slot that is free.
    pub key: SeriesKey,
    /// Its values since its start.
    pub values: Values,
    /// Its start, nanoseconds since the Unix epoch; 0 for the start of the counters' epoch. Where the slot is free, the
    /// start of the last series in it: only a series with a later one may take the slot.
    pub start_ns: u64,
    /// The stage of its life.
    pub stage: Stage,
    /// Numbers and sections that a newer version has appended.
    more_numbers: Vec<u64>,
    rest: Vec<u8>,
}

/// The sums of a series since its start, without its sketches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Requests.
    pub requests: u64,
    /// Sum of their durations, nanoseconds.
    pub duration_ns: u64,
    /// Body bytes of the requests.
    pub request_bytes: u64,
    /// Body bytes of the responses.
    pub response_bytes: u64,
    /// As [`Values::by_bound`].
    pub by_bound: Vec<u64>,
}

impl Sums {
    /// Adds those of another series.
    pub fn add(&mut self, other: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.requests, other.requests);
        add(&mut self.duration_ns, other.duration_ns);
        add(&mut self.request_bytes, other.request_bytes);
        add(&mut self.response_bytes, other.response_bytes);
        add_numbers(&mut self.by_bound, &other.by_bound);
    }
}

/// The stage in the life of a series in a slot.
///
/// ```text
/// Open ──given up──▶ Closed ──its values are acknowledged──▶ Free ──another series, a later start──▶ Open
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Workers add to its values.
    Open,
    /// Its values are final.
    Closed,
    /// The receiver has acknowledged the final values, and nothing is in the slot.
    Free,
}

/// Numbers of a slot: three values, its start and its stage.
const NUMBERS: usize = 5;

impl Slot {
    /// Without values.
    pub(super) fn open(key: &SeriesKey, start_ns: u64) -> Self {
        Self {
            key: key.clone(),
            values: Values::default(),
            start_ns,
            stage: Stage::Open,
            more_numbers: Vec::new(),
            rest: Vec::new(),
        }
    }

    /// Nothing, after a series with this start.
    pub(super) fn free(start_ns: u64) -> Self {
        Self { stage: Stage::Free, ..Self::open(&SeriesKey::default(), start_ns) }
    }

    /// Whether it holds the series that a place names, in this stage.
    pub(super) fn is(&self, stage: Stage, place: Place) -> bool {
        (self.stage, self.start_ns) == (stage, place.start_ns)
    }

    /// Whether the series that a place names may take it.
    pub(super) fn is_free_for(&self, place: Place) -> bool {
        self.stage == Stage::Free && self.start_ns < place.start_ns
    }

    /// Reads a value of [`super::SharedSeries::read`]. `None` for a slot without a series, or if it is unreadable, or if
    /// the key is that of a newer version.
    #[inline(never)]
    pub fn read(value: &[u8]) -> Option<Self> {
        let slot = Self::decode(value).ok()?;
        (slot.stage != Stage::Free && slot.key.series().is_some()).then_some(slot)
    }

    /// The series of a slot and its sums, at a part of the price of [`Slot::read`]; `None` where that has none.
    pub fn sums(mut value: &[u8]) -> Option<(SeriesKey, Sums)> {
        let input = &mut value;
        let key = SeriesKey::from_bytes(take_section(input).ok()?);
        let (requests, duration_ns) = Sketch::totals(take_section(input).ok()?)?;
        let _upstream_and_gateway = (take_section(input).ok()?, take_section(input).ok()?);
        let numbers = take_numbers(input).ok()?;
        let number = |index: usize| numbers.get(index).copied().unwrap_or(0);
        let is_free = Stage::from_number(number(4)).ok()? == Stage::Free;
        let sums = Sums {
            requests,
            duration_ns,
            request_bytes: number(0),
            response_bytes: number(1),
            by_bound: take_numbers(input).ok()?,
        };
        (!is_free && key.series().is_some()).then_some((key, sums))
    }

    #[inline(never)]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        put_section(&mut out, self.key.as_bytes());
        let values = &self.values;
        let mut encoded = Vec::new();
        for sketch in [&values.duration, &values.upstream, &values.gateway] {
            encoded.clear();
            sketch.encode(&mut encoded);
            put_section(&mut out, &encoded);
        }
        let stage = self.stage.to_number();
        let mut numbers =
            vec![values.request_bytes, values.response_bytes, values.attempts, self.start_ns, stage];
        numbers.extend_from_slice(&self.more_numbers);
        put_numbers(&mut out, &numbers);
        put_numbers(&mut out, &values.by_bound);
        // After everything else, like any later addition.
        put_future(&mut out, &self.rest);
        out
    }

    #[inline(never)]
    pub(super) fn decode(mut value: &[u8]) -> Result<Self, Unreadable> {
        let input = &mut value;
        let key = SeriesKey::from_bytes(take_section(input)?);
        let mut sketch = || Sketch::decode(&mut take_section(input)?).ok_or(Unreadable);
        let (duration, upstream, gateway) = (sketch()?, sketch()?, sketch()?);
        let mut numbers = take_numbers(input)?;
        add_numbers(&mut numbers, &[0; NUMBERS]);
        let more_numbers = numbers.split_off(NUMBERS);
        let number = |index: usize| numbers.get(index).copied().unwrap_or(0);
        let values = Values {
            duration,
            upstream,
            gateway,
            request_bytes: number(0),
            response_bytes: number(1),
            attempts: number(2),
            by_bound: take_numbers(input)?,
        };
        let (start_ns, stage) = (number(3), Stage::from_number(number(4))?);
        Ok(Self { key, values, start_ns, stage, more_numbers, rest: input.to_vec() })
    }
}

impl Stage {
    fn to_number(self) -> u64 {
        match self {
            Self::Open => 0,
            Self::Closed => 1,
            Self::Free => 2,
        }
    }

    fn from_number(number: u64) -> Result<Self, Unreadable> {
        match number {
            0 => Ok(Self::Open),
            1 => Ok(Self::Closed),
            2 => Ok(Self::Free),
            _ => Err(Unreadable),
        }
    }
}

fn put_future(out: &mut Vec<u8>, rest: &[u8]) {
    // The module of the upgrade test acts as a newer version: it appends its own section.
    #[cfg(feature = "next-version")]
    if rest.is_empty() {
        put_section(out, b"of the next version");
        return;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{Dimension, Dimensions, Measurement, Series};
    use crate::outcome::{GrpcStatus, Method, Status};
    use crate::request::route::RouteSource;
    use crate::request::scheme::Scheme;

    fn slot() -> Slot {
        let mut key = SeriesKey::default();
        key.set(Series::Exact(Dimensions {
            consumer: Dimension::Value("acme"),
            method: Method::new(b"GET"),
            scheme: Scheme::Https,
            route: Dimension::Value("/a"),
            route_source: RouteSource::Template,
            status: Status(200),
            grpc_status: Some(GrpcStatus::OK),
            error: None,
            host: Some(Dimension::Value("a.example")),
            upstream_cluster: Some(Dimension::Overflow),
        }));
        let mut slot = Slot::open(&key, 0);
        let measurement = Measurement {
            duration_ns: 40_000_000,
            upstream_ns: Some(30_000_000),
            gateway_ns: Some(10_000_000),
            request_bytes: 10,
            response_bytes: 300,
            attempts: 1,
        };
        slot.values.add(&measurement, &[50_000_000]);
        slot
    }

    /// A change of these bytes breaks gateways that are upgraded: it needs a new [`super::super::FORMAT`].
    #[test]
    #[cfg(not(feature = "next-version"))]
    fn the_bytes_of_a_slot() {
        let hex: String = slot().encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "1e0098c800010001040061636d6502002f610900612e6578616d706c650000",
                "0a0180b489130001a90201",
                "0a018087a70e0001c30201",
                "0a0180ade2040001a90301",
                "050aac02010000",
                "020100"
            )
        );
    }

    #[test]
    fn the_additions_of_a_newer_version_stay() {
        let mut newer = slot();
        newer.more_numbers = vec![7, 8];
        newer.rest = b"\x03abc".to_vec();
        newer.start_ns = 9;
        let mut older = Slot::decode(&newer.encode()).unwrap();
        older.values.merge(&slot().values);
        let merged = Slot::decode(&older.encode()).unwrap();
        assert_eq!((merged.more_numbers, &merged.rest[..]), (vec![7, 8], &b"\x03abc"[..]));
        assert_eq!((merged.values.duration.count, merged.values.attempts), (2, 2));
    }

    #[test]
    fn a_damaged_slot_is_unreadable_and_not_zero() {
        let encoded = slot().encode();
        for length in 1..encoded.len().min(40) {
            assert_eq!(Slot::decode(&encoded[..length]), Err(Unreadable), "{length} bytes");
        }
    }
}
