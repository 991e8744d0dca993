//! Names of the traffic's metrics for Prometheus: the translation of OpenTelemetry's conventions. Other characters than letters
//! and digits become underscores, and a metric's name ends with its unit.

use crate::attribute;

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
    let unit = match unit {
        "s" => "_seconds",
        "By" => "_bytes",
        // A unit in braces is a remark.
        _ => "",
    };
    label(name) + unit
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
}
