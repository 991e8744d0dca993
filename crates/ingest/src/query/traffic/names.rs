//! The names under which the counters are given: those of OpenTelemetry's conventions, or those of another exporter, so that
//! dashboards and rules that were made for it go on working.

mod instrumentator;
mod starlette;

use super::super::dimension::Dimension;
use super::super::glob::Glob;
use super::super::params::Params;
use super::label::TrafficLabel;
use super::metrics::{Table, Traffic};
use super::row::{ActiveRow, TrafficRow};
use crate::error::QueryError;
use crate::model::by_bound::MAX_BOUNDS;
use instrumentator::Instrumentator;
use starlette::Starlette;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The parameter that chooses the names.
const NAMES: &str = "names";
const CONVENTIONS: &str = "opentelemetry";
const STARLETTE: &str = "starlette_exporter";
const INSTRUMENTATOR: &str = "prometheus_fastapi_instrumentator";
/// Bytes of a part of a name.
const MAX_NAME_BYTES: usize = 100;
/// Patterns of one parameter.
const MAX_PATTERNS: usize = 64;
/// The status that both exporters count when an application gives no response.
const NO_RESPONSE: &str = "500";

/// Names, with the options of their exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Names {
    Conventions,
    Starlette(Starlette),
    Instrumentator(Instrumentator),
}

/// Whether an option is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
}

/// The labels by which rows are read for the names of another exporter; those that the reader adds come behind them.
const OWN: [Dimension; 4] = [Dimension::Method, Dimension::Route, Dimension::Status, Dimension::Service];

/// Rows by the labels of [`OWN`] and further ones.
struct Source<'a> {
    rows: &'a [TrafficRow],
    active: &'a [ActiveRow],
    /// Names of the further labels.
    further: Vec<&'static str>,
    /// The Unix minute before which a row was counted last that is left out.
    stale: i64,
}

/// What another exporter would have known of the requests of a row.
struct Seen<'a> {
    method: &'a str,
    route: &'a str,
    /// [`NO_RESPONSE`] stands for none.
    status: &'a str,
    service: &'a str,
}

impl Names {
    /// Names of all parameters that are read here.
    pub(super) fn parameters() -> impl Iterator<Item = &'static str> {
        [NAMES].into_iter().chain(starlette::OPTIONS).chain(instrumentator::OPTIONS)
    }

    /// Reads the parameters.
    pub(super) fn read(params: &Params) -> Result<Self, QueryError> {
        let (names, own): (_, &[&str]) = match params.one(NAMES)?.unwrap_or(CONVENTIONS) {
            CONVENTIONS => (Self::Conventions, &[]),
            STARLETTE => (Self::Starlette(Starlette::read(params)?), &starlette::OPTIONS),
            INSTRUMENTATOR => (Self::Instrumentator(Instrumentator::read(params)?), &instrumentator::OPTIONS),
            other => {
                let message = format!(
                    "there are no names of {other:?}: expected {CONVENTIONS}, {STARLETTE} or {INSTRUMENTATOR}"
                );
                return Err(QueryError::parameter(NAMES, message));
            }
        };
        for (exporter, options) in
            [(STARLETTE, starlette::OPTIONS.as_slice()), (INSTRUMENTATOR, &instrumentator::OPTIONS)]
        {
            let strange =
                options.iter().find(|option| !own.contains(option) && params.all(option).next().is_some());
            if let Some(option) = strange {
                let message = format!("{option} is an option of {NAMES}={exporter}");
                return Err(QueryError::parameter(option, message));
            }
        }
        Ok(names)
    }

    /// The labels by which rows must be read, where the reader has chosen some or none. `usual` are those of the operator.
    pub(super) fn labels(
        &self,
        chosen: Option<Vec<TrafficLabel>>,
        usual: &[TrafficLabel],
    ) -> Vec<TrafficLabel> {
        match self {
            Self::Conventions => chosen.unwrap_or_else(|| usual.to_vec()),
            Self::Starlette(_) | Self::Instrumentator(_) => {
                OWN.map(TrafficLabel::new).into_iter().chain(chosen.unwrap_or_default()).collect()
            }
        }
    }

    /// The metrics of rows that were read by these labels. Those that counted nothing since `stale`, a Unix minute, are left out.
    pub(super) fn metrics(
        &self,
        labels: &[TrafficLabel],
        (rows, active): (Vec<TrafficRow>, Vec<ActiveRow>),
        stale: i64,
    ) -> Traffic {
        let all = || labels.iter().map(|label| label.name());
        let source =
            || Source { rows: &rows, active: &active, further: all().skip(OWN.len()).collect(), stale };
        match self {
            Self::Starlette(names) => names.metrics(&source()),
            Self::Instrumentator(names) => names.metrics(&source()),
            Self::Conventions => {
                let rows = rows.into_iter().filter(|row| !row.is_stale(stale));
                let (outbound, inbound) = rows.partition(|row| row.is_outbound);
                let (outbound_active, inbound_active) = active.into_iter().partition(|row| row.is_outbound);
                Traffic::of_conventions([
                    Table { labels: all().collect(), rows: inbound, active: inbound_active },
                    Table { labels: all().collect(), rows: outbound, active: outbound_active },
                ])
            }
        }
    }
}

