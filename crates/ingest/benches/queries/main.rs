//! How long the questions of the page take on a large store: `make bench-queries`.
//!
//! It fills a store through the service's own write path, as gateways do, and prints a table of times. The environment names
//! the size: `REQUESTS` logged requests over a day, `SERIES` × `MINUTES` of counts, `ROUNDS` of each question. With `DATA=DIR`
//! the store is kept there, and used again if it exists. The counts of the days before the last one are copies of it. With
//! `PACKED=days` the questions wait until all days that are over are packed, which takes some minutes for a month.
//!
//! `cold` is the first answer after a start of the service; the others follow it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark may fail")]

#[path = "../asked/mod.rs"]
mod asked;
mod copies;
mod fill;
#[path = "../random/mod.rs"]
mod random;
#[path = "../../tests/support/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod support;

use crate::asked::{OF_ANY_TIME, OF_DAY, OF_MONTH, count, encoded, in_ms, number, within};
use crate::fill::{DAY, RARE_ID};
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

fn main() {
    let requests = number("REQUESTS", 1_000_000);
    let (series, minutes) = (number("SERIES", 2_000), number("MINUTES", MINUTES_OF_DAY));
    let rounds = number("ROUNDS", 10);
    let limits = support::of_benchmarks();
    let mut service = match std::env::var_os("DATA").filter(|data| !data.is_empty()) {
        Some(data) => Service::at(data.into(), limits),
        None => Service::with(limits),
    };
    if count(&service, RANGE, "limit=1").1 == 0 {
        let begun = Instant::now();
        fill::fill_log(&service, requests, fill::BEGIN);
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
    for question in asked::of_log() {
        let query = encoded(&question);
        measure(&mut service, rounds, &format!("requests?{question}`"), |service| {
            let (pages, rows) = count(service, RANGE, &query);
            (serde_json::Value::Null, pages, rows)
        });
    }
    assert_eq!(count(&service, RANGE, &format!("request_id={RARE_ID}")).1, 1, "the rare request");
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
    println!(
        "| `{question} | {rows} | {pages} | {} | {} | {} | {} | {} |",
        in_ms(cold),
        within(&times, 50),
        within(&times, 95),
        in_ms(busy_cold),
        within(&busy, 50)
    );
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
