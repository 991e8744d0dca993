//! The section `alerts` of the configuration file, as written and as compiled.

use super::engine::{KnownRule, Origin};
use super::receivers::{Receiver, ReceiverConfig};
use super::rule::{Rule, RuleConfig, RuleError, built_in, meant};
use super::schedule::{Maintenance, MaintenanceConfig};
use serde::Deserialize;
use std::collections::HashSet;

/// Rules there may be, of the file and of the page together.
pub(crate) const MAX_RULES: usize = 200;
/// Likewise receivers.
pub(crate) const MAX_RECEIVERS: usize = 50;
const LAG_SECONDS: std::ops::RangeInclusive<u32> = 0..=600;

/// The section `alerts` of the configuration file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AlertsConfig {
    /// Whether the built-in rules are there: `errors`, `latency` and `gateway-lost`.
    pub built_in_rules: bool,
    /// Address of the page as people reach it, such as `https://gatelens.example`, for the links in messages.
    pub page_url: Option<String>,
    /// Seconds that gateways may take to report: an evaluation is about the minutes up to then. 0 to 600.
    pub lag_seconds: u32,
    /// The rules.
    pub rules: Vec<RuleConfig>,
    /// The receivers.
    pub receivers: Vec<ReceiverConfig>,
    /// Times at which nothing is sent about any rule.
    pub maintenance: Vec<MaintenanceConfig>,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            built_in_rules: true,
            page_url: None,
            lag_seconds: 60,
            rules: Vec::new(),
            receivers: Vec::new(),
            maintenance: Vec::new(),
        }
    }
}

impl AlertsConfig {
    /// Checks everything except files.
    ///
    /// # Errors
    /// The first defect, with its key and what was meant.
    pub fn check(&self) -> Result<(), RuleError> {
        Settings::compile(self).map(drop)
    }
}

/// The compiled section.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) built_in_rules: bool,
    /// Without a slash at the end; empty where it is not known.
    pub(crate) page_url: String,
    pub(crate) lag_seconds: u32,
    /// Those of the file, which all compile.
    pub(crate) rules: Vec<RuleConfig>,
    pub(crate) receivers: Vec<Receiver>,
    pub(crate) maintenance: Vec<Maintenance>,
}

impl Settings {
    pub(crate) fn compile(config: &AlertsConfig) -> Result<Self, RuleError> {
        let page_url = config.page_url.as_deref().unwrap_or_default().trim_end_matches('/');
        if !page_url.is_empty() && !["http://", "https://"].iter().any(|scheme| page_url.starts_with(scheme))
        {
            return Err(RuleError::new("page_url", "the address must begin with http:// or https://"));
        }
        if !LAG_SECONDS.contains(&config.lag_seconds) {
            return Err(RuleError::new("lag_seconds", format!("{} is not in 0..=600", config.lag_seconds)));
        }
        bounded("rules", config.rules.len(), MAX_RULES)?;
        bounded("receivers", config.receivers.len(), MAX_RECEIVERS)?;
        let mut receivers: Vec<Receiver> = Vec::new();
        for (place, written) in config.receivers.iter().enumerate() {
            let at = format!("receivers[{place}]");
            let receiver = Receiver::compile(written, Origin::File).map_err(|error| error.under(&at))?;
            if receivers.iter().any(|other| other.name == receiver.name) {
                return Err(RuleError::new(
                    format!("{at}.name"),
                    format!("{} is there twice", receiver.name),
                ));
            }
            receivers.push(receiver);
        }
        let mut names = HashSet::new();
        for (place, written) in config.rules.iter().enumerate() {
            let at = format!("rules[{place}]");
            let rule = Rule::compile(written.clone()).map_err(|error| error.under(&at))?;
            if !names.insert(rule.name().to_owned()) {
                return Err(RuleError::new(format!("{at}.name"), format!("{} is there twice", rule.name())));
            }
            // A receiver that is made on the page is not known here.
            known_receivers(written, receivers.iter().map(|receiver| receiver.name.as_str()))
                .map_err(|error| error.under(&at))?;
        }
        Ok(Self {
            built_in_rules: config.built_in_rules,
            page_url: page_url.to_owned(),
            lag_seconds: config.lag_seconds,
            rules: config.rules.clone(),
            receivers,
            maintenance: Maintenance::compile_all(&config.maintenance)?,
        })
    }

