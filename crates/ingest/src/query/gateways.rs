//! `gateways`: the senders, how long they report, and what of theirs is missing.

use super::account::{Account, Phase};
use super::cursor::{Cursor, Reader};
use super::filter::Filter;
use super::params::Params;
use super::range::rfc3339;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::model::report::drop_reason_name;
use crate::model::{Bodies, DROP_REASONS, Report, Rule, Signal};
use crate::sequence::Received;
use crate::store::DataDir;
use crate::store::accepted::Accepted;
use crate::store::gateways::{self as stored, EpochKey};
use gatelens_model::NotLogged;
use rusqlite::Connection;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

const NAMES: [&str; 5] = ["service", "environment", "gateway", "limit", "cursor"];
const DEFAULT_ROWS: u64 = 1_000;

/// A question for the gateways, one row for each epoch.
pub(crate) struct GatewaysQuery {
    filter: Filter,
    limit: usize,
    /// The last epoch of the page before.
    after: Option<Place>,
    /// Unix nanoseconds: what a gateway's silence is measured by.
    now: i64,
}

impl GatewaysQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &NAMES)?;
        let epoch = |rest: &mut Reader<'_>| {
            Some(EpochKey { instance: rest.text()?, epoch: rest.text()?, environment: rest.text()? })
        };
        let place = |rest: &mut Reader<'_>| Some((Reverse(rest.number()?), epoch(rest)?));
        Ok(Self {
            filter: Filter::read(&params)?,
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
            after: params.one("cursor")?.map(|text| Cursor::parse(text, place)).transpose()?,
            now,
        })
    }
}

/// A place in the order of all epochs: when it was last seen, and which it is.
type Place = (Reverse<i64>, EpochKey);

/// The answer to [`GatewaysQuery`].
#[derive(Serialize)]
pub(crate) struct Gateways {
    rows: Vec<Row>,
    /// The cursor of the next page, where there are more rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Row {
    instance: String,
    epoch: String,
    service: String,
    environment: String,
    version: Option<String>,
    config_hash: Option<String>,
    first_seen: String,
    last_seen: String,
    series: Option<u64>,
    /// Requests counted beyond the sender's cap on series.
    overflow: u64,
    /// Whether a newer epoch took its place, or it has been silent for too long.
    ended: bool,
    /// Records of the log: written, acknowledged to the gateway, stored, dropped by reason, and held. The first is the
    /// sum of the last three.
    captured: Option<u64>,
    sent: Option<u64>,
    stored: Option<u64>,
    dropped: BTreeMap<&'static str, u64>,
    held: Option<u64>,
    queue_bytes: Option<u64>,
    export_failures: Option<u64>,
    workers: Option<u64>,
    workers_lost: Option<u64>,
    /// Requests that it could not count; 0 where it does not report any.
    uncounted: u64,
    /// Requests without an event, by reason; 0 where it does not report any.
    not_logged: BTreeMap<&'static str, u64>,
    /// Requests that its configuration leaves out of the counters.
    excluded_from_counters: u64,
    active_requests: Option<u64>,
    busy_seconds: Option<f64>,
    tags: BTreeMap<String, String>,
    /// `null` where it never reported on it.
    redaction: Option<Redaction>,
    /// Batches that were sent and have not arrived: those of counters are made good by the next one.
    gaps: Gaps,
}

#[derive(Serialize, Default)]
struct Gaps {
    metrics: u64,
    /// Of the request log, whether it comes as log records or as spans.
    logs: u64,
}

/// The latest report of a gateway on its rules and on bodies, since the start of its epoch.
#[derive(Serialize, Default)]
struct Redaction {
    rules: Vec<Rule>,
    bodies: Bodies,
}

#[derive(Default)]
struct Known {
    service: String,
    version: Option<String>,
    config_hash: Option<String>,
    series: Option<u64>,
    first_seen: i64,
    last_seen: i64,
    overflow: u64,
    report: Report,
    tags: BTreeMap<String, String>,
    redaction: Option<Redaction>,
    metrics: Option<Received>,
    logs: Option<Received>,
    traces: Option<Received>,
}

