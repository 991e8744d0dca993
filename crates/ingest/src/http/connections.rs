//! Accepting connections, and serving one.

use super::activity::{Activity, Connection};
use super::peers::Peer;
use super::places::{Admitted, Place, Places, Share};
use super::socket::Watched;
use super::{State, tls};
use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

/// Pause after a connection could not be accepted: out of file descriptors, as a rule, which come back when connections
/// end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections and serves them, until it is dropped.
pub(super) async fn accept(
    listener: &TcpListener,
    state: &Arc<State>,
    router: &Router,
    graceful: &GracefulShutdown,
) {
    let limits = &state.limits;
    let places = Places::new(limits.connections, limits.connections_per_peer);
    loop {
        match listener.accept().await {
            Ok((stream, address)) => begin(stream, address, state, router, graceful, &places).await,
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn begin(
    stream: TcpStream,
    address: SocketAddr,
    state: &Arc<State>,
    router: &Router,
    graceful: &GracefulShutdown,
    places: &Arc<Places>,
) {
    let address = address.ip().to_canonical();
    let share = if state.proxies.has(address) { Share::OfMany } else { Share::OfOne };
    let activity = Activity::new(Arc::clone(&state.stats));
    let Some(Admitted { place, ended }) = places.admit(Peer::of(address), share, &activity).await else {
        state.stats.refused_by("peer_connections");
        return;
    };
    (0..ended).for_each(|_| state.stats.refused_by("connection_replaced"));
    // Answers are single writes; waiting to fill packets only delays them.
    let _ = stream.set_nodelay(true);
    let id = place.id();
    let task = serve(stream, address, activity, Arc::clone(state), router.clone(), graceful.watcher(), place);
    places.started(id, tokio::spawn(task).abort_handle());
}

async fn serve(
    stream: TcpStream,
    address: IpAddr,
    activity: Arc<Activity>,
    state: Arc<State>,
    router: Router,
    watcher: Watcher,
    place: Place,
) {
    let connection = Connection { address, activity };
    // Whatever ended a connection, its client knows.
    match &state.tls {
        None => speak(stream, connection, None, &state, router, watcher).await,
        Some(tls) => {
            let handshake = tokio::time::timeout(state.limits.head_timeout, tls.accept(stream)).await;
            match handshake {
                Ok(Ok((stream, certificate))) => {
                    speak(stream, connection, certificate, &state, router, watcher).await;
                }
                Ok(Err(_)) => state.stats.refused_by("tls_handshake"),
                Err(_) => state.stats.refused_by("head_timeout"),
            }
        }
    }
    drop(place);
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
    certificate: Option<tls::ClientCertificate>,
    state: &State,
    router: Router,
    watcher: Watcher,
) {
    let stream = Watched::new(stream, Arc::clone(&connection.activity), &state.limits);
    let http = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        // The time between requests; Watched bounds the time of a head.
        .header_read_timeout(state.limits.idle_timeout)
        .max_buf_size(state.limits.head_bytes)
        // A gateway that ends sends its last batch and closes: the batch is whole, and is stored.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), Requests { connection, certificate, router });
    let _ = watcher.watch(http).await;
}

/// The requests of one connection, on their way to the router.
struct Requests {
    connection: Connection,
    certificate: Option<tls::ClientCertificate>,
    router: Router,
}

impl hyper::service::Service<Request<Incoming>> for Requests {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Answer>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let activity = Arc::clone(&self.connection.activity);
        activity.begin();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(self.connection.clone());
        if let Some(certificate) = self.certificate.clone() {
            request.extensions_mut().insert(certificate);
        }
        let answering = self.router.clone().call(request);
        Box::pin(async move {
            let response = answering.await?;
            activity.ready();
            Ok(response.map(|body| Answer { body, activity }))
        })
    }
}

/// The body of an answer, which reports its end.
struct Answer {
    body: Body,
    activity: Arc<Activity>,
}

impl HttpBody for Answer {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.activity.answered();
    }
}
