//! After an outage of the ingest each minute shows its own counts.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gatelens_testkit::Listeners;
use gatelens_testkit::client::{Connection, Request};

use super::stack::{Mode, Stack, plugin};

/// Requests a second.
const RATE: u64 = 20;

/// A request counts in the minute in which its worker merged it and the leader read it: at most two ticks later, and
/// another second on a loaded host.
const EDGE_SECONDS: u64 = 3;

#[test]
#[ignore = "takes four minutes: make chaos"]
fn each_minute_of_an_outage_keeps_its_own_counts() {
    let mut stack = Stack::launch(Mode::Logger, Listeners::Static, |config| config.plugin(&plugin()));
    let mut connection = Connection::open(stack.envoy.address()).unwrap();
    let mut sent = BTreeMap::<u64, i64>::new();
    let start = now();
    // From within one minute, over the whole of two others, into a fourth.
    let back = start / 60 * 60 + 195;
    let mut is_down = false;
    while now() < back {
        if !is_down && now() >= start + 10 {
            stack.ingest.kill().unwrap();
            is_down = true;
        }
        // Uneven, so that minutes which were mixed up would show.
        let rate = RATE * (1 + now() / 60 % 3);
        connection.request(&Request::get("/direct")).unwrap();
        *sent.entry(now() / 60 * 60).or_default() += 1;
        thread::sleep(Duration::from_secs_f64(1.0 / rate as f64));
    }
    stack.ingest.restart().unwrap();
    stack.wait_for_count(sent.values().sum::<i64>() as u64);

    let (first, last) = (start / 60 * 60, now() / 60 * 60 + 60);
    let answer =
        stack.ingest.get_json(&format!("/api/v1/timeseries?from={first}&to={last}&step=60")).unwrap();
    let points = answer["points"].as_array().unwrap();
    let counted: Vec<i64> = points.iter().map(|point| point["requests"].as_i64().unwrap()).collect();
    eprintln!("sent per minute {:?}\ncounted         {counted:?}", sent.values().collect::<Vec<_>>());
    assert_eq!(counted.iter().sum::<i64>(), sent.values().sum::<i64>());
    for (minute, (sent, counted)) in sent.values().zip(&counted).enumerate() {
        let most = (3 * RATE * EDGE_SECONDS) as i64;
        assert!((sent - counted).abs() <= most, "minute {minute}: {sent} sent, {counted} counted");
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
