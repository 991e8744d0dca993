//! OTLP log records to [`RequestBatch`].

use super::attributes::{consumer, gateway, is_true, number, owned, query, status, text};
use super::captured::{body, headers};
use super::{Gateway, Identity, RequestBatch, RequestEvent, RequestPart, names};
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
    match parts.last_mut().filter(|last| last.gateway == gateway) {
        Some(last) => last.events.extend(events),
        None => parts.push(RequestPart { gateway, events: events.collect() }),
    }
}

/// Whether attributes are those of an HTTP request.
pub(super) fn is_named_request(attributes: &[KeyValue]) -> bool {
    text(attributes, names::METHOD).is_some()
}

/// A request as its attributes describe it; its time is left to the caller.
pub(super) fn described(from: &[KeyValue], trace_id: &[u8], span_id: &[u8]) -> RequestEvent {
    let label = |key, absent: &str| owned(from, key).unwrap_or_else(|| absent.to_owned());
    let (request_body, request_body_omitted) = body(from, names::REQUEST_BODY, names::REQUEST_BODY_OMITTED);
    let (response_body, response_body_omitted) =
        body(from, names::RESPONSE_BODY, names::RESPONSE_BODY_OMITTED);
    let id = |bytes: &[u8], len| if bytes.len() == len { bytes.to_vec() } else { Vec::new() };
    RequestEvent {
        time: 0,
        consumer: consumer(from).unwrap_or(names::ANONYMOUS).to_owned(),
        consumer_trusted: is_true(from, names::TRUSTED),
        method: label(names::METHOD, names::OTHER_METHOD),
        method_original: owned(from, names::METHOD_ORIGINAL),
        route: label(names::ROUTE, names::UNMATCHED),
        status: status(from),
        error_type: owned(from, names::ERROR_TYPE),
        path: owned(from, names::PATH),
        query: query(from, names::QUERY),
        client_address: owned(from, names::CLIENT_ADDRESS),
        client_port: number(from, names::CLIENT_PORT),
        user_agent: owned(from, names::USER_AGENT),
        request_bytes: number(from, names::REQUEST_BYTES),
        response_bytes: number(from, names::RESPONSE_BYTES),
        duration_ns: number(from, names::DURATION_NS),
        upstream_ns: number(from, names::UPSTREAM_NS),
        resend_count: number(from, names::RESEND_COUNT),
        response_flags: owned(from, names::RESPONSE_FLAGS),
        code_details: owned(from, names::CODE_DETAILS),
        request_id: owned(from, names::REQUEST_ID),
        grpc_status: number(from, names::GRPC_STATUS),
        request_headers: headers(from, names::REQUEST_HEADER),
        response_headers: headers(from, names::RESPONSE_HEADER),
        request_body,
        request_body_omitted,
        response_body,
        response_body_omitted,
        trace_id: id(trace_id, 16),
        span_id: id(span_id, 8),
    }
}

fn is_request(record: &LogRecord) -> bool {
    record.event_name == names::EVENT || is_named_request(&record.attributes)
}

fn event(record: &LogRecord, now: i64) -> RequestEvent {
    let time = [record.time_unix_nano, record.observed_time_unix_nano].into_iter().find(|time| *time > 0);
    let time = time.map_or(now, |time| i64::try_from(time).unwrap_or(i64::MAX));
    RequestEvent { time, ..described(&record.attributes, &record.trace_id, &record.span_id) }
}
