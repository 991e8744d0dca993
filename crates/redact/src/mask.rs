//! The mask, and the matcher of secrets in URLs that headers, paths, queries and bodies share.

use crate::detect::Detectors;
use crate::names::NameRules;
use crate::parameters::SecretMatcher;
use crate::rules::Hits;

/// Replaces a masked value.
pub const MASK: &str = "[CLIENT_REDACTED]";

/// Matches secrets in a URL.
pub(crate) struct UrlMatcher<'a> {
    pub(crate) query: &'a NameRules,
    pub(crate) detectors: &'a Detectors,
    pub(crate) hits: &'a mut Hits,
}

impl SecretMatcher for UrlMatcher<'_> {
    fn name(&mut self, name: &str) -> bool {
        self.query.hit(name, self.hits)
    }

    fn parent<'n>(&self, name: &'n str) -> Option<&'n str> {
        self.query.parent(name)
    }

    fn member(&mut self, parent: Option<&str>, name: &str) -> bool {
        self.query.hit_within(parent, name, self.hits)
    }

    fn text(&mut self, text: &str) -> bool {
        self.detectors.hit(text, self.hits)
    }
}
