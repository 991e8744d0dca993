//! How long the questions of the page take on a large store: `make bench-queries`.
//!
//! It fills a store through the service's own write path, as gateways do, and prints a table of times. The environment names
//! the size: `REQUESTS` logged requests over a day, `SERIES` × `MINUTES` of counts, `ROUNDS` of each question. With `DATA=DIR`
//! the store is kept there, and used again if it exists. The counts of the days before the last one are copies of it. With
//! `PACKED=days` the questions wait until all days that are over are packed, which takes some minutes for a month.
//!
//! `cold` is the first answer after a start of the service; the others follow it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark may fail")]

mod copies;
mod fill;
#[path = "../random/mod.rs"]
mod random;
#[path = "../../tests/support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use crate::fill::{DAY, RARE_ID, RARE_TRACE};
use crate::support::Service;
use crate::support::otlp::MINUTE;
use std::time::{Duration, Instant};

const RANGE: &str = "from=2026-06-20T00:00:00Z&to=2026-06-21T00:00:00Z";
/// The same day as a page asks about it, which is not at whole half hours.
const MOVED: &str = "from=2026-06-20T00:15:00Z&to=2026-06-20T23:53:00Z";
/// The month that ends with the day.
const MONTH: &str = "from=2026-05-22T00:00:00Z&to=2026-06-21T00:00:00Z";
const MINUTES_OF_DAY: u64 = DAY / MINUTE;
/// Minutes after the day for which there are counts, where days are copied: the minutes of the day are over then, and packed.
const MINUTES_AFTER: u64 = 90;

/// What the views of the page ask about a day, which begins and ends anywhere.
const OF_DAY: [&str; 25] = [
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
const OF_MONTH: [&str; 9] = [
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
const OF_ANY_TIME: [&str; 9] = [
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

fn main() {
    let requests = number("REQUESTS", 1_000_000);
    let (series, minutes) = (number("SERIES", 2_000), number("MINUTES", MINUTES_OF_DAY));
    let rounds = number("ROUNDS", 10);
    let limits = support::of_benchmarks();
    let mut service = match std::env::var_os("DATA").filter(|data| !data.is_empty()) {
        Some(data) => Service::at(data.into(), limits),
        None => Service::with(limits),
    };
    if count(&service, "limit=1").1 == 0 {
        let begun = Instant::now();
        fill::fill_log(&service, requests);
        eprintln!("{requests} requests stored in {:.0?}", begun.elapsed());
        let begun = Instant::now();
        let days_before = (minutes.max(1) - 1) / MINUTES_OF_DAY;
        match days_before {
            0 => fill::fill_counts(&service, series, minutes),
            _ => {
                fill::fill_counts(&service, series, MINUTES_OF_DAY + MINUTES_AFTER);
                copies::wait_for_packs(service.data());
                service.restart(|data| copies::copy_day(data, days_before));
            }
        }
        eprintln!("{series} series × {minutes} minutes stored in {:.0?}", begun.elapsed());
    }
    copies::wait_for_packs(service.data());
    if std::env::var("PACKED").is_ok_and(|packed| packed == "days") {
        copies::wait_for_days(service.data());
    }
    let bytes: u64 = std::fs::read_dir(service.data())
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    println!("{requests} requests, {series} series × {minutes} minutes, {} MB on disk\n", bytes >> 20);
    println!(
        "| question | rows | pages | cold | p50 | p95 | processor, cold | processor, p50 |\n|---|---|---|---|---|---|---|---|"
    );
    let of_month: &[&str] = if minutes > MINUTES_OF_DAY { &OF_MONTH } else { &[] };
    for (span, questions, range) in [("day", &OF_DAY[..], MOVED), ("month", of_month, MONTH)] {
        for question in questions {
            let path = format!("/api/v1/{}&{range}", encoded(question)).replace("?&", "?");
            measure(&mut service, rounds, &format!("{question}` ({span})"), |service| {
                (service.json(&path), 0, 0)
            });
        }
    }
    for question in OF_ANY_TIME {
        measure(&mut service, rounds, &format!("{question}`"), |service| {
            (service.json(&format!("/api/v1/{question}")), 0, 0)
        });
    }
    let id_prefix = &RARE_ID[..13];
    for question in [
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
    ] {
        let query = encoded(question);
        measure(&mut service, rounds, &format!("requests?{question}`"), |service| {
            let (pages, rows) = count(service, &query);
            (serde_json::Value::Null, pages, rows)
        });
    }
    assert_eq!(count(&service, &format!("request_id={RARE_ID}")).1, 1, "the rare request");
}

fn encoded(question: &str) -> String {
    question.replace('>', "%3E").replace('{', "%7B").replace('}', "%7D").replace(' ', "%20")
}

/// Prints a line of the table; `ask` gives the answer, or the numbers of pages and rows.
fn measure(
    service: &mut Service,
    rounds: u64,
    question: &str,
    mut ask: impl FnMut(&Service) -> (serde_json::Value, usize, usize),
) {
    service.restart(|_| ());
    let (mut times, mut busy) = (Vec::new(), Vec::new());
    let (mut rows, mut pages) = (0, 0);
    for _ in 0..=rounds.max(1) {
        let (begun, used) = (Instant::now(), processor_time());
        let (answer, asked, found) = ask(service);
        times.push(begun.elapsed());
        busy.push(processor_time().saturating_sub(used));
        let listed = ["rows", "points"].into_iter().find_map(|key| answer[key].as_array().map(Vec::len));
        (rows, pages) = (listed.unwrap_or(found), asked.max(1));
    }
    // Sums are kept in memory from then on.
    let (cold, busy_cold) = (times.remove(0), busy.remove(0));
    times.sort_unstable();
    busy.sort_unstable();
    let of = |times: &[Duration], percent: usize| {
        times[(times.len() * percent).div_ceil(100).clamp(1, times.len()) - 1]
    };
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1_000.0);
    println!(
        "| `{question} | {rows} | {pages} | {} | {} | {} | {} | {} |",
        ms(cold),
        ms(of(&times, 50)),
        ms(of(&times, 95)),
        ms(busy_cold),
        ms(of(&busy, 50))
    );
}

/// The pages and rows of a question for requests, until there are 100 rows or no more pages.
fn count(service: &Service, query: &str) -> (usize, usize) {
    let (mut pages, mut rows, mut next) = (0, 0, String::new());
    loop {
        let answer = service.json(&format!("/api/v1/requests?{RANGE}&{query}{next}"));
        pages += 1;
        rows += answer["rows"].as_array().unwrap().len();
        match answer["next"].as_str() {
            Some(cursor) if rows < 100 && !query.contains("limit=") => next = format!("&cursor={cursor}"),
            _ => return (pages, rows),
        }
    }
}

/// The processor time of all threads, which does not depend on other work of the machine: of the service, and of the client for
/// its question.
fn processor_time() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().filter_map(Result::ok);
    let nanos = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map_or(default, |text| text.parse().unwrap())
}
