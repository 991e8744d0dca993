//! The store and its promise: after an answer of 200 the batch is on disk, exactly once.
//!
//! `metrics.db` holds counters and rollups; `requests-YYYY-MM-DD.db` holds the request log received on that UTC day.
//! One request of a sender is one transaction in one file: its identity is committed with what it brought, so that a
//! repeat is recognised after any crash. Each kind of file has one writer thread; readers have connections
//! of their own and see snapshots.

pub(crate) mod accepted;
mod admission;
mod audit;
pub(crate) mod bloom;
mod by_bound;
pub(crate) mod changes;
mod checksum;
pub(crate) mod chunk;
mod consumers;
pub(crate) mod contents;
mod data_dir;
mod directory;
mod drift;
mod forget;
pub(crate) mod gateways;
mod heard;
pub(crate) mod instances;
pub(crate) mod metrics;
mod modes;
pub(crate) mod moments;
pub(crate) mod narrow;
pub(crate) mod news;
pub(crate) mod packed;
mod pages;
mod patterns;
mod prune;
pub(crate) mod quarantine;
pub(crate) mod reduce;
mod releases;
mod requests;
pub(crate) mod rollups;
mod salvage;
mod schema;
pub(crate) mod scrub;
mod series;
pub(crate) mod sketch;
pub(crate) mod sums;
mod tails;
mod telling;
pub(crate) mod totals;
mod uptime;
mod verify;
mod writer;

pub(crate) use admission::Admission;
pub(crate) use data_dir::{DataDir, Removal, remove_file};
pub(crate) use drift::{
    COLUMNS as SHAPE_COLUMNS, Noted, ORDER as SHAPE_ORDER, changed_routes, elsewhere, has_elsewhere,
    inferred_elsewhere, load as load_shapes, load_whole as load_whole_shapes, merge_change, newest_body,
    next_shape, routes as known_routes, shapes_of_all, told_elsewhere,
};
pub(crate) use forget::AT_WORK;
pub use forget::{Deed, Forgotten, Selection};
pub(crate) use modes::{create as create_file, prepare as prepare_directory};
pub(crate) use patterns::{Lesson, load as load_patterns, load_of as load_patterns_of};
pub(crate) use prune::{Pruned, minutes_since};
pub(crate) use releases::SAME_TIME as SAME_RELEASE;
pub(crate) use requests::{day_files, day_of, day_of_file};
pub(crate) use schema::{APPLICATION_ID, METRICS_FILE, marks_of, open_other, open_read};
#[cfg(test)]
pub(crate) use schema::{open_metrics, open_requests};
pub(crate) use series::Followed;
pub(crate) use uptime::{BOUND_PERCENT, Due, Judged, Probed, Traffic, trim_results as trim_probe_results};
pub(crate) use verify::{Bad, file as verify_file};
pub(crate) use writer::{Refused, Stored, Writers, lock};

use crate::clock;
use crate::issues::Issues;
use crate::limits::Limits;
use crate::spans::Spans;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Forgets without a service: opens the files of a directory that no service uses.
pub(crate) fn forget_offline(dir: &Path, selection: &Selection, deed: Deed) -> Result<Forgotten, StoreError> {
    let _lock = lock(dir)?;
    let directory = Arc::new(DataDir::new(dir.to_owned()));
    let now = clock::now();
    let mut metrics = metrics::Metrics::open(
        Arc::clone(&directory),
        Arc::new(Admission::new(&Limits::default())),
        Arc::default(),
    )?;
    let mut forgotten = metrics.forget(selection, deed, now)?;
    forgotten.add(&requests::Requests::open(Arc::clone(&directory), now)?.forget(selection, deed, now)?);
    forgotten.issues = Issues::open(&directory)?.forget(selection, deed)?.whole.len() as u64;
    forgotten.spans = Spans::open(&directory, Limits::default().spans_bytes)?.forget(selection, deed)?;
    Ok(forgotten)
}

