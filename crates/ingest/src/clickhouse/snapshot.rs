//! What the tables hold when a question comes, and the statements for sums of it.
//!
//! Closed blocks have what each minute added, by series and by classes of series. Of what is in no closed block the tables have
//! what streams have reported, which only grows: what a stream added in a step is its last report of the step less the one
//! before. So a report of the last minutes is added where it came, taken off where the next one came, and no distribution of a
//! single stream is made.

use super::ClickHouse;
use super::close::{Border, DAY, HALF_HOUR, MAPS, NUMBERS, changes, first_minute, forms, of_series, plain};
use super::days::Day;
use super::series::{Series, kind_of};
use crate::store::narrow::Without;
use clickhouse::Row;
use clickhouse::error::Error;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the tables hold.
pub(super) struct Snapshot {
    pub(super) series: Arc<Vec<Series>>,
    /// How often something was forgotten before.
    pub(super) forgotten: u64,
    /// The first block that is not closed, and the last one before it that is.
    pub(super) open: u32,
    pub(super) closed: u32,
    has_changes: bool,
}

/// Series, each with a code, and those of which a question needs no others.
pub(super) struct Coded {
    /// Which of the classes of series these are.
    kind: u8,
    /// Numbers of series and classes, and their codes.
    ids: String,
    codes: String,
    /// Numbers of series and of classes; `None` where all are asked for.
    only: Option<(String, String)>,
}

/// The requests of series with the same code, in a step of time.
#[derive(Row, Deserialize)]
pub(super) struct Count {
    pub(super) step: u32,
    pub(super) code: i32,
    pub(super) instance: String,
    pub(super) first: u32,
    pub(super) requests: u64,
}

/// The columns that are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    All,
    Requests,
}

impl Columns {
    fn names(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::All => (&NUMBERS, &MAPS),
            Self::Requests => (&["requests"], &[]),
        }
    }

    /// All of them, with a form for each.
    fn each(self, number: impl Fn(&str) -> String, map: impl Fn(&str) -> String) -> String {
        forms(self.names(), number, map)
    }

    fn plain(self) -> String {
        self.each(str::to_owned, str::to_owned)
    }
}

/// Numbers as the text of an array. In a literal of text it is parsed many times faster than as an expression.
pub(super) fn list(numbers: impl IntoIterator<Item = impl ToString>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    format!("[{}]", numbers.join(","))
}

/// A statement for the numbers of an array.
pub(super) fn rows_of(list: &str) -> String {
    format!("SELECT arrayJoin(CAST('{list}', 'Array(UInt64)'))")
}

/// The part of a stretch of minutes that whole half hours cover, where no step of these minutes ends within one.
fn half_hours((from, to): (u32, u32), step: i64) -> (u32, u32) {
    let is_whole = |minutes: i64| minutes % i64::from(HALF_HOUR) == 0;
    let (first, last) = (from.div_ceil(HALF_HOUR) * HALF_HOUR, to / HALF_HOUR * HALF_HOUR);
    let is_one_step = i64::from(to - from) <= step;
    if first < last && (is_one_step || (is_whole(step) && is_whole(from.into()))) {
        (first, last)
    } else {
        (from, from)
    }
}

/// The days of a stretch of half hours in which no step ends, and what is between them. Steps begin at `from`.
fn split((first, last): (u32, u32), (from, step): (u32, i64), days: &[Day]) -> (Vec<Day>, Vec<(u32, u32)>) {
    let step_of = |minute: u32| (i64::from(minute) - i64::from(from)).div_euclid(step);
    let (mut whole, mut rest, mut until) = (Vec::new(), Vec::new(), first);
    for day in days {
        let fits = day.minute >= until && day.end() <= last;
        if fits && step_of(day.minute) == step_of(day.end() - 1) {
            rest.extend((until < day.minute).then_some((until, day.minute)));
            whole.push(*day);
            until = day.end();
        }
    }
    rest.extend((until < last).then_some((until, last)));
    (whole, rest)
}

impl Coded {
    /// The code of a series, which a column names; -1 if it has none.
    fn code(&self, series: &str) -> String {
        let Self { ids, codes, .. } = self;
        format!(
            "transform({series}, CAST('{ids}', 'Array(UInt64)'), CAST('{codes}', 'Array(Int32)'), toInt32(-1))"
        )
    }
}

impl Snapshot {
    pub(super) async fn of(server: &ClickHouse) -> Result<Self, Error> {
        let (series, forgotten) = server.refresh_series().await?;
        let (Border { open, closed }, has_changes) =
            tokio::try_join!(server.border(), server.has_rows("changes"))?;
        Ok(Self { series, forgotten, open, closed, has_changes })
    }

