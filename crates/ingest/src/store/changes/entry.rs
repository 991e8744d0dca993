//! The stored form of changes.
//!
//! A version byte, then the entries. Each begins with a byte of flags and, as signed distances to the entry before, its
//! Unix minute, its series and its instance. An entry that moves the state of a stream goes on with the stream (8 bytes), and the
//! distances of its start and its time. Then come the values, as varints: counts and sums, and each sketch and the counts by
//! bound with their length; the flags name those that are not 0.

use super::Place;
use crate::model::{Tally, Timing, Values};
use crate::store::{by_bound, sketch};
use gatelens_model::varint;

const VERSION: u8 = 1;

const MOVES: u8 = 1;
const DURATION: u8 = 1 << 1;
const UPSTREAM: u8 = 1 << 2;
const GATEWAY: u8 = 1 << 3;
const REQUEST_BYTES: u8 = 1 << 4;
const RESPONSE_BYTES: u8 = 1 << 5;
const ATTEMPTS: u8 = 1 << 6;
const BY_BOUND: u8 = 1 << 7;

/// A change.
pub(super) struct Entry<'a> {
    pub(super) place: Place,
    pub(super) moved: Option<Move>,
    pub(super) values: Stored<'a>,
    pub(super) at: ValuesAt,
}

/// Where the values of an entry begin in their row.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValuesAt {
    offset: usize,
    flags: u8,
}

/// The stream whose state a change moves, and the time of the point that does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    /// Unix nanoseconds.
    pub(super) start: i64,
    pub(super) stream: i64,
    /// Unix nanoseconds.
    pub(super) time: i64,
}

/// Values of which the sketches and the counts by bound are in their stored form; an empty one is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stored<'a> {
    /// The count and the sketch of the duration, of the time upstream, and of the gateway's own time.
    pub(crate) timings: [(u64, &'a [u8]); 3],
    /// Of requests and responses.
    pub(crate) bytes: [Tally; 2],
    pub(crate) attempts: Tally,
    pub(crate) by_bound: &'a [u8],
}

/// A row of changes.
pub(super) struct Row {
    pub(super) data: Vec<u8>,
    pub(super) entries: usize,
    pub(super) requests: u64,
    /// The first Unix minute, and the last.
    pub(super) since: i64,
    pub(super) until: i64,
}

/// What the next entry is stored as a distance to.
#[derive(Debug, Clone, Copy)]
struct Last {
    place: Place,
    start: i64,
    time: i64,
}

/// Writes entries.
#[derive(Default)]
pub(super) struct Writer {
    row: Option<Row>,
    last: Last,
}

impl Default for Last {
    fn default() -> Self {
        Self { place: Place { minute: 0, series: 0, instance: 0 }, start: 0, time: 0 }
    }
}

impl Stored<'_> {
    pub(crate) fn read(&self) -> Values {
        let timing = |(count, sketch): (u64, &[u8])| Timing {
            count,
            sketch: if sketch.is_empty() {
                Default::default()
            } else {
                sketch::decode(sketch).unwrap_or_default()
            },
        };
        let [duration, upstream, gateway] = self.timings.map(timing);
        let [request_bytes, response_bytes] = self.bytes;
        let by_bound = by_bound::decode(self.by_bound).unwrap_or_default();
        Values {
            duration,
            upstream,
            gateway,
            request_bytes,
            response_bytes,
            attempts: self.attempts,
            by_bound,
        }
    }
}

impl ValuesAt {
    /// The values in the row that has them.
    pub(super) fn read(self, row: &[u8]) -> Option<Stored<'_>> {
        take_values(&mut row.get(self.offset..)?, self.flags)
    }
}

impl Writer {
    pub(super) fn entries(&self) -> usize {
        self.row.as_ref().map_or(0, |row| row.entries)
    }

