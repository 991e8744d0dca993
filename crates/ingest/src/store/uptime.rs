//! Uptime: which minutes of an hour had traffic, too many errors, a heartbeat or a failed probe, as bits of a number.
//!
//! Traffic is judged a few minutes after it was counted, a few minutes in one step, from the minutes that are there anyway. A
//! heartbeat is one write per gateway and minute.

use super::StoreError;
use super::changes::{Change, Recent};
use super::packed::{self, Packed, PackedTable};
use crate::model::{Gateway, is_error};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::collections::{BTreeMap, HashMap};

/// The tables, as a migration makes them.
pub(super) const TABLES: &str = "
CREATE TABLE uptime (
    kind TEXT NOT NULL,             -- 'service', 'route', 'gateway' or 'probe'
    hour INTEGER NOT NULL,          -- since 1970
    service TEXT NOT NULL,
    environment TEXT NOT NULL,
    name TEXT NOT NULL,             -- of the route with its method, of the gateway or the probe; '' of a service
    seen INTEGER NOT NULL,          -- bit m: minute m had traffic, a heartbeat, or a probe
    bad INTEGER NOT NULL,           -- bit m: minute m had too many errors, or a failed probe
    PRIMARY KEY (kind, hour, service, environment, name)
) WITHOUT ROWID;
CREATE TABLE probe_results (        -- the latest of each probe
    name TEXT NOT NULL,
    time INTEGER NOT NULL,          -- Unix nanoseconds
    status INTEGER NOT NULL,        -- 0: no response
    duration_ms REAL NOT NULL,
    error TEXT NOT NULL,            -- '': it was as expected
    PRIMARY KEY (name, time)
) WITHOUT ROWID;
";

/// Hours that are kept: 35 days.
const KEPT_HOURS: i64 = 35 * 24;
/// Minutes that gateways may take to report.
const LAG_MINUTES: i64 = 2;
/// Minutes of traffic that are judged in one transaction.
const STEP_MINUTES: i64 = 10;
/// Errors, in percent of the requests of a minute, up to which it counts as good.
pub(crate) const BOUND_PERCENT: i64 = 5;
/// Routes of a minute that are judged by themselves, those with the most requests.
const MAX_ROUTES: usize = 500;
/// Results of a probe that are kept.
const MAX_RESULTS: i64 = 100;
/// The mark of the first minute that is not judged yet.
const MARK: &str = "uptime";
const MINUTE_NANOS: i64 = 60_000_000_000;

/// The outcome of a probe.
#[derive(Debug, Clone)]
pub(crate) struct Probed {
    pub(crate) name: String,
    /// The service that it is about, and its environment; empty for none.
    pub(crate) service: String,
    pub(crate) environment: String,
    /// Unix nanoseconds.
    pub(crate) time: i64,
    /// 0 without a response.
    pub(crate) status: u16,
    pub(crate) duration_ms: f64,
    /// Empty if it was as expected.
    pub(crate) error: String,
}

/// The last minute in which each gateway was noted, by its row.
#[derive(Debug, Default)]
pub(super) struct Heartbeats(HashMap<i64, i64>);

/// Most gateways that are remembered; beyond, all are noted again.
const MAX_KNOWN: usize = 20_000;

/// What a row of the table is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Subject<'a> {
    kind: &'static str,
    service: &'a str,
    environment: &'a str,
    name: &'a str,
}

impl Heartbeats {
    /// Notes that the gateway in a row has reported at `now` (Unix nanoseconds).
    pub(super) fn note(
        &mut self,
        file: &Connection,
        row: i64,
        gateway: &Gateway,
        now: i64,
    ) -> Result<(), StoreError> {
        let minute = now.div_euclid(MINUTE_NANOS);
        if self.0.get(&row) == Some(&minute) {
            return Ok(());
        }
        let Gateway { service, environment, instance, .. } = gateway;
        put(file, &Subject { kind: "gateway", service, environment, name: instance }, minute, Minute::Good)?;
        if self.0.len() >= MAX_KNOWN {
            self.0.clear();
        }
        self.0.insert(row, minute);
        Ok(())
    }

    /// Notes all anew, after a transaction that was undone or rows that were removed.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// How a minute was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Minute {
    Good,
    Bad,
}

