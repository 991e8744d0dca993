//! The store on ClickHouse: the counters and the request log of several replicas in one database
//! ([ADR 37](../../../../docs/adr/0037-two-stores.md)).
//!
//! Whatever a replica inserts may be inserted again, by itself or by another one, and changes nothing then: reported counters
//! are merged by the largest value, changes and requests have the identity of their batch. So no replica owns anything, and a
//! sender that repeats a batch to another replica counts once.

mod address;
mod alert_rows;
mod close;
mod condition;
mod copy;
mod counts;
mod days;
mod ddl;
mod forget;
mod log;
mod log_follow;
mod log_insert;
mod log_query;
mod prune;
mod replicas;
mod report;
mod schema;
mod series;
mod session_rows;
mod sizes;
mod snapshot;
mod spans;
mod tls;
mod told;
mod totals;
mod watched;

pub use address::{Address, NotAnAddress};
pub(crate) use alert_rows::AlertRow;
pub(crate) use condition::{Condition, quoted};
pub use copy::Copied;
pub(crate) use counts::ServerCounts;
pub use ddl::{Layout, statements};
pub(crate) use log_insert::QueueFull;
pub(crate) use log_query::{LogOrder, LogPlace, LogQuestion};
pub(crate) use replicas::PRESENT;
pub(crate) use report::Admits;
pub(crate) use session_rows::{SharedSession, ToldSession, Wanted};
pub(crate) use sizes::Database;
pub(crate) use told::{Place, Told};
pub(crate) use totals::{SeriesTotals, ServerTotals};
pub(crate) use watched::{News, Progress};

use crate::error::QueryError;
use crate::limits::Limits;
use crate::patterns::KnownPatterns;
use crate::store::StoreError;
use crate::sync::lock;
use clickhouse::Client;
use clickhouse::error::Error;
use log_insert::Inserts;
use series::Known;
use spans::SpanInserts;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::runtime::Handle;

/// Seconds after which the server ends a statement that nobody waits for, such as one that closes a block.
const SERVER_LIMIT: &str = "60";
/// Time beyond that of a question in which the server should have ended it.
const ANSWER_DELAY: Duration = Duration::from_secs(5);
/// Time for the server to take a part of what is inserted, and to answer.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// Time for a statement that nobody waits for, beyond which the server should have ended it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(120);
/// Time for the server to answer whether it is there.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// The ClickHouse that keeps counters and the request log, as the operator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClickHouseConfig {
    /// Where it is.
    pub address: Address,
    /// File with the password of the user.
    pub password: Option<PathBuf>,
    /// File with the authorities that sign its certificate, in PEM; those that browsers trust without one.
    pub ca: Option<PathBuf>,
}

/// A database of ClickHouse.
pub(crate) struct ClickHouse {
    client: Client,
    database: String,
    /// Where questions, which wait for their answers, run.
    runtime: Handle,
    patterns: Arc<KnownPatterns>,
    /// The most series that a replica adds to what there is.
    max_series: usize,
    /// Minutes after which a report belongs into the present.
    late_minutes: u32,
    /// See [`Limits::long_log`].
    long_log: u64,
    query_timeout: Duration,
    series: Mutex<Known>,
    latest_totals: totals::Latest,
    inserts: Inserts,
    spans: SpanInserts,
}

impl ClickHouse {
    /// Connects, and brings the tables up to date. Must be called on a runtime, which it uses for as long as it lives.
    ///
    /// # Errors
    /// When the server cannot be reached, refuses, or has tables of a newer version.
    pub(crate) async fn open(
        config: &ClickHouseConfig,
        patterns: Arc<KnownPatterns>,
        limits: &Limits,
    ) -> Result<Self, StoreError> {
        let password = config.password.as_deref().map(read_password).transpose()?;
        let Address { url, user, database } = &config.address;
        let client = match &config.ca {
            Some(ca) => tls::trusting(ca)?,
            None => Client::default(),
        };
        let mut client = client
            .with_url(url)
            .with_user(user)
            .with_setting("max_execution_time", SERVER_LIMIT)
            // The series of a question and their groups are literals in it.
            .with_setting("max_query_size", "67108864")
            // An insert that is answered is stored.
            .with_setting("async_insert", "0")
            // Also where its table is divided among shards, and a question within a question is about all of them.
            .with_setting("distributed_foreground_insert", "1")
            .with_setting("distributed_product_mode", "global")
            .with_product_info("gatelens", env!("CARGO_PKG_VERSION"));
        if let Some(password) = password {
            client = client.with_password(password);
        }
        schema::migrate(&client, database).await?;
        let client = client.with_database(database);
        log::complete(&client, database).await?;
        let store = Self {
            inserts: Inserts::start(&client),
            spans: SpanInserts::start(&client, limits.spans_bytes),
            client,
            database: database.clone(),
            runtime: Handle::current(),
            patterns,
            max_series: limits.series,
            query_timeout: limits.query_timeout,
            late_minutes: u32::try_from(limits.late_report.as_secs() / 60).unwrap_or(u32::MAX),
            long_log: limits.long_log,
            series: Mutex::default(),
            latest_totals: Mutex::default(),
        };
        store.refresh_series().await?;
        Ok(store)
    }

    /// Whether it answers, within a short time.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        let asked = self.client.query_raw("SELECT 1").execute();
        Ok(in_time(PROBE_TIMEOUT, asked).await?)
    }

    /// The time of the server, in Unix milliseconds.
    pub(crate) async fn now(&self) -> Result<i64, Error> {
        self.client.query_raw("SELECT toUnixTimestamp64Milli(now64(3)) AS now").fetch_one().await
    }

    /// Whether there is a row. The condition is part of `from`.
    async fn has_rows(&self, from: &str) -> Result<bool, Error> {
        let any = format!("SELECT toUInt8(1) AS any FROM {from} LIMIT 1");
        Ok(self.client.query_raw(&any).fetch_optional::<u8>().await?.is_some())
    }

    fn series(&self) -> MutexGuard<'_, Known> {
        lock(&self.series)
    }

    /// Waits for an answer of the server, which may not come. Not for threads of a runtime.
    fn wait<T, E>(&self, answer: impl Future<Output = Result<T, E>>) -> Result<T, QueryError>
    where
        QueryError: From<E>,
    {
        let timeout = self.query_timeout.saturating_add(ANSWER_DELAY);
        let answered = self.runtime.block_on(async { tokio::time::timeout(timeout, answer).await });
        Ok(answered.map_err(|_| QueryError::TooSlow)??)
    }
}

/// Waits for an answer, which may not come.
async fn in_time<T>(timeout: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(timeout, answer).await.map_err(|_| Error::TimedOut)?
}

/// The server's own limit of time is that of a question.
impl From<Error> for QueryError {
    fn from(error: Error) -> Self {
        match code(&error) {
            Some(TIMEOUT_EXCEEDED) => Self::TooSlow,
            _ => Self::Store(error.into()),
        }
    }
}

/// The server gave up after `max_execution_time`.
const TIMEOUT_EXCEEDED: u32 = 159;

/// The number of the server's exception.
fn code(error: &Error) -> Option<u32> {
    let Error::BadResponse(text) = error else { return None };
    let (_, rest) = text.split_once("Code: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn read_password(path: &Path) -> Result<String, StoreError> {
    let text = std::fs::read_to_string(path).map_err(|error| StoreError::file(path, error))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
