//! The last chunk of each sender, as long as it is small: small batches are added to it, because a chunk for each of them
//! would make every page of the log slow. A chunk ends by requests, bytes or time.

use super::StoreError;
use super::chunk;
use super::requests::{insert_chunk, replace_chunk};
use crate::model::{Columns, RequestPart};
use rusqlite::{Connection, OptionalExtension};
use std::collections::HashMap;
use std::sync::Arc;

/// A batch with as many requests is a chunk of its own.
const SMALL: usize = 100;
/// Small batches of a sender that have chunks of their own: a few are not worth being written again.
const FIRST: usize = 8;
/// Requests after which a chunk ends.
const MAX_EVENTS: usize = 500;
/// Bytes on disk after which a chunk ends: it is read and written anew for each batch.
const MAX_BYTES: usize = 32 << 10;
/// Time between the first and the last request of a chunk that small batches make: nanoseconds.
const MAX_SPAN: i64 = 10 * 60 * 1_000_000_000;
/// Senders whose last chunks are remembered; then all are forgotten, which costs some chunks.
const MAX_TAILS: usize = 1_000;

/// Chunks that can be added to, by their sender.
#[derive(Default)]
pub(super) struct Tails(HashMap<Sender, Tail>);

/// Instance, service, environment and direction: what the requests of a chunk have in common.
type Sender = (String, Arc<str>, Arc<str>, String);

#[derive(Clone, Copy)]
struct Tail {
    /// Small batches so far, up to [`FIRST`].
    batches: usize,
    id: i64,
    events: usize,
    from: i64,
    to: i64,
}

impl Tails {
    /// Stores the requests of a part. The caller forgets all tails when the transaction fails.
    pub(super) fn put(&mut self, file: &Connection, part: &RequestPart) -> Result<(), StoreError> {
        let times = part.events.times();
        let (Some(&from), Some(&to)) = (times.iter().min(), times.iter().max()) else { return Ok(()) };
        if part.events.len() >= SMALL {
            return insert_chunk(file, &part.gateway, &part.events).map(drop);
        }
        let gateway = &part.gateway;
        let sender = (
            gateway.instance.clone(),
            Arc::clone(&gateway.service),
            Arc::clone(&gateway.environment),
            gateway.direction.clone(),
        );
        let batches = self.0.get(&sender).map_or(0, |tail| tail.batches);
        if let Some(tail) = self.0.get_mut(&sender).filter(|tail| tail.batches >= FIRST) {
            let longer = Tail {
                events: tail.events + part.events.len(),
                from: tail.from.min(from),
                to: tail.to.max(to),
                ..*tail
            };
            if longer.events <= MAX_EVENTS
                && longer.to.saturating_sub(longer.from) <= MAX_SPAN
                && let Some(mut events) = read(file, tail)?
            {
                events.append(&part.events);
                replace_chunk(file, tail.id, &events)?;
                *tail = longer;
                return Ok(());
            }
        }
        if self.0.len() >= MAX_TAILS {
            self.0.clear();
        }
        let id = insert_chunk(file, gateway, &part.events)?;
        self.0.insert(
            sender,
            Tail { batches: FIRST.min(batches + 1), id, events: part.events.len(), from, to },
        );
        Ok(())
    }

    /// Forgets all: the next batch of each sender begins a chunk.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// The requests of a tail; `None` where it is full, or no longer what it was.
fn read(file: &Connection, tail: &Tail) -> Result<Option<Columns>, StoreError> {
    let mut select =
        file.prepare_cached("SELECT data FROM chunks WHERE id = ? AND length(data) <= ? AND n = ?")?;
    let data: Option<Vec<u8>> =
        select.query_row([tail.id, MAX_BYTES as i64, tail.events as i64], |row| row.get(0)).optional()?;
    Ok(data.and_then(|data| chunk::decode(&data)).map(|events| Columns::of(&events)))
}
