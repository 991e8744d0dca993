//! Budgets of a virtual machine's memory that hold on every machine, because nothing here measures time.
//!
//! A change that needs more must raise the budget here and name the reason.

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::{Envoy, Launch, Receiver, Upstream};

use super::stack::Mode;

/// Linear memory of each virtual machine after the start.
const START_BYTES: u64 = 2_500_000;

/// Linear memory after [`REQUESTS`] requests of as many consumers. How many records wait for the receiver depends on its speed, so
/// this is twice what was measured.
const LATER_BYTES: u64 = 8_000_000;

const REQUESTS: usize = 10_000;

#[test]
fn filter() {
    check(Mode::Filter);
}

#[test]
fn access_logger() {
    check(Mode::Logger);
}

fn check(mode: Mode) {
    let config = mode.config();
    let (upstream, receiver) = (Upstream::start().unwrap(), Receiver::start().unwrap());
    let config = config.upstream(upstream.address()).unwrap().ingest(receiver.address()).unwrap();
    let mut envoy = Envoy::launch(&config, &Launch { concurrency: 1, ..Launch::default() }).unwrap();
    // The first one, of the main thread, and of the worker.
    let start = envoy.process().linear_memories().unwrap();
    assert!(start.len() >= 2, "{mode:?}: {start:?}");
    assert!(start.iter().all(|bytes| *bytes <= START_BYTES), "{mode:?}: {start:?}");

    let mut connection = Connection::open(envoy.address()).unwrap();
    for number in 0..REQUESTS {
        let request = Request::get(format!("/direct/items/{number}?bytes=512"))
            .header("x-consumer-id", format!("consumer-{number}"));
        assert_eq!(connection.request(&request).unwrap().status, 200);
    }
    let later = envoy.process().linear_memories().unwrap();
    eprintln!("{mode:?}: linear memories at the start {start:?}, after {REQUESTS} requests {later:?}");
    assert_eq!(later.len(), start.len(), "{mode:?}");
    assert!(later.iter().all(|bytes| *bytes <= LATER_BYTES), "{mode:?}: {later:?}");
}