fn put(
    file: &Connection,
    Subject { kind, service, environment, name }: &Subject<'_>,
    minute: i64,
    how: Minute,
) -> Result<(), StoreError> {
    let bit = 1_i64 << minute.rem_euclid(60);
    let bad = if how == Minute::Bad { bit } else { 0 };
    file.prepare_cached(
        "INSERT INTO uptime VALUES (?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET seen = seen | excluded.seen, bad = bad | excluded.bad",
    )?
    .execute(params![kind, minute.div_euclid(60), service, environment, name, bit, bad])?;
    Ok(())
}

/// Notes the outcome of a probe.
pub(super) fn put_probe(file: &mut Connection, probed: &Probed) -> Result<(), StoreError> {
    let Probed { name, service, environment, time, status, duration_ms, error } = probed;
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let how = if error.is_empty() { Minute::Good } else { Minute::Bad };
    let subject = Subject { kind: "probe", service, environment, name };
    put(&transaction, &subject, time.div_euclid(MINUTE_NANOS), how)?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO probe_results VALUES (?, ?, ?, ?, ?)")?
        .execute(params![name, time, status, duration_ms, error])?;
    trim_results(&transaction, name)?;
    transaction.commit()?;
    Ok(())
}

/// Removes the results of a probe that are more than are kept.
pub(crate) fn trim_results(file: &Connection, name: &str) -> Result<(), StoreError> {
    file.prepare_cached(
        "DELETE FROM probe_results WHERE name = ?1 AND time <=
           (SELECT time FROM probe_results WHERE name = ?1 ORDER BY time DESC LIMIT 1 OFFSET ?2)",
    )?
    .execute(params![name, MAX_RESULTS])?;
    Ok(())
}

/// Judges the traffic of the next minutes that gateways have reported by `now` (Unix nanoseconds). True if there are more.
pub(super) fn judge(file: &mut Connection, now: i64) -> Result<bool, StoreError> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let due = match Due::next(judged(&transaction)?, now) {
        Ok(due) => due,
        Err(begin) => begin.at(packed::bounds(&transaction)?),
    };
    let due = due.of(STEP_MINUTES);
    // Counts of the last minute may still wait.
    let (recent, packed) = (Recent::default(), Packed::default());
    let mut minutes = Vec::new();
    for minute in due.first..due.last {
        minutes.push((minute, count_minute(&transaction, &recent, &packed, minute)?));
    }
    let judged = Judged { due, minutes };
    put_judged(&transaction, &judged)?;
    transaction.commit()?;
    Ok(judged.has_more())
}

/// The first Unix minute that is not judged yet.
pub(super) fn judged(file: &Connection) -> Result<Option<i64>, StoreError> {
    let mut select = file.prepare_cached("SELECT since FROM retention_marks WHERE name = ?")?;
    Ok(select.query_row([MARK], |row| row.get(0)).optional()?)
}

/// The Unix minutes that are judged next, from `first` to before `last`, and the one before which all may be judged by now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    pub(crate) first: i64,
    pub(crate) last: i64,
    end: i64,
}

/// Nothing was judged so far: the past begins with the counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begin {
    end: i64,
}

impl Due {
    /// What follows the minutes that are judged, at `now` (Unix nanoseconds).
    pub(crate) fn next(judged: Option<i64>, now: i64) -> Result<Self, Begin> {
        let end = now.div_euclid(MINUTE_NANOS) - LAG_MINUTES;
        let judged = judged.ok_or(Begin { end })?;
        Ok(Self { first: judged.max(end - KEPT_HOURS * 60), last: end, end })
    }

    /// So many minutes of it at most.
    pub(crate) fn of(self, step: i64) -> Self {
        Self { last: self.end.min(self.first + step), ..self }
    }
}

impl Begin {
    /// What is kept of the past, with the first and the last Unix minute of the counts.
    pub(crate) fn at(self, counted: Option<(i64, i64)>) -> Due {
        let Self { end } = self;
        let oldest = end - KEPT_HOURS * 60;
        let counted = counted.filter(|(_, last)| *last >= oldest);
        Due { first: counted.map_or(end, |(first, _)| first.max(oldest)), last: end, end }
    }
}

/// Minutes with their traffic.
pub(crate) struct Judged {
    pub(crate) due: Due,
    pub(crate) minutes: Vec<(i64, Traffic)>,
}

impl Judged {
    /// Whether there is more to judge by now.
    pub(crate) fn has_more(&self) -> bool {
        self.due.last < self.due.end
    }
}

