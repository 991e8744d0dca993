//! What a reader of the counters gets: metrics by name, each over a table of rows.

use super::row::{ActiveRow, TrafficRow};
use gatelens_model::{metric, prometheus};
use std::sync::Arc;

/// The answer to [`TrafficQuery`](super::TrafficQuery).
pub(crate) struct Traffic {
    metrics: Vec<Metric>,
    tables: Vec<Table>,
}

/// A family of metrics.
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) help: &'static str,
    /// As Prometheus names it.
    pub(crate) unit: Option<&'static str>,
    pub(crate) what: What,
    /// The place of its table.
    table: usize,
}

/// What a metric has of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// The number of requests, as a counter.
    Requests,
    /// Durations as a histogram, and as a native one where the format has it. Its bounds are those of the gateways.
    Durations,
    /// Durations as a histogram with these bounds, in nanoseconds.
    DurationsAt(Arc<[u64]>),
    /// Number and bytes of bodies, as a histogram without bounds.
    Sizes(Body),
    /// Number and bytes of bodies, as a summary without quantiles.
    SizeSummary(Body),
    /// Bytes of bodies, as a counter.
    Bytes(Body),
    /// Requests in progress, as a gauge.
    Active,
}

/// Which body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Request,
    Response,
}

/// Rows by the same labels.
#[derive(Default)]
pub(crate) struct Table {
    /// Names of the labels, in the order of the values of a row.
    pub(crate) labels: Vec<&'static str>,
    pub(crate) rows: Vec<TrafficRow>,
    /// Requests in progress.
    pub(crate) active: Vec<ActiveRow>,
}

impl Traffic {
    pub(super) fn new(tables: Vec<Table>) -> Self {
        Self { metrics: Vec::new(), tables }
    }

    /// The same with one metric more, if its table has something for it.
    pub(super) fn with(mut self, table: usize, metric: Metric) -> Self {
        let has_rows = self.tables.get(table).is_some_and(|table| match metric.what {
            What::Active => !table.active.is_empty(),
            _ => !table.rows.is_empty(),
        });
        if has_rows {
            self.metrics.push(Metric { table, ..metric });
        }
        self
    }

    /// All metrics with their tables.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = (&Metric, &Table)> {
        self.metrics.iter().filter_map(|metric| Some((metric, self.tables.get(metric.table)?)))
    }

    /// The metrics of OpenTelemetry's conventions, as Prometheus translates them, out of tables by direction: inbound, then
    /// outbound.
    pub(super) fn of_conventions(tables: [Table; 2]) -> Self {
        let mut traffic = Self::new(tables.into());
        for (table, prefix) in [metric::SERVER, metric::CLIENT].into_iter().enumerate() {
            for (name, unit, what) in [
                (metric::REQUEST_DURATION, "s", What::Durations),
                (metric::REQUEST_BODY_SIZE, "By", What::Sizes(Body::Request)),
                (metric::RESPONSE_BODY_SIZE, "By", What::Sizes(Body::Response)),
                (metric::ACTIVE_REQUESTS, "", What::Active),
            ] {
                traffic = traffic.with(table, Metric::of_convention(prefix, (name, unit), what));
            }
        }
        traffic
    }
}

impl Metric {
    /// A metric with the name of another exporter.
    pub(super) fn new(name: String, help: &'static str, what: What) -> Self {
        Self { name, help, unit: None, what, table: 0 }
    }

    /// The name without the end that samples of a counter have.
    pub(crate) fn family(&self) -> &str {
        match self.what {
            What::Requests | What::Bytes(_) => self.name.strip_suffix("_total").unwrap_or(&self.name),
            _ => &self.name,
        }
    }

    fn of_convention(prefix: &str, (name, unit): (&str, &str), what: What) -> Self {
        let name = format!("{prefix}{name}");
        let help = metric::description(&name);
        Self { name: prometheus::metric(&name, unit), help, unit: prometheus::unit(unit), what, table: 0 }
    }
}
