//! The exports of changes, of each destination with delta temporality: what it has acknowledged, and the batch that it has not.
//!
//! | key | value |
//! |---|---|
//! | `delta/<destination>` | a row: the sequence number of the batch without an answer, or 0; the time at which it was sent last; the number of the last batch that had its answer |
//! | `delta/<destination>/batch` | that batch: a row with its sequence number, its time and its compression; the body; slots with their values |
//! | `delta/<destination>/<slot>` | a row with time and number of the last acknowledged batch with the series; its values then, as in `slot/<n>` |
//!
//! A batch is written here before it is sent, and its values become the acknowledged ones when the answer has come. So whoever
//! leads repeats the same bytes under the same number until there is an answer, and no later batch covers the same changes.

use gatelens_model::varint;

use super::row::{put_numbers, put_section, set_numbers, take_numbers, take_section};
use super::slot::Slot;
use super::store::{SharedStore, Unreadable};
use crate::config::Compression;
use crate::host::Host;

/// A batch of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its sequence number.
    pub sequence: u64,
    /// The time up to which it has the changes, nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Compression of the body.
    pub compression: Compression,
    /// As it is sent.
    pub body: Vec<u8>,
    /// Slots, and the values of their series since their start.
    pub series: Vec<(u32, Vec<u8>)>,
}

/// A batch without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Its sequence number.
    pub sequence: u64,
    /// When it was sent last, nanoseconds since the Unix epoch.
    pub sent_ns: u64,
}

/// The answer to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The destination has it.
    Accepted,
    /// It will never have it: later batches cover its changes.
    Refused,
}

/// The last acknowledged values of the series in a slot, and their time.
pub fn acknowledged(
    host: &impl Host,
    store: &SharedStore,
    destination: usize,
    slot: u32,
) -> Option<(u64, Slot)> {
    let (value, _) = host.shared_get(&store.key(format_args!("delta/{destination}/{slot}")))?;
    let mut input = &value[..];
    let time_ns = *take_numbers(&mut input).ok()?.first()?;
    Some((time_ns, Slot::read(take_section(&mut input).ok()?)?))
}

/// The batch without an answer.
pub fn unanswered(host: &impl Host, store: &SharedStore, destination: usize) -> Option<Unanswered> {
    let [sequence, sent_ns, _] = row(host, store, destination);
    (sequence > 0).then_some(Unanswered { sequence, sent_ns })
}

/// That batch itself, if it is the one with this number.
pub fn batch(host: &impl Host, store: &SharedStore, destination: usize, sequence: u64) -> Option<Batch> {
    let (value, _) = host.shared_get(&store.key(format_args!("delta/{destination}/batch")))?;
    Batch::decode(&value).ok().filter(|batch| batch.sequence == sequence)
}

/// The number of the last batch that had its answer, or 0: as long as it stays, so do the acknowledged values.
pub fn settled(host: &impl Host, store: &SharedStore, destination: usize) -> u64 {
    let [_, _, settled] = row(host, store, destination);
    settled
}

/// The row of a destination; 0 for numbers that are not there.
fn row(host: &impl Host, store: &SharedStore, destination: usize) -> [u64; 3] {
    let value = host.shared_get(&store.key(format_args!("delta/{destination}")));
    let row = value.and_then(|(value, _)| take_numbers(&mut &value[..]).ok()).unwrap_or_default();
    [0, 1, 2].map(|place| row.get(place).copied().unwrap_or(0))
}

/// Writes a batch before it is sent, which was made when `settled` was the number of the last one with an answer. False if another
/// has had its answer since, or has none: then its changes may be in both. The row decides who may write the batch: a worker that comes
/// too late must not replace one that is being sent.
#[must_use]
pub fn begin(
    host: &impl Host,
    store: &SharedStore,
    destination: usize,
    (batch, settled): (&Batch, u64),
    now_ns: u64,
) -> bool {
    let row = [batch.sequence, now_ns, settled];
    if !change(host, store, destination, &|known| known == [0, settled], &row) {
        return false;
    }
    let written = store.update(host, format_args!("delta/{destination}/batch"), |_| Ok(batch.encode()));
    if written.is_err() {
        settle(host, store, destination, batch.sequence, Verdict::Refused);
    }
    written.is_ok()
}

