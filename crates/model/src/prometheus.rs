//! Names of the traffic's metrics for Prometheus, and its text format. The names are the translation of OpenTelemetry's
//! conventions: other characters than letters and digits become underscores, and a metric's name ends with its unit.

use crate::attribute;
use core::fmt::{Display, Write};

/// `Content-Type` of the text format, version 0.0.4.
pub const TEXT_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The attributes of series that may be labels, in the order in which they are written. The label of a route is that of
/// `http.route` in both directions, so that one dashboard fits both.
pub const LABELS: [&str; 7] = [
    attribute::METHOD,
    attribute::ROUTE,
    attribute::STATUS_CODE,
    attribute::ERROR_TYPE,
    attribute::CONSUMER_ID,
    attribute::SERVICE_NAME,
    attribute::ENVIRONMENT,
];

/// The name of a label, from that of an attribute: `http.route` becomes `http_route`.
pub fn label(attribute: &str) -> String {
    attribute.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// The name of a metric, from its name and unit in OpenTelemetry: `http.server.request.duration` in `s` becomes
/// `http_server_request_duration_seconds`.
pub fn metric(name: &str, unit: &str) -> String {
    let mut out = label(name);
    if let Some(unit) = self::unit(unit) {
        out.push('_');
        out.push_str(unit);
    }
    out
}

/// The unit as Prometheus names it, from that of OpenTelemetry. A unit in braces is a remark, and none to Prometheus.
pub fn unit(unit: &str) -> Option<&'static str> {
    match unit {
        "s" => Some("seconds"),
        "By" => Some("bytes"),
        _ => None,
    }
}

/// The bound of a bucket in seconds, as OpenMetrics 1.0 has it in each format: `0.25`, `1.0`. Prometheus before version 3 takes
/// `1` and `1.0` for two series.
pub fn bound(seconds: f64) -> String {
    let mut text = seconds.to_string();
    if !text.contains('.') {
        text.push_str(".0");
    }
    text
}

/// Appends a label and its value to those before it, in the text format: `http_route="/a"`, behind a comma.
pub fn put_label(out: &mut String, label: &str, value: &str) {
    if !out.is_empty() {
        out.push(',');
    }
    out.push_str(label);
    out.push_str("=\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Begins a family in the text format: its help and its type.
pub fn put_head(out: &mut String, name: &str, help: &str, kind: &str) {
    // Writing to a text cannot fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

/// Appends a sample in the text format. Its name is that of its family and a suffix; its labels come from [`put_label`], and the
/// bound of a bucket is one more.
pub fn put_sample(
    out: &mut String,
    (family, suffix): (&str, &str),
    labels: &str,
    bound: Option<&str>,
    value: &dyn Display,
) {
    out.push_str(family);
    out.push_str(suffix);
    if !labels.is_empty() || bound.is_some() {
        out.push('{');
        out.push_str(labels);
        if let Some(bound) = bound {
            if !labels.is_empty() {
                out.push(',');
            }
            out.push_str("le=\"");
            out.push_str(bound);
            out.push('"');
        }
        out.push('}');
    }
    // Writing to a text cannot fail.
    let _ = writeln!(out, " {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_translated_conventions() {
        assert_eq!(
            LABELS.map(label),
            [
                "http_request_method",
                "http_route",
                "http_response_status_code",
                "error_type",
                "gatelens_consumer_id",
                "service_name",
                "deployment_environment_name"
            ]
        );
        for (name, unit, expected) in [
            ("http.server.request.duration", "s", "http_server_request_duration_seconds"),
            ("http.server.request.body.size", "By", "http_server_request_body_size_bytes"),
            ("http.client.response.body.size", "By", "http_client_response_body_size_bytes"),
            ("http.server.active_requests", "{request}", "http_server_active_requests"),
        ] {
            assert_eq!(metric(name, unit), expected);
        }
    }

    #[test]
    fn a_bound_has_one_text() {
        assert_eq!([0.005, 1.0, 10.0, 2.5].map(bound), ["0.005", "1.0", "10.0", "2.5"]);
    }

    #[test]
    fn a_value_is_escaped() {
        let mut out = String::new();
        put_label(&mut out, "a", "");
        put_label(&mut out, "b", "a\"b\\c\nd é");
        assert_eq!(out, r#"a="",b="a\"b\\c\nd é""#);
    }

    #[test]
    fn a_family_is_written_as_prometheus_reads_it() {
        let mut out = String::new();
        put_head(&mut out, "a_seconds", "How long.", "histogram");
        put_sample(&mut out, ("a_seconds", "_bucket"), "b=\"c\"", Some("1.0"), &1);
        put_sample(&mut out, ("a_seconds", "_bucket"), "", Some("+Inf"), &2);
        put_sample(&mut out, ("a_seconds", "_sum"), "b=\"c\"", None, &2.5);
        put_sample(&mut out, ("a_seconds", "_count"), "", None, &2);
        assert_eq!(
            out,
            "# HELP a_seconds How long.\n# TYPE a_seconds histogram\na_seconds_bucket{b=\"c\",le=\"1.0\"} 1\n\
             a_seconds_bucket{le=\"+Inf\"} 2\na_seconds_sum{b=\"c\"} 2.5\na_seconds_count 2\n"
        );
    }
}
