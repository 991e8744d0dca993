//! Places for connections. When all are taken, a newcomer gets the place of one that waits for a request, so that nobody
//! keeps others out by opening connections and sending nothing.

use super::activity::Activity;
use super::peers::Peer;
use crate::sync::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

/// Time after which it is looked again whether a connection waits, when all were busy.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// All connections, and how many there may be.
pub(super) struct Places {
    free: Arc<Semaphore>,
    per_peer: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    live: HashMap<u64, Live>,
    /// Connections of each peer that were not told to end.
    peers: HashMap<Peer, usize>,
}

struct Live {
    peer: Peer,
    activity: Arc<Activity>,
    task: Option<AbortHandle>,
}

/// How many places a peer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// Those of one peer.
    OfOne,
    /// All, because many clients are behind it.
    OfMany,
}

/// The place of one connection; free again when dropped.
pub(super) struct Place {
    id: u64,
    places: Arc<Places>,
    _permit: OwnedSemaphorePermit,
}

/// A newcomer's place, and the number of connections that had to end for it.
pub(super) struct Admitted {
    pub(super) place: Place,
    pub(super) ended: u64,
}

impl Places {
    pub(super) fn new(connections: usize, per_peer: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(connections)), per_peer, table: Mutex::default() })
    }

    /// A place, as soon as there is one; `None` for a peer whose connections are all busy.
    pub(super) async fn admit(
        self: &Arc<Self>,
        peer: Peer,
        share: Share,
        activity: &Arc<Activity>,
    ) -> Option<Admitted> {
        let mut ended = 0;
        if share == Share::OfOne && self.lock().peers.get(&peer).is_some_and(|count| *count >= self.per_peer)
        {
            let task = self.lock().end_oldest(peer);
            task?.abort();
            ended += 1;
        }
        let permit = match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => loop {
                let task = self.lock().end_one();
                // Without the lock, because a task that ends gives its place back.
                ended += task.map_or(0, |task| {
                    task.abort();
                    1
                });
                let waiting = Arc::clone(&self.free).acquire_owned();
                if let Ok(permit) = tokio::time::timeout(LOOK_AGAIN, waiting).await {
                    break permit.ok()?;
                }
            },
        };
        let mut table = self.lock();
        let id = table.next;
        table.next += 1;
        table.live.insert(id, Live { peer, activity: Arc::clone(activity), task: None });
        *table.peers.entry(peer).or_default() += 1;
        Some(Admitted { place: Place { id, places: Arc::clone(self), _permit: permit }, ended })
    }

    /// Makes a connection one that can be ended. One that has ended by itself is not in the table any more.
    pub(super) fn started(&self, id: u64, task: AbortHandle) {
        if let Some(live) = self.lock().live.get_mut(&id) {
            live.task = Some(task);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }
}

impl Place {
    pub(super) fn id(&self) -> u64 {
        self.id
    }
}

impl Table {
    /// Ends the connection of a peer that has waited longest. The caller must abort its task.
    fn end_oldest(&mut self, peer: Peer) -> Option<AbortHandle> {
        let waiting = |live: &Live| live.activity.waiting_since().filter(|_| live.task.is_some());
        let of_peer = self.live.iter().filter(|(_, live)| live.peer == peer);
        let (_, id) = of_peer.filter_map(|(id, live)| Some((waiting(live)?, *id))).min()?;
        // One that has just become busy stays.
        if !self.live.get(&id)?.activity.end() {
            return None;
        }
        let live = self.live.remove(&id)?;
        self.leave(peer);
        live.task
    }

    /// As [`end_oldest`](Self::end_oldest), for the peer with the most connections among those that wait.
    fn end_one(&mut self) -> Option<AbortHandle> {
        let waiting = self.live.values().filter(|live| live.task.is_some() && live.activity.is_waiting());
        let most = waiting.map(|live| (self.peers.get(&live.peer).copied().unwrap_or(0), live.peer)).max();
        self.end_oldest(most?.1)
    }

    fn leave(&mut self, peer: Peer) {
        if let Some(count) = self.peers.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&peer);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.places.lock();
        if let Some(live) = table.live.remove(&self.id) {
            table.leave(live.peer);
        }
    }
}
