//! The two writers, each a thread with a bounded queue in front of it.

use super::metrics::{Keeping as KeepingCounts, Metrics};
use super::reduce::{Kind, Reduced};
use super::requests::{Keeping, Requests};
use super::series::Followed;
use super::uptime::Judged;
use super::verify::Bad;
use super::{
    Admission, DataDir, Deed, Forgotten, Lesson, METRICS_FILE, Probed, Pruned, Selection, StoreError, modes,
    salvage, schema,
};
use crate::auth::audit;
use crate::clickhouse::{Admits, ClickHouse, QueueFull};
use crate::clock;
use crate::directory::{Change, Outcome};
use crate::drift::{ShapeKey, Update};
use crate::issues::{Decision, Issues, Regresses, Seen, Standing};
use crate::learning::Observed;
use crate::limits::Limits;
use crate::model::{
    Identity, Labelled, MetricBatch, MetricPart, Rejection, Rejections, RequestBatch, RequestPart, SeriesKey,
    Signal, SpanPart, Standing as SenderStanding,
};
use crate::patterns::KnownPatterns;
use crate::retention::{Retention, before};
use crate::spans::Spans;
use crate::sync;
use crate::told::journal::{Merged, Past, Untold};
use crate::told::{Book, Pace, Row};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a batch that could not be stored is a sign of ill health, unless another was stored since.
const FAILURE_AGE: Duration = Duration::from_secs(60);

/// Time from the start to the first look for minutes to pack.
const FIRST_PACK: Duration = Duration::from_secs(10);

/// Time between two looks for minutes to pack.
const PACK_INTERVAL: Duration = Duration::from_secs(60);

/// A step of packing is followed by this number of times as long for everything else.
const PACK_REST: u32 = 4;

/// Time between two looks for changes that have waited for long, beside those after each batch.
const ADD_UP_INTERVAL: Duration = Duration::from_secs(10);

/// The outcome of a batch that could be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Committed just now, except these points or records.
    New {
        rejected: Rejections,
        /// Another replica is known to have committed it before.
        is_elsewhere: bool,
    },
    /// Committed before under the same identity; nothing changed.
    Repeat,
}

impl Stored {
    /// The part that is not stored; of a repeat, nobody is told again.
    pub(crate) fn rejected(self) -> Rejections {
        match self {
            Self::New { rejected, .. } => rejected,
            Self::Repeat => Rejections::default(),
        }
    }

