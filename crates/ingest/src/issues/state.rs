//! The states of an issue.
//!
//! ```text
//!         first seen             a day later, or a person
//!            │                           │
//!            ▼                           ▼
//!           new ──────────────────▶ ongoing ◀── reopened by a person
//!            │                        │   ▲
//!            ├─────── a person ───────┤   └── acknowledged by a person ── regressed
//!            ▼                        ▼                                       ▲
//!        ignored                   resolved ──── seen again afterwards ───────┘
//! ```
//!
//! A person may resolve, ignore or reopen an issue in any state. An ignored one stays ignored.

/// What the store keeps of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Open,
    Resolved,
    Ignored,
}

/// The state of an issue as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    /// First seen within the last day, and nobody has acknowledged it.
    New,
    /// Seen for longer, or acknowledged.
    Ongoing,
    /// Seen again after it was resolved.
    Regressed,
    Resolved,
    Ignored,
}

/// Nanoseconds for which an issue is new.
const NEW: i64 = 24 * 3600 * 1_000_000_000;

impl Standing {
    pub(crate) const ALL: [Self; 3] = [Self::Open, Self::Resolved, Self::Ignored];

    /// The name in the store.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Ignored => "ignored",
        }
    }

    /// The standing with a name of the store; another name is that of an open issue.
    pub(crate) fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|standing| standing.name() == name).unwrap_or(Self::Open)
    }
}

impl State {
    pub(crate) const ALL: [Self; 5] =
        [Self::New, Self::Ongoing, Self::Regressed, Self::Resolved, Self::Ignored];

    /// The name in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Ongoing => "ongoing",
            Self::Regressed => "regressed",
            Self::Resolved => "resolved",
            Self::Ignored => "ignored",
        }
    }

    /// The state at `now`, as `first_seen` in Unix nanoseconds.
    pub(crate) fn of(
        standing: Standing,
        regressed_at: Option<i64>,
        acknowledged: bool,
        (first_seen, now): (i64, i64),
    ) -> Self {
        match standing {
            Standing::Ignored => Self::Ignored,
            Standing::Resolved => Self::Resolved,
            Standing::Open if acknowledged => Self::Ongoing,
            Standing::Open if regressed_at.is_some() => Self::Regressed,
            Standing::Open if now.saturating_sub(first_seen) < NEW => Self::New,
            Standing::Open => Self::Ongoing,
        }
    }
}
