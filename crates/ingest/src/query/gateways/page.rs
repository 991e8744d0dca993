//! The epochs of one page: all files are read side by side in the order of their index, so that no more than a page of them
//! is held in memory, however many there are.

use super::{CLOCK_TOLERANCE, Place};
use crate::error::QueryError;
use crate::store::DataDir;
use crate::store::gateways::EpochKey;
use rusqlite::{Connection, Rows, Statement};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// When an epoch was seen, over all files, in Unix nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Seen {
    /// Takes in what a file has; whether that is the latest.
    pub(super) fn see(&mut self, other: Self, now: i64) -> bool {
        if self.first == 0 || other.first < self.first {
            self.first = other.first;
        }
        // A file may remember a clock that ran ahead for a time.
        let is_latest = other.last <= now.saturating_add(CLOCK_TOLERANCE) && other.last >= self.last;
        let is_latest = is_latest || self.last == 0;
        if is_latest {
            self.last = other.last;
        }
        is_latest
    }
}

/// The epochs of a page in their order, each with the first sight of the newest other epoch of its gateway.
pub(super) struct Page {
    pub(super) epochs: Vec<(Place, Option<i64>)>,
    pub(super) is_more: bool,
}

/// The first `limit` epochs after a place, of those that `takes` takes by service and key.
pub(super) fn page(
    data: &DataDir,
    counts: &Connection,
    days: &[(PathBuf, Connection)],
    (after, limit, now): (Option<&Place>, usize, i64),
    takes: impl Fn(&str, &EpochKey) -> bool,
) -> Result<Page, QueryError> {
    // Only the file of counters knows gateways that are kept only so that they are recognised.
    let mut statements = vec![(None, counts.prepare(&select("r.last_seen", JOIN_EXPIRED))?)];
    for (path, day) in days {
        match day.prepare(&select("NULL", "")) {
            Ok(statement) => statements.push((Some(path.as_path()), statement)),
            Err(error) => crate::query::pass_over(data, path, error.into())?,
        }
    }
    let mut sources = Vec::new();
    for (path, statement) in &mut statements {
        sources.push(Source::open(data, *path, statement)?);
    }
    let mut found: BTreeMap<Place, Option<i64>> = BTreeMap::new();
    let mut group: Vec<Epoch> = Vec::new();
    loop {
        let next = merged(data, &mut sources, now)?;
        let ends = match (&next, group.first()) {
            (Some(next), Some(first)) => next.key.instance != first.key.instance,
            (None, _) => true,
            (Some(_), None) => false,
        };
        if ends {
            let newest = NewestEpochs::of(&group, now);
            for epoch in group.drain(..).filter(|epoch| takes(&epoch.service, &epoch.key)) {
                let beside = newest.beside(&epoch);
                let place = (Reverse(epoch.seen.last), epoch.key);
                if after.is_none_or(|after| place > *after) {
                    found.insert(place, beside);
                }
                // One more than asked for shows whether there is a next page.
                if found.len() > limit + 1 {
                    found.pop_last();
                }
            }
        }
        match next {
            None => break,
            // One that is kept only so that it is recognised may still send its log.
            Some(next) => group.extend((!next.is_expired()).then_some(next)),
        }
    }
    let is_more = found.len() > limit;
    Ok(Page { epochs: found.into_iter().take(limit).collect(), is_more })
}

const JOIN_EXPIRED: &str =
    "LEFT JOIN expired_gateways r ON r.gateway_id = g.id AND r.last_seen = g.last_seen";

fn select(expired: &str, join: &str) -> String {
    format!(
        "SELECT g.instance, g.epoch, g.environment, g.service, g.first_seen, g.last_seen, {expired}
         FROM gateways g {join} ORDER BY g.instance, g.epoch, g.environment"
    )
}

/// An epoch as one file has it, or as all files together do.
struct Epoch {
    key: EpochKey,
    service: String,
    seen: Seen,
    /// When it was last seen before it was silent for so long that its states were removed.
    expired: Option<i64>,
}

impl Epoch {
    fn is_expired(&self) -> bool {
        self.expired.is_some_and(|at| self.seen.last <= at)
    }
}

/// The epochs of a file in the order of their keys.
struct Source<'s> {
    /// Of a day; the file of counters must be read to its end.
    path: Option<&'s Path>,
    rows: Rows<'s>,
    head: Option<Epoch>,
}

