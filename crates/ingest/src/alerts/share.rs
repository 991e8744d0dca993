//! Alerts of several replicas: the rows of `alerts.db` go to the server and come from it, and one replica evaluates.
//!
//! ```text
//! change here ─▶ alerts.db (untold) ─▶ server: alert_rows ─▶ alerts.db of the others
//! ```

use super::Alerts;
use super::engine::Note;
use super::file::{Look, Named, Untold};
use super::lease::{INTERVAL, Lease};
use crate::auth::random;
use crate::clickhouse::{AlertRow, ClickHouse};
use crate::clock;
use crate::store::StoreError;
use crate::sync::lock;
use data_encoding::HEXLOWER;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Time between two looks at what others have changed.
const INTERVAL_OF_LOOKS: Duration = Duration::from_secs(2);
/// Time that a replica which stops has to tell the others.
const LEAVING: Duration = Duration::from_secs(3);

/// What the alerts of a replica have to do with those of others.
pub(super) struct Sharing {
    server: Arc<ClickHouse>,
    lease: Mutex<Lease>,
    /// The term of the lease for which all that others have told is known.
    ready: AtomicU64,
    changed: Notify,
}

impl Sharing {
    pub(super) fn new(server: Arc<ClickHouse>) -> Self {
        Self { server, lease: Mutex::default(), ready: AtomicU64::new(0), changed: Notify::new() }
    }

    /// Whether this replica evaluates and sends.
    pub(super) fn acts(&self, now: Instant) -> bool {
        self.term(now).is_some_and(|term| term == self.ready.load(Ordering::Acquire))
    }

    /// There is something to tell.
    pub(super) fn changed(&self) {
        self.changed.notify_one();
    }

    fn term(&self, now: Instant) -> Option<u64> {
        lock(&self.lease).term(now)
    }

    /// Shows the others that this replica is there.
    async fn show(&self) -> Result<(), StoreError> {
        let name = lock(&self.lease).name(Instant::now()).map(str::to_owned);
        let name = match name {
            Some(name) => name,
            None => {
                let name = new_name(self.server.server_time().await?);
                lock(&self.lease).come(name.clone());
                name
            }
        };
        let begun = Instant::now();
        let present = self.server.show_replica(&name).await?;
        lock(&self.lease).shown((begun, Instant::now()), &present);
        Ok(())
    }
}

/// A name that no other replica has. Those that came earlier stand before it. The time is in Unix milliseconds.
fn new_name(time: i64) -> String {
    let random =
        random::<8>().unwrap_or_else(|| (clock::now() as u64 ^ u64::from(std::process::id())).to_be_bytes());
    format!("{time:014}-{}", HEXLOWER.encode(&random))
}

impl Alerts {
    /// Takes over what others have told. The server's clock is so many milliseconds ahead.
    fn take_over(&self, rows: &[AlertRow], ahead: i64, look: Look) -> Result<(), StoreError> {
        let is_new = {
            let mut file = lock(&self.file);
            let is_new = file.merge(rows, ahead, look)?;
            if look == Look::First {
                file.tell_missing(rows, clock::now() / 1_000_000)?;
            }
            is_new
        };
        if is_new {
            if !self.acts() {
                *lock(&self.notes) = read_notes(&lock(&self.file).notes()?);
                self.stats.firing(&self.firing()?);
            }
            self.queued.notify_one();
        }
        Ok(())
    }
}

/// The notes of an evaluation, as other replicas get them.
pub(super) fn written_notes(notes: &HashMap<String, Note>) -> Vec<Named> {
    let write = |(rule, note): (&String, &Note)| Named {
        name: rule.clone(),
        content: serde_json::to_string(note).unwrap_or_default(),
    };
    notes.iter().map(write).collect()
}

fn read_notes(notes: &[Named]) -> HashMap<String, Note> {
    let read = |note: &Named| Some((note.name.clone(), serde_json::from_str(&note.content).ok()?));
    notes.iter().filter_map(read).collect()
}