    pub(super) fn add(&mut self, place: Place, moved: Option<Move>, values: &Values) {
        let row = self.row.get_or_insert_with(|| Row {
            data: vec![VERSION],
            entries: 0,
            requests: 0,
            since: place.minute,
            until: place.minute,
        });
        row.entries += 1;
        row.requests = row.requests.saturating_add(values.duration.count);
        row.since = row.since.min(place.minute);
        row.until = row.until.max(place.minute);
        let out = &mut row.data;
        let last = std::mem::take(&mut self.last);
        let flag = out.len();
        out.push(if moved.is_some() { MOVES } else { 0 });
        varint::put_signed(out, place.minute.wrapping_sub(last.place.minute));
        varint::put_signed(out, place.series.wrapping_sub(last.place.series));
        varint::put_signed(out, place.instance.wrapping_sub(last.place.instance));
        self.last = Last { place, ..last };
        if let Some(Move { start, stream, time }) = moved {
            out.extend_from_slice(&stream.to_le_bytes());
            varint::put_signed(out, start.wrapping_sub(last.start));
            varint::put_signed(out, time.wrapping_sub(last.time));
            self.last = Last { place, start, time };
        }
        let flags = put_values(out, values);
        if let Some(place) = out.get_mut(flag) {
            *place |= flags;
        }
    }

    /// The entries so far, if there are any. Further ones begin a new row.
    pub(super) fn end(&mut self) -> Option<Row> {
        self.last = Last::default();
        self.row.take()
    }
}

/// Appends values, and returns their flags.
pub(super) fn put_values(out: &mut Vec<u8>, values: &Values) -> u8 {
    let mut flags = 0;
    let timings = [(DURATION, &values.duration), (UPSTREAM, &values.upstream), (GATEWAY, &values.gateway)];
    for (flag, timing) in timings.into_iter().filter(|(_, timing)| **timing != Timing::default()) {
        flags |= flag;
        varint::put(out, timing.count);
        put_with_length(out, |out| sketch::encode_to(out, &timing.sketch));
    }
    let tallies = [
        (REQUEST_BYTES, values.request_bytes),
        (RESPONSE_BYTES, values.response_bytes),
        (ATTEMPTS, values.attempts),
    ];
    for (flag, tally) in tallies.into_iter().filter(|(_, tally)| *tally != Tally::default()) {
        flags |= flag;
        varint::put(out, tally.count);
        varint::put(out, tally.sum);
    }
    if values.by_bound.total() > 0 {
        flags |= BY_BOUND;
        put_with_length(out, |out| by_bound::encode_to(out, &values.by_bound));
    }
    flags
}

fn put_with_length(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    // Most are shorter than 128 bytes, whose length takes one byte.
    out.push(0);
    put(out);
    let length = out.len() - begin - 1;
    match out.get_mut(begin) {
        Some(place) if length < 0x80 => *place = length as u8,
        _ => {
            let mut long = Vec::with_capacity(3);
            varint::put(&mut long, length as u64);
            out.splice(begin..=begin, long);
        }
    }
}

/// Takes values off the front that [`put_values`] wrote.
pub(super) fn take_values<'a>(input: &mut &'a [u8], flags: u8) -> Option<Stored<'a>> {
    let mut values = Stored::default();
    for (flag, timing) in [DURATION, UPSTREAM, GATEWAY].into_iter().zip(&mut values.timings) {
        if flags & flag != 0 {
            *timing = (varint::take(input)?, take_with_length(input)?);
        }
    }
    let [request_bytes, response_bytes] = &mut values.bytes;
    let tallies =
        [(REQUEST_BYTES, request_bytes), (RESPONSE_BYTES, response_bytes), (ATTEMPTS, &mut values.attempts)];
    for (flag, tally) in tallies {
        if flags & flag != 0 {
            *tally = Tally { count: varint::take(input)?, sum: varint::take(input)? };
        }
    }
    if flags & BY_BOUND != 0 {
        values.by_bound = take_with_length(input)?;
    }
    Some(values)
}

fn take_with_length<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varint::take(input)?).ok()?;
    let (taken, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(taken)
}

/// The entries of a row, up to the first that cannot be read.
pub(super) fn read(data: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let rest = match data.split_first() {
        Some((&VERSION, rest)) => rest,
        _ => &[],
    };
    Reader { length: data.len(), rest, last: Last::default() }
}

