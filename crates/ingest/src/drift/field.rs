//! What bodies have at a place: the tree of fields.
//!
//! A field counts how often its object had it, and which types and formats its values had. A change is reported once, at the
//! value that shows it; what was learned from few values is no reason to report anything.

use super::change::{ChangeKind, FieldChange};
use super::format::Kind;
use gatelens_routes::infer;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Objects, or values, after which a field is known: what comes later is a change.
pub(crate) const LEARNED: u64 = 10;
/// Objects in a row without a field that at least half of those before had, after which it has vanished.
pub(crate) const MISSES: u32 = 30;
/// Objects in a row with a field that at least a tenth of those before lacked, after which it is always there.
const HITS: u32 = 100;
/// Values in a row without a type or format that at least half of those before had, after which it is forgotten, so that
/// its return is a change.
const FORGOTTEN: u64 = 100;
/// Seconds after which a field has vanished although another replica has seen it later than this one.
const SEEN_ELSEWHERE: i64 = 3_600;
/// Objects after which those so far weigh half.
const HALVED_AT: u32 = 2_000;

/// Levels of a body that are looked at.
const MAX_DEPTH: usize = 16;
/// Bytes of a name; a longer one counts as an identifier.
const MAX_NAME_BYTES: usize = 64;
/// Digits at the end of a name; a longer number is an identifier.
const MAX_NAME_DIGITS: usize = 3;
/// Members of one object, and items of one array, that are looked at.
const MAX_MEMBERS: usize = 512;
const MAX_ITEMS: usize = 32;
/// Names of an object with more of them are the keys of a map.
const MAX_NAMES: usize = 256;
/// Names from which on an object is a map if most of them are rare, and from which on it may be one.
const MAP_NAMES: usize = 32;
const LOOSE_NAMES: usize = 8;
/// One in so many objects has a name that is not rare.
const RARE: u64 = 4;

/// The name of an array's items.
pub(crate) const ITEMS: &str = "[]";
/// The name of a map's values.
pub(crate) const VALUES: &str = "{*}";

/// A place in bodies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Field {
    /// Unix seconds.
    #[serde(rename = "f")]
    pub(crate) first_seen: i64,
    /// Unix seconds.
    #[serde(rename = "l")]
    pub(crate) last_seen: i64,
    /// Objects that had it, out of the objects since it is known; earlier ones weigh less and less.
    #[serde(rename = "s")]
    pub(crate) seen: u32,
    #[serde(rename = "o")]
    pub(crate) of: u32,
    /// Objects in a row that had it, or if negative, had it not.
    #[serde(rename = "r", default)]
    run: i32,
    /// All values.
    #[serde(rename = "n")]
    values: u64,
    #[serde(rename = "k")]
    kinds: Vec<Count>,
    /// It has vanished.
    #[serde(rename = "g", default, skip_serializing_if = "is_false")]
    pub(crate) gone: bool,
    /// By name, or by [`ITEMS`] or [`VALUES`].
    #[serde(rename = "c", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) children: BTreeMap<Box<str>, Self>,
}

/// How often a type or a format was seen: its number, the values, and the number of all values at the last of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Count(u8, u64, u64);

/// What fields that are added up were seen of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// Of one place, by several replicas.
    OnePlace,
    /// Of several places that are one from now on.
    OtherPlaces,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A walk over one body.
pub(crate) struct Walk<'a> {
    /// Unix seconds.
    pub(crate) time: i64,
    /// Fields that may still be made.
    pub(crate) room: &'a mut usize,
    pub(crate) changes: Vec<FieldChange>,
    /// Fields were made, or changed their kind.
    pub(crate) is_news: bool,
    path: String,
    depth: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(time: i64, room: &'a mut usize) -> Self {
        Self { time, room, changes: Vec::new(), is_news: false, path: String::new(), depth: 0 }
    }

    fn change(&mut self, kind: ChangeKind, before: String, after: String) {
        let field = self.path.clone();
        self.changes.push(FieldChange { kind, field, before, after });
    }

    /// Goes on below a name.
    fn below(&mut self, name: &str, go: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        self.depth += 1;
        go(self);
        self.depth -= 1;
        self.path.truncate(length);
    }
}

impl Field {
    fn new(time: i64) -> Self {
        Self { first_seen: time, last_seen: time, ..Self::default() }
    }

    /// Takes in the value of another object, or of another body. What other replicas know of the same place is no change.
    pub(crate) fn take(&mut self, value: &Value, others: Option<&Self>, walk: &mut Walk<'_>) {
        self.observe(value, others, walk);
        self.hit(others, walk);
    }

