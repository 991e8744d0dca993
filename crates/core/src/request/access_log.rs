//! An event as a line of JSON for the gateway's own log.
//!
//! The keys are those of a row of the read API, in its order, and keep their names; a value that is absent has no key.
//! Bodies are left to the request log. Everything in an event is redacted already. A line is one line, whatever a client
//! sends: control characters are escaped, and so are those that make a terminal or an editor show another text.

use std::fmt::{self, Write};

use super::event::{Event, Header};

/// Most bytes of a line before its headers are left out; the other values have bounds of their own. The escape of a
/// character takes up to six bytes.
pub const MAX_LINE_BYTES: usize = 65_536;

/// Instead of headers that do not fit.
const HEADERS_OMITTED: &str = "headers_omitted";

/// The keys of a line in their order, with their meaning in Markdown. The table in `docs/log-line.md` is made of them.
pub const KEYS: &[(&str, &str)] = &[
    ("time", "start of the request: RFC 3339, UTC, nine digits of a second"),
    ("consumer", "the caller, or `anonymous`"),
    ("consumer_trusted", "whether clients cannot choose the consumer; see [wire](wire.md)"),
    ("method", "one of the ten known methods, else `_OTHER`"),
    ("method_original", "the method as sent, where `method` is `_OTHER`"),
    ("route", "the route, or `__unmatched__`"),
    ("route_source", "`template` or `route_name`; absent for an inferred route"),
    ("scheme", "`http` or `https`, else `_OTHER`"),
    ("host", "the host that the client asked for"),
    ("port", "its port, where it is not that of the scheme"),
    ("path", "the path, redacted, at most 2,048 bytes"),
    ("query", "the query, redacted, at most 4,096 bytes; with `capture.query`"),
    ("status", "the HTTP status; 0 without a response, 499 where the client went away"),
    ("grpc_status", "the number of the gRPC status"),
    ("duration_ms", "total duration, milliseconds"),
    ("upstream_ms", "the upstream's share of it"),
    ("attempts", "attempts to send the request to an upstream"),
    ("resend_count", "those after the first"),
    ("upstream_cluster", "the cluster that the request went to, or was meant for"),
    ("weight", "number of requests for which the line stands, because of `sample`"),
    ("request_bytes", "bytes of the request body, as sent"),
    ("response_bytes", "bytes of the response body, as sent"),
    ("protocol", "version of HTTP that the client speaks: `1.1`, `2`"),
    ("client_address", "address of the client"),
    ("client_port", "its port"),
    ("user_agent", "the user agent, redacted, at most 512 bytes"),
    ("request_id", "`x-request-id`"),
    ("trace_id", "of a valid `traceparent`"),
    ("span_id", "of the same: the caller's span"),
    ("response_flags", "Envoy's short flags, `UF,URX`"),
    ("code_details", "Envoy's response code details"),
    ("error_type", "the cause; absent where nothing failed"),
    ("reported_error", "the error that the application reported, with `report.error`"),
    ("reported_tags", "the tags that it reported, with `report.tags`: `plan=gold,cart=large`"),
    ("request_headers", "headers with `capture.request_headers`, redacted: an object of lists"),
    ("response_headers", "headers with `capture.response_headers`, likewise"),
    (HEADERS_OMITTED, "`true` where the headers did not fit and were left out"),
];

