//! Why a body is left out.

/// Why a body was not captured. A body is sent redacted, or not at all; these are the reasons of the latter. The names
/// leave the process as attributes and as labels of counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Reason {
    /// The exchange has no body by its kind: HEAD, CONNECT, 1xx, 204, 304.
    NoBody,
    /// A gRPC stream: its messages are framed and not text.
    Grpc,
    /// The connection was handed over to another protocol, to websockets for instance.
    Upgrade,
    /// Not a media type that redaction understands, or none, or several that differ.
    UnsupportedMediaType,
    /// A content coding other than gzip, deflate and identity, or several on top of one another.
    UnknownEncoding,
    /// A character set other than UTF-8, US-ASCII and ISO-8859-1.
    UnsupportedCharset,
    /// Longer than `capture.max_body_bytes`, as sent or decoded.
    TooLarge,
    /// Inflates to more than a hundred times its size: a decompression bomb, or as good as one.
    InflateBound,
    /// The stream, the compressed data or the JSON ends too early.
    Truncated,
    /// Not what its media type or content coding says.
    Malformed,
    /// Not text in its character set.
    InvalidUtf8,
    /// Nested deeper than 128 levels.
    TooDeep,
    /// An object repeats a name and a rule needs to tell which value counts.
    DuplicateNames,
    /// A rule compares a number that a double-precision float does not hold.
    NumberBeyondF64,
    /// A rule would need more work than its bound allows.
    RuleFailed,
    /// The bodies that the worker captured at the same time exceeded `limits.queue_bytes`.
    MemoryLimit,
    /// It was captured, and taken out of the log again to make room for records that had to wait.
    QueueFull,
    /// Redaction had taken half of the worker's time since its last tick.
    Overload,
    /// No filter saw it: an access logger sees no bodies, an earlier filter answered, or the capabilities of the virtual
    /// machine leave out the callbacks for bodies.
    NotSeen,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 19] = [
        Self::NoBody,
        Self::Grpc,
        Self::Upgrade,
        Self::UnsupportedMediaType,
        Self::UnknownEncoding,
        Self::UnsupportedCharset,
        Self::TooLarge,
        Self::InflateBound,
        Self::Truncated,
        Self::Malformed,
        Self::InvalidUtf8,
        Self::TooDeep,
        Self::DuplicateNames,
        Self::NumberBeyondF64,
        Self::RuleFailed,
        Self::MemoryLimit,
        Self::QueueFull,
        Self::Overload,
        Self::NotSeen,
    ];

    /// The name under which it leaves the process.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoBody => "no_body",
            Self::Grpc => "grpc",
            Self::Upgrade => "upgrade",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::UnknownEncoding => "unknown_encoding",
            Self::UnsupportedCharset => "unsupported_charset",
            Self::TooLarge => "too_large",
            Self::InflateBound => "inflate_bound",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooDeep => "too_deep",
            Self::DuplicateNames => "duplicate_names",
            Self::NumberBeyondF64 => "number_beyond_f64",
            Self::RuleFailed => "rule_failed",
            Self::MemoryLimit => "memory_limit",
            Self::QueueFull => "queue_full",
            Self::Overload => "overload",
            Self::NotSeen => "not_seen",
        }
    }

    /// Whether something went wrong with a body that was to be captured, rather than that there was none to capture.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::NoBody | Self::Grpc | Self::Upgrade | Self::UnsupportedMediaType)
    }
}