    /// Gives series their codes; `None` where no series has one. Series that differ only in what is left out must have the same
    /// code.
    pub(super) fn coded(
        &self,
        codes: impl IntoIterator<Item = Option<usize>>,
        without: Option<Without>,
    ) -> Option<Coded> {
        let (mut coded, mut series, mut classes) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        for (one, code) in self.series.iter().zip(codes) {
            let Some(code) = code else { continue };
            let class = one.class(without);
            coded.extend([(one.id, code), (class, code)]);
            series.push(one.id);
            classes.insert(class);
        }
        let only = (series.len() < self.series.len()).then(|| (list(&series), list(&classes)));
        (!coded.is_empty()).then(|| Coded {
            kind: kind_of(without),
            ids: list(coded.keys()),
            codes: list(coded.values()),
            only,
        })
    }

    /// The Unix minutes of which the sums may be those of days, where there is a whole day in them.
    pub(super) fn minutes_of_days(&self, (from, to): (i64, i64), step: i64) -> Option<(u32, u32)> {
        let minute = |minute: i64| u32::try_from(minute.max(0)).unwrap_or(u32::MAX);
        let minutes = (minute(from), minute(to).min(first_minute(self.open)));
        let has_day = minutes.0.div_ceil(DAY) < minutes.1 / DAY;
        (has_day && step >= i64::from(DAY)).then_some(minutes)
    }

    /// Statements for the sums of some Unix minutes, which must be added to one another: of closed blocks and of changes, and of what
    /// is in no closed block, where the minutes reach that far. Their columns are `step` from the first minute, `code`,
    /// `instance` (empty where they are not told apart), `first`, the first minute that added something, and those that are
    /// added up. `days` are those that are added up. (Planning one statement for both takes twice the time.)
    pub(super) fn sums(
        &self,
        coded: &Coded,
        (from, to): (i64, i64),
        step: i64,
        columns: Columns,
        by_instance: bool,
        days: &[Day],
    ) -> (Option<String>, Option<String>) {
        let minute = |minute: i64| u32::try_from(minute.max(0)).unwrap_or(u32::MAX);
        let (from, to) = (minute(from), minute(to).max(minute(from)));
        let closed = first_minute(self.open).clamp(from, to);
        let instance = if by_instance { "toString(instance)" } else { "''" };
        let shown = |number: &dyn Fn(&str) -> String, sums: String| {
            let shown = columns.each(number, |name| format!("sum_{name} AS {name}"));
            format!("SELECT step, code, by_instance AS instance, first, {shown} FROM ({sums})")
        };
        let of_closed = self.closed_sums(coded, (from, closed, to), (step, days), columns, instance);
        let of_open = (closed < to).then(|| self.open_sums(coded, (from, to), step, columns, instance));
        // Sums of others than our filters may fall.
        let of_array = |name: &str| {
            let place = columns.names().0.iter().position(|number| *number == name).unwrap_or_default();
            format!("toUInt64(greatest(numbers[{}], 0)) AS {name}", place + 1)
        };
        (
            of_closed.map(|sums| shown(&|name| format!("sum_{name} AS {name}"), sums)),
            of_open.map(|sums| shown(&of_array, sums)),
        )
    }

    /// Sums of closed blocks before a minute, and of changes up to another one.
    fn closed_sums(
        &self,
        coded: &Coded,
        (from, closed, to): (u32, u32, u32),
        (step, days): (i64, &[Day]),
        columns: Columns,
        instance: &str,
    ) -> Option<String> {
        let (code, kind, names) = (coded.code("series"), coded.kind, plain());
        let (only_series, only_classes) = match &coded.only {
            None => Default::default(),
            Some((series, classes)) => {
                let only = |list: &str| format!(" AND series IN ({})", rows_of(list));
                (only(series), only(classes))
            }
        };
        let (first, last) = half_hours((from, closed), step);
        let rows = |table: &str, condition: &str| {
            format!("SELECT minute, series, instance, {names} FROM {table} FINAL WHERE {condition}")
        };
        // Each table takes as long to plan as to read.
        let mut parts = Vec::new();
        let (days, half_hours) = split((first, last), (from, step), days);
        if !days.is_empty() {
            let days: Vec<_> =
                days.iter().map(|Day { minute, version }| format!("({minute}, {version})")).collect();
            let days = days.join(", ");
            parts.push(rows(
                "days",
                &format!("kind = {kind} AND (minute, version) IN ({days}){only_classes}"),
            ));
        }
        if !half_hours.is_empty() {
            let within: Vec<_> = half_hours
                .iter()
                .map(|(first, last)| format!("minute >= {first} AND minute < {last}"))
                .collect();
            let within = within.join(" OR ");
            parts.push(rows("half_hours", &format!("kind = {kind} AND ({within}){only_classes}")));
        }
        if from < first || last < closed {
            let edges =
                format!("(minute >= {from} AND minute < {first} OR minute >= {last} AND minute < {closed})");
            parts.push(rows("minutes", &format!("kind = {kind} AND {edges}{only_classes}")));
        }
        if self.has_changes {
            parts.push(rows("changes", &format!("minute >= {from} AND minute < {to}{only_series}")));
        }
        if parts.is_empty() {
            return None;
        }
        let parts = parts.join(" UNION ALL ");
        let sums = columns.each(
            |name| format!("sum({name}) AS sum_{name}"),
            |name| format!("sumMap({name}) AS sum_{name}"),
        );
        let added = NUMBERS.join(" + ");
        Some(format!(
            "SELECT toUInt32(intDiv(minute - {from}, {step})) AS step, {code} AS code, {instance} AS by_instance, min(minute) AS first, {sums}
             FROM ({parts})
             WHERE code >= 0 AND {added} > 0
             GROUP BY step, code, by_instance"
        ))
    }

