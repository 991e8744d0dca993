//! The request log as OTLP log records.

use super::proto::Message;
use super::{Resource, encode_scope};
use crate::capture::CapturedBody;
use crate::event::{Event, Header};
use crate::redact::Reason;

/// `event_name` of every record.
pub const EVENT_NAME: &str = "gatelens.request";

/// Attributes with the bodies of requests and of responses.
pub(super) const CONTENT: [&str; 2] = ["gatelens.request.body.content", "gatelens.response.body.content"];

/// Attributes that say why a body is not there.
pub(super) const OMITTED: [&str; 2] = ["gatelens.request.body.omitted", "gatelens.response.body.omitted"];

const SEVERITY_INFO: u64 = 9;
const SEVERITY_ERROR: u64 = 17;

/// Writes one event as `log_records` (field 2 of `ScopeLogs`).
pub fn encode_record(event: &Event<'_>, out: &mut Vec<u8>) {
    out.nested(2, |out| {
        let status = event.status;
        out.fixed64(1, event.start_ns);
        out.varint(2, if status.is_error() { SEVERITY_ERROR } else { SEVERITY_INFO });
        out.string_attribute(6, "gatelens.consumer.id", event.consumer);
        if event.consumer_trusted {
            out.flag_attribute(6, "gatelens.consumer.trusted");
        }
        out.string_attribute(6, "http.request.method", event.method.name());
        text(out, "http.request.method_original", event.method_original);
        out.string_attribute(6, "http.route", event.route);
        text(out, "url.path", event.path);
        text(out, "url.query", event.query);
        if let Some(code) = status.code() {
            out.int_attribute(6, "http.response.status_code", u64::from(code));
        }
        if let Some(code) = event.grpc_status {
            out.int_attribute(6, "rpc.grpc.status_code", code);
        }
        if let Some(error) = event.error {
            out.string_attribute(6, "error.type", &error.name(status));
        }
        out.int_attribute(6, "gatelens.duration_ns", event.measurement.duration_ns);
        if let Some(upstream_ns) = event.measurement.upstream_ns {
            out.int_attribute(6, "gatelens.upstream.duration_ns", upstream_ns);
        }
        out.int_attribute(6, "http.request.body.size", event.measurement.request_bytes);
        out.int_attribute(6, "http.response.body.size", event.measurement.response_bytes);
        text(out, "client.address", event.client_address);
        if let Some(port) = event.client_port {
            out.int_attribute(6, "client.port", u64::from(port));
        }
        text(out, "user_agent.original", event.user_agent);
        if event.measurement.attempts > 1 {
            out.int_attribute(6, "http.request.resend_count", event.measurement.attempts.saturating_sub(1));
        }
        text(out, "gatelens.request_id", event.request_id);
        text(out, "gatelens.response_flags", event.response_flags);
        text(out, "gatelens.response_code_details", event.response_code_details);
        headers(out, "http.request.header", event.request_headers);
        headers(out, "http.response.header", event.response_headers);
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
        out.string(12, EVENT_NAME);
    });
}

fn headers(out: &mut Vec<u8>, namespace: &str, headers: &[Header<'_>]) {
    for same in headers.chunk_by(|(a, _), (b, _)| a == b) {
        if let Some((name, _)) = same.first() {
            out.strings_attribute(6, namespace, name, same.iter().map(|(_, value)| &**value));
        }
    }
}

fn body(out: &mut Vec<u8>, content: &str, omitted: &str, body: Option<&CapturedBody>) {
    match body.map(|body| &body.content) {
        // The size says that there was none.
        None | Some(Err(Reason::NoBody)) => {}
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
        });
    });
    out
}
