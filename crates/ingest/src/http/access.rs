//! Who a request is from, and whether that one may do what it asks. The only place that decides it.

use super::State;
use super::body::discard;
use super::refusal::Refusal;
use crate::auth::audit::{Action, Entry};
use crate::auth::oidc::CALLBACK;
use crate::auth::{Person, Principal, Role};
use crate::error::{QueryError, ReceiveError};
use crate::wire::Encoding;
use axum::extract::{self, MatchedPath, Request};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use gatelens_model::route_patterns;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time and bytes for the rest of a refused request. A sender that still writes when the connection is closed may never
/// read the answer; a stranger gets no more than this.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);
const DISCARD_BYTES: usize = 1 << 20;

/// A header that a form or a link of another site cannot send. It must come with each change that a cookie allows.
pub(super) const CSRF_HEADER: &str = "x-gatelens-csrf";

/// The other end of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) address: std::net::IpAddr,
}

/// In the response to a change: its subject for the audit log where the path does not name it. It must hold no secret.
#[derive(Debug, Clone)]
pub(super) struct Subject(pub(super) String);

/// What a path asks of who uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Sender,
    /// At least this role.
    Role(Role),
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;
const VIEWER: Need = Need::Role(Role::Viewer);
const ADMIN: Need = Need::Role(Role::Admin);
const ANALYST: Need = Need::Role(Role::Analyst);

/// Every path of the service.
const NEEDS: &[(Method, &str, Need)] = &[
    (GET, "/healthz", Need::Nothing),
    (GET, "/metrics", VIEWER),
    // Names of consumers are for whoever may read counts.
    (GET, super::traffic::PATH, VIEWER),
    (POST, "/v1/metrics", Need::Sender),
    (POST, "/v1/logs", Need::Sender),
    (POST, "/v1/traces", Need::Sender),
    (GET, route_patterns::PATH, Need::Sender),
    (GET, "/api/v1/session", Need::Nothing),
    (POST, "/api/v1/session", Need::Nothing),
    (DELETE, "/api/v1/session", Need::Nothing),
    (GET, "/auth/start", Need::Nothing),
    (GET, CALLBACK, Need::Nothing),
    (GET, "/api/v1/openapi.json", Need::Nothing),
    (GET, "/api/v1/summary", VIEWER),
    (GET, "/api/v1/timeseries", VIEWER),
    (GET, "/api/v1/latencies", VIEWER),
    // Fields that a viewer may not see are withheld: `query/requests/withheld.rs`.
    (GET, "/api/v1/requests", VIEWER),
    (GET, "/api/v1/requests/stream", VIEWER),
    (GET, "/api/v1/requests/export", VIEWER),
    // Messages of applications are withheld from a viewer: `query/spans.rs`.
    (GET, "/api/v1/spans", VIEWER),
    (GET, "/api/v1/gateways", VIEWER),
    (GET, "/api/v1/consumers", VIEWER),
    (GET, "/api/v1/directory", VIEWER),
    (GET, "/api/v1/releases", VIEWER),
    (GET, "/api/v1/uptime", VIEWER),
    (GET, "/api/v1/patterns", VIEWER),
    // Names and types of fields, and no value of a body.
    (GET, "/api/v1/drift", VIEWER),
    (GET, "/api/v1/shapes", VIEWER),
    (GET, "/api/v1/openapi", VIEWER),
    // It changes nothing, and shows names and types of fields.
    (POST, "/api/v1/openapi/compare", VIEWER),
    (GET, "/api/v1/storage", VIEWER),
    // Texts that are made of bodies are withheld from a viewer: `query/issues.rs`.
    (GET, "/api/v1/issues", VIEWER),
    (GET, "/api/v1/issues/{id}", VIEWER),
    (PUT, "/api/v1/issues/{id}", ANALYST),
    (GET, "/api/v1/links", VIEWER),
    (GET, "/api/v1/audit", ADMIN),
    // It shows no data of others, but a viewer has no bodies to preview.
    (POST, "/api/v1/redact", ANALYST),
    // Changes are for admins, as every path that is not here.
    (GET, "/api/v1/alerts", VIEWER),
    (GET, "/api/v1/alerts/deliveries", VIEWER),
    (GET, "/api/v1/alerts/history", VIEWER),
    // It changes nothing, and shows counts.
    (POST, "/api/v1/alerts/try", VIEWER),
    (GET, "/api/{*path}", VIEWER),
];

