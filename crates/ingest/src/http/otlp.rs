//! `POST /v1/metrics`, `/v1/logs` and `/v1/traces`, as the OTLP/HTTP specification has them.

use super::access::Client;
use super::body::{self, Held, Packing};
use super::memory::{Account, Share};
use super::peers::Peer;
use super::{State, hand_back};
use crate::auth::Principal;
use crate::clock;
use crate::error::ReceiveError;
use crate::issues::{self, Seen};
use crate::learning;
use crate::limits::Limits;
use crate::model::{Identity, Rejections, Scope, Signal, SpanPart, labelled};
use crate::stats::SenderName;
use crate::store::{Refused, Stored};
use crate::wire::{self, Batch, Budget, Encoding};
use axum::body::Body;
use axum::extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use prost::Message;
use serde_json::json;
use std::sync::Arc;

const PROTOBUF: &str = "application/x-protobuf";
pub(super) const JSON: &str = "application/json";
const INSTANCE: &str = "x-gatelens-instance";
const EPOCH: &str = "x-gatelens-epoch";
const SEQUENCE: &str = "x-gatelens-sequence";
const MAX_INSTANCE_BYTES: usize = 256;

/// Takes in one export, stores it and answers.
pub(super) async fn receive(
    signal: Signal,
    extract::State(state): extract::State<Arc<State>>,
    extract::Extension(principal): extract::Extension<Principal>,
    client: Option<extract::Extension<Client>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let peer = client.map(|extract::Extension(client)| Peer::of_sender(&principal, client.address));
    // A sender of another media type gets its answer in protobuf.
    let encoding = encoding(&headers);
    let stored = store(&state, (&principal, peer, signal), encoding.as_ref().copied(), &headers, body).await;
    let encoding = encoding.unwrap_or(Encoding::Protobuf);
    match stored {
        Ok(Taken { rejected, gateway }) => {
            let answer = success(signal, encoding, &rejected);
            hand_back::name_version(answer, gateway.and_then(|scope| state.patterns.get(&scope)))
        }
        Err(error) => {
            state.stats.refused(SenderName::by_token(&principal).as_ref(), signal, error.code());
            if matches!(error, ReceiveError::OtherEnvironment { .. }) {
                state.stats.refused_by(error.code());
            }
            error.into_response(encoding)
        }
    }
}

/// An export that was stored.
struct Taken {
    rejected: Rejections,
    /// The scope of its sender, if that is a gateway of ours.
    gateway: Option<Scope>,
}

