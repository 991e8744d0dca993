//! Metrics. Names follow the OpenTelemetry conventions for HTTP; ours begin with `gatelens.`.

use crate::table::names;

/// Prefix of the HTTP metrics of inbound traffic.
pub const SERVER: &str = "http.server.";
/// Prefix of the HTTP metrics of outbound traffic.
pub const CLIENT: &str = "http.client.";

/// Total duration, after [`SERVER`] or [`CLIENT`].
pub const REQUEST_DURATION: &str = "request.duration";
/// Body bytes of requests, after [`SERVER`] or [`CLIENT`].
pub const REQUEST_BODY_SIZE: &str = "request.body.size";
/// Body bytes of responses, after [`SERVER`] or [`CLIENT`].
pub const RESPONSE_BODY_SIZE: &str = "response.body.size";
/// Requests in progress, after [`SERVER`] or [`CLIENT`].
pub const ACTIVE_REQUESTS: &str = "active_requests";

names! {
    /// Metrics of the traffic, one data point per series.
    TRAFFIC {
        HTTP_DURATION = "http.server.request.duration", "s", "exponential histogram, scale 5",
            "Total duration (`http.client.…` outbound). Its count is the number of requests.";
        DURATION_BY_BOUND = "gatelens.request.duration", "s", "histogram at `counters.bounds_seconds`",
            "Total duration again, counted exactly at the configured bounds.";
        UPSTREAM_DURATION = "gatelens.upstream.duration", "s", "exponential histogram, scale 5",
            "Time from the request headers sent to the upstream to the last byte of its response, of the last attempt. It includes the transfer of bodies and the delay of a slow client. Requests whose upstream response did not end regularly are absent, so its percentiles describe fewer requests than the total's.";
        GATEWAY_DURATION = "gatelens.gateway.duration", "s", "exponential histogram, scale 5",
            "Time that the gateway itself added: from the first byte of the request headers to the headers sent upstream (filters, waiting for a connection and opening it), plus from the last byte of the upstream's response to the end of the stream. The whole duration of a response that the gateway made without an upstream counts. Absent where this time cannot be told apart from transfers or from earlier attempts: requests that were retried, hedged or redirected internally; streams that the client, a protocol error or a timeout cut; upgraded connections and responses that did not end regularly; the gateway's own 408; request bodies over 14,600 bytes and response bodies over 65,535 bytes. Request headers, or a small body under a filter that buffers, that arrive slowly count as gateway time.";
        HTTP_REQUEST_BODY_SIZE = "http.server.request.body.size", "By", "histogram without buckets: count and sum",
            "Body bytes of requests (`http.client.…` outbound), encoded as sent, without framing.";
        HTTP_RESPONSE_BODY_SIZE = "http.server.response.body.size", "By", "histogram without buckets: count and sum",
            "Body bytes of responses (`http.client.…` outbound), encoded as sent, without framing.";
        UPSTREAM_ATTEMPTS = "gatelens.upstream.attempts", "{attempt}", "monotonic sum",
            "Attempts to send requests to an upstream, retries included.";
    }
}

