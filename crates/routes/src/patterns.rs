//! Learned places: where in a path a parameter stands that no shape shows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Places at which every segment is a parameter, except the words that are kept.
///
/// Gateways and the ingest exchange this value as JSON: [`Patterns::read`], [`Patterns::write`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Patterns {
    /// By the route before the place (`/repos`), the words that stay literal there.
    places: BTreeMap<String, BTreeSet<String>>,
}

/// A text that does not hold patterns.
#[derive(Debug, thiserror::Error)]
#[error("these are not route patterns: {0}")]
pub struct PatternsError(#[from] serde_json::Error);

impl Patterns {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`PatternsError`] when the text is another one.
    pub fn read(text: &str) -> Result<Self, PatternsError> {
        Ok(serde_json::from_str(text)?)
    }

    /// The JSON form; the same patterns give the same text.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Adds the places of others.
    pub fn merge(&mut self, others: &Self) {
        for (before, words) in &others.places {
            self.places.entry(before.clone()).or_default().extend(words.iter().cloned());
        }
    }

    /// Whether nothing is learned yet.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The places: the route before each, and the words that stay literal there.
    pub fn places(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.places.iter().map(|(before, words)| (before.as_str(), words))
    }

    /// Writes the route of a path (without query): shapes first, then learned places.
    pub fn route(&self, path: &[u8], out: &mut String) {
        crate::shape::infer(path, out);
        let inferred = std::mem::take(out);
        for segment in inferred.split_inclusive('/') {
            let (word, slash) = segment.strip_suffix('/').map_or((segment, ""), |word| (word, "/"));
            let place = self.places.get(out.strip_suffix('/').unwrap_or(out));
            let is_word = place.is_none_or(|words| words.contains(word)) || word.is_empty();
            out.push_str(if is_word { word } else { "{param}" });
            out.push_str(slash);
        }
    }

    /// The route under which requests of an inferred `route` belong now; `None` when it is unchanged.
    pub fn fold(&self, route: &str) -> Option<String> {
        let mut folded = String::new();
        self.route(route.as_bytes(), &mut folded);
        (folded != route).then_some(folded)
    }
}
