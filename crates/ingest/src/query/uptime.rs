//! `uptime`: the share of minutes that were good, of services, routes, gateways and probes.

use super::filter::Filter;
use super::params::Params;
use super::range::{Range, rfc3339};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::store::{BOUND_PERCENT, DataDir};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

const NAMES: [&str; 7] = ["from", "to", "group_by", "step", "service", "environment", "limit"];
const HOUR_SECONDS: i64 = 3_600;
const HOUR_NANOS: i64 = HOUR_SECONDS * 1_000_000_000;
const MINUTE_NANOS: i64 = 60_000_000_000;
const DAY_SECONDS: i64 = 86_400;
const DEFAULT_DAYS: i64 = 30;
/// Bars of a row, and of an answer.
const MAX_BARS: i64 = 840;
const MAX_ALL_BARS: usize = 50_000;
const DEFAULT_ROWS: u64 = 100;
/// Minutes of silence at the end of which a gateway counts as replaced.
const REPLACED_MINUTES: i64 = 60;
/// The latest minutes that decide about the state, of which the last ones must all be bad for `down`.
const RECENT_MINUTES: i64 = 60;
const DOWN_MINUTES: usize = 3;
const ALL_MINUTES: i64 = (1 << 60) - 1;

/// A question for uptime.
pub(crate) struct UptimeQuery {
    range: Range,
    /// Unix nanoseconds.
    now: i64,
    by: By,
    /// Seconds.
    step: i64,
    filter: Filter,
    limit: usize,
}

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Service,
    Route,
    Gateway,
    Probe,
}

/// The answer to [`UptimeQuery`].
#[derive(Serialize)]
pub(crate) struct Uptime {
    from: String,
    to: String,
    step: i64,
    /// Errors, in percent of the requests of a minute, up to which it is good.
    bound_percent: i64,
    rows: Vec<Row>,
    /// Whether there are more.
    more: bool,
}

#[derive(Serialize)]
struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<String>,
    state: State,
    #[serde(flatten)]
    sum: Sum,
    bars: Vec<Bar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latest: Option<Latest>,
}

/// How something is by its latest minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Up,
    /// A minute of the last hour was bad or silent.
    Degraded,
    /// Its last three minutes were.
    Down,
    /// Nothing is known of the last hour.
    Unknown,
}

/// Numbers of minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
struct Sum {
    /// With traffic, a heartbeat or a probe.
    minutes: u32,
    /// With too many errors or a failed probe.
    bad: u32,
    /// Without a heartbeat.
    silent: u32,
    /// From 0 to 1: of the minutes with traffic or a probe those that were not bad, of a gateway those with a heartbeat; `None`
    /// without any.
    uptime: Option<f64>,
}

#[derive(Serialize)]
struct Bar {
    time: String,
    #[serde(flatten)]
    sum: Sum,
}

/// The latest result of a probe.
#[derive(Serialize)]
struct Latest {
    time: String,
    /// 0 without a response.
    status: u16,
    duration_ms: f64,
    error: Option<String>,
}

/// The minutes of an hour, as bits.
#[derive(Debug, Clone, Copy, Default)]
struct Hour {
    seen: i64,
    bad: i64,
    silent: i64,
}

/// Service, environment and name.
type Key = (String, String, String);
/// By hours since 1970.
type Hours = BTreeMap<i64, Hour>;

impl UptimeQuery {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(query: Option<&str>, now: i64, limits: &Limits) -> Result<Self, QueryError> {
        let params = Params::parse(query, &NAMES)?;
        let by = match params.one("group_by")? {
            None | Some("service") => By::Service,
            Some("route") => By::Route,
            Some("gateway") => By::Gateway,
            Some("probe") => By::Probe,
            Some(other) => {
                let message = format!("group_by must be service, route, gateway or probe, not {other:?}");
                return Err(QueryError::parameter("group_by", message));
            }
        };
        let step =
            params.number("step", HOUR_SECONDS as u64..=DAY_SECONDS as u64, DAY_SECONDS as u64)? as i64;
        if step != HOUR_SECONDS && step != DAY_SECONDS {
            return Err(QueryError::parameter("step", "step must be 3600 or 86400 seconds"));
        }
        let range = match (params.one("from")?, params.one("to")?) {
            (None, None) => {
                let from = now.saturating_sub(DEFAULT_DAYS * DAY_SECONDS * 1_000_000_000);
                // Thirty bars, of which today is the last one.
                Range { from: from.saturating_add(step * 1_000_000_000), to: now }
            }
            _ => Range::read(&params, now)?,
        };
        let range = range.widened(step);
        if range.seconds() / step > MAX_BARS {
            let message =
                format!("the answer would have more than {MAX_BARS} steps: ask for a shorter range");
            return Err(QueryError::TooMuch { field: "step", message });
        }
        Ok(Self {
            range,
            now,
            by,
            step,
            filter: Filter::read(&params)?,
            limit: params.number("limit", 1..=limits.rows as u64, DEFAULT_ROWS)? as usize,
        })
    }

