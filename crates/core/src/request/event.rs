//! The record of one request in the request log.

use std::borrow::Cow;

use crate::config::Direction;
use crate::counters::Measurement;
use crate::outcome::{Ending, ErrorType, GrpcStatus, Method, Status};
use crate::request::protocol::Protocol;
use crate::request::route::RouteSource;
use crate::request::scheme::Scheme;
use crate::request::trace::{SpanIds, TraceContext};
use gatelens_redact::capture::CapturedBody;

/// Longest path in bytes.
pub const MAX_PATH_BYTES: usize = 2_048;

/// Longest query in bytes.
pub const MAX_QUERY_BYTES: usize = 4_096;

/// Longest value of a header in bytes.
pub const MAX_HEADER_BYTES: usize = 4_096;

/// Maximum bytes of names and values of the headers of a message; further headers are left out.
pub const MAX_HEADERS_BYTES: usize = 65_536;

/// Longest user agent in bytes.
pub const MAX_USER_AGENT_BYTES: usize = 512;

/// Longest request ID, code details, address and unknown method in bytes.
pub const MAX_WORD_BYTES: usize = 256;

/// A logged header: its name in lower case and one value, redacted.
pub type Header<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The log record about a request, borrowed from its facts. Empty strings are absent.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// Start of the request, nanoseconds since the Unix epoch.
    pub start_ns: u64,
    /// Number of requests for which it stands in the sample; 1 or more.
    pub weight: f64,
    /// The consumer.
    pub consumer: &'a str,
    /// Whether the consumer's source is trusted.
    pub consumer_trusted: bool,
    /// The consumer's name; the worker removes it where the receiver knows it.
    pub consumer_name: &'a str,
    /// Its group, likewise.
    pub consumer_group: &'a str,
    /// From the closed list.
    pub method: Method,
    /// As sent, when it is not on the list.
    pub method_original: &'a str,
    /// Direction of the traffic.
    pub direction: Direction,
    /// `:scheme`.
    pub scheme: Scheme,
    /// The host that the client asked for, normalised and redacted.
    pub server_address: &'a str,
    /// Its port, where it is not that of the scheme, and outbound wherever it is known.
    pub server_port: Option<u16>,
    /// The version of HTTP that the client speaks.
    pub protocol: Option<Protocol>,
    /// The cluster that the request went to, or was meant for.
    pub upstream_cluster: &'a str,
    /// The template.
    pub route: &'a str,
    /// Where the route comes from.
    pub route_source: RouteSource,
    /// Without query, redacted.
    pub path: &'a str,
    /// Redacted.
    pub query: &'a str,
    /// How it ended.
    pub status: Status,
    /// The status of the call, if it was one of gRPC and came to its end.
    pub grpc_status: Option<GrpcStatus>,
    /// Why it did not end as it should have.
    pub error: Option<ErrorType>,
    /// Times and sizes.
    pub measurement: Measurement,
    /// Address of the client, without port.
    pub client_address: &'a str,
    /// Its port.
    pub client_port: Option<u16>,
    /// `user-agent`.
    pub user_agent: &'a str,
    /// `x-request-id`.
    pub request_id: &'a str,
    /// Envoy's short flags.
    pub response_flags: &'a str,
    /// Envoy's response code details.
    pub response_code_details: &'a str,
    /// The error that the application reported, redacted.
    pub reported_error: &'a str,
    /// The tags that the application reported: `name=value`, separated by commas.
    pub reported_tags: &'a str,
    /// From a valid `traceparent`.
    pub trace: Option<TraceContext>,
    /// Where the request is sent as spans: theirs. A log record names the first of them.
    pub spans: Option<SpanIds>,
    /// Headers of the request that are kept, those of one name next to one another.
    pub request_headers: &'a [Header<'a>],
    /// Headers of the response that are kept, likewise.
    pub response_headers: &'a [Header<'a>],
    /// Body of the request, where such are captured.
    pub request_body: Option<&'a CapturedBody>,
    /// Body of the response, where such are captured.
    pub response_body: Option<&'a CapturedBody>,
}

impl Event<'_> {
    /// Without the name and the group of its consumer.
    pub fn without_label(&self) -> Self {
        Self { consumer_name: "", consumer_group: "", ..*self }
    }

    /// How the request ended.
    pub fn ending(&self) -> Ending {
        Ending { status: self.status, grpc_status: self.grpc_status }
    }
}

/// [`bounded_text`] of a redacted value.
pub fn bounded(bytes: Cow<'_, [u8]>, most: usize) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => bounded_text(bytes, most),
        Cow::Owned(bytes) => Cow::Owned(bounded_text(&bytes, most).into_owned()),
    }
}

/// Bytes as text of at most `most` bytes: invalid UTF-8 becomes U+FFFD, and the cut never splits a character.
pub fn bounded_text(bytes: &[u8], most: usize) -> Cow<'_, str> {
    // A replacement character takes three bytes where one stood, so both ends are cut.
    let head = bytes.get(..most.saturating_add(3).min(bytes.len())).unwrap_or(bytes);
    // Nearly all values are valid; checking is several times faster than looking for characters to replace.
    let text = std::str::from_utf8(head).map_or_else(|_| String::from_utf8_lossy(head), Cow::Borrowed);
    match text {
        text if text.len() <= most => text,
        Cow::Borrowed(text) => text.get(..text.floor_char_boundary(most)).unwrap_or("").into(),
        Cow::Owned(mut text) => {
            text.truncate(text.floor_char_boundary(most));
            text.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::bounded_text;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_is_bounded_and_keeps_what_fits(bytes in any::<Vec<u8>>(), text in ".*", most in 0usize..64) {
            prop_assert!(bounded_text(&bytes, most).len() <= most);
            let bounded = bounded_text(text.as_bytes(), most);
            prop_assert!(text.starts_with(&*bounded));
            prop_assert!(text.len() > most || bounded == text);
        }
    }
}
