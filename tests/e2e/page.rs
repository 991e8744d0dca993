//! The page on real data: `dashboard/test/live.test.mjs` in headless Chromium, against the ingest of this test.

use std::process::Command;

use gatelens_testkit::client::{Connection, Request};
use gatelens_testkit::paths;

use super::stack::{Mode, Stack};

#[test]
fn the_page_shows_what_went_through_the_gateway() {
    let stack = Stack::start(Mode::Filter);
    let mut connection = Connection::open(stack.envoy.address()).unwrap();
    let consumers = ["acme", "globex", "initech"];
    let targets = [
        "/users/1",
        "/users/2?sleep=30",
        "/status/404",
        "/status/503",
        "/bytes/5000",
        "/direct",
        "/dead/end",
    ];
    let mut sent = 0;
    for round in 0..5 {
        for (index, target) in targets.iter().enumerate() {
            let consumer = consumers[(round + index) % consumers.len()];
            connection.request(&Request::get(target).header("x-consumer-id", consumer)).unwrap();
            sent += 1;
        }
    }
    stack.wait_for_count(sent);
    stack.wait_for_requests(sent as usize);

    // Screenshots go to GATELENS_SHOTS, if the environment names a directory.
    let output = Command::new("node")
        .args(["--test", "test/live.test.mjs"])
        .current_dir(paths::workspace_root().join("dashboard"))
        .env("GATELENS_URL", format!("http://{}", stack.ingest.address()))
        .output()
        .expect("the page's test needs node; `make doctor` prints the command that installs it");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains("# skipped 0") || report.contains("ℹ skipped 0"), "{report}");
}
