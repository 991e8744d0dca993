//! Compression of request bodies.

use std::io::Write;

use flate2::write::GzEncoder;

use crate::config::Compression;

/// A body under construction.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are few, and with the filter's own backend the encoder is small"
)]
pub(super) enum Body {
    /// Not compressed.
    Plain(Vec<u8>),
    /// Compressed as it grows.
    Gzip(GzEncoder<Vec<u8>>),
}

impl Body {
    /// An empty body.
    pub(super) fn new(compression: Compression) -> Self {
        match compression {
            Compression::None => Body::Plain(Vec::new()),
            Compression::Gzip => Body::Gzip(encoder()),
        }
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        match self {
            Body::Plain(out) => out.extend_from_slice(bytes),
            // Writing to a vector never fails.
            Body::Gzip(encoder) => drop(encoder.write_all(bytes)),
        }
    }

    /// Takes the finished body and begins a new one.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        match self {
            Body::Plain(out) => std::mem::take(out),
            Body::Gzip(present) => std::mem::replace(present, encoder()).finish().unwrap_or_default(),
        }
    }
}

/// Compresses a whole body.
pub fn compress(body: Vec<u8>, compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => body,
        Compression::Gzip => {
            let mut gzip = Body::new(compression);
            gzip.write(&body);
            gzip.finish()
        }
    }
}

/// The fastest compression: records repeat one another so much that more effort gains a tenth in size for three times
/// the time.
fn encoder() -> GzEncoder<Vec<u8>> {
    GzEncoder::new(Vec::new(), flate2::Compression::fast())
}