/// Notes that a batch is sent now.
pub fn note_sent(host: &impl Host, store: &SharedStore, destination: usize, sequence: u64, now_ns: u64) {
    change(host, store, destination, &|[unanswered, _]| unanswered == sequence, &[sequence, now_ns]);
}

/// Takes the answer to a batch. Nothing changes if another worker has taken it.
pub fn settle(host: &impl Host, store: &SharedStore, destination: usize, sequence: u64, verdict: Verdict) {
    if unanswered(host, store, destination).is_none_or(|unanswered| unanswered.sequence != sequence) {
        return;
    }
    let accepted = batch(host, store, destination, sequence).filter(|_| verdict == Verdict::Accepted);
    if let Some(batch) = accepted {
        for (slot, value) in &batch.series {
            acknowledge(host, store, (destination, *slot), [batch.time_ns, sequence], value);
        }
    }
    change(host, store, destination, &|[unanswered, _]| unanswered == sequence, &[0, 0, sequence]);
}

/// Sets the acknowledged values of a slot. Two workers may take the answer to one batch at once, and the slower of them must not
/// undo a later one.
fn acknowledge(
    host: &impl Host,
    store: &SharedStore,
    (destination, slot): (usize, u32),
    row: [u64; 2],
    value: &[u8],
) {
    // A slot that cannot be written is covered by the next batch again: more is not known of a store that refuses 64 times.
    let _ = store.update(host, format_args!("delta/{destination}/{slot}"), |present| {
        if let Some(mut known) = present {
            let [_, before, ..] = take_numbers(&mut known)?[..] else { return Err(Unreadable) };
            let [_, sequence] = row;
            if before >= sequence {
                return Err(Unreadable);
            }
        }
        let mut out = Vec::with_capacity(value.len().saturating_add(16));
        put_numbers(&mut out, &row);
        put_section(&mut out, value);
        Ok(out)
    });
}

/// Replaces the beginning of the row of a destination if the numbers of the batch without an answer and of the last one with an answer
/// are expected.
fn change(
    host: &impl Host,
    store: &SharedStore,
    destination: usize,
    is_expected: &dyn Fn([u64; 2]) -> bool,
    row: &[u64],
) -> bool {
    let changed = store.update(host, format_args!("delta/{destination}"), |present| {
        let mut known = present.map_or(Ok(Vec::new()), |mut value| take_numbers(&mut value))?;
        if !is_expected([0, 2].map(|place| known.get(place).copied().unwrap_or(0))) {
            return Err(Unreadable);
        }
        set_numbers(&mut known, row);
        let mut out = Vec::new();
        put_numbers(&mut out, &known);
        Ok(out)
    });
    changed.is_ok()
}

impl Batch {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let is_plain = u64::from(self.compression == Compression::None);
        put_numbers(&mut out, &[self.sequence, self.time_ns, is_plain]);
        put_section(&mut out, &self.body);
        let mut series = Vec::new();
        for (slot, value) in &self.series {
            varint::put(&mut series, u64::from(*slot));
            put_section(&mut series, value);
        }
        put_section(&mut out, &series);
        out
    }

    fn decode(mut value: &[u8]) -> Result<Self, Unreadable> {
        let input = &mut value;
        let [sequence, time_ns, is_plain, ..] = take_numbers(input)?[..] else { return Err(Unreadable) };
        let body = take_section(input)?.to_vec();
        let mut section = take_section(input)?;
        let mut series = Vec::new();
        while !section.is_empty() {
            let slot =
                varint::take(&mut section).and_then(|slot| u32::try_from(slot).ok()).ok_or(Unreadable)?;
            series.push((slot, take_section(&mut section)?.to_vec()));
        }
        let compression = if is_plain == 1 { Compression::None } else { Compression::Gzip };
        Ok(Self { sequence, time_ns, compression, body, series })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn batches_come_back(sequence in 1u64.., time_ns: u64, body: Vec<u8>, series in prop::collection::vec(any::<(u32, Vec<u8>)>(), 0..9)) {
            for compression in [Compression::None, Compression::Gzip] {
                let batch = Batch { sequence, time_ns, compression, body: body.clone(), series: series.clone() };
                prop_assert_eq!(Batch::decode(&batch.encode()), Ok(batch));
            }
        }

        #[test]
        fn garbage_is_survived(bytes: Vec<u8>) {
            let _ = Batch::decode(&bytes);
        }
    }
}
