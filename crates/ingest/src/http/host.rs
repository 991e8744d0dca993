//! Which names a request may use for this service, and from which pages it may come.
//!
//! A web page of a stranger can have its own name point to 127.0.0.1 (DNS rebinding). The browser then takes the service
//! on the user's own machine for a part of that page and lets it read the answers. The name in `Host` shows this, because
//! no page can change it. See [ADR 19](../../../../docs/adr/0019-a-hostile-network.md).

use super::State;
use super::body;
use super::refusal::Refusal;
use axum::extract::{self, Request};
use axum::http::{HeaderMap, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

/// The longest name in DNS (RFC 1035, section 2.3.4), in bytes.
const MAX_NAME_BYTES: usize = 253;
/// Paths for senders.
const INGEST: &str = "/v1/";
/// Characters that no browser sends in `Host`, because its URL parser refuses them (WHATWG URL, "forbidden domain code
/// point"), and that names of clusters have, such as `outbound|4318||gatelens` of Istio.
const NOT_IN_URLS: [char; 10] = ['|', '/', '\\', '<', '>', '^', '%', '#', '?', ' '];

/// A name by which people and gateways reach the service, in lower case and without a trailing dot.
#[derive(Debug, Clone, serde::Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(try_from = "String")]
pub struct HostName(String);

/// Why a text is not the name of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a host without scheme, port and path, such as gatelens.example.com")]
pub struct NotAHostName;

impl FromStr for HostName {
    type Err = NotAHostName;

    fn from_str(text: &str) -> Result<Self, NotAHostName> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let labels = name.split('.').all(|label| !label.is_empty());
        if name.len() <= MAX_NAME_BYTES && labels && name.chars().all(known) {
            Ok(Self(name))
        } else {
            Err(NotAHostName)
        }
    }
}

impl TryFrom<String> for HostName {
    type Error = NotAHostName;

    fn try_from(text: String) -> Result<Self, NotAHostName> {
        text.parse()
    }
}

/// Whether people can reach a service of these names by the host of a URL.
pub(crate) fn is_own_name(host: &str, names: &[HostName]) -> bool {
    authority(host).is_some_and(|(host, _)| Hosts::new(names.to_vec()).has(&host, "/"))
}

/// The names given by `--host`.
#[derive(Debug, Default)]
pub(super) struct Hosts(BTreeSet<String>);

impl Hosts {
    pub(super) fn new(names: Vec<HostName>) -> Self {
        Self(names.into_iter().map(|HostName(name)| name).collect())
    }

    /// Whether a request used a name given by `--host`.
    pub(super) fn names(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| authority(host.to_str().ok()?));
        matches!(host, Some((Host::Name(name), _)) if self.0.contains(&name))
    }

    /// Whether a request for `path` may use this host.
    fn has(&self, host: &Host, path: &str) -> bool {
        match host {
            Host::Address(_) => true,
            Host::Name(name) => {
                name == "localhost"
                    || self.0.contains(name)
                    || (path.starts_with(INGEST) && is_name_of_a_cluster(name))
            }
        }
    }
}

/// Envoy sends the name of its cluster as authority. No stranger's page has such a name.
fn is_name_of_a_cluster(name: &str) -> bool {
    !name.contains('.') || name.contains(NOT_IN_URLS)
}

/// The host of a `Host` header, of an authority or of an origin.
#[derive(Debug, PartialEq, Eq)]
enum Host {
    Address(IpAddr),
    Name(String),
}

/// Host and port, as RFC 9110, section 7.2 has them. A name loses its case and one trailing dot.
fn authority(text: &str) -> Option<(Host, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            (Host::Address(address.into()), port)
        }
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            let name = name.strip_suffix('.').unwrap_or(name);
            if name.is_empty() || name.contains('@') {
                return None;
            }
            match name.parse::<Ipv4Addr>() {
                Ok(address) => (Host::Address(address.into()), port),
                Err(_) => (Host::Name(name.to_ascii_lowercase()), port),
            }
        }
    };
    match port {
        "" | ":" => Some((host, None)),
        _ => Some((host, Some(port.strip_prefix(':')?.parse().ok()?))),
    }
}

/// Lets a request pass whose `Host` is a name of this service, and whose `Origin` is this service if it changes anything.
pub(super) async fn check(
    extract::State(state): extract::State<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let checked =
        named(&state.hosts, &request).and_then(|()| own_origin(request.method(), request.headers()));
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            state.stats.refused_by(refusal.code);
            let discarding = body::discard(request.into_body(), state.limits.body_bytes);
            // The outcome does not change the answer.
            let _ = tokio::time::timeout(state.limits.body_timeout, discarding).await;
            refusal.into_response()
        }
    }
}

fn named(hosts: &Hosts, request: &Request) -> Result<(), Refusal> {
    let mut headers = request.headers().get_all(header::HOST).iter();
    let host = match (headers.next(), headers.next()) {
        (Some(host), None) => Some(host.to_str().map_err(|_| malformed("the header host is not text"))?),
        (Some(_), Some(_)) => return Err(malformed("the request has more than one header host")),
        (None, _) => None,
    };
    let target = request.uri().authority().map(|authority| authority.as_str());
    // Browsers always send a host, so that HTTP/1.0 without one is a program.
    if host.is_none() && target.is_none() && request.version() == Version::HTTP_11 {
        return Err(malformed("the request has no header host"));
    }
    for shown in [target, host].into_iter().flatten() {
        let known = authority(shown).is_some_and(|(host, _)| hosts.has(&host, request.uri().path()));
        if !known {
            return Err(misdirected(shown));
        }
    }
    Ok(())
}

