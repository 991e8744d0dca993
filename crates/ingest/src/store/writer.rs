//! The two writers, each a thread with a bounded queue in front of it.

use super::metrics::Metrics;
use super::requests::Requests;
use super::{Directory, Pruned, StoreError, schema};
use crate::clock;
use crate::limits::Limits;
use crate::model::{MetricBatch, RequestBatch, Signal};
use crate::retention::Retention;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// For so long a batch that could not be stored is a sign of ill health, unless another was stored since.
const FAILURE_AGE: Duration = Duration::from_secs(60);

/// What became of a batch that could be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Committed just now, but for this many points beyond the bound on series.
    New { rejected: u64 },
    /// Committed before under the same identity; nothing changed.
    Repeat,
}

/// Why a batch was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("too many batches are waiting to be stored")]
    Busy,
    #[error("the store is stopped")]
    Stopped,
    #[error("the store cannot be written: {0}")]
    Failed(#[from] StoreError),
}

/// The way to the writers. They stop when it is dropped, after what is in their queues.
pub(crate) struct Writers {
    metrics: Option<SyncSender<MetricJob>>,
    requests: Option<SyncSender<RequestJob>>,
    threads: Vec<JoinHandle<()>>,
    /// The latest batch that each of the two could not store, until it stored another.
    failures: [Mutex<Option<Failure>>; 2],
    /// Batches handed to each of the two and not answered yet.
    waiting: [AtomicUsize; 2],
    /// Locked as long as the directory is ours.
    _lock: File,
}

struct Failure {
    at: Instant,
    message: String,
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum MetricJob {
    Store(MetricBatch, Reply<Stored>),
    Probe(Reply<()>),
    Prune(Retention, Reply<Pruned>),
}

enum RequestJob {
    Store(RequestBatch, Signal, Reply<Stored>),
    Prune(Retention, Reply<Pruned>),
}

impl Writers {
    /// Opens the store, makes what is missing of it, and starts the writers.
    pub(crate) fn start(directory: &Arc<Directory>, limits: &Limits) -> Result<Self, StoreError> {
        let dir = directory.path();
        // What is kept may name people: it is for the owner alone.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| StoreError::file(dir, error))?;
        let lock = lock(dir)?;
        let mut metrics = Metrics::open(Arc::clone(directory), limits.series)?;
        metrics.probe(clock::now())?;
        let requests = Requests::open(Arc::clone(directory), clock::now())?;
        let (metric_jobs, metric_queue) = sync_channel(limits.writer_queue);
        let (request_jobs, request_queue) = sync_channel(limits.writer_queue);
        let threads = vec![
            spawn(dir, "metrics", move || write_metrics(metrics, &metric_queue))?,
            spawn(dir, "requests", move || write_requests(requests, &request_queue))?,
        ];
        Ok(Self {
            metrics: Some(metric_jobs),
            requests: Some(request_jobs),
            threads,
            failures: Default::default(),
            waiting: Default::default(),
            _lock: lock,
        })
    }

    /// Stores a batch of counters. It is on disk when this returns.
    pub(crate) async fn metrics(&self, batch: MetricBatch) -> Result<Stored, Refused> {
        let [waiting, _] = &self.waiting;
        let _one = Waiting::of(waiting);
        let outcome = self.ask(&self.metrics, |reply| MetricJob::Store(batch, reply)).await;
        self.remember(0, outcome)
    }

    /// Stores a batch of the request log, whichever signal it came as. It is on disk when this returns.
    pub(crate) async fn requests(&self, batch: RequestBatch, signal: Signal) -> Result<Stored, Refused> {
        let [_, waiting] = &self.waiting;
        let _one = Waiting::of(waiting);
        let outcome = self.ask(&self.requests, |reply| RequestJob::Store(batch, signal, reply)).await;
        self.remember(1, outcome)
    }

    /// Whether the store can be written.
    pub(crate) async fn probe(&self) -> Result<(), Refused> {
        self.ask(&self.metrics, MetricJob::Probe).await
    }

    /// Removes what is older than it is to be kept, step by step.
    pub(crate) async fn prune(&self, retention: &Retention) -> Result<(), Refused> {
        self.ask(&self.requests, |reply| RequestJob::Prune(retention.clone(), reply)).await?;
        while self.ask(&self.metrics, |reply| MetricJob::Prune(retention.clone(), reply)).await?
            == Pruned::More
        {}
        Ok(())
    }

    /// How many batches wait for each writer, or are being stored.
    pub(crate) fn queues(&self) -> [(&'static str, usize); 2] {
        let [metrics, requests] = &self.waiting;
        [("counters", metrics.load(Relaxed)), ("requests", requests.load(Relaxed))]
    }

    /// What could not be stored of late, and why.
    pub(crate) fn recent_failure(&self) -> Option<String> {
        self.failures.iter().find_map(|failure| {
            let failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
            let recent = failure.as_ref().filter(|failure| failure.at.elapsed() < FAILURE_AGE);
            recent.map(|failure| format!("a batch could not be stored: {}", failure.message))
        })
    }

    fn remember(&self, writer: usize, outcome: Result<Stored, Refused>) -> Result<Stored, Refused> {
        let failure = match &outcome {
            Ok(_) => None,
            Err(Refused::Failed(error)) => Some(Failure { at: Instant::now(), message: error.to_string() }),
            Err(Refused::Busy | Refused::Stopped) => return outcome,
        };
        if let Some(place) = self.failures.get(writer) {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        }
        outcome
    }

    async fn ask<J, T>(
        &self,
        queue: &Option<SyncSender<J>>,
        job: impl FnOnce(Reply<T>) -> J,
    ) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        match queue.as_ref().map(|queue| queue.try_send(job(reply))) {
            Some(Ok(())) => Ok(answer.await.map_err(|_| Refused::Stopped)??),
            Some(Err(TrySendError::Full(_))) => Err(Refused::Busy),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(Refused::Stopped),
        }
    }
}

/// Counts as one as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn of(counter: &'a AtomicUsize) -> Self {
        counter.fetch_add(1, Relaxed);
        Self(counter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.metrics = None;
        self.requests = None;
        for thread in self.threads.drain(..) {
            // A writer that panicked has nothing more to finish.
            let _ = thread.join();
        }
    }
}

fn write_metrics(mut store: Metrics, queue: &Receiver<MetricJob>) {
    for job in queue {
        // A sender that has gone does not hear the answer; its repeat will.
        match job {
            MetricJob::Store(batch, reply) => drop(reply.send(store.store(&batch, clock::now()))),
            MetricJob::Prune(retention, reply) => drop(reply.send(store.prune(&retention, clock::now()))),
            MetricJob::Probe(reply) => drop(reply.send(store.probe(clock::now()))),
        }
    }
}

fn write_requests(mut store: Requests, queue: &Receiver<RequestJob>) {
    for job in queue {
        match job {
            RequestJob::Store(batch, signal, reply) => {
                drop(reply.send(store.store(&batch, signal, clock::now())));
            }
            RequestJob::Prune(retention, reply) => drop(reply.send(store.prune(&retention, clock::now()))),
        }
    }
}

fn spawn(dir: &Path, name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let thread = std::thread::Builder::new().name(format!("write-{name}")).spawn(run);
    thread.map_err(|error| StoreError::file(dir, error))
}

/// Two writers in two processes would each trust their own memory of the series.
fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(schema::LOCK_FILE);
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| StoreError::file(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse { path: dir.to_owned() }),
        Err(std::fs::TryLockError::Error(error)) => Err(StoreError::file(&path, error)),
    }
}
