//! The provider: its description and its keys, fetched when they are needed, and the exchange of a code.
//!
//! Nothing is fetched at the start, so that the service starts while the provider is down. Both are fetched again after an
//! hour; keys also when a token names an unknown one, at most once a minute. After a failure nobody asks for some seconds,
//! so that strangers cannot have this service press a provider that is in trouble.

use super::keys::Keys;
use super::settings::{OidcConfig, safe_url};
use crate::alerts::{Origin, Secret, agent, words};
use crate::sync::lock;
use data_encoding::BASE64;
use form_urlencoded::Serializer;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes of an answer of the provider.
const MAX_ANSWER_BYTES: u64 = 512 << 10;
/// Age after which the description and the keys are fetched again: a provider takes back a key that it has lost.
const MAX_AGE: Duration = Duration::from_secs(3600);
/// Time between two looks for an unknown key.
const KEYS_INTERVAL: Duration = Duration::from_secs(60);
/// Time after a failure in which nobody asks.
const PAUSE: Duration = Duration::from_secs(5);

/// Why the provider is of no help. The texts are for the service's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProviderFault {
    /// It cannot be reached, or its answer is not one.
    #[error("{0}")]
    Down(String),
    /// It does not accept the code.
    #[error("the provider does not accept the code")]
    Code,
}

/// The description of a provider (OpenID Connect Discovery 1.0, 3).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Description {
    issuer: String,
    pub(super) authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether each answer names its issuer (RFC 9207).
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

/// What is known of the provider.
#[derive(Default)]
pub(super) struct Provider {
    description: Mutex<Fetched<Description>>,
    keys: Mutex<Fetched<Keys>>,
}

/// The last good content, and the last attempt.
struct Fetched<T> {
    content: Option<(Arc<T>, Instant)>,
    tried: Option<Instant>,
    failure: Option<ProviderFault>,
}

impl<T> Default for Fetched<T> {
    fn default() -> Self {
        Self { content: None, tried: None, failure: None }
    }
}

impl<T> Fetched<T> {
    /// The content that is there, unless it is old.
    fn fresh(&self, now: Instant) -> Option<Arc<T>> {
        let (content, at) = self.content.as_ref()?;
        (now.saturating_duration_since(*at) < MAX_AGE).then(|| Arc::clone(content))
    }

    /// Whether nobody has tried for as long.
    fn is_due(&self, interval: Duration, now: Instant) -> bool {
        self.tried.is_none_or(|tried| now.saturating_duration_since(tried) >= interval)
    }