impl Source<'_> {
    /// Inbound rows by the labels of which `values` gives the values; rows without are left out.
    fn table(&self, labels: &[&'static str], values: impl Fn(&Seen<'_>) -> Option<Vec<String>>) -> Table {
        let labels = labels.iter().copied().chain(self.further.iter().copied()).collect();
        let keyed = self.rows.iter().filter(|row| !row.is_outbound).filter_map(|row| {
            let (own, further) = row.values.split_first_chunk()?;
            let [method, route, status, service] = own.each_ref().map(String::as_str);
            let status = if status.is_empty() { NO_RESPONSE } else { status };
            let mut values = values(&Seen { method, route, status, service })?;
            values.extend_from_slice(further);
            Some((values, row))
        });
        let mut rows = TrafficRow::added_up(keyed);
        // Behind the sums, which must not fall when a part of them gets old.
        rows.retain(|row| !row.is_stale(self.stale));
        Table { labels, rows, active: Vec::new() }
    }

    /// Requests in progress by the values that `values` gives for a service.
    fn active(&self, labels: &[&'static str], values: impl Fn(&str) -> Vec<String>) -> Table {
        let mut sums: BTreeMap<Vec<String>, u64> = BTreeMap::new();
        for ActiveRow { values: own, requests, .. } in self.active.iter().filter(|row| !row.is_outbound) {
            let sum = sums.entry(values(own.get(OWN.len() - 1).map_or("", String::as_str))).or_default();
            *sum = sum.saturating_add(*requests);
        }
        let row = |(values, requests)| ActiveRow { is_outbound: false, values, requests };
        let active = sums.into_iter().map(row).collect();
        Table { labels: labels.to_vec(), rows: Vec::new(), active }
    }
}

/// Reads an option that is true or false, in any case, as Python writes it.
fn truth(params: &Params, name: &'static str, default: Truth) -> Result<Truth, QueryError> {
    match params.one(name)?.map(str::to_ascii_lowercase).as_deref() {
        None => Ok(default),
        Some("true") => Ok(Truth::Yes),
        Some("false") => Ok(Truth::No),
        Some(_) => Err(QueryError::parameter(name, format!("{name} must be true or false"))),
    }
}

/// The bounds of a histogram in nanoseconds, from those in seconds, which rise. The last may be infinite.
fn bounds(params: &Params, name: &'static str, default: &[f64]) -> Result<Arc<[u64]>, QueryError> {
    let texts: Vec<&str> = values(params, name).collect();
    let read: Option<Vec<f64>> = texts.iter().map(|text| text.parse().ok()).collect();
    let mut seconds = read.filter(|read| read.iter().all(|bound| *bound > 0.0)).unwrap_or_default();
    if seconds.last() == Some(&f64::INFINITY) {
        seconds.pop();
    }
    if texts.is_empty() {
        seconds = default.to_vec();
    }
    let nanos: Vec<u64> = seconds.iter().map(|bound| (bound * 1e9).round() as u64).collect();
    let rises = nanos.is_sorted_by(|one, next| one < next) && nanos.first().is_some_and(|first| *first > 0);
    if !rises || nanos.len() > MAX_BOUNDS || seconds.contains(&f64::INFINITY) {
        let message = format!(
            "{name} must be up to {MAX_BOUNDS} rising numbers of seconds above 0, separated by commas"
        );
        return Err(QueryError::parameter(name, message));
    }
    Ok(nanos.into())
}

