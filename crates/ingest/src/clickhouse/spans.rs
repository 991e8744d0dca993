//! Spans of applications, for all replicas.
//!
//! A row has the spans that one sender sent of one trace at once. Its key follows from these spans, so that what is sent again
//! shows once. Partitions are stretches of receipt that end when they have an eighth of the room or are a day old; the oldest go
//! when all are larger than the room. The task that inserts looks at that, so that nothing else is needed while no spans come.

use super::log::put_text;
use super::log_insert::insert_bytes;
use super::prune::drop_partition;
use super::series::Parts;
use super::{ClickHouse, QueueFull, quoted};
use crate::error::QueryError;
use crate::model::{AppSpan, SpanPart};
use crate::retention::{Retention, before};
use crate::spans::{MAX_OF_TRACE, StoredPart};
use crate::store::{Deed, Selection, StoreError};
use clickhouse::error::Error;
use clickhouse::{Client, Row};
use data_encoding::HEXLOWER;
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

const TABLE: &str = "spans";
/// Time from the beginning of an insert to that of the next one, at least.
const PACE: Duration = Duration::from_millis(100);
/// Time that a sender waits for its spans to be inserted. After it they are inserted all the same.
const WAIT: Duration = Duration::from_secs(2);
/// Batches that wait, and their KiB.
const QUEUE: usize = 1_024;
const QUEUE_KIB: usize = 64 << 10;
/// Bytes of rows after which no further batch comes into an insert.
const MAX_BYTES: usize = 8 << 20;
/// How old the knowledge of the room may be.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// A partition ends when it has one part in so many of the room, or so many minutes.
const PARTITION_SHARE: u64 = 8;
const PARTITION_MINUTES: u64 = 1_440;
/// Spans that are read for an answer, with those that a sender has sent in other groups again.
const MAX_READ: usize = 10 * MAX_OF_TRACE;

/// Granules are small because a question reads one trace.
pub(super) const SPANS: &str = "
CREATE TABLE IF NOT EXISTS spans (
    stretch UInt32 CODEC(ZSTD(1)),      -- the Unix minute at which its first spans came
    trace FixedString(16) CODEC(ZSTD(1)),
    start Int64 CODEC(ZSTD(1)),         -- of the earliest span, Unix nanoseconds
    environment LowCardinality(String),
    service LowCardinality(String),
    part UInt64 CODEC(ZSTD(1)),         -- a hash of the spans
    spans UInt32 CODEC(ZSTD(1)),        -- how many there are
    left_out UInt32 CODEC(ZSTD(1)),     -- how many more there were
    data String CODEC(ZSTD(3)),         -- a list in JSON
    received DateTime64(3) DEFAULT now64(3) CODEC(ZSTD(1))
) ENGINE = ReplacingMergeTree
PARTITION BY stretch ORDER BY (trace, start, environment, service, part)
SETTINGS index_granularity = 256";

const COLUMNS: &str = "stretch, trace, start, environment, service, part, spans, left_out, data";

/// The queue of spans that wait to be inserted.
pub(super) struct SpanInserts {
    queue: Sender<Waiting>,
    room: Arc<Semaphore>,
    /// Bytes of the table; 0: no spans are kept.
    bytes: u64,
}

struct Waiting {
    parts: Vec<SpanPart>,
    reply: oneshot::Sender<Result<(), Arc<Error>>>,
    /// Bytes of the queue.
    _share: OwnedSemaphorePermit,
}

#[derive(Row, Deserialize)]
struct Found {
    environment: String,
    service: String,
    part: u64,
    left_out: u32,
    data: String,
}

/// The partitions of the table on the server that answers, the oldest first, and its Unix minute.
#[derive(Row, Deserialize)]
struct Partitions {
    minute: u32,
    /// The stretch, the name and the bytes of each.
    all: Vec<(u32, String, u64)>,
}

/// What the task knows of the table.
#[derive(Default)]
struct Room {
    looked_at: Option<Instant>,
    stretch: u32,
    /// Bytes that were inserted since the look.
    inserted: u64,
}

impl SpanInserts {
    /// Starts to insert spans into a table of so many bytes on each server. Ends when this is dropped, after those in the queue.
    pub(super) fn start(client: &Client, bytes: u64) -> Self {
        let (queue, received) = channel(QUEUE);
        tokio::spawn(insert_all(client.clone(), bytes, received));
        Self { queue, room: Arc::new(Semaphore::new(QUEUE_KIB)), bytes }
    }
}