/// Writes an event as one line without its end.
pub fn line(event: &Event<'_>) -> String {
    let mut object = Object(String::with_capacity(640));
    let status = event.status;
    let resends = event.measurement.attempts.saturating_sub(1);
    let error = event.error.map(|error| error.name(event.ending()));
    object.text("time", &Timestamp(event.start_ns).to_string());
    object.text("consumer", event.consumer);
    object.display("consumer_trusted", event.consumer_trusted);
    object.text("method", event.method.name());
    object.text("method_original", event.method_original);
    object.text("route", event.route);
    object.text("route_source", event.route_source.name().unwrap_or_default());
    object.text("scheme", event.scheme.name().unwrap_or_default());
    object.text("host", event.server_address);
    object.some("port", event.server_port);
    object.text("path", event.path);
    object.text("query", event.query);
    object.display("status", status.0);
    object.some("grpc_status", event.grpc_status.map(|status| status.number()));
    object.display("duration_ms", Milliseconds(event.measurement.duration_ns));
    object.some("upstream_ms", event.measurement.upstream_ns.map(Milliseconds));
    object.display("attempts", event.measurement.attempts);
    object.some("resend_count", Some(resends).filter(|resends| *resends > 0));
    object.text("upstream_cluster", event.upstream_cluster);
    object.display("weight", event.weight);
    object.display("request_bytes", event.measurement.request_bytes);
    object.display("response_bytes", event.measurement.response_bytes);
    object.text("protocol", event.protocol.map(|protocol| protocol.version()).unwrap_or_default());
    object.text("client_address", event.client_address);
    object.some("client_port", event.client_port);
    object.text("user_agent", event.user_agent);
    object.text("request_id", event.request_id);
    if let Some(trace) = event.trace {
        object.text("trace_id", &Hex(&trace.trace_id).to_string());
        object.text("span_id", &Hex(&trace.span_id).to_string());
    }
    object.text("response_flags", event.response_flags);
    object.text("code_details", event.response_code_details);
    object.text("error_type", error.as_deref().unwrap_or_default());
    object.text("reported_error", event.reported_error);
    object.text("reported_tags", event.reported_tags);
    let without_headers = object.0.len();
    object.headers("request_headers", event.request_headers);
    object.headers("response_headers", event.response_headers);
    if object.0.len() > MAX_LINE_BYTES {
        object.0.truncate(without_headers);
        object.display(HEADERS_OMITTED, true);
    }
    object.0.push('}');
    object.0
}

/// A JSON object under construction. Writing to a `String` cannot fail.
struct Object(String);

impl Object {
    fn key(&mut self, key: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        string(&mut self.0, key);
        self.0.push(':');
    }

    /// Nothing for an empty text, which is an absent one.
    fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.key(key);
            string(&mut self.0, value);
        }
    }

    /// A number or a boolean.
    fn display(&mut self, key: &str, value: impl fmt::Display) {
        self.key(key);
        let _ = write!(self.0, "{value}");
    }

    fn some(&mut self, key: &str, value: Option<impl fmt::Display>) {
        if let Some(value) = value {
            self.display(key, value);
        }
    }

    /// Lists of values by name.
    fn headers(&mut self, key: &str, headers: &[Header<'_>]) {
        if headers.is_empty() {
            return;
        }
        self.key(key);
        for (index, same) in headers.chunk_by(|(a, _), (b, _)| a == b).enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            string(&mut self.0, same.first().map_or("", |(name, _)| name));
            self.0.push_str(":[");
            for (index, (_, value)) in same.iter().enumerate() {
                if index > 0 {
                    self.0.push(',');
                }
                string(&mut self.0, value);
            }
            self.0.push(']');
        }
        self.0.push('}');
    }
}

/// A JSON string (RFC 8259) in which every character that is not shown as itself is escaped.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Controls, line and paragraph separators, and the marks that change the direction of the text.
            '\0'..'\u{20}'
            | '\u{7f}'..='\u{9f}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Nanoseconds as milliseconds, with as many digits as it takes.
struct Milliseconds(u64);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 as f64 / 1e6)
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Nanoseconds since the Unix epoch, as RFC 3339 in UTC with nine digits of a second.
struct Timestamp(u64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
    }
}

/// The date of a number of days since 1970-01-01, in the Gregorian calendar. The year is taken to begin in March, so that
/// the day that a leap year adds is its last. The times of a `u64` of nanoseconds end in 2554: nothing overflows.
#[allow(clippy::arithmetic_side_effects, reason = "at most 213,504 days")]
fn civil(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn quoted(text: &str) -> String {
        let mut out = String::new();
        string(&mut out, text);
        out
    }

    proptest! {
        #[test]
        fn a_text_comes_back_and_shows_nothing_else(text in any::<String>()) {
            let quoted = quoted(&text);
            prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
            prop_assert!(!quoted.contains(char::is_control));
        }

        #[test]
        fn a_time_is_that_of_the_calendar(ns in any::<u64>()) {
            let http = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(ns / 1_000_000_000));
            let time = Timestamp(ns).to_string();
            // Sun, 06 Nov 1994 08:49:37 GMT
            let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
            let month = months.find(&http[8..11]).unwrap() / 3 + 1;
            let expected = format!("{}-{month:02}-{}T{}.{:09}Z", &http[12..16], &http[5..7], &http[17..25], ns % 1_000_000_000);
            prop_assert_eq!(time, expected);
        }
    }

    #[test]
    fn marks_that_change_the_shown_text_are_escaped() {
        assert_eq!(quoted("a\u{202e}b\u{85}\u{1b}[2J\n\"\\é"), r#""a\u202eb\u0085\u001b[2J\n\"\\é""#);
    }
}
