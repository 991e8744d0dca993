//! A request as the answer shows it.

use super::place::hex;
use crate::query::range::rfc3339;
use crate::wire::RequestEvent;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

const NANOS_PER_MS: f64 = 1e6;

/// Values by name; a header that was sent in several lines has several.
type Headers = BTreeMap<String, Vec<String>>;

#[derive(Serialize)]
pub(super) struct Row {
    time: String,
    consumer: String,
    consumer_trusted: bool,
    method: String,
    method_original: Option<String>,
    route: String,
    path: Option<String>,
    query: Option<String>,
    status: u16,
    grpc_status: Option<u64>,
    duration_ms: Option<f64>,
    upstream_ms: Option<f64>,
    resend_count: Option<u64>,
    request_bytes: Option<u64>,
    response_bytes: Option<u64>,
    client_address: Option<String>,
    client_port: Option<u64>,
    user_agent: Option<String>,
    request_id: Option<String>,
    trace_id: Option<String>,
    span_id: Option<String>,
    response_flags: Option<String>,
    code_details: Option<String>,
    error_type: Option<String>,
    request_headers: Option<Headers>,
    response_headers: Option<Headers>,
    request_body: Option<String>,
    /// Why there is no body where there could be one.
    request_body_omitted: Option<String>,
    response_body: Option<String>,
    response_body_omitted: Option<String>,
    gateway: Arc<str>,
    service: Arc<str>,
    environment: Arc<str>,
}

/// Who reported a request.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) gateway: Arc<str>,
    pub(super) service: Arc<str>,
    pub(super) environment: Arc<str>,
}

impl Row {
    pub(super) fn of(event: RequestEvent, sender: Sender) -> Self {
        let ms = |nanos: Option<u64>| nanos.map(|nanos| nanos as f64 / NANOS_PER_MS);
        let id = |bytes: &[u8]| (!bytes.is_empty()).then(|| hex(bytes));
        // Headers that cannot be read are damaged, and are as if they had not been captured.
        let headers = |text: Option<String>| serde_json::from_str(&text?).ok();
        Self {
            time: rfc3339(event.time),
            trace_id: id(&event.trace_id),
            span_id: id(&event.span_id),
            consumer: event.consumer,
            consumer_trusted: event.consumer_trusted,
            method: event.method,
            method_original: event.method_original,
            route: event.route,
            path: event.path,
            query: event.query,
            status: event.status,
            grpc_status: event.grpc_status,
            duration_ms: ms(event.duration_ns),
            upstream_ms: ms(event.upstream_ns),
            resend_count: event.resend_count,
            request_bytes: event.request_bytes,
            response_bytes: event.response_bytes,
            client_address: event.client_address,
            client_port: event.client_port,
            user_agent: event.user_agent,
            request_id: event.request_id,
            response_flags: event.response_flags,
            code_details: event.code_details,
            error_type: event.error_type,
            request_headers: headers(event.request_headers),
            response_headers: headers(event.response_headers),
            request_body: event.request_body,
            request_body_omitted: event.request_body_omitted,
            response_body: event.response_body,
            response_body_omitted: event.response_body_omitted,
            gateway: sender.gateway,
            service: sender.service,
            environment: sender.environment,
        }
    }

    /// Bytes that it takes in the answer.
    pub(super) fn json_bytes(&self) -> usize {
        let mut counted = Counted(0);
        // A row that cannot be written fails with the answer.
        let _ = serde_json::to_writer(&mut counted, self);
        counted.0
    }
}

/// Bytes written, and not kept.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
