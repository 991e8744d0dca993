//! `POST /v1/metrics` and `/v1/logs`, as the OTLP/HTTP specification has them.

use super::State;
use super::body::{self, Held, Packing, Share};
use crate::clock;
use crate::error::{Encoding, ReceiveError};
use crate::limits::Limits;
use crate::store::{Refused, Stored};
use crate::wire::{Identity, Signal, Unfit, read_logs, read_metrics, weigh};
use axum::body::Body;
use axum::extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceResponse,
};
use prost::Message;
use std::sync::Arc;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const INSTANCE: &str = "x-gatelens-instance";
const EPOCH: &str = "x-gatelens-epoch";
const SEQUENCE: &str = "x-gatelens-sequence";
const MAX_INSTANCE_BYTES: usize = 256;

/// Counters.
pub(super) async fn metrics(
    extract::State(state): extract::State<Arc<State>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match store_metrics(&state, &headers, body).await {
        Ok(answer) => protobuf(&answer),
        Err(error) => error.into_response(encoding(&headers)),
    }
}

/// The request log.
pub(super) async fn logs(
    extract::State(state): extract::State<Arc<State>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    match store_logs(&state, &headers, body).await {
        Ok(answer) => protobuf(&answer),
        Err(error) => error.into_response(encoding(&headers)),
    }
}

async fn store_metrics(
    state: &Arc<State>,
    headers: &HeaderMap,
    body: Body,
) -> Result<ExportMetricsServiceResponse, ReceiveError> {
    let identity = identity(headers)?;
    let (batch, share) = decode(state, headers, body, Signal::Metrics, |request| {
        read_metrics(request, identity, clock::now())
    })
    .await?;
    let writing = Arc::clone(state);
    let stored = to_its_end(async move { (writing.writers.metrics(batch).await, share) }).await?;
    let rejected = match stored? {
        Stored::Repeat | Stored::New { rejected: 0 } => None,
        Stored::New { rejected } => Some(ExportMetricsPartialSuccess {
            rejected_data_points: i64::try_from(rejected).unwrap_or(i64::MAX),
            error_message: "the store holds as many series as it may".to_owned(),
        }),
    };
    Ok(ExportMetricsServiceResponse { partial_success: rejected })
}

async fn store_logs(
    state: &Arc<State>,
    headers: &HeaderMap,
    body: Body,
) -> Result<ExportLogsServiceResponse, ReceiveError> {
    let identity = identity(headers)?;
    let ((batch, others), share) =
        decode(state, headers, body, Signal::Logs, |request| read_logs(request, identity, clock::now()))
            .await?;
    let writing = Arc::clone(state);
    to_its_end(async move { (writing.writers.requests(batch, Signal::Logs).await, share) }).await??;
    let rejected = (others > 0).then(|| ExportLogsPartialSuccess {
        rejected_log_records: i64::try_from(others).unwrap_or(i64::MAX),
        error_message: "only records of HTTP requests are kept: they have http.request.method".to_owned(),
    });
    Ok(ExportLogsServiceResponse { partial_success: rejected })
}

/// Stores a batch even when its sender has gone meanwhile, and keeps its share of the memory as long as it lives.
async fn to_its_end<T: Send + 'static>(
    storing: impl Future<Output = (T, Share)> + Send + 'static,
) -> Result<T, ReceiveError> {
    let (stored, _share) = tokio::spawn(storing).await.map_err(|_| Refused::Stopped)?;
    Ok(stored)
}

/// Takes in a body, and reads it on a thread that may block. The share of memory is held until the batch is stored.
async fn decode<M, B>(
    state: &State,
    headers: &HeaderMap,
    body: Body,
    signal: Signal,
    read: impl FnOnce(M) -> B + Send + 'static,
) -> Result<(B, Share), ReceiveError>
where
    M: Message + Default,
    B: Send + 'static,
{
    check_type(headers)?;
    let packing = Packing::of(headers)?;
    let Limits { body_bytes, body_timeout, messages, .. } = state.limits;
    let held = body::receive(body, &state.memory, body_bytes, body_timeout).await?;
    let place = Arc::clone(&state.decoders).acquire_owned().await.map_err(|_| ReceiveError::Busy)?;
    let decoding = tokio::task::spawn_blocking(move || {
        // Held here, since the work goes on when the sender has gone.
        let _place = place;
        let held: Held = held.unpack(packing)?;
        weigh(signal, &held.bytes, messages).map_err(|unfit| match unfit {
            Unfit::TooHeavy => ReceiveError::TooMany,
            Unfit::Malformed => malformed("its fields do not add up"),
        })?;
        let message = M::decode(held.bytes.as_slice()).map_err(|error| malformed(&error.to_string()))?;
        Ok((read(message), held.into_share()))
    });
    decoding.await.map_err(|_| malformed("it could not be decoded"))?
}

fn malformed(detail: &str) -> ReceiveError {
    ReceiveError::Malformed(format!("the body is no OTLP export in protobuf: {detail}"))
}

fn check_type(headers: &HeaderMap) -> Result<(), ReceiveError> {
    let found = media_type(headers);
    if found.as_deref() == Some(PROTOBUF) {
        return Ok(());
    }
    Err(ReceiveError::Unsupported(match found.as_deref() {
        Some(JSON) => format!("OTLP in JSON is not read yet: send {PROTOBUF}"),
        Some(other) => format!("content-type {other:?} is not OTLP: send {PROTOBUF}"),
        None => format!("there is no content-type: send {PROTOBUF}"),
    }))
}

fn encoding(headers: &HeaderMap) -> Encoding {
    if media_type(headers).as_deref() == Some(JSON) { Encoding::Json } else { Encoding::Protobuf }
}

/// The media type without its parameters, in lower case.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = value.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}

/// The identity of a request: all of its three headers, or none.
fn identity(headers: &HeaderMap) -> Result<Option<Identity>, ReceiveError> {
    let found = [INSTANCE, EPOCH, SEQUENCE].map(|name| headers.get(name));
    let [Some(instance), Some(epoch), Some(sequence)] = found else {
        return match found {
            [None, None, None] => Ok(None),
            _ => Err(ReceiveError::Malformed(format!("{INSTANCE}, {EPOCH} and {SEQUENCE} go together"))),
        };
    };
    let wrong = |name: &str, meant: &str| ReceiveError::Malformed(format!("{name} is to be {meant}"));
    // Envoy lets bytes beyond ASCII pass in a value; they need not be UTF-8.
    let instance = String::from_utf8_lossy(instance.as_bytes()).into_owned();
    if instance.is_empty() || instance.len() > MAX_INSTANCE_BYTES {
        return Err(wrong(INSTANCE, "1 to 256 bytes"));
    }
    let epoch = epoch.to_str().unwrap_or_default();
    if epoch.len() != 16 || !epoch.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(wrong(EPOCH, "16 hex digits"));
    }
    let sequence = sequence.to_str().ok().and_then(|text| text.parse().ok());
    let sequence = sequence.filter(|number| (1..=i64::MAX as u64).contains(number));
    let sequence = sequence.ok_or_else(|| wrong(SEQUENCE, "a decimal number from 1"))?;
    Ok(Some(Identity { instance, epoch: epoch.to_ascii_lowercase(), sequence }))
}

fn protobuf(message: &impl Message) -> Response {
    (StatusCode::OK, [(header::CONTENT_TYPE, PROTOBUF)], message.encode_to_vec()).into_response()
}
