//! The requests of one batch as one blob of columns.
//!
//! A version byte, the length of the columns as a varint, and the columns under zstd with its checksum. Each column is its number, its
//! length in bytes and its content, so that a reader passes over columns it does not know and takes those that are
//! missing as empty. The first is the number of requests; the others are
//! - times: zigzag differences from the request before;
//! - numbers: one more than the value, 0 where there is none;
//! - texts: 0 where there is none, 1 for a new text (its length and bytes follow in a second part), else 2 + the
//!   place of the text among those seen in this column.

use crate::model::RequestEvent;
use crate::model::request::{Access, FIELDS};
use gatelens_model::varint;
use std::collections::HashMap;
use std::io;

const VERSION: u8 = 1;
const ZSTD_LEVEL: i32 = 3;
/// A larger chunk is damaged, and so is one whose texts, each as often as it occurs, are larger: a batch is smaller than
/// the largest body.
const MAX_BYTES: usize = 128 << 20;

const COUNT: u64 = 0;
const TIME: u64 = 1;

/// Packs requests; their order is kept.
///
/// # Errors
/// When the compressor fails, which it does for want of memory only.
pub(crate) fn encode(events: &[RequestEvent]) -> io::Result<Vec<u8>> {
    let mut columns = Vec::new();
    let mut column = Vec::new();
    varint::put(&mut column, events.len() as u64);
    put_column(&mut columns, COUNT, &mut column);
    let mut last = 0;
    for event in events {
        varint::put_signed(&mut column, event.time.wrapping_sub(last));
        last = event.time;
    }
    put_column(&mut columns, TIME, &mut column);
    for field in &FIELDS {
        match field.access {
            Access::Text(get, _) => encode_texts(&mut column, events.iter().map(get)),
            Access::Number(get, _) => {
                let numbers = events.iter().map(get);
                numbers.for_each(|n| varint::put(&mut column, n.map_or(0, |n| n.saturating_add(1))));
            }
        }
        put_column(&mut columns, field.column, &mut column);
    }
    let mut out = vec![VERSION];
    varint::put(&mut out, columns.len() as u64);
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
    // Reading then finds every changed byte; a frame of before is read without it.
    compressor.include_checksum(true)?;
    out.append(&mut compressor.compress(&columns)?);
    Ok(out)
}

/// Unpacks what [`encode`] packed; `None` when the blob is damaged or of another version.
pub(crate) fn decode(blob: &[u8]) -> Option<Vec<RequestEvent>> {
    decode_fields(blob, |_| true)
}

/// The same with the times and the fields of these names; the others are empty.
pub(crate) fn decode_fields(blob: &[u8], wanted: impl Fn(&str) -> bool) -> Option<Vec<RequestEvent>> {
    let (&version, mut rest) = blob.split_first()?;
    if version != VERSION {
        return None;
    }
    let len = usize::try_from(varint::take(&mut rest)?).ok().filter(|len| *len <= MAX_BYTES)?;
    let columns = zstd::bulk::decompress(rest, len).ok()?;
    let mut rest = columns.as_slice();
    let (COUNT, mut head) = take_column(&mut rest)? else { return None };
    let count = usize::try_from(varint::take(&mut head)?).ok()?;
    let (TIME, mut times) = take_column(&mut rest)? else { return None };
    // Each time takes a byte at least: a count beyond that is damage.
    if count > times.len() {
        return None;
    }
    let mut events = vec![RequestEvent::default(); count];
    let mut last = 0i64;
    for event in &mut events {
        last = last.wrapping_add(varint::take_signed(&mut times)?);
        event.time = last;
    }
    let mut left = MAX_BYTES;
    while !rest.is_empty() {
        let (number, mut column) = take_column(&mut rest)?;
        let known = FIELDS.iter().find(|field| field.column == number);
        let Some(field) = known.filter(|field| wanted(field.name)) else { continue };
        match field.access {
            Access::Text(_, set) => decode_texts(column, &mut events, set, &mut left)?,
            Access::Number(_, set) => {
                for event in &mut events {
                    if let Some(value) = varint::take(&mut column)?.checked_sub(1) {
                        set(event, value);
                    }
                }
            }
        }
    }
    Some(events)
}

fn put_column(out: &mut Vec<u8>, number: u64, column: &mut Vec<u8>) {
    varint::put(out, number);
    varint::put(out, column.len() as u64);
    out.append(column);
}

