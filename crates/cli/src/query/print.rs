//! Answers as text.

use super::client::Failure;
use super::{Format, Question};
use comfy_table::{CellAlignment, Table, presets};
use gatelens_ingest::text::{inert, is_format};
use serde_json::Value;
use std::borrow::Cow;

const GROUPS: [&str; 16] = [
    "service",
    "environment",
    "version",
    "direction",
    "gateway",
    "consumer",
    "consumer_name",
    "consumer_group",
    "group",
    "method",
    "route",
    "host",
    "upstream_cluster",
    "status",
    "grpc_status",
    "error_type",
];
/// Columns of counts, and the same of the stretch before.
macro_rules! sums {
    ($($name:literal),* $(,)?) => {
        const SUMS: [&str; 15] = [$($name),*];
        const BEFORE: [&str; 15] = [$(concat!("before.", $name)),*];
    };
}

sums!(
    "requests",
    "errors",
    "request_bytes",
    "response_bytes",
    "attempts",
    "p50_ms",
    "p75_ms",
    "p95_ms",
    "p99_ms",
    "upstream_requests",
    "upstream_p50_ms",
    "upstream_p95_ms",
    "gateway_requests",
    "gateway_p50_ms",
    "gateway_p95_ms",
);
const REQUEST_SHORT: [&str; 10] = [
    "time",
    "consumer",
    "method",
    "path",
    "status",
    "duration_ms",
    "upstream_ms",
    "attempts",
    "error_type",
    "request_id",
];
const CONSUMER: [&str; 12] = [
    "service",
    "environment",
    "direction",
    "id",
    "name",
    "group",
    "first_seen",
    "last_seen",
    "note",
    "in_directory",
    "reported_name",
    "reported_group",
];
const CONSUMER_SHORT: [&str; 9] =
    ["service", "environment", "direction", "id", "name", "group", "first_seen", "last_seen", "note"];
const DIRECTORY: [&str; 6] = ["id", "name", "group", "note", "changed_at", "changed_by"];
const UPTIME: [&str; 14] = [
    "service",
    "environment",
    "method",
    "route",
    "gateway",
    "probe",
    "state",
    "uptime",
    "minutes",
    "bad",
    "silent",
    "latest.time",
    "latest.status",
    "latest.error",
];
const RELEASE: [&str; 9] =
    ["first_seen", "service", "environment", "kind", "value", "previous", "gateways_total", "id", "gateways"];
const DRIFT: [&str; 15] = [
    "time",
    "kind",
    "service",
    "environment",
    "direction",
    "method",
    "route",
    "message",
    "status",
    "field",
    "before",
    "after",
    "version",
    "request_id",
    "trace_id",
];
const DRIFT_SHORT: [&str; 10] =
    ["time", "kind", "method", "route", "message", "status", "field", "before", "after", "version"];
/// Everything except `spark`, which is a list.
const ISSUE: [&str; 28] = [
    "id",
    "kind",
    "state",
    "service",
    "environment",
    "direction",
    "method",
    "route",
    "status",
    "grpc_status",
    "error_type",
    "class",
    "message",
    "requests",
    "total",
    "logged",
    "consumers",
    "more_consumers",
    "first_seen",
    "last_seen",
    "first_version",
    "last_version",
    "regressed_at",
    "resolved_at",
    "in_next_release",
    "changed_at",
    "changed_by",
    "withheld",
];
const ISSUE_SHORT: [&str; 10] =
    ["id", "state", "status", "method", "route", "class", "message", "requests", "consumers", "last_seen"];
/// Everything except `recent`, the values of the last hour, which is a list.
const ALERT: [&str; 16] = [
    "id",
    "rule",
    "severity",
    "state",
    "labels",
    "since",
    "fired_at",
    "value",
    "threshold",
    "recover_at",
    "side",
    "measure",
    "unit",
    "muted",
    "announced_at",
    "view",
];
const ALERT_SHORT: [&str; 9] =
    ["rule", "severity", "state", "labels", "since", "value", "side", "threshold", "unit"];
