//! `/auth/…`: sign-in by OpenID Connect, by navigation of the browser and not by the page's queries.
//!
//! The session's cookie is `SameSite=Strict`, which a browser does not send along with a navigation from another site. So
//! the callback sends the browser on to the page, which needs no cookie itself: its queries come from this site.

use super::State;
use super::access::Client;
use super::session::{MAX_NOTED_CHARS, cookie_named, set_cookie};
use crate::auth::audit::{Action, Entry};
use crate::auth::oidc::{Callback, OidcFault, PATIENCE};
use crate::auth::{LIFETIME, OidcSignInError};
use crate::text;
use axum::extract::{self, RawQuery};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A sign-in that has begun: the cookie is for the paths here alone, and comes along when the provider sends the browser
/// back.
const COOKIE: &str = "gatelens-sign-in";
/// A browser takes this prefix only with the path `/`.
const SECURE_COOKIE: &str = "__Host-gatelens-sign-in";
/// Bytes of a query.
const MAX_QUERY_BYTES: usize = 16 << 10;
/// The message is the only thing on the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

type Shared = extract::State<Arc<State>>;

/// Sends the browser to the provider.
pub(super) async fn start(extract::State(state): Shared, RawQuery(query): RawQuery) -> Response {
    let query = query.filter(|query| query.len() <= MAX_QUERY_BYTES).unwrap_or_default();
    let return_to = parameter(&query, "return").unwrap_or_default();
    let begun =
        ask(&state, move |state| state.access.begin_oidc(&return_to, &state.page_url, Instant::now()));
    match begun.await {
        None => busy(&state),
        Some(Err(fault)) => failed(&state, status(&fault), &fault.to_string()),
        Some(Ok(begun)) => {
            let mut response = redirect(&begun.location);
            set_pending(&mut response, &state, &begun.cookie, PATIENCE);
            response
        }
    }
}

/// Takes the answer of the provider, and sends the browser on to the page.
pub(super) async fn callback(
    extract::State(state): Shared,
    extract::Extension(Client { address }): extract::Extension<Client>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.filter(|query| query.len() <= MAX_QUERY_BYTES).unwrap_or_default();
    let callback = Callback {
        code: parameter(&query, "code"),
        state: parameter(&query, "state"),
        issuer: parameter(&query, "iss"),
        error: parameter(&query, "error"),
    };
    let name = if state.is_secure() { SECURE_COOKIE } else { COOKIE };
    let cookie = cookie_named(name, &headers).map(str::to_owned);
    let signing = ask(&state, move |state| {
        let access = &state.access;
        access.finish_oidc(cookie.as_deref(), callback, &state.page_url, address, Instant::now())
    });
    let mut response = match signing.await {
        None => return busy(&state),
        Some(Err(error)) => {
            note_failure(&state, address, &error).await;
            let mut response = failed(&state, status_of(&error), &error.to_string());
            if let OidcSignInError::TooMany(wait) = error {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
            }
            response
        }
        Some(Ok(signed_in)) => {
            state.access.tell_sessions().await;
            let entry = Entry::of(&signed_in.person, address, Action::SignIn, signed_in.detail);
            state.writers.audit(entry).await;
            let mut response = redirect(&signed_in.return_to);
            set_cookie(&mut response, &state, &signed_in.cookie, LIFETIME);
            response
        }
    };
    set_pending(&mut response, &state, "", Duration::ZERO);
    response
}

/// Runs something that waits for the provider; `None` when too many wait already.
async fn ask<T: Send + 'static>(
    state: &Arc<State>,
    run: impl FnOnce(&State) -> T + Send + 'static,
) -> Option<T> {
    let place = Arc::clone(&state.oidc_sign_ins).try_acquire_owned().ok()?;
    let state = Arc::clone(state);
    let asking = tokio::task::spawn_blocking(move || {
        let _place = place;
        run(&state)
    });
    asking.await.ok()
}

/// The first value of a parameter.
fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Failures of people are noted. Those that anybody can cause without the provider are not: they would crowd out the others.
async fn note_failure(state: &State, address: std::net::IpAddr, error: &OidcSignInError) {
    let (name, must_note) = match error {
        OidcSignInError::Fault(OidcFault::Identity { name, .. }) | OidcSignInError::Taken { name } => {
            (&**name, true)
        }
        OidcSignInError::Fault(OidcFault::Token(_) | OidcFault::Code | OidcFault::Refused(_)) => ("", true),
        OidcSignInError::TooMany(_) => ("", state.access.must_note_refusal(address, Instant::now())),
        OidcSignInError::Fault(_) => ("", false),
    };
    if must_note {
        let actor = name.chars().take(MAX_NOTED_CHARS).collect();
        let (peer, action) = (address.to_string(), Action::SignInFailed);
        let detail = format!("with OpenID Connect: {error}");
        state.writers.audit(Entry { actor, role: "", peer, action, detail }).await;
    }
}

fn status_of(error: &OidcSignInError) -> StatusCode {
    match error {
        OidcSignInError::Fault(fault) => status(fault),
        OidcSignInError::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        OidcSignInError::Taken { .. } => StatusCode::FORBIDDEN,
    }
}

fn status(fault: &OidcFault) -> StatusCode {
    match fault {
        OidcFault::Off => StatusCode::NOT_FOUND,
        OidcFault::NotBegun
        | OidcFault::OtherState
        | OidcFault::Ended
        | OidcFault::OtherIssuer
        | OidcFault::NoCode => StatusCode::BAD_REQUEST,
        OidcFault::Refused(_) | OidcFault::Identity { .. } => StatusCode::FORBIDDEN,
        OidcFault::Code | OidcFault::Down | OidcFault::Token(_) => StatusCode::BAD_GATEWAY,
        OidcFault::Broken => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn busy(state: &State) -> Response {
    failed(
        state,
        StatusCode::SERVICE_UNAVAILABLE,
        "too many people sign in at this moment: try again in some seconds",
    )
}

/// A page for people, without anything that a stranger wrote.
fn failed(state: &State, status: StatusCode, message: &str) -> Response {
    let mut message = text::html(message);
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let page_url = text::html(&state.page_url);
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Sign-in failed · gatelens</title>\n\
         <style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 32rem; margin: 15vh auto 0; padding: 0 1.5rem }} \
         h1 {{ font-size: 1.25rem }}</style>\n\
         <main>\n<h1>Sign-in failed</h1>\n<p>{message}.</p>\n<p><a href=\"{page_url}/\">Back to the sign-in</a></p>\n\
         </main>\n</html>\n"
    );
    let headers =
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (status, headers, html).into_response()
}

fn redirect(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

fn set_pending(response: &mut Response, state: &State, value: &str, lifetime: Duration) {
    let (name, path, secure) =
        if state.is_secure() { (SECURE_COOKIE, "/", "; Secure") } else { (COOKIE, "/auth", "") };
    let seconds = lifetime.as_secs();
    let cookie = format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_parameters_counts() {
        assert_eq!(parameter("a=1&state=x%20y&state=z", "state").as_deref(), Some("x y"));
        assert_eq!(parameter("a=1", "state"), None);
    }
}