    fn observe(&mut self, value: &Value, others: Option<&Self>, walk: &mut Walk<'_>) {
        if self.values == 0 {
            self.first_seen = walk.time;
        }
        self.last_seen = self.last_seen.max(walk.time);
        if let Some(kind) = Kind::type_of(value) {
            self.note_type(kind, others, walk);
        }
        if let Value::String(text) = value
            && let Some(format) = Kind::format_of(text)
        {
            self.note_format(format, others, walk);
        }
        self.values = self.values.saturating_add(1);
        self.forget();
        match value {
            Value::Object(members) => self.object(members, others, walk),
            Value::Array(items) => self.array(items, others, walk),
            _ => {}
        }
    }

    /// Types that values had, in a fixed order.
    pub(crate) fn types(&self) -> impl Iterator<Item = Kind> {
        Kind::TYPES.into_iter().filter(|kind| self.count(*kind) > 0)
    }

    /// Formats that strings had, in a fixed order.
    pub(crate) fn formats(&self) -> impl Iterator<Item = Kind> {
        Kind::FORMATS.into_iter().filter(|kind| self.count(*kind) > 0)
    }

    /// The one format that all strings had, unless that is plain text.
    pub(crate) fn format(&self) -> Option<Kind> {
        let mut formats = self.formats();
        match (formats.next(), formats.next()) {
            (Some(format), None) if format != Kind::Plain => Some(format),
            _ => None,
        }
    }

    /// Whether every object had it.
    pub(crate) fn is_always(&self) -> bool {
        self.seen == self.of
    }

    /// The number of fields, with this one.
    pub(crate) fn size(&self) -> usize {
        1 + self.children.values().map(Self::size).sum::<usize>()
    }

    /// Adds what was seen of another place that is this one from now on.
    pub(crate) fn merge(&mut self, other: Self) {
        self.add_up(other, Of::OtherPlaces);
    }

    /// Adds what another replica has seen of the same place. Any order of such parts gives the same.
    pub(crate) fn add_part(&mut self, other: Self) {
        self.add_up(other, Of::OnePlace);
    }

    fn add_up(&mut self, mut other: Self, of: Of) {
        self.gone = match of {
            Of::OtherPlaces => self.gone && other.gone,
            // Whoever has seen it last knows.
            Of::OnePlace if self.last_seen != other.last_seen => {
                if self.last_seen > other.last_seen {
                    self.gone
                } else {
                    other.gone
                }
            }
            Of::OnePlace => self.gone && other.gone,
        };
        if of == Of::OnePlace && self.is_map() != other.is_map() {
            [&mut *self, &mut other].into_iter().for_each(|part| part.become_map(of));
        }
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        (self.seen, self.of) = (self.seen.saturating_add(other.seen), self.of.saturating_add(other.of));
        self.run = 0;
        self.values = self.values.saturating_add(other.values);
        for Count(kind, n, _) in other.kinds {
            match self.kinds.iter_mut().find(|count| count.0 == kind) {
                Some(count) => count.1 = count.1.saturating_add(n),
                None => self.kinds.push(Count(kind, n, self.values)),
            }
        }
        for (name, field) in other.children {
            match self.children.get_mut(&name) {
                Some(known) => known.add_up(field, of),
                None => drop(self.children.insert(name, field)),
            }
        }
    }

    fn count(&self, kind: Kind) -> u64 {
        self.kinds.iter().find(|count| count.0 == kind as u8).map_or(0, |count| count.1)
    }

    /// The values of a type or format here and at other replicas.
    fn count_of_all(&self, kind: Kind, others: Option<&Self>) -> u64 {
        self.count(kind).saturating_add(others.map_or(0, |others| others.count(kind)))
    }

    fn note_type(&mut self, kind: Kind, others: Option<&Self>, walk: &mut Walk<'_>) {
        // A whole number is a number, too.
        let fits =
            |field: &Self| field.count(kind) > 0 || (kind == Kind::Integer && field.count(Kind::Number) > 0);
        if !fits(self) {
            walk.is_news = true;
            let known = Kind::TYPES.into_iter().filter(|kind| self.count_of_all(*kind, others) > 0);
            let values = self.values.saturating_add(others.map_or(0, |others| others.values));
            if values >= LEARNED && known.clone().next().is_some() && !others.is_some_and(fits) {
                walk.change(ChangeKind::Type, names(known), kind.name().to_owned());
            }
        }
        self.add(kind);
    }

    fn note_format(&mut self, format: Kind, others: Option<&Self>, walk: &mut Walk<'_>) {
        let is_news = |field: &Self| field.count(format) == 0 && field.count(Kind::Plain) == 0;
        if is_news(self) {
            walk.is_news = true;
            let count = |format: &Kind| self.count_of_all(*format, others);
            let known = Kind::FORMATS.into_iter().filter(|format| count(format) > 0);
            let strings: u64 = known.clone().map(|format| count(&format)).sum();
            if strings >= LEARNED && others.is_none_or(is_news) {
                walk.change(ChangeKind::Format, names(known), format.name().to_owned());
            }
        }
        self.add(format);
    }

