//! The tables, and the numbered steps that make them.
//!
//! A step can be repeated, because two replicas that start at once may both take it. A replica refuses tables that a newer
//! version has changed; an older one that runs keeps working, because a step only adds what it does not know.

use super::ddl;
use super::log::REQUESTS;
use super::spans::SPANS;
use crate::store::StoreError;
use clickhouse::error::Error;
use clickhouse::{Client, Row};
use serde::Deserialize;

/// The steps, each a list of statements; the first is version 1. A step that was released never changes.
pub(super) const STEPS: &[&[&str]] = &[
    &[SERIES, INSTANCES, REPORTED, STATES, MINUTES, HALF_HOURS, DAYS, CHANGES, BLOCKS],
    &[REQUESTS],
    &[TOLD],
    &[FORGOTTEN],
    &[REPLICAS, ALERT_ROWS, SESSIONS, SIGN_IN_KEYS],
    &[SPANS],
    &[ENDED, BASES, TOTALS, ENDED_SERIES],
];

/// The version of the tables.
const VERSION: u32 = STEPS.len() as u32;

pub(super) const STEPS_TAKEN: &str = "
CREATE TABLE IF NOT EXISTS migrations (
    version UInt32,
    taken_at DateTime64(3) DEFAULT now64(3)
) ENGINE = ReplacingMergeTree ORDER BY version";

const SERIES: &str = "
CREATE TABLE IF NOT EXISTS series (
    id UInt64,                          -- a hash of all that follows
    service String,
    environment String,
    version String,                     -- of the service; '': not named
    direction String,
    consumer String,
    method String,
    route String,
    route_source String,                -- '': inferred
    host String,                        -- '': not told apart
    upstream_cluster String,            -- '': not told apart
    status UInt16,                      -- 0: no answer
    grpc_status Int16,                  -- -1: not gRPC
    error_type String,                  -- '': no cause
    overflow Bool,
    place UInt32,                       -- in the batch that brought it first
    without_both UInt64,                -- the number of its class: series that differ in consumer and route alone
    without_consumer UInt64,            -- in their consumer alone
    without_route UInt64,               -- in their route alone
    added_at DateTime64(3) DEFAULT now64(3)
) ENGINE = ReplacingMergeTree ORDER BY id";

const INSTANCES: &str = "
CREATE TABLE IF NOT EXISTS instances (
    name String,
    added_at SimpleAggregateFunction(min, DateTime64(3)) DEFAULT now64(3)
) ENGINE = AggregatingMergeTree ORDER BY name";

/// The values of a stream's cumulative counters, of which the largest is the latest, and the sum of the numbers, which grows with each report.
macro_rules! counters {
    () => {
        "requests SimpleAggregateFunction(max, UInt64),
    request_bytes SimpleAggregateFunction(max, UInt64),
    response_bytes SimpleAggregateFunction(max, UInt64),
    attempts SimpleAggregateFunction(max, UInt64),
    duration_zeros SimpleAggregateFunction(max, UInt64),
    duration_ns SimpleAggregateFunction(max, UInt64),
    duration SimpleAggregateFunction(maxMap, Map(Int16, UInt64)),
    upstream_zeros SimpleAggregateFunction(max, UInt64),
    upstream_ns SimpleAggregateFunction(max, UInt64),
    upstream SimpleAggregateFunction(maxMap, Map(Int16, UInt64)),
    gateway_zeros SimpleAggregateFunction(max, UInt64),
    gateway_ns SimpleAggregateFunction(max, UInt64),
    gateway SimpleAggregateFunction(maxMap, Map(Int16, UInt64)),
    request_sizes SimpleAggregateFunction(max, UInt64),
    response_sizes SimpleAggregateFunction(max, UInt64),
    by_bound SimpleAggregateFunction(maxMap, Map(UInt64, UInt64)), -- durations up to a bound in nanoseconds and above the one before; 0: above all
    total SimpleAggregateFunction(max, UInt64) DEFAULT requests + request_bytes + response_bytes + attempts + duration_zeros + duration_ns
        + upstream_zeros + upstream_ns + gateway_zeros + gateway_ns CODEC(T64, ZSTD(1))"
    };
}

/// What each stream has reported, by minute. The largest value of a cumulative counter is the latest.
const REPORTED: &str = concat!(
    "
CREATE TABLE IF NOT EXISTS reported (
    block UInt32,                       -- ten Unix minutes
    stream UInt64,                      -- a hash of the sender, its epoch, the start and the attributes
    minute UInt32,                      -- Unix minute
    sender SimpleAggregateFunction(any, UInt64), -- a hash of the sender and its epoch
    series SimpleAggregateFunction(any, UInt64),
    instance SimpleAggregateFunction(any, String),
    ",
    counters!(),
    ",
    received_at SimpleAggregateFunction(max, DateTime64(3)) DEFAULT now64(3)
) ENGINE = AggregatingMergeTree
PARTITION BY intDiv(block, 144) ORDER BY (block, stream, minute)"
);

