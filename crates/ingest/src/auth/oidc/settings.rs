//! Sign-in by OpenID Connect as it is written, and as it is checked.

use crate::auth::{Role, token, watched};
use axum::http::Uri;
use serde::Deserialize;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Bytes of a name, a claim, a value or an address.
const MAX_TEXT_BYTES: usize = 1024;
/// Values that make somebody a viewer, an analyst or an admin, and domains.
const MAX_VALUES: usize = 1_000;
/// Bytes of the file that `--oidc` names.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Sign-in by OpenID Connect: the section `oidc`, or the file that `--oidc` names.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct OidcConfig {
    /// Issuer, exactly as the provider writes it; `https`, or `http` on a loopback address. Required.
    pub issuer: String,
    /// Identity of this service at the provider. Required.
    pub client_id: String,
    /// File with the client's secret. It is read at each sign-in. Without it PKCE alone binds the code to this service.
    pub client_secret_file: Option<PathBuf>,
    /// Address of the page as people reach it. The provider sends people to `/auth/callback` under it. Default: `page_url`
    /// of the section `alerts`; on a loopback address the address that the service listens on.
    pub page_url: Option<String>,
    /// Name of the provider on the page. Default: the host of the issuer.
    pub name: Option<String>,
    /// Scopes that are asked for; `openid` is one of them.
    pub scopes: Vec<String>,
    /// Claim with the name of the person. With `email`, the provider must have verified the address.
    pub person_claim: String,
    /// Claim with a text or a list of texts that decides the role: its name, or a JSON pointer when it begins with `/`.
    pub role_claim: Option<String>,
    /// Values of that claim that stand for a role. The highest role of a person holds.
    pub roles: OidcRoles,
    /// Role of people for whom no value stands. Without it they cannot sign in.
    pub default_role: Option<Role>,
    /// Domains of e-mail addresses that may sign in. The provider must have verified the address. Empty: any.
    pub domains: Vec<String>,
    /// File with the authorities that sign the provider's certificate, in PEM. Default: those of Mozilla.
    pub ca_file: Option<PathBuf>,
}

/// Values of `role_claim`, by role. With `role_claim: email`, `@example.com` stands for all addresses of that domain.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct OidcRoles {
    /// Values that make a viewer.
    pub viewer: Vec<String>,
    /// Values that make an analyst.
    pub analyst: Vec<String>,
    /// Values that make an admin.
    pub admin: Vec<String>,
}

impl Default for OidcConfig {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret_file: None,
            page_url: None,
            name: None,
            scopes: ["openid", "email", "profile"].map(str::to_owned).to_vec(),
            person_claim: "email".to_owned(),
            role_claim: None,
            roles: OidcRoles::default(),
            default_role: None,
            domains: Vec::new(),
            ca_file: None,
        }
    }
}

/// Why a configuration of OpenID Connect is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct OidcError {
    /// The key.
    pub path: String,
    /// The fault, and what to do.
    pub message: String,
}

