//! What is counted: series and their values.

use hashbrown::{Equivalent, HashMap, HashSet};

use crate::outcome::{ErrorType, Method, Status};
use gatelens_model::sketch::Sketch;
use gatelens_model::varint;

/// Series kept beyond the cap for what exceeds it, one per status and one for all further statuses.
pub const OVERFLOW_SERIES: u32 = 64;

/// A dimension of a series whose values a client can make up.
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
        /// Who called.
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

    /// Reads the series back; `None` if the bytes are none of ours.
    pub fn series(&self) -> Option<Series<'_>> {
        let (kind, rest) = self.0.split_first()?;
        match kind {
            0 => {
                let (&[flags, low, high, method, error], rest) = rest.split_first_chunk::<5>()?;
                let (length, rest) = rest.split_first_chunk::<2>()?;
                let (consumer, route) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
                Some(Series::Exact {
                    consumer: Dimension::new(std::str::from_utf8(consumer).ok()?, flags, CONSUMER_OVERFLOWS),
                    method: Method::from_byte(method),
                    route: Dimension::new(std::str::from_utf8(route).ok()?, flags, ROUTE_OVERFLOWS),
                    status: Status(u16::from_le_bytes([low, high])),
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
}

/// How many of each there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Series in all, but for the overflow series.
    pub series: u32,
    /// Consumers told apart.
    pub consumers: u32,
    /// Routes told apart.
    pub routes: u32,
}

/// How many of each there are.
#[derive(Clone, Debug, Default)]
pub struct Census {
    series: u32,
    overflow: u32,
    consumers: HashSet<Box<str>>,
    routes: HashSet<Box<str>>,
}

impl Census {
    /// Takes a series in.
    pub fn add(&mut self, series: Series<'_>) {
        let insert = |set: &mut HashSet<Box<str>>, dimension: Dimension<'_>| {
            if let Dimension::Value(text) = dimension {
                set.get_or_insert_with(text, |text| text.into());
            }
        };
        match series {
            Series::Exact { consumer, route, .. } => {
                self.series = self.series.saturating_add(1);
                insert(&mut self.consumers, consumer);
                insert(&mut self.routes, route);
            }
            Series::Overflow(_) => self.overflow = self.overflow.saturating_add(1),
        }
    }

    /// Series without the overflow series.
    pub fn series(&self) -> u32 {
        self.series
    }

    /// Whether there is room for one more series beside those of two censuses.
    ///
    /// # Errors
    /// The series that counts for it instead: with the consumer given up, then the route, then everything but the
    /// status, then everything. For that last one there is always room.
    pub fn room_for<'a>(&self, and: &Census, caps: &Caps, series: Series<'a>) -> Result<(), Series<'a>> {
        let is_full = |sets: [&HashSet<Box<str>>; 2], dimension: Dimension<'_>, cap: u32| match dimension {
            Dimension::Value(text) => {
                !sets.iter().any(|set| set.contains(text))
                    && sets.iter().map(|set| set.len()).sum::<usize>() >= cap as usize
            }
            Dimension::Overflow => false,
        };
        match series {
            Series::Exact { consumer, method, route, status, error } => {
                if is_full([&self.consumers, &and.consumers], consumer, caps.consumers) {
                    Err(Series::Exact { consumer: Dimension::Overflow, method, route, status, error })
                } else if is_full([&self.routes, &and.routes], route, caps.routes) {
                    Err(Series::Exact { consumer, method, route: Dimension::Overflow, status, error })
                } else if self.series.saturating_add(and.series) >= caps.series {
                    Err(Series::Overflow(Some(status)))
                } else {
                    Ok(())
                }
            }
            Series::Overflow(Some(_))
                if self.overflow.saturating_add(and.overflow) >= OVERFLOW_SERIES.saturating_sub(1) =>
            {
                Err(Series::Overflow(None))
            }
            Series::Overflow(_) => Ok(()),
        }
    }
}

/// What one exchange adds to its series.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measurement {
    /// Total duration, nanoseconds.
    pub duration_ns: u64,
    /// The upstream's share of it: from the request headers sent to it to the last byte of its response, so the transfer
    /// of bodies and a slow client are in it. `None` when its response did not end regularly.
    pub upstream_ns: Option<u64>,
    /// The gateway's share of it, see [`crate::overhead`]; `None` when it cannot be known.
    pub gateway_ns: Option<u64>,
    /// Body bytes of the request.
    pub request_bytes: u64,
    /// Body bytes of the response.
    pub response_bytes: u64,
    /// How often the request was sent to an upstream.
    pub attempts: u64,
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
    /// How often requests were sent to an upstream, retries included.
    pub attempts: u64,
    /// Durations up to each configured bound and above the bound before; one more for the rest.
    pub by_bound: Vec<u64>,
}