    /// Whether another replica is known to have committed it before.
    pub(crate) fn is_elsewhere(self) -> bool {
        matches!(self, Self::New { is_elsewhere: true, .. })
    }
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

/// The way to the writers. They stop when it is dropped, after the batches in their queues.
pub(crate) struct Writers {
    metrics: Writer<MetricJob>,
    requests: Writer<RequestJob>,
    issues: Arc<Issues>,
    spans: Arc<Spans>,
    /// What keeps the counters and the log for all replicas, where there are several.
    server: Option<Arc<ClickHouse>>,
    admission: Arc<Admission>,
    /// Locked as long as the directory is ours.
    _lock: File,
}

/// A thread with a bounded queue of jobs in front of it. It ends when this is dropped, after what is in its queue.
struct Writer<J> {
    jobs: Option<SyncSender<J>>,
    thread: Option<JoinHandle<()>>,
    /// Batches handed over and not answered yet.
    waiting: AtomicUsize,
    /// The latest batch that could not be stored, until another was.
    failure: Mutex<Option<Failure>>,
}

struct Failure {
    at: Instant,
    message: String,
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum MetricJob {
    Store(MetricBatch, KeepingCounts, Reply<(Stored, Vec<Observed>)>),
    Probe(Reply<()>),
    Prune(Retention, Option<i64>, Reply<Pruned>),
    Learn(Lesson, Reply<()>),
    Drift(Update, Reply<Vec<ShapeKey>>),
    Label(Labelled, Reply<()>),
    Directory(Change, Reply<Outcome>),
    Probed(Probed, Reply<()>),
    Judge(Reply<bool>),
    Judged(Reply<Option<i64>>),
    PutJudged(Judged, Reply<()>),
    Follow(Followed, Reply<()>),
    Audit(audit::Entry, Reply<()>),
    Forget(Selection, Deed, Reply<Forgotten>),
    Reduce(Kind, Reply<Option<Reduced>>),
    Checkpoint(Reply<bool>),
    SetAside(Vec<Bad>, Reply<()>),
    Replace(StoreError, Reply<()>),
    Telling(Telling),
}

enum RequestJob {
    Store(RequestBatch, (Signal, Keeping), Reply<Stored>),
    Probe(Reply<()>),
    Prune(Retention, Reply<Pruned>),
    Forget(Selection, Deed, Reply<Forgotten>),
    Reduce(Kind, Reply<Option<Reduced>>),
    Checkpoint(Reply<bool>),
    SetAside(PathBuf, Vec<Bad>, Reply<()>),
    Replace(PathBuf, StoreError, Reply<()>),
    Telling(Telling),
}

/// Work on the rows that replicas tell each other.
pub(super) enum Telling {
    Begin(Past, Reply<()>),
    Untold(Pace, Reply<Untold>),
    Settle(Vec<i64>, Reply<()>),
    Take(Vec<Row>, Reply<Merged>),
}

impl Writers {
    /// Opens the store, creates missing files, and starts the writers.
    /// Patterns that are stored are in force from then on.
    pub(crate) fn start(
        directory: &Arc<DataDir>,
        limits: &Limits,
        patterns: &Arc<KnownPatterns>,
    ) -> Result<Self, StoreError> {
        let dir = directory.path();
        modes::prepare(dir)?;
        let lock = lock(dir)?;
        salvage::settle(dir)?;
        let admission = Arc::new(Admission::new(limits));
        let mut metrics = Metrics::open(Arc::clone(directory), Arc::clone(&admission), Arc::clone(patterns))?;
        metrics.probe(clock::now())?;
        let requests = Requests::open_with(Arc::clone(directory), Arc::clone(&admission), clock::now())?;
        let issues = Arc::new(Issues::open(directory)?);
        let spans = Arc::new(Spans::open(directory, limits.spans_bytes)?);
        let queue = limits.writer_queue;
        Ok(Self {
            issues,
            spans,
            server: None,
            admission,
            metrics: Writer::start(dir, "metrics", queue, move |jobs| write_metrics(metrics, jobs))?,
            requests: Writer::start(dir, "requests", queue, move |jobs| write_requests(requests, jobs))?,
            _lock: lock,
        })
    }

    /// With a server that keeps the counters for all replicas.
    pub(crate) fn beside(self, server: Option<Arc<ClickHouse>>) -> Self {
        Self { server, ..self }
    }

    /// Stores a batch of counters. It is on disk when this returns, with the requests that it added and that routes can be
    /// learned from: where there is a server, the counts are on it, and their senders are noted here.
    pub(crate) async fn metrics(&self, batch: MetricBatch) -> Result<(Stored, Vec<Observed>), Refused> {
        let (mut refused, mut keeping) = (Rejections::default(), KeepingCounts::Counts);
        if let Some(server) = &self.server {
            // The server first: a batch that comes again, because one of the two had failed, counts once at both.
            let now = clock::now();
            let admitted = Admitted { admission: &self.admission, standing: batch.standing, now };
            refused = server.store_counts(&batch, now, &admitted).await?;
            keeping = KeepingCounts::Senders;
        }
        let (mut stored, observed) =
            self.metrics.store(|reply| MetricJob::Store(batch, keeping, reply)).await?;
        if let Stored::New { rejected, .. } = &mut stored {
            rejected.merge(&refused);
        }
        Ok((stored, observed))
    }

