//! `gateways`: the senders, how long they report, and what of theirs is missing.

mod page;

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
use page::{Page, Seen, page};
use rusqlite::{Connection, Statement};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;

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
    seen: Seen,
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

/// The epochs of a page.
type All = BTreeMap<EpochKey, Known>;

/// One epoch, by the index of the table.
const OF_EPOCH: &str = "WHERE g.instance = ? AND g.epoch = ? AND g.environment = ?";

impl GatewaysQuery {
    /// The answer out of the files: that of counters knows the senders of counters, each day's file those of the request
    /// log.
    pub(super) fn answer(&self, data: &DataDir, limits: &Limits) -> Result<Gateways, QueryError> {
        let now = self.now;
        let metrics = super::open_counts(data, limits.query_timeout)?;
        // The page and its rows are read at one moment, as the days are.
        metrics.execute_batch("BEGIN")?;
        let days = super::open_days(data, limits.query_timeout)?;
        let days: Vec<_> = days.into_iter().map(|(path, _, file)| (path, file)).collect();
        let takes = |service: &str, epoch: &EpochKey| {
            self.filter.takes_sender(service, &epoch.environment, &epoch.instance)
        };
        let Page { epochs, is_more } =
            page(data, &metrics, &days, (self.after.as_ref(), self.limit, now), takes)?;
        let mut all: All = epochs.iter().map(|((_, epoch), _)| (epoch.clone(), Known::default())).collect();
        read_senders(&metrics, now, &mut all)?;
        read_overflow(&metrics, &mut all)?;
        read_reports(&metrics, &mut all)?;
        read_tags(&metrics, &mut all)?;
        read_redaction(&metrics, &mut all)?;
        let mut accepted = Accepted::default();
        accepted.read_elsewhere(&metrics, all.keys())?;
        for (path, file) in &days {
            let read = read_senders(file, now, &mut all).and_then(|()| Ok(accepted.read(file, all.keys())?));
            if let Err(error) = read {
                super::pass_over(data, path, error)?;
            }
        }
        let next = epochs.last().filter(|_| is_more).map(|((Reverse(last_seen), epoch), _)| {
            let EpochKey { instance, epoch, environment } = epoch;
            Cursor::default().number(*last_seen).text(instance).text(epoch).text(environment).to_text()
        });
        let rows = epochs.into_iter().filter_map(|((_, epoch), beside)| {
            let known = all.remove(&epoch)?;
            let phase = Phase::at(now, known.seen.last, beside);
            let account = Account::settle(&known.report, accepted.of(&epoch), phase);
            Some(row(epoch, known, phase, account))
        });
        Ok(Gateways { rows: rows.collect(), next })
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
        first_seen: rfc3339(known.seen.first),
        last_seen: rfc3339(known.seen.last),
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
         FROM gateways g {} {} {} {OF_EPOCH}",
        join("m", Signal::Metrics)?,
        join("l", Signal::Logs)?,
        join("t", Signal::Traces)?,
    ))?;
    for_each_of(&mut select, all, |row, known| {
        let seen = Seen { first: row.get(7)?, last: row.get(8)? };
        if known.seen.see(seen, now) {
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
        Ok(())
    })
}

/// Runs a question about one epoch for each that is known. Its parameters are instance, epoch and environment.
fn for_each_of(
    select: &mut Statement<'_>,
    all: &mut All,
    mut take: impl FnMut(&rusqlite::Row<'_>, &mut Known) -> rusqlite::Result<()>,
) -> Result<(), QueryError> {
    for (EpochKey { instance, epoch, environment }, known) in all {
        let mut rows = select.query([instance, epoch, environment])?;
        while let Some(row) = rows.next()? {
            take(row, known)?;
        }
    }
    Ok(())
}

fn read_overflow(file: &Connection, all: &mut All) -> Result<(), QueryError> {
    let mut select = file.prepare(&format!(
        "SELECT coalesce(sum(s.duration_count), 0)
         FROM gateways g JOIN states s ON s.gateway_id = g.id JOIN series r ON r.id = s.series_id
         {OF_EPOCH} AND r.overflow"
    ))?;
    for_each_of(&mut select, all, |row, known| {
        known.overflow = u64::try_from(row.get::<_, i64>(0)?).unwrap_or_default();
        Ok(())
    })
}

fn read_reports(file: &Connection, all: &mut All) -> Result<(), QueryError> {
    let mut select = file.prepare(&format!(
        "SELECT g.instance, g.epoch, g.environment, r.captured, r.sent, r.queue_full, r.rejected, r.expired, r.lost,
                r.queue_bytes, r.export_failures, r.workers, r.workers_lost, r.active_requests, r.busy_seconds,
                r.time, r.uncounted, r.excluded, r.sampled_out, r.excluded_from_counters
         FROM reports r JOIN gateways g ON g.id = r.gateway_id {OF_EPOCH}"
    ))?;
    for_each_of(&mut select, all, |row, known| {
        let whole = |column| {
            let value: Option<i64> = row.get(column)?;
            Ok::<_, rusqlite::Error>(value.and_then(|value| u64::try_from(value).ok()))
        };
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
        Ok(())
    })
}

fn read_tags(file: &Connection, all: &mut All) -> Result<(), QueryError> {
    let mut select = file.prepare(&format!(
        "SELECT t.name, t.value FROM tags t JOIN gateways g ON g.id = t.gateway_id {OF_EPOCH}"
    ))?;
    for_each_of(&mut select, all, |row, known| {
        known.tags.insert(row.get(0)?, row.get(1)?);
        Ok(())
    })
}

fn read_redaction(file: &Connection, all: &mut All) -> Result<(), QueryError> {
    let mut select = file.prepare(&format!(
        "SELECT r.what, r.content FROM redaction r JOIN gateways g ON g.id = r.gateway_id {OF_EPOCH}"
    ))?;
    for_each_of(&mut select, all, |row, known| {
        let (what, content): (String, String) = (row.get(0)?, row.get(1)?);
        let redaction = known.redaction.get_or_insert_default();
        // Damaged text is ignored; the next report replaces it.
        match what.as_str() {
            stored::RULES => redaction.rules = serde_json::from_str(&content).unwrap_or_default(),
            stored::BODIES => redaction.bodies = serde_json::from_str(&content).unwrap_or_default(),
            _ => {}
        }
        Ok(())
    })
}