/// Notes how minutes were.
pub(super) fn put_judged(file: &Connection, Judged { due, minutes }: &Judged) -> Result<(), StoreError> {
    for (minute, traffic) in minutes {
        put_minute(file, *minute, traffic)?;
    }
    let Due { first, last, end } = due;
    if first < last {
        file.prepare_cached(
            "DELETE FROM uptime WHERE kind IN ('service', 'route', 'gateway', 'probe') AND hour < ?",
        )?
        .execute([end.div_euclid(60) - KEPT_HOURS])?;
    }
    file.prepare_cached(
        "INSERT INTO retention_marks VALUES (?, ?) ON CONFLICT DO UPDATE SET since = excluded.since",
    )?
    .execute(params![MARK, last.max(first)])?;
    Ok(())
}

/// The inbound traffic of a minute, by service and environment and by their routes with a method.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    services: BTreeMap<(String, String), Sum>,
    routes: BTreeMap<(String, String, String), Sum>,
}

impl Traffic {
    /// Adds requests, and those of them that are errors.
    pub(crate) fn add(
        &mut self,
        (service, environment): (String, String),
        (method, route): (&str, &str),
        (requests, errors): (i64, i64),
    ) {
        self.services.entry((service.clone(), environment.clone())).or_default().add(requests, errors);
        // Names that stand for many paths are none of a route.
        if route.starts_with('/') {
            let name = format!("{method} {route}");
            self.routes.entry((service, environment, name)).or_default().add(requests, errors);
        }
    }
}

/// Requests and errors.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    requests: i64,
    errors: i64,
}

impl Sum {
    fn add(&mut self, requests: i64, errors: i64) {
        self.requests = self.requests.saturating_add(requests);
        self.errors = self.errors.saturating_add(errors);
    }

    fn minute(self) -> Minute {
        let is_bad = self.errors.saturating_mul(100) > self.requests.saturating_mul(BOUND_PERCENT);
        if is_bad { Minute::Bad } else { Minute::Good }
    }
}

fn count_minute(
    file: &Connection,
    recent: &Recent,
    packed: &Packed,
    minute: i64,
) -> Result<Traffic, StoreError> {
    let mut counted: HashMap<i64, i64> = HashMap::new();
    let mut select = file.prepare_cached("SELECT series_id, requests FROM minutes WHERE minute = ?")?;
    let mut rows = select.query([minute])?;
    while let Some(row) = rows.next()? {
        *counted.entry(row.get(0)?).or_default() += row.get::<_, i64>(1)?.max(0);
    }
    packed.each(file, (PackedTable::Sums, None), (minute, minute + 1), |row, _| {
        let ([added, ..], requests) = (row.counts, counted.entry(row.series).or_default());
        *requests = requests.saturating_add_unsigned(added);
        Ok::<_, StoreError>(())
    })?;
    recent.each(file, (minute, minute + 1), |Change { series, values, .. }| {
        let [(added, _), ..] = values.timings;
        let requests = counted.entry(series).or_default();
        *requests = requests.saturating_add_unsigned(added);
        Ok::<_, StoreError>(())
    })?;
    let mut traffic = Traffic::default();
    let mut find = file.prepare_cached(
        "SELECT service, environment, method, coalesce(folded, route), status, grpc_status FROM series
         WHERE id = ? AND direction = 'inbound'",
    )?;
    for (series, requests) in counted.into_iter().filter(|(_, requests)| *requests > 0) {
        let mut rows = find.query([series])?;
        let Some(row) = rows.next()? else { continue };
        let (service, environment): (String, String) = (row.get(0)?, row.get(1)?);
        let (method, route): (String, String) = (row.get(2)?, row.get(3)?);
        let grpc_status = u64::try_from(row.get::<_, i64>(5)?).ok();
        let errors = if is_error(row.get(4)?, grpc_status) { requests } else { 0 };
        traffic.add((service, environment), (&method, &route), (requests, errors));
    }
    Ok(traffic)
}

fn put_minute(
    file: &Connection,
    minute: i64,
    Traffic { services, routes }: &Traffic,
) -> Result<(), StoreError> {
    for ((service, environment), sum) in services {
        put(file, &Subject { kind: "service", service, environment, name: "" }, minute, sum.minute())?;
    }
    let mut routes: Vec<_> = routes.iter().collect();
    routes.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.requests));
    for ((service, environment, name), sum) in routes.into_iter().take(MAX_ROUTES) {
        put(file, &Subject { kind: "route", service, environment, name }, minute, sum.minute())?;
    }
    Ok(())
}

