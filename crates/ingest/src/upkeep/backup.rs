//! Copies of a data directory, made while a service writes, and put back while none does.
//!
//! Each file is copied by SQLite within one read transaction, so that the copy is the file at one moment. No transaction of
//! the store spans two files, so the moments may differ. A manifest beside the copies has the sums that were read in the
//! same transactions; the copy must have the same, before the backup counts as made and before it is put back.

use crate::alerts::ALERTS_FILE;
use crate::issues::ISSUES_FILE;
use crate::store::{self, METRICS_FILE, StoreError, day_files};
use jiff::Timestamp;
use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Name of the manifest in a backup.
const MANIFEST: &str = "backup.json";
/// Suffix of what is not complete yet.
const PARTIAL: &str = ".partial";
/// Of the manifest.
const FORMAT: u32 = 1;

/// The contents of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// The version of gatelens that made it.
    pub gatelens: String,
    /// When it was begun, as RFC 3339.
    pub made_at: String,
    /// The files by name.
    pub files: BTreeMap<String, Sums>,
}

/// The numbers in which a file and its copy must agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Version of the tables.
    pub schema: i64,
    /// Requests counted, or logged.
    pub requests: i64,
    /// Rows by table.
    pub rows: BTreeMap<String, i64>,
}

/// Whether files in the way may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// They stay, and nothing is done.
    Keep,
    /// They are removed when everything else has succeeded.
    Replace,
}

/// Why there is no backup, or why it was not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store has a fault.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no store.
    #[error("{path} has no data of gatelens: give the directory of `gatelens serve --data`", path = .0.display())]
    NoData(PathBuf),
    /// The place of the backup is taken.
    #[error("{path} exists: choose a directory that does not", path = .0.display())]
    Exists(PathBuf),
    /// The directory to restore into has data.
    #[error("{path} has data of gatelens: choose an empty directory, or replace the data with --force", path = .0.display())]
    HasData(PathBuf),
    /// There is no manifest that can be read.
    #[error("{path} is not a backup of gatelens: {reason}", path = path.display())]
    NotABackup {
        /// The directory.
        path: PathBuf,
        /// What is wrong with its manifest.
        reason: String,
    },
    /// A copy is not what was copied.
    #[error("{path} is damaged: {reason}; use another backup", path = path.display())]
    Damaged {
        /// The copy.
        path: PathBuf,
        /// How that shows.
        reason: String,
    },
}

/// Copies a data directory, in which a service may be at work, to a new directory. `progress` gets the name of each file
/// before it is copied.
///
/// # Errors
/// [`BackupError`]; nothing is left at `target` then.
pub fn backup(data: &Path, target: &Path, progress: impl Fn(&str)) -> Result<Manifest, BackupError> {
    if target.symlink_metadata().is_ok() {
        return Err(BackupError::Exists(target.to_owned()));
    }
    let files = files_of(data)?;
    if files.is_empty() {
        return Err(BackupError::NoData(data.to_owned()));
    }
    let partial = with(target, PARTIAL);
    remove_directory(&partial)?;
    store::prepare_directory(&partial)?;
    let made = copy_all(&files, &partial, progress).and_then(|manifest| {
        std::fs::rename(&partial, target).map_err(|error| file_error(target, error))?;
        sync(target.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new(".")))?;
        Ok(manifest)
    });
    if made.is_err() {
        // The reason is the error that is returned.
        let _ = remove_directory(&partial);
    }
    made
}

/// Puts a backup back into a data directory that no service uses. `progress` gets the name of each file before it is read.
///
/// # Errors
/// [`BackupError`]; except for an error of the file system while the files change places, the directory is as before.
pub fn restore(
    source: &Path,
    data: &Path,
    existing: Existing,
    progress: impl Fn(&str),
) -> Result<Manifest, BackupError> {
    let manifest = manifest(source)?;
    store::prepare_directory(data)?;
    let _lock = store::lock(data)?;
    let old = files_of(data)?;
    if existing == Existing::Keep && !old.is_empty() {
        return Err(BackupError::HasData(data.to_owned()));
    }
    let mut copies = Vec::new();
    let copied = manifest.files.iter().try_for_each(|(name, sums)| {
        progress(name);
        let copy = data.join(format!("{name}{PARTIAL}"));
        store::remove_file(&copy)?;
        copies.push((copy.clone(), data.join(name)));
        verify(&source.join(name), sums)?;
        copy_file(&source.join(name), &copy)?;
        verify(&copy, sums)
    });
    let placed = copied.and_then(|()| {
        for (path, _) in &old {
            store::remove_file(path)?;
        }
        for (copy, place) in &copies {
            std::fs::rename(copy, place).map_err(|error| file_error(place, error))?;
        }
        sync(data)
    });
    if let Err(error) = placed {
        for (copy, _) in &copies {
            let _ = store::remove_file(copy);
        }
        return Err(error);
    }
    Ok(manifest)
}

