//! A virtual machine that traps costs what it had not merged, is reported, and the next one goes on.
//!
//! The module under test traps on request: it is built with the feature `trap` (`make wasm-trap`), which the released
//! one never has.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Listeners, artefacts, paths, wait};

use super::report;
use super::stack::{Mode, Stack, plugin};

/// The header that asks for it.
const TRIGGER: &str = "x-gatelens-trap";

/// What the module says as it traps.
const SAYS: &str = "trapped on request";

#[test]
fn a_trap_is_an_incident_and_counts_go_on() {
    artefacts::or_skip();
    let module = paths::trap_wasm().unwrap();
    let mut stack =
        Stack::launch(Mode::Logger, Listeners::Static, |config| config.plugin(&plugin()).wasm(&module));
    let address = stack.envoy.address();
    let get = |request: Request| {
        let response = Connection::open(address).unwrap().request(&request).unwrap();
        assert_eq!(response.status, 200, "a logger's failure touches no request");
    };
    (0..50).for_each(|_| get(Request::get("/direct")));
    assert_eq!(report::settled(&stack.ingest, 50).sent, 50);

    get(Request::get("/direct").header(TRIGGER, "1"));
    assert!(stack.envoy.log().contains(SAYS), "{}", stack.envoy.log());

    // Until the back-off is over a worker's requests are not counted; how many that are is the host's affair.
    let mut sent = 51;
    let mut uncounted = 0;
    wait::eventually("a machine after the one that was lost", || {
        get(Request::get("/direct"));
        sent += 1;
        sleep(Duration::from_millis(100));
        uncounted = sent - report::counted(&stack.ingest);
        let fates = report::fates(&stack.ingest);
        Ok((fates.workers_lost >= 1).then_some(()))
    })
    .unwrap();
    // What was counted last is on its way for a tick or two; a crowded machine takes longer.
    let mut before = 0;
    wait::eventually("counts that rest", || {
        sleep(Duration::from_secs(3));
        let counted = report::counted(&stack.ingest);
        Ok((std::mem::replace(&mut before, counted) == counted).then_some(()))
    })
    .unwrap();
    eprintln!("of {sent} requests around a trap, one each 0.1 s, {} were not counted", sent - before);
    assert!(before >= 50, "what was merged is kept: {before}");

    (0..40).for_each(|_| get(Request::get("/direct")));
    stack.wait_for_count(before + 40);
    let fates = report::settled(&stack.ingest, before + 40);
    assert_eq!(fates.workers_lost, 1, "{fates:?}");
    assert_eq!(fates.held, 0, "{fates:?}");
    assert_eq!(fates.captured, fates.sent + fates.dropped.values().sum::<u64>(), "{fates:?}");
    assert!(stack.envoy.process().check().is_ok());
}

#[test]
fn the_released_module_cannot_be_made_to_trap() {
    artefacts::or_skip();
    let can_trap = |path: PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(SAYS.len()).any(|window| window == SAYS.as_bytes())
    };
    assert!(can_trap(paths::trap_wasm().unwrap()), "this test looks for the right words");
    assert!(!can_trap(paths::wasm().unwrap()));
}
