//! Compression of request bodies.

use std::io::Write;

use flate2::write::GzEncoder;

use super::deflate::Deflater;
use crate::config::Compression;
use crate::otlp::requests::Mark;

/// A body under construction.
#[derive(Debug)]
pub(super) enum Body {
    /// Not compressed.
    Plain(Vec<u8>),
    /// Compressed as it grows.
    Gzip(Deflater),
}

impl Body {
    /// An empty body.
    pub(super) fn new(compression: Compression) -> Self {
        match compression {
            Compression::None => Body::Plain(Vec::new()),
            Compression::Gzip => Body::Gzip(Deflater::new()),
        }
    }

    /// Appends bytes. The marks are those of [`Deflater::write`].
    pub(super) fn write(&mut self, bytes: &[u8], marks: &[Mark]) {
        match self {
            Body::Plain(out) => out.extend_from_slice(bytes),
            Body::Gzip(deflater) => deflater.write(bytes, marks),
        }
    }

    /// Takes the finished body and begins a new one.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        match self {
            Body::Plain(out) => std::mem::take(out),
            Body::Gzip(deflater) => deflater.finish(),
        }
    }
}

/// Compresses a whole body that is not made of log records: with a search, and with codes of its own.
pub fn compress(body: Vec<u8>, compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => body,
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            // Writing to a vector never fails.
            drop(encoder.write_all(&body));
            encoder.finish().unwrap_or_default()
        }
    }
}
