//! The batch of log records that is being filled.
//!
//! Records are compressed in portions as they come, so that closing a batch never holds up the worker's event loop for
//! the length of a whole one. Each portion is a `ResourceLogs` of its own: messages of a repeated field may be laid end
//! to end, so the portions are one `ExportLogsServiceRequest`.

use std::io::Read;

use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, compress_to_output, create_comp_flags_from_zip_params,
};

use crate::config::Compression;
use crate::event::Event;
use crate::otlp::logs::{encode_portion, encode_record};
use crate::otlp::{self, Resource};
use gatelens_redact::capture::CapturedBody;

/// Bytes of records to a portion.
const PORTION: usize = 16 * 1024;

/// More than any batch has uncompressed: `limits.batch_bytes` and one record beyond it, with the largest bodies.
const MAX_BATCH_BYTES: u64 = 16 * 1024 * 1024;

/// A batch under construction; its memory is used again for the next.
#[derive(Debug)]
pub struct OpenBatch {
    resource: Resource,
    instance: String,
    records: Vec<u8>,
    body: Body,
    events: u64,
    bodies: u64,
    bytes: usize,
    opened_ns: u64,
}

impl OpenBatch {
    /// An empty batch.
    pub fn new(resource: Resource, instance: String, compression: Compression) -> Self {
        let body = match compression {
            Compression::None => Body::Plain(Vec::new()),
            Compression::Gzip => Body::Gzip(Gzip::new()),
        };
        Self { resource, instance, records: Vec::new(), body, events: 0, bodies: 0, bytes: 0, opened_ns: 0 }
    }

    /// Adds an event.
    pub fn push(&mut self, event: &Event<'_>, now_ns: u64) {
        if self.events == 0 {
            self.opened_ns = now_ns;
        }
        let before = self.records.len();
        encode_record(event, &mut self.records);
        self.events = self.events.saturating_add(1);
        let captured = |body: Option<&CapturedBody>| u64::from(body.is_some_and(|body| body.content.is_ok()));
        self.bodies = self
            .bodies
            .saturating_add(captured(event.request_body))
            .saturating_add(captured(event.response_body));
        self.bytes = self.bytes.saturating_add(self.records.len().saturating_sub(before));
        if self.records.len() >= PORTION {
            self.end_portion();
        }
    }

    /// Events in it.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Bodies of requests and responses in it.
    pub fn bodies(&self) -> u64 {
        self.bodies
    }

    /// Bytes of its records, uncompressed.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nanoseconds since the first event came in.
    pub fn age_ns(&self, now_ns: u64) -> u64 {
        if self.events == 0 { 0 } else { now_ns.saturating_sub(self.opened_ns) }
    }

    /// Takes the finished body and begins anew.
    pub fn close(&mut self) -> Vec<u8> {
        self.end_portion();
        (self.events, self.bodies, self.bytes) = (0, 0, 0);
        self.body.finish()
    }

    fn end_portion(&mut self) {
        if !self.records.is_empty() {
            let portion = encode_portion(&self.resource, &self.instance, &self.records);
            self.body.write(&portion);
            self.records.clear();
        }
    }
}

#[derive(Debug)]
enum Body {
    Plain(Vec<u8>),
    Gzip(Gzip),
}

impl Body {
    fn write(&mut self, bytes: &[u8]) {
        match self {
            Body::Plain(out) => out.extend_from_slice(bytes),
            Body::Gzip(gzip) => gzip.write(bytes),
        }
    }

    fn finish(&mut self) -> Vec<u8> {
        match self {
            Body::Plain(out) => std::mem::take(out),
            Body::Gzip(gzip) => gzip.finish(),
        }
    }
}

/// Compresses a whole body.
pub fn compress(body: Vec<u8>, compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => body,
        Compression::Gzip => {
            let mut gzip = Gzip::new();
            gzip.write(&body);
            gzip.finish()
        }
    }
}

/// A closed batch without the bodies of requests and responses, and how many there were of each; `None` when nothing
/// can be taken out.
pub fn without_bodies(batch: &[u8], compression: Compression) -> Option<(Vec<u8>, [u64; 2])> {
    let mut inflated = Vec::new();
    let plain = match compression {
        Compression::None => batch,
        Compression::Gzip => {
            let decoder = flate2::read::GzDecoder::new(batch);
            decoder.take(MAX_BATCH_BYTES).read_to_end(&mut inflated).ok()?;
            &inflated
        }
    };
    let (light, taken) = otlp::without_bodies(plain)?;
    Some((compress(light, compression), taken))
}

/// A gzip stream (RFC 1952) with the fastest compression: records repeat one another so much that more effort gains a
/// tenth in size for three times the time.
struct Gzip {
    compressor: Box<CompressorOxide>,
    checksum: crc32fast::Hasher,
    length: u32,
    out: Vec<u8>,
}

impl std::fmt::Debug for Gzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gzip")
            .field("length", &self.length)
            .field("out", &self.out.len())
            .finish_non_exhaustive()
    }
}

/// Magic, deflate, no flags, no time, fastest, unknown system.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

impl Gzip {
    fn new() -> Self {
        let level = 1;
        let raw_deflate = 0;
        let flags = create_comp_flags_from_zip_params(level, raw_deflate, 0);
        Self {
            compressor: Box::new(CompressorOxide::new(flags)),
            checksum: crc32fast::Hasher::new(),
            length: 0,
            out: GZIP_HEADER.to_vec(),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.checksum.update(bytes);
        // The trailer holds the length modulo 2^32.
        self.length = self.length.wrapping_add(bytes.len() as u32);
        self.feed(bytes, TDEFLFlush::None);
    }

    fn finish(&mut self) -> Vec<u8> {
        self.feed(&[], TDEFLFlush::Finish);
        let checksum = std::mem::take(&mut self.checksum).finalize();
        self.out.extend(checksum.to_le_bytes());
        self.out.extend(self.length.to_le_bytes());
        self.compressor.reset();
        self.length = 0;
        std::mem::replace(&mut self.out, GZIP_HEADER.to_vec())
    }

    fn feed(&mut self, bytes: &[u8], flush: TDEFLFlush) {
        let out = &mut self.out;
        // All input is taken in one call, because the callback never says that it is full.
        compress_to_output(&mut self.compressor, bytes, flush, |compressed| {
            out.extend_from_slice(compressed);
            true
        });
    }
}
