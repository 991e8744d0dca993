//! The thread that reads bodies and reviews routes.

use super::book::{Book, ShapeRow, Unsaved, folded};
use super::change::{Change, RouteKey, ShapeKey};
use super::routes::{self, KnownRoute, Review};
use super::sample::{Budget, Sample};
use crate::clickhouse::{ClickHouse, News, Progress};
use crate::clock;
use crate::error::QueryError;
use crate::learning::Attention;
use crate::model::RequestBatch;
use crate::patterns::KnownPatterns;
use crate::retention::{Retention, before};
use crate::store::{
    DataDir, Followed, METRICS_FILE, StoreError, Writers, changed_routes, elsewhere, has_elsewhere,
    inferred_elsewhere, known_routes, load_shapes, newest_body, open_read, told_elsewhere,
};
use crate::sync::lock;
use rusqlite::Connection;
use std::collections::HashSet;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Batches whose bodies wait to be read.
const QUEUE: usize = 8;
/// The part of a core that reading may take, and how much time it may save up.
const SHARE: f64 = 0.05;
const SAVED_UP: f64 = 2.0;
/// How soon new fields and changes are stored, and how soon numbers and times.
const NEWS_AFTER: Duration = Duration::from_secs(1);
const COUNTS_AFTER: Duration = Duration::from_secs(300);
/// Series that are noted in one transaction.
const FOLLOWED_AT_ONCE: usize = 5_000;
/// A review may take one part in so many of the time.
const REVIEW_SHARE: u32 = 50;
/// The same where a review is mostly a wait for a server.
const SERVER_SHARE: u32 = 10;

/// What the store must take in, all of it or nothing.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(crate) shapes: Vec<ShapeRow>,
    pub(crate) gone_shapes: Vec<ShapeKey>,
    pub(crate) routes: Vec<KnownRoute>,
    pub(crate) gone_routes: Vec<RouteKey>,
    /// Shown under another route now: what is known of them is of that one.
    pub(crate) folded: Vec<(RouteKey, String)>,
    pub(crate) changes: Vec<Change>,
    /// The same of shapes of other replicas.
    pub(crate) folded_elsewhere: Vec<(RouteKey, String)>,
    /// Shapes of others go whose latest body came before, in Unix nanoseconds.
    pub(crate) expired_elsewhere: Option<i64>,
}

impl Update {
    fn is_empty(&self) -> bool {
        let Self {
            shapes,
            gone_shapes,
            routes,
            gone_routes,
            folded,
            changes,
            folded_elsewhere,
            expired_elsewhere,
        } = self;
        shapes.is_empty()
            && gone_shapes.is_empty()
            && routes.is_empty()
            && gone_routes.is_empty()
            && folded.is_empty()
            && changes.is_empty()
            && folded_elsewhere.is_empty()
            && expired_elsewhere.is_none()
    }
}

/// Watches bodies and routes until it is dropped; what it has read is stored then.
pub(crate) struct Watch {
    budget: Budget,
    queue: Mutex<Option<SyncSender<Vec<Sample>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Watch {
    /// Continues from what is stored. Routes are reviewed as often as `interval` says.
    pub(crate) fn start(
        data: Arc<DataDir>,
        (writers, server): (Arc<Writers>, Option<Arc<ClickHouse>>),
        patterns: Arc<KnownPatterns>,
        (retention, interval): (&Retention, Duration),
    ) -> std::io::Result<Self> {
        let (queue, batches) = sync_channel(QUEUE);
        let age = retention.minutes;
        let run = move || match Watcher::open(data, writers, patterns, age, interval) {
            Ok(watcher) => Watcher { server, ..watcher }.run(&batches),
            Err(error) => {
                tracing::error!(%error, "shapes of bodies cannot be read, so none are learned: restart gatelens")
            }
        };
        let thread = std::thread::Builder::new().name("learn-shapes".to_owned()).spawn(run)?;
        let (queue, thread) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { budget: Budget::default(), queue, thread })
    }

    /// The bodies of a batch that are to be read once it is stored.
    pub(crate) fn choose(&self, batch: &RequestBatch) -> Vec<Sample> {
        self.budget.choose(batch, Instant::now())
    }

    /// Hands over the bodies of a stored batch, unless too much waits already.
    pub(crate) fn observe(&self, samples: Vec<Sample>) -> Attention {
        if samples.is_empty() {
            return Attention::Nothing;
        }
        match lock(&self.queue).as_ref().map(|queue| queue.try_send(samples)) {
            Some(Ok(())) => Attention::Taken,
            Some(Err(_)) | None => Attention::PassedOver,
        }
    }

