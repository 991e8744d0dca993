//! All that a series ever counted: the counters that Prometheus reads.
//!
//! Minutes and half hours expire, and a sum over them would fall. So each series has totals, which only grow. They are
//! written in the transaction that adds the changes to the minutes; a question adds the changes that still wait. A series has
//! one row for each list of bounds that its senders count at, and one for what came without bounds.
//!
//! A series that expires leaves its dimensions in `ended_series`, and its totals refer to them by the negative of that id: a
//! sum over several series must not fall when one of them ends. `forget` takes the consumer out of the dimensions; the totals
//! then count in sums over consumers only.

use super::forget::Selection;
use super::metrics::{Damaged, SERIES_COLUMNS};
use super::{StoreError, by_bound, checksum, sketch};
use crate::model::{ByBound, Tally, Values};
use gatelens_model::sketch::Sketch;
use gatelens_model::varint;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The name of the table.
pub(super) const TABLE: &str = "totals";

pub(super) const TABLES: &str = "
CREATE TABLE totals (               -- all that a series ever counted, see totals.rs
    series_id INTEGER NOT NULL,     -- below 0: of a row of ended_series
    bounds TEXT NOT NULL,           -- at which durations are counted apart, nanoseconds; '': none
    since INTEGER NOT NULL,         -- Unix nanoseconds, at which nothing was counted yet
    data BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (series_id, bounds)
) WITHOUT ROWID;
CREATE TABLE ended_series (         -- of which only the totals are left
    id INTEGER PRIMARY KEY,
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    version TEXT NOT NULL,
    direction TEXT NOT NULL,
    consumer TEXT NOT NULL,         -- '': forgotten
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    route_source TEXT NOT NULL,
    host TEXT NOT NULL,
    upstream_cluster TEXT NOT NULL,
    status INTEGER NOT NULL,
    grpc_status INTEGER NOT NULL,
    error_type TEXT NOT NULL,
    overflow INTEGER NOT NULL
);
ALTER TABLE states ADD COLUMN by_bound BLOB;        -- NULL: not known
ALTER TABLE reports ADD COLUMN direction TEXT;      -- of the traffic of the gateway
";

const VERSION: u8 = 1;

/// Ended series that are kept; of more, the oldest go.
const MAX_ENDED: i64 = 200_000;
/// Lists of bounds of a series. What comes at further ones counts as without bounds.
pub(crate) const MAX_LISTS: i64 = 4;

/// All that a series ever counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Total {
    /// Unix nanoseconds, at which nothing was counted yet.
    pub(crate) since: i64,
    /// Requests.
    pub(crate) count: u64,
    /// Their durations, of which the sum is apart: a thousand requests at a time fill 64 bits in seven months.
    pub(crate) sketch: Sketch,
    /// Nanoseconds.
    pub(crate) sum_ns: u128,
    /// Counts at the bounds of the row.
    pub(crate) by_bound: ByBound,
    pub(crate) request_bytes: Tally,
    pub(crate) response_bytes: Tally,
}

/// Totals by series and, where each request is counted at bounds, by these.
pub(crate) type Totals = BTreeMap<(i64, Arc<[u64]>), Total>;

/// Adds a change to the totals of its series. It was received at a time in Unix nanoseconds.
pub(crate) fn add_change(totals: &mut Totals, (series, received_at): (i64, i64), change: &Values) {
    // Counts at bounds that lack some of the requests are of no use.
    let is_exact = change.by_bound.total() == change.duration.count;
    let bounds = if is_exact { Arc::clone(change.by_bound.bounds()) } else { Arc::default() };
    let new = || Total { since: received_at, ..Total::default() };
    let total = totals.entry((series, bounds)).or_insert_with(new);
    total.since = total.since.min(received_at);
    let sum_ns = change.duration.sketch.sum_ns.into();
    total.add_durations((change.duration.count, sum_ns), &change.duration.sketch);
    total.add_sizes([change.request_bytes, change.response_bytes]);
    if is_exact {
        total.by_bound.add(&change.by_bound);
    }
}

