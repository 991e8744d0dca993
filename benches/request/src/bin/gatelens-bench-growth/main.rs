//! `gatelens-bench-growth`: what a request and a tick cost in the filter's own code while one thing grows.
//!
//! Natively and without Envoy, in CPU time of the thread, so that other work on the machine disturbs little. The points of a
//! group take turns. What a request costs Envoy itself is not in it: see `gatelens-bench`.

mod points;
mod stats;

use std::hint::black_box;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use gatelens_bench_redact::{Defaults, orders, paths, rules};
use gatelens_bench_request::allocations;
use gatelens_bench_request::host::RecordedHost;
use gatelens_core::host::CalloutAnswer;
use gatelens_core::lifecycle::{Plugin, Registry};
use gatelens_model::Message;
use gatelens_redact::capture::{BodyEnd, Capture, CaptureConfig, Head};
use gatelens_redact::{Hits, Redactor};
use nix::time::{ClockId, clock_gettime};

use crate::points::{GROUPS, Group, Point};
use crate::stats::Figure;

/// Requests between two ticks: 500 ms at 4,000 requests a second.
const PER_TICK: u64 = 2_000;

/// Of the body that is redacted.
const BODY_BYTES: usize = 6_500;

/// Numbers of paths that are redacted in a body, beside the built-in names.
const PATHS: [usize; 4] = [0, 5, 64, 256];

fn main() {
    let turns = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(15);
    println!(
        "{:<34}{:>10}{:>24}{:>9}{:>13}{:>12}{:>13}{:>26}{:>18}",
        "grows",
        "to",
        "µs a request",
        "÷ first",
        "allocations",
        "host calls",
        "bytes of log",
        "µs a tick",
        "shared data, r/w"
    );
    for group in GROUPS {
        measure(&group, turns);
    }
    bodies(turns);
    println!(
        "A request: from its end to its record in the open batch, compressed. A tick: merge, export and delivery of all workers\n\
         after {PER_TICK} requests. Medians of {turns} turns with 95 % intervals; CPU time, native code."
    );
}

/// A gateway at one point of a group.
struct Subject {
    workers: Vec<(Plugin, RecordedHost)>,
    next: u64,
    request: Vec<f64>,
    tick: Vec<f64>,
    allocations: u64,
    before: Before,
}

/// What was counted before the measured turns.
#[derive(Default)]
struct Before {
    calls: u64,
    sent_bytes: u64,
    shared: (u64, u64),
}

fn measure(group: &Group, turns: usize) {
    let mut subjects: Vec<Subject> = group.points.iter().map(Subject::start).collect();
    for _ in 0..turns {
        subjects.iter_mut().for_each(Subject::turn);
    }
    let first = subjects.first().map_or(f64::NAN, |subject| Figure::of(&subject.request).value);
    for (point, subject) in group.points.iter().zip(&subjects) {
        let request = Figure::of(&subject.request);
        let per_request = |count: u64| count as f64 / (turns as u64 * PER_TICK) as f64;
        let (calls, sent_bytes, shared) = subject.counted();
        let per_tick = |count: u64| count as f64 / turns as f64;
        println!(
            "{:<34}{:>10}{:>24}{:>9.2}{:>13.2}{:>12.2}{:>13.1}{:>26}{:>18}",
            group.name,
            point.to,
            request.to_string(),
            request.value / first,
            per_request(subject.allocations),
            per_request(calls - subject.before.calls),
            per_request(sent_bytes - subject.before.sent_bytes),
            Figure::of(&subject.tick).to_string(),
            format!(
                "{:.0} / {:.0}",
                per_tick(shared.0 - subject.before.shared.0),
                per_tick(shared.1 - subject.before.shared.1)
            ),
        );
    }
    println!("  {}", group.explanation);
}

