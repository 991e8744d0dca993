//! `gatelens store`: a store on ClickHouse before it is used. `plan` prints what it takes for some traffic, `schema` its tables,
//! and `copy` fills it.

use gatelens_ingest::config::Size;
use gatelens_ingest::upkeep::copy::{Copied, copy};
use gatelens_ingest::{Address, ClickHouseConfig, Layout, Limits, store_schema};
use serde_json::json;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;

/// Plan and fill a store on ClickHouse.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Print nodes, disks and partitions for some traffic, with the measured figures behind each.
    Plan(Plan),
    /// Copy the counts, the counters' states and the log of a directory that no service uses. It may be repeated: nothing counts
    /// twice.
    Copy(Copy),
    /// Print the statements that make the tables: of one server, of a cluster that replicates them, or of shards.
    Schema(Schema),
}

#[derive(clap::Args)]
struct Schema {
    /// Name of the database.
    #[arg(long, value_name = "NAME", default_value = "gatelens", value_parser = database)]
    database: String,
    /// Name of the cluster on whose nodes the tables are, replicated under the macros {shard} and {replica}.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Divide the tables among the shards of the cluster.
    #[arg(long, requires = "cluster")]
    sharded: bool,
}

/// The name of a database, which needs no quotes.
fn database(name: &str) -> Result<String, String> {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    match name.chars().next() {
        Some(first) if is_plain && !first.is_ascii_digit() => Ok(name.to_owned()),
        _ => Err("expected letters, digits and _".to_owned()),
    }
}

#[derive(clap::Args)]
struct Copy {
    /// Directory with the data.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// ClickHouse to copy to, as clickhouse+http://user@host:8123/database or clickhouse+https://user@host:8443/database.
    #[arg(long, value_name = "URL")]
    store: Address,
    /// File with the password of its user.
    #[arg(long, value_name = "FILE")]
    store_password: Option<PathBuf>,
    /// File with the authorities that sign the certificate of the ClickHouse, in PEM. Without it, those that browsers trust.
    #[arg(long, value_name = "FILE")]
    store_ca: Option<PathBuf>,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(clap::Args)]
struct Plan {
    /// Requests a second, on the average of a day.
    #[arg(long, value_name = "N")]
    rps: NonZeroU64,
    /// Of a hundred requests, those that are in the log.
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=100))]
    logged: u64,
    /// Bytes of captured bodies of a logged request, as the gateways send them.
    #[arg(long, value_name = "SIZE", default_value = "0B")]
    bodies: Size,
    /// Series that count in an average minute at each gateway.
    #[arg(long, value_name = "N", default_value_t = 200)]
    series: u64,
    /// Gateways.
    #[arg(long, value_name = "N", default_value_t = 10)]
    gateways: u64,
    /// Days that the request log is kept.
    #[arg(long, value_name = "DAYS", default_value_t = 15)]
    keep_requests: u64,
    /// Days that counts by minute are kept.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    keep_minutes: u64,
    /// Days that counts by half hour are kept.
    #[arg(long, value_name = "DAYS", default_value_t = 396)]
    keep_half_hours: u64,
    /// Copies of the data.
    #[arg(long, value_name = "N", default_value = "2")]
    copies: NonZeroU64,
    /// Disk of a node of ClickHouse.
    #[arg(long, value_name = "SIZE", default_value = "4TiB")]
    disk: Size,
    /// Cores of a node of ClickHouse, and of a replica of the ingest.
    #[arg(long, value_name = "N", default_value = "16")]
    cores: NonZeroU64,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What was measured on two shared cores with the engine of 26.9 (ADR 37), and three assumptions.
mod measured {
    /// Bytes of a row of `requests` without bodies and headers; 37 of them are random IDs of requests, traces and spans.
    pub(super) const LOG_ROW: u64 = 65;
    /// Assumed: bytes that remain of a hundred bytes of a body.
    pub(super) const BODY_PERCENT: u64 = 50;
    /// Bytes of a row of `minutes`, of 20 million rows of one to six requests each, with the sums of their classes.
    pub(super) const MINUTE_ROW: u64 = 46;
    /// Bytes of a row of `half_hours`, of the same.
    pub(super) const HALF_HOUR_ROW: u64 = 193;
    /// Assumed: bytes of a row of `days`, of which the distributions have up to two and a half times the bytes.
    pub(super) const DAY_ROW: u64 = 480;
    /// Bytes of a row of `reported`, and of one of `states`, of two distributions with 120 buckets each.
    pub(super) const REPORT_ROW: u64 = 315;
    pub(super) const STATE_ROW: u64 = 471;
    /// Nanoseconds of a core that the ingest takes for a logged request, with files (`make bench-ingest`).
    pub(super) const INGEST_NANOS: u64 = 8_300;
    /// Rows of the log that a core of ClickHouse takes in a second: half of the 209,000 that one thread inserts. Assumed: merges
    /// take the other half.
    pub(super) const INSERTED_PER_CORE: u64 = 100_000;
}