/// The state of each stream at the end of a block that was closed.
const STATES: &str = concat!(
    "
CREATE TABLE IF NOT EXISTS states (
    block UInt32,
    stream UInt64,
    sender SimpleAggregateFunction(any, UInt64),
    series SimpleAggregateFunction(any, UInt64),
    instance SimpleAggregateFunction(any, String),
    last_minute SimpleAggregateFunction(max, UInt32),
    ",
    counters!(),
    "
) ENGINE = AggregatingMergeTree
PARTITION BY intDiv(block, 144) ORDER BY (block, stream)"
);

/// The columns of counts that a look at reports has added up.
macro_rules! added {
    () => {
        "requests UInt64 CODEC(T64, ZSTD(1)),
    request_bytes UInt64 CODEC(T64, ZSTD(1)),
    response_bytes UInt64 CODEC(T64, ZSTD(1)),
    attempts UInt64 CODEC(T64, ZSTD(1)),
    duration_zeros UInt64 CODEC(T64, ZSTD(1)),
    duration_ns UInt64 CODEC(T64, ZSTD(1)),
    duration Map(Int16, UInt64) CODEC(ZSTD(1)),
    upstream_zeros UInt64 CODEC(T64, ZSTD(1)),
    upstream_ns UInt64 CODEC(T64, ZSTD(1)),
    upstream Map(Int16, UInt64) CODEC(ZSTD(1)),
    gateway_zeros UInt64 CODEC(T64, ZSTD(1)),
    gateway_ns UInt64 CODEC(T64, ZSTD(1)),
    gateway Map(Int16, UInt64) CODEC(ZSTD(1))"
    };
}

/// What each minute of a closed block added. Questions read few rows of a class, so stretches of the index are short: of eight
/// times the length, a question about a week takes twice the time. A later look at the same block has a higher version, because what was reported
/// only grows.
const MINUTES: &str = concat!(
    "
CREATE TABLE IF NOT EXISTS minutes (
    kind UInt8,                         -- of what `series` is the number: 0 of a series, otherwise of a class of series
    minute UInt32,                      -- Unix minute
    series UInt64,
    instance LowCardinality(String),
    stream UInt64,
    version UInt64,
    ",
    added!(),
    "
) ENGINE = ReplacingMergeTree(version)
PARTITION BY intDiv(minute, 1440) ORDER BY (kind, minute, series, instance, stream)
SETTINGS index_granularity = 1024"
);

/// What each half hour added, of all streams of an instance. A later look has a higher version likewise.
const HALF_HOURS: &str = concat!(
    "
CREATE TABLE IF NOT EXISTS half_hours (
    kind UInt8,
    minute UInt32,                      -- the first Unix minute
    series UInt64,
    instance LowCardinality(String),
    version UInt64,
    ",
    added!(),
    "
) ENGINE = ReplacingMergeTree(version)
PARTITION BY intDiv(minute, 43200) ORDER BY (kind, minute, series, instance)
SETTINGS index_granularity = 1024"
);

/// What each day added that is over, and marks, see `days.rs`.
const DAYS: &str = concat!(
    "
CREATE TABLE IF NOT EXISTS days (
    kind UInt8,                         -- 255: a mark
    minute UInt32,                      -- the first Unix minute
    series UInt64,
    instance LowCardinality(String),
    version UInt64,                     -- when its half hours were read, Unix milliseconds
    ",
    added!(),
    "
) ENGINE = ReplacingMergeTree(version)
PARTITION BY intDiv(minute, 43200) ORDER BY (kind, minute, series, instance)
SETTINGS index_granularity = 1024"
);

/// What senders report as changes, which wait for no block.
const CHANGES: &str = concat!(
    "
CREATE TABLE IF NOT EXISTS changes (
    minute UInt32,                      -- Unix minute
    series UInt64,
    instance LowCardinality(String),
    change UInt64,                      -- a hash of its batch and its place in it
    ",
    added!(),
    ",
    request_sizes UInt64 CODEC(T64, ZSTD(1)),
    response_sizes UInt64 CODEC(T64, ZSTD(1)),
    by_bound Map(UInt64, UInt64) CODEC(ZSTD(1)) -- empty where it lacks a request
) ENGINE = ReplacingMergeTree
PARTITION BY intDiv(minute, 1440) ORDER BY (minute, series, instance, change)"
);

const BLOCKS: &str = "
CREATE TABLE IF NOT EXISTS blocks (
    block UInt32,
    closed_at DateTime64(3) DEFAULT now64(3),
    is_closed Bool DEFAULT true         -- false: it is being closed again since then
) ENGINE = ReplacingMergeTree(closed_at) ORDER BY block";

