//! What the gateway knows of one stream.

use std::ops::Range;

use crate::request::protocol::Protocol;
use gatelens_model::Message;

/// The stream whose callback is being delivered.
///
/// Every method is valid at the end of the stream; those that are also valid earlier state it. Each call may cost a
/// microsecond, so the values that most requests do without have methods of their own.
pub trait Stream {
    /// A header map as the gateway hands it over.
    type Headers: HeaderMap;

    /// Bytes as the gateway hands them over.
    type Bytes: AsRef<[u8]>;

    /// The values that every request needs, read at once; with them those that the host was prepared for, if it was
    /// ([`InfoNeeds`]).
    fn info(&self) -> StreamInfo<Self::Bytes>;

    /// The final request headers; empty when there are none, because the gateway could not parse the request. Also
    /// valid when they arrive.
    fn request_headers(&self) -> Self::Headers;

    /// The response headers; empty when there are none. Also valid when they arrive.
    fn response_headers(&self) -> Self::Headers;

    /// The gateway's response code details.
    fn code_details(&self) -> Option<Self::Bytes>;

    /// Status of a gRPC call. Envoy infers one for any response.
    fn grpc_status(&self) -> Option<u64>;

    /// Name of the route in the gateway's configuration.
    fn route_name(&self) -> Option<Self::Bytes>;

    /// A value of the dynamic metadata, by the name of the filter that wrote it and then by keys. The value comes without
    /// its type: a text as it is, anything else in the gateway's encoding.
    fn metadata(&self, path: &[Box<str>]) -> Option<Self::Bytes>;

    /// A part of the client's certificate; `None` without one.
    fn certificate(&self, part: Certificate) -> Option<Self::Bytes>;

    /// The first value of a response header. Also valid when the response headers arrive.
    fn response_header(&self, name: &str) -> Option<Self::Bytes>;

    /// Removes a response header with all its values. Only valid when the response headers arrive.
    fn remove_response_header(&self, name: &str);

    /// A part of the chunk of a body. Valid when the chunk arrives; shorter than `part` where the chunk ends before.
    fn body_chunk(&self, message: Message, part: Range<usize>) -> Vec<u8>;
}

/// A part of the client's certificate that can name the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// The first URI in the subject alternative names.
    UriSan,
    /// The subject.
    Subject,
}

/// A header map: names and values in their order. They are bytes, and need not be UTF-8.
pub trait HeaderMap: Default {
    /// All headers, pseudo-headers included.
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])>;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// Values of a [`StreamInfo`] that not every configuration needs. Each costs time in every request, so a host leaves out
/// those that are not needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InfoNeeds<'a> {
    /// [`StreamInfo::client_address`].
    pub client_address: bool,
    /// [`StreamInfo::upstream_cluster`].
    pub upstream_cluster: bool,
    /// [`StreamInfo::protocol`].
    pub protocol: bool,
    /// The name of [`StreamInfo::response_header`], in lower case.
    pub response_header: Option<&'a str>,
}

/// Values of a finished stream; `None` for those that the gateway does not have, or that are not needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamInfo<B> {
    /// From the first byte of the request headers to the end of the stream, nanoseconds.
    pub duration_ns: Option<u64>,
    /// From the request headers sent to the upstream to the last byte of its response, nanoseconds, of the last
    /// attempt. Absent unless that response ended regularly.
    pub upstream_ns: Option<u64>,
    /// Body bytes of the request, as sent.
    pub request_bytes: Option<u64>,
    /// Body bytes of the response, as sent.
    pub response_bytes: Option<u64>,
    /// Envoy's response flags as a bit mask.
    pub response_flags: Option<u64>,
    /// Number of times that the request was sent to an upstream; 0 or absent when it never was.
    pub attempts: Option<u64>,
    /// Address and port of the client.
    pub client_address: Option<B>,
    /// The cluster that the request went to, or was meant for.
    pub upstream_cluster: Option<B>,
    /// The version of HTTP that the client speaks.
    pub protocol: Option<Protocol>,
    /// Status of the response; absent when none was sent.
    pub response_code: Option<u64>,
    /// The gateway's response code details, where the host has read them with the other values; empty where it has none.
    pub code_details: Option<B>,
    /// The response header that the plan names alone.
    pub response_header: SoleHeader<B>,
}

/// A header that a host has read with other values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SoleHeader<B> {
    /// The host was not prepared to read it.
    #[default]
    Unread,
    /// The message has no such header.
    Absent,
    /// All its values with commas between them. An empty text can also mean that it is absent.
    Values(B),
}
