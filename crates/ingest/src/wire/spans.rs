//! OTLP spans to [`RequestBatch`]: the server's span of a request is its log record.

use super::app_spans::AppSpans;
use super::budget::Budget;
use super::record::Record;
use super::row::{Timed, is_named_request};
use super::weight::Kind;
use super::{Unreadable, plausible, requests};
use crate::model::{Identity, Rejection, RequestBatch};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

/// Takes the requests out of an export, and all spans of applications. `now` (Unix nanoseconds) stands in for a missing time of
/// a request.
pub(crate) fn read_spans(
    body: &[u8],
    identity: Option<Identity>,
    now: i64,
    budget: &mut Budget<'_>,
) -> Result<RequestBatch, Unreadable> {
    requests::read(body, (Kind::Span, Some(AppSpans::at(now))), identity, budget, |span| {
        if !is_request(span) {
            return Err(Rejection::OtherSpan);
        }
        let [start, end] = span.times;
        let time = if start == 0 { now } else { i64::try_from(start).unwrap_or(i64::MAX) };
        plausible::time(time, now)?;
        Ok(Timed { time, took: end.checked_sub(start).filter(|_| start > 0) })
    })
}

fn is_request(span: &Record<'_>) -> bool {
    span.span_kind == SpanKind::Server as u64 && is_named_request(span)
}