fn take_column<'a>(rest: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let number = varint::take(rest)?;
    let len = usize::try_from(varint::take(rest)?).ok()?;
    let (column, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some((number, column))
}

fn encode_texts<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = Option<&'a [u8]>>) {
    let mut places = HashMap::new();
    let mut dictionary = Vec::new();
    for text in texts {
        let code = match text {
            None => 0,
            Some(text) => match places.get(text) {
                Some(place) => *place,
                None => {
                    places.insert(text, places.len() as u64 + 2);
                    varint::put(&mut dictionary, text.len() as u64);
                    dictionary.extend_from_slice(text);
                    1
                }
            },
        };
        varint::put(out, code);
    }
    out.append(&mut dictionary);
}

/// Takes the bytes of texts, each as often as it occurs, off what is `left`.
fn decode_texts(
    column: &[u8],
    events: &mut [RequestEvent],
    set: fn(&mut RequestEvent, Vec<u8>),
    left: &mut usize,
) -> Option<()> {
    let mut dictionary = column;
    for _ in 0..events.len() {
        varint::take(&mut dictionary)?;
    }
    let mut codes = column;
    let mut seen: Vec<&[u8]> = Vec::new();
    for event in events {
        let text = match varint::take(&mut codes)? {
            0 => continue,
            1 => {
                let len = usize::try_from(varint::take(&mut dictionary)?).ok()?;
                let (text, rest) = dictionary.split_at_checked(len)?;
                dictionary = rest;
                seen.push(text);
                text
            }
            place => seen.get(usize::try_from(place - 2).ok()?)?,
        };
        *left = left.checked_sub(text.len())?;
        set(event, text.to_vec());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
            prop_assert_eq!(decode(&encode(&events).unwrap()), Some(events));
        }

        #[test]
        fn damage_is_noticed_or_read_but_never_fatal(events in prop::collection::vec(some_event(), 1..10), at: prop::sample::Index, byte: u8) {
            let mut blob = encode(&events).unwrap();
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
        let (one, many) = (encode(&bodies(1)).unwrap(), encode(&bodies(10)).unwrap());
        assert!(many.len() < one.len() + 500, "{} and {} bytes", one.len(), many.len());
        assert_eq!(decode(&many), Some(bodies(10)));
    }

    #[test]
    fn a_damaged_chunk_does_not_unfold_without_end() {
        let event = RequestEvent { response_body: Some("x".repeat(1 << 20)), ..RequestEvent::default() };
        assert!(decode(&encode(&vec![event.clone(); 100]).unwrap()).is_some());
        assert_eq!(decode(&encode(&vec![event; 200]).unwrap()), None);
    }

    /// The same chunk with other columns.
    fn with_columns(blob: &[u8], change: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let mut rest = &blob[1..];
        let len = varint::take(&mut rest).unwrap() as usize;
        let columns = change(&zstd::bulk::decompress(rest, len).unwrap());
        let mut changed = vec![VERSION];
        varint::put(&mut changed, columns.len() as u64);
        changed.append(&mut zstd::bulk::compress(&columns, ZSTD_LEVEL).unwrap());
        changed
    }

    #[test]
    fn columns_of_a_later_version_are_passed_over() {
        let event = RequestEvent { time: 7, status: 200, ..RequestEvent::default() };
        let later = with_columns(&encode(std::slice::from_ref(&event)).unwrap(), |columns| {
            let mut columns = columns.to_vec();
            put_column(&mut columns, 999, &mut vec![1, 2, 3]);
            columns
        });
        assert_eq!(decode(&later), Some(vec![event]));
    }

    #[test]
    fn columns_that_an_earlier_version_did_not_write_are_empty() {
        let event = RequestEvent { time: 7, status: 200, ..RequestEvent::default() };
        let full = RequestEvent {
            request_headers: Some("{}".to_owned()),
            response_body: Some("{}".to_owned()),
            grpc_status: Some(5),
            ..event.clone()
        };
        let earlier = with_columns(&encode(&[full]).unwrap(), |mut columns| {
            let mut kept = Vec::new();
            while !columns.is_empty() {
                let (number, column) = take_column(&mut columns).unwrap();
                if number <= 16 || (32..39).contains(&number) {
                    put_column(&mut kept, number, &mut column.to_vec());
                }
            }
            kept
        });
        assert_eq!(decode(&earlier), Some(vec![event]));
    }
}
