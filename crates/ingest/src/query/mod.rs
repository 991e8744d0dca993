//! Questions of the read API, typed: parsed once, answered by any [`Store`].
//!
//! [`Files`] answers out of a data directory. Each question opens connections of its own and reads one snapshot.

mod account;
mod audit;
mod compare;
mod consumers;
mod counts;
mod cursor;
mod dimension;
mod directory;
mod drift;
mod exemplars;
mod filter;
mod gateways;
mod glob;
mod issues;
mod kept;
mod labels;
mod latencies;
mod openapi;
mod openapi_comparison;
pub(crate) mod params;
mod patterns;
mod quantiles;
mod range;
mod releases;
mod requests;
mod rollup;
pub(crate) mod search;
mod senders;
mod shapes;
mod sorted;
mod spans;
mod traffic;
mod uptime;
mod windows;

pub(crate) use audit::{Audit, AuditQuery};
pub(crate) use consumers::{Consumers, ConsumersQuery};
pub(crate) use counts::{Summary, SummaryQuery, Timeseries, TimeseriesQuery};
pub(crate) use dimension::Dimension;
pub(crate) use directory::{Directory, DirectoryQuery};
pub(crate) use drift::{Drift, DriftQuery};
pub(crate) use exemplars::Exemplar;
pub(crate) use filter::{Filter, names as filter_names};
pub(crate) use gateways::{Gateways, GatewaysQuery};
pub(crate) use issues::{IssueDetail, IssueQuery, Issues, IssuesQuery};
pub(crate) use latencies::{Latencies, LatenciesQuery};
pub(crate) use openapi::{OpenApiQuery, SeenApi};
pub(crate) use openapi_comparison::{Comparison, ComparisonQuery, DocumentError};
pub(crate) use patterns::{Answer as Patterns, PatternsQuery};
pub(crate) use range::{Range, rfc3339};
pub(crate) use releases::{Releases, ReleasesQuery};
pub(crate) use requests::{
    Disclosure, ExportQuery, RequestsPage, RequestsQuery, Sender as LoggedSender, StreamQuery,
};
use rollup::FileCounts;
pub(crate) use rollup::{Counted, Groups, Sums};
pub(crate) use senders::Sender;
pub(crate) use shapes::{Shapes, ShapesQuery};
pub(crate) use spans::{Spans, SpansQuery};
pub(crate) use traffic::{
    ActiveRow, Body, Bucket, Exemplars, Metric, Table, Traffic, TrafficQuery, TrafficRow, What,
};
pub use traffic::{NotALabel, TrafficLabel};
pub(crate) use uptime::{Uptime, UptimeQuery};
pub(crate) use windows::{Window, WindowsQuery};

