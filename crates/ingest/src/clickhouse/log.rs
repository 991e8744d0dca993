//! The table of the request log, and its rows in the format RowBinary.
//!
//! Its columns are those of [`FIELDS`], by the same names, so that a new field is a line there: a replica that starts adds the
//! columns that the table does not have, and an older one, which names the columns that it writes, keeps working.

use super::schema::altered;
use super::series::Parts;
use super::{ClickHouse, Condition};
use crate::model::request::{Access, FIELDS, Field, Shown, Source};
use crate::model::{Identity, RequestBatch, RequestEvent, RequestPart, Signal};
use crate::query::LoggedSender as Sender;
use crate::store::{Deed, Selection, StoreError};
use clickhouse::Client;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

/// Its name.
pub(super) const TABLE: &str = "requests";

/// The table, with the columns that do not come from fields. Equal rows, which are repeats, are one at the latest when parts are
/// merged; they lie side by side, so that a reader can pass over them before.
pub(super) const REQUESTS: &str = "
CREATE TABLE IF NOT EXISTS requests (
    time DateTime64(9, 'UTC') CODEC(Delta, ZSTD(1)),    -- start of the request
    batch UInt64 CODEC(ZSTD(1)),                -- a hash of the identity of its batch
    place UInt32 CODEC(ZSTD(1)),                -- its place in the batch
    received_at DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    gateway LowCardinality(String),
    service LowCardinality(String),
    environment LowCardinality(String),
    blank Array(UInt8) CODEC(ZSTD(1)),          -- numbers of text columns that are present and empty, and not absent
    INDEX received received_at TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMMDD(time) ORDER BY (time, batch, place)
SETTINGS non_replicated_deduplication_window = 10000";

/// Columns in front of those of the fields.
const HEAD: [&str; 7] = ["time", "batch", "place", "gateway", "service", "environment", "blank"];

/// Fields of which each request may have a text of its own. The others are stored with dictionaries.
const OF_MANY_VALUES: [&str; 11] = [
    "path",
    "query",
    "client_address",
    "request_id",
    "trace_id",
    "span_id",
    "reported_error",
    "request_headers",
    "response_headers",
    "request_body",
    "response_body",
];

/// Indices by which blocks without a rare value, or without slow requests, are passed over.
const INDICES: [(&str, &str); 6] = [
    ("by_consumer", "consumer TYPE bloom_filter(0.01) GRANULARITY 1"),
    ("by_request_id", "request_id TYPE bloom_filter(0.01) GRANULARITY 1"),
    ("by_trace_id", "trace_id TYPE bloom_filter(0.01) GRANULARITY 1"),
    ("by_client_address", "client_address TYPE bloom_filter(0.01) GRANULARITY 1"),
    ("by_duration", "duration_ns TYPE minmax GRANULARITY 1"),
    ("by_path", "path TYPE tokenbf_v1(16384, 4, 0) GRANULARITY 1"),
];

pub(super) const DAY: i64 = 24 * 3600 * 1_000_000_000;

/// How the value of a field is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Flag,
    Status,
    Float,
    Number,
}

/// A stored request.
#[derive(Debug)]
pub(crate) struct Logged {
    pub(crate) batch: u64,
    pub(crate) place: u32,
    pub(crate) event: RequestEvent,
    pub(crate) sender: Sender,
}

/// Rows of some batches, by day since 1970, as they are sent.
#[derive(Default)]
pub(super) struct Rows(pub(super) BTreeMap<i64, Vec<u8>>);

/// The column of the time of an insert, which those that are copied have behind the others.
pub(super) const RECEIVED_AT: &str = "received_at";

/// The name of the column of a field.
fn column(field: &Field) -> String {
    match field.name.strip_suffix("_ms") {
        Some(name) if matches!(field.shown, Shown::Milliseconds) => format!("{name}_ns"),
        _ => field.name.to_owned(),
    }
}

fn kind(field: &Field) -> Kind {
    match (&field.access, field.shown, &field.source) {
        (Access::Text(..), Shown::Flag, _) => Kind::Flag,
        (Access::Text(..), ..) => Kind::Text,
        (Access::Number(..), _, Source::Status(_)) => Kind::Status,
        (Access::Number(..), Shown::Weight, _) => Kind::Float,
        (Access::Number(..), ..) => Kind::Number,
    }
}

