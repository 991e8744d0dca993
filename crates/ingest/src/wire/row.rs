//! A record as a row of columns.

use super::Unreadable;
use super::captured::{body, body_omitted, headers};
use super::record::{Record, names, place};
use crate::model::request::{FIELDS, Source};
use crate::model::{Columns, Gateway, SENDER};
use gatelens_model::{attribute, value};
use std::sync::LazyLock;

/// By field: where its attributes are in a record.
static PLACES: LazyLock<Vec<[Option<u8>; 2]>> = LazyLock::new(|| {
    FIELDS.iter().map(|field| names(&field.source).map(|name| name.and_then(place))).collect()
});

/// What a record says of the time of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timed {
    /// Its start: Unix nanoseconds.
    pub(super) time: i64,
    /// Its duration, where no attribute names one: nanoseconds.
    pub(super) took: Option<u64>,
}

/// Whether the attributes are those of an HTTP request.
pub(super) fn is_named_request(record: &Record<'_>) -> bool {
    record.value(place(attribute::METHOD)).label().is_some()
}

/// Appends the request that a gateway describes by a record.
pub(super) fn put(
    columns: &mut Columns,
    record: &Record<'_>,
    gateway: &Gateway,
    Timed { time, took }: Timed,
) -> Result<(), Unreadable> {
    columns.begin(time);
    // Our gateways leave the ordinary number of attempts out.
    let is_ours = gateway.infers_routes();
    for (index, (field, places)) in FIELDS.iter().zip(PLACES.iter()).enumerate() {
        let [first, second] = places.map(|place| record.value(place));
        let number = match field.source {
            Source::Number(attribute::DURATION_NS) if took.is_some() => first.number().or(took),
            Source::Number(_) => first.number(),
            Source::Weight(_) => first.weight(),
            Source::Status(_) => Some(first.status().map_or(0, u64::from)),
            Source::GrpcStatus(..) => first.grpc_status().or_else(|| second.number()),
            Source::Attempts(..) => first
                .number()
                .or_else(|| second.number().map(|resent| resent.saturating_add(1)))
                .or(is_ours.then_some(1)),
            _ => None,
        };
        if let Some(number) = number {
            columns.set_number(index, number);
            continue;
        }
        let text = match field.source {
            Source::Text(_) => first.label(),
            Source::Query(_) => first.query(),
            Source::Label(_, absent) => first.label().or(Some(absent)),
            Source::Route => first.label().or_else(|| second.label()).or(Some(value::UNMATCHED)),
            Source::ConfiguredBy if is_ours => first.label(),
            Source::ConfiguredBy => Some(SENDER),
            Source::Consumer => first.label().or_else(|| second.label()).or(Some(value::ANONYMOUS)),
            Source::Flag(_) => first.is_true().then_some("1"),
            Source::Body(_) => body(first),
            Source::BodyOmitted(..) => body_omitted(first, second),
            Source::Direction => Some(gateway.direction.as_str()).filter(|name| *name == value::OUTBOUND),
            Source::Version => gateway.service_version.as_deref(),
            Source::Headers(prefix) => {
                if let Some(headers) = headers(&record.headers, prefix)? {
                    columns.set_text(index, headers.as_bytes());
                }
                None
            }
            Source::TraceId | Source::SpanId => {
                let (id, length) = match field.source {
                    Source::TraceId => (record.trace_id, 16),
                    _ => (record.span_id, 8),
                };
                if id.len() == length {
                    columns.set_text(index, id);
                }
                None
            }
            Source::Number(_)
            | Source::Weight(_)
            | Source::Status(_)
            | Source::GrpcStatus(..)
            | Source::Attempts(..) => None,
        };
        if let Some(text) = text {
            columns.set_text(index, text.as_bytes());
        }
    }
    Ok(())
}
