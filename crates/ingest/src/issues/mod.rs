//! Error issues: the failed requests of the log in groups, each with a state that people change.
//!
//! ```text
//! batch of the log ─▶ observe (failed rows only: fingerprint, reason) ─▶ issues.db, after the batch is committed
//! PUT issues/{id}  ─▶ decision                                        ─▶ issues.db ─▶ query/issues
//! ```
//!
//! [ADR 30](../../../../docs/adr/0030-error-issues.md) has the reasons.

mod file;
mod fingerprint;
mod observe;
mod reason;
mod state;
mod text;
mod validation;

use file::IssuesFile;
pub(crate) use file::{Decision, ISSUES_FILE, Regresses, Taken, open_read, parts};
pub(crate) use fingerprint::Kind;
pub(crate) use observe::{Seen, observe};
pub(crate) use state::{Standing, State};

use crate::model::{Identity, Signal};
use crate::retention::Retention;
use crate::store::{DataDir, Deed, Selection, StoreError};
use crate::sync::lock;
use crate::told::journal::{Merged, Past, Untold};
use crate::told::{Pace, Row};
use std::sync::{Mutex, MutexGuard};

/// The file of issues in a running service.
pub(crate) struct Issues(Mutex<IssuesFile>);

impl Issues {
    /// Opens the file in a data directory. One that is damaged is set aside.
    pub(crate) fn open(data: &DataDir) -> Result<Self, StoreError> {
        let path = data.path().join(ISSUES_FILE);
        let file = data.open_or_replace(&path, StoreError::is_damage, || IssuesFile::open(&path))?;
        Ok(Self(Mutex::new(file)))
    }

    /// Adds what a batch showed, once for each identity. Blocks. `now` is in Unix nanoseconds.
    pub(crate) fn add(
        &self,
        seen: &Seen,
        batch: Option<(&Identity, Signal)>,
        now: i64,
    ) -> Result<(), StoreError> {
        self.file().add(seen, batch, now)
    }

    /// Changes the state of an issue. Blocks. False when there is no such issue.
    pub(crate) fn decide(&self, id: &str, decision: &Decision<'_>) -> Result<bool, StoreError> {
        self.file().decide(id, decision)
    }

    /// Removes what is old. Blocks. `now` is in Unix nanoseconds. Returns the time from which ages count.
    pub(crate) fn prune(&self, retention: &Retention, now: i64) -> Result<i64, StoreError> {
        self.file().prune(retention, now)
    }

    /// Removes what a selection takes, or finds the issues of which something would go. Blocks.
    pub(crate) fn forget(&self, selection: &Selection, deed: Deed) -> Result<Taken, StoreError> {
        self.file().forget(selection, deed)
    }

    /// Begins to note what a replica tells others, which have the same issues then. Blocks. `now` is in Unix nanoseconds. True for a
    /// file that has never known a server.
    pub(crate) fn begin_telling(&self, replica: &str, past: Past, now: i64) -> Result<bool, StoreError> {
        self.file().begin_telling(replica, past, now)
    }

    /// Some of the rows to tell. Blocks.
    pub(crate) fn untold(&self, pace: Pace) -> Result<Untold, StoreError> {
        self.file().untold(pace)
    }

    /// Notes that changes were told. Blocks.
    pub(crate) fn settle_told(&self, ids: &[i64]) -> Result<(), StoreError> {
        self.file().settle_told(ids)
    }

    /// Merges what other replicas have told. Blocks. `now` is in Unix nanoseconds.
    pub(crate) fn take_told(&self, rows: &[Row], now: i64) -> Result<Merged, StoreError> {
        self.file().take_told(rows, now)
    }

    fn file(&self) -> MutexGuard<'_, IssuesFile> {
        lock(&self.0)
    }
}