/// Nanoseconds that a later look at the clock may lie before an earlier one.
const CLOCK_TOLERANCE: i64 = 60_000_000_000;

type All = BTreeMap<EpochKey, Known>;

impl GatewaysQuery {
    /// The answer out of the files: that of counters knows the senders of counters, each day's file those of the request
    /// log.
    pub(super) fn answer(&self, data: &DataDir, limits: &Limits) -> Result<Gateways, QueryError> {
        let now = self.now;
        let mut all = All::new();
        let metrics = super::open_counts(data, limits.query_timeout)?;
        read_senders(&metrics, now, &mut all)?;
        read_overflow(&metrics, &mut all)?;
        read_reports(&metrics, &mut all)?;
        read_tags(&metrics, &mut all)?;
        read_redaction(&metrics, &mut all)?;
        let mut accepted = Accepted::default();
        for (path, _, file) in super::open_days(data, limits.query_timeout)? {
            let read = read_senders(&file, now, &mut all).and_then(|()| Ok(accepted.read(&file)?));
            if let Err(error) = read {
                super::pass_over(data, &path, error)?;
            }
        }
        forget_retired(&metrics, &mut all)?;
        let newest = NewestEpochs::of(&all, now);
        let place = |epoch: &EpochKey, known: &Known| (Reverse(known.last_seen), epoch.clone());
        let mut known: Vec<_> = all
            .into_iter()
            .filter(|(epoch, known)| {
                self.filter.takes_sender(&known.service, &epoch.environment, &epoch.instance)
            })
            .filter(|(epoch, known)| self.after.as_ref().is_none_or(|after| place(epoch, known) > *after))
            .collect();
        known.sort_by_cached_key(|(epoch, known)| place(epoch, known));
        let is_more = known.len() > self.limit;
        known.truncate(self.limit);
        let next = known.last().filter(|_| is_more).map(|(epoch, known)| {
            let EpochKey { instance, epoch, environment } = epoch;
            Cursor::default().number(known.last_seen).text(instance).text(epoch).text(environment).to_text()
        });
        let rows = known.into_iter().map(|(epoch, known)| {
            let phase = Phase::at(now, known.last_seen, newest.beside(&epoch, &known));
            let account = Account::settle(&known.report, accepted.of(&epoch), phase);
            row(epoch, known, phase, account)
        });
        Ok(Gateways { rows: rows.collect(), next })
    }
}

/// When the newest epochs of each gateway were first seen.
struct NewestEpochs(HashMap<GatewayName, Vec<(i64, String)>>);

/// Instance, service and environment: two services may have instances of the same name.
type GatewayName = (String, String, String);

impl NewestEpochs {
    /// Of the epochs that were first seen before `now`, in Unix nanoseconds. A later one was first seen by a clock that
    /// ran ahead for a time, so it is unknown which epochs it followed.
    fn of(all: &All, now: i64) -> Self {
        let mut newest: HashMap<GatewayName, Vec<(i64, String)>> = HashMap::new();
        let latest = now.saturating_add(CLOCK_TOLERANCE);
        for (epoch, known) in all.iter().filter(|(_, known)| known.first_seen <= latest) {
            let epochs = newest.entry(known.gateway(epoch)).or_default();
            epochs.push((known.first_seen, epoch.epoch.clone()));
            epochs.sort_unstable_by(|a, b| b.cmp(a));
            // One of two is not the epoch that is asked about.
            epochs.truncate(2);
        }
        Self(newest)
    }

    /// When the newest other epoch of the same gateway was first seen.
    fn beside(&self, epoch: &EpochKey, known: &Known) -> Option<i64> {
        let epochs = self.0.get(&known.gateway(epoch))?;
        epochs.iter().find(|(_, other)| *other != epoch.epoch).map(|(first_seen, _)| *first_seen)
    }
}

impl Known {
    fn gateway(&self, epoch: &EpochKey) -> GatewayName {
        (epoch.instance.clone(), self.service.clone(), epoch.environment.clone())
    }
}