use crate::clickhouse::{ClickHouse, ServerCounts};
use crate::directory::Details;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::store::{DataDir, METRICS_FILE, StoreError, day_files, minutes_since, open_read};
use jiff::civil::Date;
pub(crate) use kept::Keeper;
use kept::{Kept, Memory};
use rusqlite::Connection;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where answers come from.
pub(crate) trait Store: Send + Sync {
    /// Counts by group.
    fn summary(&self, query: &SummaryQuery) -> Result<Summary, QueryError>;
    /// Counts by group and time.
    fn timeseries(&self, query: &TimeseriesQuery) -> Result<Timeseries, QueryError>;
    /// The distribution of durations over time.
    fn latencies(&self, query: &LatenciesQuery) -> Result<Latencies, QueryError>;
    /// A page of the request log.
    fn requests(&self, query: &RequestsQuery) -> Result<RequestsPage, QueryError>;
    /// The gateways that report.
    fn gateways(&self, query: &GatewaysQuery) -> Result<Gateways, QueryError>;
    /// The consumers.
    fn consumers(&self, query: &ConsumersQuery) -> Result<Consumers, QueryError>;
    /// The directory of consumers.
    fn directory(&self, query: &DirectoryQuery) -> Result<Directory, QueryError>;
    /// The entries of these IDs in the directory of consumers.
    fn details(&self, ids: &[String]) -> Result<HashMap<String, Details>, QueryError>;
    /// Changes of versions and configurations.
    fn releases(&self, query: &ReleasesQuery) -> Result<Releases, QueryError>;
    /// The share of minutes that were good.
    fn uptime(&self, query: &UptimeQuery) -> Result<Uptime, QueryError>;
    /// The routes that were learned.
    fn patterns(&self, query: &PatternsQuery) -> Result<Patterns, QueryError>;
    /// The changes of routes and bodies.
    fn drift(&self, query: &DriftQuery) -> Result<Drift, QueryError>;
    /// The fields of bodies.
    fn shapes(&self, query: &ShapesQuery) -> Result<Shapes, QueryError>;
    /// What was seen of an API, with an OpenAPI document of it.
    fn openapi(&self, query: &OpenApiQuery) -> Result<SeenApi, QueryError>;
    /// The audit log.
    fn audit(&self, query: &AuditQuery) -> Result<Audit, QueryError>;
    /// The error issues.
    fn issues(&self, query: &IssuesQuery) -> Result<Issues, QueryError>;
    /// One error issue.
    fn issue(&self, query: &IssueQuery) -> Result<IssueDetail, QueryError>;
    /// What applications reported of a trace.
    fn spans(&self, query: &SpansQuery) -> Result<Spans, QueryError>;
    /// All that was ever counted.
    fn traffic(&self, query: &TrafficQuery) -> Result<Traffic, QueryError>;
    /// Sums over stretches of minutes: `next` gets the sums of the stretch before, and gives the next one.
    fn windows(
        &self,
        query: &WindowsQuery<'_>,
        next: &mut dyn FnMut(Option<Window>) -> Option<Range>,
    ) -> Result<(), QueryError>;
    /// The epochs of gateways that reported after a time, in Unix nanoseconds.
    fn senders(&self, since: i64) -> Result<Vec<Sender>, QueryError>;
}

/// A question of the read API.
pub(crate) enum Question {
    Summary(SummaryQuery),
    Timeseries(TimeseriesQuery),
    Latencies(LatenciesQuery),
    Requests(Box<RequestsQuery>),
    Gateways(GatewaysQuery),
    Consumers(ConsumersQuery),
    Directory(DirectoryQuery),
    Releases(ReleasesQuery),
    Uptime(UptimeQuery),
    Patterns(PatternsQuery),
    Drift(DriftQuery),
    Shapes(ShapesQuery),
    OpenApi(OpenApiQuery),
    Audit(AuditQuery),
    Issues(Box<IssuesQuery>),
    Spans(SpansQuery),
}

/// The answer to a [`Question`].
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Summary(Summary),
    Timeseries(Timeseries),
    Latencies(Latencies),
    Requests(RequestsPage),
    Gateways(Gateways),
    Consumers(Consumers),
    Directory(Directory),
    Releases(Releases),
    Uptime(Uptime),
    Patterns(Patterns),
    Drift(Drift),
    Shapes(Shapes),
    OpenApi(serde_json::Value),
    Audit(Audit),
    Issues(Issues),
    Spans(Spans),
}

/// Which question it is: the last part of its path under `/api/v1/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Summary,
    Timeseries,
    Latencies,
    Requests,
    Gateways,
    Consumers,
    Directory,
    Releases,
    Uptime,
    Patterns,
    Drift,
    Shapes,
    OpenApi,
    Audit,
    Issues,
    Spans,
}

impl Kind {
    pub(crate) const ALL: [Self; 16] = [
        Self::Summary,
        Self::Timeseries,
        Self::Latencies,
        Self::Requests,
        Self::Gateways,
        Self::Consumers,
        Self::Directory,
        Self::Releases,
        Self::Uptime,
        Self::Patterns,
        Self::Drift,
        Self::Shapes,
        Self::OpenApi,
        Self::Audit,
        Self::Issues,
        Self::Spans,
    ];

