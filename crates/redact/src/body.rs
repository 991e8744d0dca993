//! Redacts bodies: JSON, JSON by the line, forms, text, server-sent events.

mod embedded;
mod events;
mod known;
mod pass;
mod prose;
mod sliced;

use gatelens_model::OmissionReason;
use std::borrow::Cow;

use super::MASK;
use super::automaton::{Automaton, Edge, Walk};
use super::detect::Detectors;
use super::names::NameRules;
use super::parameters::{SecretMatcher, fields, redact_parameters};
use super::path::Path;
use super::rules::{Hits, RuleId};
use super::select::select;
use super::sniff::{Carrier, Sniffed, is_blank, sniff};
use super::tree::{NodeId, Tree};
use known::NameMemory;
use pass::JsonPass;
pub(crate) use sliced::{Slice, SlicedBody};

/// Kind of a body, by its media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// One JSON text.
    Json,
    /// A JSON text on every line.
    JsonLines,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// Text without a structure that paths could refer to. Text that is JSON is redacted as JSON.
    Text,
    /// `text/event-stream`: each event is redacted separately.
    EventStream,
}

/// The rules for the bodies of one message.
#[derive(Clone, Debug)]
pub(super) struct BodyRules {
    /// Plain paths.
    pub(super) plain: Automaton,
    /// All other paths.
    pub(super) queries: Vec<(Path, RuleId)>,
    /// Names of members.
    pub(super) keys: NameRules,
    /// What the rules mean for the names that bodies had so far.
    memory: NameMemory,
}

impl BodyRules {
    /// The rules by plain paths, other paths and names.
    pub(super) fn new(plain: Automaton, queries: Vec<(Path, RuleId)>, keys: NameRules) -> Self {
        Self { plain, queries, keys, memory: NameMemory::default() }
    }
}

/// Redacts bodies by these rules.
#[derive(Clone, Copy)]
pub(super) struct BodyRedactor<'r> {
    pub(super) body: &'r BodyRules,
    pub(super) query: &'r NameRules,
    pub(super) detectors: &'r Detectors,
}