/// Browsers send `Origin` with each request that is not GET or HEAD.
fn own_origin(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    if method.is_safe() {
        return Ok(());
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let own = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if own.is_some_and(|own| is_origin_of(origin, own)) {
        return Ok(());
    }
    let shown: String = origin.chars().take(MAX_NAME_BYTES).collect();
    Err(Refusal {
        status: StatusCode::FORBIDDEN,
        code: "foreign_origin",
        message: format!(
            "the request comes from a page of {shown:?}, which is not this service: a proxy before gatelens must pass \
             the header host on unchanged"
        ),
        field: Some("origin"),
        retry_after: None,
    })
}

/// Schemes do not count: a proxy may end TLS. A port that is absent is that of the scheme.
fn is_origin_of(origin: &str, own: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    let default = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return false,
    };
    let with_port = |text| authority(text).map(|(host, port)| (host, port.unwrap_or(default)));
    with_port(rest).is_some_and(|origin| Some(origin) == with_port(own))
}

fn misdirected(shown: &str) -> Refusal {
    let shown: String = shown.chars().take(MAX_NAME_BYTES).collect();
    let name = authority(&shown).map_or_else(
        || "NAME".to_owned(),
        |(host, _)| match host {
            Host::Name(name) if name.parse::<HostName>().is_ok() => name,
            _ => "NAME".to_owned(),
        },
    );
    Refusal {
        status: StatusCode::MISDIRECTED_REQUEST,
        code: "unknown_host",
        message: format!(
            "{shown:?} is not a name of this service: use an IP address or localhost, or start gatelens serve with \
             --host {name} if people or gateways reach it by that name"
        ),
        field: Some("host"),
        retry_after: None,
    }
}

fn malformed(message: &str) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        code: "malformed",
        message: format!("{message}: send exactly one"),
        field: Some("host"),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_ip_literals_localhost_and_given_names() {
        let hosts = Hosts::new(vec!["Gatelens.Example.com.".parse().unwrap(), "intern".parse().unwrap()]);
        let check = |text: &str, path: &str, passes: bool| {
            let known = authority(text).is_some_and(|(host, _)| hosts.has(&host, path));
            assert_eq!(known, passes, "{text:?} for {path}");
        };
        for text in [
            "127.0.0.1",
            "127.0.0.1:4318",
            "10.1.2.3:80",
            "[::1]",
            "[::1]:4318",
            "[2001:DB8::7]:443",
            "localhost",
            "LocalHost:4318",
            "localhost.",
            "localhost.:4318",
            "localhost:",
            "gatelens.example.com",
            "GATELENS.example.COM.:443",
            "intern:4318",
        ] {
            check(text, "/api/v1/summary", true);
            check(text, "/v1/logs", true);
        }
        for text in [
            "evil.example",
            "evil.example:4318",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost..",
            "x@localhost",
            "localhost@evil.example",
            "[::1",
            "[::1]x",
            "[::1]:x",
            "[::g]",
            "::1",
            "localhost:x",
            "localhost:70000",
            "",
            ".",
            ":4318",
            "a_b.evil.example",
            "x.gatelens.example.com",
            "localhost,evil.example",
            "2130706433.evil.example",
        ] {
            check(text, "/api/v1/summary", false);
            check(text, "/v1/logs", false);
        }
        // Names of clusters, for senders alone.
        for text in [
            "gatelens_ingest",
            "ingest",
            "ingest:4318",
            "outbound|4318||gatelens.gatelens.svc.cluster.local",
            "gatelens/ingest.cluster/4318",
        ] {
            check(text, "/v1/logs", true);
            check(text, "/api/v1/summary", false);
            check(text, "/", false);
            check(text, "/healthz", false);
        }
    }

    #[test]
    fn an_origin_is_compared_with_its_port() {
        let check = |origin: &str, own: &str, same: bool| {
            assert_eq!(is_origin_of(origin, own), same, "{origin} and {own}");
        };
        check("http://localhost:4318", "localhost:4318", true);
        check("https://gatelens.example.com", "Gatelens.example.com", true);
        check("https://gatelens.example.com", "gatelens.example.com:443", true);
        check("http://[::1]:4318", "[::1]:4318", true);
        check("http://localhost:3000", "localhost:4318", false);
        check("http://localhost", "localhost:4318", false);
        check("http://127.0.0.1:4318", "localhost:4318", false);
        check("https://evil.example", "localhost:4318", false);
        check("null", "localhost:4318", false);
        check("file://localhost", "localhost", false);
        check("", "localhost", false);
    }

    #[test]
    fn a_name_has_no_scheme_port_or_path() {
        for wrong in
            ["", ".", "https://a.example", "a.example:443", "a.example/x", "a..example", "[::1]", "ä.example"]
        {
            assert_eq!(wrong.parse::<HostName>(), Err(NotAHostName), "{wrong:?}");
        }
        assert_eq!("A.Example.".parse(), Ok(HostName("a.example".to_owned())));
    }
}
