//! The stored form of many rows of minutes.
//!
//! A version byte and the number of rows, then the columns. Each is a byte for its method (0: as it is, 1: zstd), its length and its
//! stored length as varints, and its bytes. The numbers of a column are varints:
//!
//! - the minute (of the first row after the half hour), the series and the instance, each as the signed distance to the row before;
//! - the requests, the bytes of requests and of responses, and the attempts as the signed distance to the requests;
//! - for each of the three sketches: one more than its buckets, or 0 if it is empty; its zeros; its sum; the distances of its
//!   buckets; their counts, less one.
//!
//! The sum of the time upstream is the signed distance to that of the duration, and the sum of the gateway's own time is the signed
//! distance to their difference. The first bucket of a duration is the signed distance to the one of the row before, and the first
//! bucket of another time is that to the duration's of its row. An empty sketch has no other number.

use crate::model::{Tally, Timing, Values};
use crate::store::sketch::{self, Unreadable};
use gatelens_model::sketch::Sketch;
use gatelens_model::varint;
use std::ops::Range;

const VERSION: u8 = 1;
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Rows are packed once and read often.
const ZSTD_LEVEL: i32 = 9;
/// Rows of one pack: a question unpacks all of them.
pub(super) const MAX_ROWS: usize = 4_096;
/// A longer column is damaged: a row has three sketches of at most 2,560 buckets.
const MAX_COLUMN: usize = 3 * 2_560 * MAX_ROWS;
const COLUMNS: usize = 7 + 3 * 5;

/// A row, with its sketches in the form of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Loose {
    pub(in crate::store) minute: i64,
    pub(in crate::store) series: i64,
    pub(in crate::store) instance: i64,
    /// Requests, bytes of requests and of responses, and attempts.
    pub(in crate::store) counts: [u64; 4],
    /// Of the duration, upstream, and at the gateway.
    pub(in crate::store) sketches: [Vec<u8>; 3],
}

/// Unpacked rows, by rising minute.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    all: Vec<Row>,
    buckets: Vec<(i16, u64)>,
}

/// A row of a minute.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) minute: i64,
    pub(crate) series: i64,
    pub(crate) instance: i64,
    /// Requests, bytes of requests and of responses, and attempts.
    pub(crate) counts: [u64; 4],
    sketches: [At; 3],
}

/// A sketch, of which the buckets are elsewhere.
#[derive(Debug, Default)]
struct At {
    zeros: u64,
    sum_ns: u64,
    buckets: Range<u32>,
}

/// A sketch of unpacked rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Buckets<'a> {
    pub(crate) zeros: u64,
    pub(crate) sum_ns: u64,
    /// By rising index.
    pub(crate) buckets: &'a [(i16, u64)],
}

impl Buckets<'_> {
    /// The form that a row of its own has.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut sketch = Sketch::with_sum(self.sum_ns);
        sketch.insert_zeros(self.zeros);
        self.buckets.iter().for_each(|(index, count)| sketch.insert_bucket(*index, *count));
        sketch::encode(&sketch)
    }
}

impl Loose {
    /// The same row with other counts and sketches.
    pub(in crate::store) fn with(self, values: &Values) -> Self {
        let counts =
            [values.duration.count, values.request_bytes.sum, values.response_bytes.sum, values.attempts.sum];
        let timings = [&values.duration, &values.upstream, &values.gateway];
        Self { counts, sketches: timings.map(|timing| sketch::encode(&timing.sketch)), ..self }
    }

    /// The counts and the sketches; the counts that a row does not have are 0.
    pub(in crate::store) fn values(&self) -> Values {
        let [requests, request_bytes, response_bytes, attempts] = self.counts;
        let timing =
            |count, sketch: &[u8]| Timing { count, sketch: sketch::decode(sketch).unwrap_or_default() };
        let tally = |sum| Tally { count: 0, sum };
        let [duration, upstream, gateway] = &self.sketches;
        Values {
            duration: timing(requests, duration),
            upstream: timing(0, upstream),
            gateway: timing(0, gateway),
            request_bytes: tally(request_bytes),
            response_bytes: tally(response_bytes),
            attempts: tally(attempts),
            ..Values::default()
        }
    }
}

