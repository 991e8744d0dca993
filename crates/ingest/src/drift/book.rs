//! The shapes of all bodies, as far as there is room for them.

use super::change::{Change, Example, RouteKey, ShapeKey};
use super::field::{Field, Walk};
use super::sample::Sample;
use crate::model::Scope;
use crate::patterns::KnownPatterns;
use crate::retention::before;
use std::collections::HashMap;
use std::time::Duration;

/// Fields of all shapes; of one service, environment and direction; and of one shape.
const MAX_FIELDS: usize = 100_000;
const MAX_FIELDS_OF_SCOPE: usize = 50_000;
const MAX_FIELDS_OF_SHAPE: usize = 1_000;
/// Changes of one body that are reported.
const MAX_CHANGES: usize = 20;

/// What bodies of a route look like.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) bodies: u64,
    /// Unix nanoseconds.
    pub(crate) first_seen: i64,
    /// Unix nanoseconds.
    pub(crate) last_seen: i64,
    /// Learned patterns may give it another route.
    pub(crate) has_inferred_route: bool,
    pub(crate) root: Field,
    size: usize,
    unsaved: Unsaved,
    /// The store has it.
    is_stored: bool,
}

/// What of a shape is not stored yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unsaved {
    Nothing,
    /// Numbers and times.
    Counts,
    /// Fields, types or formats.
    News,
}

/// A shape as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct ShapeRow {
    pub(crate) key: ShapeKey,
    pub(crate) has_inferred_route: bool,
    pub(crate) bodies: u64,
    pub(crate) first_seen: i64,
    pub(crate) last_seen: i64,
    pub(crate) root: Field,
    /// It is stored before: where the store has lost it meanwhile, it was removed there, and goes here.
    pub(crate) is_stored: bool,
}

/// All shapes.
#[derive(Debug, Default)]
pub(crate) struct Book {
    shapes: HashMap<ShapeKey, Shape>,
    /// What other replicas know of the same shapes.
    others: HashMap<ShapeKey, Field>,
    fields_of_others: usize,
    fields: usize,
    by_scope: HashMap<Scope, usize>,
}

impl ShapeRow {
    /// Adds what another replica has of the same shape.
    pub(crate) fn add_part(&mut self, other: Self) {
        self.has_inferred_route &= other.has_inferred_route;
        self.bodies = self.bodies.saturating_add(other.bodies);
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.root.add_part(other.root);
    }
}

impl Book {
    /// Continues from what is stored.
    pub(crate) fn resume(rows: Vec<ShapeRow>) -> Self {
        let mut book = Self::default();
        for ShapeRow { key, has_inferred_route, bodies, first_seen, last_seen, root, .. } in rows {
            let (size, unsaved) = (root.size(), Unsaved::Nothing);
            let shape = Shape {
                bodies,
                first_seen,
                last_seen,
                has_inferred_route,
                root,
                size,
                unsaved,
                is_stored: true,
            };
            book.grow(&key.route.scope, 0, size);
            book.shapes.insert(key, shape);
        }
        book
    }

    /// Notes what all other replicas know of a shape; `None` if that is nothing. Beyond as many fields as there may be of its own a
    /// book takes no further shapes of others.
    pub(crate) fn put_others(&mut self, key: ShapeKey, root: Option<Field>) {
        let before = self.others.remove(&key).map_or(0, |root| root.size());
        self.fields_of_others = self.fields_of_others.saturating_sub(before);
        if let Some(root) = root.filter(|_| self.fields_of_others < MAX_FIELDS) {
            self.fields_of_others += root.size();
            self.others.insert(key, root);
        }
    }

    /// Forgets what others know.
    pub(crate) fn clear_others(&mut self) {
        self.others.clear();
        self.fields_of_others = 0;
    }