/// Lets a request pass with its [`Principal`], or refuses it.
pub(super) async fn guard(
    extract::State(state): extract::State<Arc<State>>,
    mut request: Request,
    next: Next,
) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let need = need(request.method(), path);
    let headers = request.headers();
    let bearer = bearer(headers);
    let principal = match need {
        Need::Sender => state.access.sender(bearer),
        Need::Nothing | Need::Role(_) => {
            let cookie = super::session::cookie(&state, headers);
            // The files of the page ask for nobody.
            if let (Some(cookie), None, Some(_)) = (cookie, bearer, path) {
                state.access.look_up(cookie).await;
            }
            state.access.reader(bearer, cookie, Instant::now())
        }
    };
    if let Err(denied) = check(need, &principal, request.method(), headers) {
        state.stats.refused_by(denied.code());
        let response = match denied {
            Denied::Sender => {
                let encoding = super::otlp::encoding(headers).unwrap_or(Encoding::Protobuf);
                ReceiveError::NoSender.into_response(encoding)
            }
            Denied::Reader(refusal) => refusal.into_response(),
        };
        // The outcome does not change the answer.
        let _ = tokio::time::timeout(DISCARD_TIMEOUT, discard(request.into_body(), DISCARD_BYTES)).await;
        return response;
    }
    // What others may POST is a question. What they may PUT is a change.
    let is_change = changes(request.method()) && (need == ADMIN || request.method() == PUT);
    let Some(person) = person_of(&principal).filter(|_| is_change).cloned() else {
        request.extensions_mut().insert(principal);
        return next.run(request).await;
    };
    request.extensions_mut().insert(principal);
    // The body may have the secrets of a receiver.
    let detail = format!("{} {}", request.method(), request.uri().path());
    let client = request.extensions().get::<Client>().copied();
    // A client that leaves in time must not make a change of which nobody knows.
    let changing = tokio::spawn(async move {
        let response = next.run(request).await;
        if let Some(Client { address }) = client.filter(|_| response.status().is_success()) {
            let detail = match response.extensions().get() {
                Some(Subject(subject)) => format!("{detail}: {subject}"),
                None => detail,
            };
            state.writers.audit(Entry::of(&person, address, Action::Change, detail)).await;
        }
        response
    });
    changing.await.unwrap_or_else(|_| QueryError::Stopped.into_response())
}

fn person_of(principal: &Principal) -> Option<&Person> {
    match principal {
        Principal::Person(person) => Some(person),
        Principal::Open | Principal::Nobody | Principal::Sender(_) => None,
    }
}

/// The name of a person; empty without a sign-in.
pub(super) fn name_of(principal: &Principal) -> String {
    person_of(principal).map(|person| person.name.clone()).unwrap_or_default()
}

fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

enum Denied {
    Sender,
    Reader(Refusal),
}

impl Denied {
    fn code(&self) -> &'static str {
        match self {
            Self::Sender => ReceiveError::NoSender.code(),
            Self::Reader(refusal) => refusal.code,
        }
    }
}

fn check(need: Need, principal: &Principal, method: &Method, headers: &HeaderMap) -> Result<(), Denied> {
    let role = match need {
        Need::Sender => {
            return match principal {
                Principal::Nobody => Err(Denied::Sender),
                _ => Ok(()),
            };
        }
        Need::Nothing => None,
        Need::Role(role) => Some(role),
    };
    if let Some(needed) = role {
        match principal.role() {
            None => return Err(Denied::Reader(sign_in_first())),
            Some(role) if role < needed => return Err(Denied::Reader(role_too_low(role, needed))),
            Some(_) => {}
        }
    }
    let by_cookie = matches!(principal, Principal::Person(person) if person.session.is_some());
    if by_cookie && changes(method) && !headers.contains_key(CSRF_HEADER) {
        return Err(Denied::Reader(without_csrf_header()));
    }
    Ok(())
}

/// A path or a method that is not in the table needs more than most have.
fn need(method: &Method, path: Option<&str>) -> Need {
    // A file of the page, which is the same for everybody.
    let Some(path) = path else { return Need::Nothing };
    // The answer to HEAD is that to GET without its body.
    let method = if method == Method::HEAD { &GET } else { method };
    let found = NEEDS.iter().find(|(known, at, _)| known == method && *at == path);
    match found {
        Some((_, _, need)) => *need,
        None if path.starts_with("/v1/") => Need::Sender,
        None => Need::Role(Role::Admin),
    }
}

fn sign_in_first() -> Refusal {
    Refusal {
        status: StatusCode::UNAUTHORIZED,
        code: "sign_in",
        message: "sign in on the page, or send `authorization: Bearer TOKEN` with a token from the file that --users \
                  names; `gatelens token new --role viewer` makes one"
            .to_owned(),
        field: None,
        retry_after: None,
    }
}

fn role_too_low(role: Role, needed: Role) -> Refusal {
    Refusal {
        status: StatusCode::FORBIDDEN,
        code: "role",
        message: format!("this needs the role {needed}, and yours is {role}: ask an admin for it"),
        field: None,
        retry_after: None,
    }
}

/// A refusal of a change that a page of another site may have asked the browser for.
pub(super) fn without_csrf_header() -> Refusal {
    Refusal {
        status: StatusCode::FORBIDDEN,
        code: "csrf",
        message: format!("a change with a cookie needs the header {CSRF_HEADER}: send it with any value"),
        field: Some(CSRF_HEADER),
        retry_after: None,
    }
}

/// The token of `authorization: Bearer TOKEN` (RFC 6750, 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
