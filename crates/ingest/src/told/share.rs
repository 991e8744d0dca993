//! The task that tells what this replica has changed, and takes what others have told.

use super::journal::{Merged, Past, Untold};
use super::orders::Orders;
use super::{Book, Pace, Row};
use crate::clickhouse::{ClickHouse, Place, Told};
use crate::clock;
use crate::store::{DataDir, Refused, StoreError, Writers, create_file};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// File of the data directory with the ID of the replica.
const REPLICA_FILE: &str = "replica";
/// Milliseconds by which an insert may be found late.
const OVERLAP: i64 = 30_000;
/// Time for a look, which is repeated when it takes longer, and for the last one.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);
const LAST_TIMEOUT: Duration = Duration::from_secs(5);
/// Looks from one at which [`Pace::Later`], or [`Pace::Slowly`], is due to the next.
const LATER: u64 = 5;
const SLOWLY: u64 = 30;

/// The files with rows to tell, behind their writers.
pub(crate) struct Books {
    pub(crate) writers: Arc<Writers>,
}

/// What a replica knows of the rows that others have told.
pub(crate) struct Sharing {
    server: Arc<ClickHouse>,
    books: Books,
    /// Whose rows are ours.
    replica: String,
    interval: Duration,
    looks: u64,
    /// When the last complete look began, in Unix milliseconds of the server.
    looked_at: i64,
    /// Rows that were merged lately, each with its time.
    merged: HashMap<u64, i64>,
    hashes: RandomState,
    orders: Orders,
    is_cut_off: bool,
}

impl Books {
    /// Begins to note the changes of a file. True where the replica's own rows must be read, too, because the file has lost them.
    async fn begin(&self, book: Book, replica: &str, past: Past) -> Result<bool, Refused> {
        match book {
            Book::Counters | Book::Log => self.writers.begin_telling(book, past).await.map(|()| false),
            Book::Issues => {
                let replica = replica.to_owned();
                self.writers.on_issues(move |issues| issues.begin_telling(&replica, past, clock::now())).await
            }
        }
    }

    async fn untold(&self, book: Book, pace: Pace) -> Result<Untold, Refused> {
        match book {
            Book::Counters | Book::Log => self.writers.untold(book, pace).await,
            Book::Issues => self.writers.on_issues(move |issues| issues.untold(pace)).await,
        }
    }

    async fn settle(&self, book: Book, ids: Vec<i64>) -> Result<(), Refused> {
        match book {
            Book::Counters | Book::Log => self.writers.settle_told(book, ids).await,
            Book::Issues => self.writers.on_issues(move |issues| issues.settle_told(&ids)).await,
        }
    }

    async fn take(&self, book: Book, rows: Vec<Row>) -> Result<Merged, Refused> {
        match book {
            Book::Counters | Book::Log => self.writers.take_told(book, rows).await,
            Book::Issues => self.writers.on_issues(move |issues| issues.take_told(&rows, clock::now())).await,
        }
    }
}

impl Sharing {
    /// Begins to note changes, and merges all that others have told.
    pub(crate) async fn start(
        server: Arc<ClickHouse>,
        books: Books,
        data: &DataDir,
        interval: Duration,
    ) -> Result<Self, Refused> {
        let replica = replica_of(data)?;
        // A database that does not know this replica has none of its rows.
        let past = match server.knows(&replica).await.map_err(StoreError::from)? {
            true => Past::Told,
            false => Past::Untold,
        };
        let mut lost = Vec::new();
        for book in Book::ALL {
            if books.begin(book, &replica, past).await? {
                lost.push(book);
            }
        }
        // Before anything is read, so that orders wait for what was read.
        server.note_replica(&replica).await.map_err(StoreError::from)?;
        let looked_at = server.now().await.map_err(StoreError::from)?;
        let (merged, hashes) = (HashMap::new(), RandomState::new());
        let sharing = Self {
            server,
            books,
            replica,
            interval,
            looks: 0,
            looked_at,
            merged,
            hashes,
            orders: Orders::default(),
            is_cut_off: false,
        };
        for book in Book::ALL {
            for kind in book.kinds().iter().filter(|kind| Book::of(kind.name) == Some(book)) {
                let own = if lost.contains(&book) { "" } else { sharing.replica.as_str() };
                sharing.take_all(book, kind.name, own).await?;
            }
        }
        Ok(sharing)
    }

