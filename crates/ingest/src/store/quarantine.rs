//! Damage that was found, set aside, and noted: `quarantine/manifest.jsonl` in the data directory.
//!
//! A line for each piece of damage has its place, its time range, and how much is probably lost. A row that was taken out of
//! a file is in the line itself; a file that was replaced keeps its name with `.corrupt-<time>`.

use super::{modes, salvage};
use crate::sync::lock;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The directory in the data directory.
pub(crate) const DIRECTORY: &str = "quarantine";
const MANIFEST: &str = "manifest.jsonl";
/// Of the manifest. Beyond it, damage is noted without content.
const MAX_CONTENT_BYTES: u64 = 64 << 20;
/// Of the manifest. Beyond it, damage is counted only.
const MAX_BYTES: u64 = 80 << 20;
/// Pieces of damage that are kept to be shown.
const SHOWN: usize = 100;

/// The kind of something damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A chunk of the request log.
    Chunk,
    /// A row of another table.
    Row,
    /// Pages of a table.
    Pages,
    /// A file of which nothing can be read.
    File,
}

/// A piece of damage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// When it was found.
    pub found_at: Timestamp,
    /// The file, by its name in the data directory.
    pub file: String,
    /// The kind of what is damaged.
    pub kind: Kind,
    /// Its table.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub table: Option<String>,
    /// How the damage shows.
    pub reason: String,
    /// The times of the lost data, as far as they are known: the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<Timestamp>,
    /// The last.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<Timestamp>,
    /// Rows that are probably lost; requests, where a chunk is lost.
    pub lost: u64,
    /// The file that was set aside, by its name in the data directory.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kept_as: Option<String>,
    /// The values of the row or of the chunk; bytes are in base64.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub content: Option<Vec<serde_json::Value>>,
}

impl Damage {
    /// Damage of a file, found now, of which no more is known.
    pub(crate) fn new(path: &Path, kind: Kind, reason: impl Into<String>) -> Self {
        Self {
            found_at: Timestamp::now(),
            file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            kind,
            table: None,
            reason: reason.into(),
            from: None,
            to: None,
            lost: 0,
            kept_as: None,
            content: None,
        }
    }

    /// In a table.
    pub(crate) fn of(self, table: &str) -> Self {
        Self { table: Some(table.to_owned()), ..self }
    }

    /// With the times of what is lost, in Unix nanoseconds.
    pub(crate) fn between(self, from: Option<i64>, to: Option<i64>) -> Self {
        let time = |nanos: i64| Timestamp::from_nanosecond(i128::from(nanos)).ok();
        Self { from: from.and_then(time), to: to.and_then(time), ..self }
    }
}

/// The damage of a data directory.
pub(crate) struct Quarantine {
    directory: PathBuf,
    shown: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    /// The latest first.
    latest: VecDeque<Damage>,
    /// Pieces in the manifest and since.
    pieces: u64,
}

/// The damage that was found so far.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Known {
    /// Pieces of damage in all.
    pub(crate) pieces: u64,
    /// The latest of them first, without their content.
    pub(crate) latest: Vec<Damage>,
}

impl Quarantine {
    /// Reads the manifest of a data directory, if there is one.
    pub(crate) fn open(data: &Path) -> Self {
        let directory = data.join(DIRECTORY);
        let mut shown = Shown::default();
        for line in
            File::open(directory.join(MANIFEST)).map(BufReader::new).into_iter().flat_map(BufRead::lines)
        {
            let Ok(line) = line else { break };
            if let Ok(damage) = serde_json::from_str::<Damage>(&line) {
                shown.add(Damage { content: None, ..damage });
            }
        }
        Self { directory, shown: Mutex::new(shown) }
    }

    /// Notes damage and, unless that is impossible, keeps what there is of it on disk.
    pub(crate) fn add(&self, damage: Damage) {
        let Damage { file, table, reason, lost, .. } = &damage;
        tracing::warn!(file, table, lost, "damage was set aside: {reason}");
        if let Err(error) = self.write(&damage) {
            tracing::error!(%error, "damage cannot be noted in {}", self.directory.join(MANIFEST).display());
        }
        let mut shown = lock(&self.shown);
        shown.add(Damage { content: None, ..damage });
    }

    /// Notes damaged rows by their tables and keys, which a batch begins anew.
    pub(crate) fn rows(&self, file: &str, rows: &[(&'static str, Vec<i64>)]) {
        for (table, key) in rows {
            let minute = key.first().filter(|_| salvage::width(table).is_some());
            let time = minute.map(|minute| minute.saturating_mul(60_000_000_000));
            let damage = Damage::new(Path::new(file), Kind::Row, "its checksum is another").of(table);
            self.add(Damage {
                lost: 1,
                content: Some(key.iter().map(|value| serde_json::json!(value)).collect()),
                ..damage.between(time, time)
            });
        }
    }

    /// The damage that was found so far.
    pub(crate) fn known(&self) -> Known {
        let shown = lock(&self.shown);
        Known { pieces: shown.pieces, latest: shown.latest.iter().cloned().collect() }
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        std::fs::metadata(self.directory.join(MANIFEST)).map_or(0, |metadata| metadata.len())
    }

    fn write(&self, damage: &Damage) -> std::io::Result<()> {
        let size = self.bytes();
        if size >= MAX_BYTES {
            return Ok(());
        }
        let content = damage.content.clone().filter(|_| size < MAX_CONTENT_BYTES);
        let mut line = serde_json::to_vec(&Damage { content, ..damage.clone() })?;
        line.push(b'\n');
        modes::prepare(&self.directory).map_err(std::io::Error::other)?;
        let path = self.directory.join(MANIFEST);
        modes::create(&path).map_err(std::io::Error::other)?;
        let mut file = File::options().append(true).open(path)?;
        file.write_all(&line)?;
        file.sync_all()
    }
}

impl Shown {
    fn add(&mut self, damage: Damage) {
        self.pieces += 1;
        self.latest.push_front(damage);
        self.latest.truncate(SHOWN);
    }
}