const GATEWAY: [&str; 33] = [
    "instance",
    "epoch",
    "service",
    "environment",
    "version",
    "config_hash",
    "first_seen",
    "last_seen",
    "series",
    "overflow",
    "ended",
    "captured",
    "sent",
    "stored",
    "held",
    "dropped.queue_full",
    "dropped.rejected",
    "dropped.expired",
    "dropped.lost",
    "queue_bytes",
    "export_failures",
    "workers",
    "workers_lost",
    "uncounted",
    "not_logged.excluded",
    "not_logged.sampled_out",
    "excluded_from_counters",
    "active_requests",
    "busy_seconds",
    "tags",
    "gaps.metrics",
    "gaps.logs",
    "redaction",
];
const GATEWAY_SHORT: [&str; 11] = [
    "instance",
    "epoch",
    "service",
    "version",
    "last_seen",
    "series",
    "overflow",
    "captured",
    "stored",
    "held",
    "gaps.logs",
];

/// The text to print, with a line end after its last line. Without `wanted` columns it has the usual ones.
///
/// # Errors
/// A wanted column that is not there, or columns of JSON.
pub(super) fn render(
    question: Question,
    format: Format,
    wanted: &[String],
    answer: &Value,
) -> Result<String, Failure> {
    let rows = rows(question, answer);
    match format {
        Format::Json if wanted.is_empty() => Ok(format!("{answer:#}\n")),
        Format::Json => Err(Failure::Wrong(
            "JSON has all columns: leave --columns out, or ask for --format csv or table".to_owned(),
        )),
        Format::Csv => {
            let text = csv(&chosen(question, Extent::Whole, wanted, rows)?, rows);
            Ok(text.map_err(std::io::Error::from)?)
        }
        Format::Table => Ok(table(&chosen(question, Extent::Short, wanted, rows)?, rows)),
    }
}

/// The text of further rows: without a header, as [`render`] has printed it. As JSON, a row is a line.
///
/// # Errors
/// As [`render`].
pub(super) fn render_more(
    question: Question,
    format: Format,
    wanted: &[String],
    answer: &Value,
) -> Result<String, Failure> {
    if format == Format::Json {
        return Ok(rows(question, answer).iter().map(|row| format!("{row}\n")).collect());
    }
    let text = render(question, format, wanted, answer)?;
    Ok(text.split_once('\n').map_or_else(String::new, |(_, rows)| rows.to_owned()))
}

fn rows(question: Question, answer: &Value) -> &[Value] {
    answer[question.rows()].as_array().map_or(&[], Vec::as_slice)
}

/// The wanted columns, or the usual ones.
fn chosen<'a>(
    question: Question,
    extent: Extent,
    wanted: &'a [String],
    rows: &[Value],
) -> Result<Vec<&'a str>, Failure> {
    if wanted.is_empty() {
        return Ok(columns(question, extent, rows));
    }
    let known = columns(question, Extent::Whole, rows);
    let is_known =
        |column: &str| known.contains(&column) || rows.iter().any(|row| !value(row, column).is_null());
    match wanted.iter().find(|column| !is_known(column)) {
        None => Ok(wanted.iter().map(String::as_str).collect()),
        Some(column) => {
            let known = known.join(", ");
            Err(Failure::Wrong(format!("there is no column `{column}` (--columns); columns are {known}")))
        }
    }
}

/// How many columns are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// What fits a terminal.
    Short,
}

/// The usual columns.
pub(super) fn columns(question: Question, extent: Extent, rows: &[Value]) -> Vec<&'static str> {
    match (question, extent) {
        (Question::Requests, Extent::Whole) => gatelens_ingest::request_columns(),
        (Question::Requests, Extent::Short) => REQUEST_SHORT.to_vec(),
        (Question::Gateways, Extent::Whole) => GATEWAY.to_vec(),
        (Question::Consumers, Extent::Whole) => CONSUMER.to_vec(),
        (Question::Consumers, Extent::Short) => CONSUMER_SHORT.to_vec(),
        (Question::Directory, _) => DIRECTORY.to_vec(),
        (Question::Uptime, _) => {
            let is_there = |name: &&str| rows.iter().any(|row| !value(row, name).is_null());
            UPTIME.into_iter().filter(is_there).collect()
        }
        (Question::Releases, Extent::Whole) => RELEASE.to_vec(),
        (Question::Releases, Extent::Short) => {
            RELEASE.iter().copied().filter(|name| *name != "gateways").collect()
        }
        (Question::Drift, Extent::Whole) => DRIFT.to_vec(),
        (Question::Drift, Extent::Short) => DRIFT_SHORT.to_vec(),
        (Question::Issues, Extent::Whole) => ISSUE.to_vec(),
        (Question::Issues, Extent::Short) => ISSUE_SHORT.to_vec(),
        (Question::Alerts, Extent::Whole) => ALERT.to_vec(),
        (Question::Alerts, Extent::Short) => ALERT_SHORT.to_vec(),
        (Question::Gateways, Extent::Short) => GATEWAY_SHORT.to_vec(),
        (Question::Summary | Question::Timeseries, _) => {
            let grouped = GROUPS.into_iter().filter(|name| rows.iter().any(|row| row.get(name).is_some()));
            let sums = SUMS.into_iter().filter(|name| {
                let own = name.starts_with("upstream") || name.starts_with("gateway_");
                extent == Extent::Whole || !own || *name == "upstream_p95_ms"
            });
            let time = (question == Question::Timeseries).then_some("time");
            // A table has them in the columns of the range.
            let is_compared = extent == Extent::Whole && rows.iter().any(|row| row.get("before").is_some());
            let before = time.map(|_| "before.time").into_iter().chain(BEFORE).filter(|_| is_compared);
            time.into_iter().chain(grouped).chain(sums).chain(before).collect()
        }
    }
}