    /// Stores a batch of the request log, whichever signal it came as. It is on disk when this returns: where there is a server,
    /// the requests are on it, and their senders are noted here.
    pub(crate) async fn requests(&self, batch: RequestBatch, signal: Signal) -> Result<Stored, Refused> {
        let mut keeping = Keeping::Requests;
        if let Some(server) = &self.server {
            // The server first: a batch that comes again, because one of the two had failed, counts once at both.
            let now = clock::now();
            let admits =
                |part: &RequestPart| self.admission.instance(&part.gateway, batch.standing, now).is_ok();
            server.store_requests(&batch, signal, admits).await?.map_err(|QueueFull| Refused::Busy)?;
            keeping = Keeping::Senders;
        }
        self.requests.store(|reply| RequestJob::Store(batch, (signal, keeping), reply)).await
    }

    /// Whether the store can be written: the server answers where there is one, the file of counters takes a row, and both writers
    /// are at work.
    pub(crate) async fn probe(&self) -> Result<(), Refused> {
        if let Some(server) = &self.server {
            server.probe().await?;
        }
        self.metrics.submit(MetricJob::Probe).await?;
        match self.requests.submit(RequestJob::Probe).await {
            // A full queue is load: the senders get 429 and retry.
            Err(Refused::Busy) => Ok(()),
            outcome => outcome,
        }
    }

    /// Removes expired data, step by step.
    ///
    /// # Errors
    /// The first one. Every kind of file is tried, because one that is broken must not keep the data of the others.
    pub(crate) async fn prune(&self, retention: &Retention) -> Result<(), Refused> {
        let requests = self.requests.submit(|reply| RequestJob::Prune(retention.clone(), reply)).await;
        let metrics = self.prune_metrics(retention).await;
        let oldest = before(clock::now(), retention.requests);
        let mut spans = on_file(&self.spans, move |spans| spans.prune(oldest)).await;
        if let Some(server) = &self.server {
            let elsewhere = server.prune_spans(retention, clock::now()).await;
            spans = spans.and(elsewhere.map_err(Refused::from));
        }
        let issues = self.prune_issues(retention).await;
        requests.map(|_| ()).and(metrics).and(spans).and(issues)
    }

    async fn prune_issues(&self, retention: &Retention) -> Result<(), Refused> {
        let of_file = retention.clone();
        let newest = on_file(&self.issues, move |issues| issues.prune(&of_file, clock::now())).await?;
        if let Some(server) = &self.server {
            server.prune_issues(retention, newest).await?;
        }
        Ok(())
    }

    async fn prune_metrics(&self, retention: &Retention) -> Result<(), Refused> {
        let elsewhere = match &self.server {
            Some(server) => Some(server.counted_until().await?),
            None => None,
        };
        let prune = |reply| MetricJob::Prune(retention.clone(), elsewhere, reply);
        while self.metrics.submit(prune).await? == Pruned::More {}
        if let Some(server) = &self.server {
            server.prune_counts(retention, clock::now()).await?;
            server.prune_log(|newest| before(newest, retention.requests), clock::now()).await?;
        }
        Ok(())
    }

    /// Keeps spans of applications.
    pub(crate) async fn add_spans(&self, parts: Vec<SpanPart>) -> Result<(), Refused> {
        match &self.server {
            Some(server) => server.add_spans(parts).await?.map_err(|QueueFull| Refused::Busy),
            None => on_file(&self.spans, move |spans| spans.add(&parts, clock::now())).await,
        }
    }

    /// Adds the failed requests of a batch to their issues, once for each identity.
    pub(crate) async fn add_issues(
        &self,
        seen: Seen,
        batch: Option<(Identity, Signal)>,
    ) -> Result<(), Refused> {
        let add = move |issues: &Issues| {
            let batch = batch.as_ref().map(|(identity, signal)| (identity, *signal));
            issues.add(&seen, batch, clock::now())
        };
        on_file(&self.issues, add).await
    }

    /// Changes the state of an issue, as a person decided. False when there is no such issue.
    pub(crate) async fn decide(
        &self,
        id: String,
        standing: Standing,
        regresses: Regresses,
        by: String,
    ) -> Result<bool, Refused> {
        let decide = move |issues: &Issues| {
            issues.decide(&id, &Decision { standing, regresses, at: clock::now(), by: &by })
        };
        on_file(&self.issues, decide).await
    }

