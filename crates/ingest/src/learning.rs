//! Learns route patterns from the request log that arrives.
//!
//! A thread of its own reads what the senders' batches brought, and never makes one wait: a batch that finds the queue
//! full is not learned from. Patterns that have changed go to the writer of counters, which stores them, folds the past
//! and puts them in force, all in one transaction.

use crate::model::{RequestBatch, Scope};
use crate::patterns::{KnownPatterns, Learned};
use crate::store::{Lesson, Writers};
use gatelens_routes::{Learner, Patterns};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Scopes that are learned at a time; requests of further ones are not learned from.
const MAX_SCOPES: usize = 64;
/// Batches that wait to be learned from.
const QUEUE: usize = 64;
/// Requests of one batch that are learned from, and bytes of their paths.
const MAX_REQUESTS: usize = 2_000;
const MAX_PATH_BYTES: usize = 256 << 10;
/// Requests of a scope after which its places are reviewed for the first times, and then the distance of reviews.
const FIRST_REVIEWS: [u64; 4] = [500, 1_000, 2_000, 3_500];
const REVIEW_EVERY: u64 = 5_000;

/// Finished requests of one scope.
pub(crate) struct Observed {
    scope: Scope,
    requests: Vec<Finished>,
}

struct Finished {
    method: String,
    path: String,
    status: u16,
}

/// The thread that learns; it ends when this is dropped, after the batches in its queue.
pub(crate) struct Learning {
    queue: Option<SyncSender<Vec<Observed>>>,
    thread: Option<JoinHandle<()>>,
}

impl Learning {
    /// Continues from the patterns in force.
    pub(crate) fn start(writers: Arc<Writers>, known: &KnownPatterns) -> std::io::Result<Self> {
        let resume = |(scope, learned): (Scope, Arc<Learned>)| {
            (scope, Progress::resume(learned.patterns.clone(), learned.requests))
        };
        let scopes = known.all().into_iter().map(resume).collect();
        let (queue, batches) = sync_channel(QUEUE);
        let learn = move || learn(&batches, scopes, &writers);
        let thread = std::thread::Builder::new().name("learn-routes".to_owned()).spawn(learn)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Hands over what a stored batch showed, unless too much waits already.
    pub(crate) fn observe(&self, observed: Vec<Observed>) {
        if let Some(queue) = self.queue.as_ref().filter(|_| !observed.is_empty()) {
            // A batch that is passed over takes some certainty from the next review, and nothing else.
            let _ = queue.try_send(observed);
        }
    }
}

impl Drop for Learning {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing more to learn.
            let _ = thread.join();
        }
    }
}

/// The requests of a batch that can be learned from: those that succeeded, of gateways that inferred the route.
pub(crate) fn observed(batch: &RequestBatch) -> Vec<Observed> {
    let (mut requests, mut bytes) = (0, 0);
    let gateways = batch.parts.iter().filter(|part| part.gateway.infers_routes());
    let parts = gateways.map(|part| Observed {
        scope: part.gateway.scope(),
        requests: part
            .events
            .iter()
            .filter(|event| (1..400).contains(&event.status) && event.has_inferred_route())
            .filter_map(|event| {
                let (method, path) = (event.method.clone(), event.path.clone()?);
                Some(Finished { method, path, status: event.status })
            })
            .take_while(|request| {
                requests += 1;
                bytes += request.path.len();
                requests <= MAX_REQUESTS && bytes <= MAX_PATH_BYTES
            })
            .collect(),
    });
    parts.filter(|part| !part.requests.is_empty()).collect()
}

/// The state of one scope.
struct Progress {
    learner: Learner,
    /// Learned from before this start of the service.
    before: u64,
    requests: u64,
    next_review: u64,
    /// Patterns have changed and are not stored yet.
    is_ahead: bool,
}

impl Progress {
    fn resume(patterns: Patterns, before: u64) -> Self {
        let learner = Learner::resume(patterns);
        Self { learner, before, requests: 0, next_review: FIRST_REVIEWS[0], is_ahead: false }
    }

    /// Takes in one request. True when the patterns must be stored.
    fn take(&mut self, request: &Finished) -> bool {
        self.learner.observe(&request.method, request.path.as_bytes(), request.status);
        self.requests = self.requests.saturating_add(1);
        if self.requests < self.next_review {
            return false;
        }
        self.next_review = next_review(self.requests);
        self.is_ahead |= self.learner.review();
        self.is_ahead
    }
}

/// The number of requests after which the places are reviewed next.
fn next_review(requests: u64) -> u64 {
    let first = FIRST_REVIEWS.into_iter().find(|review| *review > requests);
    first.unwrap_or_else(|| (requests / REVIEW_EVERY + 1) * REVIEW_EVERY)
}

fn learn(batches: &Receiver<Vec<Observed>>, mut scopes: HashMap<Scope, Progress>, writers: &Writers) {
    let mut has_warned = false;
    for Observed { scope, requests } in batches.iter().flatten() {
        if !scopes.contains_key(&scope) && scopes.len() >= MAX_SCOPES {
            if !std::mem::replace(&mut has_warned, true) {
                tracing::warn!(
                    service = scope.service,
                    environment = scope.environment,
                    "routes are learned for {MAX_SCOPES} services and environments; those of further ones are not"
                );
            }
            continue;
        }
        let progress =
            scopes.entry(scope.clone()).or_insert_with(|| Progress::resume(Patterns::default(), 0));
        for request in &requests {
            if progress.take(request) {
                let patterns = progress.learner.patterns().clone();
                let lesson = Lesson {
                    scope: scope.clone(),
                    patterns,
                    requests: progress.before.saturating_add(progress.requests),
                };
                match writers.learned(lesson) {
                    Ok(()) => progress.is_ahead = false,
                    // The next review tries again.
                    Err(error) => tracing::warn!(%error, "learned routes could not be stored"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reviews_come_at_fixed_numbers_of_requests() {
        let mut at = vec![FIRST_REVIEWS[0]];
        while at.len() < 7 {
            at.extend(at.last().copied().map(next_review));
        }
        assert_eq!(at, [500, 1_000, 2_000, 3_500, 5_000, 10_000, 15_000]);
    }
}
