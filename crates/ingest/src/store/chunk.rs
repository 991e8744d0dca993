//! The requests of one batch as one blob of columns.
//!
//! A version byte, the length of the columns as a varint, and the columns under zstd. Each column is its number, its
//! length in bytes and its content, so that a reader passes over columns it does not know and takes those that are
//! missing as empty. The first is the number of requests; the others are
//! - times: zigzag differences from the request before;
//! - numbers: one more than the value, 0 where there is none;
//! - texts: 0 where there is none, 1 for a new text (its length and bytes follow in a second part), else 2 + the
//!   place of the text among those seen in this column.

use crate::varint;
use crate::wire::RequestEvent;
use std::collections::HashMap;
use std::io;

const VERSION: u8 = 1;
const ZSTD_LEVEL: i32 = 3;
/// A chunk that says it is larger, or whose texts are, each as often as it occurs, is damaged: a batch is smaller than
/// the largest body.
const MAX_BYTES: usize = 128 << 20;

const COUNT: u64 = 0;
const TIME: u64 = 1;

type TextGet = fn(&RequestEvent) -> Option<&[u8]>;
type TextSet = fn(&mut RequestEvent, &[u8]);
type NumberGet = fn(&RequestEvent) -> Option<u64>;
type NumberSet = fn(&mut RequestEvent, u64);

/// The columns of text. A number once given stays with its meaning.
const TEXTS: [(u64, TextGet, TextSet); 21] = [
    (2, |e| Some(e.consumer.as_bytes()), |e, v| e.consumer = text(v)),
    (3, |e| Some(e.method.as_bytes()), |e, v| e.method = text(v)),
    (4, |e| bytes(&e.method_original), |e, v| e.method_original = Some(text(v))),
    (5, |e| Some(e.route.as_bytes()), |e, v| e.route = text(v)),
    (6, |e| bytes(&e.error_type), |e, v| e.error_type = Some(text(v))),
    (7, |e| bytes(&e.path), |e, v| e.path = Some(text(v))),
    (8, |e| bytes(&e.query), |e, v| e.query = Some(text(v))),
    (9, |e| bytes(&e.client_address), |e, v| e.client_address = Some(text(v))),
    (10, |e| bytes(&e.user_agent), |e, v| e.user_agent = Some(text(v))),
    (11, |e| bytes(&e.response_flags), |e, v| e.response_flags = Some(text(v))),
    (12, |e| bytes(&e.code_details), |e, v| e.code_details = Some(text(v))),
    (13, |e| bytes(&e.request_id), |e, v| e.request_id = Some(text(v))),
    (14, |e| (!e.trace_id.is_empty()).then_some(&e.trace_id), |e, v| e.trace_id = v.to_vec()),
    (15, |e| (!e.span_id.is_empty()).then_some(&e.span_id), |e, v| e.span_id = v.to_vec()),
    (16, |e| e.consumer_trusted.then_some(b"1"), |e, _| e.consumer_trusted = true),
    (17, |e| bytes(&e.request_headers), |e, v| e.request_headers = Some(text(v))),
    (18, |e| bytes(&e.response_headers), |e, v| e.response_headers = Some(text(v))),
    (19, |e| bytes(&e.request_body), |e, v| e.request_body = Some(text(v))),
    (20, |e| bytes(&e.request_body_omitted), |e, v| e.request_body_omitted = Some(text(v))),
    (21, |e| bytes(&e.response_body), |e, v| e.response_body = Some(text(v))),
    (22, |e| bytes(&e.response_body_omitted), |e, v| e.response_body_omitted = Some(text(v))),
];

