//! An event whose bodies are too large to be redacted in the turn of the event loop in which its request ends.
//!
//! It is counted as captured at once, and reaches the log when its last body is redacted or omitted. It keeps the configuration
//! under which its request ended, whatever replaces that one meanwhile.

use std::rc::Rc;

use super::plugin::Active;
use crate::export::Drafts;
use gatelens_model::OmissionReason;
use gatelens_redact::capture::{CapturedBody, Redaction, WaitingBody};

/// An event without the bodies that are not redacted yet.
#[derive(Debug)]
pub(super) struct WaitingEvent {
    active: Rc<Active>,
    /// All else of its record, encoded.
    draft: Drafts,
    /// The bodies that are not redacted yet, of the request and of the response.
    waiting: [Option<WaitingBody>; 2],
    /// Those that are.
    bodies: [Option<CapturedBody>; 2],
    /// Bytes of the bodies that waited at first, as they are reported to the worker.
    bytes: usize,
}

impl WaitingEvent {
    /// An event that was drafted under a configuration.
    pub(super) fn new(active: Rc<Active>, draft: Drafts, waiting: [Option<WaitingBody>; 2]) -> Self {
        let sizes = waiting.iter().flatten().map(WaitingBody::decoded_bytes);
        let bytes = sizes.fold(0, usize::saturating_add);
        active.worker.usage().begin_waiting(bytes);
        Self { active, draft, waiting, bodies: [None, None], bytes }
    }

    /// Redacts the next slice.
    pub(super) fn advance(&mut self) {
        let mut both = self.waiting.iter_mut().zip(&mut self.bodies);
        let next = both.find_map(|(waiting, body)| Some((waiting.take()?, waiting, body)));
        let Some((slice, waiting, body)) = next else { return };
        let mut hits = self.active.hits.take();
        match slice.advance(&self.active.plan.request.redactor, &mut hits) {
            Redaction::Done(redacted) => *body = Some(redacted),
            Redaction::Waiting(rest) => *waiting = Some(rest),
        }
        self.active.hits.replace(hits);
    }

    /// Omits what is not redacted yet.
    pub(super) fn give_up(&mut self) {
        for (waiting, body) in self.waiting.iter_mut().zip(&mut self.bodies) {
            if let Some(rest) = waiting.take() {
                *body = Some(rest.omit(OmissionReason::Overload));
            }
        }
    }

    /// Its record without the bodies that waited, and those bodies; `None` while one of them waits.
    pub(super) fn ready(&self) -> Option<(&Drafts, [Option<&CapturedBody>; 2])> {
        let is_ready = self.waiting.iter().all(Option::is_none);
        is_ready.then(|| (&self.draft, self.bodies.each_ref().map(Option::as_ref)))
    }
}

impl Drop for WaitingEvent {
    fn drop(&mut self) {
        self.active.worker.usage().end_waiting(self.bytes);
    }
}