    /// The answer out of the store.
    pub(crate) fn answer(&self, directory: &DataDir, limits: &Limits) -> Result<Uptime, QueryError> {
        let mut file = super::open_counts(directory, limits.query_timeout)?;
        let file = file.transaction()?;
        let mut rows = self.read(&file, self.by)?;
        match self.by {
            By::Service => {
                for ((service, environment, _), probed) in self.read(&file, By::Probe)? {
                    // A probe that is about no service is a row of its own only.
                    if let Some(hours) = rows.get_mut(&(service, environment, String::new())) {
                        for (hour, Hour { seen, bad, .. }) in probed {
                            let known = hours.entry(hour).or_default();
                            known.seen |= seen;
                            known.bad |= bad;
                        }
                    }
                }
                let mut heard: BTreeMap<Key, Hours> = BTreeMap::new();
                for ((service, environment, _), hours) in self.read(&file, By::Gateway)? {
                    let all = heard.entry((service, environment, String::new())).or_default();
                    for (hour, Hour { seen, .. }) in hours {
                        all.entry(hour).or_default().seen |= seen;
                    }
                }
                for (key, heard) in heard {
                    // A service without any traffic has its heartbeats alone.
                    let hours = rows.entry(key).or_default();
                    for (hour, silent) in self.silence(&heard, i64::MAX) {
                        hours.entry(hour).or_default().silent |= silent;
                    }
                }
            }
            By::Gateway => {
                for hours in rows.values_mut() {
                    for (hour, silent) in self.silence(hours, REPLACED_MINUTES) {
                        hours.entry(hour).or_default().silent |= silent;
                    }
                }
            }
            By::Route | By::Probe => {}
        }
        let mut rows: Vec<(Key, Hours)> = rows.into_iter().collect();
        if self.by == By::Route {
            let seen = |hours: &Hours| hours.values().map(|hour| hour.seen.count_ones()).sum::<u32>();
            rows.sort_by_key(|(_, hours)| std::cmp::Reverse(seen(hours)));
        }
        let bars = usize::try_from(self.range.seconds() / self.step).unwrap_or(usize::MAX).max(1);
        let limit = self.limit.min(MAX_ALL_BARS / bars);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let rows = rows.into_iter().map(|(key, hours)| self.row(&file, key, &hours));
        Ok(Uptime {
            from: rfc3339(self.range.from),
            to: rfc3339(self.range.to),
            step: self.step,
            bound_percent: BOUND_PERCENT,
            rows: rows.collect::<Result<_, _>>()?,
            more,
        })
    }

