//! The threshold of a rule, and the way back from it.

use super::measure::{Measure, number};
use super::{RuleConfig, RuleError};
use serde::Serialize;

/// A threshold and the way back from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Threshold {
    pub(crate) side: Side,
    pub(crate) at: f64,
    pub(crate) recover_at: f64,
}

/// The side of the threshold on which a rule fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Side {
    Above,
    Below,
}

impl Side {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
        }
    }
}

impl Threshold {
    /// Whether a value is beyond the threshold.
    pub(crate) fn is_breached(&self, value: f64) -> bool {
        match self.side {
            Side::Above => value > self.at,
            Side::Below => value < self.at,
        }
    }

    /// Whether a value has come back.
    pub(crate) fn is_recovered(&self, value: f64) -> bool {
        match self.side {
            Side::Above => value <= self.recover_at,
            Side::Below => value >= self.recover_at,
        }
    }
}

pub(super) fn threshold(config: &RuleConfig) -> Result<Threshold, RuleError> {
    let (side, at) = match (config.above, config.below) {
        (Some(at), None) => (Side::Above, at),
        (None, Some(at)) => (Side::Below, at),
        (None, None) => {
            return Err(RuleError::new("above", "the threshold is missing: write `above` or `below`"));
        }
        (Some(_), Some(_)) => {
            return Err(RuleError::new(
                "below",
                "a rule has one threshold: write `above` or `below`, or make two rules",
            ));
        }
    };
    let key = side.name();
    if !at.is_finite() {
        return Err(RuleError::new(key, "the threshold must be a finite number"));
    }
    let measure = config.measure;
    if side == Side::Below && !measure.counts_requests() {
        let message = format!(
            "{} cannot be too low: write `above`; `below` is for requests_per_minute and requests_change_percent",
            measure.name()
        );
        return Err(RuleError::new(key, message));
    }
    let percent = matches!(measure, Measure::ErrorPercent | Measure::DiskPercent);
    if percent && !(0.0..100.0).contains(&at) {
        return Err(RuleError::new(
            key,
            format!("{} is not a share: write a percentage from 0 to below 100", number(at)),
        ));
    }
    if measure == Measure::RequestsChangePercent {
        let range = match side {
            Side::Above => 0.0..=1e9,
            Side::Below => -100.0..=0.0,
        };
        if !range.contains(&at) {
            let message = match side {
                Side::Above => "a growth is a positive percentage: 100 for twice the requests of last week",
                Side::Below => {
                    "a fall is a percentage from -100 to 0: -50 for half the requests of last week"
                }
            };
            return Err(RuleError::new(key, message));
        }
    } else if at < 0.0 {
        return Err(RuleError::new(key, format!("{} cannot be negative", measure.name())));
    }
    let tenth = at.abs() / 10.0;
    let recover_at = match (config.recover_at, side) {
        (None, Side::Above) => at - tenth,
        (None, Side::Below) => at + tenth,
        (Some(recover), Side::Above) if recover <= at => recover,
        (Some(recover), Side::Below) if recover >= at => recover,
        (Some(recover), _) => {
            let which = if side == Side::Above { "at most" } else { "at least" };
            let message = format!("{} must be {which} the threshold, {}", number(recover), number(at));
            return Err(RuleError::new("recover_at", message));
        }
    };
    Ok(Threshold { side, at, recover_at })
}