impl Values {
    /// Adds one exchange. `bounds_ns` are the configured bounds, rising.
    pub fn add(&mut self, measurement: &Measurement, bounds_ns: &[u64]) {
        self.duration.insert(measurement.duration_ns);
        measurement.upstream_ns.into_iter().for_each(|time_ns| self.upstream.insert(time_ns));
        measurement.gateway_ns.into_iter().for_each(|time_ns| self.gateway.insert(time_ns));
        self.request_bytes = self.request_bytes.saturating_add(measurement.request_bytes);
        self.response_bytes = self.response_bytes.saturating_add(measurement.response_bytes);
        self.attempts = self.attempts.saturating_add(measurement.attempts);
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
        self.attempts = self.attempts.saturating_add(other.attempts);
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
        (self.request_bytes, self.response_bytes, self.attempts) = (0, 0, 0);
        self.by_bound.clear();
    }

    /// Appends the encoding that shared data holds: the three sketches, both byte counts, the attempts, then the number of bounds and
    /// their counts.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.duration.encode(out);
        self.upstream.encode(out);
        self.gateway.encode(out);
        varint::put(out, self.request_bytes);
        varint::put(out, self.response_bytes);
        varint::put(out, self.attempts);
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
            attempts: varint::take(input)?,
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
/// is bounded by the caps.
#[derive(Debug)]
pub struct Pending {
    caps: Caps,
    known: HashMap<SeriesKey, usize>,
    entries: Vec<Entry>,
    /// Of all that is known here.
    seen: Census,
    /// Of what has a place in shared data.
    placed: Census,
    changed: Vec<usize>,
    scratch: SeriesKey,
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
    /// The position of the series that counts for it, when shared data had no room.
    redirect: Option<usize>,
}

impl Pending {
    /// Nothing counted yet.
    pub fn new(caps: Caps) -> Self {
        Self {
            caps,
            known: HashMap::new(),
            entries: Vec::new(),
            seen: Census::default(),
            placed: Census::default(),
            changed: Vec::new(),
            scratch: SeriesKey::default(),
        }
    }

    /// Follows changed caps. Series that exist stay.
    pub fn set_caps(&mut self, caps: Caps) {
        self.caps = caps;
    }

    /// Counts one exchange; beyond a cap in an overflow series.
    pub fn add(&mut self, series: Series<'_>, measurement: &Measurement, bounds_ns: &[u64]) {
        let position = self.position(series);
        self.change(position, |values| values.add(measurement, bounds_ns));
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

    /// Of the series that have a place in shared data.
    pub fn placed(&self) -> &Census {
        &self.placed
    }

    /// Those of the series that are still to find a place.
    pub fn without_place(&self, positions: &[usize]) -> Vec<usize> {
        let homeless = |position: &usize| {
            self.entries.get(*position).is_some_and(|entry| entry.slot.is_none() && entry.redirect.is_none())
        };
        positions.iter().copied().filter(homeless).collect()
    }

    /// Whether shared data has room for a series beside what `added` holds; if not, another counts for it from now on.
    pub fn place_or_redirect(&mut self, position: usize, added: &mut Census) -> Option<SeriesKey> {
        let key = self.entries.get(position)?.key.clone();
        let series = key.series()?;
        match self.placed.room_for(added, &self.caps, series) {
            Ok(()) => {
                added.add(series);
                Some(key)
            }
            Err(instead) => {
                let target = self.position(instead);
                let entry = self.entries.get_mut(position)?;
                let values = std::mem::take(&mut entry.values);
                entry.redirect = Some(target);
                self.change(target, |present| present.merge(&values));
                None
            }
        }
    }

    /// Learns the place of a series that this or another worker has made.
    pub fn learn(&mut self, key: SeriesKey, slot: u32) {
        if let Some(series) = key.series() {
            self.placed.add(series);
        }
        let position = match self.known.get(&key) {
            Some(position) => *position,
            None => self.insert(key),
        };
        if let Some(entry) = self.entries.get_mut(position) {
            (entry.slot, entry.redirect) = (Some(slot), None);
        }
    }

    /// Where a series is counted: its own entry, that of the series which counts for it, or a new one.
    fn position(&mut self, series: Series<'_>) -> usize {
        let mut series = series;
        loop {
            self.scratch.set(series);
            if let Some(position) = self.known.get(self.scratch.as_bytes()) {
                return self.follow(*position);
            }
            match self.seen.room_for(&Census::default(), &self.caps, series) {
                Ok(()) => return self.insert(self.scratch.clone()),
                Err(instead) => series = instead,
            }
        }
    }

    /// A redirect leads to a coarser series each time, so there are at most four in a row.
    fn follow(&self, mut position: usize) -> usize {
        while let Some(target) = self.entries.get(position).and_then(|entry| entry.redirect) {
            position = target;
        }
        position
    }

    fn insert(&mut self, key: SeriesKey) -> usize {
        let position = self.entries.len();
        if let Some(series) = key.series() {
            self.seen.add(series);
        }
        self.known.insert(key.clone(), position);
        self.entries.push(Entry { key, ..Entry::default() });
        position
    }

    fn change(&mut self, position: usize, change: impl FnOnce(&mut Values)) {
        let Some(entry) = self.entries.get_mut(position) else { return };
        if entry.values.duration.count == 0 {
            self.changed.push(position);
        }
        change(&mut entry.values);
    }
}
