//! The version of HTTP of a request.

/// The value of `network.protocol.version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

impl Protocol {
    /// The value on the wire.
    pub fn version(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
            Self::Http3 => "3",
        }
    }

    /// From Envoy's name of it: `HTTP/1.1`, `HTTP/2`.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"HTTP/1.0" => Some(Self::Http10),
            b"HTTP/1.1" => Some(Self::Http11),
            b"HTTP/2" => Some(Self::Http2),
            b"HTTP/3" => Some(Self::Http3),
            _ => None,
        }
    }
}