    fn add(&mut self, kind: Kind) {
        let values = self.values;
        match self.kinds.iter_mut().find(|count| count.0 == kind as u8) {
            Some(count) => *count = Count(count.0, count.1.saturating_add(1), values),
            None => self.kinds.push(Count(kind as u8, 1, values)),
        }
    }

    /// Forgets the types and formats that were usual and have not come for long.
    fn forget(&mut self) {
        let values = self.values;
        self.kinds
            .retain(|Count(_, n, at)| values.saturating_sub(*at) <= FORGOTTEN || n.saturating_mul(2) <= *at);
    }

    fn array(&mut self, items: &[Value], others: Option<&Self>, walk: &mut Walk<'_>) {
        if items.is_empty() || walk.depth >= MAX_DEPTH {
            return;
        }
        let Some(field) = child(&mut self.children, ITEMS, walk) else { return };
        let others = others.and_then(|others| others.children.get(ITEMS));
        walk.below(ITEMS, |walk| {
            for item in items.iter().take(MAX_ITEMS) {
                field.take(item, others, walk);
            }
        });
    }

    fn object(
        &mut self,
        members: &serde_json::Map<String, Value>,
        others: Option<&Self>,
        walk: &mut Walk<'_>,
    ) {
        if walk.depth >= MAX_DEPTH {
            return;
        }
        // This one is among them.
        let is_known = self.count_of_all(Kind::Object, others) > LEARNED;
        if others.is_some_and(Self::is_map) && !self.is_map() && !self.children.is_empty() {
            self.become_map(Of::OtherPlaces);
            walk.is_news = true;
        }
        let is_map = self.is_map();
        let is_loose =
            self.is_loose(LOOSE_NAMES) || others.is_some_and(|others| others.is_loose(LOOSE_NAMES));
        for (name, value) in members.iter().take(MAX_MEMBERS) {
            let name = if is_map || is_identifier(name) { VALUES } else { name.as_str() };
            let is_new = self.children.get(name).is_none_or(|field| field.gone);
            let Some(field) = child(&mut self.children, name, walk) else { continue };
            let others = others.and_then(|others| others.children.get(name));
            let is_elsewhere = others.is_some_and(|others| !others.gone);
            walk.below(name, |walk| {
                if is_new && field.gone {
                    // It is learned anew.
                    *field = Self { first_seen: field.first_seen, ..Self::new(walk.time) };
                }
                field.take(value, others, walk);
                if is_new && is_known && !is_loose && name != VALUES && !is_elsewhere {
                    walk.change(ChangeKind::FieldNew, String::new(), field.label());
                }
            });
        }
        if members.len() <= MAX_MEMBERS {
            for (name, field) in &mut self.children {
                let is_there = members.contains_key(&**name);
                if !is_there && !field.gone && &**name != VALUES && &**name != ITEMS {
                    let others = others.and_then(|others| others.children.get(name));
                    walk.below(name, |walk| field.miss(others, walk));
                }
            }
        }
        if self.children.len() > MAX_NAMES || self.is_loose(MAP_NAMES) {
            self.become_map(Of::OtherPlaces);
            walk.is_news = true;
        }
    }

    /// Whether its names are the keys of a map. One key that is no name does not make an object a map.
    fn is_map(&self) -> bool {
        self.children.len() == 1 && self.children.contains_key(VALUES)
    }

    /// Whether so many names are known, and most of them are rare.
    fn is_loose(&self, names: usize) -> bool {
        if self.children.len() < names {
            return false;
        }
        let objects = self.count(Kind::Object);
        let rare = |field: &&Self| field.values.saturating_mul(RARE) < objects;
        self.children.values().filter(rare).count() * 2 > self.children.len()
    }

    fn become_map(&mut self, of: Of) {
        let fields = std::mem::take(&mut self.children).into_values();
        let values = fields.reduce(|mut all, field| {
            all.add_up(field, of);
            all
        });
        if let Some(mut values) = values {
            (values.of, values.gone) = (values.seen, false);
            self.children.insert(VALUES.into(), values);
        }
    }

