//! A worker's requests on their way to the destinations: the open batches, and the queues behind them.
//!
//! Requests are encoded and compressed once for each form and compression. The queues of all destinations that get such a
//! batch hold the same bytes.

use std::rc::Rc;

use super::batch::LogBatch;
use super::config::ExportConfig;
use super::pipeline::Sender;
use super::queue::RequestQueue;
use super::request::{ExportRequest, RootId};
use crate::config::Compression;
use crate::host::{CalloutAnswer, CalloutId, Host};
use crate::otlp::requests::{Draft, RecordForm, encode_draft};
use crate::request::event::Event;
use crate::shared::sequence;
use crate::stats::{DeliveryStats, WorkerStats};
use gatelens_redact::capture::{CapturedBody, SLICE_BYTES};

/// The requests of one worker; bounded in bytes for each destination.
#[derive(Debug)]
pub struct LogExport {
    streams: Vec<RequestStream>,
}

/// Requests of one form: the open batch, and the queues of the destinations that get it.
#[derive(Debug)]
struct RequestStream {
    form: RecordForm,
    compression: Compression,
    open: LogBatch,
    queues: Vec<RequestQueue>,
}

/// The record of an event that waits for bodies, without those: in each form in which it is sent.
#[derive(Debug)]
pub struct Drafts(Vec<Option<Draft>>);

/// The open batches that are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// All.
    All,
    /// Those that have reached a bound of the configuration.
    Full,
    /// Those that are at least this old and can be closed at little cost, nanoseconds.
    OlderThan(u64),
}

impl LogExport {
    /// An empty log.
    pub fn new(config: &ExportConfig, instance: &str) -> Self {
        let mut streams: Vec<RequestStream> = Vec::new();
        for (destination, to) in config.destinations.iter().enumerate() {
            for (form, _) in &to.requests {
                let queue = RequestQueue::new(*form, destination);
                let is_same = |stream: &&mut RequestStream| {
                    (stream.form, stream.compression) == (*form, to.compression)
                };
                match streams.iter_mut().find(is_same) {
                    Some(stream) => stream.queues.push(queue),
                    None => streams.push(RequestStream {
                        form: *form,
                        compression: to.compression,
                        open: LogBatch::new(&config.resource, instance, to.compression),
                        queues: vec![queue],
                    }),
                }
            }
        }
        Self { streams }
    }

    /// Whether no destination gets requests.
    pub fn is_off(&self) -> bool {
        self.streams.is_empty()
    }

    /// Writes an event. True when a batch is full: the caller closes it.
    #[must_use]
    pub fn push(&mut self, event: &Event<'_>, now_ns: u64, config: &ExportConfig) -> bool {
        let mut is_full = false;
        for stream in self.streams.iter_mut().filter(|stream| stream.form.takes(event)) {
            stream.open.push(event, stream.form, now_ns);
            stream.count_captured();
            is_full |= stream.is_full(config);
        }
        is_full
    }

    /// Takes in an event that waits for bodies. Returns its record without those.
    pub fn draft(&mut self, event: &Event<'_>) -> Drafts {
        let draft = |stream: &mut RequestStream| {
            stream.form.takes(event).then(|| {
                stream.count_captured();
                encode_draft(event, stream.form)
            })
        };
        Drafts(self.streams.iter_mut().map(draft).collect())
    }

    /// Takes a [`draft`](Self::draft) with the bodies for which it waited, of request and response.
    /// [`compress_slice`](Self::compress_slice) writes it.
    pub fn push_late(&mut self, drafts: &Drafts, bodies: [Option<&CapturedBody>; 2], now_ns: u64) {
        for (stream, draft) in self.streams.iter_mut().zip(&drafts.0) {
            if let Some(draft) = draft {
                stream.open.push_late(draft, bodies, now_ns);
            }
        }
    }

    /// Writes a slice of a large record. True when a batch is full.
    #[must_use]
    pub fn compress_slice(&mut self, config: &ExportConfig) -> bool {
        let large = self.streams.iter_mut().find(|stream| stream.open.has_large());
        large.is_some_and(|stream| {
            stream.open.compress_slice(SLICE_BYTES);
            stream.is_full(config)
        })
    }

