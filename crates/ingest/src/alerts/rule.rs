//! Rules: as written in the configuration or on the page, and compiled.

use super::Severity;
use super::schedule::{Maintenance, MaintenanceConfig};
use crate::query::params::Params;
use crate::query::{Dimension, Filter, filter_names};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Bounds of a rule. Minutes are whole, because counts are kept by minute.
mod bounds {
    use std::ops::RangeInclusive;
    pub(super) const NAME_BYTES: usize = 64;
    pub(super) const TEXT_BYTES: usize = 1000;
    pub(super) const WINDOW: RangeInclusive<u32> = 1..=1440;
    pub(super) const SUSTAIN: RangeInclusive<u32> = 0..=1440;
    pub(super) const REPEAT: RangeInclusive<u32> = 0..=10_080;
    pub(super) const INSTANCES: RangeInclusive<u32> = 1..=1000;
    pub(super) const EACH: usize = 3;
    pub(super) const MAINTENANCE: usize = 50;
}

/// A rule as it is written. A key that is left out has the default of [`RuleConfig::default`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// Name of the rule, unique: 1 to 64 letters, digits, `-`, `_` or `.`. It is in the address of the rule, and receivers
    /// recognise an alert by it. A rule with the name of a built-in rule takes its place.
    pub name: String,
    /// Text for the people who are called, such as what to look at first. At most 1000 bytes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Whether the rule is evaluated.
    pub enabled: bool,
    /// The measured value.
    pub measure: Measure,
    /// Threshold: the rule fires for values above it. A rule has either `above` or `below`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// Threshold: the rule fires for values below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// Value that a firing alert has to come back to: at most this for `above`, at least this for `below`. By default a
    /// tenth of the threshold on the good side of it, so that a value about the threshold does not flap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recover_at: Option<f64>,
    /// Minutes that are measured together, up to the time of the evaluation.
    pub window_minutes: u32,
    /// Minutes for which each evaluation must be beyond the threshold before the alert fires; 0 for the first one.
    pub sustain_minutes: u32,
    /// Minutes for which each evaluation must be back before the alert is resolved; 0 for the first one.
    pub recover_minutes: u32,
    /// Requests that a window must have for its rate or percentile to mean something. For `requests_change_percent`, the
    /// requests that the window of last week must have.
    pub min_requests: u64,
    /// Errors that a window must have before `error_percent` counts as beyond its threshold.
    pub min_errors: u64,
    /// The traffic that is measured, by the names and the grammar of the read API's filters: values separated by commas,
    /// `!` excludes. Empty for all inbound traffic.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scope: BTreeMap<String, String>,
    /// Dimensions of which each value is measured by itself and has an alert of its own, at most 3.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<String>,
    /// Values of `each` that are measured: those with the most requests, and those with an alert.
    pub max_instances: u32,
    /// The meaning of a window that has no value, such as one with too few requests.
    pub missing: Missing,
    /// Minutes after which a firing alert is sent again; 0 for never.
    pub repeat_minutes: u32,
    /// How bad it is.
    pub severity: Severity,
    /// Names of the receivers. By default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receivers: Option<Vec<String>>,
    /// Times at which nothing is sent, in addition to those of all rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<MaintenanceConfig>,
}

impl Default for RuleConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            enabled: true,
            measure: Measure::P95Ms,
            above: None,
            below: None,
            recover_at: None,
            // With a window that is no longer than the wait, one bad minute does not fire.
            window_minutes: 5,
            sustain_minutes: 5,
            recover_minutes: 10,
            min_requests: 100,
            min_errors: 10,
            scope: BTreeMap::new(),
            each: Vec::new(),
            max_instances: 100,
            missing: Missing::Resolve,
            repeat_minutes: 240,
            severity: Severity::Warning,
            receivers: None,
            maintenance: Vec::new(),
        }
    }
}

