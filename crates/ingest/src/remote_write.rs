//! Sends the counters of `/metrics/traffic` to a store that takes Prometheus' remote write 1.0: Prometheus, Mimir,
//! VictoriaMetrics, Grafana Cloud.
//!
//! The counters are read at intervals. A round becomes requests, which wait in a queue within a bound and go out in their
//! order, as the protocol asks for. The counters are cumulative, so that a lost round costs resolution and no count.

mod queue;
mod request;
mod settings;
mod stats;

pub use settings::{RemoteWriteConfig, RemoteWriteError};
pub(crate) use stats::RemoteWriteStats;

use crate::alerts::{Alerts, Origin, agent};
use crate::clock;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::query::{Store, TrafficQuery};
use crate::sync::lock;
use queue::{Queue, Waiting};
use settings::Destination;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Time before the first repeat, and the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A sender at work. It stops when it is dropped; what waits then is lost, and the next round has all of its counts.
pub(crate) struct RemoteWrite {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Something came into the queue, or the service stops.
    changed: Condvar,
    stats: RemoteWriteStats,
    destination: Destination,
    alerts: Weak<Alerts>,
}

/// The outcome of an attempt.
enum Attempt {
    Sent,
    /// The store will never take it.
    Rejected(String),
    /// After a time that the store may name.
    Again(String, Option<Duration>),
}

impl RemoteWrite {
    /// Begins to send to a destination. Of several replicas the one that evaluates alerts sends.
    pub(crate) fn start(
        config: &RemoteWriteConfig,
        stats: RemoteWriteStats,
        alerts: &Arc<Alerts>,
    ) -> Result<Self, std::io::Error> {
        let destination = config.destination();
        let queue = Mutex::new(Queue::new(destination.queue_bytes));
        let shared = Arc::new(Shared {
            queue,
            changed: Condvar::new(),
            stats,
            destination,
            alerts: Arc::downgrade(alerts),
        });
        let sender = Arc::clone(&shared);
        std::thread::Builder::new().name("remote-write".to_owned()).spawn(move || sender.send_all())?;
        Ok(Self { shared })
    }

    /// Reads the counters at intervals and puts them into the queue, until it is aborted.
    pub(crate) async fn collect(self: Arc<Self>, store: Arc<dyn Store>, limits: Limits) {
        let mut rounds = tokio::time::interval(self.shared.destination.interval);
        // After a pause of the machine, one round has all.
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            if !self.shared.may_send() {
                continue;
            }
            let (this, store, limits) = (Arc::clone(&self), Arc::clone(&store), limits.clone());
            let round = tokio::task::spawn_blocking(move || this.round(&*store, &limits)).await;
            match round {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the counters cannot be read, so that remote write leaves out a round");
                }
                Err(_) => tracing::error!("reading the counters for remote write has failed"),
            }
        }
    }

    fn round(&self, store: &dyn Store, limits: &Limits) -> Result<(), QueryError> {
        let now = clock::now();
        let destination = &self.shared.destination;
        let labels = destination.labels.as_ref().unwrap_or(&limits.traffic_labels);
        let traffic = store.traffic(&TrafficQuery::of(labels.clone(), now))?;
        let requests = request::requests(&traffic, destination, now.div_euclid(1_000_000));
        let mut queue = self.shared.lock();
        for waiting in requests {
            let dropped = queue.put(waiting);
            self.shared.stats.dropped(dropped);
        }
        self.shared.stats.waits(queue.bytes());
        drop(queue);
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for RemoteWrite {
    fn drop(&mut self) {
        self.shared.lock().stop();
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Sends what is in the queue, the oldest first, until the service stops.
    fn send_all(&self) {
        let mut pause = FIRST_PAUSE;
        let mut is_failing = false;
        while let Some(waiting) = self.next() {
            if !self.may_send() {
                // It would come between the samples of another replica.
                self.stats.left_to_another(waiting.samples);
                continue;
            }
            match self.attempt(&waiting) {
                Attempt::Sent => {
                    if std::mem::take(&mut is_failing) {
                        tracing::info!(to = self.destination.host, "remote write works again");
                    }
                    self.stats.sent(waiting.samples);
                    pause = FIRST_PAUSE;
                }
                Attempt::Rejected(why) => {
                    tracing::warn!(to = self.destination.host, why, "remote write: samples were rejected");
                    self.stats.rejected(waiting.samples);
                    pause = FIRST_PAUSE;
                }
                Attempt::Again(why, after) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(to = self.destination.host, why, "remote write fails and is repeated");
                    }
                    self.stats.failed();
                    let mut queue = self.lock();
                    let dropped = queue.put_back(waiting);
                    self.stats.dropped(dropped);
                    drop(queue);
                    let spread = pause.mul_f64(0.5 + 0.5 * fraction());
                    self.sleep(after.unwrap_or(spread).min(LONGEST_PAUSE));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            self.stats.waits(self.lock().bytes());
        }
    }

    fn may_send(&self) -> bool {
        self.alerts.upgrade().is_some_and(|alerts| alerts.acts())
    }

    /// The oldest request, when there is one; `None` when the service stops.
    fn next(&self) -> Option<Waiting> {
        let mut queue = self.lock();
        loop {
            if queue.is_stopped() {
                return None;
            }
            if let Some(waiting) = queue.take() {
                return Some(waiting);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits, but not beyond the stop of the service.
    fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        let mut queue = self.lock();
        while !queue.is_stopped() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            queue = self.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn attempt(&self, waiting: &Waiting) -> Attempt {
        let token = match self.destination.token() {
            Ok(token) => token,
            Err(why) => return Attempt::Again(why, None),
        };
        let agent = match agent(self.destination.ca_file.as_deref(), Origin::File) {
            Ok(agent) => agent,
            Err(why) => return Attempt::Again(why, None),
        };
        let mut request = agent
            .post(&self.destination.url)
            .header("content-type", "application/x-protobuf")
            .header("content-encoding", "snappy")
            .header("x-prometheus-remote-write-version", "0.1.0");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        let response = match request.send(waiting.body.as_slice()) {
            Ok(response) => response,
            Err(error) => return Attempt::Again(crate::alerts::words(&error), None),
        };
        let status = response.status().as_u16();
        let after = response.headers().get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
        match status {
            200..=299 => Attempt::Sent,
            // The specification has a sender repeat these only.
            429 | 500..=599 => {
                Attempt::Again(format!("it responded with {status}"), after.map(Duration::from_secs))
            }
            _ => Attempt::Rejected(format!("it responded with {status}")),
        }
    }
}

/// A number from 0 to 1 that differs from time to time.
fn fraction() -> f64 {
    (clock::now().rem_euclid(1_000_000) as f64) / 1e6
}
