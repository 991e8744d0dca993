//! From OTLP to the model: the only place that knows both.

mod app_spans;
mod attributes;
mod budget;
mod captured;
mod json;
mod logs;
mod metrics;
mod plausible;
mod record;
mod redaction;
mod report;
mod requests;
mod resources;
mod row;
mod sketch;
mod spans;
mod texts;
mod value;
mod walk;
mod weight;

pub(crate) use budget::Budget;

use crate::model::{Identity, MetricBatch, RequestBatch, Signal};

/// How a body is written, and how its sender wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

/// The content of one request of a sender.
#[derive(Debug)]
pub(crate) enum Batch {
    Counts(MetricBatch),
    Requests(RequestBatch),
}

/// Why a body is not a batch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error(
        "the body holds too many records, points or attributes: they would take more than {} MiB of memory; send it in smaller batches",
        limit >> 20
    )]
    TooMany { limit: usize },
    #[error("the service is receiving too much: try again")]
    NoRoom,
    #[error("the body is not an OTLP export in {}: {detail}", match encoding { Encoding::Protobuf => "protobuf", Encoding::Json => "JSON" })]
    Malformed { encoding: Encoding, detail: String },
}

impl Unreadable {
    fn protobuf(detail: impl Into<String>) -> Self {
        Self::Malformed { encoding: Encoding::Protobuf, detail: detail.into() }
    }

    fn text() -> Self {
        Self::protobuf("a text is not UTF-8")
    }
}

impl From<walk::Malformed> for Unreadable {
    fn from(_: walk::Malformed) -> Self {
        Self::protobuf("the lengths of its fields do not match")
    }
}

impl From<prost::DecodeError> for Unreadable {
    fn from(error: prost::DecodeError) -> Self {
        Self::protobuf(error.to_string())
    }
}

/// Reads a body, as far as the budget allows. `now` (Unix nanoseconds) stands in for missing times.
pub(crate) fn read(
    (signal, encoding): (Signal, Encoding),
    body: &[u8],
    max_bytes: usize,
    budget: &mut Budget<'_>,
    identity: Option<Identity>,
    now: i64,
) -> Result<Batch, Unreadable> {
    let transcoded;
    let body = match encoding {
        Encoding::Protobuf => body,
        Encoding::Json => {
            transcoded = json::to_protobuf(signal, body, max_bytes, budget)?;
            &transcoded
        }
    };
    let batch = match signal {
        Signal::Metrics => metrics::read_metrics(body, identity, now, budget).map(Batch::Counts),
        Signal::Logs => logs::read_logs(body, identity, now, budget).map(Batch::Requests),
        Signal::Traces => spans::read_spans(body, identity, now, budget).map(Batch::Requests),
    };
    // The fault of a body in JSON that became protobuf is one of its JSON.
    batch.map_err(|error| match error {
        Unreadable::Malformed { detail, .. } => Unreadable::Malformed { encoding, detail },
        other => other,
    })
}
