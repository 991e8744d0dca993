//! The data directory, and the faults of its files.
//!
//! A damaged file must not take the service with it: it is set aside under another name, where a person can look at
//! it, and a fresh one takes its place. A file that only reading found to be damaged is read as far as it goes. Either
//! is logged once and stays visible in the answer to `/healthz`.

use super::moments::Moments;
use super::news::News;
use super::quarantine::Quarantine;
use super::reduce::{Kind, Reduced};
use super::scrub::Scrub;
use super::{StoreError, salvage};
use crate::sync::lock;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// More troubles than this are not kept.
const MAX_TROUBLES: usize = 100;
/// Suffixes of a file and of the files that SQLite keeps beside it.
const COMPANIONS: [&str; 3] = ["", "-wal", "-shm"];

/// The directory of the store. One per process.
pub(crate) struct DataDir {
    path: PathBuf,
    /// By file, the last thing that was wrong with it.
    troubles: Mutex<BTreeMap<PathBuf, String>>,
    /// Removed since the start because there was no room.
    removals: Mutex<BTreeMap<Kind, Removal>>,
    quarantine: Quarantine,
    scrub: Arc<Scrub>,
    /// Of the counts.
    moments: Moments,
    news: News,
}

/// Data that was removed because there was no room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Removal {
    /// Since the start of the service: bodies, requests, or rows of counts.
    pub(crate) count: u64,
    /// All older data of the kind is gone. Unix nanoseconds.
    pub(crate) until: i64,
    /// The last time. Unix nanoseconds.
    pub(crate) at: i64,
}

impl DataDir {
    pub(crate) fn new(path: PathBuf) -> Self {
        let quarantine = Quarantine::open(&path);
        let scrub = Arc::new(Scrub::open(&path));
        Self {
            path,
            troubles: Mutex::default(),
            removals: Mutex::default(),
            quarantine,
            scrub,
            moments: Moments::default(),
            news: News::default(),
        }
    }

    /// The damage that was set aside.
    pub(crate) fn quarantine(&self) -> &Quarantine {
        &self.quarantine
    }

    /// When the counts changed.
    pub(crate) fn moments(&self) -> &Moments {
        &self.moments
    }

    /// The requests that are stored, as they come.
    pub(crate) fn news(&self) -> &News {
        &self.news
    }

    /// The state of the scrub.
    pub(crate) fn scrub(&self) -> &Arc<Scrub> {
        &self.scrub
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes and logs that something is wrong with a file; a repetition is ignored.
    pub(crate) fn note(&self, path: &Path, trouble: String) {
        let mut troubles = lock(&self.troubles);
        if troubles.get(path) == Some(&trouble) || troubles.len() >= MAX_TROUBLES {
            return;
        }
        tracing::warn!(file = %path.display(), "{trouble}");
        troubles.insert(path.to_owned(), trouble);
    }

    /// The known faults, a sentence for each file.
    pub(crate) fn troubles(&self) -> Vec<String> {
        let troubles = lock(&self.troubles);
        troubles.iter().map(|(path, trouble)| format!("{}: {trouble}", path.display())).collect()
    }

    /// Bytes on disk by kind of file. A file that goes meanwhile is not counted.
    pub(crate) fn sizes(&self) -> Vec<(&'static str, u64)> {
        let mut sizes =
            [("counters", 0), ("requests", 0), ("alerts", 0), ("issues", 0), ("spans", 0), ("set_aside", 0)];
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let [counters, requests, alerts, issues, spans, set_aside] = &mut sizes;
            let size = match () {
                () if name.contains(".corrupt-") || name.ends_with(salvage::SUFFIX) => &mut set_aside.1,
                () if name.starts_with("metrics.db") => &mut counters.1,
                () if name.starts_with("requests-") => &mut requests.1,
                () if name.starts_with(crate::alerts::ALERTS_FILE) => &mut alerts.1,
                () if name.starts_with(crate::issues::ISSUES_FILE) => &mut issues.1,
                () if name.starts_with(crate::spans::SPANS_FILE) => &mut spans.1,
                () => continue,
            };
            *size += entry.metadata().map_or(0, |metadata| metadata.len());
        }
        sizes[5].1 += self.quarantine.bytes();
        sizes.to_vec()
    }