/// The value of a column; that of a value in an object is named with a dot.
pub(super) fn value<'a>(row: &'a Value, column: &str) -> &'a Value {
    column.split('.').fold(row, |value, key| &value[key])
}

fn cell(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// A number with a fraction has three digits or more, which is as exact as percentiles are; CSV and JSON have all.
fn brief(value: &Value) -> Cow<'_, str> {
    let fraction = value.as_f64().filter(|number| value.is_f64() && number.fract() != 0.0);
    let Some(number) = fraction else { return cell(value) };
    let decimals = match number.abs() {
        large if large >= 100.0 => 0,
        large if large >= 10.0 => 1,
        large if large >= 1.0 => 2,
        large if large >= 0.001 => 4,
        _ => return cell(value),
    };
    let text = format!("{number:.decimals$}");
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    Cow::Owned(text.to_owned())
}

/// RFC 4180, except that lines end with a line feed.
fn csv(columns: &[&str], rows: &[Value]) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns)?;
    for row in rows {
        writer.write_record(columns.iter().map(|column| harmless(value(row, column)).into_owned()))?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Clients write paths and user agents, so a text is made inert. A number stays a number.
fn harmless(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Owned(inert(text)),
        other => cell(other),
    }
}

fn table(columns: &[&str], rows: &[Value]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(columns.iter().copied());
    for row in rows {
        table.add_row(columns.iter().map(|column| visible(&with_before(row, column))));
    }
    for (column, name) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        if rows.iter().any(|row| value(row, name).is_number()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt() + "\n"
}

/// The cell of a table: "before → now" for a figure that is compared, with "-" where there is none.
fn with_before<'a>(row: &'a Value, column: &str) -> Cow<'a, str> {
    let now = value(row, column);
    let before = Some(&row["before"]).filter(|before| before.is_object() && SUMS.contains(&column));
    let Some(before) = before else { return brief(now) };
    let [before, now] =
        [&before[column], now].map(|value| if value.is_null() { Cow::Borrowed("-") } else { brief(value) });
    Cow::Owned(format!("{before} → {now}"))
}