/// The files of a data directory, with their names. None if there is no such directory.
fn files_of(data: &Path) -> Result<Vec<(PathBuf, String)>, BackupError> {
    if !data.is_dir() {
        return Ok(Vec::new());
    }
    let mut files: Vec<PathBuf> = day_files(data)?.into_iter().map(|(path, _)| path).collect();
    files.extend(
        [METRICS_FILE, ALERTS_FILE, ISSUES_FILE]
            .map(|name| data.join(name))
            .into_iter()
            .filter(|path| path.exists()),
    );
    let named = |path: PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        (path, name)
    };
    Ok(files.into_iter().map(named).collect())
}

fn copy_all(
    files: &[(PathBuf, String)],
    target: &Path,
    progress: impl Fn(&str),
) -> Result<Manifest, BackupError> {
    let mut manifest = Manifest {
        format: FORMAT,
        gatelens: env!("CARGO_PKG_VERSION").to_owned(),
        made_at: Timestamp::now().to_string(),
        files: BTreeMap::new(),
    };
    for (path, name) in files {
        progress(name);
        // Retention may remove a day while others are copied.
        if !path.exists() {
            continue;
        }
        let copy = target.join(name);
        let sums = copy_file(path, &copy)?;
        verify(&copy, &sums)?;
        manifest.files.insert(name.clone(), sums);
    }
    let path = target.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    std::fs::write(&path, text).map_err(|error| file_error(&path, error))?;
    sync(&path)?;
    sync(target)?;
    Ok(manifest)
}

/// Copies a file as it is at one moment, and returns its sums at that moment.
fn copy_file(path: &Path, copy: &Path) -> Result<Sums, BackupError> {
    store::create_file(copy)?;
    let run = || {
        let mut source = open(path)?;
        let moment = source.transaction()?;
        let sums = sums(&moment)?;
        let mut target = Connection::open(copy)?;
        // The copy is synced as a whole.
        target.pragma_update(None, "synchronous", "OFF")?;
        Backup::new(&moment, &mut target)?.step(-1)?;
        // One file, with nothing beside it.
        target.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        target.close().map_err(|(_, error)| error)?;
        Ok::<_, rusqlite::Error>(sums)
    };
    let sums = run().map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
    sync(copy)?;
    Ok(sums)
}

/// Asserts that a file is whole and has these sums.
fn verify(path: &Path, expected: &Sums) -> Result<(), BackupError> {
    let damaged = |reason: String| BackupError::Damaged { path: path.to_owned(), reason };
    let check = || {
        let file = open(path)?;
        let verdict: String = file.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        Ok::<_, rusqlite::Error>((verdict, sums(&file)?))
    };
    match check().map_err(|error| damaged(error.to_string()))? {
        (verdict, _) if verdict != "ok" => Err(damaged(verdict)),
        (_, found) if found != *expected => Err(damaged(format!("{found:?} in place of {expected:?}"))),
        _ => Ok(()),
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn sums(file: &Connection) -> rusqlite::Result<Sums> {
    let one = |question: &str| file.query_row(question, [], |row| row.get::<_, i64>(0));
    let mut names = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    let names = names.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let rows = names
        .iter()
        .map(|name| Ok((name.clone(), one(&format!("SELECT count(*) FROM \"{name}\""))?)))
        .collect::<rusqlite::Result<BTreeMap<_, _>>>()?;
    let requests = match () {
        () if rows.contains_key("chunks") => one("SELECT coalesce(sum(n), 0) FROM chunks")?,
        () if rows.contains_key("half_hours") => {
            let waiting = match rows.contains_key("changes") {
                true => one("SELECT coalesce(sum(requests), 0) FROM changes")?,
                false => 0,
            };
            one("SELECT coalesce(sum(requests), 0) FROM half_hours")? + waiting
        }
        // The files of alerts and of issues.
        () => 0,
    };
    Ok(Sums { schema: one("PRAGMA user_version")?, requests, rows })
}

fn manifest(source: &Path) -> Result<Manifest, BackupError> {
    let wrong = |reason: String| BackupError::NotABackup { path: source.to_owned(), reason };
    let text = std::fs::read(source.join(MANIFEST)).map_err(|error| wrong(format!("{MANIFEST}: {error}")))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| wrong(format!("{MANIFEST}: {error}")))?;
    if manifest.format != FORMAT {
        return Err(wrong(format!(
            "its format is {}, this gatelens knows {FORMAT}: use the newer gatelens that made it",
            manifest.format
        )));
    }
    // A name leads nowhere else.
    let known = |name: &String| {
        [METRICS_FILE, ALERTS_FILE, ISSUES_FILE].contains(&name.as_str())
            || store::day_of_file(name).is_some()
    };
    match manifest.files.keys().find(|name| !known(name)) {
        Some(name) => Err(wrong(format!("{MANIFEST} names the file {name:?}"))),
        None => Ok(manifest),
    }
}

fn remove_directory(path: &Path) -> Result<(), BackupError> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file_error(path, error)),
        _ => Ok(()),
    }
}

fn sync(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| file_error(path, error))
}

fn file_error(path: &Path, error: std::io::Error) -> BackupError {
    StoreError::file(path, error).into()
}

fn with(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