    /// Bytes on disk of the files in use.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.sizes().iter().filter(|(kind, _)| *kind != "set_aside").map(|(_, bytes)| bytes).sum()
    }

    /// Bytes that the file system has left for this service.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        let space = rustix::fs::statvfs(&self.path).ok()?;
        Some(space.f_bavail.saturating_mul(space.f_frsize))
    }

    /// Notes at `now` (Unix nanoseconds) that data was removed because there was no room.
    pub(crate) fn removed(&self, kind: Kind, reduced: Reduced, now: i64) {
        let mut removals = lock(&self.removals);
        let removal = removals.entry(kind).or_insert(Removal { count: 0, until: i64::MIN, at: now });
        removal.count += reduced.removed;
        removal.until = removal.until.max(reduced.until);
        removal.at = now;
    }

    /// The data that was removed because there was no room.
    pub(crate) fn removals(&self) -> BTreeMap<Kind, Removal> {
        lock(&self.removals).clone()
    }

    /// Opens a file. If it cannot be opened and `may_go`, it is set aside, and the second try opens what could be read of
    /// it, or creates a new one.
    pub(crate) fn open_or_replace<T>(
        &self,
        path: &Path,
        may_go: impl Fn(&StoreError) -> bool,
        open: impl Fn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match open() {
            Err(error) if may_go(&error) => {
                match error.is_damage() {
                    true => salvage::replace(self, path, &error)?,
                    false => drop(self.set_aside(path, &error, 0)?),
                }
                open()
            }
            outcome => outcome,
        }
    }

    /// Removes a file and what SQLite keeps beside it.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), StoreError> {
        remove_file(path)?;
        lock(&self.troubles).remove(path);
        Ok(())
    }

    /// Renames a damaged file, and what SQLite keeps beside it, to `*.corrupt-<time>`. No connection that can write
    /// may be open: when it closes, it removes the journal of the name that it knew. `rows` were read from it. Returns its
    /// new name.
    pub(super) fn set_aside(&self, path: &Path, why: &StoreError, rows: u64) -> Result<PathBuf, StoreError> {
        let place = free_place(path);
        for companion in COMPANIONS {
            let from = with(path, companion);
            match std::fs::rename(&from, with(&place, companion)) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::file(&from, error)),
            }
        }
        let shown = place.display();
        self.note(
            path,
            format!(
                "was damaged and is set aside as {shown}; a new file with {rows} rows of it takes its place ({why})"
            ),
        );
        Ok(place)
    }
}

/// Removes a file and what SQLite keeps beside it, if they are there.
pub(crate) fn remove_file(path: &Path) -> Result<(), StoreError> {
    for companion in COMPANIONS {
        let path = with(path, companion);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::file(&path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A name that nothing has, with the time in it.
fn free_place(path: &Path) -> PathBuf {
    let time = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let first = with(path, &format!(".corrupt-{time}"));
    let numbered = (2..1000).map(|n| with(path, &format!(".corrupt-{time}-{n}")));
    std::iter::once(first.clone()).chain(numbered).find(|place| !place.exists()).unwrap_or(first)
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_counters_log_alerts_issues_and_spans_count_as_data_and_damaged_ones_apart() {
        let dir = tempfile::tempdir().unwrap();
        let files = [
            ("metrics.db", 1),
            ("metrics.db-wal", 2),
            ("requests-2026-06-20.db", 4),
            ("alerts.db", 8),
            ("alerts.db-wal", 16),
            ("issues.db", 32),
            ("spans.db-wal", 256),
            ("metrics.db.corrupt-20260620T120000Z", 32),
            ("alerts.db.corrupt-20260620T120000Z", 64),
            ("notes.txt", 128),
        ];
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), vec![0; bytes]).unwrap();
        }
        let data = DataDir::new(dir.path().to_owned());
        assert_eq!(
            data.sizes(),
            [
                ("counters", 3),
                ("requests", 4),
                ("alerts", 24),
                ("issues", 32),
                ("spans", 256),
                ("set_aside", 96)
            ]
        );
        assert_eq!(data.live_bytes(), 319);
    }
}