async fn store(
    state: &Arc<State>,
    (principal, peer, signal): (&Principal, Option<Peer>, Signal),
    encoding: Result<Encoding, &ReceiveError>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Taken, ReceiveError> {
    let head = encoding
        .map_err(|error| ReceiveError::Unsupported(error.to_string()))
        .and_then(|encoding| Ok((encoding, Packing::of(headers)?, identity(headers)?)));
    let (encoding, packing, identity) = match head {
        Ok(head) => head,
        Err(refusal) => {
            let Limits { body_bytes, body_timeout, .. } = state.limits;
            // The outcome does not change the answer.
            let _ = tokio::time::timeout(body_timeout, body::discard(body, body_bytes)).await;
            return Err(refusal);
        }
    };
    let (batch, seen, share) = decode(state, packing, body, ((signal, encoding), peer), identity).await?;
    check_environments(principal, &batch)?;
    let sender = SenderName::of(principal, first_environment(&batch));
    match batch {
        Batch::Counts(mut batch) => {
            batch.standing = principal.standing();
            let gateway = batch.identity.as_ref().and(batch.parts.first()).map(|part| part.gateway.scope());
            let mut rejected = batch.rejected;
            let points: u64 = batch.parts.iter().map(|part| part.points.len() as u64).sum();
            let writing = Arc::clone(state);
            let (stored, observed) =
                to_its_end(async move { (writing.writers.metrics(batch).await, share) }).await??;
            state.stats.observed(state.learning.observe(observed));
            rejected.merge(&stored.rejected());
            state.stats.stored((&sender, signal), stored, points, &rejected);
            Ok(Taken { rejected, gateway })
        }
        Batch::Requests(mut batch) => {
            batch.standing = principal.standing();
            let mut rejected = batch.rejected;
            let gateway = batch.identity.as_ref().and(batch.parts.first()).map(|part| part.gateway.scope());
            let spans = std::mem::take(&mut batch.spans);
            let observed = learning::observed(&batch);
            let samples = state.drift.choose(&batch);
            let labelled = labelled(&batch);
            let events: u64 = batch.parts.iter().map(|part| part.events.len() as u64).sum();
            let writing = Arc::clone(state);
            let identity = batch.identity.clone().map(|identity| (identity, signal));
            let storing = async move {
                let stored = writing.writers.requests(batch, signal).await;
                // Of a repeat, too: the service may have stopped between the batch and its issues, which know their batches.
                // A batch with records that were not admitted belongs to no issue: which of its failures are in the log is not known here.
                // What another replica has taken in it has counted.
                let counts = |stored: &Stored| stored.rejected().total() == 0 && !stored.is_elsewhere();
                if stored.as_ref().is_ok_and(counts) && !seen.is_empty() {
                    add_issues(&writing, seen, identity).await;
                }
                if matches!(stored, Ok(Stored::New { .. })) && !spans.is_empty() {
                    add_spans(&writing, spans).await;
                }
                (stored, share)
            };
            let stored = to_its_end(storing).await??;
            rejected.merge(&stored.rejected());
            state.stats.stored((&sender, signal), stored, events, &rejected);
            if !matches!(stored, Stored::Repeat) {
                // Gateways repeat names and groups every ten minutes, so that one that cannot be stored is only late.
                if !labelled.is_empty()
                    && let Err(error) = state.writers.labels(labelled).await
                {
                    tracing::warn!(%error, "names and groups of consumers are not stored");
                }
                state.stats.observed(state.learning.observe(observed));
                if stored.rejected().total() == 0 {
                    state.stats.sampled(state.drift.observe(samples));
                }
            }
            Ok(Taken { rejected, gateway })
        }
    }
}

/// Adds failed requests to their issues. The batch is stored: what goes wrong here costs counts of issues, and not the batch.
async fn add_issues(state: &State, seen: Seen, batch: Option<(Identity, Signal)>) {
    if seen.left_out() > 0 {
        tracing::warn!(
            requests = seen.left_out(),
            "a batch has too many kinds of failures: some belong to no issue"
        );
    }
    if let Err(error) = state.writers.add_issues(seen, batch).await {
        tracing::warn!(%error, "failed requests are not added to their issues");
    }
}

/// Keeps spans of applications. They are a help: what goes wrong here costs them, and not the batch.
async fn add_spans(state: &State, spans: Vec<SpanPart>) {
    if let Err(error) = state.writers.add_spans(spans).await {
        tracing::warn!(%error, "spans of an application are not kept");
    }
}

/// The environment of the first resource.
fn first_environment(batch: &Batch) -> &str {
    let first = match batch {
        Batch::Counts(batch) => batch.parts.first().map(|part| &part.gateway),
        Batch::Requests(batch) => batch.parts.first().map(|part| &part.gateway),
    };
    first.map_or("", |gateway| &gateway.environment)
}

/// Refuses a batch that reports for an environment of others.
fn check_environments(principal: &Principal, batch: &Batch) -> Result<(), ReceiveError> {
    let (identity, mut gateways): (_, Box<dyn Iterator<Item = _>>) = match batch {
        Batch::Counts(batch) => (&batch.identity, Box::new(batch.parts.iter().map(|part| &part.gateway))),
        Batch::Requests(batch) => (&batch.identity, Box::new(batch.parts.iter().map(|part| &part.gateway))),
    };
    // A resource of which nothing is stored is not among the gateways, and its sequence number is noted all the same.
    if let Some(identity) = identity {
        principal.check_environment(&identity.environment)?;
    }
    gateways.try_for_each(|gateway| principal.check_environment(&gateway.environment))
}

/// Stores a batch even when its sender has gone meanwhile, and keeps its share of the memory as long as it lives.
async fn to_its_end<T: Send + 'static>(
    storing: impl Future<Output = (T, Share)> + Send + 'static,
) -> Result<T, ReceiveError> {
    let (stored, _share) = tokio::spawn(storing).await.map_err(|_| Refused::Stopped)?;
    Ok(stored)
}