    /// Takes a step towards smaller files. `None` when nothing of the kind is left to remove.
    pub(crate) async fn reduce(&self, kind: Kind) -> Result<Option<Reduced>, Refused> {
        match kind {
            Kind::Spans => on_file(&self.spans, Spans::reduce).await,
            Kind::Bodies | Kind::Requests => {
                self.requests.submit(|reply| RequestJob::Reduce(kind, reply)).await
            }
            Kind::Minutes | Kind::HalfHours => {
                self.metrics.submit(|reply| MetricJob::Reduce(kind, reply)).await
            }
        }
    }

    /// Takes damaged rows out of a file. Blocks until that is done.
    pub(crate) fn set_aside(&self, path: &Path, rows: Vec<Bad>) -> Result<(), Refused> {
        if path.ends_with(METRICS_FILE) {
            self.metrics.submit_blocking(|reply| MetricJob::SetAside(rows, reply))
        } else {
            self.requests.submit_blocking(|reply| RequestJob::SetAside(path.to_owned(), rows, reply))
        }
    }

    /// Replaces a damaged file by one with what can be read of it. Blocks until that is done.
    pub(crate) fn replace(&self, path: &Path, why: StoreError) -> Result<(), Refused> {
        if path.ends_with(METRICS_FILE) {
            self.metrics.submit_blocking(|reply| MetricJob::Replace(why, reply))
        } else {
            self.requests.submit_blocking(|reply| RequestJob::Replace(path.to_owned(), why, reply))
        }
    }

    /// Moves the journals into the files, so that their sizes are those of the data. False if a reader is in the way.
    pub(crate) async fn checkpoint(&self) -> Result<bool, Refused> {
        let requests = self.requests.submit(RequestJob::Checkpoint).await?;
        Ok(self.metrics.submit(MetricJob::Checkpoint).await? && requests)
    }

    /// Removes what a selection takes, from the log first: what arrives meanwhile may be stored after it was looked for. Other replicas
    /// get the order from the server.
    pub(crate) async fn forget(&self, selection: &Selection, deed: Deed) -> Result<Forgotten, Refused> {
        let Some(server) = &self.server else { return self.forget_files(selection, deed).await };
        let mut all = self.forget_files(selection, deed).await?;
        // This replica gets it, too, and must have the numbers by then.
        if deed == Deed::Remove {
            server.order(selection).await.map_err(StoreError::from)?;
        }
        all.requests_logged += server.forget_log(selection, deed).await?;
        let counted = server.forget_counts(selection, deed).await?;
        (all.series, all.requests_counted) = (counted.series, counted.requests_counted);
        // Counts are kept by gateway: those of others stay.
        all.shared_series = 0;
        all.spans += server.forget_spans(selection, deed).await?;
        Ok(all)
    }

    /// Removes what a selection takes from what this replica keeps, as another one was ordered to, and what it has told.
    pub(crate) async fn forget_here(&self, selection: &Selection) -> Result<(), Refused> {
        self.forget_files(selection, Deed::Remove).await.map(|_| ())
    }

    /// Removes what a selection takes from the files, and from what replicas have told.
    async fn forget_files(&self, selection: &Selection, deed: Deed) -> Result<Forgotten, Refused> {
        let order = |reply| RequestJob::Forget(selection.clone(), deed, reply);
        let logged = self.requests.submit(order).await?;
        let mut all = self.metrics.submit(|reply| MetricJob::Forget(selection.clone(), deed, reply)).await?;
        all.add(&logged);
        if let Some(server) = &self.server {
            server.forget_told(selection, deed).await?;
        }
        let of_spans = selection.clone();
        all.spans = on_file(&self.spans, move |spans| spans.forget(&of_spans, deed)).await?;
        all.issues = self.forget_issues(selection, deed).await?;
        Ok(all)
    }

    /// Removes what a selection takes of issues: of the file before the server, so that it is not told again.
    async fn forget_issues(&self, selection: &Selection, deed: Deed) -> Result<u64, Refused> {
        let of_file = selection.clone();
        let taken = on_file(&self.issues, move |issues| issues.forget(&of_file, deed)).await?;
        if let (Some(server), Deed::Remove) = (&self.server, deed) {
            server.forget_issues(selection, &taken).await?;
        }
        Ok(taken.whole.len() as u64)
    }

