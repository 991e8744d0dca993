//! What is counted: series and their values.

use hashbrown::{Equivalent, HashMap};

use crate::outcome::{ErrorType, Method, Status};
use crate::sketch::Sketch;
use crate::varint;

/// Series kept beyond the cap for what exceeds it, one per status.
pub const OVERFLOW_SERIES: u32 = 64;

/// The identity of a series, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series<'a> {
    /// An ordinary one.
    Exact {
        /// Who called.
        consumer: &'a str,
        /// With which method.
        method: Method,
        /// Which route.
        route: &'a str,
        /// How it ended.
        status: Status,
        /// Why, if it is an error.
        error: Option<ErrorType>,
    },
    /// What exceeds the cap; `None` when even the statuses are too many.
    Overflow(Option<Status>),
}

/// The identity of a series as bytes: what maps and shared data hold.
///
/// Layout: `0`, status (two bytes), method, error, length of the consumer (two bytes), consumer, route; or `1`, status;
/// or `2`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeriesKey(Vec<u8>);

impl Equivalent<SeriesKey> for [u8] {
    fn equivalent(&self, key: &SeriesKey) -> bool {
        self == key.0
    }
}

impl SeriesKey {
    /// Writes a series into this key, whose memory is reused.
    pub fn set(&mut self, series: Series<'_>) {
        self.0.clear();
        match series {
            Series::Exact { consumer, method, route, status, error } => {
                self.0.push(0);
                self.0.extend(status.0.to_le_bytes());
                self.0.push(method.to_byte());
                self.0.push(ErrorType::to_byte(error));
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

    /// Reads the series back; `None` if the bytes are none of ours.
    pub fn series(&self) -> Option<Series<'_>> {
        let (kind, rest) = self.0.split_first()?;
        match kind {
            0 => {
                let (status, rest) = rest.split_first_chunk::<2>()?;
                let (&[method, error], rest) = rest.split_first_chunk::<2>()?;
                let (length, rest) = rest.split_first_chunk::<2>()?;
                let (consumer, route) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
                Some(Series::Exact {
                    consumer: std::str::from_utf8(consumer).ok()?,
                    method: Method::from_byte(method),
                    route: std::str::from_utf8(route).ok()?,
                    status: Status(u16::from_le_bytes(*status)),
                    error: ErrorType::from_byte(error),
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

    /// Whether this is one of the series for what exceeds the cap.
    pub fn is_overflow(&self) -> bool {
        self.0.first() != Some(&0)
    }
}

/// What one exchange adds to its series.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measurement {
    /// Total duration, nanoseconds.
    pub duration_ns: u64,
    /// What the upstream took of it; `None` when none answered.
    pub upstream_ns: Option<u64>,
    /// Body bytes of the request.
    pub request_bytes: u64,
    /// Body bytes of the response.
    pub response_bytes: u64,
}

/// The values of a series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    /// Total duration; its count is the number of requests.
    pub duration: Sketch,
    /// The upstream's share.
    pub upstream: Sketch,
    /// The gateway's share.
    pub gateway: Sketch,
    /// Body bytes of requests.
    pub request_bytes: u64,
    /// Body bytes of responses.
    pub response_bytes: u64,
    /// Durations up to each configured bound and above the bound before; one more for the rest.
    pub by_bound: Vec<u64>,
}

impl Values {
    /// Adds one exchange. `bounds_ns` are the configured bounds, rising.
    pub fn add(&mut self, measurement: &Measurement, bounds_ns: &[u64]) {
        self.duration.insert(measurement.duration_ns);
        if let Some(upstream_ns) = measurement.upstream_ns {
            self.upstream.insert(upstream_ns);
            self.gateway.insert(measurement.duration_ns.saturating_sub(upstream_ns));
        } else {
            self.gateway.insert(measurement.duration_ns);
        }
        self.request_bytes = self.request_bytes.saturating_add(measurement.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(measurement.response_bytes);
        self.by_bound.resize(bounds_ns.len().saturating_add(1), 0);
        let position = bounds_ns.partition_point(|bound| *bound < measurement.duration_ns);
        if let Some(count) = self.by_bound.get_mut(position) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds all that other values hold.
    pub fn merge(&mut self, other: &Values) {
        self.duration.merge(&other.duration);
        self.upstream.merge(&other.upstream);
        self.gateway.merge(&other.gateway);
        self.request_bytes = self.request_bytes.saturating_add(other.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(other.response_bytes);
        let length = self.by_bound.len().max(other.by_bound.len());
        self.by_bound.resize(length, 0);
        for (mine, theirs) in self.by_bound.iter_mut().zip(&other.by_bound) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.duration.clear();
        self.upstream.clear();
        self.gateway.clear();
        (self.request_bytes, self.response_bytes) = (0, 0);
        self.by_bound.clear();
    }

    /// Appends the encoding that shared data holds: the three sketches, both byte counts, then the number of bounds and
    /// their counts.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.duration.encode(out);
        self.upstream.encode(out);
        self.gateway.encode(out);
        varint::put(out, self.request_bytes);
        varint::put(out, self.response_bytes);
        varint::put(out, self.by_bound.len() as u64);
        self.by_bound.iter().for_each(|count| varint::put(out, *count));
    }

    /// Reads what [`Values::encode`] wrote; `None` if it is malformed.
    pub fn decode(mut input: &[u8]) -> Option<Self> {
        let input = &mut input;
        let mut values = Self {
            duration: Sketch::decode(input)?,
            upstream: Sketch::decode(input)?,
            gateway: Sketch::decode(input)?,
            request_bytes: varint::take(input)?,
            response_bytes: varint::take(input)?,
            by_bound: Vec::new(),
        };
        for _ in 0..varint::take(input)? {
            values.by_bound.push(varint::take(input)?);
        }
        input.is_empty().then_some(values)
    }
}

/// A worker's own counts since its last merge into shared data.
///
/// It holds every series that this worker has seen, so that a request in the steady state allocates nothing; the number
/// is bounded by the cap.
#[derive(Debug, Default)]
pub struct Pending {
    known: HashMap<SeriesKey, usize>,
    entries: Vec<Entry>,
    changed: Vec<usize>,
    scratch: SeriesKey,
    overflow: u32,
}

/// A series known to this worker.
#[derive(Debug, Default)]
pub struct Entry {
    /// Its identity.
    pub key: SeriesKey,
    /// What was counted since the last merge.
    pub values: Values,
    /// Its place in shared data, once it has one.
    pub slot: Option<u32>,
    /// The place of the overflow series that counts for it, when shared data had no room.
    pub spilled: bool,
}

impl Pending {
    /// Counts one exchange; beyond `max_series` in an overflow series.
    pub fn add(&mut self, series: Series<'_>, measurement: &Measurement, bounds_ns: &[u64], max_series: u32) {
        let position = self.position(series, max_series);
        self.with_changed(position, |values| values.add(measurement, bounds_ns));
    }

    /// The series that changed since the last merge, taken for one.
    pub fn take_changed(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.changed)
    }

    /// A series by its position.
    pub fn entry(&mut self, position: usize) -> Option<&mut Entry> {
        self.entries.get_mut(position)
    }

    /// Puts a series back whose merge did not succeed.
    pub fn put_back(&mut self, position: usize) {
        self.changed.push(position);
    }

    /// Moves what a series has counted into the overflow: shared data had no room for it. From then on it counts there.
    pub fn spill(&mut self, position: usize) {
        let Some(entry) = self.entries.get_mut(position) else { return };
        entry.spilled = true;
        let values = std::mem::take(&mut entry.values);
        let status = match entry.key.series() {
            Some(Series::Exact { status, .. }) => Some(status),
            _ => None,
        };
        let overflow = self.overflow_position(status);
        self.with_changed(overflow, |present| present.merge(&values));
    }

    /// Learns the place of a series that another worker may have made.
    pub fn learn(&mut self, key: SeriesKey, slot: u32) {
        match self.known.get(&key) {
            Some(position) => {
                if let Some(entry) = self.entries.get_mut(*position) {
                    (entry.slot, entry.spilled) = (Some(slot), false);
                }
            }
            None => drop(self.insert(key, Some(slot))),
        }
    }

    /// Series known, overflow included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no series is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn position(&mut self, series: Series<'_>, max_series: u32) -> usize {
        self.scratch.set(series);
        if let Some(position) = self.known.get(self.scratch.as_bytes()) {
            match self.entries.get(*position) {
                Some(entry) if !entry.spilled => return *position,
                _ => {}
            }
        } else if self.entries.len() < (max_series.saturating_add(self.overflow) as usize) {
            return self.insert(self.scratch.clone(), None);
        }
        match series {
            Series::Exact { status, .. } => self.overflow_position(Some(status)),
            Series::Overflow(status) => self.overflow_position(status),
        }
    }

    /// The overflow series of a status; beyond [`OVERFLOW_SERIES`] of them, the one without.
    fn overflow_position(&mut self, status: Option<Status>) -> usize {
        for status in [status, None] {
            self.scratch.set(Series::Overflow(status));
            if let Some(position) = self.known.get(self.scratch.as_bytes()) {
                return *position;
            }
            if status.is_none() || self.overflow < OVERFLOW_SERIES.saturating_sub(1) {
                return self.insert(self.scratch.clone(), None);
            }
        }
        0
    }

    fn insert(&mut self, key: SeriesKey, slot: Option<u32>) -> usize {
        let position = self.entries.len();
        if key.is_overflow() {
            self.overflow = self.overflow.saturating_add(1);
        }
        self.known.insert(key.clone(), position);
        self.entries.push(Entry { key, slot, ..Entry::default() });
        position
    }

    fn with_changed(&mut self, position: usize, change: impl FnOnce(&mut Values)) {
        let Some(entry) = self.entries.get_mut(position) else { return };
        if entry.values.duration.count == 0 {
            self.changed.push(position);
        }
        change(&mut entry.values);
    }
}
