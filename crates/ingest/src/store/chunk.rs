//! The requests of one batch as one blob of columns.
//!
//! A version byte, the number of bytes of noise and of columns as varints, the noise with its CRC-32 where there is any, and the
//! columns under zstd with its checksum. Noise is what no compressor makes shorter, such as identifiers. Each
//! column is its number, its length, how many bytes of the noise are its own, and its content, so that a reader passes
//! over columns that it does not know and takes those that are missing as empty. The first is the number of requests, the second
//! their times: the first time, and the distance of each to the one before, as [`numbers`]. The others are [`numbers`]
//! or [`texts`].

mod first;
mod numbers;
mod rows;
mod shape;
mod texts;

use crate::model::request::{Access, FIELDS, Field, Shown};
use crate::model::{Columns, RequestEvent};
use gatelens_model::varint;
pub(crate) use rows::{FieldTest, Needs};
use std::cell::RefCell;
use std::io;
use texts::Kind;

const VERSION: u8 = 2;
const ZSTD_LEVEL: i32 = 3;
/// A larger chunk is damaged, and so is one whose texts, each as often as it occurs, are larger: a batch is smaller than
/// the largest body.
const MAX_BYTES: usize = 128 << 20;
/// Requests of a chunk: a batch is divided into far smaller parts.
const MAX_REQUESTS: usize = 1 << 15;

const COUNT: u64 = 0;
const TIME: u64 = 1;
const ROUTE: u64 = 5;
const PATH: u64 = 7;
const CLIENT_ADDRESS: u64 = 9;
const DURATION: u64 = 36;
/// Kept as the distance to the duration, which is nearly the same.
const UPSTREAM: u64 = 37;

/// Packs requests; their order is kept.
///
/// # Errors
/// When the compressor fails, which it does for want of memory only, and for more requests than a chunk may have.
pub(crate) fn encode(requests: &Columns) -> io::Result<Vec<u8>> {
    if requests.len() > MAX_REQUESTS {
        return Err(io::Error::other("there are more requests than a chunk may have"));
    }
    let (mut columns, mut apart, mut column) = (Vec::new(), Vec::new(), Vec::new());
    varint::put(&mut column, requests.len() as u64);
    put_column(&mut columns, COUNT, &mut column, 0);
    let times = requests.times();
    if let Some(first) = times.first() {
        varint::put_signed(&mut column, *first);
    }
    let distances = times.windows(2).map(|pair| Some(zigzag(pair[1].wrapping_sub(pair[0]))));
    numbers::put(&mut column, &mut apart, distances);
    put_column(&mut columns, TIME, &mut column, apart.len());
    let place = |number| FIELDS.iter().position(|field| field.column == number);
    let find = |number| requests.field(place(number)?);
    let (routes, durations) = (find(ROUTE), find(DURATION));
    for (place, field) in FIELDS.iter().enumerate() {
        let Some(values) = requests.field(place) else { continue };
        let before = apart.len();
        match field.access {
            Access::Text(..) => {
                let kind = match (field.column, routes) {
                    (PATH, Some(routes)) => Kind::Paths(routes),
                    (CLIENT_ADDRESS, _) => Kind::Addresses,
                    _ if matches!(field.shown, Shown::Hex) => Kind::Bytes,
                    _ => Kind::Text,
                };
                texts::put(&mut column, &mut apart, values, requests.len(), kind);
            }
            Access::Number(..) => {
                let durations = durations.filter(|_| field.column == UPSTREAM);
                let number = |row| {
                    let duration = durations.and_then(|durations| durations.number(row));
                    Some(relative(values.number(row)?, duration))
                };
                numbers::put(&mut column, &mut apart, (0..requests.len()).map(number));
            }
        }
        put_column(&mut columns, field.column, &mut column, apart.len() - before);
    }
    let mut out = vec![VERSION];
    varint::put(&mut out, apart.len() as u64);
    varint::put(&mut out, columns.len() as u64);
    if !apart.is_empty() {
        out.extend_from_slice(&crc32fast::hash(&apart).to_le_bytes());
        out.append(&mut apart);
    }
    compress(&columns, &mut out)?;
    Ok(out)
}

/// Unpacks what [`encode`] packed; `None` when the blob is damaged or of a later version.
pub(crate) fn decode(blob: &[u8]) -> Option<Vec<RequestEvent>> {
    open(blob)?.events(|_| true)
}

