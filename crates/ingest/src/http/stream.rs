//! Answers that are written piece by piece: requests as they come, and exports.

use super::State;
use super::access::Client;
use super::activity::{Activity, Connection};
use super::api::{disclosure_of, note_captured, reading};
use super::refusal::Refusal;
use crate::auth::Principal;
use crate::clock;
use crate::error::QueryError;
use crate::query::{ExportQuery, StreamQuery};
use crate::store::news::Announced;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{self, RawQuery};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

/// Pieces that wait for their client; a writer waits when there are more.
const PIECES: usize = 2;
/// Time between two parts of a stream: requests that come meanwhile are sent together.
const PACE: Duration = Duration::from_millis(500);
/// Time after which a stream without requests shows that it is alive. Proxies end silent ones after a minute or so.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What a stream begins with. A client that has lost it tries again after these milliseconds.
const OPENING: &str = "retry: 1000\n: requests as they come\n\n";
const EVENT_STREAM: &str = "text/event-stream";
/// The ID of the part that a client has read last, with which it comes back (HTML, "Server-sent events").
const LAST_EVENT_ID: &str = "last-event-id";
/// The most rows that an export has. One with as many may have left out others.
const MAX_ROWS: HeaderName = HeaderName::from_static("x-gatelens-max-rows");
/// Seconds after which a reader may try again.
const RETRY_SECONDS: u32 = 10;

type Shared = extract::State<Arc<State>>;
type From = extract::Extension<Client>;
type Who = extract::Extension<Principal>;
type Over = Option<extract::Extension<Connection>>;
type Piece = Result<Bytes, io::Error>;

/// Requests as they come, as server-sent events.
pub(super) async fn follow(
    extract::State(state): Shared,
    who: Who,
    client: From,
    over: Over,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = StreamQuery::parse(query.as_deref(), &state.limits)
        .and_then(|asked| asked.restrict(disclosure_of(&who), query.as_deref()));
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => return error.into_response(),
    };
    let Some(place) = place(&state.streams) else { return too_many(&state, "streams") };
    let (announced, begun) = state.data.news().follow();
    // What came since the client lost the stream is lost to it, too, but not unseen.
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| seen(&state, id.to_str().ok()?));
    let (out, pieces) = channel(PIECES);
    let stream = Stream {
        state,
        who: who.0,
        client: *client,
        query: query.unwrap_or_default(),
        asked,
        announced,
        seen: seen.map_or(begun, |seen| seen.min(begun)),
        out,
    };
    tokio::spawn(stream.run());
    written(EVENT_STREAM, Pieces::new(pieces, over, place)).into_response()
}

/// All requests that match, as a file.
pub(super) async fn export(
    extract::State(state): Shared,
    who: Who,
    client: From,
    over: Over,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = ExportQuery::parse(query.as_deref(), clock::now(), &state.limits)
        .and_then(|asked| asked.restrict(disclosure_of(&who), query.as_deref()));
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => return error.into_response(),
    };
    let Some(place) = place(&state.exports) else { return too_many(&state, "exports") };
    let (format, most) = (asked.format(), asked.most());
    let (out, pieces) = channel(PIECES);
    let mut export =
        Export { state, who: who.0, client: *client, query: query.unwrap_or_default(), asked, out };
    // What fails at once has a status of its own.
    let is_last = match export.write_next().await {
        Ok(is_last) => is_last,
        Err(error) => return error.into_response(),
    };
    if !is_last {
        tokio::spawn(export.run());
    }
    let mut response = written(format.media_type(), Pieces::new(pieces, over, place)).into_response();
    let headers = response.headers_mut();
    headers.insert(MAX_ROWS, HeaderValue::from(most));
    let name = format!("attachment; filename=\"requests.{}\"", format.name());
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

fn written(kind: &'static str, pieces: Pieces) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], Body::new(pieces))
}

fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(places).try_acquire_owned().ok()
}

fn too_many(state: &State, what: &'static str) -> Response {
    state.stats.refused_by(what);
    let refusal = Refusal {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: what,
        message: format!("too many {what} at a time: try again when another has ended"),
        field: None,
        retry_after: Some(RETRY_SECONDS),
    };
    refusal.into_response()
}

/// A reader who follows.
struct Stream {
    state: Arc<State>,
    who: Principal,
    client: Client,
    query: String,
    asked: StreamQuery,
    announced: broadcast::Receiver<Arc<Announced>>,
    /// Requests that were announced before what comes next.
    seen: u64,
    out: Sender<Piece>,
}

