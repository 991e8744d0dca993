//! `/api/v1/session`: who is signed in, sign-in with a password, sign-out.

use super::State;
use super::access::{CSRF_HEADER, Client, without_csrf_header};
use super::body;
use super::memory::Account;
use super::question::require_json;
use super::refusal::Refusal;
use crate::auth::audit::{Action, Entry};
use crate::auth::{LIFETIME, Principal, Role, SignInError};
use crate::error::{QueryError, ReceiveError, json};
use crate::query::params::none;
use axum::body::Body;
use axum::extract::{self, RawQuery};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of a name and a password with their JSON around them.
const MAX_BODY_BYTES: usize = 16 << 10;
/// Characters of a name that are noted when it does not sign in.
pub(super) const MAX_NOTED_CHARS: usize = 128;
const COOKIE: &str = "gatelens-session";
/// A browser takes a cookie with this prefix only over TLS, for this host alone and all of its paths (RFC 6265bis, 4.1.3).
const SECURE_COOKIE: &str = "__Host-gatelens-session";

type Shared = extract::State<Arc<State>>;

/// Who asks, and how to sign in.
#[derive(Serialize)]
struct Session<'a> {
    /// Whether people sign in here; without that, everybody is an admin.
    required: bool,
    /// The ways to sign in.
    methods: Vec<&'static str>,
    /// The name of the provider of OpenID Connect.
    provider: Option<String>,
    person: Option<Someone<'a>>,
}

#[derive(Serialize)]
struct Someone<'a> {
    name: &'a str,
    role: Role,
    /// Seconds until the session ends at the latest; `null` for a token.
    expires_in: Option<u64>,
}

/// The value of the session's cookie. Over TLS only one with the prefix counts: another host of the same domain could have
/// set one without it, and so have signed a person in under a name of its own.
pub(super) fn cookie<'a>(state: &State, headers: &'a HeaderMap) -> Option<&'a str> {
    cookie_named(if state.is_secure() { SECURE_COOKIE } else { COOKIE }, headers)
}

pub(super) fn cookie_named<'a>(name: &str, headers: &'a HeaderMap) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Who is signed in.
pub(super) async fn show(
    extract::State(state): Shared,
    extract::Extension(principal): extract::Extension<Principal>,
    RawQuery(query): RawQuery,
) -> Response {
    match none(query.as_deref()) {
        Ok(()) => describe(&state, &principal),
        Err(error) => error.into_response(),
    }
}

/// Signs a person in with a name and a password.
pub(super) async fn sign_in(
    extract::State(state): Shared,
    extract::Extension(Client { address }): extract::Extension<Client>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let credentials = match credentials(&state, &headers, body).await {
        Ok(credentials) => credentials,
        Err(refusal) => return refusal,
    };
    // A hash takes memory and a core; the attempts of strangers must not take all of both.
    let Ok(place) = Arc::clone(&state.sign_ins).acquire_owned().await else {
        return QueryError::Stopped.into_response();
    };
    let name = credentials.name.clone();
    let signing = {
        let state = Arc::clone(&state);
        tokio::task::spawn_blocking(move || {
            let _place = place;
            let Credentials { name, password } = credentials;
            state.access.sign_in(&name, &password, address, Instant::now())
        })
    };
    match signing.await {
        Err(_) => QueryError::Stopped.into_response(),
        Ok(Err(error)) => {
            let must_note = match &error {
                SignInError::Wrong => true,
                SignInError::TooMany(_) => state.access.must_note_refusal(address, Instant::now()),
                SignInError::Off | SignInError::Broken => false,
            };
            if must_note {
                let name = name.chars().take(MAX_NOTED_CHARS).collect();
                let (peer, action) = (address.to_string(), Action::SignInFailed);
                let failed = Entry { actor: name, role: "", peer, action, detail: error.to_string() };
                state.writers.audit(failed).await;
            }
            refusal_of(&error).into_response()
        }
        Ok(Ok((value, person))) => {
            state.access.tell_sessions().await;
            let detail = "with a password".to_owned();
            state.writers.audit(Entry::of(&person, address, Action::SignIn, detail)).await;
            let mut response = describe(&state, &Principal::Person(person));
            set_cookie(&mut response, &state, &value, LIFETIME);
            response
        }
    }
}

