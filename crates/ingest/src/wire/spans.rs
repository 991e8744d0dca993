//! OTLP spans to [`RequestBatch`]: the server's span of a request is its log record.

use super::budget::Budget;
use super::logs::{described, is_named_request};
use super::weight::Kind;
use super::{Unreadable, plausible, requests};
use crate::model::{Identity, Rejection, RequestBatch, RequestEvent};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use prost::Message;

/// Takes the requests out of an export, and counts the other spans: those within a request, or of its caller. `now` (Unix
/// nanoseconds) stands in for a missing time.
pub(crate) fn read_spans(
    body: &[u8],
    identity: Option<Identity>,
    now: i64,
    budget: &mut Budget<'_>,
) -> Result<RequestBatch, Unreadable> {
    requests::read(body, Kind::Span, identity, budget, |span| {
        let span = Span::decode(span)?;
        if !is_request(&span) {
            return Ok(Err(Rejection::OtherSpan));
        }
        let event = event(&span, now);
        Ok(plausible::time(event.time, now).map(|()| event))
    })
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
