//! What the head of a message says about its body.

use gatelens_model::OmissionReason;

/// The headers of a message that decide how its body is read, and the method of the request.
#[derive(Clone, Debug, Default)]
pub struct Head<'a> {
    /// Empty when unknown.
    method: &'a [u8],
    /// The value of `:status`. Only a response has one.
    status: Option<&'a [u8]>,
    content_types: Vec<&'a [u8]>,
    content_encodings: Vec<&'a [u8]>,
    asks_for_websocket: bool,
}

impl<'a> Head<'a> {
    /// The head of a request, from the names and values of its headers.
    pub fn request(headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut head = Self::default();
        let mut method = None;
        for (name, value) in headers {
            head.read(name, value);
            if method.is_none() && name.eq_ignore_ascii_case(b":method") {
                method = Some(value);
            }
        }
        Self { method: method.unwrap_or_default(), ..head }
    }

    /// The head of the response to a request with this method.
    pub fn response(headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>, method: &'a [u8]) -> Self {
        let mut head = Self { method, ..Self::default() };
        headers.into_iter().for_each(|(name, value)| head.read(name, value));
        head
    }

    /// Refuses messages whose body is missing or not worth reading (RFC 9110, sections 6.4 and 9).
    pub(super) fn check(&self) -> Result<(), OmissionReason> {
        // HTTP/1.1 asks for a websocket in a header. Upgrades to HTTP/2 in clear do not reach a filter.
        let asks_for_upgrade = self.status.is_none() && self.asks_for_websocket;
        if self.method == b"CONNECT" || self.status == Some(b"101") || asks_for_upgrade {
            return Err(OmissionReason::Upgrade);
        }
        if self.status.is_some_and(|status| self.method == b"HEAD" || has_no_body(status)) {
            return Err(OmissionReason::NoBody);
        }
        Ok(())
    }

    pub(super) fn content_types(&self) -> impl Iterator<Item = &'a [u8]> {
        self.content_types.iter().copied()
    }

    pub(super) fn content_encodings(&self) -> impl Iterator<Item = &'a [u8]> {
        self.content_encodings.iter().copied()
    }

    fn read(&mut self, name: &[u8], value: &'a [u8]) {
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        if is(b"content-type") {
            self.content_types.push(value);
        } else if is(b"content-encoding") {
            self.content_encodings.push(value);
        } else if is(b":status") {
            self.status.get_or_insert(value);
        } else if is(b"upgrade") {
            self.asks_for_websocket |= value.trim_ascii().eq_ignore_ascii_case(b"websocket");
        }
    }
}

fn has_no_body(status: &[u8]) -> bool {
    matches!(status, b"204" | b"304" | [b'1', _, _])
}