    /// All rules: those of the file, those of the page whose names are not in the file, and the built-in ones that neither
    /// replaces.
    pub(crate) fn with(&self, page: Vec<RuleConfig>, mutes: &[(String, i64)]) -> Vec<KnownRule> {
        let mut names = HashSet::new();
        let built_in = if self.built_in_rules { built_in() } else { Vec::new() };
        let file = self.rules.iter().cloned().map(|config| (config, Origin::File));
        let page = page.into_iter().map(|config| (config, Origin::Page));
        let built_in = built_in.into_iter().map(|config| (config, Origin::BuiltIn));
        let mut known = Vec::new();
        for (config, origin) in file.chain(page).chain(built_in) {
            if !names.insert(config.name.clone()) {
                continue;
            }
            let muted_until = mutes.iter().find(|(rule, _)| *rule == config.name).map(|(_, until)| *until);
            // All were checked before they were kept; an older version may have kept what this one refuses.
            match Rule::compile(config) {
                Ok(rule) => known.push(KnownRule { rule, origin, muted_until }),
                Err(error) => tracing::warn!(%error, "a stored rule is not valid any more and is left out"),
            }
        }
        known.sort_by(|a, b| a.rule.name().cmp(b.rule.name()));
        known
    }
}

/// Refuses receivers that are not there.
pub(crate) fn known_receivers<'a>(
    config: &RuleConfig,
    known: impl Iterator<Item = &'a str>,
) -> Result<(), RuleError> {
    let known: Vec<&str> = known.collect();
    for (place, name) in config.receivers.iter().flatten().enumerate() {
        if !known.contains(&name.as_str()) {
            let meant = meant(name, known.iter().copied());
            return Err(RuleError::new(
                format!("receivers[{place}]"),
                format!("there is no receiver {name:?}: {meant}"),
            ));
        }
    }
    Ok(())
}

fn bounded(key: &str, count: usize, most: usize) -> Result<(), RuleError> {
    if count <= most {
        return Ok(());
    }
    Err(RuleError::new(key, format!("there are {count}, and {most} at most")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_section_is_refused_with_its_key_and_what_was_meant() {
        let check = |text: &str, path: &str, words: &str| {
            let error = serde_json::from_str::<AlertsConfig>(text).unwrap().check().unwrap_err();
            assert_eq!(error.path, path, "{text}: {error}");
            assert!(error.message.contains(words), "{error} should contain {words:?}");
        };
        check(r#"{"page_url": "gatelens.example"}"#, "page_url", "http://");
        check(r#"{"lag_seconds": 601}"#, "lag_seconds", "0..=600");
        check(r#"{"rules": [{"name": "a"}]}"#, "rules[0].above", "write `above` or `below`");
        let twice = r#"{"rules": [{"name": "a", "above": 1}, {"name": "a", "above": 2}]}"#;
        check(twice, "rules[1].name", "a is there twice");
        check(r#"{"receivers": [{"name": "ops"}]}"#, "receivers[0]", "one of webhook");
        check(
            r#"{"receivers": [{"name": "ops", "webhook": {"url": "ftp://x"}}]}"#,
            "receivers[0].webhook.url",
            "http:// or https://",
        );
        check(
            r#"{"receivers": [{"name": "ops", "webhook": {"url": "https://x", "secret": "short"}}]}"#,
            "receivers[0].webhook.secret",
            "fewer than 16 bytes",
        );
        check(
            r#"{"rules": [{"name": "a", "above": 1, "receivers": ["osp"]}],
                "receivers": [{"name": "ops", "webhook": {"url": "https://x"}}]}"#,
            "rules[0].receivers[0]",
            "did you mean `ops`?",
        );
        check(r#"{"maintenance": [{}]}"#, "maintenance[0]", "write `from` and `to`");
    }

    #[test]
    fn a_rule_of_the_file_wins_over_one_of_the_page_and_both_over_a_built_in_one() {
        let rule = |name: &str, above| RuleConfig {
            name: name.to_owned(),
            above: Some(above),
            ..RuleConfig::default()
        };
        let config = AlertsConfig { rules: vec![rule("latency", 500.0)], ..AlertsConfig::default() };
        let settings = Settings::compile(&config).unwrap();
        let known = settings.with(
            vec![rule("latency", 1.0), rule("errors", 300.0), rule("mine", 3.0)],
            &[("mine".to_owned(), 7)],
        );
        let found: Vec<_> = known
            .iter()
            .map(|known| (known.rule.name(), known.origin, known.rule.threshold.at, known.muted_until))
            .collect();
        assert_eq!(
            found,
            [
                ("errors", Origin::Page, 300.0, None),
                ("gateway-lost", Origin::BuiltIn, 300.0, None),
                ("latency", Origin::File, 500.0, None),
                ("mine", Origin::Page, 3.0, Some(7)),
            ]
        );
    }
}