/// The type of the column of a field. A number is null where it is absent, which is not 0.
fn type_of(field: &Field) -> &'static str {
    match kind(field) {
        Kind::Text if OF_MANY_VALUES.contains(&field.name) => "String CODEC(ZSTD(1))",
        Kind::Text => "LowCardinality(String)",
        Kind::Flag => "Bool",
        Kind::Status => "UInt16 CODEC(ZSTD(1))",
        Kind::Float => "Nullable(Float64) CODEC(ZSTD(1))",
        Kind::Number => "Nullable(UInt64) CODEC(T64, ZSTD(1))",
    }
}

/// All columns that are written and read, in the order of a row.
pub(super) fn columns() -> String {
    let head = HEAD.into_iter().map(str::to_owned);
    head.chain(FIELDS.iter().map(column)).collect::<Vec<_>>().join(", ")
}

/// Gives the table the columns of fields that it does not have.
pub(super) async fn complete(client: &Client, database: &str) -> Result<(), StoreError> {
    let names = "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = 'requests'";
    let known: HashSet<String> = client.query_raw(names).fetch_all().await?.into_iter().collect();
    let mut missing = FIELDS.iter().map(column).filter(|column| !known.contains(column));
    if let Some(missing) = missing.next() {
        if altered(client, TABLE).await? != TABLE {
            let what = format!("column {missing} of {TABLE}");
            return Err(StoreError::NotOnCluster { database: database.to_owned(), what });
        }
        client.query_raw(&format!("ALTER TABLE {TABLE} {}", additions().join(", "))).execute().await?;
    }
    Ok(())
}

/// The columns of fields, as changes of the table that can be repeated.
pub(super) fn added_columns() -> Vec<String> {
    let added = |field| format!("ADD COLUMN IF NOT EXISTS {} {}", column(field), type_of(field));
    FIELDS.iter().map(added).collect()
}

/// The same with the indices.
pub(super) fn additions() -> Vec<String> {
    let indices = INDICES.iter().map(|(name, index)| format!("ADD INDEX IF NOT EXISTS {name} {index}"));
    added_columns().into_iter().chain(indices).collect()
}

/// The number of a batch: by its identity, and where the sender gives none by chance.
pub(super) fn number_of(identity: Option<&Identity>, signal: Signal) -> u64 {
    let mut parts = Parts::default();
    match identity {
        Some(Identity { instance, epoch, environment, sequence }) => {
            let texts = [instance.as_str(), epoch, environment, signal.name()];
            texts.into_iter().for_each(|text| parts.text(text));
            parts.number(*sequence);
        }
        None => {
            // Each has keys of its own, of random numbers of the system.
            (0..2).for_each(|_| parts.number(RandomState::new().build_hasher().finish()));
        }
    }
    parts.hash()
}

impl Rows {
    /// The rows of those parts of a batch that `takes` takes.
    pub(super) fn of(batch: &RequestBatch, number: u64, takes: impl Fn(&RequestPart) -> bool) -> Self {
        let mut rows = Self::default();
        let mut place = 0u32;
        for part in &batch.parts {
            if takes(part) {
                (place..)
                    .zip(0..part.events.len())
                    .for_each(|(place, row)| rows.put((number, place), part, row));
            }
            place = place.saturating_add(u32::try_from(part.events.len()).unwrap_or(u32::MAX));
        }
        rows
    }

    /// Adds requests that were received before, at a time in Unix milliseconds. Each row has it behind the other columns.
    pub(super) fn copy(&mut self, part: &RequestPart, batch: u64, received_at: i64) {
        for (place, row) in (0..).zip(0..part.events.len()) {
            self.put((batch, place), part, row);
            let day = part.events.times().get(row).map(|time| time.div_euclid(DAY));
            let rows = day.and_then(|day| self.0.get_mut(&day));
            rows.into_iter().for_each(|rows| rows.extend_from_slice(&received_at.to_le_bytes()));
        }
    }

