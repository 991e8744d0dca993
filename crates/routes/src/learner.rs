//! Learns places from the paths of finished requests.
//!
//! A tree holds the segments of the paths that were answered. A place in it becomes a parameter when the evidence says
//! so; docs/adr/0009 has the design with its figures.

mod evidence;
mod review;
mod trie;
mod vocabulary;

use crate::patterns::Patterns;
use crate::shape::{self, MAX_SEGMENTS};
use trie::{Seen, Trie};

/// Maximum bytes of a path that teaches.
const MAX_PATH_BYTES: usize = 1_024;

/// Learns patterns. Its memory is bounded: at most [`trie::MAX_NODES`] nodes.
///
/// The same requests and reviews in the same order teach the same patterns.
#[derive(Debug, Default)]
pub struct Learner {
    patterns: Patterns,
    trie: Trie,
    scratch: String,
}

impl Learner {
    /// Continues from what was learned before.
    pub fn resume(patterns: Patterns) -> Self {
        let mut trie = Trie::default();
        for (before, words) in patterns.places() {
            trie.plant(before, words.iter().map(String::as_str));
        }
        Self { patterns, trie, scratch: String::new() }
    }

    /// Takes in one finished request whose route was inferred. `path` has no query.
    ///
    /// Only answers below 400 teach: other paths are often ones that do not exist.
    pub fn observe(&mut self, method: &str, path: &[u8], status: u16) {
        if !(100..400).contains(&status) || path.len() > MAX_PATH_BYTES {
            return;
        }
        self.follow(method, path, 1, |sent| Seen::Sent(sent));
    }

    /// Takes in so many finished requests of an inferred route, where their paths are not known. It tells less than
    /// [`Self::observe`]: which values stood behind a placeholder is lost.
    ///
    /// Answers of 400 and more do not teach here either.
    pub fn observe_route(&mut self, method: &str, route: &str, status: u16, requests: u32) {
        if (100..400).contains(&status) && route.len() <= MAX_PATH_BYTES && requests > 0 {
            self.follow(method, route.as_bytes(), requests, |_| Seen::Route);
        }
    }

    fn follow(&mut self, method: &str, path: &[u8], requests: u32, seen: fn(&[u8]) -> Seen<'_>) {
        let Some(segments) = shape::segments(path) else { return };
        let mut walk = self.trie.walk(requests);
        for raw in segments.take(MAX_SEGMENTS) {
            self.scratch.clear();
            let form = shape::segment(raw, &mut self.scratch);
            walk.step(&self.scratch, form, seen(raw.bytes));
        }
        walk.end(method);
    }

    /// Looks at the places that have grown; true when the patterns have changed. Call it now and then, not per request.
    pub fn review(&mut self) -> bool {
        if !self.trie.review() {
            return false;
        }
        let before = self.patterns.clone();
        self.patterns.learn(self.trie.places());
        self.patterns != before
    }

    /// What is learned. A place once learned stays.
    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }
}
