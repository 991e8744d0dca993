//! Sign-in by OpenID Connect: the code flow with PKCE. See [ADR 20](../../../../../docs/adr/0020-who-may-do-what.md).

mod id_token;
mod identity;
mod keys;
mod pending;
mod provider;
mod settings;

pub(crate) use id_token::TokenFault;
pub(crate) use identity::{Identity, IdentityFault};
pub(crate) use pending::PATIENCE;
pub(crate) use settings::check_page_url;
pub use settings::{OidcConfig, OidcError, OidcRoles};

use form_urlencoded::Serializer;
use id_token::Expected;
use pending::{Pending, Seal};
use provider::{Provider, ProviderFault};
use std::time::Instant;
use subtle::ConstantTimeEq;

/// The path to which the provider sends a person back.
pub(crate) const CALLBACK: &str = "/auth/callback";
/// Bytes of a code.
const MAX_CODE_BYTES: usize = 8 << 10;
/// Errors of a provider that are named (RFC 6749, 4.1.2.1, and OpenID Connect Core 1.0, 3.1.2.6).
const PROVIDER_ERRORS: [&str; 10] = [
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "invalid_request",
    "invalid_scope",
    "login_required",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
];

/// Sign-in at one provider.
pub(crate) struct Oidc {
    config: OidcConfig,
    seal: Seal,
    provider: Provider,
}

/// A sign-in that has begun.
pub(crate) struct Begun {
    /// The address at the provider.
    pub(crate) location: String,
    /// The value of the cookie.
    pub(crate) cookie: String,
}

/// A sign-in that has come back from the provider to the browser that began it.
pub(crate) struct Returned {
    pending: Pending,
    code: String,
    /// The issuer that the answer names.
    issuer: Option<String>,
}

/// The parameters of the callback.
#[derive(Debug, Default)]
pub(crate) struct Callback {
    pub(crate) code: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) error: Option<String>,
}

/// Why a sign-in did not come to its end. The texts are shown to people, and have nothing that the provider or a stranger
/// wrote, except the name of a claim in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OidcFault {
    #[error("nobody can sign in here with OpenID Connect")]
    Off,
    #[error("this sign-in took more than {} minutes, began in another browser or under another address, or the service was restarted: sign in again", PATIENCE.as_secs() / 60)]
    NotBegun,
    #[error("this answer belongs to another sign-in, perhaps of another window: sign in again")]
    OtherState,
    #[error("this sign-in has ended already: sign in again")]
    Ended,
    #[error("this answer is from another provider: sign in again")]
    OtherIssuer,
    #[error("the provider refused the sign-in with the error `{0}`")]
    Refused(&'static str),
    #[error("the answer of the provider has no code: sign in again")]
    NoCode,
    #[error("the provider did not accept its own code: sign in again")]
    Code,
    #[error(
        "the provider does not respond as it should: try again later; the log of the service has the reason"
    )]
    Down,
    #[error("the ID token of the provider is refused: {0}")]
    Token(#[from] TokenFault),
    #[error("{fault}")]
    Identity {
        fault: IdentityFault,
        /// Who it was; empty without a name.
        name: String,
    },
    #[error("the system has no random numbers")]
    Broken,
}

impl Oidc {
    /// Checks the configuration. Nothing is fetched.
    pub(crate) fn new(config: OidcConfig, now: Instant) -> Result<Self, String> {
        config.check().map_err(|error| format!("oidc.{error}"))?;
        let seal = Seal::new(now).ok_or("the system has no random numbers")?;
        Ok(Self { config, seal, provider: Provider::default() })
    }

    /// A sign-in that began at one replica may end at another one: all have the same key. The time is that of the server, in Unix
    /// milliseconds.
    pub(crate) fn share(&mut self, key: &[u8; 32], time: i64, now: Instant) {
        self.seal = Seal::shared(key, u64::try_from(time / 1000).unwrap_or_default(), now);
    }

    /// The name of the provider for people.
    pub(crate) fn name(&self) -> String {
        self.config.shown_name()
    }

