//! The host that a client asked for, normalised.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use super::scheme::Scheme;
use gatelens_model::value::OTHER_HOST;

/// Longest name of a host in bytes (RFC 1035, section 2.3.4, without the root's dot).
pub const MAX_HOST_BYTES: usize = 253;

/// The host and port of an `:authority`, as `server.address` and `server.port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// A name in lower case without the root's dot, or an IP address without brackets; at most [`MAX_HOST_BYTES`]. `_OTHER`
    /// for anything else.
    pub host: Cow<'a, str>,
    /// The port, also where the authority leaves it to the scheme.
    pub port: Option<u16>,
    /// Whether the port is that of the scheme.
    pub is_default_port: bool,
}

impl<'a> Authority<'a> {
    /// Reads the value of `:authority`; `None` where it is empty.
    pub fn parse(authority: &'a [u8], scheme: Scheme) -> Option<Self> {
        if authority.is_empty() {
            return None;
        }
        let default = scheme.default_port();
        let of = |host, named: Option<u16>| Self {
            host,
            port: named.or(default),
            is_default_port: named.is_none() || named == default,
        };
        Some(match split(authority) {
            Some((host, port)) => of(host, port),
            None => of(Cow::Borrowed(OTHER_HOST), None),
        })
    }
}

impl Authority<'_> {
    /// The text for a series: the host, given as it may leave, with the port where that is not the scheme's.
    pub fn of_series<'h>(&self, host: Cow<'h, str>) -> Cow<'h, str> {
        match self.port.filter(|_| !self.is_default_port) {
            None => host,
            Some(port) if host.contains(':') => Cow::Owned(format!("[{host}]:{port}")),
            Some(port) => Cow::Owned(format!("{host}:{port}")),
        }
    }

    /// Takes the text for a series apart again: the host and its port, that of the scheme where it names none.
    pub fn split_series(text: &str, scheme: Scheme) -> (&str, Option<u16>) {
        let named = text.rsplit_once(':').and_then(|(host, port)| {
            let host = match host.strip_prefix('[') {
                Some(host) => host.strip_suffix(']')?,
                None if host.contains(':') => return None,
                None => host,
            };
            Some((host, Some(port.parse().ok()?)))
        });
        named.unwrap_or((text, scheme.default_port()))
    }
}

/// Host and port; `None` where it is not an authority.
fn split(authority: &[u8]) -> Option<(Cow<'_, str>, Option<u16>)> {
    let text = std::str::from_utf8(authority).ok()?;
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        return Some((ip_v6(address)?, port.map_or(Some(None), read_port)?));
    }
    match text.split_once(':') {
        None => Some((name(text)?, None)),
        Some((_, rest)) if rest.contains(':') => Some((ip_v6(text)?, None)),
        Some((host, port)) => Some((name(host)?, read_port(port)?)),
    }
}

/// A port; `None` where it is not one, `Some(None)` where it is empty (RFC 3986, section 3.2.3).
fn read_port(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0).map(Some)
}

/// A name or an IPv4 address, in lower case.
fn name(text: &str) -> Option<Cow<'_, str>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.len() > MAX_HOST_BYTES {
        return None;
    }
    let (mut before, mut has_upper_case) = (b'.', false);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'A'..=b'Z' => has_upper_case = true,
            b'.' if before != b'.' => {}
            _ => return None,
        }
        before = byte;
    }
    // An empty label is not a name, and a second dot at the end would be one.
    if before == b'.' {
        return None;
    }
    Some(match has_upper_case {
        true => Cow::Owned(text.to_ascii_lowercase()),
        false => Cow::Borrowed(text),
    })
}

/// An IPv6 address in its canonical form (RFC 5952), so that one host has one name.
fn ip_v6(text: &str) -> Option<Cow<'static, str>> {
    text.parse::<Ipv6Addr>().ok().map(|address| Cow::Owned(address.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_are_normalised() {
        let check = |authority: &str, scheme: Scheme, host: &str, port: u16, is_default: bool| {
            let found = Authority::parse(authority.as_bytes(), scheme).unwrap();
            let expected = (host, Some(port).filter(|port| *port != 0), is_default);
            assert_eq!((&*found.host, found.port, found.is_default_port), expected, "{authority}");
        };
        use Scheme::{Absent, Http, Https};
        check("api.example.com", Http, "api.example.com", 80, true);
        check("API.Example.COM.", Https, "api.example.com", 443, true);
        check("api.example.com:443", Https, "api.example.com", 443, true);
        check("api.example.com:443", Http, "api.example.com", 443, false);
        check("api.example.com:8443", Https, "api.example.com", 8_443, false);
        check("api.example.com:", Https, "api.example.com", 443, true);
        check("api_internal", Absent, "api_internal", 0, true);
        check("192.0.2.7:8080", Http, "192.0.2.7", 8_080, false);
        check("[2001:DB8::0:7]", Https, "2001:db8::7", 443, true);
        check("[::1]:8080", Http, "::1", 8_080, false);
        check("::1", Http, "::1", 80, true);
        let longest = format!("{}.test", "a".repeat(MAX_HOST_BYTES - 5));
        check(&longest, Http, &longest, 80, true);
        for garbage in [
            &format!("a{longest}"),
            "user:pass@host",
            "a b",
            ".",
            ":80",
            "a..b",
            "a..",
            "host:0",
            "host:+80",
            "host:65536",
            "host:80:90",
            "[::1",
            "[::1]80",
            "[host]",
            "<script>",
            "%00",
            "bücher.example",
        ] {
            check(garbage, Http, "_OTHER", 80, true);
        }
        assert_eq!(Authority::parse(b"", Http), None);
        assert_eq!(Authority::parse(b"\xe9", Http).unwrap().host, "_OTHER");
    }

    #[test]
    fn the_text_for_a_series_is_taken_apart_again() {
        let check = |authority: &str, text: &str, host: &str, port: u16| {
            let found = Authority::parse(authority.as_bytes(), Scheme::Https).unwrap();
            let of_series = found.of_series(found.host.clone());
            assert_eq!(of_series, text, "{authority}");
            assert_eq!(Authority::split_series(&of_series, Scheme::Https), (host, Some(port)));
        };
        check("a.example", "a.example", "a.example", 443);
        check("a.example:8443", "a.example:8443", "a.example", 8_443);
        check("[::1]", "::1", "::1", 443);
        check("[::1]:8443", "[::1]:8443", "::1", 8_443);
        check("???", "_OTHER", "_OTHER", 443);
    }

    proptest! {
        #[test]
        fn a_host_is_bounded_and_a_normal_form(bytes in any::<Vec<u8>>(), text in "[A-Za-z0-9.:\\[\\]_-]{0,40}") {
            for authority in [&bytes[..], text.as_bytes()] {
                let Some(found) = Authority::parse(authority, Scheme::Http) else { continue };
                prop_assert!(found.host.len() <= MAX_HOST_BYTES && !found.host.is_empty());
                if found.host != OTHER_HOST {
                    let again = Authority::parse(found.host.as_bytes(), Scheme::Http).unwrap();
                    prop_assert_eq!(&again.host, &found.host);
                }
            }
        }
    }
}
