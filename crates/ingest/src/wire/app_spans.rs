//! Spans of applications beside the gateways: what a waterfall of a trace needs of them.

use super::budget::Budget;
use super::record::{Record, Waterfall};
use super::value::{Value, clip};
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
    /// For a text that is not UTF-8, and where there is no room.
    pub(super) fn take(
        &mut self,
        (sender, gateway): (usize, &Gateway),
        record: &Record<'_>,
        budget: &mut Budget<'_>,
    ) -> Result<bool, Unreadable> {
        let Some(span) = shown_of(record)? else { return Ok(false) };
        let trace_id = record.trace_id;
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

/// A span; `None` where identifiers or times are not usable.
fn shown_of(record: &Record<'_>) -> Result<Option<AppSpan>, Unreadable> {
    let Waterfall { parent, name, status: (status, reason), attributes } = &record.waterfall;
    let (name, reason) = (text(name)?, text(reason)?);
    let is_id = |id: &[u8], length| id.len() == length && id.iter().any(|byte| *byte != 0);
    let [Ok(start), Ok(end)] = record.times.map(i64::try_from) else { return Ok(None) };
    if !is_id(record.trace_id, 16) || !is_id(record.span_id, 8) || start == 0 || end < start {
        return Ok(None);
    }
    Ok(Some(AppSpan {
        id: HEXLOWER.encode(record.span_id),
        parent: is_id(parent, 8).then(|| HEXLOWER.encode(parent)),
        name: shown(name, MAX_NAME_BYTES),
        kind: small(record.span_kind, MAX_KIND),
        start,
        end,
        status: small(*status, MAX_STATUS),
        message: Some(shown(reason, MAX_MESSAGE_BYTES)).filter(|reason| !reason.is_empty()),
        attributes: attributes.iter().filter_map(attribute).collect(),
    }))
}

/// An attribute, with its value as text.
fn attribute((name, value): &(&'static str, Value<'_>)) -> Option<(String, String)> {
    let value = match value {
        Value::Text(text) => shown(text, MAX_VALUE_BYTES),
        Value::Int(number) => number.to_string(),
        _ => return None,
    };
    Some(((*name).to_owned(), value))
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