    /// Sums of what is in no closed block.
    fn open_sums(
        &self,
        coded: &Coded,
        (from, to): (u32, u32),
        step: i64,
        columns: Columns,
        instance: &str,
    ) -> String {
        let Self { open, closed, .. } = *self;
        let (code, names) = (coded.code("part.3"), columns.plain());
        let (of_reported, of_states) = match &coded.only {
            None => Default::default(),
            Some((series, _)) => of_series(&rows_of(series)),
        };
        let (numbers, maps) = columns.names();
        // An array takes less time to plan than as many columns.
        let numbers =
            format!("sumForEach(arrayMap(x -> toInt64(x) * part.2, [{}])) AS numbers", numbers.join(", "));
        let maps = maps.iter().map(|name| {
            format!(
                "CAST(mapFilter((k, v) -> v > 0, CAST(mapSubtract(sumMapIf({name}, part.2 > 0), sumMapIf({name}, part.2 < 0)),
                     'Map(Int16, Int64)')), 'Map(Int16, UInt64)') AS sum_{name}"
            )
        });
        let sums = std::iter::once(numbers).chain(maps).collect::<Vec<_>>().join(", ");
        let rows = |names: &str| {
            format!(
                "SELECT stream, minute, series, instance, {names}, total FROM reported
                 WHERE block >= {open} AND minute < {to}{of_reported}
                 UNION ALL
                 SELECT stream, toUInt32(0) AS minute, series, instance, {names}, total FROM states
                 WHERE block = {closed}{of_states}"
            )
        };
        // The last report of each step, found by its numbers alone: distributions are many times larger. What has not grown is a
        // repeat, or was overtaken.
        let last = format!(
            "SELECT stream, minute, total, at, next, series AS own, next_series, rose
             FROM (
                 SELECT *, leadInFrame(at, 1, toInt64(-2)) OVER following AS next, leadInFrame(series) OVER following AS next_series,
                        min(minute) OVER (PARTITION BY stream, at) AS rose
                 FROM (
                     SELECT *, max(total) OVER (PARTITION BY stream ORDER BY minute, total ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before,
                            if(minute < {from}, toInt64(-1), toInt64(intDiv(minute - {from}, {step}))) AS at
                     FROM ({})
                 )
                 WHERE total > before
                 WINDOW following AS (PARTITION BY stream ORDER BY minute, total ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
             )
             WHERE next != at AND (at >= 0 OR next >= 0)",
            rows("requests")
        );
        format!(
            "SELECT toUInt32(part.1) AS step, {code} AS code, {instance} AS by_instance, min(part.4) AS first, {sums}
             FROM (
                 SELECT instance, {names}, part
                 FROM ({}) AS reports
                 ANY INNER JOIN ({last}) AS last
                 ON reports.stream = last.stream AND reports.minute = last.minute AND reports.total = last.total
                 ARRAY JOIN [(at, toInt8(1), own, rose), (next, toInt8(-1), next_series, toUInt32({to}))] AS part
             )
             WHERE part.1 >= 0 AND code >= 0
             GROUP BY part.1, code, by_instance",
            rows(&names)
        )
    }

    /// A statement for what each minute added that is in no closed block. `series` takes the numbers of series; empty for all.
    pub(super) fn recent(&self, series: &str) -> String {
        changes(&format!("block >= {}", self.open), self.closed, series)
    }
}