    /// The hours of the range, of all that the filter takes.
    fn read(&self, file: &Connection, by: By) -> Result<BTreeMap<Key, Hours>, QueryError> {
        let mut select = file.prepare_cached(
            "SELECT service, environment, name, hour, seen, bad FROM uptime WHERE hour >= ? AND hour < ? AND kind = ?",
        )?;
        let [from, to] = [self.range.from, self.range.to].map(|time| time.div_euclid(HOUR_NANOS));
        let mut found = select.query(params![from, to, by.name()])?;
        let mut all: Vec<(Key, Option<Hours>)> = Vec::new();
        let mut places: HashMap<Key, usize> = HashMap::new();
        // Each hour has much the same names in the same order, so that most are found without a look-up.
        let mut next = 0;
        while let Some(row) = found.next()? {
            let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?);
            let key = [text(0)?, text(1)?, text(2)?];
            let is = |(known, _): &(Key, _)| key == [&*known.0, &*known.1, &*known.2];
            let place = match all.get(next).is_some_and(is) {
                true => next,
                false => {
                    let [service, environment, name] = key.map(str::to_owned);
                    *places.entry((service, environment, name)).or_insert_with_key(|key| {
                        let is_taken = self.filter.takes_sender(&key.0, &key.1, "");
                        all.push((key.clone(), is_taken.then(Hours::new)));
                        all.len() - 1
                    })
                }
            };
            next = if place + 1 < all.len() { place + 1 } else { 0 };
            if let Some((_, Some(hours))) = all.get_mut(place) {
                hours.insert(row.get(3)?, Hour { seen: row.get(4)?, bad: row.get(5)?, silent: 0 });
            }
        }
        Ok(all.into_iter().filter_map(|(key, hours)| Some((key, hours?))).collect())
    }

    /// The minutes without a heartbeat after the first one, as bits by hour; those after the last one only up to `trailing`
    /// minutes, and none of the last two, which may still come.
    fn silence(&self, heard: &Hours, trailing: i64) -> Vec<(i64, i64)> {
        let first = heard.iter().find(|(_, hour)| hour.seen != 0);
        let last = heard.iter().rev().find(|(_, hour)| hour.seen != 0);
        let (Some((first, begun)), Some((last, ended))) = (first, last) else { return Vec::new() };
        let first = first * 60 + i64::from(begun.seen.trailing_zeros());
        let last = last * 60 + 63 - i64::from(ended.seen.leading_zeros());
        let now = self.range.to.min(self.now).div_euclid(MINUTE_NANOS) - 2;
        let end = now.min(last.saturating_add(trailing)).max(last);
        let mut silent = Vec::new();
        for hour in first.div_euclid(60)..=end.div_euclid(60) {
            let mut expected = ALL_MINUTES;
            if hour == first.div_euclid(60) {
                expected &= ALL_MINUTES << first.rem_euclid(60);
            }
            if hour == end.div_euclid(60) {
                expected &= (1 << end.rem_euclid(60)) - 1;
            }
            let seen = heard.get(&hour).map_or(0, |hour| hour.seen);
            silent.push((hour, expected & ALL_MINUTES & !seen));
        }
        silent
    }

    fn row(&self, file: &Connection, key: Key, hours: &Hours) -> Result<Row, QueryError> {
        let (service, environment, name) = key;
        let hours_of_step = self.step / HOUR_SECONDS;
        let (from, to) = (self.range.from.div_euclid(HOUR_NANOS), self.range.to.div_euclid(HOUR_NANOS));
        let mut bars = Vec::new();
        let mut sum = Sum::default();
        let mut start = from;
        while start < to {
            let mut bar = Sum::default();
            hours.range(start..start + hours_of_step).for_each(|(_, hour)| bar.add(hour));
            sum.minutes += bar.minutes;
            sum.bad += bar.bad;
            sum.silent += bar.silent;
            bars.push(Bar { time: rfc3339(start * HOUR_NANOS), sum: bar.rated(self.by) });
            start += hours_of_step;
        }
        let latest = if self.by == By::Probe { latest(file, &name)? } else { None };
        let of = |by, text: &str| Some(text.to_owned()).filter(|_| self.by == by);
        let (method, route) = name.split_once(' ').unwrap_or_default();
        let is_of_service = self.by != By::Probe || !service.is_empty();
        Ok(Row {
            state: self.state(hours),
            sum: sum.rated(self.by),
            bars,
            latest,
            method: of(By::Route, method),
            route: of(By::Route, route),
            gateway: of(By::Gateway, &name),
            probe: of(By::Probe, &name),
            service: Some(service).filter(|_| is_of_service),
            environment: Some(environment).filter(|_| is_of_service),
        })
    }

    /// The state by the latest minutes of which something is known.
    fn state(&self, hours: &Hours) -> State {
        let end = self.range.to.min(self.now).div_euclid(MINUTE_NANOS);
        let known = (end - RECENT_MINUTES..end).rev().filter_map(|minute| {
            let bit = 1_i64 << minute.rem_euclid(60);
            let hour = hours.get(&minute.div_euclid(60))?;
            ((hour.seen | hour.silent) & bit != 0).then_some((hour.bad | hour.silent) & bit != 0)
        });
        let known: Vec<bool> = known.collect();
        if known.is_empty() {
            return State::Unknown;
        }
        if known.len() >= DOWN_MINUTES && known.iter().take(DOWN_MINUTES).all(|is_bad| *is_bad) {
            return State::Down;
        }
        if known.contains(&true) { State::Degraded } else { State::Up }
    }
}