    /// Merges all rows of a kind that others than `own` have told.
    async fn take_all(&self, book: Book, kind: &str, own: &str) -> Result<(), Refused> {
        let mut after = Place::default();
        loop {
            let page = self.server.told_of(own, kind, &after).await.map_err(StoreError::from)?;
            let Told { rows, is_last } = page;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = last.clone();
            self.books.take(book, rows.into_iter().map(|(_, row)| row).collect()).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    /// Tells and takes until the service stops.
    pub(crate) async fn keep(mut self, mut stopping: watch::Receiver<bool>) -> Self {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                _ = stopping.wait_for(|stops| *stops) => break,
            }
            let look = tokio::time::timeout(LOOK_TIMEOUT, self.look());
            let outcome = tokio::select! {
                outcome = look => outcome,
                _ = stopping.wait_for(|stops| *stops) => break,
            };
            match outcome {
                Ok(Err(Refused::Stopped)) => return self,
                Ok(Ok(())) if std::mem::take(&mut self.is_cut_off) => {
                    tracing::info!("rows are shared with other replicas again");
                }
                Ok(Ok(())) => {}
                failed => {
                    if !std::mem::replace(&mut self.is_cut_off, true) {
                        let why = failed.map_or("it takes too long".to_owned(), |outcome| {
                            outcome.err().map_or_else(String::new, |error| error.to_string())
                        });
                        tracing::warn!(why, "rows cannot be shared with other replicas, and wait");
                    }
                }
            }
        }
        self
    }

    /// Tells what is left when the service has stopped.
    pub(crate) async fn tell_rest(self) {
        let _ = tokio::time::timeout(LAST_TIMEOUT, self.tell(Pace::Slowly)).await;
    }

    async fn look(&mut self) -> Result<(), Refused> {
        self.looks = self.looks.wrapping_add(1);
        let pace = match self.looks {
            looks if looks % SLOWLY == 0 => Pace::Slowly,
            looks if looks % LATER == 0 => Pace::Later,
            _ => Pace::Soon,
        };
        if pace == Pace::Slowly {
            self.server.note_replica(&self.replica).await.map_err(StoreError::from)?;
            self.server.remove_old_orders().await?;
        }
        // First, so that what is to be forgotten is not told.
        let followed = self.orders.follow(&self.server, &self.books.writers, &self.replica).await;
        self.tell(pace).await?;
        self.take().await?;
        followed
    }

    /// Tells what has changed.
    async fn tell(&self, pace: Pace) -> Result<(), Refused> {
        for book in Book::ALL {
            loop {
                let Untold { rows, ids, is_more } = self.books.untold(book, pace).await?;
                if !rows.is_empty() {
                    self.server.tell(&self.replica, &rows).await.map_err(StoreError::from)?;
                }
                if !ids.is_empty() {
                    self.books.settle(book, ids).await?;
                }
                if !is_more {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Merges what others have told since the last look, and shortly before it.
    async fn take(&mut self) -> Result<(), Refused> {
        let now = self.server.now().await.map_err(StoreError::from)?;
        let mut after = Place::at(self.looked_at.saturating_sub(OVERLAP));
        loop {
            let page = self.server.told_after(&self.replica, &after).await.map_err(StoreError::from)?;
            let Told { rows: page, is_last } = page;
            if let Some((last, _)) = page.last() {
                after = last.clone();
            }
            for book in Book::ALL {
                let news = page.iter().filter(|(place, row)| {
                    Book::of(&row.kind) == Some(book)
                        && !self.merged.contains_key(&self.hashes.hash_one(place))
                });
                let (places, rows): (Vec<&Place>, Vec<Row>) =
                    news.map(|(place, row)| (place, row.clone())).unzip();
                if rows.is_empty() {
                    continue;
                }
                let Merged { early, .. } = self.books.take(book, in_order(book, rows)).await?;
                // A row without its gateway comes again with the next looks.
                if early == 0 {
                    let done = places.into_iter().map(|place| (self.hashes.hash_one(place), place.at));
                    self.merged.extend(done);
                }
            }
            if is_last {
                break;
            }
        }
        self.looked_at = now;
        self.merged.retain(|_, at| *at >= now.saturating_sub(2 * OVERLAP));
        Ok(())
    }
}

/// Rows behind those that they refer to.
fn in_order(book: Book, mut rows: Vec<Row>) -> Vec<Row> {
    let kinds = book.kinds();
    rows.sort_by_key(|row| kinds.iter().position(|kind| kind.name == row.kind));
    rows
}

/// The ID of the replica that keeps a directory, made at its first start. A backup does not have it, because a copy is another
/// replica.
fn replica_of(data: &DataDir) -> Result<String, StoreError> {
    let path = data.path().join(REPLICA_FILE);
    let failed = |error| StoreError::file(&path, error);
    create_file(&path)?;
    let known = std::fs::read_to_string(&path).map_err(failed)?;
    let known = known.trim();
    if known.len() == 16 && known.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(known.to_owned());
    }
    let mut bytes = [0; 8];
    let random = SystemRandom::new().fill(&mut bytes);
    random.map_err(|_| failed(std::io::Error::other("there are no random numbers")))?;
    let replica = data_encoding::HEXLOWER.encode(&bytes);
    std::fs::write(&path, format!("{replica}\n")).map_err(failed)?;
    Ok(replica)
}