impl BodyRedactor<'_> {
    /// What is kept of the text.
    pub(super) fn redact<'t>(
        &self,
        kind: BodyKind,
        text: &'t str,
        hits: &mut Hits,
    ) -> Result<Cow<'t, str>, OmissionReason> {
        match kind {
            BodyKind::Json => self.json(text, hits),
            BodyKind::JsonLines => self.lines(text, hits).map(Cow::Owned),
            BodyKind::Form => self.form(text, hits),
            BodyKind::Text => self.text(text, hits),
            BodyKind::EventStream => Ok(Cow::Owned(events::redact(self, text, hits))),
        }
    }

    fn json<'t>(&self, text: &'t str, hits: &mut Hits) -> Result<Cow<'t, str>, OmissionReason> {
        let mut selected = Vec::new();
        if !self.body.queries.is_empty() {
            selected = self.select(&Tree::parse(text)?, hits)?;
        }
        JsonPass::new(self, &self.body.plain, text, &selected, hits).run()
    }

    fn lines(&self, text: &str, hits: &mut Hits) -> Result<String, OmissionReason> {
        let mut out = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            if line.trim().is_empty() {
                out.push_str(line);
            } else {
                out.push_str(&self.json(line, hits)?);
            }
        }
        Ok(out)
    }

    /// To paths, a form is an object of strings. A name must not repeat where a path needs the tree.
    ///
    /// Some clients, curl among them, send a body without a content type of its own as a form. Such a body is redacted as
    /// JSON if it is JSON, and also as a form, unless its beginning leaves no doubt.
    fn form<'t>(&self, text: &'t str, hits: &mut Hits) -> Result<Cow<'t, str>, OmissionReason> {
        match sniff(text, Carrier::Body) {
            Sniffed::Json => self.json(text, hits),
            Sniffed::Perhaps => {
                let mut own = Hits::default();
                let Ok(json) = self.json(text, &mut own) else { return self.fields(text, hits) };
                let mut error = None;
                let as_json = Reading { text: json, hits: own };
                let kept = both(text, as_json, hits, |text, hits| {
                    self.fields(text, hits).map(Cow::into_owned).unwrap_or_else(|reason| {
                        error = Some(reason);
                        String::new()
                    })
                });
                error.map_or(Ok(kept), Err)
            }
            Sniffed::Text => self.fields(text, hits),
        }
    }

    fn fields<'t>(&self, text: &'t str, hits: &mut Hits) -> Result<Cow<'t, str>, OmissionReason> {
        let mut selected = Vec::new();
        if !self.body.queries.is_empty() {
            selected = self.select(&Tree::of_fields(fields(text.as_bytes()))?, hits)?;
        }
        let mut whole = selected.first() == Some(&0);
        let mut walk = Walk::new(&self.body.plain, |rule| {
            hits.add(rule, 1);
            whole = true;
        });
        walk.open();
        let mut matcher = FormMatcher { rules: self, selected: &selected, whole, walk, hits };
        match redact_parameters(text.as_bytes(), &mut matcher) {
            Cow::Borrowed(_) => Ok(Cow::Borrowed(text)),
            Cow::Owned(masked) => {
                String::from_utf8(masked).map(Cow::Owned).map_err(|_| OmissionReason::InvalidUtf8)
            }
        }
    }

    /// Text that is JSON is redacted as JSON, whatever its media type says. A quoted text may be a JSON string or not, so
    /// it is redacted as both.
    fn text<'t>(&self, text: &'t str, hits: &mut Hits) -> Result<Cow<'t, str>, OmissionReason> {
        match sniff(text, Carrier::Body) {
            Sniffed::Json => return self.json(text, hits),
            Sniffed::Perhaps => {
                let mut own = Hits::default();
                if let Ok(redacted) = self.json(text, &mut own) {
                    if !text.trim_start_matches(is_blank).starts_with('"') {
                        hits.take(own);
                        return Ok(redacted);
                    }
                    if redacted != text {
                        let as_json = Reading { text: redacted, hits: own };
                        let kept =
                            both(text, as_json, hits, |text, hits| self.prose(text, hits).into_owned());
                        // The JSON reading can reveal a name that its escapes hid from the text reading.
                        let settled = self.prose(&kept, &mut Hits::default()).into_owned();
                        return Ok(Cow::Owned(settled));
                    }
                }
            }
            Sniffed::Text => {}
        }
        Ok(self.prose(text, hits))
    }

    fn prose<'t>(&self, text: &'t str, hits: &mut Hits) -> Cow<'t, str> {
        match prose::redact(self, text, hits) {
            Cow::Borrowed(text) => self.detectors.redact(text, hits),
            Cow::Owned(redacted) => Cow::Owned(self.detectors.redact(&redacted, hits).into_owned()),
        }
    }

    /// The nodes that the queries select, in the order of the text.
    fn select(&self, tree: &Tree, hits: &mut Hits) -> Result<Vec<NodeId>, OmissionReason> {
        let mut all = Vec::new();
        for (path, rule) in &self.body.queries {
            let nodes = select(path, tree)?;
            hits.add(*rule, nodes.len() as u64);
            all.extend(nodes);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

/// What one way of reading a text leaves of it, and the rules that it hit.
struct Reading<'t> {
    text: Cow<'t, str>,
    hits: Hits,
}

/// What is kept of a text that is JSON but can also be read otherwise, as `other` reads it: what both ways keep. Where
/// they mask different parts, nothing is kept.
fn both<'t>(
    text: &'t str,
    as_json: Reading<'_>,
    hits: &mut Hits,
    mut other: impl FnMut(&str, &mut Hits) -> String,
) -> Cow<'t, str> {
    let mut other_hits = Hits::default();
    let as_other = other(text, &mut other_hits);
    // What is found in both ways counts once.
    hits.take(if as_json.hits.is_empty() { other_hits } else { as_json.hits });
    match (as_json.text == text, as_other == text) {
        (true, true) => Cow::Borrowed(text),
        (true, false) => Cow::Owned(as_other),
        (false, true) => Cow::Owned(as_json.text.into_owned()),
        (false, false) if other(&as_json.text, &mut Hits::default()) == as_other => Cow::Owned(as_other),
        (false, false) => Cow::Borrowed(MASK),
    }
}

/// Matches what is sensitive in a form, by the rules for queries, members and bodies.
struct FormMatcher<'r, 'h> {
    rules: &'r BodyRedactor<'r>,
    selected: &'h [NodeId],
    whole: bool,
    walk: Walk<'r>,
    hits: &'h mut Hits,
}

impl SecretMatcher for FormMatcher<'_, '_> {
    fn name(&mut self, name: &str) -> bool {
        self.rules.body.keys.hit_either(self.rules.query, None, name, self.hits)
    }

    fn parent<'n>(&self, name: &'n str) -> Option<&'n str> {
        self.rules.body.keys.parent(name).or_else(|| self.rules.query.parent(name))
    }

    fn member(&mut self, parent: Option<&str>, name: &str) -> bool {
        self.rules.body.keys.hit_either(self.rules.query, parent, name, self.hits)
    }

    fn text(&mut self, text: &str) -> bool {
        self.rules.detectors.hit(text, self.hits)
    }

    fn field(&mut self, index: usize, name: &str) -> bool {
        let node = NodeId::try_from(index).unwrap_or(NodeId::MAX).saturating_add(1);
        let mut chosen = self.whole || self.selected.binary_search(&node).is_ok();
        let hits = &mut *self.hits;
        self.walk.step(Edge::Name(name), |rule| {
            hits.add(rule, 1);
            chosen = true;
        });
        chosen | self.name(name)
    }
}

#[cfg(test)]
mod tests;