impl By {
    fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Route => "route",
            Self::Gateway => "gateway",
            Self::Probe => "probe",
        }
    }
}

impl Sum {
    fn add(&mut self, Hour { seen, bad, silent }: &Hour) {
        self.minutes += seen.count_ones();
        self.bad += bad.count_ones();
        self.silent += silent.count_ones();
    }

    fn rated(self, by: By) -> Self {
        let Self { minutes, bad, silent, .. } = self;
        let (good, all) = match by {
            By::Gateway => (minutes, minutes + silent),
            By::Service | By::Route | By::Probe => (minutes.saturating_sub(bad), minutes),
        };
        Self { uptime: (all > 0).then(|| f64::from(good) / f64::from(all)), ..self }
    }
}

fn latest(file: &Connection, name: &str) -> Result<Option<Latest>, QueryError> {
    let mut select = file.prepare_cached(
        "SELECT time, status, duration_ms, error FROM probe_results WHERE name = ? ORDER BY time DESC LIMIT 1",
    )?;
    let row = select.query_row([name], |row| {
        Ok(Latest {
            time: rfc3339(row.get(0)?),
            status: row.get(1)?,
            duration_ms: row.get(2)?,
            error: Some(row.get(3)?).filter(|error: &String| !error.is_empty()),
        })
    });
    Ok(row.optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 480_000;

    fn query(by: By, now_minute: i64) -> UptimeQuery {
        let (from, to) = (START * HOUR_NANOS, (START + 24) * HOUR_NANOS);
        let now = START * HOUR_NANOS + now_minute * MINUTE_NANOS;
        UptimeQuery {
            range: Range { from, to },
            now,
            by,
            step: DAY_SECONDS,
            filter: Filter::default(),
            limit: 10,
        }
    }

    /// Hours with these minutes since the start seen, and these bad.
    fn hours(seen: &[i64], bad: &[i64]) -> Hours {
        let mut hours = Hours::new();
        for minute in seen {
            hours.entry(START + minute / 60).or_default().seen |= 1 << (minute % 60);
        }
        for minute in bad {
            hours.entry(START + minute / 60).or_default().bad |= 1 << (minute % 60);
        }
        hours
    }

    #[test]
    fn silence_is_between_heartbeats_and_for_a_while_after_the_last() {
        let check = |seen: &[i64], now: i64, trailing: i64, expected: &[i64]| {
            let found = query(By::Gateway, now).silence(&hours(seen, &[]), trailing);
            let found: Vec<i64> = found
                .iter()
                .flat_map(|(hour, bits)| {
                    (0..60).filter(move |m| bits >> m & 1 == 1).map(move |m| (hour - START) * 60 + m)
                })
                .collect();
            assert_eq!(found, expected, "{seen:?} at {now}");
        };
        check(&[], 100, 60, &[]);
        check(&[5, 6, 7], 10, 60, &[]);
        check(&[5, 7], 10, 60, &[6]);
        check(&[58, 61], 64, 60, &[59, 60]);
        // The two latest minutes may still come.
        check(&[5], 10, 60, &[6, 7]);
        check(&[59], 64, 60, &[60, 61]);
        // One that is silent for longer was replaced.
        check(&[5], 500, 3, &[6, 7]);
    }

    #[test]
    fn the_state_is_that_of_the_last_hour() {
        let check = |seen: &[i64], bad: &[i64], now: i64, expected: State| {
            assert_eq!(
                query(By::Service, now).state(&hours(seen, bad)),
                expected,
                "{seen:?} {bad:?} at {now}"
            );
        };
        check(&[], &[], 100, State::Unknown);
        check(&[1, 2, 3], &[1, 2, 3], 200, State::Unknown);
        check(&[90, 91, 92], &[], 100, State::Up);
        check(&[90, 91, 92, 93], &[90], 100, State::Degraded);
        check(&[90, 91, 92, 93], &[91, 92, 93], 100, State::Down);
        check(&[91, 92], &[91, 92], 100, State::Degraded);
    }

    #[test]
    fn sums_are_rated() {
        let rated = |by, minutes, bad, silent| Sum { minutes, bad, silent, uptime: None }.rated(by).uptime;
        assert_eq!(rated(By::Service, 100, 1, 50), Some(0.99));
        assert_eq!(rated(By::Gateway, 99, 0, 1), Some(0.99));
        assert_eq!(rated(By::Route, 0, 0, 0), None);
    }
}
