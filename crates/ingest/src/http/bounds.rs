//! Bounds that hold for a request before its handler, and for an answer after it.

use super::access::{self, Client};
use super::activity::Connection;
use super::peers::{Peer, Peers, Spent};
use super::refusal::Refusal;
use super::tls::ClientCertificate;
use super::{State, body};
use axum::body::{Body, HttpBody};
use axum::extract::{self, Request};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// Answers that are smaller pass without a share of the memory for answers.
const SMALL_ANSWER_BYTES: usize = 4 << 10;
/// Seconds after which a reader may try again.
const RETRY_SECONDS: u32 = 2;

/// Who asks, by the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// `/v1/*`: gateways.
    Senders,
    /// `/healthz`: whoever restarts the service when it does not answer.
    Health,
    /// The read API, the page, metrics.
    Readers,
}

impl Audience {
    fn of(path: &str) -> Self {
        match path {
            "/healthz" => Self::Health,
            path if path.starts_with("/v1/") => Self::Senders,
            _ => Self::Readers,
        }
    }
}

/// Lets a request pass within the bounds of its client, and its answer within the memory for answers.
pub(super) async fn keep(
    extract::State(state): extract::State<Arc<State>>,
    mut request: Request,
    next: Next,
) -> Response {
    // Without a connection there is nobody to bound.
    let Some(connection) = request.extensions().get::<Connection>().cloned() else {
        return next.run(request).await;
    };
    let client = Client { address: state.proxies.client(connection.address, request.headers()) };
    let audience = Audience::of(request.uri().path());
    let peer = match audience {
        // A token has bounds of its own, so that many gateways behind one address do not share those of strangers there.
        Audience::Senders => {
            let sender = state.access.sender(access::bearer(request.headers()));
            Peer::of_sender(&sender, client.address)
        }
        Audience::Health | Audience::Readers => Peer::of(client.address),
    };
    request.extensions_mut().insert(client);
    if let Err(refusal) = admit(&state, audience, peer, &connection, &request) {
        state.stats.refused_by(refusal.code);
        return refuse(&state, audience, refusal, request).await;
    }
    if audience == Audience::Senders {
        let charged = |body| Body::new(Charged { body, peers: Arc::clone(&state.peers), peer });
        request = request.map(charged);
    }
    // The page's files are in the binary, and whoever watches the service must see it in distress.
    let has_rows = has_rows(request.uri().path());
    let response = next.run(request).await;
    if has_rows { hold(&state, peer, &connection, response) } else { response }
}

/// Whether an answer may be large.
fn has_rows(path: &str) -> bool {
    path.starts_with("/api/") || path == super::traffic::PATH
}

fn admit(
    state: &State,
    audience: Audience,
    peer: Peer,
    connection: &Connection,
    request: &Request,
) -> Result<(), Refusal> {
    let spent = match audience {
        Audience::Health => return Ok(()),
        Audience::Senders => Spent::SenderRequests,
        Audience::Readers => Spent::ReaderRequests,
    };
    let asks_senders = state.tls.as_ref().is_some_and(|tls| tls.asks_senders());
    if audience == Audience::Senders
        && asks_senders
        && request.extensions().get::<ClientCertificate>().is_none()
    {
        return Err(Refusal {
            status: StatusCode::FORBIDDEN,
            code: "client_certificate",
            message: "senders need a certificate of an authority in --client-ca: set it in the transport socket of \
                      the gateway's cluster"
                .to_owned(),
            field: None,
            retry_after: None,
        });
    }
    let now = Instant::now();
    let within = state.peers.take(peer, spent, now);
    let within = match audience {
        Audience::Senders => within.and_then(|()| state.peers.take(peer, Spent::SenderBytes, now)),
        Audience::Readers | Audience::Health => within,
    };
    within.map_err(|seconds| Refusal {
        status: StatusCode::TOO_MANY_REQUESTS,
        code: "rate",
        message: match peer {
            Peer::Address(_) => format!("this address sends too much: try again in {seconds} s"),
            Peer::Token(_) => format!("the senders with this token send too much: try again in {seconds} s"),
        },
        field: None,
        retry_after: Some(seconds),
    })?;
    if audience == Audience::Readers {
        let place = Arc::clone(&state.visitors).try_acquire_owned().map_err(|_| Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "readers",
            message: "too many readers at a time: try again".to_owned(),
            field: None,
            retry_after: Some(RETRY_SECONDS),
        })?;
        connection.activity.hold(place);
    }
    if has_rows(request.uri().path()) {
        if !state.peers.begin_reading(peer, &state.limits, now) {
            return Err(Refusal {
                status: StatusCode::SERVICE_UNAVAILABLE,
                code: "peer_readers",
                message: "too many answers to this address are under way: read them, and try again"
                    .to_owned(),
                field: None,
                retry_after: Some(RETRY_SECONDS),
            });
        }
        connection.activity.hold(Reading { peers: Arc::clone(&state.peers), peer });
    }
    Ok(())
}

/// Sets memory aside for an answer until its client has read it.
fn hold(state: &Arc<State>, peer: Peer, connection: &Connection, response: Response) -> Response {
    let bytes = response.body().size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    let Some(bytes) = bytes.filter(|bytes| *bytes >= SMALL_ANSWER_BYTES) else { return response };
    let full = || {
        state.stats.refused_by("answer_memory");
        let refusal = Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "answer_memory",
            message: "too many answers wait for their readers: read them, and try again".to_owned(),
            field: None,
            retry_after: Some(RETRY_SECONDS),
        };
        refusal.into_response()
    };
    let permits = u32::try_from(bytes).ok();
    let memory = permits.and_then(|permits| Arc::clone(&state.answers).try_acquire_many_owned(permits).ok());
    let Some(memory) = memory else { return full() };
    let limit = state.limits.answer_bytes_per_peer;
    if !state.peers.hold_answer(peer, bytes, limit, Instant::now()) {
        return full();
    }
    connection.activity.hold(Share { peers: Arc::clone(&state.peers), peer, bytes });
    connection.activity.hold(memory);
    response
}

/// A request of the read API under way.
struct Reading {
    peers: Arc<Peers>,
    peer: Peer,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.peers.end_reading(self.peer);
    }
}

/// The part of a peer in the memory for answers.
struct Share {
    peers: Arc<Peers>,
    peer: Peer,
    bytes: usize,
}

impl Drop for Share {
    fn drop(&mut self) {
        self.peers.release_answer(self.peer, self.bytes);
    }
}

async fn refuse(state: &State, audience: Audience, refusal: Refusal, request: Request) -> Response {
    let headers: HeaderMap = request.headers().clone();
    let discarding = body::discard(request.into_body(), state.limits.body_bytes);
    // The outcome does not change the answer.
    let _ = tokio::time::timeout(state.limits.body_timeout, discarding).await;
    match audience {
        Audience::Senders => refusal.into_otlp(&headers),
        Audience::Health | Audience::Readers => refusal.into_response(),
    }
}

/// A body that is charged to its sender while it arrives.
struct Charged {
    body: Body,
    peers: Arc<Peers>,
    peer: Peer,
}

impl HttpBody for Charged {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            this.peers.charge(this.peer, Spent::SenderBytes, data.len(), Instant::now());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