    /// Takes in a body. Text that is no JSON shows nothing.
    pub(crate) fn take(&mut self, sample: Sample, patterns: &KnownPatterns) -> Vec<Change> {
        let Sample { shape: mut key, has_inferred_route, body, time, example } = sample;
        let Ok(body) = serde_json::from_str(&body) else { return Vec::new() };
        if has_inferred_route && let Some(route) = folded(&key.route, patterns) {
            key.route.route = route;
        }
        let scope = &key.route.scope;
        let of_scope = self.by_scope.get(scope).copied().unwrap_or_default();
        let left = MAX_FIELDS.saturating_sub(self.fields).min(MAX_FIELDS_OF_SCOPE.saturating_sub(of_scope));
        if !self.shapes.contains_key(&key) {
            if left == 0 {
                return Vec::new();
            }
            self.grow(&key.route.scope, 0, 1);
        }
        let shape = self.shapes.entry(key.clone()).or_insert_with(|| Shape {
            bodies: 0,
            first_seen: time,
            last_seen: time,
            has_inferred_route,
            root: Field::default(),
            size: 1,
            unsaved: Unsaved::News,
            is_stored: false,
        });
        let mut room = left.saturating_sub(1).min(MAX_FIELDS_OF_SHAPE.saturating_sub(shape.size));
        let mut walk = Walk::new(time.div_euclid(1_000_000_000), &mut room);
        shape.root.take(&body, self.others.get(&key), &mut walk);
        shape.bodies = shape.bodies.saturating_add(1);
        shape.first_seen = shape.first_seen.min(time);
        shape.last_seen = shape.last_seen.max(time);
        let (changes, is_news) = (std::mem::take(&mut walk.changes), walk.is_news);
        shape.unsaved = shape.unsaved.max(if is_news { Unsaved::News } else { Unsaved::Counts });
        if is_news {
            let before = std::mem::replace(&mut shape.size, shape.root.size());
            let after = shape.size;
            self.grow(&key.route.scope, before, after);
        }
        let change = |change: super::change::FieldChange| Change {
            time,
            kind: change.kind,
            route: key.route.clone(),
            body: Some((key.message, key.class)),
            field: change.field,
            before: change.before,
            after: change.after,
            example: Example::clone(&example),
        };
        changes.into_iter().take(MAX_CHANGES).map(change).collect()
    }

    /// The shapes of which as much is not stored.
    pub(crate) fn unsaved(&self, least: Unsaved) -> Vec<ShapeRow> {
        let unsaved = self.shapes.iter().filter(|(_, shape)| shape.unsaved >= least);
        let row = |(key, shape): (&ShapeKey, &Shape)| ShapeRow {
            key: key.clone(),
            has_inferred_route: shape.has_inferred_route,
            bodies: shape.bodies,
            first_seen: shape.first_seen,
            last_seen: shape.last_seen,
            root: shape.root.clone(),
            is_stored: shape.is_stored,
        };
        unsaved.map(row).collect()
    }

    /// Notes that rows are stored, except those that the store has lost, which were removed there.
    pub(crate) fn saved(&mut self, keys: &[ShapeKey], lost: &[ShapeKey]) {
        for key in keys {
            if let Some(shape) = self.shapes.get_mut(key) {
                (shape.unsaved, shape.is_stored) = (Unsaved::Nothing, true);
            }
        }
        lost.iter().for_each(|key| drop(self.remove(key)));
    }

    /// Gives shapes the routes under which learned patterns show them. Returns those that are no more, and their new route.
    pub(crate) fn fold(&mut self, patterns: &KnownPatterns) -> Vec<(ShapeKey, String)> {
        let inferred = self.shapes.iter().filter(|(_, shape)| shape.has_inferred_route);
        let moved: Vec<_> =
            inferred.filter_map(|(key, _)| Some((key.clone(), folded(&key.route, patterns)?))).collect();
        for (key, route) in &moved {
            let Some(shape) = self.remove(key) else { continue };
            let mut to = key.clone();
            to.route.route.clone_from(route);
            let before = self.shapes.get(&to).map_or(0, |shape| shape.size);
            let known = match self.shapes.entry(to) {
                std::collections::hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(Shape { unsaved: Unsaved::News, is_stored: false, ..shape })
                }
                std::collections::hash_map::Entry::Occupied(known) => {
                    let known = known.into_mut();
                    known.bodies = known.bodies.saturating_add(shape.bodies);
                    known.first_seen = known.first_seen.min(shape.first_seen);
                    known.last_seen = known.last_seen.max(shape.last_seen);
                    known.root.merge(shape.root);
                    known.unsaved = Unsaved::News;
                    known
                }
            };
            known.size = known.root.size();
            let after = known.size;
            self.grow(&key.route.scope, before, after);
        }
        moved
    }

    /// Removes the shapes that no body has had for this long, and returns their keys. The age counts from the latest body,
    /// or from `now` in Unix nanoseconds, whichever is earlier.
    pub(crate) fn expire(&mut self, age: Duration, now: i64) -> Vec<ShapeKey> {
        let newest = self.shapes.values().map(|shape| shape.last_seen).max();
        let since = before(newest.map_or(now, |newest| newest.min(now)), age);
        let old = self.shapes.iter().filter(|(_, shape)| shape.last_seen < since);
        let old: Vec<ShapeKey> = old.map(|(key, _)| key.clone()).collect();
        old.iter().for_each(|key| drop(self.remove(key)));
        old
    }

    fn remove(&mut self, key: &ShapeKey) -> Option<Shape> {
        let shape = self.shapes.remove(key)?;
        self.grow(&key.route.scope, shape.size, 0);
        Some(shape)
    }

    fn grow(&mut self, scope: &Scope, before: usize, after: usize) {
        self.fields = (self.fields + after).saturating_sub(before);
        let of_scope = self.by_scope.entry(scope.clone()).or_default();
        *of_scope = (*of_scope + after).saturating_sub(before);
        if *of_scope == 0 {
            self.by_scope.remove(scope);
        }
    }
}