fn row(epoch: EpochKey, known: Known, phase: Phase, account: Option<Account>) -> Row {
    let gaps = |received: Option<Received>| received.map_or(0, |received| received.gaps());
    let report = known.report;
    let dropped = account.map_or(report.dropped.map(Option::unwrap_or_default), |account| account.dropped);
    let EpochKey { instance, epoch, environment } = epoch;
    Row {
        instance,
        epoch,
        service: known.service,
        environment,
        version: known.version,
        config_hash: known.config_hash,
        first_seen: rfc3339(known.first_seen),
        last_seen: rfc3339(known.last_seen),
        series: known.series,
        overflow: known.overflow,
        ended: phase == Phase::Ended,
        captured: account.map(|account| account.captured),
        sent: report.sent,
        stored: account.map(|account| account.stored),
        held: account.map(|account| account.held),
        dropped: DROP_REASONS.map(drop_reason_name).into_iter().zip(dropped).collect(),
        queue_bytes: report.queue_bytes,
        export_failures: report.export_failures,
        workers: report.workers,
        workers_lost: report.workers_lost,
        uncounted: report.uncounted.unwrap_or_default(),
        not_logged: NotLogged::ALL
            .map(NotLogged::name)
            .into_iter()
            .zip(report.not_logged.map(Option::unwrap_or_default))
            .collect(),
        excluded_from_counters: report.excluded_from_counters.unwrap_or_default(),
        active_requests: report.active_requests,
        busy_seconds: report.busy_seconds,
        tags: known.tags,
        redaction: known.redaction,
        gaps: Gaps { metrics: gaps(known.metrics), logs: gaps(known.logs) + gaps(known.traces) },
    }
}

fn read_senders(file: &Connection, now: i64, all: &mut All) -> Result<(), QueryError> {
    // A file of an older version has one environment of each epoch.
    let and_environment = |name: &str| match file.column_exists(None, "sequences", "environment") {
        Ok(true) => Ok(format!("AND {name}.environment = g.environment")),
        Ok(false) => Ok(String::new()),
        Err(error) => Err(error),
    };
    let join = |name: &str, signal: Signal| {
        Ok::<_, rusqlite::Error>(format!(
            "LEFT JOIN sequences {name} ON {name}.instance = g.instance AND {name}.epoch = g.epoch
                {} AND {name}.signal = {}",
            and_environment(name)?,
            stored::code(signal)
        ))
    };
    let mut select = file.prepare(&format!(
        "SELECT g.instance, g.epoch, g.environment, g.service, g.version, g.config_hash, g.series,
                g.first_seen, g.last_seen, m.received, l.received, t.received
         FROM gateways g {} {} {}",
        join("m", Signal::Metrics)?,
        join("l", Signal::Logs)?,
        join("t", Signal::Traces)?,
    ))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let known = all.entry(EpochKey::read(row, 0)?).or_default();
        let (first_seen, last_seen) = (row.get(7)?, row.get(8)?);
        if known.first_seen == 0 || first_seen < known.first_seen {
            known.first_seen = first_seen;
        }
        // A file may remember a clock that ran ahead for a time.
        let latest = last_seen <= now.saturating_add(CLOCK_TOLERANCE) && last_seen >= known.last_seen;
        if latest || known.last_seen == 0 {
            known.last_seen = last_seen;
            known.service = row.get(3)?;
            known.version = row.get(4)?;
            known.config_hash = row.get(5)?;
        }
        let series: Option<i64> = row.get(6)?;
        known.series = series.and_then(|series| u64::try_from(series).ok()).or(known.series);
        for (column, received) in [(9, &mut known.metrics), (10, &mut known.logs), (11, &mut known.traces)] {
            let found = row.get_ref(column)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
            if let Some(found) = found.and_then(Received::decode) {
                received.get_or_insert_default().merge(&found);
            }
        }
    }
    Ok(())
}

fn read_overflow(file: &Connection, all: &mut All) -> Result<(), QueryError> {
    let mut select = file.prepare(
        "SELECT g.instance, g.epoch, g.environment, sum(s.duration_count)
         FROM states s JOIN gateways g ON g.id = s.gateway_id JOIN series r ON r.id = s.series_id
         WHERE r.overflow GROUP BY g.id",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(known) = all.get_mut(&EpochKey::read(row, 0)?) {
            known.overflow = u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default();
        }
    }
    Ok(())
}