    /// Stores what was read, and reads no more. Blocks.
    pub(crate) fn finish(&self) {
        *lock(&self.queue) = None;
        if let Some(thread) = lock(&self.thread).take() {
            // A thread that panicked has nothing more to store.
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The state of the thread.
struct Watcher {
    data: Arc<DataDir>,
    writers: Arc<Writers>,
    /// What has the counts, where there are several replicas.
    server: Option<Arc<ClickHouse>>,
    followed: Progress,
    patterns: Arc<KnownPatterns>,
    /// A shape without bodies is kept for so long.
    age: Duration,
    interval: Duration,
    book: Book,
    /// How many rows of other replicas there were, and the number of the latest.
    elsewhere: (i64, i64),
    /// Waits to be stored.
    update: Update,
    counts_stored: Instant,
    /// When reading may go on, as time saved up.
    allowance: Allowance,
}

impl Watcher {
    fn open(
        data: Arc<DataDir>,
        writers: Arc<Writers>,
        patterns: Arc<KnownPatterns>,
        age: Duration,
        interval: Duration,
    ) -> Result<Self, StoreError> {
        let rows = match open_read(&data.path().join(METRICS_FILE))? {
            Some(file) => load_shapes(&file)?,
            None => Vec::new(),
        };
        let (book, now) = (Book::resume(rows), Instant::now());
        let allowance = Allowance { seconds: SAVED_UP, at: now };
        let update = Update::default();
        let (server, followed) = (None, Progress::default());
        Ok(Self {
            data,
            writers,
            server,
            followed,
            patterns,
            age,
            interval,
            book,
            elsewhere: (0, 0),
            update,
            counts_stored: now,
            allowance,
        })
    }

    fn run(mut self, batches: &Receiver<Vec<Sample>>) {
        let (mut next_review, mut next_save) = (Instant::now() + self.interval, Instant::now() + NEWS_AFTER);
        // Questions ask the file for routes, and a replica that starts may have none.
        if let Err(error) = self.follow() {
            tracing::warn!(%error, "the routes that the server has counted cannot be read; trying again");
        }
        loop {
            let wait = next_review.min(next_save).saturating_duration_since(Instant::now());
            match batches.recv_timeout(wait) {
                Ok(samples) => self.read(samples),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.save(Unsaved::Counts);
                    return;
                }
            }
            let now = Instant::now();
            if now >= next_review {
                if let Err(error) = self.review() {
                    tracing::warn!(%error, "routes could not be compared with those that are known");
                }
                let share = if self.server.is_some() { SERVER_SHARE } else { REVIEW_SHARE };
                next_review = Instant::now() + self.interval.max(now.elapsed() * share);
            }
            if now >= next_save {
                let is_due = now.duration_since(self.counts_stored) >= COUNTS_AFTER;
                self.save(if is_due { Unsaved::Counts } else { Unsaved::News });
                if let Err(error) = self.follow_others() {
                    tracing::warn!(%error, "shapes that other replicas have told cannot be read");
                }
                next_save = Instant::now() + NEWS_AFTER;
            }
        }
    }

    /// Reads bodies as far as the share of a core allows.
    fn read(&mut self, samples: Vec<Sample>) {
        for sample in samples {
            let begun = Instant::now();
            if !self.allowance.has_some(begun) {
                return;
            }
            self.update.changes.extend(self.book.take(sample, &self.patterns));
            self.allowance.spend(begun.elapsed());
        }
    }

    /// Notes which series the server has counted.
    fn follow(&mut self) -> Result<(), QueryError> {
        let Some(server) = &self.server else { return Ok(()) };
        let News { left, counted } = server.follow(&mut self.followed, clock::now())?;
        let noted = (|| {
            if let Some(left) = left {
                self.writers.follow(Followed::Left(left))?;
            }
            // In steps, so that batches need not wait.
            counted
                .chunks(FOLLOWED_AT_ONCE)
                .try_for_each(|some| self.writers.follow(Followed::Counted(some.to_vec())))
        })();
        if noted.is_err() {
            // All of it is read again.
            self.followed = Progress::default();
        }
        Ok(noted?)
    }

    /// Reads what other replicas have told of shapes.
    fn follow_others(&mut self) -> Result<(), StoreError> {
        let Some(file) = self.file_beside_others()? else { return Ok(()) };
        let now = elsewhere(&file)?;
        if now.0 < self.elsewhere.0 {
            // Some were removed.
            self.elsewhere = (0, 0);
            self.book.clear_others();
        }
        if now.1 > self.elsewhere.1 {
            let book = &mut self.book;
            let put = |key, whole: Option<ShapeRow>| book.put_others(key, whole.map(|whole| whole.root));
            told_elsewhere(&file, self.elsewhere.1, put)?;
        }
        self.elsewhere = now;
        Ok(())
    }

    /// The file of counters, where there are other replicas.
    fn file_beside_others(&self) -> Result<Option<Connection>, StoreError> {
        if self.server.is_none() {
            return Ok(None);
        }
        let file = open_read(&self.data.path().join(METRICS_FILE))?;
        Ok(match file {
            Some(file) if has_elsewhere(&file)? => Some(file),
            _ => None,
        })
    }

    /// Gives what other replicas have told the routes under which it is shown, and removes what is old.
    fn review_others(&mut self, now: i64) -> Result<(), StoreError> {
        let Some(file) = self.file_beside_others()? else { return Ok(()) };
        let shown = |key: RouteKey| folded(&key, &self.patterns).map(|shown| (key, shown));
        let of_shapes: Vec<_> = inferred_elsewhere(&file)?.into_iter().filter_map(shown).collect();
        let mut of_changes: Vec<_> = changed_routes(&file)?.into_iter().filter_map(shown).collect();
        if !of_changes.is_empty() {
            // A route that a gateway names is shown as it is.
            let counted = routes::counted_routes(&file)?;
            of_changes.retain(|(key, _)| !counted.contains(key));
        }
        let newest = newest_body(&file)?;
        let update = &mut self.update;
        update.folded.extend(of_changes);
        update.expired_elsewhere = Some(before(newest.map_or(now, |newest| newest.min(now)), self.age));
        if !of_shapes.is_empty() {
            // All is read again, under its routes.
            (update.folded_elsewhere, self.elsewhere) = (of_shapes, (i64::MAX, 0));
        }
        Ok(())
    }

    /// Finds new and vanished routes, and takes leave of old shapes.
    fn review(&mut self) -> Result<(), QueryError> {
        self.follow()?;
        let Some(file) = open_read(&self.data.path().join(METRICS_FILE))? else { return Ok(()) };
        let now = clock::now();
        let known = known_routes(&file)?;
        let Review { routes, gone, folded, changes } =
            routes::review((&file, self.server.as_deref()), known, &self.patterns, now)?;
        let update = &mut self.update;
        // The store has what the review has found before it is asked again.
        (update.routes, update.gone_routes) = (routes, gone);
        update.changes.extend(changes);
        let moved = self.book.fold(&self.patterns);
        let mut shown: HashSet<(RouteKey, String)> = folded.into_iter().collect();
        for (shape, route) in moved {
            shown.insert((shape.route.clone(), route));
            update.gone_shapes.push(shape);
        }
        update.folded.extend(shown);
        update.gone_shapes.extend(self.book.expire(self.age, now));
        self.review_others(now)?;
        self.save(Unsaved::News);
        Ok(())
    }

    fn save(&mut self, least: Unsaved) {
        let mut update = std::mem::take(&mut self.update);
        update.shapes = self.book.unsaved(least);
        if update.is_empty() {
            return;
        }
        let keys: Vec<_> = update.shapes.iter().map(|row| row.key.clone()).collect();
        match self.writers.drifted(update) {
            Ok(lost) => {
                self.book.saved(&keys, &lost);
                if least == Unsaved::Counts {
                    self.counts_stored = Instant::now();
                }
            }
            // The shapes are tried again; a change that is lost was one of a service that could store nothing.
            Err(error) => tracing::warn!(%error, "changes of shapes could not be stored"),
        }
    }
}

/// Time for which bodies may be read.
struct Allowance {
    seconds: f64,
    at: Instant,
}

impl Allowance {
    fn has_some(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.seconds, self.at) = ((self.seconds + passed * SHARE).min(SAVED_UP), now);
        self.seconds > 0.0
    }

    fn spend(&mut self, time: Duration) {
        self.seconds -= time.as_secs_f64();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_takes_its_share_and_no_more() {
        let start = Instant::now();
        let mut allowance = Allowance { seconds: SAVED_UP, at: start };
        let (mut spent, mut now) = (0.0, start);
        while now < start + Duration::from_secs(100) {
            if allowance.has_some(now) {
                allowance.spend(Duration::from_millis(10));
                spent += 0.01;
            }
            now += Duration::from_millis(10);
        }
        assert!((6.9..7.1).contains(&spent), "{spent}");
    }
}