    /// The name on the path.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Timeseries => "timeseries",
            Self::Latencies => "latencies",
            Self::Requests => "requests",
            Self::Gateways => "gateways",
            Self::Consumers => "consumers",
            Self::Directory => "directory",
            Self::Releases => "releases",
            Self::Uptime => "uptime",
            Self::Patterns => "patterns",
            Self::Drift => "drift",
            Self::Shapes => "shapes",
            Self::OpenApi => "openapi",
            Self::Audit => "audit",
            Self::Issues => "issues",
            Self::Spans => "spans",
        }
    }
}

impl Answer {
    /// Rows that show bodies or headers.
    pub(crate) fn captured_rows(&self) -> usize {
        match self {
            Self::Requests(page) => page.captured_rows(),
            _ => 0,
        }
    }
}

impl Question {
    /// Reads a query string; `now` is in Unix nanoseconds.
    pub(crate) fn parse(
        kind: Kind,
        query: Option<&str>,
        limits: &Limits,
        now: i64,
    ) -> Result<Self, QueryError> {
        Ok(match kind {
            Kind::Summary => Self::Summary(SummaryQuery::parse(query, now, limits)?),
            Kind::Timeseries => Self::Timeseries(TimeseriesQuery::parse(query, now, limits)?),
            Kind::Latencies => Self::Latencies(LatenciesQuery::parse(query, now)?),
            Kind::Requests => Self::Requests(Box::new(RequestsQuery::parse(query, now, limits)?)),
            Kind::Gateways => Self::Gateways(GatewaysQuery::parse(query, now, limits)?),
            Kind::Consumers => Self::Consumers(ConsumersQuery::parse(query, limits)?),
            Kind::Directory => Self::Directory(DirectoryQuery::parse(query, limits)?),
            Kind::Releases => Self::Releases(ReleasesQuery::parse(query, now, limits)?),
            Kind::Uptime => Self::Uptime(UptimeQuery::parse(query, now, limits)?),
            Kind::Patterns => Self::Patterns(PatternsQuery::parse(query, limits)?),
            Kind::Drift => Self::Drift(DriftQuery::parse(query, now, limits)?),
            Kind::Shapes => Self::Shapes(ShapesQuery::parse(query, limits)?),
            Kind::OpenApi => Self::OpenApi(OpenApiQuery::parse(query)?),
            Kind::Audit => Self::Audit(AuditQuery::parse(query, now, limits)?),
            Kind::Issues => Self::Issues(Box::new(IssuesQuery::parse(query, now, limits)?)),
            Kind::Spans => Self::Spans(SpansQuery::parse(query)?),
        })
    }

    /// The same question of a reader who may see less; `query` is its query string.
    ///
    /// # Errors
    /// When it searches for what the reader may not see.
    pub(crate) fn restrict(self, disclosure: Disclosure, query: Option<&str>) -> Result<Self, QueryError> {
        Ok(match self {
            Self::Requests(question) => Self::Requests(Box::new(question.restrict(disclosure, query)?)),
            Self::Issues(question) => Self::Issues(Box::new(question.restrict(disclosure))),
            Self::Spans(question) => Self::Spans(question.restrict(disclosure)),
            other => other,
        })
    }

    /// The earliest time that a question for requests is about, in Unix nanoseconds.
    pub(crate) fn from(&self) -> i64 {
        match self {
            Self::Requests(question) => question.from(),
            _ => i64::MIN,
        }
    }

