//! The database of a service that keeps its counts on a ClickHouse.

use gatelens_ingest::ClickHouseConfig;
use std::time::{Duration, Instant};

/// The longest wait for something that the service does by itself.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);

/// The name of the database.
pub(crate) fn database_of(store: &ClickHouseConfig) -> String {
    store.address.to_string().rsplit_once('/').unwrap().1.to_owned()
}

/// Runs a statement in the database, and returns what the server answers.
pub(crate) fn run(store: &ClickHouseConfig, statement: &str) -> String {
    let address = store.address.to_string();
    let server = address.strip_prefix("clickhouse+").unwrap().rsplit_once('/').unwrap().0;
    let url = format!("{server}/?database={}", database_of(store));
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.post(&url).send(statement.as_bytes()).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    assert_eq!(answer.status(), 200, "{statement}: {text}");
    text.trim().to_owned()
}

/// The number of rows that a table has, with a condition after its name where there is one.
pub(crate) fn count(store: &ClickHouseConfig, rows: &str) -> u64 {
    run(store, &format!("SELECT count() FROM {rows}")).parse().unwrap()
}

/// How many blocks that end before a Unix minute the service has yet to close, or will close again: after a report that came while it
/// closed them, or behind a block that it closed again.
pub(crate) fn unsettled(store: &ClickHouseConfig, minute: u64) -> u64 {
    let over = (minute - 1) / 10;
    let blocks = format!(
        "(
            SELECT block, argMax(is_closed, closed_at) AS is_whole, max(closed_at) AS last FROM blocks GROUP BY block
        ) AS b FULL JOIN (
            SELECT block, max(received_at) AS received FROM reported WHERE block < {over} GROUP BY block
        ) AS r ON b.block = r.block
        WHERE NOT is_whole OR last < received + INTERVAL 30 SECOND"
    );
    let behind = "(
        SELECT last, max(last) OVER (ORDER BY block ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS earlier
        FROM (SELECT block, max(closed_at) AS last FROM blocks GROUP BY block)
    ) WHERE last < earlier";
    count(store, &blocks) + count(store, behind)
}

/// Waits for what the service does by itself at intervals. [`eventually`](gatelens_testkit::wait::eventually) has less patience.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(LOOK);
    }
}