    pub(super) fn append(&mut self, other: Self) {
        for (day, mut bytes) in other.0 {
            self.0.entry(day).or_default().append(&mut bytes);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn put(&mut self, (batch, place): (u64, u32), part: &RequestPart, row: usize) {
        let Some(&time) = part.events.times().get(row) else { return };
        let out = self.0.entry(time.div_euclid(DAY)).or_default();
        out.extend_from_slice(&time.to_le_bytes());
        out.extend_from_slice(&batch.to_le_bytes());
        out.extend_from_slice(&place.to_le_bytes());
        let gateway = &part.gateway;
        [gateway.instance.as_str(), &gateway.service, &gateway.environment]
            .into_iter()
            .for_each(|text| put_text(out, text.as_bytes()));
        let text = |place: usize| part.events.field(place)?.text(row);
        let is_blank =
            |place: &usize| kind(&FIELDS[*place]) == Kind::Text && text(*place).is_some_and(<[u8]>::is_empty);
        let blank: Vec<u8> =
            (0..FIELDS.len()).filter(is_blank).map(|place| FIELDS[place].column as u8).collect();
        put_text(out, &blank);
        for (place, field) in FIELDS.iter().enumerate() {
            let number = || part.events.field(place)?.number(row);
            match kind(field) {
                Kind::Text => put_text(out, text(place).unwrap_or_default()),
                Kind::Flag => out.push(u8::from(text(place).is_some())),
                Kind::Status => {
                    let status = number().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
                    out.extend_from_slice(&status.to_le_bytes());
                }
                Kind::Float | Kind::Number => match number() {
                    Some(number) => {
                        out.push(0);
                        out.extend_from_slice(&number.to_le_bytes());
                    }
                    None => out.push(1),
                },
            }
        }
    }
}

/// A text, or an array of bytes, which is written in the same way.
pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    put_length(out, text.len());
    out.extend_from_slice(text);
}

pub(super) fn put_length(out: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
}

/// Reads rows out of an answer that comes in pieces.
#[derive(Default)]
pub(super) struct Reader {
    held: Vec<u8>,
    read: usize,
    /// Senders that came before.
    texts: HashSet<Arc<str>>,
}

impl Reader {
    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.held.drain(..std::mem::take(&mut self.read));
        self.held.extend_from_slice(piece);
    }

    /// The next row and its size; `None` until more has come.
    pub(super) fn next(&mut self) -> Option<(Logged, usize)> {
        let rest = self.held.get(self.read..)?;
        let mut bytes = rest;
        let row = take_row(&mut bytes, &mut self.texts)?;
        let size = rest.len() - bytes.len();
        self.read += size;
        Some((row, size))
    }

    /// Whether something is left that is no whole row.
    pub(super) fn is_within_row(&self) -> bool {
        self.read < self.held.len()
    }
}

fn take_row(bytes: &mut &[u8], texts: &mut HashSet<Arc<str>>) -> Option<Logged> {
    let mut event = RequestEvent { time: i64::from_le_bytes(take(bytes)?), ..RequestEvent::default() };
    let (batch, place) = (u64::from_le_bytes(take(bytes)?), u32::from_le_bytes(take(bytes)?));
    let mut name = || {
        let text = String::from_utf8_lossy(take_text(bytes)?);
        Some(match texts.get(&*text) {
            Some(known) => Arc::clone(known),
            None => {
                let text: Arc<str> = text.into();
                texts.insert(Arc::clone(&text));
                text
            }
        })
    };
    let sender = Sender { gateway: name()?, service: name()?, environment: name()? };
    let blank = take_text(bytes)?;
    for field in &FIELDS {
        match (kind(field), &field.access) {
            (Kind::Text, Access::Text(_, set)) => {
                let text = take_text(bytes)?;
                if !text.is_empty() || blank.contains(&(field.column as u8)) {
                    set(&mut event, text.to_vec());
                }
            }
            (Kind::Flag, Access::Text(_, set)) => {
                if take::<1>(bytes)? == [1] {
                    set(&mut event, b"1".to_vec());
                }
            }
            (Kind::Status, Access::Number(_, set)) => {
                set(&mut event, u16::from_le_bytes(take(bytes)?).into());
            }
            (_, Access::Number(_, set)) => {
                if take::<1>(bytes)? == [0] {
                    set(&mut event, u64::from_le_bytes(take(bytes)?));
                }
            }
            (_, Access::Text(..)) => {}
        }
    }
    Some(Logged { batch, place, event, sender })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut length = 0u64;
    for shift in (0..63).step_by(7) {
        let [byte] = take(bytes)?;
        length |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let (text, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
            *bytes = rest;
            return Some(text);
        }
    }
    None
}

impl ClickHouse {
    /// Removes old days of the log: those before the time that `kept_since` gives for the time of the newest request, or for
    /// `now` where that is earlier. In Unix nanoseconds.
    pub(crate) async fn prune_log(
        &self,
        kept_since: impl Fn(i64) -> i64,
        now: i64,
    ) -> Result<(), StoreError> {
        let newest = "SELECT toUnixTimestamp64Nano(max(time)) AS newest FROM requests";
        let newest: i64 = self.client.query_raw(newest).fetch_one().await?;
        // Where a clock runs ahead, it must not cost what the others have sent.
        let oldest = kept_since(newest.min(now)).div_euclid(DAY).saturating_mul(DAY);
        self.drop_partitions("requests", &format!("time < {}", moment(oldest))).await
    }
}

