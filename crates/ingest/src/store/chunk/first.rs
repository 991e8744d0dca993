//! Chunks of version 1, which earlier versions of the service wrote.
//!
//! The length of the columns as a varint, and the columns under zstd. Each column is its number, its length in bytes and
//! its content. The first is the number of requests; the others are
//! - times: zigzag differences from the request before;
//! - numbers: one more than the value, 0 where there is none;
//! - texts: 0 where there is none, 1 for a new text (its length and bytes follow in a second part), else 2 + the
//!   place of the text among those seen in this column.

use super::{COUNT, MAX_BYTES, TIME, decompress, take_slice};
use crate::model::RequestEvent;
use crate::model::request::{Access, FIELDS};
use gatelens_model::varint;

pub(super) const VERSION: u8 = 1;

/// Unpacks the fields of these names from what follows the version; `None` when it is damaged.
pub(super) fn decode(mut rest: &[u8], wanted: impl Fn(&str) -> bool) -> Option<Vec<RequestEvent>> {
    let len = usize::try_from(varint::take(&mut rest)?).ok().filter(|len| *len <= MAX_BYTES)?;
    let columns = decompress(rest, len)?;
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

fn take_column<'a>(rest: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let number = varint::take(rest)?;
    let len = varint::take(rest)?;
    Some((number, take_slice(rest, len)?))
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
                let len = varint::take(&mut dictionary)?;
                let text = take_slice(&mut dictionary, len)?;
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
    use crate::model::RequestEvent;
    use crate::model::request::{Access, FIELDS};
    use gatelens_model::varint;
    use std::collections::HashMap;

    fn put_column(out: &mut Vec<u8>, number: u64, column: &mut Vec<u8>) {
        varint::put(out, number);
        varint::put(out, column.len() as u64);
        out.append(column);
    }

    /// As version 1 wrote it, with the columns of these numbers.
    fn encode(events: &[RequestEvent], wanted: impl Fn(u64) -> bool) -> Vec<u8> {
        let (mut columns, mut column) = (Vec::new(), Vec::new());
        varint::put(&mut column, events.len() as u64);
        put_column(&mut columns, 0, &mut column);
        let mut last = 0;
        for event in events {
            varint::put_signed(&mut column, event.time.wrapping_sub(last));
            last = event.time;
        }
        put_column(&mut columns, 1, &mut column);
        for field in FIELDS.iter().filter(|field| wanted(field.column)) {
            match field.access {
                Access::Number(get, _) => {
                    events.iter().for_each(|event| {
                        varint::put(&mut column, get(event).map_or(0, |number| number + 1));
                    });
                }
                Access::Text(get, _) => {
                    let (mut places, mut dictionary) = (HashMap::new(), Vec::new());
                    for text in events.iter().map(get) {
                        let Some(text) = text else {
                            column.push(0);
                            continue;
                        };
                        let next = places.len() as u64 + 2;
                        let place = *places.entry(text).or_insert(next);
                        varint::put(&mut column, if place == next { 1 } else { place });
                        if place == next {
                            varint::put(&mut dictionary, text.len() as u64);
                            dictionary.extend_from_slice(text);
                        }
                    }
                    column.append(&mut dictionary);
                }
            }
            put_column(&mut columns, field.column, &mut column);
        }
        let mut out = vec![super::VERSION];
        varint::put(&mut out, columns.len() as u64);
        out.append(&mut zstd::bulk::compress(&columns, 3).unwrap());
        out
    }

    #[test]
    fn chunks_of_before_are_read() {
        let event = RequestEvent { time: 7, status: 200, ..RequestEvent::default() };
        let full = RequestEvent {
            request_headers: Some("{}".to_owned()),
            response_body: Some("{}".to_owned()),
            grpc_status: Some(5),
            route: "/a".to_owned(),
            ..event.clone()
        };
        let events = vec![full.clone(), event.clone(), full.clone()];
        assert_eq!(super::super::decode(&encode(&events, |_| true)), Some(events));
        // A still earlier one knew fewer columns.
        let known = |number| number <= 4 || number == 16 || (32..39).contains(&number);
        assert_eq!(super::super::decode(&encode(&[full], known)), Some(vec![event]));
    }
}