/// The route under which learned patterns show another one.
pub(super) fn folded(route: &RouteKey, patterns: &KnownPatterns) -> Option<String> {
    patterns.get(&route.scope)?.patterns.fold(&route.route)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::change::ChangeKind;
    use crate::patterns::Learned;
    use gatelens_model::Message;
    use gatelens_routes::Patterns;
    use std::sync::Arc;

    fn sample(service: &str, route: &str, body: &str) -> Sample {
        let scope = Scope { service: service.to_owned(), ..Scope::default() };
        let route = RouteKey { scope, method: "GET".to_owned(), route: route.to_owned() };
        Sample {
            shape: ShapeKey { route, message: Message::Response, class: 2 },
            has_inferred_route: true,
            body: body.to_owned(),
            time: 5_000_000_000,
            example: Example { release: "1.2".to_owned(), ..Example::default() },
        }
    }

    #[test]
    fn a_change_names_its_body_and_its_release() {
        let (mut book, patterns) = (Book::default(), KnownPatterns::default());
        for _ in 0..20 {
            assert_eq!(book.take(sample("s", "/a", r#"{"a":1}"#), &patterns), []);
        }
        let changes = book.take(sample("s", "/a", r#"{"a":1,"b":[]}"#), &patterns);
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!(
            (change.kind, &*change.field, change.body),
            (ChangeKind::FieldNew, "/b", Some((Message::Response, 2)))
        );
        assert_eq!((&*change.example.release, &*change.route.route), ("1.2", "/a"));
        // Other bodies have a shape of their own.
        assert_eq!(book.take(sample("s", "/b", r#"{"c":1}"#), &patterns), []);
        assert_eq!(book.take(sample("s", "/a", r#"{"a":"#), &patterns), []);
    }

    #[test]
    fn shapes_of_routes_that_fold_become_one() {
        let (mut book, patterns) = (Book::default(), KnownPatterns::default());
        for route in ["/repos/a", "/repos/b", "/repos/search"] {
            book.take(sample("s", route, r#"{"a":1}"#), &patterns);
        }
        let rows = book.unsaved(Unsaved::News);
        book.saved(&rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), &[]);
        assert_eq!(book.unsaved(Unsaved::Counts).len(), 0);
        let learned = Patterns::read(r#"{"places":{"/repos":["search"]}}"#).unwrap();
        let scope = rows[0].key.route.scope.clone();
        patterns.put(scope, Arc::new(Learned::new(learned, 1)));
        assert_eq!(book.fold(&patterns).len(), 2);
        let rows = book.unsaved(Unsaved::Counts);
        let [row] = rows.as_slice() else { panic!("{rows:?}") };
        assert_eq!((&*row.key.route.route, row.bodies, row.root.size()), ("/repos/{param}", 2, 2));
        assert_eq!(book.fields, 4);
        book.take(sample("s", "/repos/c", r#"{"a":1}"#), &patterns);
        assert_eq!(book.unsaved(Unsaved::Counts)[0].bodies, 3);
    }

    #[test]
    fn one_service_does_not_take_the_room_of_others() {
        let (mut book, patterns) = (Book::default(), KnownPatterns::default());
        for number in 0..200 {
            let members: Vec<String> = (0..250)
                .map(|name| format!(r#""{}x":[[1]]"#, "y".repeat(name % 60 + 1) + &letters(name)))
                .collect();
            book.take(
                sample("greedy", &format!("/{}", letters(number)), &format!("{{{}}}", members.join(","))),
                &patterns,
            );
        }
        assert!(book.by_scope.values().all(|fields| *fields <= MAX_FIELDS_OF_SCOPE), "{:?}", book.by_scope);
        book.take(sample("other", "/a", r#"{"a":1}"#), &patterns);
        assert_eq!(book.by_scope.len(), 2);
        let second = Duration::from_secs(1);
        assert_eq!(book.expire(second, i64::MAX), []);
        let mut later = sample("other", "/a", r#"{"a":1}"#);
        later.time += 2_000_000_000;
        book.take(later, &patterns);
        let expired = book.expire(second, i64::MAX).len();
        assert_eq!((book.fields, book.by_scope.len(), expired > 2), (2, 1, true));
    }

    fn letters(number: usize) -> String {
        number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
    }
}
