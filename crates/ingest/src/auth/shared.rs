//! Sessions that several replicas share: who signed in at one is signed in at all, and signed out at all.
//!
//! Replicas tell each other of sessions through the server, and look each second at what was told. A cookie that is not known
//! is looked up at once, because its request may be faster than that. Look-ups wait for one another and are asked together, so that a
//! flood of invented cookies becomes one question at a time.

use super::sessions::{SessionId, Sessions};
use crate::clickhouse::{ClickHouse, SharedSession, ToldSession, Wanted};
use crate::store::StoreError;
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Notify, oneshot};

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// Seconds by which what was told may be found late.
const OVERLAP: u32 = 15;
/// Seconds of which a replica asks that starts, or that was out of touch: longer than any session.
const ALL: u32 = 13 * 3600;
/// Cookies that are looked up together, and those that wait.
const TOGETHER: usize = 1_000;
/// Time for which a cookie that nobody knows is not asked for again.
const ABSENT: Duration = Duration::from_secs(1);
/// Such cookies that are remembered.
const MAX_ABSENT: usize = 10_000;
/// Time for which a request waits for its look-up.
const PATIENCE: Duration = Duration::from_secs(3);

/// What replicas tell each other of sessions.
pub(super) struct Shared {
    server: Arc<ClickHouse>,
    /// What the others do not know yet, by session.
    untold: Mutex<HashMap<SessionId, ToldSession>>,
    has_news: Notify,
    absent: Mutex<HashMap<SessionId, Instant>>,
    lookups: Sender<Lookup>,
    waiting: Mutex<Option<Receiver<Lookup>>>,
}

struct Lookup {
    id: SessionId,
    reply: oneshot::Sender<()>,
}

impl Shared {
    pub(super) fn new(server: Arc<ClickHouse>) -> Self {
        let (lookups, waiting) = channel(TOGETHER);
        Self {
            server,
            untold: Mutex::default(),
            has_news: Notify::new(),
            absent: Mutex::default(),
            lookups,
            waiting: Mutex::new(Some(waiting)),
        }
    }

    /// Notes something that others must know.
    pub(super) fn note(&self, session: ToldSession) {
        let mut untold = lock(&self.untold);
        match untold.get_mut(&session.id) {
            Some(known) => {
                known.ended |= session.ended;
                if !session.person.is_empty() {
                    (known.person, known.way) = (session.person, session.way);
                }
            }
            None => drop(untold.insert(session.id.clone(), session)),
        }
        drop(untold);
        self.has_news.notify_one();
    }

    /// Tells the others what they do not know. What cannot be told now is told later.
    pub(super) async fn tell(&self) -> Result<(), StoreError> {
        let untold: Vec<ToldSession> = lock(&self.untold).values().cloned().collect();
        if untold.is_empty() {
            return Ok(());
        }
        self.server.put_sessions(&untold).await?;
        let mut left = lock(&self.untold);
        for told in untold {
            if left.get(&told.id) == Some(&told) {
                left.remove(&told.id);
            }
        }
        Ok(())
    }

    /// Asks the server for a session that is not known here.
    pub(super) async fn look_up(&self, id: SessionId) {
        let now = Instant::now();
        let is_absent =
            lock(&self.absent).get(&id).is_some_and(|at| now.saturating_duration_since(*at) < ABSENT);
        if is_absent {
            return;
        }
        let (reply, answer) = oneshot::channel();
        // Where too many wait, the request goes on without a session.
        if self.lookups.try_send(Lookup { id, reply }).is_ok() {
            let _ = tokio::time::timeout(PATIENCE, answer).await;
        }
    }

    fn note_absent(&self, ids: Vec<SessionId>) {
        let now = Instant::now();
        let mut absent = lock(&self.absent);
        if absent.len() + ids.len() > MAX_ABSENT {
            absent.retain(|_, at| now.saturating_duration_since(*at) < ABSENT);
        }
        let room = MAX_ABSENT.saturating_sub(absent.len());
        absent.extend(ids.into_iter().take(room).map(|id| (id, now)));
    }

    /// Tells and looks, and answers look-ups, until it is aborted.
    pub(super) async fn keep(&self, sessions: &Sessions) {
        let Some(waiting) = lock(&self.waiting).take() else { return };
        tokio::join!(self.exchange(sessions), self.answer(waiting, sessions));
    }

    async fn exchange(&self, sessions: &Sessions) {
        let (mut since, mut fails) = (ALL, false);
        loop {
            let exchanged = async {
                self.tell().await?;
                self.server.sessions(Wanted::Told(since)).await
            };
            match exchanged.await {
                Ok(told) => {
                    sessions.take_over(&told, Instant::now());
                    (since, fails) = (OVERLAP, false);
                }
                Err(error) => {
                    if !fails {
                        tracing::warn!(%error, "sessions cannot be shared with other replicas; trying again");
                    }
                    // What was told meanwhile must not be missed.
                    (since, fails) = (ALL, true);
                }
            }
            tokio::select! {
                () = self.has_news.notified(), if !fails => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn answer(&self, mut waiting: Receiver<Lookup>, sessions: &Sessions) {
        while let Some(first) = waiting.recv().await {
            let mut all = vec![first];
            while all.len() < TOGETHER
                && let Ok(next) = waiting.try_recv()
            {
                all.push(next);
            }
            let ids: Vec<SessionId> = all.iter().map(|lookup| lookup.id.clone()).collect();
            let found = match self.server.sessions(Wanted::Named(&ids)).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::debug!(%error, "a session could not be looked up");
                    Vec::new()
                }
            };
            sessions.take_over(&found, Instant::now());
            let is_alive =
                |id: &SessionId| found.iter().any(|one: &SharedSession| one.id == *id && one.has_ended == 0);
            self.note_absent(ids.into_iter().filter(|id| !is_alive(id)).collect());
            // Those who have gone do not read it.
            for Lookup { reply, .. } in all {
                let _ = reply.send(());
            }
        }
    }
}
