//! Requests that wait to be sent.

use std::collections::VecDeque;

/// A request.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Packed.
    pub(super) body: Vec<u8>,
    pub(super) samples: u64,
}

/// A queue within a number of bytes: when it is full, the oldest go.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    max_bytes: usize,
    is_stopped: bool,
}

impl Queue {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, max_bytes, is_stopped: false }
    }

    /// Adds a request, and returns the samples that went for it.
    pub(super) fn put(&mut self, waiting: Waiting) -> u64 {
        self.bytes += waiting.body.len();
        self.waiting.push_back(waiting);
        let mut dropped = 0;
        while self.bytes > self.max_bytes
            && let Some(oldest) = self.take()
        {
            dropped += oldest.samples;
        }
        dropped
    }

    /// Puts the oldest request back, where there is still room for it. Returns its samples where there is none.
    pub(super) fn put_back(&mut self, waiting: Waiting) -> u64 {
        if self.bytes + waiting.body.len() > self.max_bytes {
            return waiting.samples;
        }
        self.bytes += waiting.body.len();
        self.waiting.push_front(waiting);
        0
    }

    /// Takes the oldest request.
    pub(super) fn take(&mut self) -> Option<Waiting> {
        let oldest = self.waiting.pop_front()?;
        self.bytes -= oldest.body.len();
        Some(oldest)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: u64) -> Waiting {
        Waiting { body: vec![0; 10], samples }
    }

    #[test]
    fn the_oldest_go_when_it_is_full_and_the_order_stays() {
        let mut queue = Queue::new(25);
        assert_eq!([queue.put(of(1)), queue.put(of(2)), queue.put(of(3))], [0, 0, 1]);
        let oldest = queue.take().unwrap();
        assert_eq!((oldest.samples, queue.bytes()), (2, 10));
        assert_eq!(queue.put_back(oldest), 0);
        let oldest = queue.take().unwrap();
        assert_eq!(queue.put(of(4)), 0);
        assert_eq!(queue.put_back(oldest), 2, "there is no room any more");
        let order: Vec<_> = std::iter::from_fn(|| queue.take()).map(|waiting| waiting.samples).collect();
        assert_eq!((order, queue.bytes()), (vec![3, 4], 0));
    }
}
