//! Learned route patterns, the same for all workers.
//!
//! | key | value |
//! |---|---|
//! | `patterns` | the version that the ingest gave the latest addition, a line feed, and the patterns as JSON |
//! | `patterns/version` | the version alone: all that a worker reads on its tick while nothing changes |
//!
//! A place once learned stays for the epoch: patterns are added to those that are there. The version is written last, so
//! that whoever reads a new version finds its patterns.

use gatelens_routes::Patterns;

use super::store::{SharedStore, Unreadable, UpdateError};
use crate::host::Host;

/// The version of the patterns in shared data; `None` while there are none.
pub fn version(host: &impl Host, store: &SharedStore) -> Option<Vec<u8>> {
    host.shared_get(&store.key(format_args!("patterns/version"))).map(|(version, _)| version)
}

/// The patterns.
///
/// # Errors
/// [`Unreadable`] when another version of the filter wrote them.
pub fn read(host: &impl Host, store: &SharedStore) -> Result<Patterns, Unreadable> {
    match host.shared_get(&store.key(format_args!("patterns"))) {
        Some((value, _)) => decode(&value),
        None => Ok(Patterns::default()),
    }
}

/// Adds patterns of this version of the ingest's.
///
/// # Errors
/// [`UpdateError`]; nothing was added then.
pub fn add(
    host: &impl Host,
    store: &SharedStore,
    version: &str,
    patterns: &Patterns,
) -> Result<(), UpdateError> {
    store.update(host, format_args!("patterns"), |present| {
        let mut all = present.map_or_else(|| Ok(Patterns::default()), decode)?;
        all.merge(patterns);
        Ok(format!("{version}\n{}", all.write()).into_bytes())
    })?;
    store.update(host, format_args!("patterns/version"), |_| Ok(version.as_bytes().to_vec())).map(drop)
}

fn decode(value: &[u8]) -> Result<Patterns, Unreadable> {
    let text = std::str::from_utf8(value).map_err(|_| Unreadable)?;
    let (_, text) = text.split_once('\n').ok_or(Unreadable)?;
    Patterns::read(text).map_err(|_| Unreadable)
}
