//! Spans of applications beside the gateways: what a waterfall of a trace needs of them.

use super::budget::Budget;
use super::record::attribute_of;
use super::value::{Value, clip};
use super::walk::{Content, fields};
use super::{Unreadable, plausible};
use crate::model::{AppSpan, Gateway, SpanPart};
use crate::text::is_format;
use data_encoding::HEXLOWER;
use std::collections::HashMap;

const MAX_NAME_BYTES: usize = 256;
const MAX_VALUE_BYTES: usize = 200;
const MAX_MESSAGE_BYTES: usize = 500;
/// OTLP's largest number of a kind, and of a status.
const MAX_KIND: u64 = 5;
const MAX_STATUS: u64 = 2;

/// Attributes that are kept: those of the [conventions] that have few values and hold no data of a person.
///
/// [conventions]: https://opentelemetry.io/docs/specs/semconv/registry/attributes/
const KEPT: [&str; 16] = [
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "url.template",
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "db.system.name",
    "db.system",
    "db.operation.name",
    "db.collection.name",
    "messaging.system",
    "messaging.operation.name",
    "messaging.destination.template",
    "error.type",
    "server.address",
];

/// The spans of a body, by sender and trace.
pub(super) struct AppSpans {
    /// Unix nanoseconds.
    now: i64,
    parts: Vec<SpanPart>,
    /// Of a sender (its place in the body's list) and a trace: the place among the parts.
    places: HashMap<(usize, Vec<u8>), usize>,
}

impl AppSpans {
    /// None yet. `now` is in Unix nanoseconds: spans of another age are none of a request that anybody looks at.
    pub(super) fn at(now: i64) -> Self {
        Self { now, parts: Vec::new(), places: HashMap::new() }
    }

    /// Takes in a span of a sender. False where it has no usable identifiers or times.
    ///
    /// # Errors
    /// For bytes that are not protobuf, for a text that is not UTF-8, and where there is no room.
    pub(super) fn take(
        &mut self,
        (sender, gateway): (usize, &Gateway),
        span: &[u8],
        budget: &mut Budget<'_>,
    ) -> Result<bool, Unreadable> {
        let Some((trace_id, span)) = read(span)? else { return Ok(false) };
        if plausible::time(span.start, self.now).is_err() {
            return Ok(false);
        }
        budget.keep(size_of::<AppSpan>() + size_of::<SpanPart>() + 3 * span.text_bytes() + 256)?;
        let place = *self.places.entry((sender, trace_id.to_vec())).or_insert(self.parts.len());
        if place == self.parts.len() {
            self.parts.push(SpanPart {
                trace_id: trace_id.to_vec(),
                environment: gateway.environment.clone(),
                service: gateway.service.clone(),
                spans: Vec::new(),
            });
        }
        if let Some(part) = self.parts.get_mut(place) {
            part.spans.push(span);
        }
        Ok(true)
    }

    pub(super) fn into_parts(self) -> Vec<SpanPart> {
        self.parts
    }
}

/// A span and its trace; `None` where identifiers or times are not usable.
fn read(message: &[u8]) -> Result<Option<(&[u8], AppSpan)>, Unreadable> {
    let (mut trace_id, mut id, mut parent): (&[u8], &[u8], &[u8]) = (&[], &[], &[]);
    let mut name = "";
    let (mut kind, mut start, mut end) = (0, 0, 0);
    let (mut status, mut reason) = (0, "");
    let mut attributes = Vec::new();
    for field in fields(message) {
        match field? {
            (1, Content::Bytes(bytes)) => trace_id = bytes,
            (2, Content::Bytes(bytes)) => id = bytes,
            (4, Content::Bytes(bytes)) => parent = bytes,
            (5, Content::Bytes(bytes)) => name = text(bytes)?,
            (6, Content::Number(number)) => kind = number,
            (7, Content::Fixed64(time)) => start = time,
            (8, Content::Fixed64(time)) => end = time,
            (9, Content::Bytes(attribute)) => attributes.extend(kept(attribute, attributes.len())?),
            (15, Content::Bytes(message)) => {
                for field in fields(message) {
                    match field? {
                        (2, Content::Bytes(bytes)) => reason = text(bytes)?,
                        (3, Content::Number(number)) => status = number,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let is_id = |id: &[u8], length| id.len() == length && id.iter().any(|byte| *byte != 0);
    let (Ok(start), Ok(end)) = (i64::try_from(start), i64::try_from(end)) else { return Ok(None) };
    if !is_id(trace_id, 16) || !is_id(id, 8) || start == 0 || end < start {
        return Ok(None);
    }
    let span = AppSpan {
        id: HEXLOWER.encode(id),
        parent: is_id(parent, 8).then(|| HEXLOWER.encode(parent)),
        name: shown(name, MAX_NAME_BYTES),
        kind: small(kind, MAX_KIND),
        start,
        end,
        status: small(status, MAX_STATUS),
        message: Some(shown(reason, MAX_MESSAGE_BYTES)).filter(|reason| !reason.is_empty()),
        attributes,
    };
    Ok(Some((trace_id, span)))
}

/// An attribute that is kept, with its value as text.
fn kept(attribute: &[u8], found: usize) -> Result<Option<(String, String)>, Unreadable> {
    let (name, value) = attribute_of(attribute, &mut 0)?;
    let Some(name) = KEPT.iter().find(|kept| kept.as_bytes() == name && found < KEPT.len()) else {
        return Ok(None);
    };
    let value = match value {
        Value::Text(text) => shown(text, MAX_VALUE_BYTES),
        Value::Int(number) => number.to_string(),
        _ => return Ok(None),
    };
    Ok(Some(((*name).to_owned(), value)))
}

fn text(bytes: &[u8]) -> Result<&str, Unreadable> {
    std::str::from_utf8(bytes).map_err(|_| Unreadable::text())
}

/// A text that an application wrote, without what hides or turns other text.
fn shown(text: &str, max_bytes: usize) -> String {
    clip(text, max_bytes).chars().filter(|c| !c.is_control() && !is_format(*c)).collect()
}

/// A number of a list; one that is not in it is the first, which stands for nothing.
fn small(number: u64, largest: u64) -> u8 {
    if number <= largest { number as u8 } else { 0 }
}