struct Reader<'a> {
    /// Of the row.
    length: usize,
    rest: &'a [u8],
    last: Last,
}

impl<'a> Iterator for Reader<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let mut input = self.rest;
        let (&flags, after) = input.split_first()?;
        input = after;
        let mut next = |last: i64| Some(last.wrapping_add(varint::take_signed(&mut input)?));
        let Place { minute, series, instance } = self.last.place;
        let place = Place { minute: next(minute)?, series: next(series)?, instance: next(instance)? };
        let mut last = Last { place, ..self.last };
        let mut moved = None;
        if flags & MOVES != 0 {
            let (stream, after) = input.split_first_chunk()?;
            let stream = i64::from_le_bytes(*stream);
            input = after;
            let mut next = |last: i64| Some(last.wrapping_add(varint::take_signed(&mut input)?));
            (last.start, last.time) = (next(last.start)?, next(last.time)?);
            moved = Some(Move { start: last.start, stream, time: last.time });
        }
        let at = ValuesAt { offset: self.length - input.len(), flags };
        let values = take_values(&mut input, flags)?;
        (self.rest, self.last) = (input, last);
        Some(Entry { place, moved, values, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ByBound;
    use gatelens_model::sketch::Sketch;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Values> {
        let timing = prop::collection::vec(any::<u64>(), 0..80).prop_map(|durations| {
            let mut sketch = Sketch::default();
            durations.iter().for_each(|duration| sketch.insert(duration >> 4));
            Timing { count: sketch.count, sketch }
        });
        let timings = [timing.clone().boxed(), timing.clone().boxed(), timing.boxed()];
        let tally = any::<(u64, u64)>().prop_map(|(count, sum)| Tally { count: count >> 40, sum });
        let by_bound =
            (any::<bool>(), prop::collection::vec(0u64..1 << 40, 12)).prop_map(|(is_default, counts)| {
                let bounds = [
                    0.001,
                    0.002,
                    0.03,
                    0.1,
                    0.2,
                    0.7,
                    1.0,
                    2.0,
                    3.0,
                    4.0,
                    if is_default { 5.0 } else { 9.5 },
                ];
                if counts.iter().sum::<u64>() == 0 {
                    ByBound::default()
                } else {
                    ByBound::at_seconds(&bounds, counts)
                }
            });
        (timings, [tally.clone().boxed(), tally.clone().boxed(), tally.boxed()], by_bound).prop_map(
            |([duration, upstream, gateway], [request_bytes, response_bytes, attempts], by_bound)| Values {
                duration,
                upstream,
                gateway,
                request_bytes,
                response_bytes,
                attempts,
                by_bound,
            },
        )
    }

    fn entry() -> impl Strategy<Value = (Place, Option<Move>, Values)> {
        let place = any::<(i64, i64, i64)>().prop_map(|(minute, series, instance)| Place {
            minute,
            series,
            instance,
        });
        let moved = any::<(i64, i64, i64)>().prop_map(|(start, stream, time)| Move { start, stream, time });
        (place, prop::option::of(moved), values())
    }

    proptest! {
        #[test]
        fn changes_come_back(entries in prop::collection::vec(entry(), 1..8)) {
            let mut writer = Writer::default();
            entries.iter().for_each(|(place, moved, values)| writer.add(*place, *moved, values));
            let row = writer.end().unwrap();
            prop_assert!(writer.end().is_none());
            let read: Vec<_> = read(&row.data)
                .map(|entry| {
                    assert_eq!(entry.at.read(&row.data), Some(entry.values));
                    (entry.place, entry.moved, entry.values.read())
                })
                .collect();
            prop_assert_eq!(row.entries, read.len());
            let minutes = || read.iter().map(|(place, ..)| place.minute);
            prop_assert_eq!((Some(row.since), Some(row.until)), (minutes().min(), minutes().max()));
            prop_assert_eq!(read, entries);
        }

        #[test]
        fn garbage_is_survived(mut bytes in any::<Vec<u8>>()) {
            bytes.insert(0, VERSION);
            read(&bytes).for_each(|entry| drop(entry.values.read()));
        }
    }
}
