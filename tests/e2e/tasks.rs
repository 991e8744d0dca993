//! Seven tasks of an engineer on call, with the number of clicks that each takes: `dashboard/test/tasks.test.mjs` in
//! headless Chromium, on a gateway that has a release under traffic.
//!
//! All of today's traffic of the environment `demo` passes through Envoy. The counts of yesterday and those of the
//! environment `staging` are sent to the ingest as another gateway would.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::export::{Frame, MINUTE, Made, SECOND};
use gatelens_testkit::{Ingest, Listeners, Update, paths, wait};
use serde_json::{Value, json};

use super::stack::{Mode, Stack};

/// Requests of the release on trial that the ordinary traffic sends before its minute may end.
const ENOUGH: Duration = Duration::from_secs(15);
const DAY: u64 = 24 * 60 * MINUTE;

#[test]
fn seven_tasks_take_three_clicks_at_most() {
    let stack = Stack::launch(Mode::Filter, Listeners::Discovered, |config| {
        config.node_id("gateway-1").plugin(&release("1.4.0")).first_http_filter(delays()).unwrap()
    });
    let traffic = Traffic::start(stack.envoy.address());
    other_gateways(&stack.ingest);

    // Whole minutes are compared: one before that of the release, and one behind it.
    thread::sleep(ENOUGH);
    sleep_until(next_minute());
    let config = stack.config.clone().plugin(&release("1.5.0"));
    assert_eq!(stack.envoy.update(&config).unwrap(), Update::Accepted);
    traffic.fails.store(true, Ordering::SeqCst);
    let id = requests_of_the_tasks(stack.envoy.address());
    let released = wait::eventually("the release", || {
        let releases = stack.ingest.get_json("/api/v1/releases")?;
        let rows = releases["rows"].as_array().cloned().unwrap_or_default();
        Ok(rows.into_iter().find(|row| row["kind"] == "version" && row["value"] == "1.5.0"))
    });
    assert_eq!(released.unwrap()["previous"], "1.4.0");
    sleep_until(next_minute() + Duration::from_secs(60));

    let output = Command::new("node")
        .args(["--test", "test/tasks.test.mjs"])
        .current_dir(paths::workspace_root().join("dashboard"))
        .env("GATELENS_TASKS", format!("http://{}", stack.ingest.address()))
        .env("GATELENS_REQUEST_ID", id)
        .output()
        .expect("the page's test needs node; `make doctor` prints the command that installs it");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains("# skipped 0") || report.contains("ℹ skipped 0"), "{report}");
    println!("{report}");
    traffic.end();
}

fn release(version: &str) -> Value {
    json!({
        "version": 1,
        "service": {"name": "shop", "version": version, "environment": "demo"},
        "ingest": {"cluster": "gatelens_ingest"},
        "consumer": {"sources": [{"header": "x-consumer-id"}]},
        "routes": {"templates": ["GET /users/{id}"]},
    })
}

/// A filter of Envoy that delays requests which ask for it, so that the gateway and not the upstream is slow.
fn delays() -> Value {
    json!({
        "name": "envoy.filters.http.fault",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "delay": {"header_delay": {}, "percentage": {"numerator": 100}},
        },
    })
}

/// Requests for one route by two consumers. When it `fails`, the second one gets errors.
struct Traffic {
    fails: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Traffic {
    fn start(gateway: SocketAddr) -> Self {
        let (fails, ends) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (failing, ending) = (Arc::clone(&fails), Arc::clone(&ends));
        let thread = thread::spawn(move || {
            while !ending.load(Ordering::SeqCst) {
                let status = if failing.load(Ordering::SeqCst) { "?status=503" } else { "" };
                // A listener that drains closes its connections, so each pair of requests has its own.
                let mut connection = Connection::open(gateway).unwrap();
                let acme = Request::get("/users/1").header("x-consumer-id", "acme");
                connection.request(&acme).unwrap();
                let mut connection = Connection::open(gateway).unwrap();
                let initech = Request::get(format!("/users/2{status}")).header("x-consumer-id", "initech");
                connection.request(&initech).unwrap();
                thread::sleep(Duration::from_millis(200));
            }
        });
        Self { fails, ends, thread }
    }

    fn end(self) {
        self.ends.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
    }
}

/// One request that an application noted by its id, which is returned, one that is slow upstream, and one that is slow in
/// the gateway.
fn requests_of_the_tasks(gateway: SocketAddr) -> String {
    let by = |request: Request| {
        let mut connection = Connection::open(gateway).unwrap();
        connection.request(&request.header("x-consumer-id", "globex")).unwrap()
    };
    by(Request::get("/users/3?sleep=700"));
    by(Request::get("/users/4").header("x-envoy-fault-delay-request", "700"));
    // The upstream answers with the headers that it got.
    let headers = by(Request::get("/headers")).json().unwrap();
    let id = headers.as_array().unwrap().iter().find(|pair| pair[0] == "x-request-id").unwrap();
    id[1].as_str().unwrap().to_owned()
}

/// Yesterday's counts, of which a quarter are errors, and today's counts of another environment.
fn other_gateways(ingest: &Ingest) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let made = |status| Made { consumer: "acme", method: "GET", route: "/users/{id}", status, seconds: 0.02 };
    let all: Vec<Made> = (0..40).map(|n| made(if n % 4 == 0 { 500 } else { 200 })).collect();
    for (environment, ago) in [("demo", DAY + 10 * MINUTE), ("staging", 10 * MINUTE)] {
        // Within one minute, so that nothing of it is merged with others.
        let start = (now - ago) / MINUTE * MINUTE + 10 * SECOND;
        let frame =
            Frame { time: start + 30 * SECOND, start, service: "shop", environment, ..Frame::default() };
        ingest.take_metrics(&frame.of(&all)).unwrap();
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// The start of the next minute, since the epoch.
fn next_minute() -> Duration {
    Duration::from_secs((since_epoch().as_secs() / 60 + 1) * 60)
}

fn sleep_until(time: Duration) {
    thread::sleep(time.saturating_sub(since_epoch()));
}