/// The measured value of a rule. Its name ends with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Share of requests that are errors, in percent.
    ErrorPercent,
    /// Median of the duration, in milliseconds.
    P50Ms,
    /// 95th percentile of the duration, in milliseconds.
    P95Ms,
    /// 99th percentile of the duration, in milliseconds.
    P99Ms,
    /// 95th percentile of the upstream's share of the duration, in milliseconds.
    UpstreamP95Ms,
    /// Requests in a minute, on average over the window.
    RequestsPerMinute,
    /// Change of the number of requests from the same time last week, in percent: -100 without any.
    RequestsChangePercent,
    /// Time since a gateway reported, in seconds. A gateway that was silent for a day is no longer missed.
    GatewaySilenceSeconds,
    /// Log records that gateways dropped in the window, and export requests that did not arrive.
    DroppedRecords,
    /// Share of the disk of the data directory that is used, in percent.
    DiskPercent,
}

/// The meaning of a window without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// As a value that has come back: quiet at low traffic.
    Resolve,
    /// The alert stays as it is.
    Keep,
    /// As a value beyond the threshold.
    Fire,
}

/// What a measure is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Counts by minute, of which there is a history.
    Counts,
    /// The present state of each gateway.
    Gateways,
    /// The present state of the disk.
    Disk,
}

impl Measure {
    /// All, by their names.
    pub(crate) const ALL: [(&str, Self); 10] = [
        ("error_percent", Self::ErrorPercent),
        ("p50_ms", Self::P50Ms),
        ("p95_ms", Self::P95Ms),
        ("p99_ms", Self::P99Ms),
        ("upstream_p95_ms", Self::UpstreamP95Ms),
        ("requests_per_minute", Self::RequestsPerMinute),
        ("requests_change_percent", Self::RequestsChangePercent),
        ("gateway_silence_seconds", Self::GatewaySilenceSeconds),
        ("dropped_records", Self::DroppedRecords),
        ("disk_percent", Self::DiskPercent),
    ];

    /// The name.
    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, measure)| *measure == self).map_or("", |(name, _)| name)
    }

    /// Where its values come from.
    pub(crate) fn source(self) -> Source {
        match self {
            Self::GatewaySilenceSeconds | Self::DroppedRecords => Source::Gateways,
            Self::DiskPercent => Source::Disk,
            _ => Source::Counts,
        }
    }

    /// Whether a window without requests has a value all the same.
    pub(crate) fn counts_requests(self) -> bool {
        matches!(self, Self::RequestsPerMinute | Self::RequestsChangePercent)
    }

    /// The words of a message for a value.
    pub(crate) fn words(self, value: f64) -> String {
        let number = number(value);
        match self {
            Self::ErrorPercent => format!("{number} % errors"),
            Self::P50Ms => format!("p50 {number} ms"),
            Self::P95Ms => format!("p95 {number} ms"),
            Self::P99Ms => format!("p99 {number} ms"),
            Self::UpstreamP95Ms => format!("upstream p95 {number} ms"),
            Self::RequestsPerMinute => format!("{number} requests/min"),
            Self::RequestsChangePercent => format!("{number} % requests against last week"),
            Self::GatewaySilenceSeconds => format!("silent for {number} s"),
            Self::DroppedRecords => format!("{number} records dropped"),
            Self::DiskPercent => format!("disk {number} % full"),
        }
    }

    /// The unit behind a number.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::ErrorPercent | Self::RequestsChangePercent | Self::DiskPercent => "%",
            Self::P50Ms | Self::P95Ms | Self::P99Ms | Self::UpstreamP95Ms => "ms",
            Self::RequestsPerMinute => "requests/min",
            Self::GatewaySilenceSeconds => "s",
            Self::DroppedRecords => "records",
        }
    }

    /// The dimensions that its scope and `each` may name.
    fn dimensions(self) -> Dimensions {
        match self.source() {
            Source::Counts => Dimensions::OfRequests,
            Source::Gateways => Dimensions::OfGateways,
            Source::Disk => Dimensions::None,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Dimensions {
    OfRequests,
    OfGateways,
    None,
}

/// The dimensions of a gateway.
pub(crate) const GATEWAY_DIMENSIONS: [&str; 3] = ["service", "environment", "gateway"];

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

/// A compiled rule: using it cannot fail.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) config: RuleConfig,
    pub(crate) threshold: Threshold,
    /// Of requests; of a measure of counts.
    pub(crate) filter: Filter,
    /// Of a measure of counts.
    pub(crate) each: Vec<Dimension>,
    pub(crate) maintenance: Vec<Maintenance>,
}

/// A defect of a rule, a receiver or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct RuleError {
    /// The key, such as `rules[2].window_minutes`.
    pub path: String,
    /// What is wrong and what was meant.
    pub message: String,
}