impl Subject {
    fn start(point: &Point) -> Self {
        let configuration = point.configuration().to_string();
        let first = RecordedHost::new(&configuration).shaped(point.shape);
        let more: Vec<RecordedHost> =
            (1..point.workers).map(|_| first.another().shaped(point.shape)).collect();
        let workers = std::iter::once(first).chain(more).map(|host| {
            let mut plugin = Plugin::new(Rc::<Registry>::default());
            if !plugin.configure(&host) {
                std::process::exit(1);
            }
            (plugin, host)
        });
        let mut subject = Self {
            workers: workers.collect(),
            next: 0,
            request: Vec::new(),
            tick: Vec::new(),
            allocations: 0,
            before: Before::default(),
        };
        while subject.next < point.warm_up {
            subject.turn();
        }
        (subject.request, subject.tick, subject.allocations) = (Vec::new(), Vec::new(), 0);
        let (calls, sent_bytes, shared) = subject.counted();
        subject.before = Before { calls, sent_bytes, shared };
        subject
    }

    /// Requests up to the next tick, divided among the workers, and that tick.
    fn turn(&mut self) {
        let mut request = 0.0;
        for ((plugin, host), numbers) in self.workers.iter().zip(shares(self.next, self.workers.len() as u64))
        {
            host.prepare(numbers);
            let allocated = allocations::count();
            request += micros(|| {
                while host.finish() {
                    plugin.log(black_box(host));
                }
            });
            self.allocations += allocations::count() - allocated;
        }
        self.next += PER_TICK;
        self.request.push(request / PER_TICK as f64);
        if let Some((_, host)) = self.workers.first() {
            host.pass(Duration::from_millis(500));
        }
        self.tick.push(micros(|| {
            for (plugin, host) in &self.workers {
                plugin.tick(host);
                while let Some(id) = host.take_dispatched() {
                    host.answer(CalloutAnswer { status: Some(200), ..CalloutAnswer::default() });
                    let _ = plugin.answered(host, id);
                }
            }
        }));
    }

    /// Host calls, bytes of log, and uses of shared data so far.
    fn counted(&self) -> (u64, u64, (u64, u64)) {
        let hosts = || self.workers.iter().map(|(_, host)| host);
        let calls = hosts().map(RecordedHost::calls).sum();
        let sent_bytes = hosts().map(RecordedHost::sent_bytes).sum();
        (calls, sent_bytes, hosts().next().map(RecordedHost::shared_uses).unwrap_or_default())
    }
}

/// The numbers of the requests up to the next tick, for each worker.
fn shares(next: u64, workers: u64) -> impl Iterator<Item = Range<u64>> {
    (0..workers)
        .map(move |worker| next + PER_TICK * worker / workers..next + PER_TICK * (worker + 1) / workers)
}

/// Redaction of a body by the number of paths.
fn bodies(turns: usize) {
    let body = orders(BODY_BYTES);
    let capture = CaptureConfig { request_body: true, ..CaptureConfig::default() };
    let Ok(capture) = Capture::new(&capture) else { return };
    let redactors: Vec<Option<Redactor>> =
        PATHS.iter().map(|count| Redactor::new(&rules(paths(*count), Defaults::On)).ok()).collect();
    let mut times = vec![Vec::new(); PATHS.len()];
    for _ in 0..turns {
        for (redactor, times) in redactors.iter().zip(&mut times) {
            let Some(redactor) = redactor else { continue };
            times.push(micros(|| (0..20).for_each(|_| redact(&capture, redactor, &body))) / 20.0);
        }
    }
    let first = times.first().map_or(f64::NAN, |times| Figure::of(times).value);
    for (count, times) in PATHS.iter().zip(&times) {
        let figure = Figure::of(times);
        println!(
            "{:<34}{count:>10}{:>24}{:>9.2}",
            "paths redacted in a body of 6.5 KB",
            figure.to_string(),
            figure.value / first
        );
    }
    println!(
        "  A quarter of the paths leads into every order and another quarter, with `..`, into every object: their steps are compared at each."
    );
}

fn redact(capture: &Capture, redactor: &Redactor, body: &str) {
    let head = Head::request([(&b"content-type"[..], &b"application/json"[..])]);
    let Some(mut taken) = capture.body(Message::Request, &head) else { return };
    taken.take(body.len(), |_| body.as_bytes().to_vec());
    black_box(taken.finish(BodyEnd::Complete, redactor, &mut Hits::default()));
}

/// CPU time of this thread, µs.
fn micros(work: impl FnOnce()) -> f64 {
    let before = cpu_time();
    work();
    (cpu_time().saturating_sub(before)).as_secs_f64() * 1e6
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}
