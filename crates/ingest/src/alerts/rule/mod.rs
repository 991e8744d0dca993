//! Rules: as written in the configuration or on the page, and compiled.

mod check;
mod measure;
mod threshold;

pub use check::RuleError;
pub(crate) use check::{check_name, check_text, meant};
pub use measure::Measure;
pub(crate) use measure::{GATEWAY_DIMENSIONS, Source, number};
pub(crate) use threshold::{Side, Threshold};

use super::Severity;
use super::schedule::{Maintenance, MaintenanceConfig};
use crate::query::params::Params;
use crate::query::{Dimension, Filter, filter_names};
use check::within;
use measure::Dimensions;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use threshold::threshold;

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
}