    /// Stores learned patterns, folds the past under them, and puts them in force. Blocks until that is done.
    pub(crate) fn learned(&self, lesson: Lesson) -> Result<(), Refused> {
        self.metrics.submit_blocking(|reply| MetricJob::Learn(lesson, reply))
    }

    /// Stores shapes, routes and their changes. Returns the keys of shapes that were stored before and are not there any
    /// more. Blocks until that is done.
    pub(crate) fn drifted(&self, update: Update) -> Result<Vec<ShapeKey>, Refused> {
        self.metrics.submit_blocking(|reply| MetricJob::Drift(update, reply))
    }

    /// Stores names and groups of consumers. They are on disk when this returns.
    pub(crate) async fn labels(&self, labelled: Labelled) -> Result<(), Refused> {
        self.metrics.submit(|reply| MetricJob::Label(labelled, reply)).await
    }

    /// Stores the outcome of a probe.
    pub(crate) async fn probed(&self, probed: Probed) -> Result<(), Refused> {
        self.metrics.submit(|reply| MetricJob::Probed(probed, reply)).await
    }

    /// Judges some minutes of traffic. True if there are more.
    pub(crate) async fn judge(&self) -> Result<bool, Refused> {
        let Some(server) = &self.server else { return self.metrics.submit(MetricJob::Judge).await };
        let until = self.metrics.submit(MetricJob::Judged).await?;
        let judged = server.judge(until, clock::now()).await?;
        let has_more = judged.has_more();
        self.metrics.submit(|reply| MetricJob::PutJudged(judged, reply)).await?;
        Ok(has_more)
    }

    /// Notes which series a server has counted, and when. Blocks until that is done.
    pub(crate) fn follow(&self, followed: Followed) -> Result<(), Refused> {
        self.metrics.submit_blocking(|reply| MetricJob::Follow(followed, reply))
    }

    /// Changes the directory of consumers. That is on disk when this returns.
    pub(crate) async fn directory(&self, change: Change) -> Result<Outcome, Refused> {
        self.metrics.submit(|reply| MetricJob::Directory(change, reply)).await
    }

    /// Adds an entry to the audit log, here and in the log of the service. The latter has it even when the store fails:
    /// a full disk must not lock out the people who make room.
    pub(crate) async fn audit(&self, entry: audit::Entry) {
        let entry = entry.logged();
        if let Err(error) = self.metrics.submit(|reply| MetricJob::Audit(entry, reply)).await {
            tracing::error!(%error, "an entry of the audit log is not stored");
        }
    }

    /// Begins to note rows to tell.
    pub(crate) async fn begin_telling(&self, book: Book, past: Past) -> Result<(), Refused> {
        self.telling(book, |reply| Telling::Begin(past, reply)).await
    }

    /// Works on the file of issues.
    pub(crate) async fn on_issues<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Issues) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refused> {
        on_file(&self.issues, work).await
    }

    /// Some of the rows to tell.
    pub(crate) async fn untold(&self, book: Book, pace: Pace) -> Result<Untold, Refused> {
        self.telling(book, |reply| Telling::Untold(pace, reply)).await
    }

    /// Notes that changes were told.
    pub(crate) async fn settle_told(&self, book: Book, ids: Vec<i64>) -> Result<(), Refused> {
        self.telling(book, |reply| Telling::Settle(ids, reply)).await
    }

    /// Merges what other replicas have told.
    pub(crate) async fn take_told(&self, book: Book, rows: Vec<Row>) -> Result<Merged, Refused> {
        self.telling(book, |reply| Telling::Take(rows, reply)).await
    }

    async fn telling<T>(&self, book: Book, order: impl FnOnce(Reply<T>) -> Telling) -> Result<T, Refused> {
        match book {
            Book::Counters => self.metrics.submit(|reply| MetricJob::Telling(order(reply))).await,
            Book::Log => self.requests.submit(|reply| RequestJob::Telling(order(reply))).await,
            // Its file has no thread of its own.
            Book::Issues => Err(Refused::Stopped),
        }
    }

