//! Who a request is from, and whether that one may do what it asks. The only place that decides it.

use super::State;
use super::body::discard;
use crate::auth::Principal;
use crate::error::ReceiveError;
use crate::wire::Encoding;
use axum::extract::{self, MatchedPath, Request};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use gatelens_model::route_patterns;
use std::sync::Arc;
use std::time::Duration;

/// Time and bytes for the rest of a refused request. A sender that still writes when the connection is closed may never
/// read the answer; a stranger gets no more than this.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);
const DISCARD_BYTES: usize = 1 << 20;

/// What a path asks of who uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Sender,
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;

/// What the paths ask of who uses them.
const NEEDS: [(Method, &str, Need); 8] = [
    (GET, "/healthz", Need::Nothing),
    (GET, "/metrics", Need::Nothing),
    (POST, "/v1/metrics", Need::Sender),
    (POST, "/v1/logs", Need::Sender),
    (POST, "/v1/traces", Need::Sender),
    (GET, route_patterns::PATH, Need::Sender),
    (GET, "/v1/{*path}", Need::Sender),
    (POST, "/v1/{*path}", Need::Sender),
];

/// Lets a request pass with its [`Principal`], or refuses it.
pub(super) async fn guard(
    extract::State(state): extract::State<Arc<State>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let need = need(request.method(), path.map(MatchedPath::as_str));
    let principal = match need {
        Need::Nothing => Principal::Nobody,
        Need::Sender => match state.access.sender(bearer(request.headers())) {
            Principal::Nobody => {
                state.stats.refused_by(ReceiveError::NoSender.code());
                let encoding = super::otlp::encoding(request.headers()).unwrap_or(Encoding::Protobuf);
                let _ =
                    tokio::time::timeout(DISCARD_TIMEOUT, discard(request.into_body(), DISCARD_BYTES)).await;
                return ReceiveError::NoSender.into_response(encoding);
            }
            principal => principal,
        },
    };
    request.extensions_mut().insert(principal);
    next.run(request).await
}

fn need(method: &Method, path: Option<&str>) -> Need {
    // A file of the page, which is the same for everybody.
    let Some(path) = path else { return Need::Nothing };
    // The answer to HEAD is that to GET without its body.
    let method = if method == Method::HEAD { &GET } else { method };
    let found = NEEDS.iter().find(|(known, at, _)| known == method && *at == path);
    found.map_or(Need::Nothing, |(_, _, need)| *need)
}

/// The token of `authorization: Bearer TOKEN` (RFC 6750, 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
