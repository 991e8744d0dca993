//! A request as the upstream receives it, and the answer that goes over the wire.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::Value;

use crate::http1::Headers;

/// A request as the upstream received it.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// As on the wire: `GET`.
    pub method: String,
    /// Before the question mark.
    pub path: String,
    /// After the question mark; empty without one.
    pub query: String,
    /// In the order of the wire.
    pub headers: Headers,
    /// The whole body, without its framing.
    pub body: Vec<u8>,
}

/// An answer to one request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// From 200 to 599.
    pub status: u16,
    /// The header `content-type`.
    pub content_type: String,
    /// Further headers.
    pub headers: Headers,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// The time before the first byte is sent.
    pub delay: Duration,
    /// How the body is framed, and where it breaks off.
    pub ending: Ending,
}

/// How the answer's body goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Whole, with a `content-length`.
    ContentLength,
    /// In chunks of at most this many bytes.
    Chunked(usize),
    /// Half of the announced bytes, then the connection is closed.
    Truncated,
    /// Nothing at all: the connection is closed.
    Abort,
}

impl Received {
    /// The value of a query parameter, taken literally.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

impl Answer {
    /// Plain text.
    #[must_use]
    pub fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: "text/plain".to_owned(),
            headers: Headers::new(),
            body: body.into(),
            delay: Duration::ZERO,
            ending: Ending::ContentLength,
        }
    }

    /// A JSON document.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self { content_type: "application/json".to_owned(), ..Self::text(status, body.to_string()) }
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The same answer after this many milliseconds.
    #[must_use]
    pub fn after(self, milliseconds: u64) -> Self {
        Self { delay: Duration::from_millis(milliseconds), ..self }
    }

    /// The same answer with another framing.
    #[must_use]
    pub fn ending(self, ending: Ending) -> Self {
        Self { ending, ..self }
    }

    /// Writes the answer to a request with this method; the delay is the caller's.
    pub(crate) fn write(&self, stream: &mut impl Write, method: &str) -> io::Result<()> {
        if self.ending == Ending::Abort {
            return Ok(());
        }
        let mut bytes = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).into_bytes();
        if matches!(self.status, 204 | 304) {
            bytes.extend_from_slice(b"\r\n");
            return stream.write_all(&bytes);
        }
        bytes.extend_from_slice(format!("content-type: {}\r\n", self.content_type).as_bytes());
        for (name, value) in &self.headers {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        match self.ending {
            Ending::Chunked(_) => bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n"),
            _ => bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", self.body.len()).as_bytes()),
        }
        if method == "HEAD" {
            return stream.write_all(&bytes);
        }
        match self.ending {
            Ending::Chunked(size) => {
                for chunk in self.body.chunks(size.max(1)) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
            Ending::Truncated => {
                bytes.extend_from_slice(self.body.get(..self.body.len() / 2).unwrap_or_default());
            }
            Ending::ContentLength | Ending::Abort => bytes.extend_from_slice(&self.body),
        }
        stream.write_all(&bytes)
    }
}

/// HTTP needs no reason phrase, but an empty one looks broken in a terminal.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        422 => "Unprocessable Content",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
