//! The request log as OTLP log records.

use gatelens_model::{attribute, value};

use super::proto::Message;
use super::{Resource, SCHEMA_URL, encode_scope, route_attribute};
use crate::request::event::{Event, Header};
use gatelens_model::OmissionReason;
use gatelens_redact::capture::CapturedBody;

/// Attributes with the bodies of requests and of responses.
pub(super) const CONTENT: [&str; 2] = [attribute::REQUEST_BODY, attribute::RESPONSE_BODY];

/// Attributes with the omission reason of a body.
pub(super) const OMITTED: [&str; 2] = [attribute::REQUEST_BODY_OMITTED, attribute::RESPONSE_BODY_OMITTED];

const SEVERITY_INFO: u64 = 9;
const SEVERITY_ERROR: u64 = 17;

/// Writes one event as `log_records` (field 2 of `ScopeLogs`).
pub fn encode_record(event: &Event<'_>, out: &mut Vec<u8>) {
    out.nested(2, |out| {
        let status = event.status;
        out.fixed64(1, event.start_ns);
        out.varint(2, if event.ending().is_error() { SEVERITY_ERROR } else { SEVERITY_INFO });
        out.string_attribute(6, attribute::CONSUMER_ID, event.consumer);
        if event.consumer_trusted {
            out.flag_attribute(6, attribute::CONSUMER_TRUSTED);
        }
        text(out, attribute::CONSUMER_NAME, event.consumer_name);
        text(out, attribute::CONSUMER_GROUP, event.consumer_group);
        out.string_attribute(6, attribute::METHOD, event.method.name());
        text(out, attribute::METHOD_ORIGINAL, event.method_original);
        if let Some(scheme) = event.scheme.name() {
            out.string_attribute(6, attribute::URL_SCHEME, scheme);
        }
        text(out, attribute::SERVER_ADDRESS, event.server_address);
        if let Some(port) = event.server_port {
            out.int_attribute(6, attribute::SERVER_PORT, u64::from(port));
        }
        if let Some(protocol) = event.protocol {
            out.string_attribute(6, attribute::PROTOCOL_VERSION, protocol.version());
        }
        text(out, attribute::UPSTREAM_CLUSTER, event.upstream_cluster);
        out.string_attribute(6, route_attribute(event.direction), event.route);
        if let Some(source) = event.route_source.name() {
            out.string_attribute(6, attribute::ROUTE_SOURCE, source);
        }
        text(out, attribute::URL_PATH, event.path);
        text(out, attribute::URL_QUERY, event.query);
        if let Some(code) = status.code() {
            out.int_attribute(6, attribute::STATUS_CODE, u64::from(code));
        }
        if let Some(status) = event.grpc_status {
            out.string_attribute(6, attribute::RPC_STATUS_CODE, status.name());
        }
        if let Some(error) = event.error {
            out.string_attribute(6, attribute::ERROR_TYPE, &error.name(event.ending()));
        }
        out.int_attribute(6, attribute::DURATION_NS, event.measurement.duration_ns);
        if let Some(upstream_ns) = event.measurement.upstream_ns {
            out.int_attribute(6, attribute::UPSTREAM_DURATION_NS, upstream_ns);
        }
        out.int_attribute(6, attribute::REQUEST_BODY_SIZE, event.measurement.request_bytes);
        out.int_attribute(6, attribute::RESPONSE_BODY_SIZE, event.measurement.response_bytes);
        text(out, attribute::CLIENT_ADDRESS, event.client_address);
        if let Some(port) = event.client_port {
            out.int_attribute(6, attribute::CLIENT_PORT, u64::from(port));
        }
        text(out, attribute::USER_AGENT, event.user_agent);
        if event.measurement.attempts != 1 {
            out.int_attribute(6, attribute::ATTEMPTS, event.measurement.attempts);
        }
        if event.measurement.attempts > 1 {
            out.int_attribute(6, attribute::RESEND_COUNT, event.measurement.attempts.saturating_sub(1));
        }
        if event.weight > 1.0 {
            out.double_attribute(6, attribute::SAMPLE_WEIGHT, event.weight);
        }
        text(out, attribute::REQUEST_ID, event.request_id);
        text(out, attribute::RESPONSE_FLAGS, event.response_flags);
        text(out, attribute::RESPONSE_CODE_DETAILS, event.response_code_details);
        headers(out, attribute::REQUEST_HEADER, event.request_headers);
        headers(out, attribute::RESPONSE_HEADER, event.response_headers);
        let bodies = [event.request_body, event.response_body];
        for (body_of, (content, omitted)) in bodies.into_iter().zip(CONTENT.into_iter().zip(OMITTED)) {
            body(out, content, omitted, body_of);
        }
        if let Some(trace) = event.trace {
            out.fixed32(8, u32::from(trace.flags));
            out.bytes(9, &trace.trace_id);
            out.bytes(10, &trace.span_id);
        }
        out.fixed64(11, event.start_ns.saturating_add(event.measurement.duration_ns));
        out.string(12, value::EVENT_NAME);
    });
}

fn headers(out: &mut Vec<u8>, prefix: &str, headers: &[Header<'_>]) {
    for same in headers.chunk_by(|(a, _), (b, _)| a == b) {
        if let Some((name, _)) = same.first() {
            out.strings_attribute(6, prefix, name, same.iter().map(|(_, value)| &**value));
        }
    }
}

fn body(out: &mut Vec<u8>, content: &str, omitted: &str, body: Option<&CapturedBody>) {
    match body.map(|body| &body.content) {
        // The size already shows that there was none.
        None | Some(Err(OmissionReason::NoBody)) => {}
        Some(Ok(text)) => out.string_attribute(6, content, text),
        Some(Err(reason)) => out.string_attribute(6, omitted, reason.name()),
    }
}

fn text(out: &mut Vec<u8>, key: &str, value: &str) {
    if !value.is_empty() {
        out.string_attribute(6, key, value);
    }
}

/// Makes a `resource_logs` (field 1 of `ExportLogsServiceRequest`) of records written by [`encode_record`]; such fields
/// laid end to end are a request.
pub fn encode_portion(resource: &Resource, instance: &str, records: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.len().saturating_add(1_024));
    out.nested(1, |out| {
        resource.encode(instance, out);
        out.nested(2, |out| {
            encode_scope(out);
            out.extend_from_slice(records);
            out.string(3, SCHEMA_URL);
        });
        out.string(3, SCHEMA_URL);
    });
    out
}