    /// Asks a store.
    pub(crate) fn answer(&self, store: &dyn Store) -> Result<Answer, QueryError> {
        Ok(match self {
            Self::Summary(query) => Answer::Summary(store.summary(query)?),
            Self::Timeseries(query) => Answer::Timeseries(store.timeseries(query)?),
            Self::Latencies(query) => Answer::Latencies(store.latencies(query)?),
            Self::Requests(query) => Answer::Requests(store.requests(query)?),
            Self::Gateways(query) => Answer::Gateways(store.gateways(query)?),
            Self::Consumers(query) => Answer::Consumers(store.consumers(query)?),
            Self::Directory(query) => Answer::Directory(store.directory(query)?),
            Self::Releases(query) => Answer::Releases(store.releases(query)?),
            Self::Uptime(query) => Answer::Uptime(store.uptime(query)?),
            Self::Patterns(query) => Answer::Patterns(store.patterns(query)?),
            Self::Drift(query) => Answer::Drift(store.drift(query)?),
            Self::Shapes(query) => Answer::Shapes(store.shapes(query)?),
            Self::OpenApi(query) => Answer::OpenApi(store.openapi(query)?.document),
            Self::Audit(query) => Answer::Audit(store.audit(query)?),
            Self::Issues(query) => Answer::Issues(store.issues(query)?),
            Self::Spans(query) => Answer::Spans(store.spans(query)?),
        })
    }
}

/// The files of a data directory as a [`Store`]; the counters may be on a server.
pub(crate) struct Files {
    data: Arc<DataDir>,
    limits: Limits,
    kept: Kept,
    server: Option<Arc<ClickHouse>>,
}

impl Files {
    pub(crate) fn new(data: Arc<DataDir>, limits: Limits) -> Self {
        let kept = Kept::new(limits.kept_bytes);
        Self { data, limits, kept, server: None }
    }

    /// With the counters of a server.
    pub(crate) fn beside(self, server: Option<Arc<ClickHouse>>) -> Self {
        Self { server, ..self }
    }

    /// Answers out of one snapshot of the counts.
    fn with_counts<T>(
        &self,
        answer: impl FnOnce(&dyn Counted, Option<Memory<'_>>) -> Result<T, QueryError>,
    ) -> Result<T, QueryError> {
        let moments = self.data.moments();
        let moment = moments.moment();
        let mut file = open_counts(&self.data, self.limits.query_timeout)?;
        let snapshot = file.transaction()?;
        // A snapshot begins with the first thing that is read.
        minutes_since(&snapshot)?;
        match &self.server {
            Some(server) => answer(&ServerCounts::of(server, &snapshot, &self.limits)?, None),
            None => {
                let memory = Memory { kept: &self.kept, between: (moment, moments.seen()) };
                answer(&FileCounts::of(&snapshot), Some(memory))
            }
        }
    }
}

impl Store for Files {
    fn summary(&self, query: &SummaryQuery) -> Result<Summary, QueryError> {
        self.with_counts(|counted, memory| query.answer(counted, &self.limits, memory))
    }

    fn timeseries(&self, query: &TimeseriesQuery) -> Result<Timeseries, QueryError> {
        self.with_counts(|counted, memory| query.answer(counted, &self.limits, memory))
    }

    fn latencies(&self, query: &LatenciesQuery) -> Result<Latencies, QueryError> {
        self.with_counts(|counted, memory| query.answer(counted, &self.limits, memory))
    }

    fn requests(&self, query: &RequestsQuery) -> Result<RequestsPage, QueryError> {
        query.answer((&self.data, self.server.as_deref()), &self.limits)
    }

    fn gateways(&self, query: &GatewaysQuery) -> Result<Gateways, QueryError> {
        query.answer((&self.data, self.server.as_deref()), &self.limits)
    }

    fn consumers(&self, query: &ConsumersQuery) -> Result<Consumers, QueryError> {
        query.answer(&self.data, &self.limits)
    }

    fn directory(&self, query: &DirectoryQuery) -> Result<Directory, QueryError> {
        query.answer(&self.data, &self.limits)
    }

    fn details(&self, ids: &[String]) -> Result<HashMap<String, Details>, QueryError> {
        directory::details_of(&self.data, &self.limits, ids)
    }

    fn releases(&self, query: &ReleasesQuery) -> Result<Releases, QueryError> {
        query.answer(&self.data, &self.limits)
    }

    fn uptime(&self, query: &UptimeQuery) -> Result<Uptime, QueryError> {
        query.answer(&self.data, &self.limits)
    }

    fn patterns(&self, query: &PatternsQuery) -> Result<Patterns, QueryError> {
        query.answer(&self.data, &self.limits)
    }