const DAY_SECONDS: u64 = 86_400;
const DAY_MINUTES: u64 = 1_440;
/// Days for which reports are kept before the block that they belong to is closed for good.
const REPORT_DAYS: u64 = 3;
/// Reports of a series in a minute, and states of it in a day.
const REPORTS_PER_MINUTE: u64 = 1;
const STATES_PER_DAY: u64 = 144;
/// Of a hundred bytes or cycles, those that a plan uses: merges and peaks need the rest.
const USED_PERCENT: u64 = 60;

/// A line of the plan.
struct Line {
    table: &'static str,
    rows_per_day: u64,
    days: u64,
    bytes: u64,
    partitions: u64,
    behind: String,
}

/// 0 when it is done, 1 when it cannot be, 2 for a wrong command line.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Plan(plan) => print_plan(&plan),
        Command::Copy(arguments) => copy_directory(arguments),
        Command::Schema(arguments) => print_schema(arguments),
    }
}

/// Prints the statements of the tables, each with its semicolon.
fn print_schema(arguments: Schema) -> ExitCode {
    let Schema { database, cluster, sharded } = arguments;
    let layout = match (cluster, sharded) {
        (None, _) => Layout::Single,
        (Some(cluster), false) => Layout::Replicated(cluster),
        (Some(cluster), true) => Layout::Sharded(cluster),
    };
    let statements = store_schema(&database, &layout);
    println!("{};", statements.join(";\n\n"));
    ExitCode::SUCCESS
}