impl ClickHouse {
    /// Keeps spans. They are inserted when this returns, or after two seconds wait for it.
    ///
    /// # Errors
    /// When too many wait, or the server cannot be reached or refuses: the spans are lost then.
    pub(crate) async fn add_spans(&self, parts: Vec<SpanPart>) -> Result<Result<(), QueueFull>, StoreError> {
        let SpanInserts { queue, room, bytes } = &self.spans;
        if *bytes == 0 || parts.is_empty() {
            return Ok(Ok(()));
        }
        let kib = parts.iter().map(bytes_of).sum::<usize>() / 1024 + 1;
        // A batch that is larger than the queue waits alone.
        let kib = u32::try_from(kib.min(QUEUE_KIB)).unwrap_or(u32::MAX);
        let Ok(share) = Arc::clone(room).try_acquire_many_owned(kib) else { return Ok(Err(QueueFull)) };
        let (reply, answer) = oneshot::channel();
        if queue.try_send(Waiting { parts, reply, _share: share }).is_err() {
            return Ok(Err(QueueFull));
        }
        match timeout(WAIT, answer).await {
            Ok(Ok(Err(error))) => Err(Error::Custom(error.to_string()).into()),
            Ok(Err(_)) => Err(Error::Custom("the insert has ended without an outcome".to_owned()).into()),
            Ok(Ok(Ok(()))) | Err(_) => Ok(Ok(())),
        }
    }

    /// The spans of a trace, by their start: at least the first thousand that differ, if there are so many.
    pub(crate) fn spans_of_trace(&self, trace_id: &[u8]) -> Result<Vec<StoredPart>, QueryError> {
        self.wait(self.find_spans(trace_id))
    }

    async fn find_spans(&self, trace_id: &[u8]) -> Result<Vec<StoredPart>, Error> {
        let of_trace = format!("trace = unhex('{}')", HEXLOWER.encode(trace_id));
        let rows = format!(
            "SELECT environment, service, part, left_out, data FROM spans
             WHERE {of_trace} ORDER BY trace, start, environment, service, part LIMIT {MAX_READ}"
        );
        let mut rows = self.client.query_raw(&rows).fetch::<Found>()?;
        let mut parts: Vec<StoredPart> = Vec::new();
        let (mut last, mut known, mut read) = (None, HashSet::new(), 0);
        let mut is_whole = true;
        while let Some(Found { environment, service, part, left_out, data }) = rows.next().await? {
            let key = (environment.clone(), service.clone(), part);
            // Rows of one key lie side by side.
            if last.as_ref() == Some(&key) {
                continue;
            }
            last = Some(key);
            if known.len() >= MAX_OF_TRACE || read >= MAX_READ {
                is_whole = false;
                break;
            }
            // A part that cannot be read shows nothing.
            let spans: Vec<AppSpan> = serde_json::from_str(&data).unwrap_or_default();
            read += spans.len();
            known.extend(spans.iter().map(|span| span.id.clone()));
            parts.push(StoredPart { environment, service, left_out: left_out.into(), spans });
        }
        drop(rows);
        if !is_whole {
            let all = format!(
                "SELECT sum(of_part) AS spans FROM (
                     SELECT any(spans) + any(left_out) AS of_part FROM spans WHERE {of_trace}
                     GROUP BY start, environment, service, part)"
            );
            let all: u64 = self.client.query_raw(&all).fetch_one().await?;
            let shown: u64 = parts.iter().map(|part| part.spans.len() as u64 + part.left_out).sum();
            if let Some(last) = parts.last_mut() {
                last.left_out += all.saturating_sub(shown);
            }
        }
        Ok(parts)
    }

    /// Removes stretches whose spans are all older than the log.
    pub(crate) async fn prune_spans(&self, retention: &Retention, now: i64) -> Result<(), StoreError> {
        let oldest = before(now, retention.requests).div_euclid(1_000_000);
        let old = format!(
            "SELECT _partition_id AS name FROM spans GROUP BY name
             HAVING toUnixTimestamp64Milli(max(received)) < {oldest}"
        );
        let old = self.client.query_raw(&old).fetch_all::<String>().await?;
        for name in old {
            drop_partition(&self.client, TABLE, &name).await?;
        }
        Ok(())
    }

    /// Removes those of a selected environment, or counts them. Spans name neither gateways nor consumers.
    pub(crate) async fn forget_spans(&self, selection: &Selection, deed: Deed) -> Result<u64, StoreError> {
        let Some(environment) = selection.whole_environment() else { return Ok(0) };
        let wanted = format!("environment = {}", quoted(environment));
        let count = format!(
            "SELECT sum(of_part) AS spans FROM (
                 SELECT any(spans) AS of_part FROM spans WHERE {wanted} GROUP BY trace, start, service, part)"
        );
        let spans: u64 = self.client.query_raw(&count).fetch_one().await?;
        if deed == Deed::Remove && spans > 0 {
            self.remove(TABLE, &wanted).await?;
        }
        Ok(spans)
    }
}