impl RuleError {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// The same defect, seen from further up.
    pub(crate) fn under(self, parent: &str) -> Self {
        let path = if self.path.is_empty() { parent.to_owned() } else { format!("{parent}.{}", self.path) };
        Self { path, ..self }
    }
}

impl Rule {
    /// Checks a rule and compiles it.
    ///
    /// # Errors
    /// The first defect, with its key and what was meant.
    pub(crate) fn compile(config: RuleConfig) -> Result<Self, RuleError> {
        check_name("name", &config.name)?;
        check_text("description", &config.description)?;
        within("window_minutes", config.window_minutes, bounds::WINDOW)?;
        within("sustain_minutes", config.sustain_minutes, bounds::SUSTAIN)?;
        within("recover_minutes", config.recover_minutes, bounds::SUSTAIN)?;
        within("repeat_minutes", config.repeat_minutes, bounds::REPEAT)?;
        within("max_instances", config.max_instances, bounds::INSTANCES)?;
        let threshold = threshold(&config)?;
        let dimensions = config.measure.dimensions();
        let filter = filter(&config, &dimensions)?;
        let each = each(&config, &dimensions)?;
        if config.maintenance.len() > bounds::MAINTENANCE {
            return Err(RuleError::new(
                "maintenance",
                format!("there are more than {} times of maintenance", bounds::MAINTENANCE),
            ));
        }
        let maintenance = Maintenance::compile_all(&config.maintenance)?;
        Ok(Self { config, threshold, filter, each, maintenance })
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    /// Identifies the question of the rule: alerts of another question are not those of this one.
    pub(crate) fn definition(&self) -> String {
        let RuleConfig { measure, scope, each, .. } = &self.config;
        let side = self.threshold.side.name();
        serde_json::json!([measure, scope, each, side]).to_string()
    }
}

/// The rules that every installation begins with. They are quiet at low traffic.
pub(crate) fn built_in() -> Vec<RuleConfig> {
    let each = || vec!["service".to_owned(), "environment".to_owned()];
    vec![
        RuleConfig {
            name: "errors".to_owned(),
            description: "More than 1 % of the requests to a service are errors.".to_owned(),
            measure: Measure::ErrorPercent,
            above: Some(1.0),
            each: each(),
            ..RuleConfig::default()
        },
        RuleConfig {
            name: "latency".to_owned(),
            description: "The slowest 5 % of the requests to a service take longer than 200 ms.".to_owned(),
            measure: Measure::P95Ms,
            above: Some(200.0),
            each: each(),
            ..RuleConfig::default()
        },
        RuleConfig {
            name: "gateway-lost".to_owned(),
            description: "A gateway does not report any more: it may be down, or may not reach the ingest."
                .to_owned(),
            measure: Measure::GatewaySilenceSeconds,
            above: Some(300.0),
            sustain_minutes: 0,
            recover_minutes: 0,
            each: GATEWAY_DIMENSIONS.map(str::to_owned).to_vec(),
            severity: Severity::Critical,
            ..RuleConfig::default()
        },
    ]
}

/// A name: letters, digits, `-`, `_` or `.`.
pub(crate) fn check_name(key: &str, name: &str) -> Result<(), RuleError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_name = (1..=bounds::NAME_BYTES).contains(&name.len())
        && name.bytes().all(fits)
        && !name.bytes().all(|byte| byte == b'.');
    if is_name {
        return Ok(());
    }
    let message = match name.is_empty() {
        true => "a name is missing".to_owned(),
        false => format!(
            "{name:?} is not a name: write 1 to {} letters, digits, `-`, `_` or `.`",
            bounds::NAME_BYTES
        ),
    };
    Err(RuleError::new(key, message))
}

