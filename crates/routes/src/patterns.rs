//! Learned places: where in a path a parameter stands that no shape shows.

mod index;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::shape::{self, Form, Inferred, MAX_SEGMENTS};
use gatelens_model::order;
use gatelens_model::value::UNMATCHED;
use index::Index;

/// Maximum number of learned places, and of kept words at all of them.
pub const MAX_PLACES: usize = 4_000;
/// Maximum number of kept words at all places.
pub const MAX_WORDS: usize = 16_000;
/// Maximum bytes of the route before a place.
const MAX_PLACE_BYTES: usize = crate::MAX_ROUTE_BYTES;

/// Stands for any value in the route before a place.
pub(crate) const VALUE: &str = "{}";

/// Places at which every segment is a parameter, except the words that are kept.
///
/// Gateways and the ingest exchange this value as JSON: [`Patterns::read`], [`Patterns::write`]. The form is
/// `{"places": {"/repos": [], "/repos/{}": ["search"]}}`: by the route before the place, in which `{}` is any value, the
/// words that stay literal there.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Patterns {
    places: Places,
    index: Index,
}

type Places = BTreeMap<String, BTreeSet<String>>;

/// The exchanged form.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    places: Places,
}

/// A text that does not hold patterns.
#[derive(Debug, thiserror::Error)]
pub enum PatternsError {
    /// It is not the JSON form.
    #[error("these are not route patterns: {0}")]
    Syntax(#[from] serde_json::Error),
}

/// Patterns that cannot have been learned.
#[derive(Debug, thiserror::Error)]
enum Implausible {
    #[error("there are more than {MAX_PLACES} places or {MAX_WORDS} words")]
    TooMany,
    #[error("`{0}` is not the route before a place")]
    Place(String),
}

impl Patterns {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`PatternsError`] when the text is another one, or has more than [`MAX_PLACES`] places or [`MAX_WORDS`] words.
    pub fn read(text: &str) -> Result<Self, PatternsError> {
        Ok(serde_json::from_str(text)?)
    }

    /// The JSON form; the same patterns give the same text.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether nothing is learned yet.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// By the route before each place the words that stay literal there.
    pub fn places(&self) -> impl Iterator<Item = (&str, &BTreeSet<String>)> {
        self.places.iter().map(|(before, words)| (before.as_str(), words))
    }

    /// Adds what another learner has learned: all places and words of both.
    ///
    /// The bounds hold: what comes last in alphabetical order is left out.
    pub fn merge(&mut self, other: &Self) {
        self.learn(other.places.clone());
    }

    /// Writes the route of a path (without query) into `out`: shapes first, then learned places.
    ///
    /// The cost grows with the path and not with the number of places.
    pub fn route(&self, path: &[u8], out: &mut String) {
        if self.is_empty() {
            return shape::infer(path, out);
        }
        out.clear();
        let Some(segments) = shape::segments(path) else {
            out.push_str(if path == b"*" { "*" } else { UNMATCHED });
            return;
        };
        let mut node = self.index.root();
        for (position, raw) in segments.enumerate() {
            out.push('/');
            if position >= MAX_SEGMENTS {
                out.push_str("{rest}");
                break;
            }
            let start = out.len();
            let form = shape::segment(raw, out);
            let Some(here) = node else { continue };
            let written = out.get(start..).unwrap_or_default();
            node = match form {
                Form::Word | Form::Compound if written.is_empty() || !here.is_place() => here.word(written),
                Form::Word | Form::Compound if here.keeps(written) => here.word(written),
                Form::Value if !here.is_place() => here.value(),
                _ => {
                    let verb = verb(written).map_or(0, str::len);
                    let behind = out.len().saturating_sub(verb);
                    out.replace_range(start..behind, Inferred::Param.placeholder());
                    if verb == 0 { here.value() } else { None }
                }
            }
            .and_then(|next| self.index.node(next));
        }
        shape::bound(out);
    }

    /// The route under which requests of an inferred `route` belong now; `None` when it is unchanged.
    pub fn fold(&self, route: &str) -> Option<String> {
        if self.is_empty() || !route.starts_with('/') {
            return None;
        }
        let mut folded = String::with_capacity(route.len());
        self.route(route.as_bytes(), &mut folded);
        (folded != route).then_some(folded)
    }

    /// Adds places, each with the words that stay literal there.
    pub(crate) fn learn(&mut self, learned: BTreeMap<String, BTreeSet<String>>) {
        let mut places = self.places.clone();
        for (before, words) in learned {
            places.entry(before).or_default().extend(words);
        }
        self.set(places);
    }

    fn set(&mut self, places: Places) {
        self.places = bounded(canonical(places));
        self.index = Index::of(&self.places);
    }
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.places == other.places
    }
}

impl Eq for Patterns {}

impl TryFrom<Written> for Patterns {
    type Error = Implausible;

    fn try_from(written: Written) -> Result<Self, Implausible> {
        let words: usize = written.places.values().map(BTreeSet::len).sum();
        if written.places.len() > MAX_PLACES || words > MAX_WORDS {
            return Err(Implausible::TooMany);
        }
        let is_place = |before: &&String| {
            before.len() <= MAX_PLACE_BYTES && (before.is_empty() || before.starts_with('/'))
        };
        if let Some(before) = written.places.keys().find(|before| !is_place(before)) {
            return Err(Implausible::Place(before.chars().take(64).collect()));
        }
        let mut patterns = Self::default();
        patterns.set(written.places);
        Ok(patterns)
    }
}

impl From<Patterns> for Written {
    fn from(patterns: Patterns) -> Self {
        Self { places: patterns.places }
    }
}

/// The verb at the end of a segment, with its colon: `:cancel`.
pub(crate) fn verb(segment: &str) -> Option<&str> {
    let (base, name) = segment.rsplit_once(':')?;
    let is_verb = !base.is_empty() && !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_verb.then(|| segment.get(base.len()..)).flatten()
}

/// Places behind a word that an earlier place has as a parameter belong behind its `{}`.
fn canonical(places: Places) -> Places {
    let mut canonical = Places::new();
    let mut by_depth: Vec<_> = places.into_iter().collect();
    // Places nearer to the root are complete, with all their words, before those behind them.
    order::sort_by_key(&mut by_depth, |(before, _)| before.matches('/').count());
    for (before, words) in by_depth {
        let mut route = String::with_capacity(before.len());
        for segment in before.split('/').skip(1) {
            let is_value = segment.starts_with('{') && segment.ends_with('}');
            let folded = match canonical.get(&route) {
                _ if is_value => VALUE,
                Some(kept) if !kept.contains(segment) => VALUE,
                _ => segment,
            };
            route.push('/');
            route.push_str(folded);
        }
        canonical.entry(route).or_default().extend(words);
    }
    canonical
}

/// Leaves out what is too long to be in a route, and what comes last. A place can have become longer behind its `{}`.
fn bounded(mut places: Places) -> Places {
    places.retain(|before, _| before.len() <= MAX_PLACE_BYTES);
    places.values_mut().for_each(|words| words.retain(|word| word.len() <= crate::MAX_ROUTE_BYTES));
    let mut words: usize = 0;
    let within = |(_, kept): &(String, BTreeSet<String>)| {
        words = words.saturating_add(kept.len());
        words <= MAX_WORDS
    };
    let mut bounded = Places::new();
    bounded.extend(places.into_iter().take(MAX_PLACES).take_while(within));
    bounded
}
