//! Weighs a body before it is decoded: two bytes on the wire can become a record of 300 bytes in memory.

use crate::model::Signal;
use gatelens_model::varint;

/// Why a body is not worth decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    TooHeavy,
    Malformed,
}

/// Adds up the messages in a body, in units of roughly 64 bytes of decoded message, and stops beyond `limit`. The
/// walk allocates nothing.
pub(crate) fn weigh(signal: Signal, body: &[u8], limit: usize) -> Result<(), Unfit> {
    let root = match signal {
        Signal::Logs => Kind::ExportLogs,
        Signal::Metrics => Kind::ExportMetrics,
        Signal::Traces => Kind::ExportTraces,
    };
    Scan { weight: 0, limit }.message(root, body, MAX_DEPTH)
}

/// The decoder's own bound on nesting.
const MAX_DEPTH: usize = 100;

#[derive(Clone, Copy)]
enum Kind {
    ExportLogs,
    ResourceLogs,
    ScopeLogs,
    LogRecord,
    ExportMetrics,
    ResourceMetrics,
    ScopeMetrics,
    Metric,
    Numbers,
    Histograms,
    Exponentials,
    Summaries,
    NumberPoint,
    HistogramPoint,
    ExponentialPoint,
    SummaryPoint,
    Exemplar,
    ExportTraces,
    ResourceSpans,
    ScopeSpans,
    Span,
    SpanEvent,
    SpanLink,
    Resource,
    Scope,
    Entity,
    KeyValue,
    AnyValue,
    Array,
    KeyValues,
    Leaf,
}

/// The fields of a message that unfold to more than their bytes: number, kind, weight.
fn fields(kind: Kind) -> &'static [(u64, Kind, usize)] {
    match kind {
        Kind::ExportLogs => &[(1, Kind::ResourceLogs, 2)],
        Kind::ResourceLogs => &[(1, Kind::Resource, 0), (2, Kind::ScopeLogs, 4)],
        Kind::ScopeLogs => &[(1, Kind::Scope, 0), (2, Kind::LogRecord, 4)],
        Kind::LogRecord => &[(5, Kind::AnyValue, 0), (6, Kind::KeyValue, 1)],
        Kind::ExportMetrics => &[(1, Kind::ResourceMetrics, 2)],
        Kind::ResourceMetrics => &[(1, Kind::Resource, 0), (2, Kind::ScopeMetrics, 4)],
        Kind::ScopeMetrics => &[(1, Kind::Scope, 0), (2, Kind::Metric, 4)],
        Kind::Metric => &[
            (5, Kind::Numbers, 0),
            (7, Kind::Numbers, 0),
            (9, Kind::Histograms, 0),
            (10, Kind::Exponentials, 0),
            (11, Kind::Summaries, 0),
            (12, Kind::KeyValue, 1),
        ],
        Kind::Numbers => &[(1, Kind::NumberPoint, 2)],
        Kind::Histograms => &[(1, Kind::HistogramPoint, 4)],
        Kind::Exponentials => &[(1, Kind::ExponentialPoint, 5)],
        Kind::Summaries => &[(1, Kind::SummaryPoint, 2)],
        Kind::NumberPoint => &[(5, Kind::Exemplar, 3), (7, Kind::KeyValue, 1)],
        Kind::HistogramPoint => &[(8, Kind::Exemplar, 3), (9, Kind::KeyValue, 1)],
        Kind::ExponentialPoint => &[(1, Kind::KeyValue, 1), (11, Kind::Exemplar, 3)],
        Kind::SummaryPoint => &[(6, Kind::Leaf, 1), (7, Kind::KeyValue, 1)],
        Kind::Exemplar => &[(7, Kind::KeyValue, 1)],
        Kind::ExportTraces => &[(1, Kind::ResourceSpans, 2)],
        Kind::ResourceSpans => &[(1, Kind::Resource, 0), (2, Kind::ScopeSpans, 4)],
        Kind::ScopeSpans => &[(1, Kind::Scope, 0), (2, Kind::Span, 5)],
        Kind::Span => &[(9, Kind::KeyValue, 1), (11, Kind::SpanEvent, 2), (13, Kind::SpanLink, 2)],
        Kind::SpanEvent => &[(3, Kind::KeyValue, 1)],
        Kind::SpanLink => &[(4, Kind::KeyValue, 1)],
        Kind::Resource => &[(1, Kind::KeyValue, 1), (3, Kind::Entity, 2)],
        Kind::Scope => &[(3, Kind::KeyValue, 1)],
        Kind::Entity => &[(3, Kind::Leaf, 1), (4, Kind::Leaf, 1)],
        Kind::KeyValue => &[(2, Kind::AnyValue, 0)],
        Kind::AnyValue => &[(5, Kind::Array, 0), (6, Kind::KeyValues, 0)],
        Kind::Array => &[(1, Kind::AnyValue, 1)],
        Kind::KeyValues => &[(1, Kind::KeyValue, 1)],
        Kind::Leaf => &[],
    }
}

struct Scan {
    weight: usize,
    limit: usize,
}

impl Scan {
    fn message(&mut self, kind: Kind, mut rest: &[u8], depth: usize) -> Result<(), Unfit> {
        let depth = depth.checked_sub(1).ok_or(Unfit::Malformed)?;
        let fields = fields(kind);
        while !rest.is_empty() {
            let tag = varint::take(&mut rest).ok_or(Unfit::Malformed)?;
            let len = match tag & 7 {
                0 => {
                    varint::take(&mut rest).ok_or(Unfit::Malformed)?;
                    continue;
                }
                1 => 8,
                2 => varint::take(&mut rest).ok_or(Unfit::Malformed)?,
                5 => 4,
                // Groups are in none of these messages, and nothing else exists.
                _ => return Err(Unfit::Malformed),
            };
            let len = usize::try_from(len).map_err(|_| Unfit::Malformed)?;
            let (field, after) = rest.split_at_checked(len).ok_or(Unfit::Malformed)?;
            rest = after;
            let known = fields.iter().find(|(number, _, _)| tag == number << 3 | 2);
            if let Some((_, kind, weight)) = known {
                self.weight += weight;
                if self.weight > self.limit {
                    return Err(Unfit::TooHeavy);
                }
                if !matches!(kind, Kind::Leaf) {
                    self.message(*kind, field, depth)?;
                }
            }
        }
        Ok(())
    }
}