impl Rows {
    pub(in crate::store) fn iter(&self) -> impl Iterator<Item = &Row> {
        self.all.iter()
    }

    /// The rows of these Unix minutes, the end exclusive.
    pub(super) fn between(&self, (from, to): (i64, i64)) -> &[Row] {
        let first = self.all.partition_point(|row| row.minute < from);
        let end = self.all.partition_point(|row| row.minute < to);
        self.all.get(first..end).unwrap_or_default()
    }

    /// The sketches of a row of these.
    pub(in crate::store) fn sketches(&self, row: &Row) -> [Buckets<'_>; 3] {
        row.sketches.each_ref().map(|at| {
            let range = at.buckets.start as usize..at.buckets.end as usize;
            let buckets = self.buckets.get(range).unwrap_or_default();
            Buckets { zeros: at.zeros, sum_ns: at.sum_ns, buckets }
        })
    }

    /// A row of these in the form of its table.
    pub(in crate::store) fn loose(&self, row: &Row) -> Loose {
        let sketches = self.sketches(row).map(|sketch| sketch.encode());
        let Row { minute, series, instance, counts, .. } = *row;
        Loose { minute, series, instance, counts, sketches }
    }
}

/// Packs rows of a half hour, of which the first Unix minute is given. They come by rising minute.
///
/// # Errors
/// [`Unreadable`] for a sketch that cannot be read, and when the compressor has no memory.
pub(in crate::store) fn encode(half_hour: i64, rows: &[Loose]) -> Result<Vec<u8>, Unreadable> {
    let mut columns: [Vec<u8>; COLUMNS] = std::array::from_fn(|_| Vec::new());
    let [minutes, series, instances, requests, request_bytes, response_bytes, attempts, sketches @ ..] =
        &mut columns;
    let mut before = (half_hour, 0i64, 0i64);
    let mut first_before = 0i64;
    for row in rows {
        varint::put_signed(minutes, row.minute.wrapping_sub(before.0));
        varint::put_signed(series, row.series.wrapping_sub(before.1));
        varint::put_signed(instances, row.instance.wrapping_sub(before.2));
        before = (row.minute, row.series, row.instance);
        let [count, sent, received, tried] = row.counts;
        varint::put(requests, count);
        varint::put(request_bytes, sent);
        varint::put(response_bytes, received);
        varint::put_signed(attempts, tried.wrapping_sub(count) as i64);
        // What the next sum, and the next first bucket, are stored as distances to.
        let (mut sum_before, mut first_of_row) = (0u64, None::<i64>);
        for (kind, encoded) in row.sketches.iter().enumerate() {
            let Some([lengths, zeros, sums, gaps, counts]) = sketches
                .get_mut(kind * 5..kind * 5 + 5)
                .and_then(|all| <&mut [Vec<u8>; 5]>::try_from(all).ok())
            else {
                continue;
            };
            let mut buckets = 0u64;
            let mut last: Option<i64> = None;
            let head = sketch::read(encoded, |index, count| {
                buckets += 1;
                let index = i64::from(index);
                match last {
                    Some(last) => varint::put(gaps, (index - last - 1) as u64),
                    None => {
                        varint::put_signed(gaps, index - first_of_row.unwrap_or(first_before));
                        first_of_row.get_or_insert(index);
                    }
                }
                last = Some(index);
                varint::put(counts, count.wrapping_sub(1));
            })?;
            if buckets == 0 && head.zeros == 0 && head.sum_ns == 0 {
                varint::put(lengths, 0);
                continue;
            }
            varint::put(lengths, buckets + 1);
            varint::put(zeros, head.zeros);
            put_sum(sums, kind, &mut sum_before, head.sum_ns);
        }
        first_before = first_of_row.unwrap_or(first_before);
    }
    let mut out = vec![VERSION];
    varint::put(&mut out, rows.len() as u64);
    let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL).map_err(|_| Unreadable)?;
    for column in &columns {
        let packed = compressor.compress(column).map_err(|_| Unreadable)?;
        let (method, bytes) = if packed.len() < column.len() { (ZSTD, &packed) } else { (PLAIN, column) };
        out.push(method);
        varint::put(&mut out, column.len() as u64);
        varint::put(&mut out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
    Ok(out)
}

/// Unpacks rows of a half hour.
///
/// # Errors
/// [`Unreadable`] for bytes that [`encode`] cannot have written.
pub(in crate::store) fn decode(half_hour: i64, data: &[u8]) -> Result<Rows, Unreadable> {
    read(half_hour, data).ok_or(Unreadable)
}

fn read(half_hour: i64, data: &[u8]) -> Option<Rows> {
    let (&version, mut input) = data.split_first()?;
    let count = usize::try_from(varint::take(&mut input)?).ok()?;
    if version != VERSION || count > MAX_ROWS {
        return None;
    }
    let mut decompressor = zstd::bulk::Decompressor::new().ok()?;
    let mut columns: [Vec<u8>; COLUMNS] = std::array::from_fn(|_| Vec::new());
    for column in &mut columns {
        let (&method, rest) = input.split_first()?;
        input = rest;
        let length =
            usize::try_from(varint::take(&mut input)?).ok().filter(|length| *length <= MAX_COLUMN)?;
        let stored = usize::try_from(varint::take(&mut input)?).ok()?;
        let (bytes, rest) = input.split_at_checked(stored)?;
        input = rest;
        *column = match method {
            PLAIN => bytes.to_vec(),
            ZSTD => decompressor.decompress(bytes, length).ok()?,
            _ => return None,
        };
        if column.len() != length {
            return None;
        }
    }
    let mut columns = columns.each_ref().map(Vec::as_slice);
    let [minutes, series, instances, requests, request_bytes, response_bytes, attempts, sketches @ ..] =
        &mut columns;
    let mut rows = Rows { all: Vec::with_capacity(count), buckets: Vec::new() };
    let mut before = (half_hour, 0i64, 0i64);
    let mut first_before = 0i64;
    for _ in 0..count {
        before.0 = before.0.wrapping_add(varint::take_signed(minutes)?);
        before.1 = before.1.wrapping_add(varint::take_signed(series)?);
        before.2 = before.2.wrapping_add(varint::take_signed(instances)?);
        let requests = varint::take(requests)?;
        let tried = requests.wrapping_add(varint::take_signed(attempts)? as u64);
        let counts = [requests, varint::take(request_bytes)?, varint::take(response_bytes)?, tried];
        let (mut sum_before, mut first_of_row) = (0u64, None::<i64>);
        let mut all = [At::default(), At::default(), At::default()];
        for (kind, at) in all.iter_mut().enumerate() {
            let [lengths, zeros, sums, gaps, counts] =
                <&mut [&[u8]; 5]>::try_from(sketches.get_mut(kind * 5..kind * 5 + 5)?).ok()?;
            let Some(buckets) = varint::take(lengths)?.checked_sub(1) else { continue };
            let start = rows.buckets.len() as u32;
            let mut last: Option<i64> = None;
            for _ in 0..buckets {
                let index = match last {
                    Some(last) => last.checked_add_unsigned(varint::take(gaps)?)?.checked_add(1)?,
                    None => {
                        let near = first_of_row.unwrap_or(first_before);
                        let index = near.checked_add(varint::take_signed(gaps)?)?;
                        first_of_row.get_or_insert(index);
                        index
                    }
                };
                rows.buckets.push((i16::try_from(index).ok()?, varint::take(counts)?.wrapping_add(1)));
                last = Some(index);
            }
            let end = u32::try_from(rows.buckets.len()).ok()?;
            *at = At {
                zeros: varint::take(zeros)?,
                sum_ns: take_sum(sums, kind, &mut sum_before)?,
                buckets: start..end,
            };
        }
        first_before = first_of_row.unwrap_or(first_before);
        let (minute, series, instance) = before;
        rows.all.push(Row { minute, series, instance, counts, sketches: all });
    }
    let is_whole = input.is_empty() && columns.iter().all(|column| column.is_empty());
    let is_rising = rows.all.is_sorted_by_key(|row| row.minute);
    (is_whole && is_rising).then_some(rows)
}

/// `before` is the sum of the duration, then what the time upstream leaves of it.
fn put_sum(out: &mut Vec<u8>, kind: usize, before: &mut u64, sum: u64) {
    if kind == 0 {
        varint::put(out, sum);
        *before = sum;
    } else {
        varint::put_signed(out, before.wrapping_sub(sum) as i64);
        *before = before.wrapping_sub(sum);
    }
}

fn take_sum(input: &mut &[u8], kind: usize, before: &mut u64) -> Option<u64> {
    if kind == 0 {
        *before = varint::take(input)?;
        return Some(*before);
    }
    let left = varint::take_signed(input)? as u64;
    let sum = before.wrapping_sub(left);
    *before = left;
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A half hour.
    const FIRST: i64 = 29_700_000;

    fn loose() -> impl Strategy<Value = Loose> {
        let sketch = prop::collection::vec((any::<u64>(), 0u32..60), 0..40).prop_map(|durations| {
            let mut sketch = Sketch::default();
            durations.iter().for_each(|(duration, bits)| sketch.insert(duration >> bits));
            sketch::encode(&sketch)
        });
        let sketches = [sketch.clone().boxed(), sketch.clone().boxed(), sketch.boxed()];
        (0i64..30, any::<(i64, i64)>(), any::<[u64; 4]>(), sketches).prop_map(
            |(minute, (series, instance), counts, sketches)| Loose {
                minute: FIRST + minute,
                series,
                instance,
                counts,
                sketches,
            },
        )
    }

    proptest! {
        #[test]
        fn rows_come_back(mut rows in prop::collection::vec(loose(), 0..40), from in 0i64..30, length in 0i64..30) {
            rows.sort_by_key(|row| row.minute);
            let packed = decode(FIRST, &encode(FIRST, &rows).unwrap()).unwrap();
            let between = (FIRST + from, FIRST + from + length);
            let found: Vec<_> = packed.between(between).iter().map(|row| packed.loose(row)).collect();
            let expected = rows.iter().filter(|row| row.minute >= between.0 && row.minute < between.1);
            prop_assert_eq!(found, expected.cloned().collect::<Vec<_>>());
            for (row, loose) in packed.iter().zip(&rows) {
                for (found, encoded) in packed.sketches(row).into_iter().zip(&loose.sketches) {
                    let sketch = sketch::decode(encoded).unwrap();
                    prop_assert_eq!((found.zeros, found.buckets), (sketch.zeros, sketch.buckets()));
                }
            }
            prop_assert_eq!(packed.iter().map(|row| packed.loose(row)).collect::<Vec<_>>(), rows);
        }

        #[test]
        fn garbage_is_refused_or_read(mut rows in prop::collection::vec(loose(), 0..4), at in any::<prop::sample::Index>(), bits: u8) {
            rows.sort_by_key(|row| row.minute);
            let mut bytes = encode(FIRST, &rows).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
            let _ = decode(FIRST, &bytes);
            let _ = decode(FIRST, &bytes[..at]);
        }
    }

    /// 30 requests in a minute take 75 bytes of distributions in rows of their own.
    #[test]
    fn a_minute_of_a_series_takes_few_bytes() {
        let mut random = 1u64;
        let mut next = move || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % 1_000
        };
        let rows: Vec<Loose> = (0..30)
            .flat_map(|minute| (0..40).map(move |series| (minute, series)))
            .map(|(minute, series)| {
                let (mut duration, mut upstream) = (Sketch::default(), Sketch::default());
                for _ in 0..30 {
                    let time = 5_000_000_000 / (next() + 10);
                    upstream.insert(time);
                    duration.insert(time + 60_000 + 100 * next());
                }
                let sketches = [&duration, &upstream, &Sketch::default()].map(sketch::encode);
                Loose { minute, series, instance: 1, counts: [30, 30 * next(), 30 * next(), 30], sketches }
            })
            .collect();
        let bytes = encode(0, &rows).unwrap().len() / rows.len();
        assert!(bytes <= 60, "{bytes}");
    }
}