/// Adds to the stored totals. A damaged row begins anew; `damaged` gets its series.
pub(super) fn add(
    transaction: &Transaction<'_>,
    added: Totals,
    damaged: &mut Damaged,
) -> Result<(), StoreError> {
    let mut find = transaction
        .prepare_cached("SELECT since, data, checksum FROM totals WHERE series_id = ? AND bounds = ?")?;
    let mut put = transaction.prepare_cached("INSERT OR REPLACE INTO totals VALUES (?, ?, ?, ?, ?)")?;
    let mut lists = transaction.prepare_cached("SELECT count(*) FROM totals WHERE series_id = ?")?;
    let mut stored = |series: i64, bounds: &str| {
        let found = find.query_row(params![series, bounds], |row| {
            let (since, data) = (row.get::<_, i64>(0)?, row.get_ref(1)?.as_blob()?);
            let is_sound = checksum::of_totals(bounds, since, data) == row.get::<_, i64>(2)?;
            Ok(decode(since, data).filter(|_| is_sound))
        });
        match found.optional() {
            Err(error) if checksum::is_other_type(&error) => Ok(Some(None)),
            found => found,
        }
    };
    for ((series, bounds), mut change) in added {
        let mut bounds = text(&bounds);
        let mut found = stored(series, &bounds)?;
        if found.is_none()
            && !bounds.is_empty()
            && lists.query_row([series], |row| row.get::<_, i64>(0))? >= MAX_LISTS
        {
            bounds.clear();
            change.by_bound = ByBound::default();
            found = stored(series, &bounds)?;
        }
        if found == Some(None) {
            damaged.push((TABLE, vec![series]));
        }
        let total = match found.flatten() {
            Some(mut total) => {
                total.add(&change);
                total
            }
            None => change,
        };
        let (since, data) = (total.since, encode(&total));
        put.execute(params![series, bounds, since, data, checksum::of_totals(&bounds, since, &data)])?;
    }
    Ok(())
}

/// Calls `each` with the stored totals and their series. Damaged rows are passed over.
pub(crate) fn each<E: From<StoreError>>(
    file: &Connection,
    mut each: impl FnMut(i64, Total) -> Result<(), E>,
) -> Result<(), E> {
    let read = |error: rusqlite::Error| E::from(StoreError::from(error));
    let mut select =
        file.prepare_cached("SELECT series_id, bounds, since, data, checksum FROM totals").map_err(read)?;
    let mut rows = select.query([]).map_err(read)?;
    while let Some(row) = rows.next().map_err(read)? {
        let parts = || {
            let (series, since) = (row.get::<_, i64>(0)?, row.get::<_, i64>(2)?);
            let (bounds, data) = (row.get_ref(1)?.as_str()?, row.get_ref(3)?.as_blob()?);
            let is_sound = checksum::of_totals(bounds, since, data) == row.get::<_, i64>(4)?;
            Ok::<_, rusqlite::Error>(decode(since, data).filter(|_| is_sound).map(|total| (series, total)))
        };
        if let Some((series, total)) = parts().map_err(read)? {
            each(series, total)?;
        }
    }
    Ok(())
}

/// Keeps the totals of a series that is about to be removed.
pub(super) fn end(transaction: &Transaction<'_>, series: i64) -> Result<(), StoreError> {
    let has_totals =
        transaction.prepare_cached("SELECT 1 FROM totals WHERE series_id = ?")?.exists([series])?;
    if has_totals {
        transaction
            .prepare_cached(&format!(
                "INSERT INTO ended_series ({SERIES_COLUMNS}) SELECT {SERIES_COLUMNS} FROM series WHERE id = ?"
            ))?
            .execute([series])?;
        let ended = transaction.last_insert_rowid();
        transaction
            .prepare_cached("UPDATE totals SET series_id = ? WHERE series_id = ?")?
            .execute([-ended, series])?;
    }
    Ok(())
}

/// The same for the series that a question gives.
pub(super) fn end_all(transaction: &Transaction<'_>, question: &str) -> Result<(), StoreError> {
    let mut select = transaction.prepare(question)?;
    let all: Vec<i64> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    all.into_iter().try_for_each(|series| end(transaction, series))
}

