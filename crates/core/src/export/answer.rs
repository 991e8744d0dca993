//! Responses of the receiver.

use std::time::Duration;

use super::MAX_AGE;
use crate::host::CalloutAnswer;
use crate::otlp::proto;

/// The meaning of a response, by the rules of OTLP/HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Accepted, except for some records: a partial success, which is never sent again.
    Accepted {
        /// Records that the receiver refused.
        rejected: u64,
    },
    /// Must be sent again later: 429, 502, 503, 504, or a connection that broke. Envoy itself responds with 503 when it
    /// cannot connect and with 504 after a timeout.
    Later {
        /// Shortest wait, from `retry-after`.
        not_before: Option<Duration>,
    },
    /// Refused, and not retried.
    Refused,
}

impl Answer {
    /// From the response of the receiver.
    pub fn new(answer: &CalloutAnswer, now_ns: u64) -> Self {
        match answer.status {
            Some(200..=299) => Answer::Accepted { rejected: rejected_records(&answer.body).unwrap_or(0) },
            None | Some(429 | 502 | 503 | 504) => {
                Answer::Later { not_before: retry_after(&answer.retry_after, now_ns) }
            }
            Some(_) => Answer::Refused,
        }
    }
}

/// `retry-after` (RFC 9110, 10.2.3): seconds, or a date. At most [`MAX_AGE`]: nothing would be left to send.
fn retry_after(value: &[u8], now_ns: u64) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            date.saturating_sub(Duration::from_nanos(now_ns))
        }
    };
    Some(wait.min(MAX_AGE))
}

/// `partial_success.rejected_…` of an export response: field 1 of field 1, the same for logs and metrics.
fn rejected_records(body: &[u8]) -> Option<u64> {
    let partial_success = proto::find_bytes(body, 1)?;
    proto::find_varint(partial_success, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_by_the_rules_of_otlp() {
        let now_ns = 784_111_777_000_000_000;
        let check = |status: Option<u16>, retry_after: &str, body: &[u8], expected: Answer| {
            let answer = CalloutAnswer {
                status,
                retry_after: retry_after.into(),
                body: body.into(),
                ..CalloutAnswer::default()
            };
            assert_eq!(Answer::new(&answer, now_ns), expected, "{answer:?}");
        };
        for status in [200, 202, 204] {
            check(Some(status), "", b"", Answer::Accepted { rejected: 0 });
        }
        check(Some(200), "", b"\x0a\x02\x08\x07", Answer::Accepted { rejected: 7 });
        check(Some(200), "", b"\x0a\x05\x12\x03why", Answer::Accepted { rejected: 0 });
        check(Some(200), "", b"\x0a\xff", Answer::Accepted { rejected: 0 });
        check(Some(200), "", b"{\"partialSuccess\":{}}", Answer::Accepted { rejected: 0 });
        for status in [429, 502, 503, 504] {
            check(Some(status), "", b"", Answer::Later { not_before: None });
        }
        let after = |seconds| Answer::Later { not_before: Some(Duration::from_secs(seconds)) };
        check(Some(429), "17", b"", after(17));
        check(Some(503), " Sun, 06 Nov 1994 08:49:47 GMT", b"", after(10));
        check(Some(503), "Sun, 06 Nov 1994 08:49:00 GMT", b"", after(0));
        check(Some(503), "99999999", b"", after(300));
        check(Some(503), "soon", b"", Answer::Later { not_before: None });
        for status in [301, 400, 401, 404, 413, 500, 501] {
            check(Some(status), "5", b"", Answer::Refused);
        }
        check(None, "", b"", Answer::Later { not_before: None });
    }
}
