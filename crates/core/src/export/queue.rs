//! Closed batches of requests on their way to one destination, and the fate of each event in them.

use std::rc::Rc;

use gatelens_model::fate::{DropReason, Fate};

use super::MAX_AGE;
use super::batch::strip_bodies;
use super::config::ExportConfig;
use super::pipeline::{Pipeline, Sender, Settled};
use super::request::{ExportRequest, RootId};
use crate::host::{CalloutAnswer, CalloutId, Host};
use crate::otlp::requests::RecordForm;
use crate::stats::EventCounts;

/// The batches of one form for one destination; bounded in bytes.
#[derive(Debug)]
pub(super) struct RequestQueue {
    pub(super) pipeline: Pipeline,
    pub(super) counts: EventCounts,
}

impl RequestQueue {
    /// An empty queue to the destination at this place.
    pub(super) fn new(form: RecordForm, destination: usize) -> Self {
        Self { pipeline: Pipeline::new(form.signal(), destination), counts: EventCounts::default() }
    }

    /// Sends waiting batches. Batches that are too old are dropped.
    pub(super) fn send(&mut self, host: &impl Host, root: RootId, now_ns: u64, from: Sender<'_>) {
        let max_age_ns = MAX_AGE.as_nanos() as u64;
        while let Some(old) =
            self.pipeline.pop_if(|request| now_ns.saturating_sub(request.closed_ns) > max_age_ns)
        {
            self.counts.count(Fate::Dropped(DropReason::Expired), old.events);
        }
        self.pipeline.send(host, root, now_ns, from);
    }

    /// Takes an answer, if it is to one of these batches.
    pub(super) fn answered(
        &mut self,
        host: &impl Host,
        id: CalloutId,
        answer: &CalloutAnswer,
        now_ns: u64,
        config: &ExportConfig,
    ) {
        match self.pipeline.answered(host, id, answer, now_ns, config) {
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

    /// Takes a batch in. While more than `max_bytes` are held, captured bodies are removed first, those of the oldest
    /// waiting batch before others; when none are left, the oldest waiting batch is dropped. Adds the number of request and
    /// response bodies that were removed to `stripped`.
    pub(super) fn enqueue(&mut self, request: ExportRequest, max_bytes: usize, stripped: &mut [u64; 2]) {
        self.pipeline.push(request);
        while self.pipeline.bytes() > max_bytes {
            let rewritten = self.pipeline.rewrite(
                |request| request.bodies > 0,
                |request| {
                    request.bodies = 0;
                    if let Some((body, taken)) = strip_bodies(&request.body, request.compression) {
                        // Other destinations keep theirs.
                        request.body = Rc::new(body);
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
    }
}
