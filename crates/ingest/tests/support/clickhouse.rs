//! The database of a service that keeps its counts on a ClickHouse.

use gatelens_ingest::ClickHouseConfig;
use std::time::{Duration, Instant};

/// Time after which something that the service does by itself has not come.
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

pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(LOOK);
    }
}
