//! `gatelens query`: the figures of the page as a table, CSV or JSON.
//!
//! Exit status: 0 with an answer, 1 without one, 2 when the service refuses the question as wrong.

pub(crate) mod client;
mod export;
mod follow;
mod print;
mod sort;

use clap::ValueEnum;
use client::{Failure, Source};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Rows that one answer of the service holds at most.
const PAGE: u64 = 1000;
/// Rows printed of lists that the ingest answers in pages, unless others are asked for.
const DEFAULT_LIMIT: u64 = 100;
const DEFAULT_LIMIT_OF_GROUPS: u64 = 10_000;

#[derive(Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The question.
    question: Question,
    /// Address of a running ingest.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4318")]
    url: String,
    /// File with a token for reading, as `gatelens token new --role` makes it [default: the variable GATELENS_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with the authorities that signed the certificate of the ingest, in PEM [default: those of Mozilla]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Read the files of a data directory instead, whether or not an ingest uses it.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    data: Option<PathBuf>,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Start of the range: RFC 3339, Unix seconds, or an age such as -10m [default: an hour before --to; of drift, any time]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// End of the range, exclusive [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Only requests that a search finds, such as "status:5xx -status:503 duration>500ms path:/v1/* acme".
    #[arg(long, value_name = "SEARCH", allow_hyphen_values = true)]
    q: Option<String>,
    /// Print requests as they come, the earliest first, until Ctrl-C. Those of the last minute, or since --from, come first.
    #[arg(long, conflicts_with_all = ["to", "limit", "sort"])]
    follow: bool,
    /// Print all requests that match, the newest first, as CSV or as JSON with a request in each line. Progress is on stderr.
    #[arg(long, conflicts_with_all = ["follow", "sort", "columns"])]
    all: bool,
    /// Dimensions, separated by commas: consumer, group, method, route, status, grpc_status, error_type, host,
    /// upstream_cluster, service, environment, version, direction, gateway.
    #[arg(long, value_name = "DIMENSIONS")]
    group_by: Option<String>,
    /// Seconds that a point of a time series covers.
    #[arg(long, value_name = "SECONDS")]
    step: Option<u64>,
    /// Beside each count of summary and timeseries, that of a stretch before: the one that ends at --from, the same time a
    /// day or a week earlier, or the one that begins at a time.
    #[arg(long, value_name = "previous|day|week|TIME", allow_hyphen_values = true)]
    compare: Option<String>,
    /// Rows at most [default: 100 of requests, consumers and drift, 10,000 of summary and gateways]
    #[arg(long, value_name = "ROWS")]
    limit: Option<u64>,
    /// Only this service; this and the following may be repeated, or have several values with commas between them. A
    /// `!` before a value excludes it.
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Only this environment.
    #[arg(long, value_name = "NAME")]
    environment: Vec<String>,
    /// Only this version of the service.
    #[arg(long, value_name = "VERSION")]
    service_version: Vec<String>,
    /// Only this direction: inbound or outbound [default: inbound]
    #[arg(long, value_name = "DIRECTION")]
    direction: Vec<String>,
    /// Only this host that clients asked for.
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,
    /// Only this cluster of Envoy.
    #[arg(long, value_name = "NAME")]
    upstream_cluster: Vec<String>,
    /// Only this consumer.
    #[arg(long, value_name = "ID")]
    consumer: Vec<String>,
    /// Only consumers of this group.
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// Only this method.
    #[arg(long, value_name = "METHOD")]
    method: Vec<String>,
    /// Only this route template.
    #[arg(long, value_name = "ROUTE")]
    route: Vec<String>,
    /// Only this status: a code, a class such as 5xx, or 0 for requests without an answer.
    #[arg(long, value_name = "STATUS")]
    status: Vec<String>,
    /// Only this status of gRPC calls: a number, or a name such as UNAVAILABLE.
    #[arg(long, value_name = "STATUS")]
    grpc_status: Vec<String>,
    /// Only this cause, for example rate_limited.
    #[arg(long, value_name = "CAUSE")]
    error_type: Vec<String>,
    /// Only requests that this instance of a gateway reported.
    #[arg(long, value_name = "INSTANCE")]
    gateway: Vec<String>,
    /// Only requests with this ID; this and the following are for requests.
    #[arg(long, value_name = "ID")]
    request_id: Vec<String>,
    /// Only requests of this trace: 32 hexadecimal digits.
    #[arg(long, value_name = "ID")]
    trace_id: Vec<String>,
    /// Only requests of this path; `*` stands for any characters.
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,
    /// Only requests of the client at this address.
    #[arg(long, value_name = "ADDRESS")]
    client_address: Vec<String>,
    /// Only requests of this user agent; `*` stands for any characters.
    #[arg(long, value_name = "TEXT")]
    user_agent: Vec<String>,
    /// Only requests that took at least this long.
    #[arg(long, value_name = "MILLISECONDS")]
    min_duration_ms: Option<String>,
    /// Only requests that took at most this long.
    #[arg(long, value_name = "MILLISECONDS")]
    max_duration_ms: Option<String>,
    /// Only requests that spent at least this time upstream.
    #[arg(long, value_name = "MILLISECONDS")]
    min_upstream_ms: Option<String>,
    /// Order of requests: `time` or `duration` [default: time]; of other rows a column, such as p95_ms, with the largest
    /// first.
    #[arg(long, value_name = "ORDER")]
    sort: Option<String>,
    /// Columns of a table or of CSV, separated by commas [default: those that a terminal has room for; all in CSV]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    columns: Vec<String>,
    /// Only changes of this kind: route_new, route_vanished, field_new, field_vanished, type_changed, format_changed,
    /// became_optional or became_required; for drift. May be repeated.
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Only errors, or all others.
    #[arg(long, value_name = "true|false")]
    errors: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Question {
    /// Counts and percentiles by group.
    Summary,
    /// The same by time.
    Timeseries,
    /// The request log, newest or slowest first.
    Requests,
    /// The gateways, and whether anything of theirs is missing.
    Gateways,
    /// The consumers, with their names and groups.
    Consumers,
    /// The directory of consumers: names, groups and notes that people wrote.
    Directory,
    /// When services began to run other versions and gateways other configurations; of all times without --from.
    Releases,
    /// The share of minutes that were good, by service, route, gateway or probe; of 30 days without --from.
    Uptime,
    /// Changes of routes and of the fields of bodies, the latest first.
    Drift,
    /// The alerts that fire, recover, or are about to fire. Only a running service knows them.
    Alerts,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Csv,
    Json,
}