/// Keeps the lease, or waits for it, until it is aborted.
pub(crate) async fn keep_lease(alerts: Arc<Alerts>) {
    let Some(sharing) = &alerts.sharing else { return };
    let mut fails = false;
    loop {
        let begun = tokio::time::Instant::now();
        match sharing.show().await {
            Ok(()) => fails = false,
            Err(error) if !fails => {
                fails = true;
                tracing::warn!(%error, "the store of all replicas is away: this one does not evaluate alerts after 10 s");
            }
            Err(_) => {}
        }
        tokio::time::sleep_until(begun + INTERVAL).await;
    }
}

/// Tells the others what has changed here, and takes over what they tell, until it is aborted.
pub(crate) async fn exchange(alerts: Arc<Alerts>) {
    let Some(sharing) = &alerts.sharing else { return };
    let (mut since, mut fails) = (None, false);
    loop {
        match exchange_once(&alerts, sharing, &mut since).await {
            Ok(()) => fails = false,
            Err(error) if !fails => {
                fails = true;
                tracing::warn!(%error, "rules and states of alerts cannot be shared; trying again");
            }
            Err(_) => {}
        }
        tokio::select! {
            // A server that refuses is not asked at once again.
            () = sharing.changed.notified(), if !fails => {}
            () = tokio::time::sleep(INTERVAL_OF_LOOKS) => {}
        }
    }
}

async fn exchange_once(
    alerts: &Arc<Alerts>,
    sharing: &Sharing,
    since: &mut Option<i64>,
) -> Result<(), StoreError> {
    // What others told before the lease was taken is among what is read now.
    let term = sharing.term(Instant::now());
    let now = sharing.server.server_time().await?;
    let ahead = now - clock::now() / 1_000_000;
    let look = if since.is_none() { Look::First } else { Look::Later };
    let rows = sharing.server.alert_rows(*since).await?;
    blocking(alerts, move |alerts| alerts.take_over(&rows, ahead, look)).await?;
    *since = Some(now);
    tell(alerts, sharing, ahead).await?;
    if let Some(term) = term.filter(|term| *term != sharing.ready.load(Ordering::Acquire)) {
        blocking(alerts, move |alerts| {
            lock(&alerts.engine).resume_later();
            Ok(())
        })
        .await?;
        sharing.ready.store(term, Ordering::Release);
        tracing::info!("this replica evaluates the alerts");
        alerts.queued.notify_one();
    }
    Ok(())
}

/// Tells the others all that has changed.
async fn tell(alerts: &Arc<Alerts>, sharing: &Sharing, ahead: i64) -> Result<(), StoreError> {
    loop {
        let untold: Vec<Untold> = blocking(alerts, move |alerts| lock(&alerts.file).untold(ahead)).await?;
        if untold.is_empty() {
            return Ok(());
        }
        let rows: Vec<AlertRow> = untold.iter().map(|untold| untold.row.clone()).collect();
        sharing.server.put_alert_rows(&rows).await?;
        blocking(alerts, move |alerts| lock(&alerts.file).told(&untold)).await?;
        // A message is sent when the others know of it.
        alerts.queued.notify_one();
    }
}

/// Tells the others the last changes, and that this replica is gone. Nothing may evaluate or send any more.
pub(crate) async fn leave(alerts: &Arc<Alerts>) {
    let Some(sharing) = &alerts.sharing else { return };
    let leaving = async {
        let ahead = sharing.server.server_time().await? - clock::now() / 1_000_000;
        tell(alerts, sharing, ahead).await?;
        let name = lock(&sharing.lease).name(Instant::now()).map(str::to_owned);
        match name {
            Some(name) => sharing.server.leave(&name).await,
            None => Ok(()),
        }
    };
    match tokio::time::timeout(LEAVING, leaving).await {
        Ok(Ok(())) => {}
        // They find it gone by itself, and it tells the rest when it runs again.
        Ok(Err(error)) => tracing::debug!(%error, "other replicas do not know that this one stops"),
        Err(_) => tracing::debug!("other replicas do not know that this one stops"),
    }
}

/// Runs something on a thread that may block.
async fn blocking<T: Send + 'static>(
    alerts: &Arc<Alerts>,
    run: impl FnOnce(&Alerts) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let running = Arc::clone(alerts);
    let ended = tokio::task::spawn_blocking(move || run(&running)).await;
    ended.unwrap_or_else(|error| Err(StoreError::file(alerts.data.path(), std::io::Error::other(error))))
}