/// The columns of numbers.
const NUMBERS: [(u64, NumberGet, NumberSet); 8] = [
    (32, |e| Some(u64::from(e.status)), |e, v| e.status = v as u16),
    (33, |e| e.client_port, |e, v| e.client_port = Some(v)),
    (34, |e| e.request_bytes, |e, v| e.request_bytes = Some(v)),
    (35, |e| e.response_bytes, |e, v| e.response_bytes = Some(v)),
    (36, |e| e.duration_ns, |e, v| e.duration_ns = Some(v)),
    (37, |e| e.upstream_ns, |e, v| e.upstream_ns = Some(v)),
    (38, |e| e.resend_count, |e, v| e.resend_count = Some(v)),
    (39, |e| e.grpc_status, |e, v| e.grpc_status = Some(v)),
];

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
        varint::put(&mut column, varint::zigzag(event.time.wrapping_sub(last)));
        last = event.time;
    }
    put_column(&mut columns, TIME, &mut column);
    for (number, get, _) in TEXTS {
        encode_texts(&mut column, events.iter().map(get));
        put_column(&mut columns, number, &mut column);
    }
    for (number, get, _) in NUMBERS {
        events.iter().map(get).for_each(|v| varint::put(&mut column, v.map_or(0, |v| v.saturating_add(1))));
        put_column(&mut columns, number, &mut column);
    }
    let mut out = vec![VERSION];
    varint::put(&mut out, columns.len() as u64);
    out.append(&mut zstd::bulk::compress(&columns, ZSTD_LEVEL)?);
    Ok(out)
}

/// Unpacks what [`encode`] packed; `None` when the blob is damaged or of another version.
pub(crate) fn decode(blob: &[u8]) -> Option<Vec<RequestEvent>> {
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
        last = last.wrapping_add(varint::unzigzag(varint::take(&mut times)?));
        event.time = last;
    }
    let mut left = MAX_BYTES;
    while !rest.is_empty() {
        let (number, mut column) = take_column(&mut rest)?;
        if let Some((_, _, set)) = TEXTS.iter().find(|(n, _, _)| *n == number) {
            decode_texts(column, &mut events, *set, &mut left)?;
        } else if let Some((_, _, set)) = NUMBERS.iter().find(|(n, _, _)| *n == number) {
            for event in &mut events {
                if let Some(value) = varint::take(&mut column)?.checked_sub(1) {
                    set(event, value);
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
fn decode_texts(column: &[u8], events: &mut [RequestEvent], set: TextSet, left: &mut usize) -> Option<()> {
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
        set(event, text);
    }
    Some(())
}

fn bytes(text: &Option<String>) -> Option<&[u8]> {
    text.as_deref().map(str::as_bytes)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_text() -> impl Strategy<Value = Option<String>> {
        prop::option::of(prop_oneof!["[a-c]{0,2}", "\\PC{0,20}"])
    }

    fn some_event() -> impl Strategy<Value = RequestEvent> {
        let numbers = prop::array::uniform7(prop::option::of(0..u64::MAX));
        let texts = prop::collection::vec(some_text(), 19);
        let ids = (prop::bool::ANY, prop::collection::vec(any::<u8>(), 16), any::<bool>());
        (any::<i64>(), 0u16..600, numbers, texts, ids).prop_map(|(time, status, numbers, texts, ids)| {
            let mut texts = texts.into_iter();
            let mut next = || texts.next().flatten();
            let [
                client_port,
                request_bytes,
                response_bytes,
                duration_ns,
                upstream_ns,
                resend_count,
                grpc_status,
            ] = numbers;
            RequestEvent {
                time,
                status,
                client_port,
                request_bytes,
                response_bytes,
                duration_ns,
                upstream_ns,
                resend_count,
                grpc_status,
                consumer: next().unwrap_or_default(),
                consumer_trusted: ids.2,
                method: next().unwrap_or_default(),
                method_original: next(),
                route: next().unwrap_or_default(),
                error_type: next(),
                path: next(),
                query: next(),
                client_address: next(),
                user_agent: next(),
                response_flags: next(),
                code_details: next(),
                request_id: next(),
                request_headers: next(),
                response_headers: next(),
                request_body: next(),
                request_body_omitted: next(),
                response_body: next(),
                response_body_omitted: next(),
                trace_id: if ids.0 { ids.1.clone() } else { Vec::new() },
                span_id: if ids.0 { ids.1[..8].to_vec() } else { Vec::new() },
            }
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