impl OidcError {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl OidcRoles {
    /// Each role with its values and its key, the least first.
    pub(super) fn each(&self) -> [(Role, &'static str, &[String]); 3] {
        [
            (Role::Viewer, "viewer", &self.viewer),
            (Role::Analyst, "analyst", &self.analyst),
            (Role::Admin, "admin", &self.admin),
        ]
    }
}

impl OidcConfig {
    /// Reads and checks the file that `--oidc` names: the keys of the section `oidc`, in YAML or JSON.
    ///
    /// # Errors
    /// A sentence with the place in the file.
    pub fn from_file(path: &str) -> Result<Self, String> {
        use std::io::Read;
        let read = || {
            let mut text = String::new();
            std::fs::File::open(path)?.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
            Ok::<_, std::io::Error>(text)
        };
        let text = read().map_err(|error| format!("the file cannot be read: {error}"))?;
        let config: Self = watched::yaml(&text)?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    /// Checks everything except files.
    ///
    /// # Errors
    /// The first defect, with its key and what was meant.
    pub fn check(&self) -> Result<(), OidcError> {
        let missing = |key: &str| OidcError::new(key, format!("`{key}` is missing: the provider shows it"));
        if self.issuer.is_empty() {
            return Err(missing("issuer"));
        }
        let issuer = safe_url(&self.issuer).map_err(|message| OidcError::new("issuer", message))?;
        if issuer.query().is_some() || self.issuer.contains('#') {
            return Err(OidcError::new(
                "issuer",
                "an issuer has neither `?` nor `#`: write it as the provider does",
            ));
        }
        if self.client_id.is_empty() {
            return Err(missing("client_id"));
        }
        if let Some(url) = &self.page_url {
            check_page_url(url).map_err(|message| OidcError::new("page_url", message))?;
        }
        if let Some(name) = &self.name {
            token::check_name("name", name).map_err(|message| OidcError::new("name", message))?;
        }
        for (place, scope) in self.scopes.iter().enumerate() {
            // RFC 6749, 3.3.
            let is_char = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\\');
            if scope.is_empty() || scope.len() > MAX_TEXT_BYTES || !scope.chars().all(is_char) {
                let path = format!("scopes[{place}]");
                return Err(OidcError::new(path, "a scope is a word without spaces, quotes and backslashes"));
            }
        }
        if !self.scopes.iter().any(|scope| scope == "openid") {
            return Err(OidcError::new("scopes", "`openid` is missing: without it there is no ID token"));
        }
        check_text("client_id", &self.client_id)?;
        check_text("person_claim", &self.person_claim)?;
        self.check_roles()?;
        for (place, domain) in self.domains.iter().enumerate() {
            let is_domain = !domain.starts_with('@') && domain.parse::<crate::http::HostName>().is_ok();
            if !is_domain {
                let path = format!("domains[{place}]");
                return Err(OidcError::new(
                    path,
                    "expected the part of an address behind `@`, such as example.com",
                ));
            }
        }
        bounded("domains", self.domains.len())
    }

    fn check_roles(&self) -> Result<(), OidcError> {
        let has_values = self.roles.each().iter().any(|(.., values)| !values.is_empty());
        match (&self.role_claim, has_values) {
            (None, true) => {
                return Err(OidcError::new(
                    "role_claim",
                    "the claim for `roles` is missing, such as `groups`",
                ));
            }
            (Some(_), false) => {
                return Err(OidcError::new(
                    "roles",
                    "no value stands for a role: write `roles: {admin: [VALUE]}`",
                ));
            }
            (Some(claim), true) => check_text("role_claim", claim)?,
            (None, false) if self.default_role.is_none() => {
                return Err(OidcError::new(
                    "default_role",
                    "nobody could sign in: write `role_claim` and `roles`, or `default_role`",
                ));
            }
            (None, false) => {}
        }
        for (_, role, values) in self.roles.each() {
            bounded(&format!("roles.{role}"), values.len())?;
            for (place, value) in values.iter().enumerate() {
                check_text(&format!("roles.{role}[{place}]"), value)?;
            }
        }
        Ok(())
    }

    /// The name of the provider for people.
    pub(crate) fn shown_name(&self) -> String {
        let host = || self.issuer.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
        self.name.clone().or_else(host).unwrap_or_default()
    }

    /// The file with the client's secret.
    pub(crate) fn secret_file(&self) -> Option<&Path> {
        self.client_secret_file.as_deref()
    }
}

/// The address of the page must be one that an eavesdropper cannot read a code from.
pub(crate) fn check_page_url(url: &str) -> Result<Uri, String> {
    let uri = safe_url(url)?;
    if uri.query().is_some() || url.contains('#') {
        return Err("the address of the page has neither `?` nor `#`".to_owned());
    }
    Ok(uri)
}

/// An address with TLS, or on this machine.
pub(super) fn safe_url(text: &str) -> Result<Uri, String> {
    if text.len() > MAX_TEXT_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "the address must be at most {MAX_TEXT_BYTES} characters of ASCII without spaces"
        ));
    }
    let uri: Uri = text.parse().map_err(|_| "the address is not a URL".to_owned())?;
    let host = uri.host().filter(|host| !host.is_empty()).ok_or("the address has no host")?;
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("the address must not have a user name".to_owned());
    }
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_loopback(host) => Ok(uri),
        _ => Err("the address must begin with https://; http:// is for loopback addresses alone".to_owned()),
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn check_text(path: &str, text: &str) -> Result<(), OidcError> {
    if text.is_empty() || text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
        let message = format!("must have 1 to {MAX_TEXT_BYTES} bytes and no control characters");
        return Err(OidcError::new(path, message));
    }
    Ok(())
}

