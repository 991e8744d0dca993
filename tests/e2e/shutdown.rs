//! A gateway ends while requests pass: killed outright, or asked to stop.
//!
//! The loss is measured and printed; `docs/operations.md` quotes it. The bound that is asserted is in exports, not in
//! seconds, so that it holds on any host.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use gatelens_testkit::{Envoy, Listeners};

use super::report;
use super::stack::{Mode, Stack, plugin};
use super::traffic::{self, Kind, Load, Progress, Sent};

/// Requests a second.
const RATE: u64 = 300;

/// Seconds of one round of traffic.
const SECONDS: u64 = 2;

/// Requests with a response before this number of last exports of the counters must not be lost. A count waits for a
/// tick to be merged and for another to be exported; a log record waits for two ticks until its batch is closed and for
/// another until the response. The rest of the six is room for a worker that gets no CPU while another one ticks.
const EXPORTS_AT_RISK: usize = 6;

#[test]
fn a_killed_gateway_loses_a_moment_and_the_next_one_adds_up() {
    check(Mode::Logger, "SIGKILL", kill);
}

#[test]
#[ignore = "takes half a minute: make chaos"]
fn a_killed_gateway_with_the_module_loses_no_more() {
    check(Mode::ModuleLogger, "SIGKILL", kill);
}

#[test]
fn a_stopped_gateway_loses_no_more_than_a_killed_one() {
    check(Mode::Logger, "SIGTERM", stop);
}

#[test]
fn a_stopped_gateway_with_the_module_loses_nothing() {
    let lost = check(Mode::ModuleLogger, "SIGTERM", stop);
    assert_eq!(lost, Lost { counts: 0, records: 0 }, "of requests that ended before");
}

fn kill(stack: &mut Stack) {
    stack.envoy.process().kill().unwrap();
}

fn stop(stack: &mut Stack) {
    stack.envoy.stop().unwrap();
}

/// Of requests whose responses the clients had before the end of the gateway.
#[derive(Debug, PartialEq, Eq)]
struct Lost {
    counts: u64,
    records: u64,
}

fn check(mode: Mode, what: &str, end: impl FnOnce(&mut Stack)) -> Lost {
    let mut stack =
        Stack::launch(mode, Listeners::Static, |config| traffic::keep_request_ids(config.plugin(&plugin())));
    let kinds = Kind::all();

    let settled = send(&stack, &kinds, 0, &Progress::default()).requests();
    stack.wait_for_count(settled);
    stack.wait_for_requests(settled as usize);

    let at_risk = send_until_exported(&stack, &kinds, settled);
    end(&mut stack);
    thread::sleep(Duration::from_secs(2));
    let (counted, logged) = (report::counted(&stack.ingest), report::request_log(&stack.ingest).len() as u64);
    let (safe, all) = (settled + at_risk.safe, settled + at_risk.sent);
    assert!(settled < safe, "{at_risk:?}");
    let of = format!("{mode:?} {what}: {settled} settled, {at_risk:?}");
    assert!((safe..=all).contains(&counted), "{of}: {counted} counted");
    assert!((safe..=all).contains(&logged), "{of}: {logged} logged");
    let seconds = |lost: u64| lost as f64 / RATE as f64;
    let lost = Lost { counts: all - counted, records: all - logged };
    eprintln!(
        "{mode:?} {what} at {RATE} requests a second: {} counts lost ({:.1} s), {} log records lost ({:.1} s)",
        lost.counts,
        seconds(lost.counts),
        lost.records,
        seconds(lost.records),
    );

    stack.envoy = Envoy::start(&stack.config).unwrap();
    let more = send(&stack, &kinds, 1_000_000, &Progress::default()).requests();
    stack.wait_for_count(counted + more);
    let gateways = report::gateways(&stack.ingest);
    let epochs: Vec<_> = gateways.iter().map(|gateway| (&gateway["instance"], &gateway["epoch"])).collect();
    let [(first, epoch), (second, other)] = &epochs[..] else { panic!("{epochs:?}") };
    assert_eq!(first, second);
    assert_ne!(epoch, other, "an epoch of its own");
    lost
}

/// Requests that were sent until the end of a gateway.
#[derive(Debug)]
struct AtRisk {
    sent: u64,
    /// Those of them that were answered before the last [`EXPORTS_AT_RISK`] exports.
    safe: u64,
}

/// Sends rounds of traffic until a second's worth of it is older than the exports at risk. A higher count shows an
/// export.
fn send_until_exported(stack: &Stack, kinds: &[Kind], settled: u64) -> AtRisk {
    let (mut sent, mut counted, mut answered_before) = (0, settled, Vec::new());
    for seed in 1.. {
        let progress = Progress::default();
        sent += thread::scope(|scope| {
            let traffic = scope.spawn(|| send(stack, kinds, seed, &progress).requests());
            while !traffic.is_finished() {
                // Read before the count, so that it never exceeds the answers before the export.
                let answered = sent + progress.sent.load(Ordering::Relaxed);
                let now = report::counted(&stack.ingest);
                if now > counted {
                    counted = now;
                    answered_before.push(answered);
                }
                thread::sleep(Duration::from_millis(20));
            }
            traffic.join().unwrap()
        });
        let oldest = answered_before.len().checked_sub(EXPORTS_AT_RISK + 1);
        if let Some(safe) = oldest.map(|index| answered_before[index]).filter(|safe| *safe >= RATE) {
            return AtRisk { sent, safe };
        }
    }
    unreachable!("the seeds do not end")
}

fn send(stack: &Stack, kinds: &[Kind], seed: u64, progress: &Progress) -> Sent {
    let load = Load {
        seed,
        requests: (RATE * SECONDS) as usize,
        duration: Duration::from_secs(SECONDS),
        clients: 4,
        connections_per_client: 2,
    };
    let answers = traffic::answers(stack.envoy.address(), kinds);
    let mut sent = traffic::send(stack.envoy.address(), kinds, &answers, load, progress);
    assert_eq!(sent.differences, Vec::<String>::new());
    // The requests that asked for the answers were counted, too.
    for (kind, (_, body)) in kinds.iter().zip(&answers) {
        sent.count(kind, body.len());
    }
    sent
}