    /// Batches that wait for each writer or are being stored, by the name of the writer.
    pub(crate) fn queues(&self) -> [(&'static str, usize); 2] {
        [("counters", self.metrics.waiting()), ("requests", self.requests.waiting())]
    }

    /// Why a batch could not be stored in the last minute.
    pub(crate) fn recent_failure(&self) -> Option<String> {
        let message = self.metrics.recent_failure().or_else(|| self.requests.recent_failure())?;
        Some(format!("a batch could not be stored: {message}"))
    }
}

/// The senders of a batch, as the service admits them at a time in Unix nanoseconds.
struct Admitted<'a> {
    admission: &'a Admission,
    standing: SenderStanding,
    now: i64,
}

impl Admits for Admitted<'_> {
    fn part(&self, part: &MetricPart) -> bool {
        self.admission.instance(&part.gateway, self.standing, self.now).is_ok()
    }

    fn series(&self, part: &MetricPart, key: &SeriesKey) -> Result<(), Rejection> {
        self.admission.series(key, (&part.gateway.instance, self.standing), self.now)
    }
}

/// Works on a file that has no thread of its own.
async fn on_file<F: Send + Sync + 'static, T: Send + 'static>(
    file: &Arc<F>,
    work: impl FnOnce(&F) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Refused> {
    let file = Arc::clone(file);
    Ok(tokio::task::spawn_blocking(move || work(&file)).await.map_err(|_| Refused::Stopped)??)
}

impl<J: Send + 'static> Writer<J> {
    fn start(
        dir: &Path,
        name: &str,
        queue: usize,
        run: impl FnOnce(&Receiver<J>) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (jobs, received) = sync_channel(queue);
        let thread = std::thread::Builder::new().name(format!("write-{name}")).spawn(move || run(&received));
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread.map_err(|error| StoreError::file(dir, error))?),
            waiting: AtomicUsize::new(0),
            failure: Mutex::new(None),
        })
    }

    /// Hands over a batch, and remembers whether it could be stored.
    async fn store<T>(&self, job: impl FnOnce(Reply<T>) -> J) -> Result<T, Refused> {
        let _one = Waiting::of(&self.waiting);
        let outcome = self.submit(job).await;
        let failure = match &outcome {
            Ok(_) => None,
            Err(Refused::Failed(error)) => Some(Failure { at: Instant::now(), message: error.to_string() }),
            // A writer stops while the service runs only when it panics.
            Err(stopped @ Refused::Stopped) => {
                Some(Failure { at: Instant::now(), message: stopped.to_string() })
            }
            Err(Refused::Busy) => return outcome,
        };
        *sync::lock(&self.failure) = failure;
        outcome
    }

    async fn submit<T>(&self, job: impl FnOnce(Reply<T>) -> J) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        match self.jobs.as_ref().map(|jobs| jobs.try_send(job(reply))) {
            Some(Ok(())) => Ok(answer.await.map_err(|_| Refused::Stopped)??),
            Some(Err(TrySendError::Full(_))) => Err(Refused::Busy),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(Refused::Stopped),
        }
    }

    /// Waits for a place in the queue and then for the answer; for threads that may block.
    fn submit_blocking<T>(&self, job: impl FnOnce(Reply<T>) -> J) -> Result<T, Refused> {
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(Refused::Stopped)?;
        jobs.send(job(reply)).map_err(|_| Refused::Stopped)?;
        Ok(answer.blocking_recv().map_err(|_| Refused::Stopped)??)
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    fn recent_failure(&self) -> Option<String> {
        let failure = sync::lock(&self.failure);
        let recent = failure.as_ref().filter(|failure| failure.at.elapsed() < FAILURE_AGE);
        recent.map(|failure| failure.message.clone())
    }
}

impl<J> Drop for Writer<J> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing more to finish.
            let _ = thread.join();
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

