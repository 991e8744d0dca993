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
pub fn all<T>(text: &str, read: impl Fn(&str) -> Result<T, ConfigError>) -> Vec<ConfigError> {
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
