//! From OTLP to the model: the only place that knows both.

mod attributes;
mod captured;
mod json;
mod logs;
mod metrics;
mod redaction;
mod report;
mod scan;
mod sketch;
mod spans;

use crate::model::{Identity, MetricBatch, RequestBatch, Signal};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

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
    /// The request log, and the number of records or spans that are not requests.
    Requests(RequestBatch, u64),
}

/// Why a body is not a batch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the body holds too many records, points or attributes: send it in smaller batches")]
    TooMany,
    #[error("the body is not an OTLP export in {}: {detail}", match encoding { Encoding::Protobuf => "protobuf", Encoding::Json => "JSON" })]
    Malformed { encoding: Encoding, detail: String },
}

/// How far a body may unfold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of protobuf that JSON may become.
    pub(crate) bytes: usize,
    /// Messages within, in units of some 64 bytes of memory.
    pub(crate) messages: usize,
}

/// Reads a body. `now` (Unix nanoseconds) stands in for missing times.
pub(crate) fn read(
    (signal, encoding): (Signal, Encoding),
    body: &[u8],
    bounds: Bounds,
    identity: Option<Identity>,
    now: i64,
) -> Result<Batch, Unreadable> {
    let malformed = |detail| Unreadable::Malformed { encoding, detail };
    let transcoded;
    let body = match encoding {
        Encoding::Protobuf => body,
        Encoding::Json => {
            transcoded = json::to_protobuf(signal, body, bounds.bytes).map_err(malformed)?;
            &transcoded
        }
    };
    scan::weigh(signal, body, bounds.messages).map_err(|unfit| match unfit {
        scan::Unfit::TooHeavy => Unreadable::TooMany,
        scan::Unfit::Malformed => malformed("the lengths of its fields do not match".to_owned()),
    })?;
    let undecoded = |error: prost::DecodeError| malformed(error.to_string());
    Ok(match signal {
        Signal::Metrics => {
            let export = ExportMetricsServiceRequest::decode(body).map_err(undecoded)?;
            Batch::Counts(metrics::read_metrics(export, identity, now))
        }
        Signal::Logs => {
            let export = ExportLogsServiceRequest::decode(body).map_err(undecoded)?;
            let (batch, others) = logs::read_logs(&export, identity, now);
            Batch::Requests(batch, others)
        }
        Signal::Traces => {
            let export = ExportTraceServiceRequest::decode(body).map_err(undecoded)?;
            let (batch, others) = spans::read_spans(&export, identity, now);
            Batch::Requests(batch, others)
        }
    })
}
