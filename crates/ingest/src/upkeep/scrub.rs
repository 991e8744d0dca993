//! The scrub: every row and every page of the files is read and checked, and damage is set aside without losing the rest.
//!
//! In a service it runs at a tenth of a core, once in a period, and soon after reading has found damage. On request it runs
//! at full speed, with or without a service at work.

use super::control::{self, Order};
use crate::alerts::ALERTS_FILE;
use crate::issues::ISSUES_FILE;
use crate::store::{self, Bad, DataDir, METRICS_FILE, Offline, Refused, StoreError, Writers, day_files};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use crate::store::quarantine::{Damage, Kind};
pub use crate::store::scrub::Report;

/// A pause is as many times longer than the step before it.
const PAUSES: u32 = 9;
/// Within a pause, between two looks whether the pass must end.
const LOOK: Duration = Duration::from_millis(50);
/// After the start of a service, before a pass that is due.
const FIRST: Duration = Duration::from_secs(60);
/// Between two passes that reading asks for: damage that stays must not keep the disk at work.
const AGAIN: Duration = Duration::from_secs(600);

/// Pieces of damage in a result.
const MAX_SHOWN: usize = 100;

/// Whether damage is set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// It is only found.
    Find,
    /// It is set aside, and the rest goes on.
    SetAside,
}

/// The result of a scrub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrubbed {
    /// The pass.
    #[serde(flatten)]
    pub report: Report,
    /// The damage, at most 100 pieces, the latest first.
    pub damage: Vec<Damage>,
}

/// Why there was no scrub.
#[derive(Debug, thiserror::Error)]
pub enum ScrubError {
    /// There is no store.
    #[error("{path} has no data of gatelens: give the directory of `gatelens serve --data`", path = .0.display())]
    NoData(PathBuf),
    /// The service at work refused.
    #[error("the service could not: {0}")]
    Service(String),
    /// The files have a fault.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pass was ended.
    #[error("the scrub was ended before it had read all files: repeat it")]
    Ended,
    /// A writer of the service has stopped.
    #[error("damage could not be set aside: {0}")]
    Writer(String),
}

/// Reads a data directory, in which a service may be at work, and sets damage aside or only finds it.
///
/// # Errors
/// [`ScrubError`]. Damage is no error.
pub fn scrub(data: &Path, deed: Deed) -> Result<Scrubbed, ScrubError> {
    if !data.is_dir() || files(data)?.is_empty() {
        return Err(ScrubError::NoData(data.to_owned()));
    }
    if let Some(outcome) = control::order(data, &Order::Scrub { deed }) {
        return outcome.map_err(ScrubError::Service);
    }
    let directory = Arc::new(DataDir::new(data.to_owned()));
    match deed {
        Deed::Find => find(&directory),
        Deed::SetAside => {
            // Damage that opening finds is damage of this pass.
            let known = directory.quarantine().known().pieces;
            let mut offline = Offline::open(&directory)?;
            mend(&directory, known, &mut offline, Pace::Full)
        }
    }
}

/// The same in a service, which is asked for it. Blocks until that is done.
pub(super) fn on_request(data: &DataDir, writers: &Arc<Writers>, deed: Deed) -> Result<Scrubbed, ScrubError> {
    data.scrub().run(|| match deed {
        Deed::Find => find(data),
        Deed::SetAside => mend(data, data.quarantine().known().pieces, &mut Arc::clone(writers), Pace::Full),
    })
}

