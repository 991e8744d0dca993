//! The HTTP client of receivers.

use super::address::{REFUSED, is_allowed};
use super::{Held, Secret, SendError, repeats, secret_parts};
use crate::alerts::engine::Origin;
use crate::alerts::rule::RuleError;
use crate::roots::trusting;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// Time for a whole exchange.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a refusal that are shown.
const SHOWN_BYTES: u64 = 300;

/// An address to send to, and how to get there.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    url: Held,
    ca_file: Option<PathBuf>,
    /// Whoever chose the address: a person at the page is kept from the addresses of the host's own network link.
    origin: Origin,
}

impl Reach {
    /// Checks an address as far as it is known.
    pub(crate) fn compile(
        url: Option<&Secret>,
        url_file: Option<&PathBuf>,
        ca_file: Option<&PathBuf>,
        origin: Origin,
    ) -> Result<Self, RuleError> {
        let url = Held::of("url", url, url_file, origin)?
            .ok_or_else(|| RuleError::new("url", "the address is missing: write `url` or `url_file`"))?;
        if let Held::Here(text) = &url {
            whole_url(text.expose().trim()).map_err(|message| RuleError::new("url", message))?;
        }
        if origin == Origin::Page && ca_file.is_some() {
            return Err(RuleError::new("ca_file", "files are for receivers in the configuration file"));
        }
        Ok(Self { url, ca_file: ca_file.cloned(), origin })
    }

    /// The host, for people to see.
    pub(crate) fn host(&self) -> String {
        let host = |text: &str| whole_url(text).ok().and_then(|uri| uri.host().map(str::to_owned));
        self.url.read().ok().and_then(|text| host(text.expose())).unwrap_or_default()
    }

    /// Posts a body, which may hold a secret. Redirects are not followed: they would take the secrets along.
    pub(crate) fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        secret: Option<&Secret>,
    ) -> Result<Option<u16>, SendError> {
        let url = self.url.read()?;
        whole_url(url.expose()).map_err(|message| SendError::again(None, message))?;
        let agent = self.agent()?;
        let mut request =
            agent.post(format!("{}{path}", url.expose().trim_end_matches(|c| c == '/' && !path.is_empty())));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send(body).map_err(|error| SendError::again(None, words(&error)))?;
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(Some(status));
        }
        let said = response.body_mut().with_config().limit(SHOWN_BYTES).lossy_utf8(true).read_to_string();
        let said = said.unwrap_or_default();
        let said = said.lines().next().unwrap_or_default().trim();
        let message = match said.is_empty() || repeats(said, secrets(url.expose(), secret)) {
            true => format!("it responded with {status}"),
            false => format!("it responded with {status}: {said}"),
        };
        Err(match status {
            408 | 429 | 500..=599 => SendError::again(Some(status), message),
            _ => SendError::never(Some(status), message),
        })
    }

    fn agent(&self) -> Result<ureq::Agent, SendError> {
        agent(self.ca_file.as_deref(), self.origin).map_err(|message| SendError::again(None, message))
    }
}

/// A client that trusts the authorities of a file, or those of Mozilla. It follows no redirects, and takes 10 s for a whole
/// exchange. The error is a sentence.
pub(crate) fn agent(ca_file: Option<&Path>, origin: Origin) -> Result<ureq::Agent, String> {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        .max_redirects(0)
        .tls_config(trusting(ca_file)?)
        .user_agent(concat!("gatelens/", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(ureq::Agent::with_parts(config, DefaultConnector::new(), Guarded { origin }))
}

/// An address must be a whole one, of HTTP.
pub(crate) fn whole_url(text: &str) -> Result<Uri, String> {
    // The text is a secret: no error has it.
    if !["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err("the address must begin with http:// or https://".to_owned());
    }
    let uri: Uri = text.parse().map_err(|_| "the address is not a URL".to_owned())?;
    match uri.host() {
        Some(host) if !host.is_empty() => Ok(uri),
        _ => Err("the address has no host".to_owned()),
    }
}

/// The parts of an address behind its host, and of another secret.
fn secrets(url: &str, other: Option<&Secret>) -> impl Iterator<Item = String> + use<> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    secret_parts([user, path, other.map_or("", Secret::expose)])
}

/// What went wrong, without the address.
pub(crate) fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "it did not respond within 10 s".to_owned(),
        ureq::Error::HostNotFound => "its host is not found".to_owned(),
        ureq::Error::ConnectionFailed => "it cannot be connected to".to_owned(),
        ureq::Error::Io(error) => format!("it cannot be reached: {error}"),
        ureq::Error::BadUri(_) => "the address is not a URL".to_owned(),
        other => other.to_string(),
    }
}

/// Resolves names, and leaves out addresses that a person at the page may not have the service connect to.
#[derive(Debug)]
struct Guarded {
    origin: Origin,
}

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        if self.origin != Origin::Page {
            return Ok(found);
        }
        let mut allowed = self.empty();
        found.iter().filter(|address| is_allowed(address)).for_each(|address| allowed.push(*address));
        if allowed.is_empty() {
            return Err(ureq::Error::Other(REFUSED.into()));
        }
        Ok(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_whole_ones_of_http() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let found = super::whole_url(text);
            let found = found.as_ref().map(|uri| uri.host().unwrap()).map_err(String::as_str);
            assert_eq!(found, expected, "{text}");
        };
        check("https://hooks.example/T0/B0", Ok("hooks.example"));
        check("http://[::1]:80/", Ok("[::1]"));
        check("file:///etc/passwd", Err("the address must begin with http:// or https://"));
        check("/path", Err("the address must begin with http:// or https://"));
        check("http://", Err("the address is not a URL"));
        check("http://a b", Err("the address is not a URL"));
    }

    /// The error of a post to `path` on a server that says this.
    fn refused(path: &str, body: &str, said: &'static str) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://user:pa55word@{}{path}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            use std::io::{Read, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 1024];
            while !request.ends_with(b"END") {
                let read = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            write!(stream, "HTTP/1.1 404 x\r\ncontent-length: {}\r\n\r\n{said}", said.len()).unwrap();
        });
        let reach = Reach::compile(Some(&Secret::new(&url)), None, None, Origin::File).unwrap();
        let body = format!("{body}END");
        let error = reach.post("", &[], body.as_bytes(), Some(&Secret::new("R0UT1NGKEY"))).unwrap_err();
        server.join().unwrap();
        error.message
    }

    #[test]
    fn a_refusal_is_shown_unless_it_repeats_a_secret() {
        let check = |said: &'static str, expected: &str| {
            assert_eq!(refused("/services/T0AA/B0BB?key=S3CR%20ET1", "x", said), expected, "{said:?}");
        };
        check("invalid_payload", "it responded with 404: invalid_payload");
        for said in [
            "Cannot POST /services/T0AA/B0BB?key=S3CR ET1",
            "no hook t0aa",
            "wrong key S3CR ET1",
            "unknown routing_key r0ut1ngkey",
            "user user has not the password pa55word",
        ] {
            check(said, "it responded with 404");
        }
    }
}