    /// Begins a sign-in that ends at a path of the page. Blocks while the provider is asked.
    pub(crate) fn begin(&self, return_to: &str, page_url: &str, now: Instant) -> Result<Begun, OidcFault> {
        let description = self.provider.description(&self.config, now).map_err(OidcFault::from)?;
        let pending = self.seal.begin(return_to, now).ok_or(OidcFault::Broken)?;
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &redirect_uri(page_url))
            .append_pair("scope", &self.config.scopes.join(" "))
            .append_pair("state", &self.seal.state(&pending))
            .append_pair("nonce", &self.seal.nonce(&pending))
            .append_pair("code_challenge", &self.seal.challenge(&pending))
            .append_pair("code_challenge_method", "S256")
            .finish();
        let endpoint = &description.authorization_endpoint;
        let joint = if endpoint.contains('?') { '&' } else { '?' };
        Ok(Begun { location: format!("{endpoint}{joint}{query}"), cookie: self.seal.close(&pending) })
    }

    /// Checks that an answer belongs to a sign-in of this browser, which ends it: no answer counts twice. Asks nobody.
    pub(crate) fn take(
        &self,
        cookie: Option<&str>,
        callback: Callback,
        now: Instant,
    ) -> Result<Returned, OidcFault> {
        let pending = cookie.and_then(|cookie| self.seal.open(cookie, now)).ok_or(OidcFault::NotBegun)?;
        let state = callback.state.unwrap_or_default();
        if !bool::from(self.seal.state(&pending).as_bytes().ct_eq(state.as_bytes())) {
            return Err(OidcFault::OtherState);
        }
        if !self.seal.end(&pending, now) {
            return Err(OidcFault::Ended);
        }
        // RFC 9207: the code of another provider must not be sent to this one.
        if callback.issuer.as_ref().is_some_and(|issuer| *issuer != self.config.issuer) {
            return Err(OidcFault::OtherIssuer);
        }
        if let Some(error) = callback.error {
            let known = PROVIDER_ERRORS.into_iter().find(|known| *known == error);
            return Err(OidcFault::Refused(known.unwrap_or("unknown")));
        }
        let code = callback.code.filter(|code| !code.is_empty() && code.len() <= MAX_CODE_BYTES);
        Ok(Returned { pending, code: code.ok_or(OidcFault::NoCode)?, issuer: callback.issuer })
    }

    /// The person, and the path of the page to go on at. Blocks while the provider is asked.
    pub(crate) fn finish(
        &self,
        returned: Returned,
        page_url: &str,
        now: Instant,
    ) -> Result<(Identity, String), OidcFault> {
        let Returned { pending, code, issuer } = returned;
        let names_issuer =
            self.provider.description(&self.config, now)?.authorization_response_iss_parameter_supported;
        if names_issuer && issuer.is_none() {
            return Err(OidcFault::OtherIssuer);
        }
        let (verifier, nonce) = (self.seal.verifier(&pending), self.seal.nonce(&pending));
        let uri = redirect_uri(page_url);
        let token = self.provider.exchange(&self.config, &code, &verifier, &uri, now)?;
        let (algorithm, id) = id_token::named_key(&token)?;
        let key = self.provider.key(&self.config, (algorithm, id.as_deref()), now)?;
        let key = key.ok_or(TokenFault::UnknownKey)?;
        let expected =
            Expected { issuer: &self.config.issuer, client_id: &self.config.client_id, nonce: &nonce };
        let claims = id_token::verified(&token, algorithm, &key, expected)?;
        let identity = identity::identify(&self.config, &claims);
        identity
            .map(|identity| (identity, pending.return_to))
            .map_err(|(fault, name)| OidcFault::Identity { fault, name })
    }
}

impl From<ProviderFault> for OidcFault {
    fn from(fault: ProviderFault) -> Self {
        match fault {
            ProviderFault::Down(_) => Self::Down,
            ProviderFault::Code => Self::Code,
        }
    }
}

fn redirect_uri(page_url: &str) -> String {
    format!("{}{CALLBACK}", page_url.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatelens_testkit::oidc::{CLIENT_ID, KEYS, Provider as RealProvider, SigningKey};
    use std::time::Duration;

    const PAGE: &str = "http://127.0.0.1:1";

    /// A provider, and sign-ins at it at chosen times.
    struct Signing {
        provider: RealProvider,
        oidc: Oidc,
        browser: ureq::Agent,
        begun: Instant,
    }

    impl Signing {
        fn start() -> Self {
            let provider = RealProvider::start(SigningKey::es256()).unwrap();
            provider.without_secret();
            let config = OidcConfig {
                issuer: provider.issuer(),
                client_id: CLIENT_ID.to_owned(),
                default_role: Some(crate::auth::Role::Viewer),
                ..OidcConfig::default()
            };
            let begun = Instant::now();
            let browser = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
            Self { provider, oidc: Oidc::new(config, begun).unwrap(), browser: browser.new_agent(), begun }
        }

        /// The outcome of a sign-in so many seconds after the start.
        fn sign_in(&self, seconds: f64) -> Result<String, OidcFault> {
            let now = self.begun + Duration::from_secs_f64(seconds);
            let begun = self.oidc.begin("/", PAGE, now)?;
            let back = self.browser.get(&begun.location).call().unwrap();
            let location = back.headers()["location"].to_str().unwrap();
            let (_, query) = location.split_once('?').unwrap();
            let value = |name: &str| {
                let mut pairs = form_urlencoded::parse(query.as_bytes());
                pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
            };
            let callback = Callback { code: value("code"), state: value("state"), ..Callback::default() };
            let returned = self.oidc.take(Some(&begun.cookie), callback, now)?;
            self.oidc.finish(returned, PAGE, now).map(|(identity, _)| identity.name)
        }

        fn asked_for_keys(&self) -> usize {
            self.provider.requests(KEYS)
        }
    }

    #[test]
    fn a_new_key_of_the_provider_is_known_a_minute_after_the_last_look() {
        let signing = Signing::start();
        let (ada, unknown) = (Ok("ada@example.com".to_owned()), Err(TokenFault::UnknownKey.into()));
        assert_eq!(signing.sign_in(0.0), ada);
        signing.provider.rotate(SigningKey::es256());
        assert_eq!(signing.sign_in(30.0), unknown);
        assert_eq!(signing.sign_in(59.9), unknown);
        assert_eq!(signing.asked_for_keys(), 1);
        assert_eq!(signing.sign_in(60.0), ada);
        assert_eq!(signing.sign_in(61.0), ada);
        assert_eq!(signing.asked_for_keys(), 2);
        // The minute begins anew with each look, also with one that finds nothing.
        signing.provider.sign_with_unpublished(SigningKey::rs256());
        assert_eq!(signing.sign_in(120.0), unknown);
        assert_eq!(signing.asked_for_keys(), 3);
        assert_eq!(signing.sign_in(179.9), unknown);
        assert_eq!(signing.asked_for_keys(), 3);
        assert_eq!(signing.sign_in(180.0), unknown);
        assert_eq!(signing.asked_for_keys(), 4);
    }

    #[test]
    fn a_key_that_the_provider_takes_back_counts_for_an_hour_at_most() {
        let signing = Signing::start();
        assert!(signing.sign_in(0.0).is_ok());
        signing.provider.withdraw();
        assert!(signing.sign_in(3_599.0).is_ok());
        assert_eq!(signing.sign_in(3_600.0), Err(TokenFault::UnknownKey.into()));
    }
}
