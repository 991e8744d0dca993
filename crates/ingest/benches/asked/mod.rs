//! What the views of the page ask, for benchmarks.

use crate::fill::{RARE_ID, RARE_TRACE};
use crate::support::Service;
use std::time::Duration;

/// What the views of the page ask about a day, which begins and ends anywhere.
pub(crate) const OF_DAY: [&str; 25] = [
    "summary?",
    "summary?group_by=method,route",
    "summary?group_by=consumer",
    "summary?group_by=consumer,route",
    "summary?group_by=status",
    "summary?group_by=host",
    "summary?group_by=upstream_cluster",
    "summary?group_by=gateway",
    "summary?group_by=method,route&status=4xx",
    "summary?group_by=method,route&compare=previous",
    "summary?group_by=consumer,method,route,status",
    "timeseries?step=60",
    "timeseries?step=300",
    "timeseries?step=900",
    "timeseries?step=900&group_by=status",
    "timeseries?step=900&compare=previous",
    "timeseries?step=1800&group_by=status",
    "timeseries?step=3600&group_by=method,route",
    "timeseries?step=60&consumer=acme",
    "timeseries?step=900&route=/payments/{id}",
    "latencies?",
    "latencies?route=/payments/{id}",
    "releases?",
    "issues?",
    "drift?",
];
/// The same about a month.
pub(crate) const OF_MONTH: [&str; 9] = [
    "summary?",
    "summary?group_by=method,route",
    "summary?group_by=consumer",
    "summary?group_by=method,route&consumer=acme",
    "timeseries?step=86400",
    "timeseries?step=86400&group_by=status",
    "timeseries?step=86400&consumer=acme",
    "timeseries?step=21600&route=/payments/{id}",
    "latencies?",
];
/// The same at any time. That of uptime is the last 30 days.
pub(crate) const OF_ANY_TIME: [&str; 9] = [
    "gateways",
    "consumers",
    "patterns",
    "shapes",
    "openapi",
    "storage",
    "alerts",
    "uptime?",
    "uptime?group_by=route&limit=1000",
];

/// What the view of requests asks.
pub(crate) fn of_log() -> Vec<String> {
    let id_prefix = &RARE_ID[..13];
    let questions = [
        "limit=100",
        "errors=true",
        "status=503",
        "consumer=acme&route=/payments/{id}&status=503",
        "consumer=nobody",
        &format!("request_id={RARE_ID}"),
        &format!("trace_id={RARE_TRACE}"),
        "q=consumer:rare",
        "q=client_address:203.0.113.9",
        "q=path=/orders/rare-7",
        "q=path:/orders/rare-7*",
        "q=status:418",
        &format!("q={RARE_ID}"),
        &format!("q={id_prefix}"),
        "q=duration>30s",
        "q=route:/status upstream>1s",
        "q=user_agent:curl/7",
        "sort=duration",
        "sort=duration&consumer=bluth&status=503",
        "sort=duration&q=consumer:rare",
        "sort=duration&route=/status",
    ];
    questions.map(str::to_owned).to_vec()
}

/// A question as a path has it.
pub(crate) fn encoded(question: &str) -> String {
    question.replace('>', "%3E").replace('{', "%7B").replace('}', "%7D").replace(' ', "%20")
}

/// The pages and rows of a question for requests, until there are 100 rows or no more pages.
pub(crate) fn count(service: &Service, range: &str, query: &str) -> (usize, usize) {
    let (mut pages, mut rows, mut next) = (0, 0, String::new());
    loop {
        let answer = service.json(&format!("/api/v1/requests?{range}&{query}{next}"));
        pages += 1;
        rows += answer["rows"].as_array().unwrap().len();
        match answer["next"].as_str() {
            Some(cursor) if rows < 100 && !query.contains("limit=") => next = format!("&cursor={cursor}"),
            _ => return (pages, rows),
        }
    }
}

/// The time within which so many percent of some were; they are in order.
pub(crate) fn within(times: &[Duration], percent: usize) -> String {
    let place = (times.len() * percent).div_ceil(100).clamp(1, times.len()) - 1;
    in_ms(times[place])
}

pub(crate) fn in_ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
}

/// A number of the environment.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map_or(default, |text| text.parse().unwrap())
}
