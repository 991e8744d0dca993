//! Attempts to deliver messages that are under way: one at a time for each receiver.

use super::settings::MAX_RECEIVERS;
use std::collections::HashMap;
use tokio::task::{Id, JoinSet};

/// Attempts at a time: one for each receiver, so that those that do not answer take no place from others.
const MAX_ATTEMPTS: usize = MAX_RECEIVERS;

/// The attempts under way, each on a thread that may block.
#[derive(Default)]
pub(super) struct Attempts {
    running: JoinSet<()>,
    /// The receiver of each.
    receivers: HashMap<Id, String>,
}

impl Attempts {
    /// Begins an attempt, unless one to this receiver is under way or there are too many: it is due again later.
    pub(super) fn begin(&mut self, receiver: &str, attempt: impl FnOnce() + Send + 'static) {
        let is_busy = self.receivers.values().any(|busy| busy == receiver);
        if is_busy || self.running.len() >= MAX_ATTEMPTS {
            return;
        }
        let handle = self.running.spawn_blocking(attempt);
        self.receivers.insert(handle.id(), receiver.to_owned());
    }

    /// Waits for the end of any attempt; forever while none is under way. It may be cancelled.
    pub(super) async fn ended(&mut self) {
        let id = match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            // It has panicked. The message is still due.
            Some(Err(error)) => error.id(),
            None => std::future::pending().await,
        };
        self.receivers.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// An attempt that ends when its sender sends or goes, and notes that it began.
    fn waiting(
        begun: &Sender<&'static str>,
        name: &'static str,
    ) -> (Sender<()>, impl FnOnce() + Send + use<>) {
        let (end, ended): (_, Receiver<()>) = channel();
        let begun = begun.clone();
        (end, move || {
            begun.send(name).unwrap();
            let _ = ended.recv();
        })
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_receiver_that_does_not_answer_holds_up_itself_alone() {
        let (begun, seen) = channel();
        let mut attempts = Attempts::default();
        let (silent, attempt) = waiting(&begun, "silent");
        attempts.begin("silent", attempt);
        for name in ["first", "second", "third"] {
            let (end, attempt) = waiting(&begun, name);
            attempts.begin("ops", attempt);
            // The next one waits for its turn, whoever else is busy.
            attempts.begin("ops", || unreachable!("two attempts to one receiver at a time"));
            drop(end);
            attempts.ended().await;
        }
        attempts.begin("silent", || unreachable!("it does not answer yet"));
        drop(silent);
        attempts.ended().await;
        let (end, attempt) = waiting(&begun, "again");
        attempts.begin("silent", attempt);
        drop(end);
        attempts.ended().await;
        let mut seen: Vec<_> = seen.try_iter().collect();
        seen.sort_unstable();
        assert_eq!(seen, ["again", "first", "second", "silent", "third"]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_attempt_that_panics_frees_its_receiver() {
        let mut attempts = Attempts::default();
        let (begun, seen) = channel();
        attempts.begin("ops", || panic!("a defect"));
        attempts.ended().await;
        attempts.begin("ops", move || begun.send("again").unwrap());
        attempts.ended().await;
        assert_eq!(seen.try_recv(), Ok("again"));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn attempts_are_bounded() {
        let (begun, seen) = channel();
        let mut attempts = Attempts::default();
        let mut ends = Vec::new();
        for number in 0..=MAX_ATTEMPTS {
            let (end, attempt) = waiting(&begun, "begun");
            attempts.begin(&format!("receiver {number}"), attempt);
            ends.push(end);
        }
        drop((ends, begun));
        for _ in 0..MAX_ATTEMPTS {
            attempts.ended().await;
        }
        assert_eq!(seen.iter().count(), MAX_ATTEMPTS);
    }
}