/// Unpacks the columns of what [`encode`] packed, of which requests are made later; `None` when the blob is damaged or of a
/// later version.
pub(crate) fn open(blob: &[u8]) -> Option<Opened<'_>> {
    match blob.split_first()? {
        (&VERSION, rest) => open_columns(rest),
        (&first::VERSION, rest) => Some(Opened::First(rest)),
        _ => None,
    }
}

/// A chunk, before it becomes requests.
pub(crate) enum Opened<'a> {
    /// Of version 1, as it is stored after its version.
    First(&'a [u8]),
    Columns {
        columns: Vec<u8>,
        /// Noise.
        apart: &'a [u8],
        /// Of the requests.
        count: usize,
    },
}

/// A column as it lies in a chunk.
struct Part<'a> {
    number: u64,
    content: &'a [u8],
    /// Its share of the bytes that are kept apart.
    noise: &'a [u8],
}

/// The columns that are left.
#[derive(Clone)]
struct Parts<'a> {
    columns: &'a [u8],
    apart: &'a [u8],
}

impl Opened<'_> {
    /// The requests with their times and the fields of these names. Of the others, only those that it takes to read these
    /// have values. `None` when the chunk is damaged.
    pub(crate) fn events(&self, wanted: impl Fn(&str) -> bool) -> Option<Vec<RequestEvent>> {
        match self {
            Self::First(rest) => first::decode(rest, wanted),
            Self::Columns { columns, apart, count } => {
                decode_columns(Parts { columns, apart }, *count, wanted)
            }
        }
    }
}

impl<'a> Parts<'a> {
    /// The next column; `Some(None)` at the end.
    fn next(&mut self) -> Option<Option<Part<'a>>> {
        if self.columns.is_empty() {
            return Some(None);
        }
        let number = varint::take(&mut self.columns)?;
        let (length, noise) = (varint::take(&mut self.columns)?, varint::take(&mut self.columns)?);
        let content = take_slice(&mut self.columns, length)?;
        Some(Some(Part { number, content, noise: take_slice(&mut self.apart, noise)? }))
    }
}

fn open_columns(mut rest: &[u8]) -> Option<Opened<'_>> {
    let (apart_len, len) = (varint::take(&mut rest)?, varint::take(&mut rest)?);
    let len = usize::try_from(len).ok().filter(|len| *len <= MAX_BYTES)?;
    let mut apart: &[u8] = &[];
    if apart_len > 0 {
        let sum = u32::from_le_bytes(take_slice(&mut rest, 4)?.try_into().ok()?);
        apart = take_slice(&mut rest, apart_len)?;
        if crc32fast::hash(apart) != sum {
            return None;
        }
    }
    let columns = decompress(rest, len)?;
    let mut parts = Parts { columns: &columns, apart };
    let Part { number: COUNT, content: mut head, .. } = parts.next()?? else { return None };
    let count = usize::try_from(varint::take(&mut head)?).ok().filter(|count| *count <= MAX_REQUESTS)?;
    Some(Opened::Columns { columns, apart, count })
}

fn decode_columns(
    mut parts: Parts<'_>,
    count: usize,
    wanted: impl Fn(&str) -> bool,
) -> Option<Vec<RequestEvent>> {
    let Part { number: COUNT, .. } = parts.next()?? else { return None };
    let mut events = vec![RequestEvent::default(); count];
    let Part { number: TIME, content, noise } = parts.next()?? else { return None };
    take_times(content, noise, &mut events)?;
    let mut left = MAX_BYTES;
    while let Some(Part { number, mut content, mut noise }) = parts.next()? {
        let known = FIELDS.iter().find(|field| field.column == number);
        let needed = |field: &&Field| match field.column {
            // A path may be the difference to the route, and a time upstream that to the duration.
            ROUTE => wanted(field.name) || wanted("path"),
            DURATION => wanted(field.name) || wanted("upstream_ms"),
            _ => wanted(field.name),
        };
        let Some(field) = known.filter(needed) else { continue };
        match field.access {
            Access::Text(_, set) => {
                // The route has come before the path.
                let routes: Vec<String> = match number {
                    PATH => events.iter().map(|event| event.route.clone()).collect(),
                    _ => Vec::new(),
                };
                let route = |row: usize| routes.get(row).map_or(&[][..], |route| route.as_bytes());
                texts::take(content, &mut noise, count, &mut left, route, |row, text| {
                    if let Some(event) = events.get_mut(row) {
                        set(event, text);
                    }
                })?;
            }
            Access::Number(_, set) => {
                let numbers = numbers::take(&mut content, &mut noise, count)?;
                for (event, number) in events.iter_mut().zip(numbers) {
                    let duration = event.duration_ns.filter(|_| field.column == UPSTREAM);
                    if let Some(number) = number {
                        set(event, absolute(number, duration));
                    }
                }
            }
        }
    }
    Some(events)
}