/// Takes in a body, and reads it on a thread that may block, with the failed requests of a log by issue. The share of memory is held until the batch is stored.
async fn decode(
    state: &State,
    packing: Packing,
    body: Body,
    (kind, peer): ((Signal, Encoding), Option<Peer>),
    identity: Option<Identity>,
) -> Result<(Batch, Seen, Share), ReceiveError> {
    let Limits { body_bytes, body_timeout, decoded_bytes, .. } = state.limits;
    let decoded_bytes = decoded_bytes.min(state.memory.for_one());
    let account = Account { peer, signal: Some(kind.0) };
    let held = body::receive(body, state.memory.share(account), body_bytes, body_timeout).await?;
    state.stats.received(kind.0, held.bytes.len());
    let place = state.decoders.place(kind.0, peer).await;
    let patterns = Arc::clone(&state.patterns);
    let decoding = tokio::task::spawn_blocking(move || {
        // Held here, because the work continues after the sender has gone.
        let _place = place;
        let held: Held = held.unpack(packing)?;
        let mut share = held.share();
        let mut hold = |bytes| share.grow(bytes).is_ok();
        let mut budget = Budget::new(decoded_bytes, &mut hold);
        let batch = wire::read(kind, &held.bytes, body_bytes, &mut budget, identity, clock::now())?;
        let seen = match &batch {
            Batch::Requests(batch) => issues::observe(batch, &patterns),
            Batch::Counts(_) => Seen::default(),
        };
        Ok((batch, seen, share))
    });
    decoding.await.map_err(|_| ReceiveError::Malformed("the body could not be decoded".to_owned()))?
}

/// How a body is written, by its media type.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, ReceiveError> {
    let found = media_type(headers);
    match found.as_deref() {
        Some(PROTOBUF) => Ok(Encoding::Protobuf),
        Some(JSON) => Ok(Encoding::Json),
        Some(other) => Err(ReceiveError::Unsupported(format!(
            "content-type {other:?} is not OTLP: send {PROTOBUF} or {JSON}"
        ))),
        None => {
            Err(ReceiveError::Unsupported(format!("there is no content-type: send {PROTOBUF} or {JSON}")))
        }
    }
}

/// The media type without its parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
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
            _ => Err(ReceiveError::Malformed(format!(
                "{INSTANCE}, {EPOCH} and {SEQUENCE} must be sent together"
            ))),
        };
    };
    let wrong = |name: &str, meant: &str| ReceiveError::Malformed(format!("{name} must be {meant}"));
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
    Ok(Some(Identity { instance, epoch: epoch.to_ascii_lowercase(), environment: Arc::default(), sequence }))
}

/// `ExportLogsServiceResponse` and its like, which are the same on the wire.
#[derive(Clone, PartialEq, Message)]
struct Answer {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

fn success(signal: Signal, encoding: Encoding, rejected: &Rejections) -> Response {
    let (count, reason) = (rejected.total(), rejected.to_string());
    match encoding {
        Encoding::Protobuf => {
            let rejected = i64::try_from(count).unwrap_or(i64::MAX);
            let partial_success = (count > 0).then_some(PartialSuccess { rejected, error_message: reason });
            (StatusCode::OK, [(header::CONTENT_TYPE, PROTOBUF)], Answer { partial_success }.encode_to_vec())
                .into_response()
        }
        Encoding::Json => {
            let name = match signal {
                Signal::Metrics => "rejectedDataPoints",
                Signal::Logs => "rejectedLogRecords",
                Signal::Traces => "rejectedSpans",
            };
            let body = match count {
                0 => json!({}),
                // 64-bit integers are strings in JSON.
                _ => json!({"partialSuccess": {name: count.to_string(), "errorMessage": reason}}),
            };
            (StatusCode::OK, [(header::CONTENT_TYPE, JSON)], body.to_string()).into_response()
        }
    }
}