/// Ends the session of the cookie.
pub(super) async fn sign_out(
    extract::State(state): Shared,
    extract::Extension(principal): extract::Extension<Principal>,
    client: extract::Extension<Client>,
) -> Response {
    if let Principal::Person(person) = &principal
        && let Some(session) = &person.session
    {
        state.access.sign_out(&session.id);
        state.access.tell_sessions().await;
        state.writers.audit(Entry::of(person, client.address, Action::SignOut, String::new())).await;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, &state, "", Duration::ZERO);
    response
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    name: String,
    password: String,
}

async fn credentials(state: &State, headers: &HeaderMap, body: Body) -> Result<Credentials, Response> {
    let refuse = |error: ReceiveError| QueryError::from(error).into_response();
    require_json(headers).map_err(refuse)?;
    // Otherwise another site could sign a person in under a name of its own.
    if !headers.contains_key(CSRF_HEADER) {
        return Err(without_csrf_header().into_response());
    }
    let timeout = state.limits.body_timeout;
    let held = body::receive(body, state.memory.share(Account::default()), MAX_BODY_BYTES, timeout)
        .await
        .map_err(refuse)?;
    // The parser's own words could repeat a part of the password.
    serde_json::from_slice(&held.bytes).map_err(|_| {
        refuse(ReceiveError::Malformed("the body must be {\"name\": \"…\", \"password\": \"…\"}".to_owned()))
    })
}

fn refusal_of(error: &SignInError) -> Refusal {
    let (status, code, retry_after) = match error {
        SignInError::Wrong => (StatusCode::UNAUTHORIZED, "wrong_credentials", None),
        SignInError::TooMany(wait) => {
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).max(1);
            (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", Some(seconds))
        }
        SignInError::Off => (StatusCode::NOT_FOUND, "no_sign_in", None),
        SignInError::Broken => (StatusCode::SERVICE_UNAVAILABLE, "stopped", None),
    };
    Refusal { status, code, message: error.to_string(), field: None, retry_after }
}

fn describe(state: &State, principal: &Principal) -> Response {
    let required = state.access.asks_people();
    let person = match principal {
        Principal::Person(person) => Some(Someone {
            name: &person.name,
            role: person.role,
            expires_in: person.session.as_ref().map(|session| session.remaining.as_secs()),
        }),
        Principal::Open | Principal::Nobody | Principal::Sender(_) => None,
    };
    let (has_passwords, provider) = state.access.ways();
    let methods = [("password", has_passwords), ("oidc", provider.is_some())];
    let methods = methods.into_iter().filter_map(|(method, is_there)| is_there.then_some(method)).collect();
    json(StatusCode::OK, &Session { required, methods, provider, person })
}

/// Sets the session's cookie.
pub(super) fn set_cookie(response: &mut Response, state: &State, value: &str, lifetime: Duration) {
    let (name, secure) = if state.is_secure() { (SECURE_COOKIE, "; Secure") } else { (COOKIE, "") };
    let seconds = lifetime.as_secs();
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_without_the_prefix_does_not_stand_in_for_one_with_it() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; gatelens-session=planted"));
        assert_eq!(cookie_named(SECURE_COOKIE, &headers), None);
        assert_eq!(cookie_named(COOKIE, &headers), Some("planted"));
        headers.append(header::COOKIE, HeaderValue::from_static("__Host-gatelens-session=own"));
        assert_eq!(cookie_named(SECURE_COOKIE, &headers), Some("own"));
    }
}
