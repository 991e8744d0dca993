//! All defects of a configuration at once, for whoever writes it.
//!
//! The reader of the filter stops at the first defect. Here the value of a defect is taken out of the text, and the rest is
//! read again. A required value gets a sound one in its place, because a rule after it is only applied to a complete configuration.

use std::collections::BTreeSet;
use std::ops::Range;

use super::ConfigError;
use super::locate::{self, Item};

/// Most defects that are named, so that a wrong file is not read too often.
const MOST: usize = 100;

/// The keys that a configuration must have, with a sound value.
const REQUIRED: [(&str, &str); 3] =
    [("version", "1"), ("ingest", r#"{"cluster":"ingest"}"#), ("cluster", r#""ingest""#)];

/// The defects in the order of their places; at most 100. `read` reads a text as the filter does.
pub(crate) fn all<T>(text: &str, read: impl Fn(&str) -> Result<T, ConfigError>) -> Vec<ConfigError> {
    let mut draft = Draft::new(text);
    let mut found: Vec<(usize, ConfigError)> = Vec::new();
    // Each turn takes a value out or completes an object, so the number of turns is bounded, too.
    for _ in 0..MOST.saturating_mul(2) {
        let Err(error) = read(&draft.text) else { break };
        let at = locate::offset(&draft.text, error.line, error.column);
        let missing = error.missing_key().map(str::to_owned);
        let item = locate::item_at(&draft.text, at);
        // The object that lacks a key: the value of the item, or the whole text.
        let object = match &item {
            Some(item) => item.value.start,
            None => draft.text.find('{').unwrap_or(0),
        };
        // An object or array from which something was taken out may be wrong because of that.
        let ours = match &missing {
            Some(key) => draft.removed.contains(&(draft.original(object), key.clone())),
            None => {
                item.as_ref().is_some_and(|item| draft.opened.contains(&draft.original(item.value.start)))
            }
        };
        let meant = error.meant_key().map(str::to_owned);
        if !ours {
            found.push((draft.original(at), draft.in_original(text, at, error)));
            if found.len() == MOST {
                break;
            }
        }
        let sound = missing.as_deref().and_then(|key| REQUIRED.iter().find(|(name, _)| *name == key));
        match (sound, item) {
            (Some((key, value)), _) => draft.complete(object, &format!("\"{key}\":{value}")),
            (None, Some(item)) => draft.remove(&item, meant),
            // Not JSON, or nothing that can be taken out.
            (None, None) => break,
        }
    }
    found.sort_by_key(|(at, _)| *at);
    found.into_iter().map(|(_, error)| error).collect()
}

/// A text with some values taken out.
struct Draft {
    text: String,
    /// Of each byte, its place in the original text.
    origins: Vec<usize>,
    /// Keys that were taken out, each with the original place of its object.
    removed: BTreeSet<(usize, String)>,
    /// The original places of the objects and arrays from which something was taken out.
    opened: BTreeSet<usize>,
}

impl Draft {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            origins: (0..text.len()).collect(),
            removed: BTreeSet::new(),
            opened: BTreeSet::new(),
        }
    }

    fn original(&self, at: usize) -> usize {
        self.origins.get(at).copied().unwrap_or(at)
    }

    /// The error with line, column and indices of the original text.
    fn in_original(&self, text: &str, at: usize, error: ConfigError) -> ConfigError {
        let here = locate::display(&locate::steps_at(&self.text, at));
        let original = self.original(at);
        let there = locate::display(&locate::steps_at(text, original));
        let path = match error.path.strip_prefix(&here) {
            Some(rest) => there + rest,
            None => error.path,
        };
        let (line, column) = match error.line {
            0 => (0, 0),
            _ => locate::line_and_column(text, original),
        };
        ConfigError { path, line, column, message: error.message }
    }

    /// Takes an item out. Its object then lacks the key, or the one that was meant, which is not another defect.
    fn remove(&mut self, item: &Item, meant: Option<String>) {
        let container = self.original(item.container);
        self.opened.insert(container);
        self.removed.extend(item.key.iter().cloned().chain(meant).map(|key| (container, key)));
        self.replace(item.with_comma.clone(), "");
    }

    /// Puts a member at the beginning of the object at `object`.
    fn complete(&mut self, object: usize, member: &str) {
        let behind_brace = object.saturating_add(1);
        let rest = self.text.get(behind_brace..).unwrap_or_default();
        let comma = if rest.trim_start().starts_with('}') { "" } else { "," };
        self.replace(behind_brace..behind_brace, &format!("{member}{comma}"));
    }

    fn replace(&mut self, range: Range<usize>, with: &str) {
        if self.text.get(range.clone()).is_none() {
            return;
        }
        let origin = self.original(range.start);
        self.text.replace_range(range.clone(), with);
        drop(self.origins.splice(range, std::iter::repeat_n(origin, with.len())));
    }
}

