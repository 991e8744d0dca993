//! The audit log: who signed in, who saw captured content, who changed something.

use super::token::TokenHash;
use super::{Person, attempts};
use crate::sync::lock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A question that is asked again within this time is not noted again: the page asks every few seconds.
const REPEAT_AFTER: Duration = Duration::from_secs(600);
/// Questions that are remembered. Beyond, every question is noted.
const MAX_REMEMBERED: usize = 10_000;
/// Longer details are cut.
const MAX_DETAIL_BYTES: usize = 2_000;

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A person signed in.
    SignIn,
    /// A name and a password did not match, or there were too many attempts.
    SignInFailed,
    /// A person signed out.
    SignOut,
    /// Rows of the request log with bodies or headers were handed out.
    CapturedRead,
    /// Something was changed or removed.
    Change,
}

impl Action {
    pub(crate) const ALL: [Self; 5] =
        [Self::SignIn, Self::SignInFailed, Self::SignOut, Self::CapturedRead, Self::Change];

    /// The name in the store and in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignInFailed => "sign_in_failed",
            Self::SignOut => "sign_out",
            Self::CapturedRead => "captured_read",
            Self::Change => "change",
        }
    }
}

/// An entry, without its time.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The name of a person or program; for a failed sign-in as it was given.
    pub(crate) actor: String,
    /// The role at that time; empty without one.
    pub(crate) role: &'static str,
    /// The address that it came from; empty for an order on the machine itself.
    pub(crate) peer: String,
    pub(crate) action: Action,
    pub(crate) detail: String,
}

impl Entry {
    /// What a person did.
    pub(crate) fn of(person: &Person, peer: IpAddr, action: Action, detail: String) -> Self {
        let (actor, role) = (person.name.clone(), person.role.name());
        Self { actor, role, peer: peer.to_string(), action, detail }
    }

    /// The same with a detail of bounded length, also written to the service's own log.
    pub(crate) fn logged(mut self) -> Self {
        let mut end = self.detail.len().min(MAX_DETAIL_BYTES);
        while !self.detail.is_char_boundary(end) {
            end -= 1;
        }
        self.detail.truncate(end);
        let Self { actor, role, peer, action, detail } = &self;
        // Quoted, because a stranger chooses the name of a failed sign-in.
        tracing::info!(target: "gatelens_audit", action = action.name(), ?actor, role, peer, ?detail, "audit");
        self
    }
}

/// Questions and refusals that were noted not long ago.
#[derive(Default)]
pub(crate) struct Noted(Mutex<HashMap<Key, Last>>);

/// The hash of who and what: a reader chooses the length of a question.
type Key = String;

/// When it was noted, and the earliest time (Unix nanoseconds) that it was about.
struct Last {
    at: Instant,
    from: i64,
}

impl Noted {
    /// Whether a question of somebody must be noted; it counts as noted then. What moves with every refresh of the page
    /// does not make another question, unless it reaches further back than what was noted: `from` is in Unix nanoseconds.
    pub(crate) fn is_new(&self, actor: &str, query: &str, from: i64, now: Instant) -> bool {
        let moving = |name: &str| matches!(name, "from" | "to" | "cursor" | "limit");
        let pairs = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| !moving(name));
        let question = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.note(&["question", actor, &question], from, now)
    }

    /// Whether it must be noted that there were too many attempts to sign in from an address. Each further one is refused
    /// without a look at its password, so that a stranger could otherwise crowd out all other entries.
    pub(crate) fn is_new_refusal(&self, peer: IpAddr, now: Instant) -> bool {
        self.note(&["refusal", &attempts::network(peer).to_string()], 0, now)
    }

    fn note(&self, parts: &[&str], from: i64, now: Instant) -> bool {
        let mut noted = lock(&self.0);
        let is_recent = |last: &Last| now.saturating_duration_since(last.at) < REPEAT_AFTER;
        // Names and questions have no such character.
        let key = TokenHash::of(&parts.join("\0")).to_string();
        if noted.get(&key).is_some_and(|last| is_recent(last) && last.from <= from) {
            return false;
        }
        if noted.len() >= MAX_REMEMBERED {
            noted.retain(|_, last| is_recent(last));
        }
        if noted.len() < MAX_REMEMBERED || noted.contains_key(&key) {
            noted.insert(key, Last { at: now, from });
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_is_not_noted_again_and_another_question_is() {
        let noted = Noted::default();
        let now = Instant::now();
        assert!(noted.is_new("ada", "from=1&to=2&status=500", 1, now));
        assert!(!noted.is_new("ada", "from=2&to=3&status=500&cursor=x", 2, now));
        assert!(noted.is_new("bob", "from=1&to=2&status=500", 1, now));
        assert!(noted.is_new("ada", "from=1&to=2&status=404", 1, now));
        assert!(noted.is_new("ada", "from=0&to=2&status=500", 0, now), "more than was noted");
        assert!(!noted.is_new("ada", "from=1&to=2&status=500", 1, now));
        assert!(noted.is_new("ada", "status=500", 9, now + REPEAT_AFTER));
    }
}
