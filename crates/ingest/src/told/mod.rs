//! Rows of small tables that replicas tell each other
//! ([ADR 38](../../../../docs/adr/0038-what-replicas-share.md)).
//!
//! Each replica keeps its own SQLite files. Triggers note the rows that its own work changes (`journal`), a task inserts them
//! into the table `told` of the server, reads those of the others, and merges them (`share`). A merge gives the same in any order
//! and however often it is done, and what was merged is not told again.
//!
//! To add a kind: write a [`Kind`] with its key, its values, the changes that are told, a statement that reads a row and one
//! that merges a row, and put it behind the kinds that it refers to, into the list of its file
//! ([`kinds::COUNTERS`], [`kinds::LOG`]). Numbers that are of one file alone, such as `gateway_id`, are not told: the
//! statements join what they stand for. State in memory that was read from the table follows in the writer's `take_told`.
//! Another file needs triggers at its writer's connection ([`journal::begin`]) and a [`Book`].

pub(crate) mod journal;
pub(crate) mod kinds;
mod orders;
mod row;
mod share;
#[cfg(test)]
mod tests;

pub(crate) use row::{Column, Fields, MAX_NAME, MAX_VALUE, Row};
pub(crate) use share::{Books, Sharing};

use crate::store::StoreError;
use rusqlite::Connection;

/// A kind of row that replicas tell each other.
pub(crate) struct Kind {
    /// Its name in `told`.
    pub(crate) name: &'static str,
    /// What names a row at every replica.
    pub(crate) key: &'static [Column],
    pub(crate) values: &'static [Column],
    pub(crate) watches: &'static [Watch],
    /// The columns of a row, those of the key first. `?1` is the JSON array that a watch has noted.
    pub(crate) read: &'static str,
    pub(crate) merge: Merge,
    /// Whether the key begins with instance, epoch and environment of a gateway, whose row must be there first.
    pub(crate) of_gateway: bool,
    /// Statements for tables and triggers that only a file with a server has. They can be repeated.
    pub(crate) tables: &'static str,
}

/// A change of a table that is told.
pub(crate) struct Watch {
    pub(crate) table: &'static str,
    /// `INSERT`, `UPDATE OF …` or `DELETE`.
    pub(crate) event: &'static str,
    /// Whether the change of the row `own` is told.
    pub(crate) when: &'static str,
    /// A JSON array by which `read` finds the row again, out of the row `own`; NULL if there is nothing to tell.
    pub(crate) key: &'static str,
    pub(crate) pace: Pace,
}

/// How soon a change is told. Rows that change with every batch are not told with every batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pace {
    /// At the next look.
    Soon,
    /// At every fifth look.
    Later,
    /// At every thirtieth look.
    Slowly,
}

/// How a row of another replica becomes part of the table.
#[derive(Clone, Copy)]
pub(crate) enum Merge {
    /// By a statement with the columns as parameters.
    Sql(&'static str),
    With(fn(&Connection, &Fields) -> Result<(), Unmerged>),
}

/// Why a row of another replica was not merged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unmerged {
    /// What it refers to is not there yet.
    #[error("what it belongs to is not known")]
    Early,
    #[error("{0}")]
    Unfit(String),
    #[error(transparent)]
    Failed(#[from] StoreError),
}

/// A file with rows to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Book {
    /// `metrics.db`.
    Counters,
    /// The request log of the day.
    Log,
    /// `issues.db`.
    Issues,
}

impl Book {
    pub(crate) const ALL: [Self; 3] = [Self::Counters, Self::Log, Self::Issues];

    /// The kinds that it tells.
    pub(crate) fn kinds(self) -> &'static [&'static Kind] {
        match self {
            Self::Counters => kinds::COUNTERS,
            Self::Log => kinds::LOG,
            Self::Issues => kinds::ISSUES,
        }
    }

    /// The file that takes a kind of row: the first that has it. `None` for a kind of a newer version.
    pub(crate) fn of(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|book| book.kinds().iter().any(|known| known.name == kind))
    }
}

impl From<rusqlite::Error> for Unmerged {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
            OperationInterrupted, OutOfMemory, ReadOnly, SystemIoFailure,
        };
        match error.sqlite_error_code() {
            Some(
                CannotOpen | DatabaseBusy | DatabaseCorrupt | DatabaseLocked | DiskFull | NotADatabase
                | OperationInterrupted | OutOfMemory | ReadOnly | SystemIoFailure,
            ) => Self::Failed(error.into()),
            // The statement refuses the row, and no other one: one row must not keep all that follow.
            _ => Self::Unfit(error.to_string()),
        }
    }
}
