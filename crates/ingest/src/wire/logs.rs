//! OTLP log records to [`RequestBatch`].

use super::attributes::{consumer, grpc_status, is_true, number, query, route, status, text, weight};
use super::budget::Budget;
use super::captured::{body, body_omitted, headers};
use super::weight::Kind;
use super::{Unreadable, plausible, requests};
use crate::model::request::{Access, FIELDS, Source};
use crate::model::{Identity, Rejection, RequestBatch, RequestEvent};
use gatelens_model::{attribute, value};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;

/// Takes the requests out of an export, and counts the other records. `now` (Unix nanoseconds) stands in for a missing
/// time.
pub(crate) fn read_logs(
    body: &[u8],
    identity: Option<Identity>,
    now: i64,
    budget: &mut Budget<'_>,
) -> Result<RequestBatch, Unreadable> {
    requests::read(body, Kind::Record, identity, budget, |record| {
        let record = LogRecord::decode(record)?;
        if !is_request(&record) {
            return Ok(Err(Rejection::OtherRecord));
        }
        let event = event(&record, now);
        Ok(plausible::time(event.time, now).map(|()| event))
    })
}

/// Whether attributes are those of an HTTP request.
pub(super) fn is_named_request(attributes: &[KeyValue]) -> bool {
    text(attributes, attribute::METHOD).is_some()
}

/// A request as its attributes describe it; its time is left to the caller.
pub(super) fn described(from: &[KeyValue], trace_id: &[u8], span_id: &[u8]) -> RequestEvent {
    let mut event = RequestEvent::default();
    for field in &FIELDS {
        match field.access {
            Access::Text(_, set) => {
                if let Some(bytes) = bytes(&field.source, from, trace_id, span_id) {
                    set(&mut event, bytes);
                }
            }
            Access::Number(_, set) => {
                let number = match field.source {
                    Source::Number(key) => number(from, key),
                    Source::Attempts(attempts, resent) => number(from, attempts)
                        .or_else(|| number(from, resent).map(|resent| resent.saturating_add(1))),
                    Source::Weight(key) => weight(from, key),
                    Source::Status(key) => Some(u64::from(status(from, key))),
                    Source::GrpcStatus(name, old) => grpc_status(from, name).or_else(|| number(from, old)),
                    _ => None,
                };
                if let Some(number) = number {
                    set(&mut event, number);
                }
            }
        }
    }
    event
}

/// The text of a field, or its bytes.
fn bytes(source: &Source, from: &[KeyValue], trace_id: &[u8], span_id: &[u8]) -> Option<Vec<u8>> {
    let found = match *source {
        Source::Text(key) => text(from, key),
        Source::Query(key) => query(from, key),
        Source::Label(key, absent) => Some(text(from, key).unwrap_or(absent)),
        Source::Route => Some(route(from).unwrap_or(value::UNMATCHED)),
        Source::Consumer => Some(consumer(from).unwrap_or(value::ANONYMOUS)),
        Source::Flag(key) => is_true(from, key).then_some("true"),
        Source::Body(content) => body(from, content),
        Source::BodyOmitted(content, omitted) => body_omitted(from, content, omitted),
        Source::Headers(prefix) => return headers(from, prefix).map(String::into_bytes),
        Source::TraceId => return (trace_id.len() == 16).then(|| trace_id.to_vec()),
        Source::SpanId => return (span_id.len() == 8).then(|| span_id.to_vec()),
        Source::Number(_)
        | Source::Weight(_)
        | Source::Status(_)
        | Source::GrpcStatus(..)
        | Source::Attempts(..)
        | Source::Sender => None,
    };
    found.map(|text| text.as_bytes().to_vec())
}

fn is_request(record: &LogRecord) -> bool {
    record.event_name == value::EVENT_NAME || is_named_request(&record.attributes)
}

fn event(record: &LogRecord, now: i64) -> RequestEvent {
    let time = [record.time_unix_nano, record.observed_time_unix_nano].into_iter().find(|time| *time > 0);
    let time = time.map_or(now, |time| i64::try_from(time).unwrap_or(i64::MAX));
    RequestEvent { time, ..described(&record.attributes, &record.trace_id, &record.span_id) }
}