    fn drift(&self, query: &DriftQuery) -> Result<Drift, QueryError> {
        query.answer(&self.data, &self.limits)
    }

    fn shapes(&self, query: &ShapesQuery) -> Result<Shapes, QueryError> {
        query.answer(&self.data, &self.limits)
    }

    fn openapi(&self, query: &OpenApiQuery) -> Result<SeenApi, QueryError> {
        query.answer(&self.data, &self.limits)
    }

    fn audit(&self, query: &AuditQuery) -> Result<Audit, QueryError> {
        query.answer(&self.data, &self.limits)
    }

    fn issues(&self, query: &IssuesQuery) -> Result<Issues, QueryError> {
        query.answer(&self.data, &self.limits)
    }

    fn issue(&self, query: &IssueQuery) -> Result<IssueDetail, QueryError> {
        query.answer(&self.data, &self.limits)
    }

    fn spans(&self, query: &SpansQuery) -> Result<Spans, QueryError> {
        query.answer(&self.data, self.server.as_deref())
    }

    fn traffic(&self, query: &TrafficQuery) -> Result<Traffic, QueryError> {
        query.answer((&self.data, self.server.as_deref()), &self.limits)
    }

    fn windows(
        &self,
        query: &WindowsQuery<'_>,
        next: &mut dyn FnMut(Option<Window>) -> Option<Range>,
    ) -> Result<(), QueryError> {
        self.with_counts(|counted, _| query.answer(counted, &self.limits, next))
    }

    fn senders(&self, since: i64) -> Result<Vec<Sender>, QueryError> {
        senders::senders(&self.data, &self.limits, since)
    }
}

/// Virtual-machine instructions of SQLite between two looks at the clock.
const STEPS_BETWEEN_LOOKS: i32 = 100_000;

/// Opens the file of counters for one query, which is interrupted at its deadline.
pub(crate) fn open_counts(directory: &DataDir, timeout: Duration) -> Result<Connection, QueryError> {
    let found = open(&directory.path().join(METRICS_FILE), timeout)?;
    found.ok_or(QueryError::Store(StoreError::Unreadable { what: "file of counters" }))
}

/// Opens the files of the request log for one query, the latest day first. One that cannot be read is noted and
/// passed over: the others are still good.
pub(crate) fn open_days(
    directory: &DataDir,
    timeout: Duration,
) -> Result<Vec<(PathBuf, Date, Connection)>, QueryError> {
    let mut open_files = Vec::new();
    for (path, day) in day_files(directory.path())? {
        match open(&path, timeout).and_then(at_one_moment) {
            Ok(file) => open_files.extend(file.map(|file| (path, day, file))),
            Err(error) => pass_over(directory, &path, error)?,
        }
    }
    Ok(open_files)
}

/// A chunk may be added to, or removed, while others are read: all are read as they are at the first look.
fn at_one_moment(file: Option<Connection>) -> Result<Option<Connection>, QueryError> {
    if let Some(file) = &file {
        file.execute_batch("BEGIN")?;
    }
    Ok(file)
}

/// Notes that a file cannot be read to its end.
///
/// # Errors
/// When that is not the fault of the file.
pub(crate) fn pass_over(directory: &DataDir, path: &Path, error: QueryError) -> Result<(), QueryError> {
    match error {
        // Retention may have been faster.
        QueryError::Store(_) if !path.exists() => Ok(()),
        QueryError::Store(error) => {
            if error.is_damage() || matches!(error, StoreError::Unreadable { .. }) {
                directory.scrub().suspect();
            }
            directory.note(path, format!("cannot be read: {error}"));
            Ok(())
        }
        other => Err(other),
    }
}

/// The same for a file of the request log, which is `None` when nothing has come to it yet.
fn open(path: &Path, timeout: Duration) -> Result<Option<Connection>, QueryError> {
    let Some(connection) = open_read(path)? else { return Ok(None) };
    let deadline = Instant::now() + timeout;
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || Instant::now() > deadline))?;
    Ok(Some(connection))
}