/// A row each time that series were removed: what replicas know of them must be read anew.
const FORGOTTEN: &str = "
CREATE TABLE IF NOT EXISTS forgotten (
    at DateTime64(3),
    is_over Bool DEFAULT true,          -- false: they are being removed since then
    of_counts Bool DEFAULT true         -- false: they had no counts
) ENGINE = MergeTree ORDER BY at";

/// The columns that totals are made of.
macro_rules! of_total {
    () => {
        "requests SimpleAggregateFunction(max, UInt64),
    duration_zeros SimpleAggregateFunction(max, UInt64),
    duration_ns SimpleAggregateFunction(max, UInt128),
    duration SimpleAggregateFunction(maxMap, Map(Int16, UInt64)),
    request_bytes SimpleAggregateFunction(max, UInt64),
    response_bytes SimpleAggregateFunction(max, UInt64),
    request_sizes SimpleAggregateFunction(max, UInt64),
    response_sizes SimpleAggregateFunction(max, UInt64),
    by_bound SimpleAggregateFunction(maxMap, Map(UInt64, UInt64))"
    };
}

/// A table of streams, each with values that it had.
macro_rules! of_streams {
    ($name:literal, $day:literal) => {
        concat!(
            "
CREATE TABLE IF NOT EXISTS ",
            $name,
            " (
    day UInt32,                         -- ",
            $day,
            "
    stream UInt64,
    series SimpleAggregateFunction(max, UInt64),
    instance SimpleAggregateFunction(any, String),
    ",
            of_total!(),
            "
) ENGINE = AggregatingMergeTree
PARTITION BY day ORDER BY (day, stream)"
        )
    };
}

/// Streams whose states were not carried on, with the last one, until their day is added to the totals.
const ENDED: &str = of_streams!("ended", "Unix day of the block that did not carry it on");

/// What of a stream's values is in no total of its series: it was forgotten, or is in a total that was copied.
const BASES: &str =
    of_streams!("bases", "Unix day; those of streams that continue are carried to a later one");

/// All that a series counted by changes and by streams that ended, up to the end of a day; and what came at once from elsewhere.
const TOTALS: &str = concat!(
    "
CREATE TABLE IF NOT EXISTS totals (
    day UInt32,                         -- Unix day; 0 where it came from elsewhere
    series UInt64,                      -- 0: the day is whole, or the source is known
    source UInt64,                      -- 0; of what came from elsewhere, a number of its own
    bounds Array(UInt64),               -- at which durations are counted apart, nanoseconds
    since SimpleAggregateFunction(min, Int64) DEFAULT 9223372036854775807, -- Unix nanoseconds, at which nothing was counted yet
    ",
    of_total!(),
    "
) ENGINE = AggregatingMergeTree
PARTITION BY day ORDER BY (day, series, source, bounds)"
);

/// Series of which only totals are left.
const ENDED_SERIES: &str = "
CREATE TABLE IF NOT EXISTS ended_series (
    id UInt64,                          -- a hash of all that follows
    service String,
    environment String,
    version String,
    direction String,
    consumer String,                    -- '': forgotten
    method String,
    route String,
    route_source String,
    host String,
    upstream_cluster String,
    status UInt16,
    grpc_status Int16,
    error_type String,
    overflow Bool,
    place UInt32,
    without_both UInt64,
    without_consumer UInt64,
    without_route UInt64,
    added_at DateTime64(3) DEFAULT now64(3),
    expired_at DateTime64(3) DEFAULT toDateTime64(0, 3) -- since when replicas do not know its row in `series`; 0: it has none
) ENGINE = ReplacingMergeTree ORDER BY id";