/// Appends a column, and empties it. `noise` is its share of the bytes that are kept apart.
fn put_column(out: &mut Vec<u8>, number: u64, column: &mut Vec<u8>, noise: usize) {
    varint::put(out, number);
    varint::put(out, column.len() as u64);
    varint::put(out, noise as u64);
    out.append(column);
}

fn take_times(mut column: &[u8], mut noise: &[u8], events: &mut [RequestEvent]) -> Option<()> {
    let Some((first, others)) = events.split_first_mut() else { return Some(()) };
    first.time = varint::take_signed(&mut column)?;
    let mut last = first.time;
    let distances = numbers::take(&mut column, &mut noise, others.len())?;
    for (event, distance) in others.iter_mut().zip(distances) {
        last = last.wrapping_add(unzigzag(distance?));
        event.time = last;
    }
    Some(())
}

/// A number as its distance to the duration of its request, where that is known.
fn relative(number: u64, duration: Option<u64>) -> u64 {
    duration.map_or(number, |duration| zigzag(duration.wrapping_sub(number) as i64))
}

/// The number that [`relative`] was given.
fn absolute(number: u64, duration: Option<u64>) -> u64 {
    duration.map_or(number, |duration| duration.wrapping_sub(unzigzag(number) as u64))
}

/// Small absolute values become small numbers.
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ ((value & 1) as i64).wrapping_neg()
}

/// Takes so many bytes off the front.
fn take_slice<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (slice, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    Some(slice)
}

thread_local! {
    // Making one takes as long as compressing some hundred requests.
    static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Appends a compressed frame.
fn compress(columns: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let compressor = match kept {
            Some(compressor) => compressor,
            None => {
                let mut new = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                // Reading then finds every changed byte; a frame of before is read without it.
                new.include_checksum(true)?;
                kept.insert(new)
            }
        };
        out.append(&mut compressor.compress(columns)?);
        Ok(())
    })
}

