//! The state of the scrub: which file is being read, and how the last pass ended.

use super::modes;
use crate::sync::lock;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::sync::Notify;

/// The report of the last pass, in the data directory.
const REPORT: &str = "scrub.json";

/// A pass over all files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows that were read, chunks of the log among them.
    pub rows: u64,
    /// Pieces of damage that were found.
    pub damaged: u64,
    /// Rows that are probably lost; requests, where a chunk of the log is lost.
    pub lost: u64,
}

/// A pass at work.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Progress {
    pub(crate) started_at: Timestamp,
    /// The file that is read.
    pub(crate) file: String,
    pub(crate) done_bytes: u64,
    pub(crate) total_bytes: u64,
}

/// The scrub of a data directory.
pub(crate) struct Scrub {
    path: PathBuf,
    running: Mutex<Option<Progress>>,
    last: Mutex<Option<Report>>,
    /// Told when reading has found damage.
    suspected: Notify,
    /// One pass at a time.
    turn: Mutex<()>,
    /// Whether the pass at work must end.
    stopped: AtomicBool,
}

impl Scrub {
    pub(super) fn open(data: &Path) -> Self {
        let path = data.join(REPORT);
        let last = std::fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        Self {
            path,
            running: Mutex::default(),
            last: Mutex::new(last),
            suspected: Notify::new(),
            turn: Mutex::default(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Runs one pass. A pass at work ends first.
    pub(crate) fn run<T>(&self, pass: impl FnOnce() -> T) -> T {
        self.stop();
        let _turn = lock(&self.turn);
        self.stopped.store(false, Relaxed);
        let outcome = pass();
        *lock(&self.running) = None;
        outcome
    }

    /// Ends the pass at work.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    /// Asks for a pass soon, because reading has found damage.
    pub(crate) fn suspect(&self) {
        self.suspected.notify_one();
    }

    /// Waits until reading finds damage.
    pub(crate) async fn suspected(&self) {
        self.suspected.notified().await;
    }

    pub(crate) fn progress(&self) -> Option<Progress> {
        lock(&self.running).clone()
    }

    pub(crate) fn set_progress(&self, progress: Progress) {
        *lock(&self.running) = Some(progress);
    }

    /// The last pass that came to its end.
    pub(crate) fn last(&self) -> Option<Report> {
        lock(&self.last).clone()
    }

    /// Notes a pass that came to its end.
    pub(crate) fn ended(&self, report: &Report) {
        let text = serde_json::to_vec_pretty(report).unwrap_or_default();
        let written = modes::create(&self.path)
            .map_err(std::io::Error::other)
            .and_then(|()| std::fs::write(&self.path, text));
        if let Err(error) = written {
            tracing::warn!(%error, "the report of the scrub cannot be written");
        }
        *lock(&self.last) = Some(report.clone());
    }
}
