//! Slots of routes and consumers go to those with traffic, and every request is counted once meanwhile.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gatelens_testkit::Listeners;
use gatelens_testkit::client::{Connection, Request};
use serde_json::json;

use super::report;
use super::stack::{Mode, Stack, plugin};

const CUSTOMERS: [&str; 6] = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot"];

fn stack(mode: Mode) -> Stack {
    let mut plugin = plugin();
    plugin["routes"]["templates"] = json!(["/direct/orders/{id}"]);
    plugin["counters"] = json!({"max_routes": 12, "max_consumers": 10, "max_series": 60});
    Stack::launch(mode, Listeners::Static, |config| config.plugin(&plugin))
}

/// Requests of one client for a path, over a connection of its own.
fn send(address: SocketAddr, consumer: &str, path: &str, requests: usize) {
    let mut connection = Connection::open(address).unwrap();
    for _ in 0..requests {
        let request = Request::get(path).header("x-consumer-id", consumer);
        assert_eq!(connection.request(&request).unwrap().status, 200);
    }
}

fn scan(address: SocketAddr, scanners: usize, requests: usize) -> u64 {
    let letter = |n: usize| char::from(b'a' + (n % 20) as u8);
    for n in 0..scanners {
        let path = format!("/direct/scan-x{}{}", letter(n), letter(n / 20));
        send(address, &format!("scanner-{n}"), &path, requests);
    }
    (scanners * requests) as u64
}

/// Requests by a dimension, over all gateways.
fn by(stack: &Stack, dimension: &str) -> BTreeMap<String, u64> {
    let summary = stack.ingest.get_json(&format!("/api/v1/summary?group_by={dimension}")).unwrap();
    let rows = summary["rows"].as_array().unwrap().iter();
    rows.map(|row| (row[dimension].as_str().unwrap().to_owned(), row["requests"].as_u64().unwrap())).collect()
}

#[test]
fn configured_templates_keep_their_rows_and_names_wait_for_their_second_request() {
    names_wait(Mode::Logger);
}

#[test]
fn in_a_module_configured_templates_keep_their_rows_and_names_wait_for_their_second_request() {
    names_wait(Mode::ModuleLogger);
}

fn names_wait(mode: Mode) {
    let stack = stack(mode);
    let address = stack.envoy.address();
    let mut sent = scan(address, 200, 1);
    stack.wait_for_count(sent);
    for n in 0..20 {
        send(address, &format!("customer-{n}"), &format!("/direct/orders/{n}"), 2);
        sent += 2;
    }
    stack.wait_for_count(sent);
    let routes = by(&stack, "route");
    assert_eq!(routes["/direct/orders/{id}"], 40, "{routes:?}");
    // Scanners that came once have at most 60 % of the slots, however the workers shared them.
    let scanned = routes.keys().filter(|route| route.starts_with("/direct/scan")).count();
    assert!(scanned <= 7, "{routes:?}");
    assert!(routes["__overflow__"] >= 190, "{routes:?}");
    let consumers = by(&stack, "consumer");
    assert!(
        consumers.keys().filter(|consumer| consumer.starts_with("customer")).count() >= 4,
        "{consumers:?}"
    );
    let [gateway] = &report::gateways(&stack.ingest)[..] else { panic!("one gateway") };
    assert!(gateway["series"].as_u64().unwrap() <= 60);
    let overflow = stack.ingest.get_json("/api/v1/summary?route=__overflow__").unwrap();
    assert!(gateway["overflow"].as_u64().unwrap() >= overflow["rows"][0]["requests"].as_u64().unwrap());
}

/// The slots are full of scanners when the customers come, and the ingest restarts meanwhile.
#[test]
#[ignore = "takes one and a half minutes: make chaos"]
fn customers_replace_scanners_and_no_request_is_lost() {
    customers_replace_scanners(Mode::Logger);
}

#[test]
#[ignore = "takes one and a half minutes: make chaos"]
fn in_a_module_customers_replace_scanners_and_no_request_is_lost() {
    customers_replace_scanners(Mode::ModuleLogger);
}

fn customers_replace_scanners(mode: Mode) {
    let mut stack = stack(mode);
    let address = stack.envoy.address();
    let mut sent = scan(address, 60, 2);
    stack.wait_for_count(sent);
    let began = Instant::now();
    let mut restarts = 0;
    let settled = loop {
        for customer in CUSTOMERS {
            send(address, customer, &format!("/direct/{customer}"), 5);
            sent += 5;
        }
        std::thread::sleep(Duration::from_millis(500));
        if restarts < 2 && began.elapsed() > Duration::from_secs(40 + restarts * 35) {
            stack.ingest.restart().unwrap();
            restarts += 1;
        }
        let (routes, consumers) = (by(&stack, "route"), by(&stack, "consumer"));
        let has = |customer: &&str| {
            routes.contains_key(&format!("/direct/{customer}")) && consumers.contains_key(*customer)
        };
        if CUSTOMERS.iter().all(&has) && restarts == 2 {
            break true;
        }
        if began.elapsed() > Duration::from_secs(240) {
            break false;
        }
    };
    assert!(settled, "{:?} {:?}", by(&stack, "route"), by(&stack, "consumer"));
    stack.wait_for_count(sent);
    // Scanners that come back, and the customers, are counted on.
    sent += scan(address, 60, 1);
    for customer in CUSTOMERS {
        send(address, customer, &format!("/direct/{customer}"), 10);
        sent += 10;
    }
    stack.wait_for_count(sent);
    eprintln!("{sent} requests; routes {:?}; consumers {:?}", by(&stack, "route"), by(&stack, "consumer"));
}
