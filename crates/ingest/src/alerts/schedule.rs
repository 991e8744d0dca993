//! Times of maintenance: alerts are evaluated and shown, and nothing is sent.

use super::rule::RuleError;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

const DAY_MINUTES: i64 = 24 * 60;
const WEEK_MINUTES: i64 = 7 * DAY_MINUTES;

/// A time of maintenance: once, from `from` to `to`, or each week at `weekly_from` to `weekly_to` on `days`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct MaintenanceConfig {
    /// Start of a single one, RFC 3339, inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its end, exclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Days of a weekly one: `mon`, `tue`, `wed`, `thu`, `fri`, `sat`, `sun`. By default every day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// Start of a weekly one, `HH:MM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekly_from: Option<String>,
    /// Its end, `HH:MM`; on the next day where it is not after the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekly_to: Option<String>,
    /// Time zone of a weekly one by its IANA name, such as `Europe/Berlin`. By default UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// A compiled time of maintenance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Maintenance {
    /// Unix nanoseconds.
    Once { from: i64, to: i64 },
    /// Minutes since Monday 00:00 on the clocks of a zone at which it begins, and its length in minutes on those clocks.
    Weekly { starts: Vec<i64>, length: i64, zone: TimeZone },
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Maintenance {
    /// Checks all and compiles them.
    pub(crate) fn compile_all(all: &[MaintenanceConfig]) -> Result<Vec<Self>, RuleError> {
        let compile = |(place, config)| {
            Self::compile(config).map_err(|error| error.under(&format!("maintenance[{place}]")))
        };
        all.iter().enumerate().map(compile).collect()
    }

    fn compile(config: &MaintenanceConfig) -> Result<Self, RuleError> {
        let MaintenanceConfig { from, to, days, weekly_from, weekly_to, time_zone } = config;
        match (from, to, weekly_from, weekly_to) {
            (Some(from), Some(to), None, None) if days.is_empty() && time_zone.is_none() => {
                let (from, to) = (time("from", from)?, time("to", to)?);
                if from >= to {
                    return Err(RuleError::new("to", "the end must be after the start"));
                }
                Ok(Self::Once { from, to })
            }
            (None, None, Some(from), Some(to)) => {
                let (from, to) = (clock("weekly_from", from)?, clock("weekly_to", to)?);
                let length = if to > from { to - from } else { to - from + DAY_MINUTES };
                let mut starts = Vec::new();
                for (place, day) in DAYS.iter().enumerate() {
                    if days.is_empty() || days.iter().any(|wanted| wanted == day) {
                        starts.push(place as i64 * DAY_MINUTES + from);
                    }
                }
                if let Some((place, unknown)) =
                    days.iter().enumerate().find(|(_, day)| !DAYS.contains(&day.as_str()))
                {
                    let message = format!("{unknown:?} is not a day: expected one of {}", DAYS.join(", "));
                    return Err(RuleError::new(format!("days[{place}]"), message));
                }
                let zone = time_zone.as_deref().map_or(Ok(TimeZone::UTC), zone)?;
                Ok(Self::Weekly { starts, length, zone })
            }
            _ => Err(RuleError::new("", "write `from` and `to`, or `weekly_from` and `weekly_to`")),
        }
    }

    /// Whether it is at this time, in Unix nanoseconds.
    pub(crate) fn holds(&self, at: i64) -> bool {
        match self {
            Self::Once { from, to } => (*from..*to).contains(&at),
            Self::Weekly { starts, length, zone } => {
                let Ok(at) = Timestamp::from_nanosecond(i128::from(at)) else { return false };
                let local = zone.to_datetime(at);
                let day = i64::from(local.weekday().to_monday_zero_offset());
                let minute = day * DAY_MINUTES + i64::from(local.hour()) * 60 + i64::from(local.minute());
                starts.iter().any(|start| (minute - start).rem_euclid(WEEK_MINUTES) < *length)
            }
        }
    }
}

/// Reads RFC 3339, to Unix nanoseconds.
pub(crate) fn time(key: &str, text: &str) -> Result<i64, RuleError> {
    let parsed = text.parse::<Timestamp>().ok().and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    parsed.ok_or_else(|| {
        RuleError::new(key, format!("{text:?} is not a time: write one such as 2026-01-31T12:00:00Z"))
    })
}

fn zone(name: &str) -> Result<TimeZone, RuleError> {
    TimeZone::get(name).map_err(|_| {
        let message = format!("{name:?} is not a time zone: write an IANA name such as Europe/Berlin");
        RuleError::new("time_zone", message)
    })
}