impl Stream {
    async fn run(mut self) {
        let mut stopping = self.state.stopping.subscribe();
        // Then the client comes again, and shows that it may still see this.
        let end = tokio::time::Instant::now() + self.state.limits.stream_time;
        let out = self.out.clone();
        if out.send(Ok(Bytes::from_static(OPENING.as_bytes()))).await.is_err() {
            return;
        }
        loop {
            let batches = tokio::select! {
                _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
                () = tokio::time::sleep_until(end) => return,
                () = out.closed() => return,
                batches = self.gather() => batches,
            };
            let piece = match self.part(batches).await {
                Ok(piece) => piece,
                Err(error) => {
                    // The client tries again, and gets the reason.
                    let _ = out.send(Err(io::Error::other(error.to_string()))).await;
                    return;
                }
            };
            tokio::select! {
                _ = stopping.wait_for(|is_stopping| *is_stopping) => return,
                sent = out.send(Ok(piece)) => {
                    if sent.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// What comes within a moment; nothing when nothing comes for a while.
    async fn gather(&mut self) -> Vec<Arc<Announced>> {
        let mut batches = Vec::new();
        match tokio::time::timeout(HEARTBEAT, self.announced.recv()).await {
            Ok(Ok(first)) => batches.push(first),
            // Their numbers tell how many there were.
            Ok(Err(_)) => {}
            Err(_) => return batches,
        }
        tokio::time::sleep(PACE).await;
        loop {
            match self.announced.try_recv() {
                Ok(batch) => batches.push(batch),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return batches,
            }
        }
    }

    async fn part(&mut self, batches: Vec<Arc<Announced>>) -> Result<Bytes, QueryError> {
        if batches.is_empty() {
            return Ok(Bytes::from_static(b": nothing new\n\n"));
        }
        let mut skipped = 0;
        for batch in &batches {
            skipped += batch.before.saturating_sub(self.seen);
            self.seen = self.seen.max(batch.before + batch.requests);
        }
        let asked = self.asked.clone();
        let read = move |state: &State| asked.part(&state.data, &state.limits, &batches, skipped);
        let part = reading(&self.state, read).await?;
        let id = id(&self.state, self.seen);
        if part.is_empty() {
            // The client comes back with it, and what did not match counts as seen.
            return Ok(Bytes::from(format!("id: {id}\n\n")));
        }
        if part.captured_rows() > 0 {
            note_captured(&self.state, &self.who, self.client, (&self.query, i64::MIN), part.captured_rows())
                .await;
        }
        let json = serde_json::to_string(&part).unwrap_or_default();
        Ok(Bytes::from(format!("id: {id}\nevent: requests\ndata: {json}\n\n")))
    }
}

/// The place in the stream of this process.
fn id(state: &State, seen: u64) -> String {
    format!("{:x}-{seen}", state.started_at.to_bits())
}

/// The number of requests before a place in the stream of this process.
fn seen(state: &State, id: &str) -> Option<u64> {
    let (process, seen) = id.split_once('-')?;
    (process == format!("{:x}", state.started_at.to_bits())).then_some(())?;
    seen.parse().ok()
}

/// An export under way.
struct Export {
    state: Arc<State>,
    who: Principal,
    client: Client,
    query: String,
    asked: ExportQuery,
    out: Sender<Piece>,
}

impl Export {
    async fn run(mut self) {
        let mut stopping = self.state.stopping.subscribe();
        let out = self.out.clone();
        loop {
            let written = tokio::select! {
                _ = stopping.wait_for(|is_stopping| *is_stopping) => Err(QueryError::Stopped),
                () = out.closed() => return,
                written = self.write_next() => written,
            };
            match written {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    // The file would look whole otherwise.
                    let _ = out.send(Err(io::Error::other(error.to_string()))).await;
                    return;
                }
            }
        }
    }

    /// Writes the next piece; whether it was the last.
    async fn write_next(&mut self) -> Result<bool, QueryError> {
        // A place in the queue first, so that a piece that was read is written even when this is not polled to its end.
        let Ok(out) = self.out.clone().reserve_owned().await else { return Ok(true) };
        let mut asked = self.asked.clone();
        let (asked, piece) = reading(&self.state, move |state| {
            let piece = asked.next(&*state.store)?;
            Ok((asked, piece))
        })
        .await?;
        self.asked = asked;
        if piece.captured_rows > 0 {
            let asked = (&*self.query, self.asked.from());
            note_captured(&self.state, &self.who, self.client, asked, piece.captured_rows).await;
        }
        out.send(Ok(Bytes::from(piece.bytes)));
        Ok(piece.is_last)
    }
}

/// The pieces of an answer. Its client has the time for a whole answer to read each of them.
struct Pieces {
    pieces: Receiver<Piece>,
    activity: Option<Arc<Activity>>,
    _place: OwnedSemaphorePermit,
}

impl Pieces {
    fn new(pieces: Receiver<Piece>, over: Over, place: OwnedSemaphorePermit) -> Self {
        Self { pieces, activity: over.map(|over| Arc::clone(&over.activity)), _place: place }
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        let polled = this.pieces.poll_recv(context);
        if let (Poll::Ready(Some(_)), Some(activity)) = (&polled, &this.activity) {
            activity.ready();
        }
        polled.map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