fn bounded(path: &str, count: usize) -> Result<(), OidcError> {
    if count <= MAX_VALUES {
        return Ok(());
    }
    Err(OidcError::new(path, format!("there are {count}, and {MAX_VALUES} at most")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_section_is_refused_with_its_key_and_what_was_meant() {
        let check = |text: &str, path: &str, words: &str| {
            let whole = r#""issuer": "https://id.example", "client_id": "c", "default_role": "viewer""#;
            let text = format!("{{{whole}{text}}}");
            // A later key would be one too many for JSON, so that these replace the first ones as a map does.
            let map: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
            let config: OidcConfig = serde_json::from_value(map.into()).unwrap();
            let error = config.check().unwrap_err();
            assert_eq!(error.path, path, "{text}: {error}");
            assert!(error.message.contains(words), "{error} should contain {words:?}");
        };
        check(r#", "issuer": """#, "issuer", "missing");
        check(r#", "issuer": "http://id.example""#, "issuer", "https://");
        check(r#", "issuer": "http://127.0.0.1.evil.example""#, "issuer", "https://");
        check(r#", "issuer": "https://u@id.example""#, "issuer", "user name");
        check(r#", "issuer": "https://id.example/?a=b""#, "issuer", "neither");
        check(r#", "issuer": "id.example""#, "issuer", "https://");
        check(r#", "client_id": """#, "client_id", "missing");
        check(r#", "page_url": "http://gatelens.example""#, "page_url", "https://");
        check(r#", "page_url": "https://gatelens.example/#x""#, "page_url", "neither");
        check(r#", "name": "a\nb""#, "name", "control character");
        check(r#", "scopes": ["email"]"#, "scopes", "`openid` is missing");
        check(r#", "scopes": ["openid", "a b"]"#, "scopes[1]", "without spaces");
        check(r#", "person_claim": """#, "person_claim", "1 to 1024 bytes");
        check(r#", "role_claim": "groups""#, "roles", "no value");
        check(r#", "roles": {"admin": ["a"]}"#, "role_claim", "missing");
        check(r#", "role_claim": "groups", "roles": {"admin": ["a", ""]}"#, "roles.admin[1]", "1 to");
        check(r#", "default_role": null"#, "default_role", "nobody could sign in");
        check(r#", "domains": ["@example.com"]"#, "domains[0]", "behind `@`");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let text = "issuer: https://id.example\nclient_id: c\nclient_secret: x";
        let error = watched::yaml::<OidcConfig>(text).unwrap_err();
        assert!(error.contains("client_secret") && !error.contains("id.example"), "{error}");
    }

    #[test]
    fn loopback_addresses_need_no_tls() {
        for url in
            ["http://localhost:8080/realms/x", "http://127.0.0.1:1", "http://[::1]:1", "https://id.example"]
        {
            assert!(safe_url(url).is_ok(), "{url}");
        }
        for url in
            ["http://10.0.0.1", "http://localhost.evil.example", "ftp://localhost", "https://", "https://a b"]
        {
            assert!(safe_url(url).is_err(), "{url}");
        }
    }
}
