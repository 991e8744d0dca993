//! What the head of a message says about its body.

use crate::pairs::Pairs;
use crate::redact::Reason;

/// The headers of a message, and what they answer.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    headers: &'a Pairs,
    /// Of the exchange; empty when unknown.
    method: &'a [u8],
}

impl<'a> Head<'a> {
    /// The head of a request.
    pub fn request(headers: &'a Pairs) -> Self {
        Self { headers, method: values(headers, b":method").next().unwrap_or_default() }
    }

    /// The head of the response to a request with this method.
    pub fn response(headers: &'a Pairs, method: &'a [u8]) -> Self {
        Self { headers, method }
    }

    /// Whether a body can follow that is worth reading (RFC 9110, sections 6.4 and 9).
    pub(super) fn check(&self) -> Result<(), Reason> {
        if self.method == b"CONNECT" || self.status() == Some(b"101") || self.asks_for_upgrade() {
            return Err(Reason::Upgrade);
        }
        if self.is_response() && (self.method == b"HEAD" || self.status().is_some_and(has_no_body)) {
            return Err(Reason::NoBody);
        }
        Ok(())
    }

    pub(super) fn content_types(&self) -> impl Iterator<Item = &'a [u8]> {
        values(self.headers, b"content-type")
    }

    pub(super) fn content_encodings(&self) -> impl Iterator<Item = &'a [u8]> {
        values(self.headers, b"content-encoding")
    }

    fn status(&self) -> Option<&'a [u8]> {
        values(self.headers, b":status").next()
    }

    fn is_response(&self) -> bool {
        self.status().is_some()
    }

    /// The handshake of HTTP/1.1. Upgrades to HTTP/2 in clear do not reach a filter.
    fn asks_for_upgrade(&self) -> bool {
        let websocket = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"websocket");
        !self.is_response() && values(self.headers, b"upgrade").any(websocket)
    }
}

fn has_no_body(status: &[u8]) -> bool {
    matches!(status, b"204" | b"304" | [b'1', _, _])
}

fn values<'a>(headers: &'a Pairs, wanted: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
}
