//! How a gateway ends, and what that costs: killed outright, or asked to stop.
//!
//! How much is lost is measured and printed (`docs/operations.md` quotes it); asserted is what holds on any machine.

use std::time::Duration;

use gatelens_testkit::{Envoy, Listeners};

use super::report;
use super::stack::{Mode, Stack, plugin};
use super::traffic::{self, Kind, Load, Progress, Sent};

/// Requests a second.
const RATE: u64 = 300;

/// Long enough for ticks and exports to have found their rhythm.
const SECONDS: u64 = 3;

#[test]
fn a_killed_gateway_loses_a_moment_and_the_next_one_adds_up() {
    check("SIGKILL", |stack| stack.envoy.process().kill().unwrap());
}

#[test]
fn a_stopped_gateway_delivers_what_its_host_lets_it() {
    check("SIGTERM", |stack| {
        stack.envoy.stop().unwrap();
    });
}

fn check(what: &str, end: impl FnOnce(&mut Stack)) {
    let mut stack = Stack::launch(Mode::Logger, Listeners::Static, |config| {
        traffic::keep_request_ids(config.plugin(&plugin()))
    });
    let kinds = Kind::all();

    let settled = send(&stack, &kinds, 0).requests();
    stack.wait_for_count(settled);
    stack.wait_for_requests(settled as usize);

    let at_risk = send(&stack, &kinds, 1).requests();
    end(&mut stack);
    std::thread::sleep(Duration::from_secs(2));
    let (counted, logged) = (report::counted(&stack.ingest), report::request_log(&stack.ingest).len() as u64);
    let all = settled + at_risk;
    assert!((settled..=all).contains(&counted), "{what}: {counted} of {settled} to {all}");
    assert!((settled..=all).contains(&logged), "{what}: {logged} of {settled} to {all}");
    let seconds = |lost: u64| lost as f64 / RATE as f64;
    eprintln!(
        "{what} at {RATE} requests a second: {} counts lost ({:.1} s), {} log records lost ({:.1} s)",
        all - counted,
        seconds(all - counted),
        all - logged,
        seconds(all - logged),
    );

    stack.envoy = Envoy::start(&stack.config).unwrap();
    let more = send(&stack, &kinds, 2).requests();
    stack.wait_for_count(counted + more);
    let gateways = report::gateways(&stack.ingest);
    let lives: Vec<_> = gateways.iter().map(|gateway| (&gateway["instance"], &gateway["epoch"])).collect();
    let [(first, epoch), (second, other)] = &lives[..] else { panic!("{lives:?}") };
    assert_eq!(first, second);
    assert_ne!(epoch, other, "a life of its own");
}

fn send(stack: &Stack, kinds: &[Kind], seed: u64) -> Sent {
    let load = Load {
        seed,
        requests: (RATE * SECONDS) as usize,
        duration: Duration::from_secs(SECONDS),
        clients: 4,
        connections_per_client: 2,
    };
    let answers = traffic::answers(stack.envoy.address(), kinds);
    let mut sent = traffic::send(stack.envoy.address(), kinds, &answers, load, &Progress::default());
    assert_eq!(sent.differences, Vec::<String>::new());
    // The requests that asked for the answers were counted, too.
    for (kind, (_, body)) in kinds.iter().zip(&answers) {
        sent.count(kind, body.len());
    }
    sent
}
