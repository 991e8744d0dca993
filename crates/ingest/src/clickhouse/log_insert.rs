//! Inserting requests: batches that come while an insert is under way go into the next one together, because a server stores
//! few large inserts with less work than many small ones.

use super::log::{Rows, columns, number_of};
use super::series::Parts;
use super::{ClickHouse, END_TIMEOUT, SEND_TIMEOUT};
use crate::model::{RequestBatch, RequestPart, Signal};
use crate::store::StoreError;
use crate::sync::lock;
use clickhouse::Client;
use clickhouse::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Time from the beginning of an insert to that of the next one, at least.
const PACE: Duration = Duration::from_millis(100);
/// Bytes of rows that are inserted together. A batch is never divided, except by days.
const MAX_BYTES: usize = 32 << 20;
/// Days of requests in an insert: each becomes a part of the table, of which the server takes 100 at a time.
const MAX_DAYS: usize = 50;
/// Batches that wait.
const QUEUE: usize = 256;
/// Bytes that are sent at a time.
const PIECE: usize = 256 << 10;
/// Times that an insert is tried of which no answer came. The server recognises a repeat by its token.
const ATTEMPTS: u32 = 2;

/// The queue of batches that wait to be inserted.
pub(super) struct Inserts {
    queue: Sender<Waiting>,
}

struct Waiting {
    number: u64,
    rows: Rows,
    reply: oneshot::Sender<Result<(), Failure>>,
}

/// Why rows are not stored; the batches of an insert share it.
type Failure = Arc<Mutex<Option<Error>>>;

/// Too many batches wait.
pub(crate) struct QueueFull;

impl Inserts {
    /// Starts to insert into the log. Ends when this is dropped, after the batches in the queue.
    pub(super) fn start(client: &Client) -> Self {
        let (sender, received) = channel(QUEUE);
        tokio::spawn(insert_all(client.clone(), received));
        Self { queue: sender }
    }
}

impl ClickHouse {
    /// Stores the parts of a batch that `takes` takes. They are inserted when this returns; a batch that is stored again changes
    /// nothing that a question can find.
    ///
    /// # Errors
    /// When too many batches wait. When the server cannot be reached or refuses: a part may be stored then, and counts once
    /// when the batch is repeated.
    pub(crate) async fn store_requests(
        &self,
        batch: &RequestBatch,
        signal: Signal,
        takes: impl Fn(&RequestPart) -> bool,
    ) -> Result<Result<(), QueueFull>, StoreError> {
        let number = number_of(batch.identity.as_ref(), signal);
        let rows = Rows::of(batch, number, takes);
        if rows.0.is_empty() {
            return Ok(Ok(()));
        }
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { number, rows, reply };
        if self.inserts.queue.try_send(waiting).is_err() {
            return Ok(Err(QueueFull));
        }
        match answer.await {
            Ok(Ok(())) => Ok(Ok(())),
            Ok(Err(failure)) => Err(error_of(&failure).into()),
            Err(_) => Err(Error::Custom("the insert has ended without an outcome".to_owned()).into()),
        }
    }
}

/// The error itself for the first batch, its text for the others.
fn error_of(failure: &Failure) -> Error {
    let mut failure = lock(failure);
    let text = failure.as_ref().map_or("an insert has failed".to_owned(), ToString::to_string);
    failure.take().unwrap_or(Error::Custom(text))
}

async fn insert_all(client: Client, mut queue: Receiver<Waiting>) {
    // A batch that did not fit.
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(waiting) => waiting,
            None => match queue.recv().await {
                Some(waiting) => waiting,
                None => return,
            },
        };
        let begun = Instant::now();
        let mut token = Parts::default();
        token.number(first.number);
        let Waiting { mut rows, reply, .. } = first;
        let mut replies = vec![reply];
        while let Ok(waiting) = queue.try_recv() {
            if rows.bytes() + waiting.rows.bytes() > MAX_BYTES {
                next = Some(waiting);
                break;
            }
            token.number(waiting.number);
            rows.append(waiting.rows);
            replies.push(waiting.reply);
        }
        let outcome = insert_rows(&client, &columns(), rows, token.hash()).await;
        let outcome = outcome.map_err(|error| Arc::new(Mutex::new(Some(error))));
        // A sender that has gone does not read the answer.
        replies.into_iter().for_each(|reply| drop(reply.send(outcome.clone())));
        tokio::time::sleep_until(begun + PACE).await;
    }
}

/// Inserts rows with these columns, of some days at a time.
pub(super) async fn insert_rows(
    client: &Client,
    columns: &str,
    Rows(rows): Rows,
    token: u64,
) -> Result<(), Error> {
    let statement = format!("INSERT INTO requests ({columns}) FORMAT RowBinary");
    let days: Vec<Vec<u8>> = rows.into_values().collect();
    for (part, days) in days.chunks(MAX_DAYS).enumerate() {
        insert_bytes(client, &statement, days, &format!("{token:016x}-{part}")).await?;
    }
    Ok(())
}

/// Inserts rows in the format of a statement, and tries it again where no answer came. The server drops a repeat of a token that it
/// has seen lately.
pub(super) async fn insert_bytes(
    client: &Client,
    statement: &str,
    rows: &[Vec<u8>],
    token: &str,
) -> Result<(), Error> {
    let mut attempt = 1;
    loop {
        match insert_once(client, statement, rows, token).await {
            Err(error) if attempt < ATTEMPTS && !matches!(error, Error::BadResponse(_)) => attempt += 1,
            outcome => return outcome,
        }
    }
}

async fn insert_once(client: &Client, statement: &str, rows: &[Vec<u8>], token: &str) -> Result<(), Error> {
    let mut insert = client
        .insert_formatted_with(statement)
        .with_setting("insert_deduplication_token", token)
        .with_timeouts(Some(SEND_TIMEOUT), Some(END_TIMEOUT))
        .buffered_with_capacity(PIECE);
    for piece in rows.iter().flat_map(|rows| rows.chunks(PIECE)) {
        let mut piece = piece;
        while !piece.is_empty() {
            let written = insert.write(piece).await?;
            piece = piece.get(written..).unwrap_or_default();
        }
    }
    insert.end().await
}
