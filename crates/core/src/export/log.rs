//! A worker's request log on its way to the receiver: the open batch, the queue, and the fate of each event.

use gatelens_model::fate::{DropReason, Fate};

use super::MAX_AGE;
use super::batch::{LogBatch, strip_bodies};
use super::config::ExportConfig;
use super::pipeline::{Destination, Pipeline, Settled};
use super::request::{ExportRequest, RootId};
use crate::host::{CalloutAnswer, CalloutId, Host};
use crate::otlp::requests::{Draft, encode_draft};
use crate::request::event::Event;
use crate::shared::sequence;
use crate::stats::EventCounts;
use gatelens_redact::capture::{CapturedBody, SLICE_BYTES};

/// The request log of one worker; bounded in bytes.
#[derive(Debug)]
pub struct LogExport {
    open: LogBatch,
    pipeline: Pipeline,
    counts: EventCounts,
}

impl LogExport {
    /// An empty log.
    pub fn new(config: &ExportConfig, instance: &str) -> Self {
        Self {
            open: open(config, instance),
            pipeline: Pipeline::new(config.signal_of_requests()),
            counts: EventCounts::default(),
        }
    }

    /// Writes an event. True when the batch is full: the caller closes it.
    #[must_use]
    pub fn push(&mut self, event: &Event<'_>, now_ns: u64, config: &ExportConfig) -> bool {
        self.open.push(event, now_ns);
        self.counts.captured = self.counts.captured.saturating_add(1);
        self.is_full(config)
    }

    /// Takes in an event that waits for bodies. Returns its record without those.
    pub fn draft(&mut self, event: &Event<'_>) -> Draft {
        self.counts.captured = self.counts.captured.saturating_add(1);
        encode_draft(event)
    }

    /// Takes a [`draft`](Self::draft) with the bodies for which it waited, of request and response.
    /// [`compress_slice`](Self::compress_slice) writes it.
    pub fn push_late(&mut self, draft: &Draft, bodies: [Option<&CapturedBody>; 2], now_ns: u64) {
        self.open.push_late(draft, bodies, now_ns);
    }

    /// Writes a slice of a large record. True when the batch is full.
    #[must_use]
    pub fn compress_slice(&mut self, config: &ExportConfig) -> bool {
        self.open.compress_slice(SLICE_BYTES);
        self.is_full(config)
    }

    /// Writes all that is left of a large record.
    pub fn end_large(&mut self) {
        self.open.end_large();
    }

    /// Whether a large record is not written to its end.
    pub fn has_large(&self) -> bool {
        self.open.has_large()
    }

    /// Begins a batch with a changed resource. The open batch must be closed.
    pub fn reopen(&mut self, config: &ExportConfig, instance: &str) {
        self.open = open(config, instance);
    }

    /// Whether the open batch is at least this old, and can be closed at little cost.
    pub fn is_older_than(&self, age_ns: u64, now_ns: u64) -> bool {
        !self.open.has_large() && self.open.age_ns(now_ns) >= age_ns
    }

    /// Closes the open batch and bounds the queue. Returns the number of request and response bodies that were taken
    /// out of waiting batches.
    pub fn close_batch(&mut self, host: &impl Host, now_ns: u64, to: Destination<'_>) -> [u64; 2] {
        let (events, bodies) = (self.open.events(), self.open.bodies());
        if events == 0 {
            return [0; 2];
        }
        let request = ExportRequest {
            body: self.open.close(),
            compression: to.config.compression,
            events,
            bodies,
            was_sent: false,
            sequence: sequence::next(host, to.store, to.config.signal_of_requests()),
            closed_ns: now_ns,
        };
        self.enqueue(request, to.config.limits.queue_bytes as usize)
    }

    /// Sends waiting batches. Batches that are too old are dropped.
    pub fn send(&mut self, host: &impl Host, root: RootId, now_ns: u64, to: Destination<'_>) {
        let max_age_ns = MAX_AGE.as_nanos() as u64;
        while let Some(old) =
            self.pipeline.pop_if(|request| now_ns.saturating_sub(request.closed_ns) > max_age_ns)
        {
            self.counts.count(Fate::Dropped(DropReason::Expired), old.events);
        }
        self.pipeline.send(host, root, now_ns, to);
    }

    /// Takes an answer, if it is to one of these batches.
    pub fn answered(
        &mut self,
        host: &impl Host,
        id: CalloutId,
        answer: &CalloutAnswer,
        now_ns: u64,
        cluster: &str,
    ) {
        match self.pipeline.answered(host, id, answer, now_ns, cluster) {
            Some(Settled::Accepted { request, rejected }) => {
                let rejected = rejected.min(request.events);
                self.counts.count(Fate::Dropped(DropReason::Rejected), rejected);
                self.counts.count(Fate::Sent, request.events.saturating_sub(rejected));
            }
            Some(Settled::Refused(request)) => {
                self.counts.count(Fate::Dropped(DropReason::Rejected), request.events);
            }
            None => {}
        }
    }

    /// See [`Pipeline::is_own`].
    pub fn is_own(&self, id: CalloutId) -> bool {
        self.pipeline.is_own(id)
    }

    /// See [`Pipeline::requeue`].
    pub fn requeue(&mut self, root: RootId) {
        self.pipeline.requeue(root);
    }

    /// See [`Pipeline::is_waiting`].
    pub fn is_waiting(&self, root: RootId) -> bool {
        self.pipeline.is_waiting(root)
    }

    /// Whether every event has its fate.
    pub fn is_idle(&self) -> bool {
        self.pipeline.is_idle() && self.open.events() == 0
    }

    /// Events by fate so far.
    pub fn counts(&self) -> EventCounts {
        self.counts
    }

    /// Bytes of closed batches.
    pub fn bytes(&self) -> usize {
        self.pipeline.bytes()
    }

    /// Attempts to deliver that failed.
    pub fn failures(&self) -> u64 {
        self.pipeline.failures()
    }

    /// A batch with a large record is closed after its end, so that the rest of it is not compressed at once.
    fn is_full(&self, config: &ExportConfig) -> bool {
        let is_large_enough = self.open.events() >= u64::from(config.limits.batch_events)
            || self.open.bytes() >= config.limits.batch_bytes as usize;
        is_large_enough && !self.open.has_large()
    }

    /// Takes a batch in. While more than `max_bytes` are held, captured bodies are removed first, those of the oldest
    /// waiting batch before others; when none are left, the oldest waiting batch is dropped.
    fn enqueue(&mut self, request: ExportRequest, max_bytes: usize) -> [u64; 2] {
        self.pipeline.push(request);
        let mut stripped = [0u64; 2];
        while self.pipeline.bytes() > max_bytes {
            let rewritten = self.pipeline.rewrite(
                |request| request.bodies > 0,
                |request| {
                    request.bodies = 0;
                    if let Some((body, taken)) = strip_bodies(&request.body, request.compression) {
                        request.body = body;
                        stripped
                            .iter_mut()
                            .zip(taken)
                            .for_each(|(sum, more)| *sum = sum.saturating_add(more));
                    }
                },
            );
            if rewritten {
                continue;
            }
            let Some(oldest) = self.pipeline.pop_if(|_| true) else { break };
            self.counts.count(Fate::Dropped(DropReason::QueueFull), oldest.events);
        }
        stripped
    }
}

fn open(config: &ExportConfig, instance: &str) -> LogBatch {
    LogBatch::new(&config.resource, instance, config.compression)
}
