//! Routes of the request log under the learned patterns: a row keeps the route that its gateway gave, and is shown and
//! found under the route that it has now.

use super::row::Sender;
use crate::model::{RequestEvent, Scope};
use crate::store::load_patterns_of;
use gatelens_routes::Patterns;
use rusqlite::Connection;
use std::collections::HashMap;

/// The patterns of the scopes that came up so far, and the routes that they were asked for.
pub(super) struct Folding<'a> {
    /// `None` where the file of counters cannot be read: then rows keep their routes.
    counts: Option<&'a Connection>,
    /// `None` for a scope without patterns.
    scopes: HashMap<Scope, Option<Folded>>,
}

struct Folded {
    patterns: Patterns,
    known: HashMap<String, Option<String>>,
}

impl<'a> Folding<'a> {
    /// Under the patterns in force.
    pub(super) fn of(counts: Option<&'a Connection>) -> Self {
        Self { counts, scopes: HashMap::new() }
    }

    /// Gives the requests of one sender the routes that they have now.
    pub(super) fn apply(&mut self, sender: &Sender, events: &mut [RequestEvent]) {
        // A sender is of one direction.
        let Some(direction) = events.first().map(|event| event.direction()) else {
            return;
        };
        let scope = Scope {
            service: sender.service.to_string(),
            environment: sender.environment.to_string(),
            direction: direction.to_owned(),
        };
        let counts = self.counts;
        let folded = self.scopes.entry(scope).or_insert_with_key(|scope| Folded::load(counts?, scope));
        let Some(Folded { patterns, known }) = folded else { return };
        for event in events.iter_mut().filter(|event| event.has_inferred_route()) {
            if !known.contains_key(&event.route) {
                known.insert(event.route.clone(), patterns.fold(&event.route));
            }
            if let Some(Some(route)) = known.get(&event.route) {
                event.route.clone_from(route);
            }
        }
    }
}

impl Folded {
    /// Patterns that cannot be read fold nothing, as if there were none.
    fn load(counts: &Connection, scope: &Scope) -> Option<Self> {
        let learned = load_patterns_of(counts, scope).ok()??;
        Some(Self { patterns: learned.patterns, known: HashMap::new() })
    }
}
