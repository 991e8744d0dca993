//! The time that the gateway itself added to a request.
//!
//! Envoy has no attribute for it. The total duration less the upstream's share leaves the time before the request
//! headers went upstream (filters, waiting for a connection and opening it) and the time after the last byte of the
//! response. For one attempt whose response ended regularly this is the gateway's time, whatever the speed of a
//! streamed upload or download. In all other cases the difference contains the time of others, so the value is absent
//! instead of wrong.

use crate::counters::Measurement;
use crate::outcome::{ResponseFlags, Status};

/// A filter that buffers may have waited for a longer request body. Ten segments of 1,460 bytes arrive in one
/// flight (RFC 6928, section 2).
pub const MAX_REQUEST_BYTES: u64 = 14_600;

/// A longer response body may have waited in the gateway for the client to open its window: 65,535 bytes by default
/// (RFC 9113, section 6.9.2).
pub const MAX_RESPONSE_BYTES: u64 = 65_535;

/// The sender of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The client.
    Client,
    /// The gateway, which followed a redirect. The request keeps the start of the one that was redirected.
    Redirect,
}

/// The gateway's share of a request's duration, nanoseconds; `None` when it cannot be known. `measurement.gateway_ns`
/// is not read.
///
/// Two transfers count as gateway time, because no attribute has their end: request headers that arrive slowly,
/// and a small body that arrives slowly under a filter that buffers it.
pub fn gateway_ns(
    measurement: &Measurement,
    status: Status,
    flags: ResponseFlags,
    origin: Origin,
) -> Option<u64> {
    if flags.contains(ResponseFlags::NOT_THE_GATEWAYS_TIME)
        || origin == Origin::Redirect
        || measurement.request_bytes > MAX_REQUEST_BYTES
        || measurement.response_bytes > MAX_RESPONSE_BYTES
    {
        return None;
    }
    match (measurement.attempts, measurement.upstream_ns) {
        // The gateway answers 408 by itself when the client does not send its request in time.
        (0, None) => (status != Status(408)).then_some(measurement.duration_ns),
        (0 | 1, Some(upstream_ns)) => Some(measurement.duration_ns.saturating_sub(upstream_ns)),
        // An attempt without an end: cut, upgraded, reset, refused, too late. More attempts: only the last one's time
        // is known, and not the pauses between them.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UH: u64 = 1 << 1;
    const UT: u64 = 1 << 2;
    const UF: u64 = 1 << 5;
    const UC: u64 = 1 << 6;
    const DC: u64 = 1 << 14;
    const URX: u64 = 1 << 15;
    const SI: u64 = 1 << 16;
    const DPE: u64 = 1 << 18;
    const DT: u64 = 1 << 22;
    const UPE: u64 = 1 << 23;
    const DR: u64 = 1 << 28;

    /// Microseconds of the whole and of the upstream, the number of attempts, both bodies, status, flags: as Envoy gave
    /// them.
    fn check(
        case: &str,
        (whole, upstream, attempts): (u64, Option<u64>, u64),
        (request_bytes, response_bytes): (u64, u64),
        (status, flags): (u16, u64),
        gateway: Option<u64>,
    ) {
        let measurement = Measurement {
            duration_ns: whole * 1_000,
            upstream_ns: upstream.map(|time| time * 1_000),
            gateway_ns: None,
            request_bytes,
            response_bytes,
            attempts,
        };
        let found = gateway_ns(&measurement, Status(status), ResponseFlags(flags), Origin::Client);
        assert_eq!(found, gateway.map(|time| time * 1_000), "{case}");
    }

    #[test]
    fn one_attempt_that_ended_regularly_leaves_the_gateways_own_time() {
        check("warm GET", (210, Some(130), 1), (0, 30), (200, 0), Some(80));
        check("upstream of 100 ms", (103_900, Some(103_800), 1), (0, 30), (200, 0), Some(100));
        check("slow streamed upload", (2_062_000, Some(2_061_800), 1), (14_000, 2), (200, 0), Some(200));
        check("upload, then a slow upstream", (1_337_000, Some(1_336_800), 1), (40, 40), (200, 0), Some(200));
        check("slow HTTP/1 download", (6_711_000, Some(6_710_900), 1), (0, 65_535), (200, 0), Some(100));
        check("event stream", (1_108_000, Some(1_107_600), 1), (0, 72), (200, 0), Some(400));
        check("fault filter's delay", (201_500, Some(220), 1), (0, 30), (200, 0), Some(201_280));
        check("waiting for a connection", (602_000, Some(301_000), 1), (0, 30), (200, 0), Some(301_000));
        check("upstream's own 503", (210, Some(130), 1), (0, 10), (503, 0), Some(80));
        check("attempts are not known", (210, Some(130), 0), (0, 30), (200, 0), Some(80));
        check("clocks disagree", (130, Some(210), 1), (0, 30), (200, 0), Some(0));
    }

    #[test]
    fn the_gateways_own_responses_count_whole() {
        check("direct response", (90, None, 0), (0, 30), (200, 0), Some(90));
        check("unread upload", (130, None, 0), (1_000, 30), (403, 0), Some(130));
        check("no route", (90, None, 0), (0, 0), (404, 1 << 8), Some(90));
    }

    #[test]
    fn the_time_of_others_is_not_the_gateways() {
        check("event stream cut by the client", (582_000, None, 1), (0, 100), (200, DC), None);
        check("websocket closed by the client", (1_135_000, None, 1), (14, 14), (101, DC), None);
        check("websocket closed by the upstream", (1_001_000, None, 1), (14, 14), (101, UC), None);
        check("upload cut", (1_264_000, None, 1), (500, 0), (499, DC), None);
        check("wait cut by a reset", (304_000, None, 1), (0, 0), (499, DR), None);
        check("upstream timeout", (401_000, None, 1), (0, 24), (504, UT), None);
        check("response truncated", (202_000, None, 1), (0, 50), (200, UPE), None);
        check("response reset", (700, None, 1), (0, 0), (503, UC), None);
        check("connection refused", (420, None, 1), (0, 90), (503, UF), None);
        check("no healthy host", (200, None, 1), (0, 19), (503, UH), None);
        check("refused, three retries", (116_000, None, 4), (0, 90), (503, URX | UF), None);
        check("503 after 100 ms, then 200", (223_000, Some(100_800), 2), (0, 3), (200, 0), None);
        check("timeout of a try, then 200", (315_000, Some(600), 2), (0, 5), (200, 0), None);
        check("hedged", (211_000, Some(600), 2), (0, 5), (200, 0), None);
        check("slow HTTP/2 download", (955_000, Some(2_700), 1), (0, 500_000), (200, 0), None);
        check("beyond the window", (793_000, Some(310), 1), (0, 65_536), (200, 0), None);
        check("reset meanwhile", (203_000, Some(800), 1), (0, 60_000), (200, DR), None);
        check("slow upload, buffered", (1_019_000, Some(2_500), 1), (14_601, 2), (200, 0), None);
        check("body that never ends", (3_003_000, None, 0), (50, 15), (408, 0), None);
        check("client leaves while buffered", (406_000, None, 0), (50, 0), (499, DC), None);
        check("protocol error", (3_000, None, 0), (0, 11), (400, DPE), None);
        check("idle stream", (300_000, None, 0), (0, 24), (504, SI), None);
        check("stream open for too long", (300_000, Some(200), 1), (0, 24), (200, DT), None);
    }

    #[test]
    fn a_followed_redirect_begins_with_the_request_before_it() {
        let measurement = Measurement {
            duration_ns: 302_000_000,
            upstream_ns: Some(220_000),
            attempts: 1,
            ..Measurement::default()
        };
        let check = |origin| gateway_ns(&measurement, Status(200), ResponseFlags(0), origin);
        assert_eq!((check(Origin::Client), check(Origin::Redirect)), (Some(301_780_000), None));
    }
}