/// Copies a directory.
fn copy_directory(arguments: Copy) -> ExitCode {
    let Copy { data, store, store_password, store_ca, format } = arguments;
    crate::log::start_with_warnings();
    let store = ClickHouseConfig { address: store, password: store_password, ca: store_ca };
    let progress = |part: &str| eprintln!("gatelens: copying {part}");
    match copy(&data, &store, &Limits::default(), progress) {
        Ok(copied) => {
            match format {
                Format::Text => print!("{}", text(&copied)),
                Format::Json => println!("{:#}", json!(copied)),
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("gatelens: {error}");
            ExitCode::FAILURE
        }
    }
}

fn text(copied: &Copied) -> String {
    let Copied { series, streams, minutes, half_hours, requests, bytes, file_bytes, damaged } = copied;
    let mut text = format!(
        "copied: {series} series, the states of {streams} streams, {minutes} rows of minutes, {half_hours} rows of half hours, \
         {requests} requests of the log; {} sent, from files of {}\n",
        size(*bytes),
        size(*file_bytes)
    );
    if *damaged > 0 {
        text.push_str(&format!(
            "{damaged} rows or chunks are damaged and were left out: `gatelens scrub` says which\n"
        ));
    }
    text
}

fn print_plan(plan: &Plan) -> ExitCode {
    let lines = plan.lines();
    let bytes: u64 = lines.iter().fold(0, |sum, line| sum.saturating_add(line.bytes));
    let stored = bytes.saturating_mul(plan.copies.get());
    let logged = plan.logged_per_second();
    let usable = |all: u64| (all / 100).saturating_mul(USED_PERCENT).max(1);
    let by_disk = stored.div_ceil(usable(plan.disk.bytes()));
    let inserted = logged.saturating_mul(plan.copies.get());
    let by_inserts = inserted.div_ceil(usable(plan.cores.get() * measured::INSERTED_PER_CORE));
    let nodes = by_disk.max(by_inserts).max(plan.copies.get());
    let ingest_cores = logged.saturating_mul(measured::INGEST_NANOS).div_ceil(1_000_000_000);
    let replicas = (ingest_cores * 100).div_ceil(plan.cores.get() * USED_PERCENT).max(2);
    match plan.format {
        Format::Json => {
            let tables: Vec<_> = lines
                .iter()
                .map(|line| {
                    json!({"table": line.table, "rows_per_day": line.rows_per_day, "days": line.days, "bytes": line.bytes,
                           "partitions": line.partitions, "behind": line.behind})
                })
                .collect();
            let plan = json!({"tables": tables, "bytes": bytes, "bytes_of_all_copies": stored, "nodes": nodes,
                              "nodes_for_the_disk": by_disk, "nodes_for_inserts": by_inserts, "ingest_replicas": replicas});
            println!("{plan:#}");
        }
        Format::Text => {
            println!(
                "{:<12} {:>16} {:>6} {:>10} {:>11}  behind it",
                "table", "rows a day", "days", "bytes", "partitions"
            );
            for Line { table, rows_per_day, days, bytes, partitions, behind } in &lines {
                println!(
                    "{table:<12} {rows_per_day:>16} {days:>6} {:>10} {partitions:>11}  {behind}",
                    size(*bytes)
                );
            }
            println!();
            println!("{} in {} copies: {}", size(bytes), plan.copies, size(stored));
            println!(
                "ClickHouse: {nodes} nodes of {} cores and {} ({by_disk} for the disk, {by_inserts} for inserts of {inserted} rows a second at {} for each core; {USED_PERCENT} % used)",
                plan.cores,
                plan.disk,
                measured::INSERTED_PER_CORE
            );
            println!(
                "gatelens serve: {replicas} replicas of {} cores ({logged} logged requests a second, {} ns of a core for each)",
                plan.cores,
                measured::INGEST_NANOS
            );
            println!(
                "The figures are of two shared cores, and merges and bodies are assumed (docs/clickhouse.md): measure your own traffic before you buy."
            );
        }
    }
    ExitCode::SUCCESS
}

impl Plan {
    fn logged_per_second(&self) -> u64 {
        self.rps.get().saturating_mul(self.logged) / 100
    }

    fn lines(&self) -> Vec<Line> {
        let counted = self.series.saturating_mul(self.gateways);
        let body = self.bodies.bytes().saturating_mul(measured::BODY_PERCENT) / 100;
        let line =
            |table, rows_per_day: u64, days: u64, row: u64, partition_days: u64, behind: String| Line {
                table,
                rows_per_day,
                days,
                bytes: rows_per_day.saturating_mul(days).saturating_mul(row),
                partitions: days.div_ceil(partition_days),
                behind,
            };
        let bodies = if body > 0 { format!(", {body} of bodies") } else { String::new() };
        let log_row = measured::LOG_ROW.saturating_add(body);
        vec![
            line(
                "requests",
                self.logged_per_second().saturating_mul(DAY_SECONDS),
                self.keep_requests,
                log_row,
                1,
                format!("{log_row} bytes a row{bodies}"),
            ),
            line(
                "reported",
                counted.saturating_mul(DAY_MINUTES * REPORTS_PER_MINUTE),
                REPORT_DAYS,
                measured::REPORT_ROW,
                1,
                format!("{} bytes a series, gateway and minute", measured::REPORT_ROW),
            ),
            line(
                "states",
                counted.saturating_mul(STATES_PER_DAY),
                REPORT_DAYS,
                measured::STATE_ROW,
                1,
                format!("{} bytes a series, gateway and ten minutes", measured::STATE_ROW),
            ),
            line(
                "minutes",
                counted.saturating_mul(DAY_MINUTES),
                self.keep_minutes,
                measured::MINUTE_ROW,
                1,
                format!("{} bytes a series, gateway and minute", measured::MINUTE_ROW),
            ),
            line(
                "half_hours",
                counted.saturating_mul(DAY_MINUTES / 30),
                self.keep_half_hours,
                measured::HALF_HOUR_ROW,
                30,
                format!("{} bytes a series, gateway and half hour", measured::HALF_HOUR_ROW),
            ),
            line(
                "days",
                counted,
                self.keep_half_hours,
                measured::DAY_ROW,
                30,
                format!("{} bytes a series, gateway and day", measured::DAY_ROW),
            ),
        ]
    }
}

/// A number of bytes in the largest unit of which it has some.
fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        plan: Plan,
    }

    fn plan(arguments: &[&str]) -> Plan {
        Cli::try_parse_from([&["plan"], arguments].concat()).unwrap().plan
    }

    #[test]
    fn a_plan_multiplies_what_was_measured() {
        let lines = plan(&["--rps", "1000000", "--logged", "10", "--keep-requests", "7"]).lines();
        assert_eq!(lines[0].rows_per_day, 8_640_000_000);
        assert_eq!(lines[0].bytes, 8_640_000_000 * 7 * measured::LOG_ROW);
        assert_eq!((lines[0].partitions, lines[4].partitions), (7, 14));
        let more =
            plan(&["--rps", "1000000", "--logged", "10", "--keep-requests", "7", "--bodies", "1KiB"]).lines();
        assert_eq!(more[0].bytes - lines[0].bytes, 8_640_000_000 * 7 * 512);
        assert_eq!(lines[3].rows_per_day, 2_000 * 1_440);
    }

    #[test]
    fn numbers_that_cannot_be_multiplied_stay_at_the_most() {
        let most = u64::MAX.to_string();
        let lines = plan(&["--rps", &most, "--series", &most, "--gateways", &most]).lines();
        assert_eq!(lines[0].bytes, u64::MAX);
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(
            [0, 999, 1_000, 1_500_000, u64::MAX].map(size),
            ["0 B", "999 B", "1.0 kB", "1.5 MB", "18446.7 PB"]
        );
    }
}
