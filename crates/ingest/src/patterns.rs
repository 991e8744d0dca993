//! The learned route patterns in force, by scope.

use crate::model::{Scope, SeriesKey};
use gatelens_model::route_patterns::version;
use gatelens_routes::Patterns;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The patterns of one scope, and their names.
#[derive(Debug)]
pub(crate) struct Learned {
    pub(crate) patterns: Patterns,
    /// The text that gateways take.
    pub(crate) text: String,
    /// [`version`] of the text.
    pub(crate) version: String,
    /// Requests of the scope that it was learned from.
    pub(crate) requests: u64,
}

impl Learned {
    pub(crate) fn new(patterns: Patterns, requests: u64) -> Self {
        let text = patterns.write();
        Self { version: version(&text), text, patterns, requests }
    }
}

/// The patterns in force. The writer of counters puts them in force once they are stored; answers, and the writer
/// itself, read them.
#[derive(Debug, Default)]
pub(crate) struct KnownPatterns(RwLock<HashMap<Scope, Arc<Learned>>>);

impl KnownPatterns {
    pub(crate) fn get(&self, scope: &Scope) -> Option<Arc<Learned>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(scope).cloned()
    }

    pub(crate) fn put(&self, scope: Scope, learned: Arc<Learned>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(scope, learned);
    }

    pub(crate) fn remove(&self, scope: &Scope) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(scope);
    }

    pub(crate) fn all(&self) -> HashMap<Scope, Arc<Learned>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The route under which requests of a series belong now; `None` when that is its own. Only an inferred route is ever
/// another one: a configured template stays, whatever was learned.
pub(crate) fn folded(series: &SeriesKey, patterns: &Patterns) -> Option<String> {
    if series.has_inferred_route() { patterns.fold(&series.route) } else { None }
}
