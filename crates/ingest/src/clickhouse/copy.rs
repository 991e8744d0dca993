//! Copying what a directory holds. A copy can be made again, whether or not the one before was interrupted: the keys of its rows
//! follow from the number of the directory and from its contents.
//!
//! The states of streams go first. From then on, a report of a sender adds to what the directory has counted, whichever block
//! it falls into.

mod rows;

use super::ClickHouse;
use super::close::{self, UNKNOWN_SERIES, all_plain, block_of, first_minute};
use super::log::{RECEIVED_AT, Rows, columns as log_columns, put_length, put_text};
use super::log_insert::insert_rows;
use super::report::{bounded as bounded_of, sender_of, stream_of};
use super::series::{Parts, SeriesRow, id_of};
use super::totals::{self, Gone};
use crate::clock;
use crate::model::Values;
use crate::model::accumulate::minute_of;
use crate::store::contents::{Contents, StoredCounts, StoredSeries, StoredTotals, Width};
use crate::store::totals::Total;
use crate::store::{StoreError, day_of};
use clickhouse::error::Error;
use rows::{
    Buffer, Key, bounded, put_counts, put_key, put_map, put_numbers, put_total, sizes_of, version_of,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Series that are inserted together.
const MAX_SERIES: usize = 50_000;
const HALF_HOUR: i64 = close::HALF_HOUR as i64;
const KIND_OF_SERIES: u8 = 0;
/// Blocks after the present one that get the states of streams, too: a replica may close one while the copy is made.
const BLOCKS_AHEAD: u32 = 2;

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Copied {
    /// Series.
    pub series: u64,
    /// Streams whose counters continue.
    pub streams: u64,
    /// Rows of counts by minute.
    pub minutes: u64,
    /// Rows of counts by half hour, of before the minutes that are kept.
    pub half_hours: u64,
    /// Requests of the log.
    pub requests: u64,
    /// Bytes that were sent for them, before compression.
    pub bytes: u64,
    /// Bytes of the files of the directory.
    pub file_bytes: u64,
    /// Rows and chunks that are damaged, and left out.
    pub damaged: u64,
}

/// Numbers of the directory, as the server has them.
struct Names {
    ids: HashMap<i64, u64>,
    instances: HashMap<i64, String>,
}

/// The place of counts on the server.
struct Places {
    /// The number of the directory.
    directory: u64,
    /// Counts since this Unix minute are changes, because its block is not closed yet.
    open_since: u32,
}

impl ClickHouse {
    /// Copies the contents of a directory, and calls `progress` with the name of each part.
    ///
    /// # Errors
    /// When a file cannot be read, or the server cannot be reached or refuses. A part is copied then, and the copy can be made
    /// again.
    pub(crate) async fn copy(
        &self,
        contents: &mut Contents,
        mut progress: impl FnMut(&str),
    ) -> Result<Copied, StoreError> {
        let mut copied = Copied { file_bytes: contents.bytes(), ..Copied::default() };
        let (series, instances) = (contents.series()?, contents.instances()?);
        progress(&format!("{} series", series.len()));
        self.copy_series(&series, &instances).await?;
        copied.series = series.len() as u64;
        progress("the states of streams");
        let places = self.copy_states(contents, &series, &mut copied).await?;
        // Before the changes, which are in them.
        self.copy_totals(contents, places.directory, &mut copied).await?;
        let ids = series.iter().map(|(number, series)| (*number, id_of(&series.shown))).collect();
        let names = Names { ids, instances };
        self.copy_minutes(contents, &names, &places, &mut copied, &mut progress).await?;
        self.copy_half_hours(contents, &names, &mut copied, &mut progress).await?;
        // Days that were added up before do not have these.
        self.note_forgotten(Gone::Counts).await?;
        self.copy_log(contents, &mut copied, &mut progress).await?;
        copied.damaged = contents.damaged();
        Ok(copied)
    }

    async fn copy_series(
        &self,
        series: &HashMap<i64, StoredSeries>,
        instances: &HashMap<i64, String>,
    ) -> Result<(), StoreError> {
        let mut all: Vec<_> = series.iter().collect();
        all.sort_unstable_by_key(|(number, _)| **number);
        let (mut rows, mut taken) = (Vec::new(), HashSet::new());
        for key in all.into_iter().flat_map(|(_, series)| [Some(&series.shown), series.reported.as_ref()]) {
            let Some(key) = key else { continue };
            let id = id_of(key);
            if taken.insert(id) && !self.series().has(id) {
                rows.push(SeriesRow::of(id, key, taken.len()));
            }
        }
        for rows in rows.chunks(MAX_SERIES) {
            self.add_series(rows, &HashSet::new()).await?;
        }
        let names = instances.values().filter(|name| !self.series().has_instance(name)).cloned().collect();
        self.add_series(&[], &names).await
    }

    /// Gives every block that a report can fall into a block before it with the states of the directory.
    async fn copy_states(
        &self,
        contents: &mut Contents,
        series: &HashMap<i64, StoredSeries>,
        copied: &mut Copied,
    ) -> Result<Places, StoreError> {
        let directory = contents.id();
        let block = |minute: i64| block_of(minute.clamp(0, u32::MAX.into()) as u32);
        let present = minute_of(clock::now());
        // Reports of before count in the present.
        let base = block(present.saturating_sub(self.late_minutes.into())).saturating_sub(1);
        let last = contents.last_minute()?.map(block);
        let (mut blocks, mut closing) = (BTreeSet::new(), Vec::new());
        match self.closed_before(base.saturating_add(1)).await? {
            0 => {
                blocks.insert(base);
                closing.extend((base > 0).then_some(base));
            }
            earlier => drop(blocks.insert(earlier)),
        }
        let is_fresh = !self.has_rows("blocks").await? && !self.has_rows("reported").await?;
        if is_fresh {
            // The last block stays open, because its senders continue.
            let over = last.unwrap_or_default().saturating_sub(1);
            if over > base {
                blocks.insert(over);
                closing.push(over);
            }
        } else {
            let now = block(present);
            blocks.extend(now..=now.saturating_add(BLOCKS_AHEAD));
            blocks.extend(self.blocks_after(base).await?);
        }
        let mut new = blocks.clone();
        while !new.is_empty() {
            copied.streams = 0;
            self.insert_states(contents, series, &new, copied).await?;
            // A replica may have taken reports of other blocks meanwhile.
            new = self.blocks_after(base).await?.into_iter().filter(|block| blocks.insert(*block)).collect();
        }
        for block in closing {
            self.note_closed(block).await?;
        }
        let open = first_minute(self.open_block().await?.max(base.saturating_add(1)));
        // What an earlier copy has made changes stays that.
        let change = number_of_copy(directory);
        let own =
            format!("SELECT count() AS rows, min(minute) AS first FROM changes WHERE change = {change}");
        let (rows, first) = self.client.query_raw(&own).fetch_one::<(u64, u32)>().await?;
        Ok(Places { directory, open_since: if rows > 0 { first } else { open } })
    }

    /// The blocks after one that are closed, or can be at any time.
    async fn blocks_after(&self, base: u32) -> Result<Vec<u32>, Error> {
        self.blocks_from(base.saturating_add(1), u32::MAX).await
    }

    async fn insert_states(
        &self,
        contents: &mut Contents,
        series: &HashMap<i64, StoredSeries>,
        blocks: &BTreeSet<u32>,
        copied: &mut Copied,
    ) -> Result<(), StoreError> {
        let keys = "block, stream, sender, series, instance, last_minute";
        let mut buffer = Buffer::of(self, ("states", keys), &all_plain());
        // The totals of the directory have these counts.
        let keys = ("bases", "day, stream, series, instance");
        let (mut bases, day) = (Buffer::of(self, keys, &totals::plain()), totals::today());
        for gateway in contents.senders()? {
            let sender = sender_of(&gateway.sender);
            for state in contents.states_of(&gateway)? {
                copied.streams += 1;
                let stream = stream_of(sender, state.start, state.stream);
                let reported = series.get(&state.series).and_then(|series| series.reported.as_ref());
                let series = reported.map_or(UNKNOWN_SERIES, id_of);
                let last_minute = bounded(minute_of(state.time));
                for block in blocks {
                    let rows = &mut buffer.rows;
                    rows.extend_from_slice(&block.to_le_bytes());
                    put_numbers(rows, [stream, sender, series]);
                    put_text(rows, gateway.sender.instance.as_bytes());
                    rows.extend_from_slice(&last_minute.to_le_bytes());
                    put_counts(rows, &state.values);
                    put_numbers(rows, sizes_of(&state.values));
                    put_map(rows, &bounded_of(&state.values.by_bound));
                }
                bases.rows.extend_from_slice(&day.to_le_bytes());
                put_numbers(&mut bases.rows, [stream, series]);
                put_text(&mut bases.rows, gateway.sender.instance.as_bytes());
                put_total(&mut bases.rows, &Total::of(&state.values));
                if buffer.is_full() {
                    bases.insert().await?;
                    buffer.insert().await?;
                }
            }
        }
        bases.insert().await?;
        buffer.insert().await?;
        copied.bytes += buffer.bytes;
        Ok(())
    }

    /// The totals of the directory, as those of a source of its own.
    async fn copy_totals(
        &self,
        contents: &mut Contents,
        directory: u64,
        copied: &mut Copied,
    ) -> Result<(), StoreError> {
        let source = number_of_copy(directory);
        let known = format!("INSERT INTO totals (day, series, source) VALUES (0, 0, {source})");
        self.client.query_raw(&known).execute().await?;
        let keys = ("totals", "day, series, source, bounds, since");
        let mut buffer = Buffer::of(self, keys, &totals::plain());
        let mut ended = Vec::new();
        for StoredTotals { series, has_ended, totals } in contents.totals()? {
            let id = id_of(&series);
            if has_ended {
                ended.push(SeriesRow::of(id, &series, 0));
            }
            for total in totals {
                let rows = &mut buffer.rows;
                rows.extend_from_slice(&0u32.to_le_bytes());
                put_numbers(rows, [id, source]);
                let bounds = total.by_bound.bounds();
                put_length(rows, bounds.len());
                bounds.iter().for_each(|bound| rows.extend_from_slice(&bound.to_le_bytes()));
                rows.extend_from_slice(&total.since.to_le_bytes());
                put_total(rows, &total);
            }
            if buffer.is_full() {
                buffer.insert().await?;
            }
        }
        for rows in ended.chunks(MAX_SERIES) {
            self.insert("ended_series", rows).await?;
        }
        buffer.insert().await?;
        copied.bytes += buffer.bytes;
        Ok(())
    }

    async fn copy_minutes(
        &self,
        contents: &mut Contents,
        names: &Names,
        places: &Places,
        copied: &mut Copied,
        progress: &mut impl FnMut(&str),
    ) -> Result<(), StoreError> {
        // The changes first, so that a copy that is made again knows where they begin.
        self.copy_changes(contents, names, places, copied).await?;
        let mut buffer = Buffer::new(self, "minutes", "kind, minute, series, instance, stream, version");
        let stream = number_of_copy(places.directory);
        let (mut from, mut day) = (i64::MIN, None);
        while let Some(half_hour) = contents.half_hour_from(Width::Minutes, from)? {
            from = half_hour + HALF_HOUR;
            if half_hour >= places.open_since.into() {
                break;
            }
            say_day(&mut day, half_hour, "counts by minute of", progress);
            let end = from.min(places.open_since.into());
            for minute in half_hour..end {
                for (key, values) in names.add_up(contents.counts(Width::Minutes, (minute, minute + 1))?) {
                    copied.minutes += 1;
                    buffer.rows.push(KIND_OF_SERIES);
                    put_key(&mut buffer.rows, key);
                    put_numbers(&mut buffer.rows, [stream, version_of(&values)]);
                    put_counts(&mut buffer.rows, &values);
                }
                if buffer.is_full() {
                    buffer.insert().await?;
                }
            }
            buffer.insert().await?;
            let (first, end) = (bounded(half_hour), bounded(end));
            self.add_classes("minutes", (first, end)).await?;
            self.add_half_hour(first).await?;
        }
        copied.bytes += buffer.bytes;
        Ok(())
    }

    async fn copy_changes(
        &self,
        contents: &mut Contents,
        names: &Names,
        places: &Places,
        copied: &mut Copied,
    ) -> Result<(), StoreError> {
        let mut buffer = Buffer::new(self, "changes", "minute, series, instance, change");
        let change = number_of_copy(places.directory);
        let since = i64::from(places.open_since);
        let mut from = since.div_euclid(HALF_HOUR) * HALF_HOUR;
        while let Some(half_hour) = contents.half_hour_from(Width::Minutes, from)? {
            from = half_hour + HALF_HOUR;
            for (key, values) in names.add_up(contents.counts(Width::Minutes, (half_hour.max(since), from))?)
            {
                copied.minutes += 1;
                put_key(&mut buffer.rows, key);
                put_numbers(&mut buffer.rows, [change]);
                put_counts(&mut buffer.rows, &values);
            }
            if buffer.is_full() {
                buffer.insert().await?;
            }
        }
        buffer.insert().await?;
        copied.bytes += buffer.bytes;
        Ok(())
    }

    async fn copy_half_hours(
        &self,
        contents: &mut Contents,
        names: &Names,
        copied: &mut Copied,
        progress: &mut impl FnMut(&str),
    ) -> Result<(), StoreError> {
        let mut buffer = Buffer::new(self, "half_hours", "kind, minute, series, instance, version");
        let (mut from, mut day) = (i64::MIN, None);
        while let Some(half_hour) = contents.half_hour_from(Width::HalfHours, from)? {
            from = half_hour + HALF_HOUR;
            say_day(&mut day, half_hour, "counts by half hour of", progress);
            for (key, values) in names.add_up(contents.counts(Width::HalfHours, (half_hour, from))?) {
                copied.half_hours += 1;
                buffer.rows.push(KIND_OF_SERIES);
                put_key(&mut buffer.rows, key);
                put_numbers(&mut buffer.rows, [version_of(&values)]);
                put_counts(&mut buffer.rows, &values);
            }
            buffer.insert().await?;
            self.add_classes("half_hours", (bounded(half_hour), bounded(from))).await?;
        }
        copied.bytes += buffer.bytes;
        Ok(())
    }

    async fn copy_log(
        &self,
        contents: &mut Contents,
        copied: &mut Copied,
        progress: &mut impl FnMut(&str),
    ) -> Result<(), StoreError> {
        let columns = format!("{}, {RECEIVED_AT}", log_columns());
        for path in contents.log_days()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            progress(&name);
            let Some(file) = contents.open_log(&path)? else { continue };
            let mut after = i64::MIN;
            loop {
                let chunks = contents.chunks(&file, after)?;
                let Some(last) = chunks.last() else { break };
                after = last.id;
                let (mut rows, mut token) = (Rows::default(), Parts::default());
                for chunk in &chunks {
                    let mut batch = Parts::default();
                    batch.text("copied");
                    batch.text(&name);
                    [contents.id(), chunk.id as u64].into_iter().for_each(|number| batch.number(number));
                    rows.copy(&chunk.part, batch.hash(), chunk.latest / 1_000_000);
                    [chunk.id as u64, chunk.part.events.len() as u64]
                        .into_iter()
                        .for_each(|number| token.number(number));
                    copied.requests += chunk.part.events.len() as u64;
                }
                token.number(contents.id());
                token.text(&name);
                copied.bytes += rows.bytes() as u64;
                insert_rows(&self.client, &columns, rows, token.hash()).await?;
            }
        }
        Ok(())
    }
}

impl Names {
    /// Adds up counts that are the same series and instance on the server: series that patterns fold, and instances whose names
    /// are not kept.
    fn add_up(&self, counts: Vec<StoredCounts>) -> BTreeMap<Key<'_>, Values> {
        let mut sums = BTreeMap::<Key<'_>, Values>::new();
        for StoredCounts { minute, series, instance, values } in counts {
            let Some(id) = self.ids.get(&series) else { continue };
            let instance = self.instances.get(&instance).map_or("", String::as_str);
            sums.entry((bounded(minute), *id, instance)).or_default().add(&values);
        }
        sums
    }
}

/// The number of the copy of a directory: the stream of its minutes and the change of its changes. Series and instances are keys of
/// their own.
fn number_of_copy(directory: u64) -> u64 {
    let mut parts = Parts::default();
    parts.text("copied");
    parts.number(directory);
    parts.hash()
}

/// Names the day of a Unix minute, if it is another than before.
fn say_day(known: &mut Option<i64>, minute: i64, what: &str, progress: &mut impl FnMut(&str)) {
    let day = minute.div_euclid(1_440);
    if known.replace(day) != Some(day) {
        progress(&format!("{what} {}", day_of(minute.saturating_mul(60_000_000_000))));
    }
}