/// Texts in which `*` stands for any characters.
fn patterns(params: &Params, name: &'static str) -> Result<Vec<Glob>, QueryError> {
    let found: Vec<Glob> = values(params, name).map(Glob::new).collect();
    if found.len() > MAX_PATTERNS {
        return Err(QueryError::parameter(name, format!("{name} may have {MAX_PATTERNS} values at most")));
    }
    Ok(found)
}

/// A part of the name of a metric.
fn part_of_name(params: &Params, name: &'static str, default: &str) -> Result<String, QueryError> {
    let Some(found) = params.one(name)? else { return Ok(default.to_owned()) };
    let is_name = found.len() <= MAX_NAME_BYTES
        && found.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && found.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        let message = format!(
            "{name} must be letters, digits and underscores, {MAX_NAME_BYTES} at most, and not begin with a digit"
        );
        return Err(QueryError::parameter(name, message));
    }
    Ok(found.to_owned())
}

/// The values of a parameter, which are repeated or separated by commas.
fn values<'a>(params: &'a Params, name: &'static str) -> impl Iterator<Item = &'a str> {
    params.all(name).flat_map(|list| list.split(',')).map(str::trim).filter(|value| !value.is_empty())
}

fn owned<const N: usize>(values: [&str; N]) -> Vec<String> {
    values.map(str::to_owned).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::totals::Total;
    use std::borrow::Cow;

    fn read(query: &str) -> Result<Names, String> {
        let known: Vec<&str> = Names::parameters().collect();
        Names::read(&Params::parse(Some(query), &known).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_those_of_the_exporter_and_checked() {
        for accepted in [
            "",
            "names=opentelemetry",
            "names=starlette_exporter&prefix=shop&group_paths=True&buckets=0.1,0.5,inf&skip_paths=/health,/internal/*",
            "names=prometheus_fastapi_instrumentator&should_group_status_codes=false&latency_lowr_buckets=1",
        ] {
            assert!(read(accepted).is_ok(), "{accepted}");
        }
        let refused = |query: &str, expected: &str| {
            let error = read(query).unwrap_err();
            assert!(error.contains(expected), "{query}: {error}");
        };
        refused(
            "names=flask",
            "expected opentelemetry, starlette_exporter or prometheus_fastapi_instrumentator",
        );
        refused("prefix=shop", "prefix is an option of names=starlette_exporter");
        refused("names=starlette_exporter&excluded_handlers=/a", "names=prometheus_fastapi_instrumentator");
        refused("names=starlette_exporter&prefix=1a", "prefix must be letters");
        refused("names=starlette_exporter&group_paths=maybe", "group_paths must be true or false");
        refused("names=starlette_exporter&group_paths=false", "there are no counters by path");
        for buckets in ["1,0.5", "0", "x", "inf", "1,inf,2", "-1", "nan"] {
            refused(&format!("names=starlette_exporter&buckets={buckets}"), "rising numbers of seconds");
        }
        refused(&format!("names=starlette_exporter&skip_paths={}", "/a,".repeat(65)), "64 values at most");
    }

    #[test]
    fn a_sum_does_not_fall_when_a_part_of_it_gets_old() {
        let row = |status: &str, minute| {
            let values = ["GET", "/a", status, "shop"].map(str::to_owned);
            let mut row = TrafficRow::new(false, values.into());
            row.add(Cow::Owned(Total { count: 1, ..Total::default() }));
            row.counted(minute);
            row
        };
        let rows = [row("200", 5), row("201", 50), row("404", 5), row("", 50)];
        let source = Source { rows: &rows, active: &[], further: Vec::new(), stale: 10 };
        let by_class = source.table(&["status"], |seen| Some(vec![seen.status[..1].to_owned()]));
        let found: Vec<_> = by_class.rows.iter().map(|row| (row.values.concat(), row.count())).collect();
        assert_eq!(found, [("2".to_owned(), 2), ("5".to_owned(), 1)]);
    }
}
