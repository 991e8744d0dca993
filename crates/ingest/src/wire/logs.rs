//! OTLP log records to [`RequestBatch`].

use super::attributes::{
    consumer, gateway, grpc_status, is_true, number, query, route, status, text, weight,
};
use super::captured::{body, body_omitted, headers};
use crate::model::request::{Access, FIELDS, Source};
use crate::model::{Gateway, Identity, RequestBatch, RequestEvent, RequestPart, SENDER};
use gatelens_model::{attribute, value};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

/// Takes the requests out of an export, and counts the records that are none. `now` (Unix nanoseconds) stands in for
/// a missing time.
pub(crate) fn read_logs(
    request: &ExportLogsServiceRequest,
    identity: Option<Identity>,
    now: i64,
) -> (RequestBatch, u64) {
    let mut rejected = 0;
    let mut parts = Vec::new();
    for resource in &request.resource_logs {
        let records = resource.scope_logs.iter().flat_map(|scope| &scope.log_records);
        let (requests, others): (Vec<_>, Vec<_>) = records.partition(|record| is_request(record));
        rejected += others.len() as u64;
        let events = requests.into_iter().map(|record| event(record, now));
        append(&mut parts, gateway(identity.as_ref(), resource.resource.as_ref()), events);
    }
    (RequestBatch { identity, parts }, rejected)
}

/// Adds requests to a batch: neighbours of the same sender are one part, since each part becomes a chunk.
pub(super) fn append(
    parts: &mut Vec<RequestPart>,
    gateway: Gateway,
    events: impl Iterator<Item = RequestEvent>,
) {
    let events = events.map(|mut event| {
        if gateway.infers_routes() {
            // Our gateways leave the ordinary number out.
            event.attempts = event.attempts.or(Some(1));
        } else {
            event.route_source = Some(SENDER.to_owned());
        }
        event.version = gateway.service_version.clone();
        event.direction = Some(gateway.direction.clone()).filter(|direction| direction == value::OUTBOUND);
        event
    });
    match parts.last_mut().filter(|last| last.gateway == gateway) {
        Some(last) => last.events.extend(events),
        None => {
            let events = events.collect();
            parts.push(RequestPart { gateway, events });
        }
    }
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