    /// An object has it.
    fn hit(&mut self, others: Option<&Self>, walk: &mut Walk<'_>) {
        let misses = self.run.min(0).unsigned_abs();
        let seen = u64::from(self.seen) + others.map_or(0, |others| u64::from(others.seen));
        if misses > 0 && self.is_always_but(misses) && seen >= LEARNED {
            if others.is_none_or(Self::is_always) {
                walk.change(ChangeKind::Optional, "always".to_owned(), "sometimes".to_owned());
            }
            walk.is_news = true;
        }
        self.run = self.run.max(0).saturating_add(1);
        (self.seen, self.of) = (self.seen.saturating_add(1), self.of.saturating_add(1));
        let hits = self.run.unsigned_abs();
        let (seen, of) = (self.seen.saturating_sub(hits), self.of.saturating_sub(hits));
        if hits >= HITS && u64::from(of) >= LEARNED && u64::from(seen) * 10 <= u64::from(of) * 9 {
            if !others.is_some_and(|others| others.is_always() && others.of >= HITS) {
                walk.change(ChangeKind::Required, "sometimes".to_owned(), "always".to_owned());
            }
            walk.is_news = true;
            (self.seen, self.of) = (hits, hits);
        }
        self.halve();
    }

    /// An object has it not.
    fn miss(&mut self, others: Option<&Self>, walk: &mut Walk<'_>) {
        self.run = self.run.min(0).saturating_sub(1);
        self.of = self.of.saturating_add(1);
        let misses = self.run.unsigned_abs();
        let before = self.of.saturating_sub(misses);
        let is_usual = u64::from(self.seen) >= LEARNED && u64::from(self.seen) * 2 >= u64::from(before);
        let is_missed = match others {
            None => misses == MISSES,
            Some(others) => misses >= MISSES && !self.is_later_in(others, walk.time),
        };
        if is_missed && is_usual {
            if !others.is_some_and(|others| others.gone) {
                walk.change(ChangeKind::FieldVanished, self.label(), String::new());
            }
            walk.is_news = true;
            self.gone = true;
            self.last_seen = others.map_or(self.last_seen, |others| self.last_seen.max(others.last_seen));
        }
        self.halve();
    }

    /// Whether another replica has seen it lately, and later than this one.
    fn is_later_in(&self, others: &Self, now: i64) -> bool {
        !others.gone
            && others.last_seen > self.last_seen
            && others.last_seen.saturating_add(SEEN_ELSEWHERE) >= now
    }

    /// Whether all objects had it except the last ones.
    fn is_always_but(&self, misses: u32) -> bool {
        self.seen.saturating_add(misses) == self.of
    }

    fn halve(&mut self) {
        // The objects of a run are told apart by their number.
        if self.of >= HALVED_AT && self.run.unsigned_abs() < self.of / 4 || self.of >= 2 * HALVED_AT {
            let was_always = self.is_always();
            (self.seen, self.of) = (self.seen / 2, self.of / 2);
            let limit = i32::try_from(self.of).unwrap_or(i32::MAX);
            self.run = self.run.clamp(-limit, limit);
            if !was_always {
                self.seen = self.seen.min(self.of.saturating_sub(1));
            }
        }
    }

    /// Its types, and its format.
    pub(crate) fn label(&self) -> String {
        let types = self.type_names();
        match self.format() {
            Some(Kind::Masked) if types.is_empty() => Kind::Masked.name().to_owned(),
            Some(format) => format!("{types} ({})", format.name()),
            None => types,
        }
    }

    fn type_names(&self) -> String {
        names(self.types())
    }
}

fn names(kinds: impl Iterator<Item = Kind>) -> String {
    kinds.map(Kind::name).collect::<Vec<_>>().join(", ")
}

/// The field of a name, which is made where there is room for it.
fn child<'f>(
    children: &'f mut BTreeMap<Box<str>, Field>,
    name: &str,
    walk: &mut Walk<'_>,
) -> Option<&'f mut Field> {
    if !children.contains_key(name) {
        *walk.room = walk.room.checked_sub(1)?;
        walk.is_news = true;
        children.insert(name.into(), Field::new(walk.time));
    }
    children.get_mut(name)
}

/// Whether a name is the key of a map: one by whose shape a segment of a path would be an identifier, or one that says
/// more than a name does. A name must not show what clients wrote.
fn is_identifier(name: &str) -> bool {
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$' | ':' | '@');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(is_of_name) {
        return true;
    }
    if name.chars().skip(1).any(|c| c == '@') || matches!(name, ITEMS | VALUES) {
        return true;
    }
    // Marks before a name: `$ref`, `@type`.
    let word = name.trim_start_matches(['$', '@', '_']);
    // A small number at the end: `custom_404`, `address_line_2`.
    let stem = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = word.len() - stem.len();
    let is_numbered = digits <= MAX_NAME_DIGITS && stem.starts_with(|c: char| c.is_ascii_alphabetic());
    let word = if is_numbered { stem.trim_end_matches(['_', '-']) } else { word };
    if word.is_empty() || !word.is_ascii() {
        return false;
    }
    let mut route = String::new();
    infer(format!("/{word}").as_bytes(), &mut route);
    route.strip_prefix('/') != Some(word)
}

#[cfg(test)]
mod tests;