    /// Fetches it, unless that failed just now.
    fn renew(
        &mut self,
        now: Instant,
        fetch: impl FnOnce() -> Result<T, ProviderFault>,
    ) -> Result<Arc<T>, ProviderFault> {
        if let Some(failure) = self.failure.as_ref().filter(|_| !self.is_due(PAUSE, now)) {
            return Err(failure.clone());
        }
        self.tried = Some(now);
        match fetch() {
            Ok(content) => {
                let content = Arc::new(content);
                (self.content, self.failure) = (Some((Arc::clone(&content), now)), None);
                Ok(content)
            }
            Err(failure) => {
                log(&failure);
                self.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }
}

impl Provider {
    /// The description. Blocks while it is fetched.
    pub(super) fn description(
        &self,
        config: &OidcConfig,
        now: Instant,
    ) -> Result<Arc<Description>, ProviderFault> {
        let mut fetched = lock(&self.description);
        match fetched.fresh(now) {
            Some(description) => Ok(description),
            None => fetched.renew(now, || Description::fetch(config)),
        }
    }

    /// The key of a token; `None` when the provider has no such key. Blocks while keys are fetched.
    pub(super) fn key(
        &self,
        config: &OidcConfig,
        (algorithm, id): (Algorithm, Option<&str>),
        now: Instant,
    ) -> Result<Option<DecodingKey>, ProviderFault> {
        let description = self.description(config, now)?;
        let mut fetched = lock(&self.keys);
        if let Some(keys) = fetched.fresh(now) {
            let known = keys.find(id, algorithm);
            if known.is_some() || !fetched.is_due(KEYS_INTERVAL, now) {
                return Ok(known);
            }
        }
        let keys = fetched.renew(now, || {
            let text = get(config, &description.jwks_uri)?;
            Keys::parse(&text).map_err(|_| down(&description.jwks_uri, "the answer is not a set of keys"))
        })?;
        Ok(keys.find(id, algorithm))
    }

    /// Exchanges a code for an ID token. Blocks.
    pub(super) fn exchange(
        &self,
        config: &OidcConfig,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
        now: Instant,
    ) -> Result<String, ProviderFault> {
        let description = self.description(config, now)?;
        let token = exchange(config, &description, code, verifier, redirect_uri);
        token.inspect_err(log)
    }
}

fn log(fault: &ProviderFault) {
    tracing::warn!(%fault, "sign-in with OpenID Connect does not work");
}

fn exchange(
    config: &OidcConfig,
    description: &Description,
    code: &str,
    verifier: &str,
    redirect_uri: &str,
) -> Result<String, ProviderFault> {
    let url = &description.token_endpoint;
    let secret = config.secret_file().map(secret).transpose()?;
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("code_verifier", verifier);
    let methods = description.token_endpoint_auth_methods_supported.as_deref();
    // OpenID Connect Discovery 1.0, 3: `client_secret_basic` is the method when none is named.
    let has_basic = methods.is_none_or(|methods| methods.iter().any(|name| name == "client_secret_basic"));
    let mut request = agent(config.ca_file.as_deref(), Origin::Page)
        .map_err(ProviderFault::Down)?
        .post(url)
        .header("accept", "application/json")
        .header("content-type", "application/x-www-form-urlencoded");
    match secret {
        Some(secret) if has_basic => {
            // RFC 6749, 2.3.1: both are encoded before they are joined.
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encoded(&config.client_id), encoded(secret.expose()));
            request = request.header("authorization", format!("Basic {}", BASE64.encode(pair.as_bytes())));
        }
        Some(secret) => {
            form.append_pair("client_id", &config.client_id).append_pair("client_secret", secret.expose());
        }
        None => {
            form.append_pair("client_id", &config.client_id);
        }
    }
    let mut response = request.send(form.finish()).map_err(|error| down(url, &words(&error)))?;
    let status = response.status().as_u16();
    let text = read(&mut response).map_err(|message| down(url, &message))?;
    if status != 200 {
        return Err(refused(url, status, &text));
    }
    #[derive(Deserialize)]
    struct Tokens {
        id_token: String,
    }
    let tokens: Result<Tokens, _> = serde_json::from_slice(&text);
    tokens.map(|tokens| tokens.id_token).map_err(|_| down(url, "the answer has no `id_token`"))
}

impl Description {
    fn fetch(config: &OidcConfig) -> Result<Self, ProviderFault> {
        let url = format!("{}/.well-known/openid-configuration", config.issuer.trim_end_matches('/'));
        let text = get(config, &url)?;
        let description: Self = serde_json::from_slice(&text)
            .map_err(|_| down(&url, "the answer is not the description of a provider"))?;
        if description.issuer != config.issuer {
            let message = format!(
                "it describes the issuer {:?}, and `issuer` is {:?}: both must be the same",
                description.issuer, config.issuer
            );
            return Err(down(&url, &message));
        }
        let endpoints =
            [&description.authorization_endpoint, &description.token_endpoint, &description.jwks_uri];
        for endpoint in endpoints {
            safe_url(endpoint).map_err(|message| down(&url, &format!("{endpoint:?} in it: {message}")))?;
        }
        Ok(description)
    }
}

/// RFC 6749, 5.2.
fn refused(url: &str, status: u16, text: &[u8]) -> ProviderFault {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let error = serde_json::from_slice(text).map(|refusal: Refusal| refusal.error).unwrap_or_default();
    match &*error {
        "invalid_grant" => ProviderFault::Code,
        "invalid_client" | "unauthorized_client" => {
            down(url, "it does not know this client: check `client_id` and the secret")
        }
        _ => down(url, &format!("it responded with {status}")),
    }
}

/// The file is read at each sign-in: a new secret needs no restart.
fn secret(path: &Path) -> Result<Secret, ProviderFault> {
    Secret::of_file(path).map_err(|error| {
        ProviderFault::Down(format!("`client_secret_file`: {} cannot be read: {error}", path.display()))
    })
}

/// A provider may be on this machine or in this network, but has nothing to do where clouds hand out credentials: the
/// client refuses those addresses as it does for receivers of alerts that somebody wrote on the page.
fn get(config: &OidcConfig, url: &str) -> Result<Vec<u8>, ProviderFault> {
    let agent = agent(config.ca_file.as_deref(), Origin::Page).map_err(ProviderFault::Down)?;
    let response = agent.get(url).header("accept", "application/json").call();
    let mut response = response.map_err(|error| down(url, &words(&error)))?;
    match response.status().as_u16() {
        200 => read(&mut response).map_err(|message| down(url, &message)),
        status => Err(down(url, &format!("it responded with {status}"))),
    }
}

fn read(response: &mut ureq::http::Response<ureq::Body>) -> Result<Vec<u8>, String> {
    let body = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
    body.map_err(|error| match error {
        ureq::Error::BodyExceedsLimit(_) => format!("its answer is larger than {MAX_ANSWER_BYTES} bytes"),
        error => words(&error),
    })
}

fn down(url: &str, message: &str) -> ProviderFault {
    ProviderFault::Down(format!("{url}: {message}"))
}
