//! Learns route patterns from the request log that arrives, and from the counters of gateways that send no log.
//!
//! A thread of its own reads what the senders' batches brought, and never makes one wait: a batch that finds the queue
//! full is not learned from, and counted. Patterns that have changed go to the writer of counters, which stores them, folds the past
//! and puts them in force, all in one transaction.

use crate::model::{RequestBatch, Scope, SeriesKey, is_path};
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

/// Counters teach while the log shows less than one in so many of the requests that they count.
const COUNTED_TO_LOGGED: u64 = 10;
/// Counted requests after which those counted and logged so far weigh half.
const HALVED_AT: u64 = 2 * REVIEW_EVERY;

/// Finished requests of one scope.
#[derive(Debug)]
pub(crate) struct Observed {
    scope: Scope,
    requests: Vec<Finished>,
}

#[derive(Debug)]
struct Finished {
    method: String,
    name: Name,
    status: u16,
}

/// What a signal says about the target of requests.
#[derive(Debug)]
enum Name {
    /// The log: the path of one.
    Path(String),
    /// The counters: the route of so many.
    Route(String, u64),
}

/// The thread that learns; it ends when this is dropped, after the batches in its queue.
pub(crate) struct Learning {
    queue: Option<SyncSender<Vec<Observed>>>,
    thread: Option<JoinHandle<()>>,
}

/// Whether a batch is learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attention {
    /// It shows no request that could teach.
    Nothing,
    /// It waits for its turn.
    Taken,
    /// The queue is full, or the thread has ended.
    PassedOver,
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

    /// Hands over what a stored batch showed, unless too much waits already. A batch that is passed over takes some
    /// certainty from the next review, and nothing else.
    pub(crate) fn observe(&self, observed: Vec<Observed>) -> Attention {
        if observed.is_empty() {
            return Attention::Nothing;
        }
        match self.queue.as_ref().map(|queue| queue.try_send(observed)) {
            Some(Ok(())) => Attention::Taken,
            Some(Err(_)) | None => Attention::PassedOver,
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
    let parts = gateways.map(|part| {
        let [status, source, route, method, path] =
            ["status", "route_source", "route", "method", "path"].map(|name| part.events.named(name));
        let learned = (0..part.events.len()).filter_map(|row| {
            let status = u16::try_from(status?.number(row)?).ok()?;
            let is_inferred =
                source.is_none_or(|source| source.text(row).is_none()) && is_path(route?.str(row)?);
            if !(1..400).contains(&status) || !is_inferred {
                return None;
            }
            requests += 1;
            let path = path?.str(row)?;
            bytes += path.len();
            if requests > MAX_REQUESTS || bytes > MAX_PATH_BYTES {
                return None;
            }
            let method = method?.str(row)?.to_owned();
            Some(Finished { method, name: Name::Path(path.to_owned()), status })
        });
        Observed { scope: part.gateway.scope(), requests: learned.collect() }
    });
    parts.filter(|part| !part.requests.is_empty()).collect()
}

/// The requests of one batch of counters that can be learned from, by the same rule.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    scopes: HashMap<Scope, Vec<Finished>>,
    requests: usize,
    bytes: usize,
}

impl Counted {
    /// Takes in requests of a series of a gateway that infers routes.
    pub(crate) fn add(&mut self, series: &SeriesKey, requests: u64) {
        if !(1..400).contains(&series.status) || !series.has_inferred_route() || requests == 0 {
            return;
        }
        self.requests += 1;
        self.bytes += series.route.len();
        if self.requests <= MAX_REQUESTS && self.bytes <= MAX_PATH_BYTES {
            let name = Name::Route(series.route.to_string(), requests);
            let request = Finished { method: series.method.to_string(), name, status: series.status };
            self.scopes.entry(Scope::of_series(series)).or_default().push(request);
        }
    }

    /// What they show.
    pub(crate) fn into_observed(self) -> Vec<Observed> {
        self.scopes.into_iter().map(|(scope, requests)| Observed { scope, requests }).collect()
    }
}