/// The latest that each replica has told under a key. What is told anew as long as it is alive goes when it was not told for
/// long; what people wrote, and learned routes, stay.
const TOLD: &str = "
CREATE TABLE IF NOT EXISTS told (
    kind LowCardinality(String),
    name String,                        -- the key, as a JSON array
    replica String,
    value String,                       -- JSON
    at DateTime64(3) DEFAULT now64(3),
    INDEX by_time at TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree(at) ORDER BY (kind, name, replica)
TTL toDateTime(at) + INTERVAL 40 DAY DELETE
        WHERE kind IN ('uptime', 'probe_results', 'log_gateways', 'log_sequences'),
    toDateTime(at) + INTERVAL 400 DAY DELETE
        WHERE kind NOT IN ('directory', 'patterns', 'pattern_places')";

/// The replicas that run.
const REPLICAS: &str = "
CREATE TABLE IF NOT EXISTS replicas (
    replica String,
    leaves Bool,
    seen DateTime64(3) DEFAULT now64(3)
) ENGINE = ReplacingMergeTree(seen) ORDER BY replica
TTL toDateTime(seen) + INTERVAL 1 DAY";

/// Rows of `alerts.db`. Rules, receivers and mutes stay for ever when they are removed, because a replica that was away for long
/// must know.
const ALERT_ROWS: &str = "
CREATE TABLE IF NOT EXISTS alert_rows (
    kind String,
    name String,                        -- a JSON array of its key
    value String,                       -- a JSON object; '': removed
    version UInt64,                     -- Unix milliseconds, or more
    inserted_at DateTime64(3) DEFAULT now64(3)
) ENGINE = ReplacingMergeTree(version) ORDER BY (kind, name)
TTL toDateTime(inserted_at) + INTERVAL 400 DAY DELETE WHERE kind IN ('alert', 'incident', 'delivery', 'gap')";

/// Sessions of people. Rows of one session are merged.
const SESSIONS: &str = "
CREATE TABLE IF NOT EXISTS sessions (
    id String,                          -- a hash of the cookie
    person SimpleAggregateFunction(max, String),
    way SimpleAggregateFunction(max, String),
    begun_at SimpleAggregateFunction(min, DateTime64(3)) DEFAULT now64(3),
    used_at SimpleAggregateFunction(max, DateTime64(3)) DEFAULT now64(3),
    ended SimpleAggregateFunction(max, UInt8)
) ENGINE = AggregatingMergeTree ORDER BY id
TTL toDateTime(used_at) + INTERVAL 1 DAY";

/// The key of sign-ins that have begun and not ended; the first one holds.
const SIGN_IN_KEYS: &str = "
CREATE TABLE IF NOT EXISTS sign_in_keys (
    key String,
    made_at DateTime64(3) DEFAULT now64(3)
) ENGINE = MergeTree ORDER BY made_at";

/// Makes the database and its tables, or takes the steps that are missing.
pub(super) async fn migrate(client: &Client, database: &str) -> Result<(), StoreError> {
    // Its name is of letters, digits and _.
    client.query_raw(&format!("CREATE DATABASE IF NOT EXISTS {database}")).execute().await?;
    let client = client.clone().with_database(database);
    client.query_raw(STEPS_TAKEN).execute().await?;
    let found = version(&client).await?;
    if found > VERSION {
        return Err(StoreError::NewerTables { database: database.to_owned(), found, known: VERSION });
    }
    let is_of_cluster = is_of_cluster(&client, "migrations").await?;
    for (number, step) in (1u32..).zip(STEPS).skip(found as usize) {
        for statement in *step {
            if is_of_cluster {
                must_exist(&client, database, statement).await?;
            }
            client.query_raw(statement).execute().await?;
        }
        client.query(&format!("INSERT INTO migrations (version) VALUES ({number})")).execute().await?;
    }
    Ok(())
}

#[derive(Row, Deserialize)]
struct Engine {
    engine: String,
    engine_full: String,
}

async fn engine(client: &Client, table: &str) -> Result<Option<Engine>, Error> {
    let engine = format!(
        "SELECT engine, engine_full FROM system.tables WHERE database = currentDatabase() AND name = '{table}'"
    );
    client.query_raw(&engine).fetch_optional::<Engine>().await
}

/// Whether a table is one of a cluster, which `gatelens store schema` has printed.
pub(super) async fn is_of_cluster(client: &Client, table: &str) -> Result<bool, Error> {
    let engine = engine(client, table).await?;
    Ok(engine
        .is_some_and(|Engine { engine, .. }| engine.starts_with("Replicated") || engine == "Distributed"))
}

/// On a cluster, a table of this server alone would be missing elsewhere.
async fn must_exist(client: &Client, database: &str, statement: &str) -> Result<(), StoreError> {
    let Some(table) = ddl::table_of(statement) else { return Ok(()) };
    match engine(client, table).await? {
        Some(_) => Ok(()),
        None => {
            Err(StoreError::NotOnCluster { database: database.to_owned(), what: format!("table {table}") })
        }
    }
}

/// How a statement names a table that it alters: one that is divided among shards is altered on each of them.
pub(super) async fn altered(client: &Client, table: &str) -> Result<String, Error> {
    let found = engine(client, table).await?;
    let of_shards = found.filter(|found| found.engine == "Distributed").map(|found| found.engine_full);
    // Distributed('cluster', 'database', 'table', key)
    let mut names = of_shards.as_deref().unwrap_or_default().split('\'').skip(1).step_by(2);
    Ok(match (names.next(), names.next(), names.next()) {
        (Some(cluster), Some(database), Some(local)) => format!("{database}.{local} ON CLUSTER '{cluster}'"),
        _ => table.to_owned(),
    })
}

async fn version(client: &Client) -> Result<u32, Error> {
    client.query_raw("SELECT max(version) AS version FROM migrations").fetch_one().await
}