impl Question {
    /// The last part of the API's path.
    fn name(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::Timeseries => "timeseries",
            Self::Requests => "requests",
            Self::Gateways => "gateways",
            Self::Consumers => "consumers",
            Self::Directory => "directory",
            Self::Releases => "releases",
            Self::Uptime => "uptime",
            Self::Drift => "drift",
            Self::Alerts => "alerts",
        }
    }

    /// Rows to print where no limit is given; `None` for answers without pages.
    fn default_limit(self) -> Option<u64> {
        match self {
            Self::Timeseries | Self::Alerts => None,
            Self::Summary | Self::Gateways => Some(DEFAULT_LIMIT_OF_GROUPS),
            Self::Requests
            | Self::Consumers
            | Self::Directory
            | Self::Releases
            | Self::Uptime
            | Self::Drift => Some(DEFAULT_LIMIT),
        }
    }

    /// The answer's member that holds the rows.
    fn rows(self) -> &'static str {
        match self {
            Self::Timeseries => "points",
            Self::Alerts => "alerts",
            Self::Summary
            | Self::Requests
            | Self::Gateways
            | Self::Consumers
            | Self::Directory
            | Self::Releases
            | Self::Uptime
            | Self::Drift => "rows",
        }
    }
}

impl Arguments {
    /// The column that `--sort` names, for rows that the service has in an order of its own.
    fn column_to_sort_by(&self) -> Result<Option<&str>, Failure> {
        match self.question {
            // The service knows more requests than are printed.
            Question::Requests => Ok(None),
            Question::Timeseries | Question::Alerts => match self.sort {
                None => Ok(None),
                Some(_) => {
                    Err(Failure::Wrong(format!("{} have one order: leave --sort out", self.question.rows())))
                }
            },
            _ => Ok(self.sort.as_deref()),
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let source = match &arguments.data {
        Some(data) => {
            crate::log::start_with_warnings();
            Source::Directory(data.clone())
        }
        None => match client::token(arguments.token_file.as_deref())
            .and_then(|token| Source::service(&arguments.url, token, arguments.ca_file.as_deref()))
        {
            Ok(source) => source,
            Err(message) => {
                eprintln!("gatelens: {message}");
                return ExitCode::FAILURE;
            }
        },
    };
    let outcome = match arguments {
        Arguments { follow: true, .. } => follow::follow(&source, arguments),
        Arguments { all: true, .. } => export::export(&source, arguments),
        _ => once(&source, arguments),
    };
    let failure = match outcome {
        Ok(()) => return ExitCode::SUCCESS,
        // Ignore a closed pipe: `gatelens query … | head` reads only the beginning.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Err(failure) => failure,
    };
    eprintln!("gatelens: {failure}");
    match failure {
        Failure::Wrong(_) => ExitCode::from(2),
        Failure::Unreachable { .. } | Failure::Refused(_) | Failure::Strange { .. } | Failure::Output(_) => {
            ExitCode::FAILURE
        }
    }
}

/// Prints one answer.
fn once(source: &Source, arguments: &Arguments) -> Result<(), Failure> {
    let mut answer = ask(source, arguments)?;
    if let Some(column) = arguments.column_to_sort_by()? {
        sort::sort(&mut answer, arguments.question, column)?;
        // The first of all rows are not those of the service's first page.
        if let (Some(limit), Some(rows)) = (arguments.limit, answer[arguments.question.rows()].as_array_mut())
        {
            rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
    }
    let text = print::render(arguments.question, arguments.format, &arguments.columns, &answer)?;
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

/// The answer, with the rows of as many pages as were asked for.
fn ask(source: &Source, arguments: &Arguments) -> Result<Value, Failure> {
    let question = arguments.question;
    if question == Question::Alerts && arguments.data.is_some() {
        // The thresholds are in its configuration.
        return Err(Failure::Wrong(
            "only a running service knows its alerts: give its address with --url instead of --data"
                .to_owned(),
        ));
    }
    if arguments.column_to_sort_by()?.is_some() {
        return ask_pages(source, arguments, DEFAULT_LIMIT_OF_GROUPS);
    }
    let Some(default) = question.default_limit() else {
        return source.ask(question.name(), &parameters(arguments, arguments.limit, None));
    };
    ask_pages(source, arguments, arguments.limit.unwrap_or(default))
}

/// The answer with this many rows, where there are so many, out of pages.
fn ask_pages(source: &Source, arguments: &Arguments, limit: u64) -> Result<Value, Failure> {
    let name = arguments.question.name();
    let mut answer = source.ask(name, &parameters(arguments, Some(limit.min(PAGE)), None))?;
    loop {
        let found = answer["rows"].as_array().map_or(0, Vec::len) as u64;
        let Some(next) = answer["next"].as_str().filter(|_| found < limit) else { return Ok(answer) };
        let page = parameters(arguments, Some((limit - found).min(PAGE)), Some(next));
        client::append(&mut answer, &mut source.ask(name, &page)?);
    }
}

/// The arguments in the words of the API, which refuses one that does not belong to the question.
fn parameters(arguments: &Arguments, limit: Option<u64>, cursor: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let step = arguments.step.map(|step| step.to_string());
    let limit = limit.map(|limit| limit.to_string());
    let errors = arguments.errors.map(|errors| errors.to_string());
    let single = [
        ("from", arguments.from.as_deref()),
        ("to", arguments.to.as_deref()),
        ("q", arguments.q.as_deref()),
        ("group_by", arguments.group_by.as_deref()),
        ("step", step.as_deref()),
        ("compare", arguments.compare.as_deref()),
        ("limit", limit.as_deref()),
        ("cursor", cursor),
        ("errors", errors.as_deref()),
        ("sort", arguments.sort.as_deref().filter(|_| arguments.question == Question::Requests)),
        ("min_duration_ms", arguments.min_duration_ms.as_deref()),
        ("max_duration_ms", arguments.max_duration_ms.as_deref()),
        ("min_upstream_ms", arguments.min_upstream_ms.as_deref()),
    ];
    query.extend_pairs(single.iter().filter_map(|(name, value)| Some((name, (*value)?))));
    for (name, values) in [
        ("service", &arguments.service),
        ("environment", &arguments.environment),
        ("version", &arguments.service_version),
        ("direction", &arguments.direction),
        ("host", &arguments.host),
        ("upstream_cluster", &arguments.upstream_cluster),
        ("consumer", &arguments.consumer),
        ("group", &arguments.group),
        ("method", &arguments.method),
        ("route", &arguments.route),
        ("status", &arguments.status),
        ("grpc_status", &arguments.grpc_status),
        ("error_type", &arguments.error_type),
        ("gateway", &arguments.gateway),
        ("request_id", &arguments.request_id),
        ("trace_id", &arguments.trace_id),
        ("path", &arguments.path),
        ("client_address", &arguments.client_address),
        ("user_agent", &arguments.user_agent),
        ("kind", &arguments.kind),
    ] {
        query.extend_pairs(values.iter().map(|value| (name, value)));
    }
    query.finish()
}