/// Scrubs once in a period and when reading has found damage, until it is dropped.
pub(crate) async fn keep(period: Duration, data: &Arc<DataDir>, writers: &Arc<Writers>) {
    let _stop = StopOnDrop(data);
    tokio::time::sleep(FIRST).await;
    loop {
        let age = data.scrub().last().map(|last| Timestamp::now().duration_since(last.started_at));
        let age = age.and_then(|age| Duration::try_from(age).ok());
        let wait = age.map_or(Duration::ZERO, |age| period.saturating_sub(age));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = data.scrub().suspected() => {}
        }
        let (data, writers) = (Arc::clone(data), Arc::clone(writers));
        let work = move || {
            data.scrub().run(|| {
                mend(&data, data.quarantine().known().pieces, &mut Arc::clone(&writers), Pace::Gentle)
            })
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(Err(ScrubError::Ended)) | Err(_) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the scrub could not read the files"),
            Ok(Ok(Scrubbed { report, .. })) => {
                let Report { files, bytes, rows, damaged, lost, .. } = report;
                tracing::info!(files, bytes, rows, damaged, lost, "the scrub has read all files");
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

struct StopOnDrop<'a>(&'a DataDir);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.scrub().stop();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// A tenth of a core.
    Gentle,
    Full,
}

/// Those who can set damage aside.
trait Hands {
    fn set_aside(&mut self, path: &Path, rows: Vec<Bad>) -> Result<(), ScrubError>;
    fn replace(&mut self, path: &Path, why: StoreError) -> Result<(), ScrubError>;
}

impl Hands for Offline {
    fn set_aside(&mut self, path: &Path, rows: Vec<Bad>) -> Result<(), ScrubError> {
        Ok(Offline::set_aside(self, path, &rows)?)
    }

    fn replace(&mut self, path: &Path, why: StoreError) -> Result<(), ScrubError> {
        Ok(Offline::replace(self, path, &why)?)
    }
}

impl Hands for Arc<Writers> {
    fn set_aside(&mut self, path: &Path, rows: Vec<Bad>) -> Result<(), ScrubError> {
        Writers::set_aside(self, path, rows).map_err(writer)
    }

    fn replace(&mut self, path: &Path, why: StoreError) -> Result<(), ScrubError> {
        Writers::replace(self, path, why).map_err(writer)
    }
}

fn writer(refused: Refused) -> ScrubError {
    ScrubError::Writer(refused.to_string())
}

/// Finds only.
#[derive(Default)]
struct Finder {
    pieces: u64,
    /// The first of them.
    found: Vec<Damage>,
}

impl Finder {
    fn add(&mut self, damage: Damage) {
        self.pieces += 1;
        if self.found.len() < MAX_SHOWN {
            self.found.push(damage);
        }
    }
}

impl Hands for Finder {
    fn set_aside(&mut self, path: &Path, rows: Vec<Bad>) -> Result<(), ScrubError> {
        for Bad { table, .. } in rows {
            let kind = if table == "chunks" { Kind::Chunk } else { Kind::Row };
            self.add(Damage { lost: 1, ..Damage::new(path, kind, "is not as it was written").of(&table) });
        }
        Ok(())
    }

    fn replace(&mut self, path: &Path, why: StoreError) -> Result<(), ScrubError> {
        self.add(Damage::new(path, Kind::Pages, why.to_string()));
        Ok(())
    }
}

/// A pass that finds, and is noted nowhere.
fn find(data: &DataDir) -> Result<Scrubbed, ScrubError> {
    let mut finder = Finder::default();
    let report = pass(data, &mut finder, Pace::Full)?;
    let lost = finder.found.iter().map(|damage| damage.lost).sum();
    Ok(Scrubbed { report: Report { damaged: finder.pieces, lost, ..report }, damage: finder.found })
}

/// A pass that sets aside what it finds.
/// `known` are the pieces of before it.
fn mend(data: &DataDir, known: u64, hands: &mut dyn Hands, pace: Pace) -> Result<Scrubbed, ScrubError> {
    let report = pass(data, hands, pace)?;
    let found = data.quarantine().known();
    let damaged = found.pieces.saturating_sub(known);
    let damage: Vec<Damage> =
        found.latest.into_iter().take(usize::try_from(damaged).unwrap_or(usize::MAX)).collect();
    let report = Report { damaged, lost: damage.iter().map(|damage| damage.lost).sum(), ..report };
    data.scrub().ended(&report);
    Ok(Scrubbed { report, damage })
}

/// Reads all files.
fn pass(data: &DataDir, hands: &mut dyn Hands, pace: Pace) -> Result<Report, ScrubError> {
    let files = files(data.path())?;
    let sizes: Vec<u64> =
        files.iter().map(|path| std::fs::metadata(path).map_or(0, |meta| meta.len())).collect();
    let total_bytes = sizes.iter().sum();
    let started_at = Timestamp::now();
    let (mut done_bytes, mut rows, mut read_files) = (0, 0, 0);
    for (path, size) in files.iter().zip(sizes) {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        data.scrub().set_progress(store::scrub::Progress { started_at, file, done_bytes, total_bytes });
        rows += one(data, path, hands, pace)?;
        if data.scrub().is_stopped() {
            return Err(ScrubError::Ended);
        }
        done_bytes += size;
        read_files += 1;
    }
    Ok(Report {
        started_at,
        ended_at: Timestamp::now(),
        files: read_files,
        bytes: total_bytes,
        rows,
        damaged: 0,
        lost: 0,
    })
}

/// Reads one file; the number of its rows.
fn one(data: &DataDir, path: &Path, hands: &mut dyn Hands, pace: Pace) -> Result<u64, ScrubError> {
    let scrub = Arc::clone(data.scrub());
    let pause = move |took: Duration| {
        let until = Instant::now() + took * PAUSES;
        while pace == Pace::Gentle && Instant::now() < until && !scrub.is_stopped() {
            std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        }
        !scrub.is_stopped()
    };
    let mut failed = None;
    let outcome = store::verify_file(path, Arc::new(pause), &mut |rows| {
        if let Err(error) = hands.set_aside(path, rows) {
            failed.get_or_insert(error);
        }
        Ok(())
    });
    if let Some(error) = failed {
        return Err(error);
    }
    match outcome {
        Ok(rows) => Ok(rows),
        // Retention was faster.
        Err(_) if !path.exists() => Ok(0),
        Err(error) if error.is_damage() => {
            if path.ends_with(ALERTS_FILE) || path.ends_with(ISSUES_FILE) {
                data.note(path, format!("is damaged ({error}): restart the service, which sets it aside"));
            } else {
                hands.replace(path, error)?;
            }
            Ok(0)
        }
        // A file that is not ours, or of another version, was noted where it was opened.
        Err(StoreError::Newer { .. } | StoreError::Older { .. } | StoreError::Foreign { .. }) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// The files of a data directory: counters first, then the log from the latest day on.
fn files(data: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut files = vec![data.join(METRICS_FILE)];
    files.extend(day_files(data)?.into_iter().map(|(path, _)| path));
    files.extend([ALERTS_FILE, ISSUES_FILE].map(|name| data.join(name)));
    files.retain(|path| path.exists());
    Ok(files)
}