fn write_metrics(mut store: Metrics, queue: &Receiver<MetricJob>) {
    let mut next_pack = Instant::now() + FIRST_PACK;
    let mut next_add_up = Instant::now() + ADD_UP_INTERVAL;
    loop {
        let begun = Instant::now();
        if begun >= next_pack {
            let has_more = store.pack().unwrap_or_else(|error| {
                tracing::warn!(%error, "minutes that are over cannot be packed, and stay as they are");
                false
            });
            next_pack = Instant::now() + if has_more { begun.elapsed() * PACK_REST } else { PACK_INTERVAL };
        }
        if begun >= next_add_up {
            add_up(&mut store);
            next_add_up = Instant::now() + ADD_UP_INTERVAL;
        }
        let job =
            match queue.recv_timeout(next_pack.min(next_add_up).saturating_duration_since(Instant::now())) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
        // A sender that has gone does not read the answer; its repeat will get one.
        match job {
            MetricJob::Store(batch, keeping, reply) => {
                let stored = store.store_for(keeping, &batch, clock::now());
                drop(reply.send(stored.map(|stored| (stored, store.take_observed()))));
                add_up(&mut store);
            }
            MetricJob::Prune(retention, elsewhere, reply) => {
                drop(reply.send(store.prune(&retention, elsewhere, clock::now())));
            }
            MetricJob::Probe(reply) => drop(reply.send(store.probe(clock::now()))),
            MetricJob::Forget(selection, deed, reply) => {
                drop(reply.send(store.forget(&selection, deed, clock::now())));
            }
            MetricJob::Reduce(kind, reply) => drop(reply.send(store.reduce(kind))),
            MetricJob::Checkpoint(reply) => drop(reply.send(store.checkpoint())),
            MetricJob::SetAside(rows, reply) => drop(reply.send(store.set_aside(&rows))),
            MetricJob::Replace(why, reply) => drop(reply.send(store.replace(&why))),
            MetricJob::Audit(entry, reply) => drop(reply.send(store.audit(&entry, clock::now()))),
            MetricJob::Label(labelled, reply) => drop(reply.send(store.label(&labelled, clock::now()))),
            MetricJob::Probed(probed, reply) => drop(reply.send(store.probed(&probed))),
            MetricJob::Judge(reply) => drop(reply.send(store.judge(clock::now()))),
            MetricJob::Judged(reply) => drop(reply.send(store.judged())),
            MetricJob::PutJudged(judged, reply) => drop(reply.send(store.put_judged(&judged))),
            MetricJob::Follow(followed, reply) => drop(reply.send(store.follow(&followed))),
            MetricJob::Directory(change, reply) => {
                drop(reply.send(store.change_directory(&change, clock::now())));
            }
            MetricJob::Drift(update, reply) => drop(reply.send(store.drift(&update))),
            MetricJob::Learn(lesson, reply) => drop(reply.send(store.learn(lesson, clock::now()))),
            MetricJob::Telling(order) => store.telling(order, clock::now()),
        }
    }
    if let Err(error) = store.settle() {
        tracing::warn!(%error, "changes of counters wait in the file for the next start");
    }
}

/// Adds up changes of counters that have waited for long enough. They stay in the file when that fails.
fn add_up(store: &mut Metrics) {
    if let Err(error) = store.add_up_due(clock::now()) {
        tracing::warn!(%error, "changes of counters cannot be added up, and wait");
    }
}

fn write_requests(mut store: Requests, queue: &Receiver<RequestJob>) {
    for job in queue {
        match job {
            RequestJob::Store(batch, (signal, keeping), reply) => {
                drop(reply.send(store.store(&batch, (signal, keeping), clock::now())));
            }
            // Both kinds of files are in one directory, and a batch that cannot be stored is a failure of its own.
            RequestJob::Probe(reply) => drop(reply.send(Ok(()))),
            RequestJob::Forget(selection, deed, reply) => {
                drop(reply.send(store.forget(&selection, deed, clock::now())));
            }
            RequestJob::Reduce(kind, reply) => drop(reply.send(store.reduce(kind))),
            RequestJob::Checkpoint(reply) => drop(reply.send(store.checkpoint())),
            RequestJob::SetAside(path, rows, reply) => drop(reply.send(store.set_aside(&path, &rows))),
            RequestJob::Replace(path, why, reply) => drop(reply.send(store.replace(&path, &why))),
            RequestJob::Prune(retention, reply) => drop(reply.send(store.prune(&retention, clock::now()))),
            RequestJob::Telling(order) => store.telling(order, clock::now()),
        }
    }
}

