//! The life of an alert: a pure function of its state, a reading and a time.
//!
//! ```text
//! Inactive ──beyond──▶ Pending ──sustained──▶ Firing ◀──beyond, between──▶ Recovering ──back for long──▶ Inactive
//!    ▲                    │                                                                            (resolved)
//!    └──── not beyond ────┘
//! ```

use super::rule::{Missing, Threshold};
use serde::{Deserialize, Serialize};

/// Where an alert is in its life. Times are Unix nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub(crate) enum State {
    /// Nothing is wrong.
    #[default]
    Inactive,
    /// Beyond the threshold, not yet for long enough.
    Pending { since: i64 },
    /// Beyond the threshold since `since`, and firing since `fired_at`.
    Firing { since: i64, fired_at: i64 },
    /// Back since `back_at`, not yet for long enough.
    Recovering { since: i64, fired_at: i64, back_at: i64 },
}

/// What one evaluation of an alert found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Beyond the threshold.
    Beyond,
    /// Neither beyond the threshold nor back.
    Between,
    /// Back.
    Back,
    /// It cannot be known, as after a time in which the service did not run: nothing follows from it.
    Unknown,
}

impl Reading {
    /// The reading of a value, or of none.
    pub(crate) fn of(value: Option<f64>, threshold: &Threshold, missing: Missing) -> Self {
        match (value, missing) {
            (Some(value), _) if threshold.is_breached(value) => Self::Beyond,
            (Some(value), _) if threshold.is_recovered(value) => Self::Back,
            (Some(_), _) => Self::Between,
            (None, Missing::Resolve) => Self::Back,
            (None, Missing::Keep) => Self::Unknown,
            (None, Missing::Fire) => Self::Beyond,
        }
    }
}

/// How long a reading must last, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waits {
    pub(crate) sustain: i64,
    pub(crate) recover: i64,
}

impl State {
    /// The state after a reading at this time.
    pub(crate) fn after(self, reading: Reading, at: i64, waits: Waits) -> Self {
        match (self, reading) {
            (state, Reading::Unknown) => state,
            (Self::Inactive, Reading::Beyond) => Self::Pending { since: at }.ripened(at, waits),
            (Self::Inactive, Reading::Between | Reading::Back) => Self::Inactive,
            (Self::Pending { .. }, Reading::Between | Reading::Back) => Self::Inactive,
            (pending @ Self::Pending { .. }, Reading::Beyond) => pending.ripened(at, waits),
            (firing @ Self::Firing { .. }, Reading::Beyond | Reading::Between) => firing,
            (Self::Firing { since, fired_at }, Reading::Back) => {
                Self::Recovering { since, fired_at, back_at: at }.ripened(at, waits)
            }
            (Self::Recovering { since, fired_at, .. }, Reading::Beyond | Reading::Between) => {
                Self::Firing { since, fired_at }
            }
            (recovering @ Self::Recovering { .. }, Reading::Back) => recovering.ripened(at, waits),
        }
    }

    /// Since when it fires, in Unix nanoseconds. An alert that recovers still fires.
    pub(crate) fn fired_at(self) -> Option<i64> {
        match self {
            Self::Firing { fired_at, .. } | Self::Recovering { fired_at, .. } => Some(fired_at),
            Self::Inactive | Self::Pending { .. } => None,
        }
    }

    /// Since when the value was beyond the threshold, in Unix nanoseconds.
    pub(crate) fn since(self) -> Option<i64> {
        match self {
            Self::Inactive => None,
            Self::Pending { since } | Self::Firing { since, .. } | Self::Recovering { since, .. } => {
                Some(since)
            }
        }
    }

    /// The name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending { .. } => "pending",
            Self::Firing { .. } => "firing",
            Self::Recovering { .. } => "recovering",
        }
    }

    /// The next state, when this one has lasted for long enough.
    fn ripened(self, at: i64, waits: Waits) -> Self {
        match self {
            Self::Pending { since } if at.saturating_sub(since) >= waits.sustain => {
                Self::Firing { since, fired_at: at }
            }
            Self::Recovering { back_at, .. } if at.saturating_sub(back_at) >= waits.recover => Self::Inactive,
            other => other,
        }
    }
}

/// What receivers are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// It fires.
    Firing,
    /// It still fires.
    Repeat,
    /// It does not fire any more.
    Resolved,
    /// A person asked for a message.
    Test,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Repeat => "repeat",
            Self::Resolved => "resolved",
            Self::Test => "test",
        }
    }
}

/// Whether messages may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sound {
    On,
    /// Muted, or in maintenance.
    Off,
}