/// The writers of a directory that no service uses.
pub(crate) struct Offline {
    metrics: metrics::Metrics,
    requests: requests::Requests,
    _lock: std::fs::File,
}

impl Offline {
    /// Locks a directory and opens its files.
    pub(crate) fn open(directory: &Arc<DataDir>) -> Result<Self, StoreError> {
        let lock = lock(directory.path())?;
        salvage::settle(directory.path())?;
        let admission = Arc::new(Admission::new(&Limits::default()));
        Ok(Self {
            metrics: metrics::Metrics::open(Arc::clone(directory), admission, Arc::default())?,
            requests: requests::Requests::open(Arc::clone(directory), clock::now())?,
            _lock: lock,
        })
    }

    /// Takes damaged rows out of a file.
    pub(crate) fn set_aside(&mut self, path: &Path, rows: &[Bad]) -> Result<(), StoreError> {
        if path.ends_with(METRICS_FILE) {
            self.metrics.set_aside(rows)
        } else {
            self.requests.set_aside(path, rows)
        }
    }

    /// Replaces a damaged file.
    pub(crate) fn replace(&mut self, path: &Path, why: &StoreError) -> Result<(), StoreError> {
        if path.ends_with(METRICS_FILE) {
            self.metrics.replace(why)
        } else {
            self.requests.replace(path, why)
        }
    }
}

/// Something about the store went wrong.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not do what was asked.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    /// A file cannot be opened as a database.
    #[error("{path}: {source}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The error of SQLite.
        source: rusqlite::Error,
    },
    /// The file system could not.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// ClickHouse cannot be reached, or refuses.
    #[error("ClickHouse: {0}")]
    ClickHouse(#[from] clickhouse::error::Error),
    /// The tables were changed by a newer version.
    #[error(
        "the database {database} has tables of version {found}, this gatelens knows {known}: start the newer gatelens that made them"
    )]
    NewerTables {
        /// The database.
        database: String,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Tables of a cluster are made by its operator.
    #[error(
        "the database {database} has no {what} on its cluster: run what `gatelens store schema --cluster NAME` prints"
    )]
    NotOnCluster {
        /// The database.
        database: String,
        /// The missing part.
        what: String,
    },
    /// The file was written by a newer version.
    #[error("{path} has schema version {found}, this gatelens knows {known}: start the newer gatelens that wrote it", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The file was written by an older version, and no writer has opened it since.
    #[error("{path} has schema version {found}, this gatelens reads {known}: `gatelens serve` on this directory brings it up to date", path = path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The file is a database of something else.
    #[error("{path} is not a file of gatelens: choose another data directory", path = path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the directory.
    #[error("{path} is in use by another gatelens{holder}: stop that one, or choose another data directory", path = path.display(), holder = process.map(|id| format!(" (process {id})")).unwrap_or_default())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The number of the process, where the system tells.
        process: Option<u32>,
    },
    /// The configuration is wrong.
    #[error("the configuration is wrong: {message}")]
    Configuration {
        /// The defect, with its key.
        message: String,
    },
    /// A check has found damage that SQLite does not report by itself.
    #[error("{path} is damaged: {reason}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How the damage shows.
        reason: String,
    },
    /// A stored value cannot be read.
    #[error("a stored {what} cannot be read")]
    Unreadable {
        /// The kind of value.
        what: &'static str,
    },
}

impl StoreError {
    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    /// Whether the bytes on disk are not what a store of ours has, which no waiting makes good.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Database(source) | Self::Open { source, .. } => {
                use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
                matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
            }
            Self::Damaged { .. } => true,
            Self::File { .. }
            | Self::ClickHouse(_)
            | Self::NewerTables { .. }
            | Self::NotOnCluster { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Foreign { .. }
            | Self::InUse { .. }
            | Self::Configuration { .. }
            | Self::Unreadable { .. } => false,
        }
    }
}

impl From<sketch::Unreadable> for StoreError {
    fn from(_: sketch::Unreadable) -> Self {
        Self::Unreadable { what: "sketch" }
    }
}
