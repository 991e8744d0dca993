//! Routes of the request log under the learned patterns: a row keeps the route that its gateway gave, and is shown and
//! found under the route that it has now.

use super::row::Sender;
use crate::model::{RequestEvent, Scope};
use crate::patterns::Learned;
use crate::query::open_counts;
use crate::store::{DataDir, load_patterns};
use gatelens_model::value;
use gatelens_routes::Patterns;
use std::collections::HashMap;
use std::time::Duration;

/// The patterns of all scopes, and the routes that they were asked for.
#[derive(Default)]
pub(super) struct Folding {
    scopes: HashMap<Scope, Folded>,
}

struct Folded {
    patterns: Patterns,
    known: HashMap<String, Option<String>>,
}

impl Folding {
    /// Under the patterns in force. Without a file of counters that can be read, rows keep their routes.
    pub(super) fn read(directory: &DataDir, timeout: Duration) -> Self {
        let stored = open_counts(directory, timeout).ok().and_then(|file| load_patterns(&file).ok());
        let scopes = stored.into_iter().flatten().map(|(scope, Learned { patterns, .. })| {
            let known = HashMap::new();
            (scope, Folded { patterns, known })
        });
        Self { scopes: scopes.collect() }
    }

    /// Gives the requests of one sender the routes that they have now.
    pub(super) fn apply(&mut self, sender: &Sender, events: &mut [RequestEvent]) {
        // A sender is of one direction.
        let Some(direction) =
            events.first().map(|event| event.direction.as_deref().unwrap_or(value::INBOUND))
        else {
            return;
        };
        let scope = Scope {
            service: sender.service.to_string(),
            environment: sender.environment.to_string(),
            direction: direction.to_owned(),
        };
        let Some(Folded { patterns, known }) = self.scopes.get_mut(&scope) else { return };
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