/// Removes what is known of an instance, an environment, or both.
pub(super) fn forget(
    file: &Connection,
    instance: Option<&String>,
    environment: Option<&String>,
) -> Result<(), StoreError> {
    file.execute(
        "DELETE FROM uptime WHERE (?1 IS NULL OR kind = 'gateway' AND name = ?1) AND (?2 IS NULL OR environment = ?2)",
        params![instance, environment],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(file: &Connection, kind: &str, name: &str) -> Option<(i64, i64, i64)> {
        file.query_row(
            "SELECT hour, seen, bad FROM uptime WHERE kind = ? AND name = ?",
            [kind, name],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .optional()
        .unwrap()
    }

    fn opened() -> (tempfile::TempDir, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let file = crate::store::schema::open_metrics(directory.path()).unwrap();
        (directory, file)
    }

    /// Requests of series 1 (200) and 2 (500) of `GET /a` in a minute.
    fn count(file: &Connection, minute: i64, good: i64, failed: i64) {
        file.execute_batch(
            "INSERT OR IGNORE INTO series (id, service, environment, version, direction, consumer, method, route,
               route_source, host, upstream_cluster, status, grpc_status, error_type, overflow)
             VALUES (1, 'shop', 'prod', '', 'inbound', 'c', 'GET', '/a', '', '', '', 200, -1, '', 0),
                    (2, 'shop', 'prod', '', 'inbound', 'c', 'GET', '/a', '', '', '', 500, -1, '500', 0)",
        )
        .unwrap();
        for (series, requests) in [(1, good), (2, failed)] {
            file.execute(
                "INSERT INTO minutes VALUES (?, ?, ?, 0, 0, x'', x'', x'', 0, 0, NULL)",
                [minute, series, requests],
            )
            .unwrap();
        }
    }

    #[test]
    fn minutes_with_too_many_errors_are_bad() {
        let (_directory, mut file) = opened();
        let hour = 500_000;
        count(&file, hour * 60 + 3, 95, 5);
        count(&file, hour * 60 + 4, 94, 6);
        count(&file, hour * 60 + 59, 0, 1);
        let at = |minute: i64| (hour * 60 + minute) * MINUTE_NANOS;
        // What was counted just now may not be whole.
        while judge(&mut file, at(60)).unwrap() {}
        let bits = |minutes: &[i64]| minutes.iter().map(|minute| 1_i64 << minute).sum::<i64>();
        assert_eq!(row(&file, "service", ""), Some((hour, bits(&[3, 4]), bits(&[4]))));
        while judge(&mut file, at(62)).unwrap() {}
        let expected = Some((hour, bits(&[3, 4, 59]), bits(&[4, 59])));
        assert_eq!([row(&file, "service", ""), row(&file, "route", "GET /a")], [expected, expected]);
        // Nothing is judged twice, and what is old goes.
        count(&file, hour * 60 + 5, 0, 1);
        assert!(!judge(&mut file, at(62)).unwrap());
        assert_eq!(row(&file, "service", ""), expected);
        while judge(&mut file, at(62 + (KEPT_HOURS + 1) * 60)).unwrap() {}
        assert_eq!(row(&file, "service", ""), None);
    }

    #[test]
    fn a_heartbeat_is_one_write_a_minute() {
        let (_directory, file) = opened();
        let gateway = Gateway {
            service: "shop".into(),
            environment: "prod".into(),
            instance: "edge".to_owned(),
            ..Gateway::default()
        };
        let mut heartbeats = Heartbeats::default();
        let before = file.total_changes();
        for second in 0..180 {
            heartbeats.note(&file, 1, &gateway, second * 1_000_000_000).unwrap();
        }
        assert_eq!(file.total_changes() - before, 3);
        assert_eq!(row(&file, "gateway", "edge"), Some((0, 0b111, 0)));
    }

    #[test]
    fn the_results_of_a_probe_are_bounded() {
        let (_directory, mut file) = opened();
        for minute in 0..130 {
            let probed = Probed {
                name: "home".to_owned(),
                service: String::new(),
                environment: String::new(),
                time: minute * MINUTE_NANOS,
                status: 200,
                duration_ms: 1.0,
                error: if minute == 119 { "late".to_owned() } else { String::new() },
            };
            put_probe(&mut file, &probed).unwrap();
        }
        let kept: i64 = file.query_row("SELECT count(*) FROM probe_results", [], |row| row.get(0)).unwrap();
        assert_eq!(kept, MAX_RESULTS);
        let all = (1_i64 << 60) - 1;
        let second: (i64, i64) = file
            .query_row("SELECT seen, bad FROM uptime WHERE hour = 1", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .unwrap();
        assert_eq!(second, (all, 1 << 59));
    }
}