/// Text of clients with everything that would steer a terminal, or turn or hide other text, as a visible escape.
fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() || is_format(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells_are_quoted_and_made_harmless() {
        let rows = [
            json!({"a": "x,\"y\"\n", "b": {"c": 5}, "d": null}),
            json!({"a": "\u{1b}[31mred", "b": {"c": 12}}),
        ];
        let expected = "a,b.c,d\n\"x,\"\"y\"\"\n\",5,\n\\u{1b}[31mred,12,\n";
        assert_eq!(csv(&["a", "b.c", "d"], &rows).unwrap(), expected);
        let expected = "a              b.c  d\nx,\"y\"\\n          5\n\\u{1b}[31mred   12\n";
        assert_eq!(table(&["a", "b.c", "d"], &rows), expected);
    }

    #[test]
    fn a_table_has_digits_that_mean_something() {
        for (number, text) in [
            (json!(1234.5678), "1235"),
            (json!(12.3456), "12.3"),
            (json!(1.23456), "1.23"),
            (json!(0.0123456), "0.0123"),
            (json!(0.001), "0.001"),
            (json!(9.999), "10"),
            (json!(7), "7"),
            (json!(7.0), "7.0"),
            (json!(0.000_000_123), "1.23e-7"),
            (json!(-55.55), "-55.5"),
            (json!("1.23456"), "1.23456"),
        ] {
            assert_eq!(brief(&number), text);
        }
        assert_eq!(csv(&["a"], &[json!({"a": 1234.5678})]).unwrap(), "a\n1234.5678\n");
    }

    #[test]
    fn wanted_columns_must_be_there() {
        let answer = json!({"rows": [{"time": "t", "path": "/a", "novelty": 1}]});
        let wanted = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let table =
            render(Question::Requests, Format::Table, &wanted(&["novelty", "path", "route"]), &answer)
                .unwrap();
        assert_eq!(table, "novelty  path  route\n      1  /a\n");
        for format in [Format::Csv, Format::Table] {
            let wrong =
                render(Question::Requests, format, &wanted(&["pth"]), &answer).unwrap_err().to_string();
            assert!(wrong.contains("no column `pth`"), "{wrong}");
        }
        assert!(render(Question::Requests, Format::Json, &wanted(&["path"]), &answer).is_err());
    }

    #[test]
    fn a_table_shows_what_was_before_and_csv_has_columns_for_it() {
        let row = |requests, p50: Value, before, before_p50: Value| {
            json!({"route": "/a", "requests": requests, "p50_ms": p50,
                   "before": {"route": "/a", "requests": before, "p50_ms": before_p50}})
        };
        let rows = [row(1200, json!(2.5), 9, json!(1.5)), row(0, Value::Null, 8, json!(3.0))];
        let expected = "route  requests     p50_ms\n/a     9 → 1200  1.5 → 2.5\n/a        8 → 0    3.0 → -\n";
        assert_eq!(table(&["route", "requests", "p50_ms"], &rows), expected);
        let all = columns(Question::Summary, Extent::Whole, &rows);
        let csv = csv(&all, &rows).unwrap();
        let [names, first, ..] = *csv.lines().collect::<Vec<_>>() else { panic!("{csv}") };
        assert!(names.contains(",before.requests,before.errors,"), "{names}");
        assert!(first.starts_with("/a,1200,,,,,2.5,") && first.contains(",9,,,,,1.5,"), "{first}");
        assert!(!columns(Question::Summary, Extent::Short, &rows).contains(&"before.requests"));
    }

    #[test]
    fn a_spreadsheet_runs_no_text_of_a_client() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1"] {
            let csv = csv(&["a"], &[json!({"a": text})]).unwrap();
            assert!(csv.trim_start_matches("a\n\"").trim_start_matches("a\n").starts_with('\''), "{csv:?}");
        }
        assert_eq!(csv(&["a", "b"], &[json!({"a": -1.5, "b": "1=1"})]).unwrap(), "a,b\n-1.5,1=1\n");
    }

    #[test]
    fn a_text_returns_from_csv_without_one_apostrophe() {
        for text in ["=1", "'", "''x", "plain", "a'b", "-", "line\nend", "", "é, \"quoted\"", "\t"] {
            let csv = csv(&["a", "b"], &[json!({"a": text, "b": 1})]).unwrap();
            let mut reader = csv::Reader::from_reader(csv.as_bytes());
            let row = reader.records().next().unwrap().unwrap();
            assert_eq!(row[0].strip_prefix('\'').unwrap_or(&row[0]), text);
        }
        assert_eq!(csv(&["a"], &[json!({"a": "x\u{202e}y\u{7f}"})]).unwrap(), "a\nx\\u{202e}y\\u{7f}\n");
    }

    #[test]
    fn uptime_has_the_columns_that_its_rows_have() {
        let rows = [
            json!({"probe": "home", "state": "up", "uptime": 1.0, "minutes": 3, "bad": 0, "silent": 0,
                   "bars": [], "latest": {"time": "t", "status": 200, "error": null}}),
            json!({"service": "shop", "probe": "cart", "state": "down", "uptime": null, "minutes": 0, "bad": 0,
                   "silent": 0, "bars": []}),
        ];
        let found = columns(Question::Uptime, Extent::Whole, &rows);
        let expected = [
            "service",
            "probe",
            "state",
            "uptime",
            "minutes",
            "bad",
            "silent",
            "latest.time",
            "latest.status",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_table_shows_what_would_hide_or_turn_text() {
        let shown = table(&["a"], &[json!({"a": "user\u{202e}nimda\u{2069}\u{200b}\r\u{9b}é"})]);
        assert_eq!(shown, "a\nuser\\u{202e}nimda\\u{2069}\\u{200b}\\r\\u{9b}é\n");
    }
}
