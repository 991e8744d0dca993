//! Reasons for omitting a body from the log.

/// Why a body is not in the log. A body is sent redacted or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum OmissionReason {
    /// The message has no body by its kind (HEAD, 1xx, 204, 304), or its body is empty.
    NoBody,
    /// A gRPC stream. Its messages are framed and binary.
    Grpc,
    /// The connection was handed over to another protocol, for example by CONNECT or to websockets.
    Upgrade,
    /// The media type is not one that redaction understands, or is missing, or several differ.
    UnsupportedMediaType,
    /// A content coding other than gzip, deflate and identity, or several on top of one another.
    UnknownEncoding,
    /// A character set other than UTF-8, US-ASCII and ISO-8859-1.
    UnsupportedCharset,
    /// Longer than `capture.max_body_bytes`, as sent or decoded.
    TooLarge,
    /// It inflates to more than a hundred times its size, as a decompression bomb does.
    InflateBound,
    /// The stream, the compressed data or the JSON ended too early.
    Truncated,
    /// It is not valid for its media type or content coding.
    Malformed,
    /// It is not text in its character set.
    InvalidUtf8,
    /// It is nested deeper than 128 levels.
    TooDeep,
    /// An object repeats a name, and a rule depends on which of the values counts.
    DuplicateNames,
    /// A rule compares a number that a double-precision float cannot hold.
    NumberBeyondF64,
    /// A rule needed more work than its bound allows.
    RuleFailed,
    /// The bodies that the worker held at the same time exceeded `limits.queue_bytes`.
    MemoryLimit,
    /// It was captured, and later removed to make room for records that had to wait.
    QueueFull,
    /// Redaction had taken its part of the worker's time, `limits.redaction_percent`; or the body is large and must be read as a whole.
    Overload,
    /// The filter did not see it: an access logger sees no bodies, an earlier filter responded, or the capabilities of the Wasm VM
    /// leave out the callbacks for bodies.
    NotSeen,
}

impl OmissionReason {
    /// All reasons, in an order that is stable: append only.
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

    /// Value of `gatelens.body.fate` and of the attributes that say why a body was omitted.
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

    /// Whether the body should have been captured. False if there was nothing to capture.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::NoBody | Self::Grpc | Self::Upgrade | Self::UnsupportedMediaType)
    }
}

#[cfg(test)]
mod tests {
    use super::OmissionReason;

    #[test]
    fn every_reason_has_its_place_and_a_name_of_its_own() {
        for (index, reason) in OmissionReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason:?}");
        }
        let mut names = OmissionReason::ALL.map(OmissionReason::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OmissionReason::ALL.len());
    }
}
