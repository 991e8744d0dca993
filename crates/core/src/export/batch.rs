//! The batch of log records that is being filled.
//!
//! Records are compressed in portions as they come, so that closing a batch never blocks the worker's event loop for
//! the compression of a whole batch. Each portion is a `ResourceLogs` of its own: messages of a repeated field may be
//! laid end to end, so the portions are one `ExportLogsServiceRequest`.

use std::io::Read;

use super::gzip::{Body, compress};
use crate::config::Compression;
use crate::otlp::requests::{
    Draft, Mark, PORTION_END, PortionHead, RecordForm, encode_late_record, encode_record,
};
use crate::otlp::{self, Resource};
use crate::request::event::Event;
use gatelens_redact::capture::CapturedBody;

/// Bytes of records to a portion.
const PORTION: usize = 16 * 1024;

/// More bytes than any batch has uncompressed: `limits.batch_bytes` and one record beyond it, with the largest bodies.
const MAX_BATCH_BYTES: u64 = 16 * 1024 * 1024;

/// A batch under construction; its memory is used again for the next.
#[derive(Debug)]
pub struct LogBatch {
    portions: PortionHead,
    records: Vec<u8>,
    /// What the compression knows of them.
    marks: Vec<Mark>,
    /// The beginning of a portion.
    head: Vec<u8>,
    body: Body,
    /// A portion that is compressed a slice at a time. Those behind it wait.
    large: Option<Large>,
    events: u64,
    bodies: u64,
    bytes: usize,
    opened_ns: u64,
}

/// A portion of one large record.
#[derive(Debug)]
struct Large {
    portion: Vec<u8>,
    /// Compressed up to here.
    done: usize,
}

impl LogBatch {
    /// An empty batch.
    pub fn new(resource: &Resource, instance: &str, compression: Compression) -> Self {
        let body = Body::new(compression);
        Self {
            portions: PortionHead::new(resource, instance),
            records: Vec::new(),
            marks: Vec::new(),
            head: Vec::new(),
            body,
            large: None,
            events: 0,
            bodies: 0,
            bytes: 0,
            opened_ns: 0,
        }
    }

    /// Adds an event in a form. All of a batch have the same.
    pub fn push(&mut self, event: &Event<'_>, form: RecordForm, now_ns: u64) {
        let before = self.records.len();
        encode_record(event, form, &mut self.records, &mut self.marks);
        let bytes = self.records.len().saturating_sub(before);
        self.count(bytes, form.bodies([event.request_body, event.response_body]), now_ns);
        if self.records.len() >= PORTION {
            self.end_portion();
        }
    }

    /// Adds the draft of an event, with the bodies that it lacks: a portion of its own, which [`compress_slice`](Self::compress_slice)
    /// compresses. Bodies that are in the draft already are not counted.
    pub fn push_late(&mut self, draft: &Draft, bodies: [Option<&CapturedBody>; 2], now_ns: u64) {
        self.end_large();
        self.end_portion();
        // The memory of such a record is given back with it.
        let (mut record, mut marks) = (Vec::new(), Vec::new());
        let bodies = draft.bodies(bodies);
        encode_late_record(draft, bodies, &mut record, &mut marks);
        let mut portion = Vec::with_capacity(record.len().saturating_add(PORTION));
        self.portions.write(record.len(), &mut portion);
        portion.extend_from_slice(&record);
        portion.extend_from_slice(PORTION_END.as_flattened());
        self.large = Some(Large { portion, done: 0 });
        self.count(record.len(), bodies, now_ns);
    }

    /// Compresses at most `most` bytes of a large record.
    pub fn compress_slice(&mut self, most: usize) {
        if let Some(Large { portion, done }) = &mut self.large {
            let end = done.saturating_add(most).min(portion.len());
            self.body.write(portion.get(*done..end).unwrap_or_default(), &[]);
            *done = end;
            if end == portion.len() {
                self.large = None;
            }
        }
    }

    /// Compresses all that is left of a large record.
    pub fn end_large(&mut self) {
        self.compress_slice(usize::MAX);
    }

    /// Whether a large record is not compressed to its end.
    pub fn has_large(&self) -> bool {
        self.large.is_some()
    }

    /// Counts a record of this number of bytes.
    fn count(&mut self, bytes: usize, bodies: [Option<&CapturedBody>; 2], now_ns: u64) {
        if self.events == 0 {
            self.opened_ns = now_ns;
        }
        self.events = self.events.saturating_add(1);
        let captured = |body: Option<&CapturedBody>| u64::from(body.is_some_and(|body| body.content.is_ok()));
        self.bodies = bodies.into_iter().map(captured).fold(self.bodies, u64::saturating_add);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Events in it.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// Captured bodies of requests and responses in it.
    pub fn bodies(&self) -> u64 {
        self.bodies
    }

    /// Bytes of its records, uncompressed.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nanoseconds since its first event; 0 when it is empty.
    pub fn age_ns(&self, now_ns: u64) -> u64 {
        if self.events == 0 { 0 } else { now_ns.saturating_sub(self.opened_ns) }
    }

    /// Takes the finished body and begins a new one.
    pub fn close(&mut self) -> Vec<u8> {
        self.end_large();
        self.end_portion();
        (self.events, self.bodies, self.bytes) = (0, 0, 0);
        self.body.finish()
    }

    fn end_portion(&mut self) {
        if !self.records.is_empty() && self.large.is_none() {
            self.portions.write(self.records.len(), &mut self.head);
            self.body.write(&self.head, &[]);
            self.body.write(&self.records, &self.marks);
            self.body.write(PORTION_END.as_flattened(), &[]);
            self.head.clear();
            self.records.clear();
            self.marks.clear();
        }
    }
}

/// A closed batch without its captured bodies, and the number of request and response bodies taken out; `None` for
/// bytes that are not such a batch.
pub(super) fn strip_bodies(batch: &[u8], compression: Compression) -> Option<(Vec<u8>, [u64; 2])> {
    let mut inflated = Vec::new();
    let plain = match compression {
        Compression::None => batch,
        Compression::Gzip => {
            let decoder = flate2::read::GzDecoder::new(batch);
            decoder.take(MAX_BATCH_BYTES).read_to_end(&mut inflated).ok()?;
            &inflated
        }
    };
    let (stripped, taken) = otlp::strip_bodies(plain)?;
    Some((compress(stripped, compression), taken))
}