#[cfg(test)]
mod tests {
    use crate::host::PluginIdentity;
    use crate::plan::Plan;

    fn defects(text: &str) -> Vec<String> {
        Plan::defects(text, &PluginIdentity::default())
            .iter()
            .map(|error| format!("{}:{} {}: {}", error.line, error.column, error.path, error.message))
            .collect()
    }

    #[track_caller]
    fn assert_begin(found: &[String], expected: &[&str]) {
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found} does not begin with {expected}");
        }
    }

    #[test]
    fn a_sound_configuration_has_none() {
        assert_eq!(defects(r#"{"version": 1, "ingest": {"cluster": "gatelens_ingest"}}"#), [""; 0]);
    }

    #[test]
    fn defects_of_all_kinds_are_found_in_one_call() {
        let found = defects(
            r#"{
  "version": 1,
  "ingest": {"cluster": "c", "timeout": 5},
  "servce": {},
  "sample": {"rate": 7},
  "counters": {"max_series": "many", "max_routes": 0},
  "routes": {"templates": ["/a/{id}", "no-slash", "/b", "/c/{x", "/d"]},
  "redact": {"request_body": ["user.email", "$.fine"]}
}"#,
        );
        assert_begin(
            &found,
            &[
                "3:30 ingest.timeout: unknown key `timeout`",
                "4:3 servce: unknown key `servce`; did you mean `service`?",
                "5:14 sample.rate: ",
                "6:16 counters.max_series: ",
                "6:38 counters.max_routes: ",
                "7:39 routes.templates[1]: ",
                "7:57 routes.templates[3]: ",
                "8:31 redact.request_body[0]: ",
            ],
        );
    }

    #[test]
    fn a_required_value_that_is_wrong_or_missing_is_named_once_and_hides_nothing() {
        let found = defects(r#"{"version": 9, "ingest": {"cluster": 5}, "sample": {"rate": 7}}"#);
        assert_begin(&found, &["1:2 version: ", "1:27 ingest.cluster: ", "1:53 sample.rate: "]);
        let found = defects(r#"{"sample": {"rate": 7}}"#);
        assert_eq!(found.len(), 3, "{found:#?}");
        for part in ["`version` is missing", "`ingest` is missing", "sample.rate: "] {
            assert!(found.iter().any(|defect| defect.contains(part)), "{part} in {found:#?}");
        }
        let found = defects(r#"{"version": 1, "ingest": {}}"#);
        assert_begin(&found, &["1:16 ingest: the key `cluster` is missing"]);
        let found = defects(r#"{"version": 1, "ingest": {"clutser": "c"}}"#);
        assert_begin(&found, &["1:27 ingest.clutser: unknown key `clutser`; did you mean `cluster`?"]);
        let found = defects("{}");
        assert_eq!(found.len(), 2, "{found:#?}");
    }

    #[test]
    fn no_text_takes_long_or_panics() {
        for text in [
            "",
            " ",
            "{",
            "[]",
            "null",
            "7",
            "{}}",
            "{\"version\": 1,}",
            "{\"version\": 1, \"ingest\": \"{\"}",
            "\u{feff}{}",
            "{\"é\": 1}",
        ] {
            assert!(!defects(text).is_empty(), "{text}");
        }
        let wrong: Vec<String> = (0..500).map(|index| format!("\"wrong{index}\": {index}")).collect();
        assert_eq!(defects(&format!("{{{}}}", wrong.join(","))).len(), 100);
    }
}