/// Removes the oldest ended series beyond the number that is kept. Sums that they were in fall.
pub(super) fn remove_oldest(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let oldest: Option<i64> = transaction
        .query_row("SELECT id FROM ended_series ORDER BY id DESC LIMIT 1 OFFSET ?", [MAX_ENDED], |row| {
            row.get(0)
        })
        .optional()?;
    if let Some(id) = oldest {
        transaction.execute("DELETE FROM totals WHERE series_id < 0 AND series_id >= ?", [-id])?;
        let removed = transaction.execute("DELETE FROM ended_series WHERE id <= ?", [id])?;
        tracing::warn!(
            removed,
            "totals of series that ended long ago were removed, so that sums may have fallen"
        );
    }
    Ok(())
}

/// Removes the totals of series that are in `temp.doomed_series`, and those of ended series of an environment. The counts
/// of a consumer stay without its name, as they are in sums that must not fall.
pub(super) fn forget(transaction: &Transaction<'_>, selection: &Selection) -> Result<(), StoreError> {
    let Selection { instance, environment, consumer } = selection;
    let ended = "(?1 IS NULL OR environment = ?1) AND (?2 IS NULL OR consumer = ?2)";
    if consumer.is_some() {
        end_all(transaction, "SELECT id FROM temp.doomed_series")?;
        transaction.execute(
            &format!("UPDATE ended_series SET consumer = '' WHERE {ended}"),
            params![environment, consumer],
        )?;
        return Ok(());
    }
    transaction.execute_batch("DELETE FROM totals WHERE series_id IN (SELECT id FROM temp.doomed_series)")?;
    // An ended series does not know who counted it.
    if instance.is_none() {
        transaction.execute(
            &format!("DELETE FROM totals WHERE series_id IN (SELECT -id FROM ended_series WHERE {ended})"),
            params![environment, consumer],
        )?;
        transaction
            .execute(&format!("DELETE FROM ended_series WHERE {ended}"), params![environment, consumer])?;
    }
    Ok(())
}

/// Removes totals whose series a damaged file has lost, before their ids are given again. A file of before has none.
pub(super) fn settle(file: &Connection) -> Result<(), StoreError> {
    if !file.table_exists(None, TABLE)? {
        return Ok(());
    }
    file.execute_batch(
        "DELETE FROM totals WHERE series_id >= 0 AND series_id NOT IN (SELECT id FROM series);
         DELETE FROM totals WHERE series_id < 0 AND series_id NOT IN (SELECT -id FROM ended_series);",
    )?;
    Ok(())
}

impl Total {
    /// The counts of a state.
    pub(crate) fn of(values: &Values) -> Self {
        Self {
            since: i64::MAX,
            count: values.duration.count,
            sketch: values.duration.sketch.clone(),
            sum_ns: values.duration.sketch.sum_ns.into(),
            by_bound: values.by_bound.clone(),
            request_bytes: values.request_bytes,
            response_bytes: values.response_bytes,
        }
    }

    /// Adds what the other holds, which is counted at the same bounds. The start stays.
    pub(crate) fn add(&mut self, other: &Self) {
        self.add_durations((other.count, other.sum_ns), &other.sketch);
        self.add_sizes([other.request_bytes, other.response_bytes]);
        self.by_bound.add(&other.by_bound);
    }

    /// Whether nothing was counted.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0 && self.request_bytes.count == 0 && self.response_bytes.count == 0
    }

    fn add_durations(&mut self, (count, sum_ns): (u64, u128), sketch: &Sketch) {
        self.count = self.count.saturating_add(count);
        self.sum_ns = self.sum_ns.saturating_add(sum_ns);
        self.sketch.merge(sketch);
    }

    fn add_sizes(&mut self, [request, response]: [Tally; 2]) {
        self.request_bytes.add(request);
        self.response_bytes.add(response);
    }
}

fn text(bounds: &[u64]) -> String {
    let texts: Vec<String> = bounds.iter().map(u64::to_string).collect();
    texts.join(",")
}

