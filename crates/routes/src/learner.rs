//! Learns places from the paths of finished requests.

use crate::patterns::Patterns;

/// Learns patterns. Its memory is bounded.
#[derive(Debug, Default)]
pub struct Learner {
    patterns: Patterns,
}

impl Learner {
    /// Continues from what was learned before.
    pub fn resume(patterns: Patterns) -> Self {
        Self { patterns }
    }

    /// Takes in one finished request whose route was inferred. `path` has no query.
    pub fn observe(&mut self, _method: &str, _path: &[u8], _status: u16) {}

    /// Looks at the places that have grown; true when the patterns have changed. Call it now and then, not per request.
    pub fn review(&mut self) -> bool {
        false
    }

    /// What is learned. A place once learned stays.
    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }
}