fn read_reports(file: &Connection, all: &mut All) -> Result<(), QueryError> {
    let mut select = file.prepare(
        "SELECT g.instance, g.epoch, g.environment, r.captured, r.sent, r.queue_full, r.rejected, r.expired, r.lost,
                r.queue_bytes, r.export_failures, r.workers, r.workers_lost, r.active_requests, r.busy_seconds,
                r.time, r.uncounted, r.excluded, r.sampled_out, r.excluded_from_counters
         FROM reports r JOIN gateways g ON g.id = r.gateway_id",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let whole = |column| {
            let value: Option<i64> = row.get(column)?;
            Ok::<_, rusqlite::Error>(value.and_then(|value| u64::try_from(value).ok()))
        };
        let Some(known) = all.get_mut(&EpochKey::read(row, 0)?) else { continue };
        known.report = Report {
            captured: whole(3)?,
            sent: whole(4)?,
            dropped: [whole(5)?, whole(6)?, whole(7)?, whole(8)?],
            queue_bytes: whole(9)?,
            export_failures: whole(10)?,
            workers: whole(11)?,
            workers_lost: whole(12)?,
            uncounted: whole(16)?,
            not_logged: [whole(17)?, whole(18)?],
            excluded_from_counters: whole(19)?,
            active_requests: whole(13)?,
            busy_seconds: row.get(14)?,
            time: row.get(15)?,
            interval_seconds: None,
        };
    }
    Ok(())
}

fn read_tags(file: &Connection, all: &mut All) -> Result<(), QueryError> {
    let mut select = file.prepare(
        "SELECT g.instance, g.epoch, g.environment, t.name, t.value FROM tags t JOIN gateways g ON g.id = t.gateway_id",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(known) = all.get_mut(&EpochKey::read(row, 0)?) {
            known.tags.insert(row.get(3)?, row.get(4)?);
        }
    }
    Ok(())
}

fn read_redaction(file: &Connection, all: &mut All) -> Result<(), QueryError> {
    let mut select = file.prepare(
        "SELECT g.instance, g.epoch, g.environment, r.what, r.content FROM redaction r JOIN gateways g ON g.id = r.gateway_id",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let Some(known) = all.get_mut(&EpochKey::read(row, 0)?) else { continue };
        let (what, content): (String, String) = (row.get(3)?, row.get(4)?);
        let redaction = known.redaction.get_or_insert_default();
        // Damaged text is ignored; the next report replaces it.
        match what.as_str() {
            stored::RULES => redaction.rules = serde_json::from_str(&content).unwrap_or_default(),
            stored::BODIES => redaction.bodies = serde_json::from_str(&content).unwrap_or_default(),
            _ => {}
        }
    }
    Ok(())
}

/// Takes out the gateways that are kept only so that they are recognised.
fn forget_retired(file: &Connection, all: &mut All) -> Result<(), QueryError> {
    let mut select = file.prepare(
        "SELECT g.instance, g.epoch, g.environment, g.last_seen FROM expired_gateways r
         JOIN gateways g ON g.id = r.gateway_id AND g.last_seen = r.last_seen",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let key = EpochKey::read(row, 0)?;
        let last_seen: i64 = row.get(3)?;
        // It may still send its log.
        if all.get(&key).is_some_and(|known| known.last_seen <= last_seen) {
            all.remove(&key);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_first_seen_by_a_clock_that_ran_ahead_replaces_no_other() {
        let now = 1_000 * CLOCK_TOLERANCE;
        let key = |epoch: &str| EpochKey {
            instance: "edge-1".to_owned(),
            epoch: epoch.to_owned(),
            environment: "prod".to_owned(),
        };
        let check = |first_seen: &[(&str, i64)], expected: Option<i64>| {
            let known = |first_seen| Known { first_seen, ..Known::default() };
            let all = first_seen.iter().map(|(epoch, time)| (key(epoch), known(*time)));
            let newest = NewestEpochs::of(&all.collect(), now);
            let beside = newest.beside(&key("1"), &known(0));
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