/// Unpacks a frame of so many bytes.
fn decompress(frame: &[u8], len: usize) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            None => kept.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        decompressor.decompress(frame, len).ok().filter(|columns| columns.len() == len)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(events: &[RequestEvent]) -> Vec<u8> {
        encode(&Columns::of(events)).unwrap()
    }

    fn some_text() -> impl Strategy<Value = Option<String>> {
        prop::option::of(prop_oneof!["[a-c]{0,2}", "\\PC{0,20}"])
    }

    /// An event with some of its fields: every field of the table takes part.
    fn some_event() -> impl Strategy<Value = RequestEvent> {
        let texts = prop::collection::vec(some_text(), FIELDS.len());
        let numbers = prop::collection::vec(prop::option::of(0..u64::MAX), FIELDS.len());
        (any::<i64>(), texts, numbers).prop_map(|(time, texts, numbers)| {
            let mut event = RequestEvent { time, ..RequestEvent::default() };
            for (field, (text, number)) in FIELDS.iter().zip(texts.into_iter().zip(numbers)) {
                match (&field.access, text, number) {
                    (Access::Text(_, set), Some(text), _) => set(&mut event, text.into_bytes()),
                    (Access::Number(_, set), _, Some(number)) => set(&mut event, number),
                    _ => {}
                }
            }
            event
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn requests_come_back(events in prop::collection::vec(some_event(), 0..40)) {
            prop_assert_eq!(decode(&packed(&events)), Some(events));
        }

        #[test]
        fn damage_is_noticed_or_read_but_never_fatal(events in prop::collection::vec(some_event(), 1..10), at: prop::sample::Index, byte: u8) {
            let mut blob = packed(&events);
            let at = at.index(blob.len());
            blob[at] = byte;
            let _ = decode(&blob);
        }
    }

    #[test]
    fn a_body_that_repeats_is_kept_once() {
        // The compressor alone would find the repetition, too, but not over so long a distance.
        let mut state = 1u64;
        let random = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'0' + (state >> 58) as u8)
        });
        let event =
            RequestEvent { request_body: Some(random.take(4 << 20).collect()), ..RequestEvent::default() };
        let bodies = |number| vec![event.clone(); number];
        let (one, many) = (packed(&bodies(1)), packed(&bodies(10)));
        assert!(many.len() < one.len() + 500, "{} and {} bytes", one.len(), many.len());
        assert_eq!(decode(&many), Some(bodies(10)));
    }

    #[test]
    fn a_damaged_chunk_does_not_unfold_without_end() {
        let event = RequestEvent { response_body: Some("x".repeat(1 << 20)), ..RequestEvent::default() };
        assert!(decode(&packed(&vec![event.clone(); 100])).is_some());
        assert_eq!(decode(&packed(&vec![event; 200])), None);
    }

    #[test]
    fn columns_of_a_later_version_are_passed_over() {
        let event = RequestEvent {
            time: 7,
            status: 200,
            request_id: Some("a".to_owned()),
            trace_id: vec![7; 16],
            ..RequestEvent::default()
        };
        let blob = packed(std::slice::from_ref(&event));
        let mut rest = &blob[1..];
        let (noise, len) = (varint::take(&mut rest).unwrap(), varint::take(&mut rest).unwrap());
        assert_eq!(noise, 0);
        let mut columns = decompress(rest, len as usize).unwrap();
        put_column(&mut columns, 999, &mut vec![1, 2, 3], 4);
        let noise = [1, 2, 3, 4];
        let mut later = vec![VERSION];
        varint::put(&mut later, noise.len() as u64);
        varint::put(&mut later, columns.len() as u64);
        later.extend_from_slice(&crc32fast::hash(&noise).to_le_bytes());
        later.extend_from_slice(&noise);
        compress(&columns, &mut later).unwrap();
        assert_eq!(decode(&later), Some(vec![event]));
    }

    /// Requests such as a gateway reports, with identifiers that are all different.
    fn ordinary(number: usize) -> Vec<RequestEvent> {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let event = |index: usize| {
            let duration = 2_000_000 + u64::from(next()) % 50_000_000;
            RequestEvent {
                time: 1_781_956_800_000_000_000 + (index as i64) * 2_000_000 + i64::from(next() % 1_000_000),
                consumer: format!("consumer-{}", next() % 10),
                method: "GET".to_owned(),
                route: "/users/{id}/items".to_owned(),
                path: Some(format!("/users/{}/items", next() % 1_000_000)),
                status: 200,
                duration_ns: Some(duration),
                upstream_ns: Some(duration - 60_000 - u64::from(next()) % 40_000),
                client_address: Some(format!("10.0.{}.{}", next() % 8, next() % 256)),
                request_id: Some(format!(
                    "{:08x}-{:04x}-4{:03x}-9{:03x}-{:08x}{:04x}",
                    next(),
                    next() % 65_536,
                    next() % 4_096,
                    next() % 4_096,
                    next(),
                    next() % 65_536
                )),
                trace_id: (0..16).map(|_| next() as u8).collect(),
                span_id: (0..8).map(|_| next() as u8).collect(),
                ..RequestEvent::default()
            }
        };
        (0..number).map(event).collect()
    }

    #[test]
    fn a_request_takes_little_more_than_its_identifiers() {
        let requests = ordinary(250);
        let blob = packed(&requests);
        // 24 bytes of trace and span, 15 of the request's id, and 12 bytes of times, durations, address and path that
        // nothing foretells.
        assert!(blob.len() < 250 * 56, "{} bytes a request", blob.len() as f64 / 250.0);
        assert_eq!(decode(&blob), Some(requests));
    }

    #[test]
    fn no_changed_byte_of_an_ordinary_chunk_becomes_another_request() {
        let requests = ordinary(20);
        let blob = packed(&requests);
        for at in 1..blob.len() {
            for change in [1, 0x80] {
                let mut damaged = blob.clone();
                damaged[at] ^= change;
                // Some bits of a frame have no meaning.
                assert!(decode(&damaged).is_none_or(|found| found == requests), "byte {at}");
            }
        }
    }
}
