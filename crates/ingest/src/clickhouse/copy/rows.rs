//! Rows of a copy as the server takes them, and the inserts that bring them.

use crate::clickhouse::ClickHouse;
use crate::clickhouse::close::plain;
use crate::clickhouse::log::{put_length, put_text};
use crate::clickhouse::log_insert::insert_bytes;
use crate::clickhouse::report::bounded as bounded_of;
use crate::clickhouse::series::Parts;
use crate::model::Values;
use crate::store::StoreError;
use crate::store::totals::Total;

/// Bytes of rows after which they are inserted.
const MAX_BYTES: usize = 16 << 20;

/// Unix minute, series and instance.
pub(super) type Key<'a> = (u32, u64, &'a str);

/// Rows that wait to be inserted.
pub(super) struct Buffer<'a> {
    server: &'a ClickHouse,
    statement: String,
    pub(super) rows: Vec<u8>,
    pub(super) bytes: u64,
}

impl<'a> Buffer<'a> {
    pub(super) fn new(server: &'a ClickHouse, table: &str, keys: &str) -> Self {
        Self::of(server, (table, keys), &plain())
    }

    pub(super) fn of(server: &'a ClickHouse, (table, keys): (&str, &str), counts: &str) -> Self {
        let statement = format!("INSERT INTO {table} ({keys}, {counts}) FORMAT RowBinary");
        Self { server, statement, rows: Vec::new(), bytes: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= MAX_BYTES
    }

    pub(super) async fn insert(&mut self) -> Result<(), StoreError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.rows);
        self.bytes += rows.len() as u64;
        let mut token = Parts::default();
        token.text(&self.statement);
        token.bytes(&rows);
        let token = format!("{:016x}", token.hash());
        Ok(insert_bytes(&self.server.client, &self.statement, &[rows], &token).await?)
    }
}

/// The version that a block gives counts before which there were none.
pub(super) fn version_of(values: &Values) -> u64 {
    numbers_of(values).into_iter().fold(0, u64::wrapping_add)
}

/// In the order of [`NUMBERS`](crate::clickhouse::close::NUMBERS).
pub(super) fn numbers_of(values: &Values) -> [u64; 10] {
    let [duration, upstream, gateway] =
        [&values.duration, &values.upstream, &values.gateway].map(|timing| &timing.sketch);
    [
        values.duration.count,
        values.request_bytes.sum,
        values.response_bytes.sum,
        values.attempts.sum,
        duration.zeros,
        duration.sum_ns,
        upstream.zeros,
        upstream.sum_ns,
        gateway.zeros,
        gateway.sum_ns,
    ]
}

pub(super) fn bounded(minute: i64) -> u32 {
    minute.clamp(1, u32::MAX.into()) as u32
}

pub(super) fn put_key(out: &mut Vec<u8>, (minute, series, instance): Key<'_>) {
    out.extend_from_slice(&minute.to_le_bytes());
    put_numbers(out, [series]);
    put_text(out, instance.as_bytes());
}

pub(super) fn put_numbers<const N: usize>(out: &mut Vec<u8>, numbers: [u64; N]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

/// The columns of counts.
pub(super) fn put_counts(out: &mut Vec<u8>, values: &Values) {
    put_numbers(out, numbers_of(values));
    for timing in [&values.duration, &values.upstream, &values.gateway] {
        put_buckets(out, timing.sketch.buckets());
    }
}

pub(super) fn put_buckets(out: &mut Vec<u8>, buckets: &[(i16, u64)]) {
    put_length(out, buckets.len());
    for (bucket, count) in buckets {
        out.extend_from_slice(&bucket.to_le_bytes());
        out.extend_from_slice(&count.to_le_bytes());
    }
}

pub(super) fn put_map(out: &mut Vec<u8>, map: &[(u64, u64)]) {
    put_length(out, map.len());
    map.iter().for_each(|(key, count)| put_numbers(out, [*key, *count]));
}

/// The numbers of sizes.
pub(super) fn sizes_of(values: &Values) -> [u64; 2] {
    [values.request_bytes.count, values.response_bytes.count]
}

/// The columns of [`plain`](crate::clickhouse::totals::plain) of totals.
pub(super) fn put_total(out: &mut Vec<u8>, total: &Total) {
    let Total { count, sketch, sum_ns, by_bound, request_bytes, response_bytes, .. } = total;
    let sizes = [request_bytes.sum, response_bytes.sum, request_bytes.count, response_bytes.count];
    put_numbers(out, [*count, sketch.zeros]);
    put_numbers(out, sizes);
    out.extend_from_slice(&sum_ns.to_le_bytes());
    put_buckets(out, sketch.buckets());
    put_map(out, &bounded_of(by_bound));
}