    /// Writes all that is left of large records.
    pub fn end_large(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.open.end_large());
    }

    /// Whether a large record is not written to its end.
    pub fn has_large(&self) -> bool {
        self.streams.iter().any(|stream| stream.open.has_large())
    }

    /// Begins batches with a changed resource or compression. The open batches must be closed.
    pub fn reopen(&mut self, config: &ExportConfig, instance: &str) {
        for stream in &mut self.streams {
            // Several queues share a stream only where a change of the compression begins new counters.
            let destination = stream.queues.first().map(|queue| queue.pipeline.destination());
            if let Some(to) = destination.and_then(|place| config.destinations.get(place)) {
                stream.compression = to.compression;
            }
            stream.open = LogBatch::new(&config.resource, instance, stream.compression);
        }
    }

    /// Closes open batches and bounds the queues. Returns the number of request and response bodies that were taken
    /// out of waiting batches.
    pub fn close(&mut self, host: &impl Host, now_ns: u64, from: Sender<'_>, closing: Closing) -> [u64; 2] {
        let mut stripped = [0u64; 2];
        for stream in &mut self.streams {
            if stream.open.events() > 0 && stream.is_closing(closing, now_ns, from.config) {
                stream.close(host, now_ns, from, &mut stripped);
            }
        }
        stripped
    }

    /// Sends waiting batches. Batches that are too old are dropped.
    pub fn send(&mut self, host: &impl Host, root: RootId, now_ns: u64, from: Sender<'_>) {
        self.queues_mut().for_each(|queue| queue.send(host, root, now_ns, from));
    }

    /// Takes an answer, if it is to one of these batches.
    pub fn answered(
        &mut self,
        host: &impl Host,
        id: CalloutId,
        answer: &CalloutAnswer,
        now_ns: u64,
        config: &ExportConfig,
    ) {
        self.queues_mut().for_each(|queue| queue.answered(host, id, answer, now_ns, config));
    }

    /// The destination to which this callout went; `None` for a callout of another's.
    pub fn destination_of(&self, id: CalloutId) -> Option<usize> {
        let own = self.queues().find(|queue| queue.pipeline.is_own(id));
        own.map(|queue| queue.pipeline.destination())
    }

    /// See [`super::Pipeline::requeue`].
    pub fn requeue(&mut self, root: RootId) {
        self.queues_mut().for_each(|queue| queue.pipeline.requeue(root));
    }

    /// See [`super::Pipeline::is_waiting`].
    pub fn is_waiting(&self, root: RootId) -> bool {
        self.queues().any(|queue| queue.pipeline.is_waiting(root))
    }

    /// Whether every event has its fates.
    pub fn is_idle(&self) -> bool {
        self.queues().all(|queue| queue.pipeline.is_idle())
            && self.streams.iter().all(|stream| stream.open.events() == 0)
    }

    /// Adds the statistics of all queues to those of a worker.
    pub fn add_to(&self, stats: &mut WorkerStats) {
        for stream in &self.streams {
            for RequestQueue { pipeline, counts } in &stream.queues {
                let Some(of) = stats.deliveries.get_mut(pipeline.destination()) else { continue };
                let DeliveryStats { events, spans, queue_bytes, export_failures } = of;
                *(if stream.form == RecordForm::SpanBesideLog { spans } else { events }) = *counts;
                *queue_bytes = queue_bytes.saturating_add(pipeline.bytes() as u64);
                *export_failures = export_failures.saturating_add(pipeline.failures());
            }
        }
    }

    fn queues(&self) -> impl Iterator<Item = &RequestQueue> {
        self.streams.iter().flat_map(|stream| &stream.queues)
    }

    fn queues_mut(&mut self) -> impl Iterator<Item = &mut RequestQueue> {
        self.streams.iter_mut().flat_map(|stream| &mut stream.queues)
    }
}

impl RequestStream {
    fn count_captured(&mut self) {
        for queue in &mut self.queues {
            queue.counts.captured = queue.counts.captured.saturating_add(1);
        }
    }

    /// A batch with a large record is closed after its end, so that the rest of it is not compressed at once.
    fn is_full(&self, config: &ExportConfig) -> bool {
        let is_large_enough = self.open.events() >= u64::from(config.limits.batch_events)
            || self.open.bytes() >= config.limits.batch_bytes as usize;
        is_large_enough && !self.open.has_large()
    }

    fn is_closing(&self, closing: Closing, now_ns: u64, config: &ExportConfig) -> bool {
        match closing {
            Closing::All => true,
            Closing::Full => self.is_full(config),
            Closing::OlderThan(age_ns) => !self.open.has_large() && self.open.age_ns(now_ns) >= age_ns,
        }
    }

    /// Gives the open batch to all queues.
    fn close(&mut self, host: &impl Host, now_ns: u64, from: Sender<'_>, stripped: &mut [u64; 2]) {
        let (events, bodies) = (self.open.events(), self.open.bodies());
        let body = Rc::new(self.open.close());
        for queue in &mut self.queues {
            let request = ExportRequest {
                body: Rc::clone(&body),
                compression: self.compression,
                events,
                bodies,
                was_sent: false,
                sequence: sequence::next(host, from.store, self.form.signal(), queue.pipeline.destination()),
                closed_ns: now_ns,
            };
            queue.enqueue(request, from.config.limits.queue_bytes as usize, stripped);
        }
    }
}