/// The stored form: a version byte, then as varints the count, the upper and the lower half of the sum, counts and sums of
/// both sizes, the length of the sketch, the sketch, and the counts by bound.
fn encode(total: &Total) -> Vec<u8> {
    let mut out = vec![VERSION];
    let Total { count, sketch, sum_ns, by_bound, request_bytes, response_bytes, .. } = total;
    let numbers = [
        *count,
        (sum_ns >> 64) as u64,
        *sum_ns as u64,
        request_bytes.count,
        request_bytes.sum,
        response_bytes.count,
        response_bytes.sum,
    ];
    numbers.into_iter().for_each(|number| varint::put(&mut out, number));
    let sketch = sketch::encode(sketch);
    varint::put(&mut out, sketch.len() as u64);
    out.extend_from_slice(&sketch);
    by_bound::encode_to(&mut out, by_bound);
    out
}

fn decode(since: i64, bytes: &[u8]) -> Option<Total> {
    let (&VERSION, mut rest) = bytes.split_first()? else { return None };
    let mut next = || varint::take(&mut rest);
    let count = next()?;
    let sum_ns = u128::from(next()?) << 64 | u128::from(next()?);
    let request_bytes = Tally { count: next()?, sum: next()? };
    let response_bytes = Tally { count: next()?, sum: next()? };
    let length = usize::try_from(next()?).ok()?;
    let (sketch, by_bound) = rest.split_at_checked(length)?;
    Some(Total {
        since,
        count,
        sketch: sketch::decode(sketch).ok()?,
        sum_ns,
        by_bound: by_bound::decode(by_bound)?,
        request_bytes,
        response_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timing;

    fn change(durations: &[u64], bounds: Option<&[u64]>) -> Values {
        let mut sketch = Sketch::default();
        durations.iter().for_each(|duration| sketch.insert(*duration));
        let by_bound = bounds.map_or_else(ByBound::default, |bounds| {
            let mut counts = vec![0; bounds.len() + 1];
            durations
                .iter()
                .for_each(|duration| counts[bounds.partition_point(|bound| bound < duration)] += 1);
            ByBound::new(bounds.into(), counts)
        });
        let duration = Timing { count: sketch.count, sketch };
        Values { duration, by_bound, ..Values::default() }
    }

    #[test]
    fn totals_are_kept_apart_by_bounds_and_come_back() {
        let mut file = Connection::open_in_memory().unwrap();
        file.execute_batch("CREATE TABLE states (x); CREATE TABLE reports (x);").unwrap();
        file.execute_batch(TABLES).unwrap();
        let one: &[u64] = &[1_000, 2_000];
        let mut totals = Totals::new();
        add_change(&mut totals, (7, 6), &change(&[500, 1_500, u64::MAX], Some(one)));
        add_change(&mut totals, (7, 5), &change(&[600], Some(&[3_000])));
        add_change(&mut totals, (7, 4), &change(&[700], None));
        // Counts that lack a request.
        let lacking = Values { by_bound: change(&[1], Some(one)).by_bound, ..change(&[1, 2], None) };
        add_change(&mut totals, (7, 3), &lacking);
        let mut damaged = Damaged::new();
        for later in [0, 1] {
            totals.values_mut().for_each(|total| total.since += later);
            let transaction = file.transaction().unwrap();
            add(&transaction, totals.clone(), &mut damaged).unwrap();
            transaction.commit().unwrap();
        }
        let mut found = Vec::new();
        each(&file, |series, total| {
            let Total { since, count, sum_ns, by_bound, .. } = total;
            found.push((series, since, count, sum_ns, by_bound.counts().to_vec()));
            Ok::<_, StoreError>(())
        })
        .unwrap();
        found.sort();
        // The sum of a change has 64 bits.
        let sum = 2 * u128::from(u64::MAX);
        assert_eq!(
            found,
            [(7, 3, 6, 2 * 703, vec![]), (7, 5, 2, 1_200, vec![2, 0]), (7, 6, 6, sum, vec![2, 2, 2])]
        );
        assert!(damaged.is_empty());
        file.execute_batch("UPDATE totals SET since = 2 WHERE bounds = ''").unwrap();
        let transaction = file.transaction().unwrap();
        add(&transaction, totals, &mut damaged).unwrap();
        transaction.commit().unwrap();
        assert_eq!(damaged, [(TABLE, vec![7])]);
    }
}
