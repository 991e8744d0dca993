//! Taking in a body without trusting its sender: neither its size nor its speed nor what it unpacks to.

use super::memory::Share;
use crate::error::ReceiveError;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http_body_util::BodyExt;
use std::io::Read;
use std::time::Duration;

/// How a body was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Identity,
    Gzip,
    Deflate,
}

impl Packing {
    /// Reads `content-encoding`.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, ReceiveError> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Ok(Self::Identity),
            (Some(value), None) => value.to_str().unwrap_or_default().trim().to_ascii_lowercase(),
            (Some(_), Some(_)) => "several".to_owned(),
        };
        match value.as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            other => Err(ReceiveError::Unsupported(format!(
                "content-encoding {other:?} is not supported: send gzip, deflate or identity"
            ))),
        }
    }
}

/// A body in memory, and the share of the memory that was set aside for it.
pub(super) struct Held {
    pub(super) bytes: Vec<u8>,
    memory: Share,
    limit: usize,
}

/// Reads a body of at most `limit` bytes within `timeout`, whatever its `content-length`.
pub(super) async fn receive(
    body: Body,
    memory: Share,
    limit: usize,
    timeout: Duration,
) -> Result<Held, ReceiveError> {
    let held = Held { bytes: Vec::new(), memory, limit };
    tokio::time::timeout(timeout, held.fill(body)).await.map_err(|_| ReceiveError::Slow)?
}

impl Held {
    async fn fill(mut self, mut body: Body) -> Result<Self, ReceiveError> {
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| ReceiveError::Broken)?.into_data() else { continue };
            if let Err(refusal) = self.append(&data) {
                let limit = self.limit;
                drop(self);
                discard(body, limit).await;
                return Err(refusal);
            }
        }
        Ok(self)
    }

    /// Unpacks it, to at most the same limit. Blocks for as long as that takes.
    pub(super) fn unpack(self, packing: Packing) -> Result<Self, ReceiveError> {
        match packing {
            Packing::Identity => Ok(self),
            Packing::Gzip => self.inflate(|bytes| Box::new(MultiGzDecoder::new(bytes)), "gzip"),
            Packing::Deflate => self.inflate(|bytes| Box::new(ZlibDecoder::new(bytes)), "deflate"),
        }
    }

    fn inflate(
        self,
        decoder: impl for<'a> FnOnce(&'a [u8]) -> Box<dyn Read + 'a>,
        name: &str,
    ) -> Result<Self, ReceiveError> {
        let mut unpacked = Self { bytes: Vec::new(), memory: self.memory.beside(), limit: self.limit };
        let mut decoder = decoder(&self.bytes);
        let mut buffer = vec![0; 64 << 10];
        loop {
            match decoder.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => unpacked.append(&buffer[..n])?,
                Err(_) => return Err(ReceiveError::Malformed(format!("the body is not valid {name}"))),
            }
        }
        drop(decoder);
        Ok(unpacked)
    }

    fn append(&mut self, data: &[u8]) -> Result<(), ReceiveError> {
        if self.bytes.len() + data.len() > self.limit {
            return Err(ReceiveError::TooLarge { limit: self.limit });
        }
        self.memory.grow(data.len())?;
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// An empty share of the same memory, for the batch that is made of the bytes.
    pub(super) fn share(&self) -> Share {
        self.memory.beside()
    }
}

/// Reads and discards up to `limit` bytes: a sender that still writes when the connection is closed may never read the
/// answer.
pub(super) async fn discard(mut body: Body, limit: usize) {
    let mut discarded = 0;
    while let Some(Ok(frame)) = body.frame().await
        && discarded < limit
    {
        discarded += frame.data_ref().map_or(0, |data| data.len());
    }
}