names! {
    /// Metrics of the gateway itself, without the attributes of a series.
    GATEWAY {
        SERIES = "gatelens.series", "{series}", "gauge",
            "Series in use.";
        HTTP_ACTIVE_REQUESTS = "http.server.active_requests", "{request}", "sum, not monotonic",
            "Requests in progress (`http.client.…` outbound). Present only where gatelens is loaded as a filter.";
        EVENTS_CAPTURED = "gatelens.events.captured", "{event}", "monotonic sum",
            "Events (log records) written.";
        EVENTS = "gatelens.events", "{event}", "monotonic sum by `gatelens.event.fate`",
            "Events by fate: `sent`, or dropped: `queue_full`, `rejected`, `expired`, `lost` (held by a worker that a trap took).";
        QUEUE_SIZE = "gatelens.queue.size", "By", "gauge",
            "Bytes of events held. The number of events held is `gatelens.events.captured` less all fates.";
        EXPORT_FAILURES = "gatelens.export.failures", "{attempt}", "monotonic sum",
            "Failed attempts to deliver metrics or log records.";
        WORKERS = "gatelens.workers", "{worker}", "gauge",
            "Workers that count: one per worker thread of Envoy and one on its main thread.";
        WORKERS_LOST = "gatelens.workers.lost", "{worker}", "monotonic sum",
            "Workers lost to a trap. Each is an incident.";
        UNCOUNTED = "gatelens.requests.uncounted", "{request}", "monotonic sum",
            "Requests that were not counted, because the host called the filter while the filter was calling the host. Always 0 on Envoy.";
        NOT_LOGGED = "gatelens.requests.not_logged", "{request}", "monotonic sum by `gatelens.not_logged.reason`",
            "Requests without an event: `excluded` by `exclude.log`, or `sampled_out`. Requests counted and excluded from counters are together those with an event (`gatelens.events.captured`) and these.";
        EXCLUDED_FROM_COUNTERS = "gatelens.requests.excluded_from_counters", "{request}", "monotonic sum",
            "Requests that `exclude.counters` left out of all series.";
        BUSY_TIME = "gatelens.busy_time", "s", "monotonic sum",
            "Time spent in the filter's own code. All requests with redacted bodies are measured, and a sample of the others.";
        REDACTION_HITS = "gatelens.redaction.hits", "{hit}", "monotonic sum by `gatelens.redaction.rule`",
            "Matches of each rule: `request_body:$.user.email`, `headers:x-internal-*`, `default:token`. Configured rules are listed with 0 too, built-in rules once they have matched.";
        BODIES = "gatelens.bodies", "{body}", "monotonic sum by `gatelens.body.message` (`request`, `response`) and `gatelens.body.fate`",
            "Bodies of captured messages: `captured`, or the omission reason, see below.";
        DELIVERY_CAPTURED = "gatelens.delivery.events.captured", "{event}", "monotonic sum by `gatelens.destination` and `gatelens.signal`",
            "Events written for each destination in each signal. This metric and the other `gatelens.delivery.…` are present only where there are several destinations, or one that gets requests in two signals. Those without `delivery` describe the destination that gets them.";
        DELIVERY_EVENTS = "gatelens.delivery.events", "{event}", "monotonic sum by `gatelens.destination`, `gatelens.signal` and `gatelens.event.fate`",
            "Events by destination, signal and fate.";
        DELIVERY_QUEUE_SIZE = "gatelens.delivery.queue.size", "By", "gauge by `gatelens.destination`",
            "Bytes of events held for each destination.";
        DELIVERY_FAILURES = "gatelens.delivery.failures", "{attempt}", "monotonic sum by `gatelens.destination`",
            "Failed attempts to deliver metrics, log records or spans to each destination.";
        INTERVAL = "gatelens.interval", "s", "gauge",
            "Present only where it exceeds a minute: after a long outage, the length of time that the changes in this export cover. Its minutes cannot be told apart.";
    }
}

/// What a metric describes, in one sentence: the first of its documentation. Empty for a name that is not ours.
pub fn description(name: &str) -> &'static str {
    let entries = || TRAFFIC.iter().chain(GATEWAY);
    let found = match name.strip_prefix(CLIENT) {
        Some(rest) => entries().find(|entry| entry.name.strip_prefix(SERVER) == Some(rest)),
        None => entries().find(|entry| entry.name == name),
    };
    let meaning = found.map_or("", |entry| entry.meaning);
    match meaning.find(". ") {
        Some(end) => meaning.get(..=end).unwrap_or(meaning),
        None => meaning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_described_in_one_sentence() {
        for entry in TRAFFIC.iter().chain(GATEWAY) {
            let described = description(entry.name);
            assert!(described.ends_with('.') && entry.meaning.starts_with(described), "{}", entry.name);
        }
        assert_eq!(
            description("http.client.request.body.size"),
            description("http.server.request.body.size")
        );
        assert_eq!(description("somebody.elses"), "");
    }
}
