//! Answers as text.

use super::{Format, Question};
use serde_json::Value;
use std::fmt::Write;

const GROUPS: [&str; 8] =
    ["service", "environment", "direction", "consumer", "method", "route", "status", "error_type"];
const SUMS: [&str; 14] = [
    "requests",
    "errors",
    "request_bytes",
    "response_bytes",
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
];
const REQUEST_SHORT: [&str; 9] = [
    "time",
    "consumer",
    "method",
    "path",
    "status",
    "duration_ms",
    "upstream_ms",
    "error_type",
    "request_id",
];
const GATEWAY: [&str; 30] = [
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

/// The text to print, with a line end after its last line.
pub(super) fn render(question: Question, format: Format, answer: &Value) -> String {
    let rows = answer[question.rows()].as_array().map_or(&[][..], Vec::as_slice);
    match format {
        Format::Json => format!("{answer:#}\n"),
        Format::Csv => csv(&columns(question, Extent::Whole, rows), rows),
        Format::Table => table(&columns(question, Extent::Short, rows), rows),
    }
}

/// How many columns are wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    Whole,
    /// What fits a terminal.
    Short,
}

fn columns(question: Question, extent: Extent, rows: &[Value]) -> Vec<&'static str> {
    match (question, extent) {
        (Question::Requests, Extent::Whole) => gatelens_ingest::request_columns(),
        (Question::Requests, Extent::Short) => REQUEST_SHORT.to_vec(),
        (Question::Gateways, Extent::Whole) => GATEWAY.to_vec(),
        (Question::Gateways, Extent::Short) => GATEWAY_SHORT.to_vec(),
        (Question::Summary | Question::Timeseries, _) => {
            let grouped = GROUPS.into_iter().filter(|name| rows.iter().any(|row| row.get(name).is_some()));
            let sums = SUMS.into_iter().filter(|name| {
                let own = name.starts_with("upstream") || name.starts_with("gateway");
                extent == Extent::Whole || !own
            });
            let time = (question == Question::Timeseries).then_some("time");
            time.into_iter().chain(grouped).chain(sums).collect()
        }
    }
}

/// The text of a column; that of a number in an object is named with a dot.
fn cell(row: &Value, column: &str) -> String {
    let value = column.split('.').fold(row, |value, key| &value[key]);
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// RFC 4180, but for the line ends.
fn csv(columns: &[&str], rows: &[Value]) -> String {
    let mut out = columns.join(",");
    out.push('\n');
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|column| quoted(cell(row, column))).collect();
        out.push_str(&cells.join(","));
        out.push('\n');
    }
    out
}

fn quoted(text: String) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn table(columns: &[&str], rows: &[Value]) -> String {
    let shown: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|column| visible(&cell(row, column))).collect()).collect();
    let numeric: Vec<bool> = columns
        .iter()
        .map(|column| rows.iter().any(|row| column.split('.').fold(row, |v, key| &v[key]).is_number()))
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let cells = shown.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count());
            cells.chain([column.chars().count()]).max().unwrap_or_default()
        })
        .collect();
    let mut out = String::new();
    let head: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    for row in std::iter::once(&head).chain(&shown) {
        let mut line = String::new();
        for ((cell, width), numeric) in row.iter().zip(&widths).zip(&numeric) {
            // Writing to a string does not fail.
            let _ =
                if *numeric { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:<width$}  ") };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// Clients write paths and user agents; what would steer a terminal is shown and not done.
fn visible(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        if c.is_control() {
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
        assert_eq!(csv(&["a", "b.c", "d"], &rows), "a,b.c,d\n\"x,\"\"y\"\"\n\",5,\n\u{1b}[31mred,12,\n");
        let expected = "a              b.c  d\nx,\"y\"\\n          5\n\\u{1b}[31mred   12\n";
        assert_eq!(table(&["a", "b.c", "d"], &rows), expected);
    }
}