/// About the bytes that the spans take in memory.
fn bytes_of(part: &SpanPart) -> usize {
    part.spans.iter().map(|span| size_of::<AppSpan>() + 32 + span.text_bytes()).sum()
}

async fn insert_all(client: Client, bytes: u64, mut queue: Receiver<Waiting>) {
    let mut room = Room::default();
    while let Some(first) = queue.recv().await {
        let begun = Instant::now();
        let (mut rows, mut replies, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        let looked = room.look(&client, bytes).await;
        let mut next = Some(first);
        while let Some(Waiting { parts, reply, _share }) = next {
            parts.iter().for_each(|part| put(&mut rows, room.stretch, part));
            replies.push(reply);
            shares.push(_share);
            next = if rows.len() < MAX_BYTES { queue.try_recv().ok() } else { None };
        }
        room.inserted += rows.len() as u64;
        let outcome = match looked {
            Ok(()) => insert(&client, rows).await,
            Err(error) => Err(error),
        };
        let outcome = outcome.map_err(Arc::new);
        if let Err(error) = &outcome
            && replies.iter().all(oneshot::Sender::is_closed)
        {
            // Those who were told otherwise do not wait any more.
            tracing::warn!(%error, "spans of applications are not kept");
        }
        // A sender that has gone does not read the answer.
        replies.into_iter().for_each(|reply| drop(reply.send(outcome.clone())));
        drop(shares);
        sleep_until(begun + PACE).await;
    }
}

async fn insert(client: &Client, rows: Vec<u8>) -> Result<(), Error> {
    let mut token = Parts::default();
    token.bytes(&rows);
    let statement = format!("INSERT INTO {TABLE} ({COLUMNS}) FORMAT RowBinary");
    insert_bytes(client, &statement, &[rows], &format!("{:016x}", token.hash())).await
}

/// A row of RowBinary.
fn put(rows: &mut Vec<u8>, stretch: u32, part: &SpanPart) {
    let Ok(trace) = <[u8; 16]>::try_from(part.trace_id.as_slice()) else { return };
    let kept = part.spans.get(..MAX_OF_TRACE.min(part.spans.len())).unwrap_or_default();
    let Some(start) = kept.iter().map(|span| span.start).min() else { return };
    let data = serde_json::to_vec(kept).unwrap_or_default();
    let mut hash = Parts::default();
    hash.bytes(&data);
    rows.extend_from_slice(&stretch.to_le_bytes());
    rows.extend_from_slice(&trace);
    rows.extend_from_slice(&start.to_le_bytes());
    put_text(rows, part.environment.as_bytes());
    put_text(rows, part.service.as_bytes());
    rows.extend_from_slice(&hash.hash().to_le_bytes());
    for number in [kept.len(), part.spans.len() - kept.len()] {
        rows.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    }
    put_text(rows, &data);
}

impl Room {
    /// Finds the stretch that further spans belong to, and removes the oldest ones when all are larger than the room. Nothing where
    /// that was done lately.
    async fn look(&mut self, client: &Client, bytes: u64) -> Result<(), Error> {
        let share = bytes / PARTITION_SHARE;
        let is_recent = self.looked_at.is_some_and(|at| at.elapsed() < LOOK_INTERVAL);
        if is_recent && self.inserted < share {
            return Ok(());
        }
        let partitions = format!(
            "SELECT toUInt32(intDiv(toUnixTimestamp(now()), 60)) AS minute,
                    arraySort(groupArray((stretch, id, bytes))) AS all
             FROM (
                 SELECT toUInt32OrZero(partition) AS stretch, partition_id AS id, sum(bytes_on_disk) AS bytes
                 FROM system.parts
                 WHERE active AND database = currentDatabase() AND table IN ('{TABLE}', '{TABLE}_local')
                 GROUP BY stretch, id
             )"
        );
        let Partitions { minute, all } = client.query_raw(&partitions).fetch_one::<Partitions>().await?;
        let goes_on = |(stretch, _, bytes): &&(u32, String, u64)| {
            *bytes <= share && u64::from(minute.saturating_sub(*stretch)) < PARTITION_MINUTES
        };
        // The newest one, so that all replicas have the same. A new one stands behind all others.
        let next = || all.last().map_or(minute, |(stretch, ..)| minute.max(stretch.saturating_add(1)));
        self.stretch = all.last().filter(goes_on).map_or_else(next, |(stretch, ..)| *stretch);
        let mut taken: u64 = all.iter().map(|(_, _, bytes)| bytes).sum();
        for (stretch, name, of_partition) in &all {
            if taken <= bytes || *stretch == self.stretch {
                break;
            }
            drop_partition(client, TABLE, name).await?;
            taken = taken.saturating_sub(*of_partition);
        }
        (self.looked_at, self.inserted) = (Some(Instant::now()), 0);
        Ok(())
    }
}