impl<'s> Source<'s> {
    fn open(
        data: &DataDir,
        path: Option<&'s Path>,
        statement: &'s mut Statement<'_>,
    ) -> Result<Self, QueryError> {
        let mut source = Self { path, rows: statement.query([])?, head: None };
        source.advance(data)?;
        Ok(source)
    }

    /// Takes the head out and reads the next one. A day that cannot be read ends here.
    fn advance(&mut self, data: &DataDir) -> Result<Option<Epoch>, QueryError> {
        let read = self.rows.next().and_then(|row| row.map(read).transpose());
        let next = match (read, self.path) {
            (Ok(next), _) => next,
            (Err(error), Some(path)) => {
                crate::query::pass_over(data, path, error.into())?;
                None
            }
            (Err(error), None) => return Err(error.into()),
        };
        Ok(std::mem::replace(&mut self.head, next))
    }
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Epoch> {
    Ok(Epoch {
        key: EpochKey::read(row, 0)?,
        service: row.get(3)?,
        seen: Seen { first: row.get(4)?, last: row.get(5)? },
        expired: row.get(6)?,
    })
}

/// The next epoch in the order of keys, over all files.
fn merged(data: &DataDir, sources: &mut [Source<'_>], now: i64) -> Result<Option<Epoch>, QueryError> {
    let heads = sources.iter().filter_map(|source| source.head.as_ref());
    let Some(key) = heads.map(|head| &head.key).min().cloned() else { return Ok(None) };
    let mut all = Epoch { key, service: String::new(), seen: Seen::default(), expired: None };
    for source in sources {
        if source.head.as_ref().is_some_and(|head| head.key == all.key)
            && let Some(one) = source.advance(data)?
        {
            if all.seen.see(one.seen, now) {
                all.service = one.service;
            }
            all.expired = all.expired.or(one.expired);
        }
    }
    Ok(Some(all))
}

/// When the newest epochs of each gateway of an instance were first seen. A gateway is a service in an environment: two
/// services may have instances of the same name.
struct NewestEpochs(HashMap<(String, String), Vec<(i64, String)>>);

impl NewestEpochs {
    /// Of the epochs that were first seen before `now`, in Unix nanoseconds. A later one was first seen by a clock that
    /// ran ahead for a time, so it is unknown which epochs it followed.
    fn of(group: &[Epoch], now: i64) -> Self {
        let mut newest: HashMap<_, Vec<(i64, String)>> = HashMap::new();
        let latest = now.saturating_add(CLOCK_TOLERANCE);
        for epoch in group.iter().filter(|epoch| epoch.seen.first <= latest) {
            let epochs = newest.entry(gateway(epoch)).or_default();
            epochs.push((epoch.seen.first, epoch.key.epoch.clone()));
            epochs.sort_unstable_by(|a, b| b.cmp(a));
            // One of two is not the epoch that is asked about.
            epochs.truncate(2);
        }
        Self(newest)
    }

    /// When the newest other epoch of the same gateway was first seen.
    fn beside(&self, epoch: &Epoch) -> Option<i64> {
        let epochs = self.0.get(&gateway(epoch))?;
        epochs.iter().find(|(_, other)| *other != epoch.key.epoch).map(|(first_seen, _)| *first_seen)
    }
}

fn gateway(epoch: &Epoch) -> (String, String) {
    (epoch.service.clone(), epoch.key.environment.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_first_seen_by_a_clock_that_ran_ahead_replaces_no_other() {
        let now = 1_000 * CLOCK_TOLERANCE;
        let epoch = |epoch: &str, first| Epoch {
            key: EpochKey {
                instance: "edge-1".to_owned(),
                epoch: epoch.to_owned(),
                environment: "prod".to_owned(),
            },
            service: "s".to_owned(),
            seen: Seen { first, last: first },
            expired: None,
        };
        let check = |first_seen: &[(&str, i64)], expected: Option<i64>| {
            let group: Vec<_> = first_seen.iter().map(|(name, time)| epoch(name, *time)).collect();
            let beside = NewestEpochs::of(&group, now).beside(&epoch("1", 0));
            assert_eq!(beside, expected, "{first_seen:?}");
        };
        check(&[("1", 5)], None);
        check(&[("1", 5), ("2", 6), ("3", 4)], Some(6));
        check(&[("1", 5), ("2", now + CLOCK_TOLERANCE)], Some(now + CLOCK_TOLERANCE));
        check(&[("1", 5), ("2", now + CLOCK_TOLERANCE + 1)], None);
        let ahead = now + 2 * CLOCK_TOLERANCE;
        check(&[("1", 5), ("2", ahead), ("3", ahead), ("4", 3)], Some(3));
    }
}