pub(crate) fn check_text(key: &str, text: &str) -> Result<(), RuleError> {
    if text.len() <= bounds::TEXT_BYTES {
        return Ok(());
    }
    Err(RuleError::new(key, format!("the text is longer than {} bytes", bounds::TEXT_BYTES)))
}

/// The known name that is nearest to an unknown one.
pub(crate) fn meant<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let comparable = if unknown.len() <= 64 { &known[..] } else { &[] };
    let nearest = comparable.iter().map(|name| (strsim::levenshtein(unknown, name), name)).min();
    match nearest {
        Some((near, name)) if near <= 2 => format!("did you mean `{name}`?"),
        _ if known.is_empty() => "there are none".to_owned(),
        _ => format!("expected one of {}", known.join(", ")),
    }
}

/// A number as people read it: two decimals at most, and more for small ones.
pub(crate) fn number(value: f64) -> String {
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 1.0 {
        2
    } else {
        4
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn within(key: &str, value: u32, range: RangeInclusive<u32>) -> Result<(), RuleError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = (range.start(), range.end());
    Err(RuleError::new(
        key,
        format!("{value} is not in {least}..={most}: write a number of minutes within it"),
    )
    .for_count(key))
}

impl RuleError {
    /// `max_instances` is not in minutes.
    fn for_count(mut self, key: &str) -> Self {
        if key == "max_instances" {
            self.message = self.message.replace("a number of minutes within it", "a number within it");
        }
        self
    }
}

fn threshold(config: &RuleConfig) -> Result<Threshold, RuleError> {
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

fn filter(config: &RuleConfig, dimensions: &Dimensions) -> Result<Filter, RuleError> {
    let names = match dimensions {
        Dimensions::OfRequests => filter_names().collect(),
        Dimensions::OfGateways => GATEWAY_DIMENSIONS.to_vec(),
        Dimensions::None => Vec::new(),
    };
    if let Some(unknown) = config.scope.keys().find(|name| !names.contains(&name.as_str())) {
        let measure = config.measure.name();
        let meant = meant(unknown, names.iter().copied());
        return Err(RuleError::new(
            format!("scope.{unknown}"),
            format!("{measure} has no dimension {unknown:?}: {meant}"),
        ));
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(&config.scope);
    let known: Vec<&str> = filter_names().collect();
    let params = Params::parse(Some(&query.finish()), &known);
    params.and_then(|params| Filter::read(&params)).map_err(|error| {
        let key = match &error {
            crate::error::QueryError::Parameter { field, .. } => format!("scope.{field}"),
            _ => "scope".to_owned(),
        };
        RuleError::new(key, error.to_string())
    })
}

fn each(config: &RuleConfig, dimensions: &Dimensions) -> Result<Vec<Dimension>, RuleError> {
    let names: Vec<&str> = match dimensions {
        Dimensions::OfRequests => Dimension::ALL.iter().map(|(name, _)| *name).collect(),
        Dimensions::OfGateways => GATEWAY_DIMENSIONS.to_vec(),
        Dimensions::None => Vec::new(),
    };
    if config.each.len() > bounds::EACH {
        return Err(RuleError::new("each", format!("there are more than {} dimensions", bounds::EACH)));
    }
    for (place, name) in config.each.iter().enumerate() {
        let key = format!("each[{place}]");
        if !names.contains(&name.as_str()) {
            let measure = config.measure.name();
            let meant = meant(name, names.iter().copied());
            return Err(RuleError::new(key, format!("{measure} has no dimension {name:?}: {meant}")));
        }
        if config.each.iter().take(place).any(|other| other == name) {
            return Err(RuleError::new(key, format!("{name} is there twice")));
        }
    }
    if *dimensions != Dimensions::OfRequests {
        return Ok(Vec::new());
    }
    Ok(config.each.iter().filter_map(|name| Dimension::parse(name).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(change: impl FnOnce(&mut RuleConfig)) -> Result<Rule, RuleError> {
        let mut config = RuleConfig { name: "r".to_owned(), above: Some(200.0), ..RuleConfig::default() };
        change(&mut config);
        Rule::compile(config)
    }

    #[test]
    fn a_wrong_rule_is_refused_with_its_key_and_what_was_meant() {
        let check = |change: fn(&mut RuleConfig), path: &str, words: &str| {
            let error = rule(change).unwrap_err();
            assert_eq!(error.path, path, "{error}");
            assert!(error.message.contains(words), "{error} should contain {words:?}");
        };
        check(|rule| rule.name = String::new(), "name", "a name is missing");
        check(|rule| rule.name = "a b".to_owned(), "name", "letters, digits");
        check(|rule| rule.name = "..".to_owned(), "name", "letters, digits");
        check(|rule| rule.above = None, "above", "write `above` or `below`");
        check(|rule| rule.below = Some(1.0), "below", "one threshold");
        check(|rule| rule.above = Some(f64::NAN), "above", "finite");
        check(|rule| rule.above = Some(-1.0), "above", "cannot be negative");
        check(|rule| (rule.above, rule.below) = (None, Some(5.0)), "below", "p95_ms cannot be too low");
        check(
            |rule| (rule.measure, rule.above) = (Measure::ErrorPercent, Some(150.0)),
            "above",
            "percentage from 0 to below 100",
        );
        check(|rule| rule.recover_at = Some(201.0), "recover_at", "201 must be at most the threshold, 200");
        check(|rule| rule.window_minutes = 0, "window_minutes", "0 is not in 1..=1440");
        check(|rule| rule.max_instances = 9999, "max_instances", "a number within it");
        check(
            |rule| {
                rule.scope.insert("rout".to_owned(), "/a".to_owned());
            },
            "scope.rout",
            "did you mean `route`?",
        );
        check(
            |rule| {
                rule.scope.insert("status".to_owned(), "5x".to_owned());
            },
            "scope.status",
            "status must be a code",
        );
        check(|rule| rule.each = vec!["colour".to_owned()], "each[0]", "expected one of consumer");
        check(
            |rule| rule.each = vec!["route".to_owned(), "route".to_owned()],
            "each[1]",
            "route is there twice",
        );
        check(
            |rule| (rule.measure, rule.each) = (Measure::DiskPercent, vec!["route".to_owned()]),
            "above",
            "percentage",
        );
        check(
            |rule| {
                (rule.measure, rule.above, rule.below) = (Measure::RequestsChangePercent, None, Some(50.0));
            },
            "below",
            "-50 for half",
        );
    }

    #[test]
    fn the_way_back_is_a_tenth_from_the_threshold_unless_it_is_given() {
        let check = |change: fn(&mut RuleConfig), expected: f64| {
            assert_eq!(rule(change).unwrap().threshold.recover_at, expected);
        };
        check(|_| (), 180.0);
        check(|rule| rule.recover_at = Some(100.0), 100.0);
        check(
            |rule| {
                (rule.measure, rule.above, rule.below) = (Measure::RequestsPerMinute, None, Some(10.0));
            },
            11.0,
        );
        check(
            |rule| {
                (rule.measure, rule.above, rule.below) = (Measure::RequestsChangePercent, None, Some(-50.0));
            },
            -45.0,
        );
    }

    #[test]
    fn the_built_in_rules_are_rules_and_survive_a_round_through_json() {
        for config in built_in() {
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(serde_json::from_str::<RuleConfig>(&text).unwrap(), config);
            Rule::compile(config).unwrap();
        }
    }

    #[test]
    fn every_measure_has_the_name_that_json_has() {
        for (name, measure) in Measure::ALL {
            assert_eq!(serde_json::to_value(measure).unwrap(), name);
        }
    }

    #[test]
    fn numbers_are_short() {
        let check = |value: f64, expected: &str| assert_eq!(number(value), expected);
        check(200.0, "200");
        check(1234.56, "1235");
        check(3.4567, "3.46");
        check(10.0, "10");
        check(0.01234, "0.0123");
        check(0.0, "0");
        check(-50.0, "-50");
    }
}
