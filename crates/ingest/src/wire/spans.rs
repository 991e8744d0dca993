//! OTLP spans to [`RequestBatch`]: the server's span of a request is its log record.

use super::attributes::gateway;
use super::logs::{append, described, is_named_request};
use crate::model::{Identity, RequestBatch, RequestEvent};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};

/// Takes the requests out of an export, and counts the spans that are none: those within a request, or of another's.
/// `now` (Unix nanoseconds) stands in for a missing time.
pub(crate) fn read_spans(
    request: &ExportTraceServiceRequest,
    identity: Option<Identity>,
    now: i64,
) -> (RequestBatch, u64) {
    let mut rejected = 0;
    let mut parts = Vec::new();
    for resource in &request.resource_spans {
        let spans = resource.scope_spans.iter().flat_map(|scope| &scope.spans);
        let (requests, others): (Vec<_>, Vec<_>) = spans.partition(|span| is_request(span));
        rejected += others.len() as u64;
        let events = requests.into_iter().map(|span| event(span, now));
        append(&mut parts, gateway(identity.as_ref(), resource.resource.as_ref()), events);
    }
    (RequestBatch { identity, parts }, rejected)
}

fn is_request(span: &Span) -> bool {
    span.kind() == SpanKind::Server && is_named_request(&span.attributes)
}

fn event(span: &Span, now: i64) -> RequestEvent {
    let mut event = described(&span.attributes, &span.trace_id, &span.span_id);
    let start = i64::try_from(span.start_time_unix_nano).unwrap_or(i64::MAX);
    event.time = if start == 0 { now } else { start };
    let took = span.end_time_unix_nano.checked_sub(span.start_time_unix_nano).filter(|_| start > 0);
    event.duration_ns = event.duration_ns.or(took);
    event
}