/// Reads `HH:MM`, to minutes.
fn clock(key: &str, text: &str) -> Result<i64, RuleError> {
    let parsed = text.split_once(':').and_then(|(hours, minutes)| {
        let number = |text: &str| (text.len() == 2).then(|| text.parse::<i64>().ok()).flatten();
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(hours * 60 + minutes)
    });
    parsed
        .ok_or_else(|| RuleError::new(key, format!("{text:?} is not a time of day: write one such as 02:30")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(text: &str) -> Result<Maintenance, RuleError> {
        Maintenance::compile(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn maintenance_holds_once_or_each_week() {
        let check = |text: &str, at: &str, expected: bool| {
            let at = time("at", at).unwrap();
            assert_eq!(compiled(text).unwrap().holds(at), expected, "{text} at {at}");
        };
        let once = r#"{"from": "2026-06-20T12:00:00Z", "to": "2026-06-20T13:00:00Z"}"#;
        check(once, "2026-06-20T11:59:59Z", false);
        check(once, "2026-06-20T12:00:00Z", true);
        check(once, "2026-06-20T13:00:00Z", false);
        // 2026-06-20 is a Saturday.
        let night = r#"{"days": ["sat"], "weekly_from": "23:00", "weekly_to": "01:00"}"#;
        check(night, "2026-06-20T22:59:00Z", false);
        check(night, "2026-06-20T23:00:00Z", true);
        check(night, "2026-06-21T00:59:59Z", true);
        check(night, "2026-06-21T01:00:00Z", false);
        check(night, "2026-06-21T23:00:00Z", false);
        let sunday = r#"{"days": ["sun"], "weekly_from": "23:00", "weekly_to": "01:00"}"#;
        check(sunday, "2026-06-22T00:30:00Z", true);
        // Berlin is two hours ahead in June and one in December, and turns its clocks back on 2026-10-25.
        let berlin = r#"{"days": ["sat", "sun"], "weekly_from": "02:00", "weekly_to": "03:00", "time_zone": "Europe/Berlin"}"#;
        check(berlin, "2026-06-20T00:00:00Z", true);
        check(berlin, "2026-06-20T01:00:00Z", false);
        check(berlin, "2026-12-19T00:30:00Z", false);
        check(berlin, "2026-12-19T01:30:00Z", true);
        check(berlin, "2026-10-25T00:30:00Z", true);
        check(berlin, "2026-10-25T01:30:00Z", true);
        check(berlin, "2026-10-25T02:00:00Z", false);
        // Their Saturday begins in the Friday of UTC.
        let tokyo =
            r#"{"days": ["sat"], "weekly_from": "00:00", "weekly_to": "01:00", "time_zone": "Asia/Tokyo"}"#;
        check(tokyo, "2026-06-19T15:30:00Z", true);
        check(tokyo, "2026-06-20T00:30:00Z", false);
        let daily = r#"{"weekly_from": "02:00", "weekly_to": "02:00"}"#;
        check(daily, "2026-06-22T00:30:00Z", true);
    }

    #[test]
    fn wrong_maintenance_is_refused_with_its_key() {
        let check = |text: &str, path: &str, words: &str| {
            let error = compiled(text).unwrap_err();
            assert_eq!(error.path, path, "{text}");
            assert!(error.message.contains(words), "{error}");
        };
        check("{}", "", "write `from` and `to`");
        check(r#"{"from": "2026-06-20T12:00:00Z"}"#, "", "write `from` and `to`");
        check(r#"{"from": "noon", "to": "2026-06-20T12:00:00Z"}"#, "from", "such as 2026-01-31T12:00:00Z");
        check(r#"{"from": "2026-06-20T12:00:00Z", "to": "2026-06-20T12:00:00Z"}"#, "to", "after the start");
        check(r#"{"weekly_from": "24:00", "weekly_to": "01:00"}"#, "weekly_from", "such as 02:30");
        let zone = r#"{"weekly_from": "02:00", "weekly_to": "03:00", "time_zone": "Berlin"}"#;
        check(zone, "time_zone", "such as Europe/Berlin");
        let once = r#"{"from": "2026-06-20T12:00:00Z", "to": "2026-06-21T12:00:00Z", "time_zone": "UTC"}"#;
        check(once, "", "write `from` and `to`");
        check(r#"{"days": ["saturday"], "weekly_from": "02:00", "weekly_to": "03:00"}"#, "days[0]", "sat");
    }
}