/// Locks a data directory for as long as the file is held: two writers in two processes would each trust their own memory of
/// the series.
pub(crate) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(schema::LOCK_FILE);
    modes::create(&path)?;
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| StoreError::file(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(StoreError::InUse { path: dir.to_owned(), process: holder(&file) })
        }
        Err(std::fs::TryLockError::Error(error)) => Err(StoreError::file(&path, error)),
    }
}

/// The process that holds the lock of a file, as Linux lists locks: `1: FLOCK ADVISORY WRITE 4711 fe:00:1234 0 EOF`.
fn holder(file: &File) -> Option<u32> {
    let inode = format!(":{}", file.metadata().ok()?.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let mut locks = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let lock = locks.find(|lock| {
        lock.get(1) == Some(&"FLOCK") && lock.get(5).is_some_and(|place| place.ends_with(&inode))
    })?;
    lock.get(4)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Standing;

    #[tokio::test]
    async fn a_writer_that_stopped_is_a_failure() {
        let directory = tempfile::tempdir().unwrap();
        let data = Arc::new(DataDir::new(directory.path().to_owned()));
        let mut writers = Writers::start(&data, &Limits::default(), &Arc::default()).unwrap();
        writers.probe().await.unwrap();
        writers.requests = Writer::start(data.path(), "requests", 1, |_| panic!("on purpose")).unwrap();
        let found = writers.probe().await;
        assert!(matches!(found, Err(Refused::Stopped)), "{found:?}");
        assert_eq!(writers.recent_failure(), None);
        let batch = RequestBatch {
            spans: Vec::new(),
            identity: None,
            standing: Standing::default(),
            parts: Vec::new(),
            rejected: Rejections::default(),
        };
        let found = writers.requests(batch, Signal::Logs).await;
        assert!(matches!(found, Err(Refused::Stopped)), "{found:?}");
        let failure = writers.recent_failure();
        assert_eq!(failure.as_deref(), Some("a batch could not be stored: the store is stopped"));
    }

    #[tokio::test]
    async fn a_broken_file_does_not_keep_the_data_of_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let data = Arc::new(DataDir::new(directory.path().to_owned()));
        let writers = Writers::start(&data, &Limits::default(), &Arc::default()).unwrap();
        let file = |name: &str| rusqlite::Connection::open(directory.path().join(name)).unwrap();
        file(crate::spans::SPANS_FILE).execute_batch("DROP TABLE parts").unwrap();
        let issues = file(crate::issues::ISSUES_FILE);
        issues.execute("INSERT INTO batches VALUES ('edge-1', '1', 'prod', 0, 1, 0)", []).unwrap();
        let pruned = writers.prune(&Retention::default()).await;
        assert!(matches!(pruned, Err(Refused::Failed(StoreError::Database(_)))), "{pruned:?}");
        let left: i64 = issues.query_row("SELECT count(*) FROM batches", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
    }

    #[tokio::test]
    async fn a_full_queue_of_requests_is_load_and_not_a_failure() {
        let directory = tempfile::tempdir().unwrap();
        let data = Arc::new(DataDir::new(directory.path().to_owned()));
        let mut writers = Writers::start(&data, &Limits::default(), &Arc::default()).unwrap();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let busy = move |_: &Receiver<RequestJob>| {
            let _ = stopped.recv();
        };
        writers.requests = Writer::start(data.path(), "requests", 1, busy).unwrap();
        let (reply, _answer) = oneshot::channel();
        let job = RequestJob::Prune(Retention::default(), reply);
        assert!(writers.requests.jobs.as_ref().unwrap().try_send(job).is_ok());
        writers.probe().await.unwrap();
        drop(stop);
    }
}