impl ClickHouse {
    /// Removes the requests that a selection takes, or counts them. Returns their number; they are gone when this returns.
    pub(crate) async fn forget_log(&self, selection: &Selection, deed: Deed) -> Result<u64, StoreError> {
        let Selection { instance, environment, consumer } = selection;
        let wanted = [("gateway", instance), ("environment", environment), ("consumer", consumer)];
        let wanted = wanted
            .into_iter()
            .filter_map(|(column, value)| Some(Condition::one_of(column, [value.as_deref()?])));
        let wanted = Condition::all(wanted);
        let count =
            format!("SELECT uniqExact(time, batch, place) AS requests FROM requests WHERE {}", wanted.sql());
        let requests: u64 = self.client.query_raw(&count).fetch_one().await?;
        if deed == Deed::Remove && requests > 0 {
            self.remove(TABLE, wanted.sql()).await?;
        }
        Ok(requests)
    }
}

/// A time in Unix nanoseconds, in SQL.
pub(super) fn moment(time: i64) -> String {
    format!("fromUnixTimestamp64Nano(toInt64({time}), 'UTC')")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Columns, Gateway, Rejections, Standing};

    fn batch(events: Vec<RequestEvent>) -> RequestBatch {
        let gateway = Gateway {
            instance: "edge-1".to_owned(),
            service: "orders".into(),
            environment: "prod".into(),
            ..Gateway::default()
        };
        RequestBatch {
            identity: None,
            standing: Standing::default(),
            parts: vec![RequestPart { gateway, events: Columns::of(&events) }],
            spans: Vec::new(),
            rejected: Rejections::default(),
        }
    }

    /// A request with a text or a number in every field, or with the empty one.
    fn full(time: i64, text: &str, number: u64) -> RequestEvent {
        let mut event = RequestEvent { time, ..RequestEvent::default() };
        for field in &FIELDS {
            match field.access {
                Access::Text(_, set) => set(&mut event, text.as_bytes().to_vec()),
                Access::Number(_, set) => set(&mut event, number),
            }
        }
        event
    }

    #[test]
    fn requests_are_read_as_they_were_written_in_pieces_of_any_size() {
        let events = vec![
            full(3 * DAY + 1, "text", 7),
            full(3 * DAY, "", 0),
            RequestEvent { time: 3 * DAY - 1, ..RequestEvent::default() },
            full(-1, &"long ".repeat(40), 999),
        ];
        let rows = Rows::of(&batch(events.clone()), 5, |_| true);
        assert_eq!(rows.0.keys().copied().collect::<Vec<_>>(), [-1, 2, 3]);
        let bytes: Vec<u8> = [3, 2, -1].iter().flat_map(|day| rows.0[day].clone()).collect();
        for size in [1, 7, 1000, bytes.len()] {
            let (mut reader, mut found) = (Reader::default(), Vec::new());
            for piece in bytes.chunks(size) {
                reader.feed(piece);
                found.extend(std::iter::from_fn(|| reader.next()).map(|(row, _)| row));
            }
            assert!(!reader.is_within_row());
            assert_eq!(found.iter().map(|row| row.place).collect::<Vec<_>>(), [0, 1, 2, 3]);
            assert!(found.iter().all(|row| row.batch == 5 && &*row.sender.service == "orders"));
            assert_eq!(found.into_iter().map(|row| row.event).collect::<Vec<_>>(), events);
        }
    }

    #[test]
    fn a_batch_has_the_same_number_wherever_it_arrives_and_one_without_identity_none() {
        let identity = |sequence, environment: &str| Identity {
            instance: "edge-1".to_owned(),
            epoch: "1".repeat(16),
            environment: environment.into(),
            sequence,
        };
        let number = |identity: &Identity, signal| number_of(Some(identity), signal);
        let first = number(&identity(1, "prod"), Signal::Logs);
        assert_eq!(first, number(&identity(1, "prod"), Signal::Logs));
        assert_ne!(first, number(&identity(1, "prod"), Signal::Traces));
        assert_ne!(first, number(&identity(2, "prod"), Signal::Logs));
        assert_ne!(first, number(&identity(1, "test"), Signal::Logs));
        assert_ne!(number_of(None, Signal::Logs), number_of(None, Signal::Logs));
    }

    #[test]
    fn columns_have_numbers_and_names_of_their_own() {
        let columns = columns();
        let names: HashSet<&str> = columns.split(", ").collect();
        assert_eq!(names.len(), HEAD.len() + FIELDS.len());
        assert!(FIELDS.iter().all(|field| u8::try_from(field.column).is_ok()));
        assert!(OF_MANY_VALUES.iter().all(|name| FIELDS.iter().any(|field| field.name == *name)));
    }
}
