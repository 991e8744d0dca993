//! Places to decode: some for counters and as many for the log, so that neither keeps the other out. Within each, peers
//! take turns, so that one that sends much makes only itself wait.

use super::peers::Peer;
use crate::model::Signal;
use crate::sync::lock;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::oneshot;

/// All places.
pub(super) struct Decoders {
    counts: Arc<Queue>,
    log: Arc<Queue>,
}

/// A place, given on when dropped.
pub(super) struct Place {
    queue: Option<Arc<Queue>>,
}

struct Queue(Mutex<Turns>);

#[derive(Default)]
struct Turns {
    free: usize,
    /// Those who wait, by peer; no list is empty.
    waiting: HashMap<Option<Peer>, VecDeque<oneshot::Sender<Place>>>,
    /// The peers who wait, each once; the first is next.
    order: VecDeque<Option<Peer>>,
}

impl Decoders {
    /// `places` in all, at least one for each kind.
    pub(super) fn new(places: usize) -> Self {
        let queue =
            |free: usize| Arc::new(Queue(Mutex::new(Turns { free: free.max(1), ..Turns::default() })));
        Self { counts: queue(places / 2), log: queue(places - places / 2) }
    }

    /// Waits for a place.
    pub(super) async fn place(&self, signal: Signal, peer: Option<Peer>) -> Place {
        let queue = match signal {
            Signal::Metrics => &self.counts,
            Signal::Logs | Signal::Traces => &self.log,
        };
        let turn = {
            let mut turns = queue.lock();
            if turns.free > 0 {
                turns.free -= 1;
                return Place { queue: Some(Arc::clone(queue)) };
            }
            turns.wait(peer)
        };
        // The sender lives in the queue until it has sent; without it nobody would be served, and one place more does
        // no harm.
        turn.await.unwrap_or(Place { queue: None })
    }
}

impl Turns {
    fn wait(&mut self, peer: Option<Peer>) -> oneshot::Receiver<Place> {
        let (sender, receiver) = oneshot::channel();
        let waiting = self.waiting.entry(peer).or_default();
        if waiting.is_empty() {
            self.order.push_back(peer);
        }
        waiting.push_back(sender);
        receiver
    }

    /// The one whose turn it is.
    fn next(&mut self) -> Option<oneshot::Sender<Place>> {
        let peer = self.order.pop_front()?;
        let waiting = self.waiting.get_mut(&peer)?;
        let next = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&peer);
        } else {
            self.order.push_back(peer);
        }
        next
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Turns> {
        lock(&self.0)
    }

    /// Gives a place to the next one that still waits.
    fn give(self: &Arc<Self>) {
        loop {
            let next = {
                let mut turns = self.lock();
                match turns.next() {
                    Some(next) => next,
                    None => {
                        turns.free += 1;
                        return;
                    }
                }
            };
            match next.send(Place { queue: Some(Arc::clone(self)) }) {
                Ok(()) => return,
                // That one has gone meanwhile.
                Err(mut place) => place.queue = None,
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.give();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn peer(last: u8) -> Option<Peer> {
        Some(Peer::of([192, 0, 2, last].into()))
    }

    /// Lets tasks that can run do so.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn peers_take_turns_whatever_they_sent_before() {
        let decoders = Arc::new(Decoders::new(2));
        let served = Arc::new(Mutex::new(Vec::new()));
        let first = decoders.place(Signal::Metrics, peer(1)).await;
        for last in [1, 1, 1, 2, 3, 2] {
            let (decoders, served) = (Arc::clone(&decoders), Arc::clone(&served));
            tokio::spawn(async move {
                let _place = decoders.place(Signal::Metrics, peer(last)).await;
                served.lock().unwrap().push(last);
            });
            settle().await;
        }
        assert!(served.lock().unwrap().is_empty());
        drop(first);
        settle().await;
        assert_eq!(*served.lock().unwrap(), [1, 2, 3, 1, 2, 1]);
    }

    #[tokio::test]
    async fn counters_never_keep_the_log_out() {
        let decoders = Decoders::new(2);
        let _held = decoders.place(Signal::Metrics, peer(1)).await;
        assert!(
            tokio::time::timeout(Duration::from_millis(20), decoders.place(Signal::Metrics, peer(2)))
                .await
                .is_err()
        );
        let _log = decoders.place(Signal::Logs, peer(1)).await;
        assert!(
            tokio::time::timeout(Duration::from_millis(20), decoders.place(Signal::Traces, peer(2)))
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_place_is_not_lost_with_one_that_has_gone() {
        let decoders = Decoders::new(2);
        let held = decoders.place(Signal::Logs, peer(1)).await;
        for _ in 0..3 {
            let gone = tokio::time::timeout(Duration::from_millis(5), decoders.place(Signal::Logs, peer(2)));
            assert!(gone.await.is_err());
        }
        drop(held);
        let again = tokio::time::timeout(Duration::from_secs(5), decoders.place(Signal::Logs, peer(3)));
        assert!(again.await.is_ok());
    }
}