/// What to send for a state, where receivers were last told at `announced` (Unix nanoseconds). What is muted is sent when
/// the mute ends, if it still fires; an end is always sent to those who know of the beginning.
pub(crate) fn news(state: State, announced: Option<i64>, at: i64, repeat: i64, sound: Sound) -> Option<Kind> {
    match (state.fired_at(), announced, sound) {
        (None, Some(_), _) => Some(Kind::Resolved),
        (None, None, _) | (Some(_), _, Sound::Off) => None,
        (Some(_), None, Sound::On) => Some(Kind::Firing),
        (Some(_), Some(last), Sound::On) => {
            (repeat > 0 && at.saturating_sub(last) >= repeat).then_some(Kind::Repeat)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::rule::Side;
    use proptest::prelude::*;

    const WAITS: Waits = Waits { sustain: 3, recover: 2 };

    /// The states after each reading: `!` beyond, `-` between, `.` back, `?` unknown.
    fn states(readings: &str, waits: Waits) -> String {
        let mut state = State::Inactive;
        let mut name = |(at, reading): (usize, char)| {
            let reading = match reading {
                '!' => Reading::Beyond,
                '-' => Reading::Between,
                '.' => Reading::Back,
                _ => Reading::Unknown,
            };
            state = state.after(reading, at as i64, waits);
            state.name().chars().next().unwrap().to_ascii_uppercase()
        };
        readings.chars().enumerate().map(&mut name).collect()
    }

    #[test]
    fn an_alert_fires_when_sustained_and_is_resolved_when_back_for_long() {
        let check =
            |readings: &str, expected: &str| assert_eq!(states(readings, WAITS), expected, "{readings}");
        check("!!!!!", "PPPFF");
        check("!!!.!!!!", "PPPIPPPF");
        check("!!!-", "PPPI");
        check("!!!!-.-..!...", "PPPFFRFRRFRRI");
        check("!??!!", "PPPFF");
        check("!!!!????..", "PPPFFFFFRR");
        let at_once = Waits { sustain: 0, recover: 0 };
        assert_eq!(states("!-.!.", at_once), "FFIFI");
    }

    #[test]
    fn values_are_read_by_the_threshold_and_missing_ones_by_the_rule() {
        let above = Threshold { side: Side::Above, at: 200.0, recover_at: 180.0 };
        let below = Threshold { side: Side::Below, at: 10.0, recover_at: 11.0 };
        let check = |value, threshold: &Threshold, expected| {
            assert_eq!(Reading::of(value, threshold, Missing::Resolve), expected, "{value:?}");
        };
        check(Some(200.1), &above, Reading::Beyond);
        check(Some(200.0), &above, Reading::Between);
        check(Some(180.0), &above, Reading::Back);
        check(Some(9.0), &below, Reading::Beyond);
        check(Some(10.0), &below, Reading::Between);
        check(Some(11.0), &below, Reading::Back);
        check(None, &above, Reading::Back);
        assert_eq!(Reading::of(None, &above, Missing::Keep), Reading::Unknown);
        assert_eq!(Reading::of(None, &above, Missing::Fire), Reading::Beyond);
    }

    #[test]
    fn what_was_announced_is_resolved_even_when_muted_and_the_rest_waits() {
        let firing = State::Firing { since: 1, fired_at: 2 };
        let check = |state, announced, at, sound, expected| {
            assert_eq!(news(state, announced, at, 10, sound), expected, "{state:?} {announced:?} {at}");
        };
        check(firing, None, 2, Sound::On, Some(Kind::Firing));
        check(firing, None, 2, Sound::Off, None);
        check(firing, Some(2), 11, Sound::On, None);
        check(firing, Some(2), 12, Sound::On, Some(Kind::Repeat));
        check(firing, Some(2), 12, Sound::Off, None);
        check(State::Inactive, Some(2), 12, Sound::Off, Some(Kind::Resolved));
        check(State::Inactive, None, 12, Sound::On, None);
        check(State::Pending { since: 1 }, None, 12, Sound::On, None);
        assert_eq!(news(firing, Some(2), 9_999, 0, Sound::On), None);
    }

    proptest! {
        /// Between two messages that an alert fires, there is one that it does not: no receiver gets a beginning twice.
        #[test]
        fn messages_alternate(readings in prop::collection::vec(0u8..4, 1..200), sustain in 0i64..5, recover in 0i64..5) {
            let (mut state, mut announced, mut open) = (State::Inactive, None, false);
            for (at, reading) in readings.into_iter().enumerate() {
                let at = at as i64;
                let reading = [Reading::Beyond, Reading::Between, Reading::Back, Reading::Unknown][usize::from(reading)];
                state = state.after(reading, at, Waits { sustain, recover });
                match news(state, announced, at, 0, Sound::On) {
                    Some(Kind::Firing) => {
                        prop_assert!(!open);
                        (announced, open) = (Some(at), true);
                    }
                    Some(Kind::Resolved) => {
                        prop_assert!(open);
                        (announced, open) = (None, false);
                    }
                    other => prop_assert_eq!(other, None),
                }
                prop_assert_eq!(open, state.fired_at().is_some());
            }
        }
    }
}
