//! Percent-decoding of one segment, without allocation.

use gatelens_model::percent;

/// Maximum bytes of an encoded segment that is decoded; each byte may take three.
const MAX_ENCODED_BYTES: usize = 288;

/// A decoded segment.
pub(super) struct Decoded {
    buffer: [u8; MAX_ENCODED_BYTES],
    length: usize,
}

impl Decoded {
    /// Decodes a segment; `None` for one that is too long. A `%` without two hexadecimal digits stays (RFC 3986 has no
    /// meaning for it).
    pub(super) fn of(segment: &[u8]) -> Option<Self> {
        if segment.len() > MAX_ENCODED_BYTES {
            return None;
        }
        let mut decoded = Self { buffer: [0; MAX_ENCODED_BYTES], length: 0 };
        let mut rest = segment;
        while let Some((byte, after)) = percent::take(rest) {
            *decoded.buffer.get_mut(decoded.length)? = byte;
            decoded.length = decoded.length.saturating_add(1);
            rest = after;
        }
        Some(decoded)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.length).unwrap_or_default()
    }
}
