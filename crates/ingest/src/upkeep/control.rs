//! Orders to a service at work, over a socket in its data directory.
//!
//! Who may use the directory may remove the data in it anyway: the rights of the directory are the rights of the socket, and
//! nothing of it is on the network. An order is a line of JSON, and so is its answer.

use super::scrub::{self, Scrubbed};
use crate::auth::audit::{Action, Entry};
use crate::store::{DataDir, Deed, Forgotten, Selection, Writers};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

const SOCKET: &str = "control.sock";
const MAX_ORDER_BYTES: u64 = 64 << 10;

/// An order.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    Forget { selection: Selection, deed: Deed },
    Scrub { deed: scrub::Deed },
}

/// The outcome of an order, or why there is none.
type Outcome<T> = Result<T, String>;

/// Answers orders, one after the other, until it is dropped.
pub(crate) async fn serve(data: &Arc<DataDir>, writers: Arc<Writers>) {
    let path = data.path().join(SOCKET);
    // The directory is locked: what has this name is left over.
    let _ = std::fs::remove_file(&path);
    let listener = match UnixListener::bind(&path) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "there is no socket for orders: stop the service for `gatelens forget`");
            return;
        }
    };
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let (reader, mut writer) = stream.into_split();
        let mut line = String::new();
        let mut reader = tokio::io::BufReader::new(reader.take(MAX_ORDER_BYTES));
        let answer = match reader.read_line(&mut line).await.map(|_| serde_json::from_str(&line)) {
            Ok(Ok(Order::Forget { selection, deed })) => {
                serde_json::to_vec(&forget(&writers, &selection, deed).await)
            }
            Ok(Ok(Order::Scrub { deed })) => serde_json::to_vec(&scrub(data, &writers, deed).await),
            _ => serde_json::to_vec(&Outcome::<()>::Err(
                "the order cannot be read: use the gatelens of the service".to_owned(),
            )),
        };
        let mut answer = answer.unwrap_or_default();
        answer.push(b'\n');
        // One who has gone does not read the answer.
        let _ = writer.write_all(&answer).await;
    }
}

async fn scrub(data: &Arc<DataDir>, writers: &Arc<Writers>, deed: scrub::Deed) -> Outcome<Scrubbed> {
    let (data, writers) = (Arc::clone(data), Arc::clone(writers));
    let work = tokio::task::spawn_blocking(move || scrub::on_request(&data, &writers, deed));
    match work.await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

async fn forget(writers: &Writers, selection: &Selection, deed: Deed) -> Outcome<Forgotten> {
    if selection.is_empty() {
        return Err("nothing is selected".to_owned());
    }
    let outcome = writers.forget(selection, deed).await.map_err(|error| error.to_string());
    if deed == Deed::Remove {
        tracing::info!(?selection, ?outcome, "data was removed on request");
        writers.audit(removal(selection)).await;
    }
    outcome
}

/// The entry of the audit log. It does not name a consumer who must be forgotten.
fn removal(selection: &Selection) -> Entry {
    let Selection { instance, environment, consumer } = selection;
    let consumer = consumer.as_ref().map(|_| "one");
    Entry {
        actor: "gatelens forget".to_owned(),
        role: "",
        peer: String::new(),
        action: Action::Change,
        detail: format!("instance: {instance:?}, environment: {environment:?}, consumer: {consumer:?}"),
    }
}

/// Gives an order to the service of a directory. `None` where no service answers.
pub(super) fn order<T: DeserializeOwned>(dir: &Path, order: &Order) -> Option<Outcome<T>> {
    let mut stream = UnixStream::connect(dir.join(SOCKET)).ok()?;
    let mut line = serde_json::to_vec(order).ok()?;
    line.push(b'\n');
    stream.write_all(&line).ok()?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).ok()?;
    serde_json::from_str(&answer).ok()
}