/// The state of one scope.
struct Progress {
    learner: Learner,
    /// Requests that log and counters have shown lately.
    logged: u64,
    counted: u64,
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
        let (logged, counted, requests) = (0, 0, 0);
        let next_review = FIRST_REVIEWS[0];
        Self { learner, logged, counted, before, requests, next_review, is_ahead: false }
    }

    /// Takes in requests. True when the patterns must be stored.
    fn take(&mut self, Finished { method, name, status }: &Finished) -> bool {
        let requests = match name {
            Name::Path(path) => {
                self.logged = self.logged.saturating_add(1);
                self.learner.observe(method, path.as_bytes(), *status);
                1
            }
            Name::Route(route, requests) => {
                let is_logged = self.logged.saturating_mul(COUNTED_TO_LOGGED) > self.counted;
                self.counted = self.counted.saturating_add(*requests);
                if self.counted >= HALVED_AT {
                    (self.counted, self.logged) = (self.counted / 2, self.logged / 2);
                }
                if is_logged {
                    return false;
                }
                let requests = *requests;
                self.learner.observe_route(method, route, *status, requests.try_into().unwrap_or(u32::MAX));
                requests
            }
        };
        self.requests = self.requests.saturating_add(requests);
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

    fn series(route: &str, status: u16) -> SeriesKey {
        SeriesKey {
            service: "orders".into(),
            environment: "prod".into(),
            version: "".into(),
            direction: "inbound".into(),
            consumer: "".into(),
            method: "GET".into(),
            route: route.into(),
            route_source: "".into(),
            host: "".into(),
            upstream_cluster: "".into(),
            status,
            grpc_status: None,
            error_type: "".into(),
            overflow: false,
        }
    }

    fn finished(name: Name) -> Finished {
        Finished { method: "GET".into(), name, status: 200 }
    }

    fn word(number: u32) -> String {
        number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
    }

    fn logged(number: u32) -> Finished {
        finished(Name::Path(format!("/repos/{}/issues", word(number))))
    }

    fn counted(number: u32, requests: u64) -> Finished {
        finished(Name::Route(format!("/repos/{}/issues", word(number)), requests))
    }

    #[test]
    fn counters_teach_where_there_is_no_log() {
        let mut progress = Progress::resume(Patterns::default(), 0);
        assert!((0..500).any(|number| progress.take(&counted(number, 2))));
        let places: Vec<&str> = progress.learner.patterns().places().map(|(before, _)| before).collect();
        assert_eq!(places, ["/repos"]);
    }

    #[test]
    fn counters_teach_nothing_beside_a_log_that_has_enough_of_the_same_requests() {
        let mut progress = Progress::resume(Patterns::default(), 0);
        for number in 0..400 {
            progress.take(&logged(number));
        }
        assert_eq!(progress.requests, 400);
        for number in 0..400 {
            progress.take(&counted(number, 1));
        }
        assert_eq!(progress.requests, 400);
        // Then the log is switched off: what was logged weighs less and less.
        let all: u64 = (0..30_000).map(|number| u64::from(progress.take(&counted(number, 1)))).sum();
        assert!(progress.requests > 20_000 && all > 0, "{} {all}", progress.requests);
    }

    #[test]
    fn a_log_that_is_a_small_sample_leaves_the_teaching_to_the_counters() {
        let mut progress = Progress::resume(Patterns::default(), 0);
        for number in 0..3_000 {
            progress.take(&counted(number, 1));
            if number % 100 == 0 {
                progress.take(&logged(number));
            }
        }
        assert!(progress.requests > 2_900, "{}", progress.requests);
    }

    #[test]
    fn counters_teach_only_inferred_routes_of_requests_that_succeeded() {
        let mut batch = Counted::default();
        batch.add(&series("/a", 200), 3);
        batch.add(&series("/not-found", 404), 3);
        batch.add(&series("/unchanged", 200), 0);
        batch.add(&series("__unmatched__", 200), 3);
        batch.add(&SeriesKey { route_source: "template".into(), ..series("/template", 200) }, 3);
        let observed = batch.into_observed();
        let names: Vec<String> = observed
            .iter()
            .flat_map(|of| &of.requests)
            .map(|request| format!("{:?}", request.name))
            .collect();
        assert_eq!(names, [r#"Route("/a", 3)"#]);
    }

    #[test]
    fn a_batch_that_finds_the_queue_full_is_passed_over() {
        let (queue, batches) = sync_channel(1);
        let learning = Learning { queue: Some(queue), thread: None };
        let observed = || {
            let mut batch = Counted::default();
            batch.add(&series("/a", 200), 1);
            batch.into_observed()
        };
        assert_eq!(learning.observe(Vec::new()), Attention::Nothing);
        assert_eq!(learning.observe(observed()), Attention::Taken);
        assert_eq!(learning.observe(observed()), Attention::PassedOver);
        drop(batches.recv());
        assert_eq!(learning.observe(observed()), Attention::Taken);
    }
}
