//! Redacts bodies: JSON, JSON by the line, forms, text, server-sent events.

mod embedded;
mod events;
mod prose;

use gatelens_model::OmissionReason;
use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use hashbrown::HashMap;

use super::MASK;
use super::automaton::{Automaton, Edge, Walk};
use super::detect::Detectors;
use super::json::{Reader, Token, TokenKind, quote, unescape};
use super::names::{Found, NameRules};
use super::parameters::{SecretMatcher, fields, redact_parameters};
use super::path::Path;
use super::rules::{Hits, RuleId};
use super::select::select;
use super::sniff::{Carrier, Sniffed, is_blank, sniff};
use super::tree::{NodeId, Tree};

/// Number of different member names for which the matching rules are remembered within a body.
const MAX_REMEMBERED: usize = 512;

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
}

/// Redacts bodies by these rules.
#[derive(Clone, Copy)]
pub(super) struct BodyRedactor<'r> {
    pub(super) body: &'r BodyRules,
    pub(super) query: &'r NameRules,
    pub(super) detectors: &'r Detectors,
}

impl BodyRedactor<'_> {
    pub(super) fn redact(
        &self,
        kind: BodyKind,
        text: &str,
        hits: &mut Hits,
    ) -> Result<String, OmissionReason> {
        match kind {
            BodyKind::Json => self.json(text, hits),
            BodyKind::JsonLines => self.lines(text, hits),
            BodyKind::Form => self.form(text, hits),
            BodyKind::Text => self.text(text, hits),
            BodyKind::EventStream => Ok(events::redact(self, text, hits)),
        }
    }

    fn json(&self, text: &str, hits: &mut Hits) -> Result<String, OmissionReason> {
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
    fn form(&self, text: &str, hits: &mut Hits) -> Result<String, OmissionReason> {
        match sniff(text, Carrier::Body) {
            Sniffed::Json => self.json(text, hits),
            Sniffed::Perhaps => {
                let mut own = Hits::default();
                let Ok(json) = self.json(text, &mut own) else { return self.fields(text, hits) };
                let mut error = None;
                let as_json = Reading { text: Cow::Owned(json), hits: own };
                let kept = both(text, as_json, hits, |text, hits| {
                    self.fields(text, hits).unwrap_or_else(|reason| {
                        error = Some(reason);
                        String::new()
                    })
                });
                error.map_or(Ok(kept.into_owned()), Err)
            }
            Sniffed::Text => self.fields(text, hits),
        }
    }

    fn fields(&self, text: &str, hits: &mut Hits) -> Result<String, OmissionReason> {
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
        let masked = redact_parameters(text.as_bytes(), &mut matcher).into_owned();
        String::from_utf8(masked).map_err(|_| OmissionReason::InvalidUtf8)
    }

    /// Text that is JSON is redacted as JSON, whatever its media type says. A quoted text may be a JSON string or not, so
    /// it is redacted as both.
    fn text(&self, text: &str, hits: &mut Hits) -> Result<String, OmissionReason> {
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
                        let as_json = Reading { text: Cow::Owned(redacted), hits: own };
                        let kept = both(text, as_json, hits, |text, hits| self.prose(text, hits));
                        // The JSON reading can reveal a name that its escapes hid from the text reading.
                        return Ok(self.prose(&kept, &mut Hits::default()));
                    }
                }
            }
            Sniffed::Text => {}
        }
        Ok(self.prose(text, hits))
    }

    fn prose(&self, text: &str, hits: &mut Hits) -> String {
        let redacted = prose::redact(self, text, hits);
        self.detectors.redact(&redacted, hits).into_owned()
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

/// One pass over a JSON text. It copies everything except masked values.
struct JsonPass<'r, 't, 'h> {
    rules: &'r BodyRedactor<'r>,
    plain: &'r Automaton,
    /// Number of strings around the text.
    layer: u8,
    text: &'t str,
    /// Nodes that queries selected and that the pass has not reached yet.
    selected: std::iter::Peekable<std::iter::Copied<std::slice::Iter<'h, NodeId>>>,
    hits: &'h mut Hits,
    known: HashMap<&'t str, Rc<Found>>,
    out: String,
    /// The text is copied or masked up to here.
    copied: usize,
    /// Number of the next value.
    node: NodeId,
    /// Depth of the masked array or object that is open.
    masked: Option<usize>,
    /// The meaning of the current member's name for its value.
    by_name: Option<Rc<Found>>,
    /// For each open array and object, the name around it, if it can make the names of members sensitive.
    parents: Vec<Option<Rc<str>>>,
}

impl<'r, 't, 'h> JsonPass<'r, 't, 'h> {
    fn new(
        rules: &'r BodyRedactor<'r>,
        plain: &'r Automaton,
        text: &'t str,
        selected: &'h [NodeId],
        hits: &'h mut Hits,
    ) -> Self {
        Self {
            rules,
            plain,
            layer: 0,
            text,
            selected: selected.iter().copied().peekable(),
            hits,
            known: HashMap::new(),
            out: String::with_capacity(text.len()),
            copied: 0,
            node: 0,
            masked: None,
            by_name: None,
            parents: Vec::new(),
        }
    }

    fn run(mut self) -> Result<String, OmissionReason> {
        let mut reader = Reader::new(self.text);
        let mut chosen = false;
        let mut walk = Walk::new(self.plain, |rule| {
            self.hits.add(rule, 1);
            chosen = true;
        });
        // For each open array the number of elements so far; `None` for an open object.
        let mut open: Vec<Option<u64>> = Vec::new();
        let mut name = Cow::Borrowed("");
        while let Some(token) = reader.next()? {
            match token.kind {
                TokenKind::Name => {
                    name = self.unescaped(&token);
                    self.by_name = self.find(&token, &name);
                    self.detect_in_name(&token, &name);
                    continue;
                }
                TokenKind::ObjectEnd | TokenKind::ArrayEnd => {
                    open.pop();
                    self.parents.pop();
                    walk.close();
                    if self.masked == Some(reader.depth()) {
                        self.masked = None;
                        self.copied = token.at.end;
                    }
                    continue;
                }
                _ => {}
            }
            let hits = &mut *self.hits;
            let mut selected = |rule| {
                hits.add(rule, 1);
                chosen = true;
            };
            match open.last_mut() {
                None => {}
                Some(None) => walk.step(Edge::Name(&name), &mut selected),
                Some(Some(index)) => {
                    walk.step(Edge::Index(*index), &mut selected);
                    *index = index.saturating_add(1);
                }
            }
            let chosen = std::mem::take(&mut chosen) | self.is_sensitive(&token) | self.is_selected();
            if matches!(token.kind, TokenKind::Object | TokenKind::Array) {
                // Elements of an array have the name of the array.
                let parent = match open.last() {
                    Some(Some(_)) => self.parents.last().cloned().flatten(),
                    _ => self.rules.body.keys.parent(&name).map(Rc::from),
                };
                self.parents.push(parent);
                open.push((token.kind == TokenKind::Array).then_some(0));
                walk.open();
                if chosen && self.masked.is_none() {
                    self.mask(token.at);
                    self.masked = reader.depth().checked_sub(1);
                }
            } else if chosen && self.masked.is_none() {
                self.mask(token.at);
            } else {
                self.detect(&token);
            }
        }
        self.copy_to(self.text.len());
        Ok(self.out)
    }

    /// Whether a query selected the current value. Advances to the next value.
    fn is_selected(&mut self) -> bool {
        let node = self.node;
        self.node = node.saturating_add(1);
        self.selected.next_if_eq(&node).is_some()
    }

    /// The rules that match a name.
    fn find(&mut self, token: &Token, name: &str) -> Option<Rc<Found>> {
        let keys = &self.rules.body.keys;
        if let Some(Some(parent)) = self.parents.last()
            && keys.may_be_within(name)
        {
            return Some(Rc::new(keys.find_within(Some(parent), name)));
        }
        if !keys.may_be_sensitive(name) {
            return None;
        }
        let raw = self.raw(token);
        if let Some(found) = self.known.get(raw) {
            return Some(Rc::clone(found));
        }
        let found = Rc::new(keys.find(name));
        if self.known.len() < MAX_REMEMBERED {
            self.known.insert(raw, Rc::clone(&found));
        }
        Some(found)
    }

    /// Whether the current value must be masked because of its name. Counts hits of the rules that match.
    fn is_sensitive(&mut self, token: &Token) -> bool {
        let Some(found) = self.by_name.take() else { return false };
        let sensitive = !found.is_empty() && found.extent.covers(token.kind, self.raw(token));
        if sensitive {
            found.count(self.hits);
        }
        sensitive
    }

    /// Masks matches of the detectors in a name.
    fn detect_in_name(&mut self, token: &Token, name: &str) {
        if self.masked.is_none() && self.rules.detectors.may_be_in(name) {
            let redacted = self.rules.detectors.redact(name, self.hits);
            self.replace(token, name, &redacted);
        }
    }

    /// Masks secrets within a string, and a number that is a secret.
    fn detect(&mut self, token: &Token) {
        if self.masked.is_some() {
            return;
        }
        let raw = self.raw(token);
        match token.kind {
            TokenKind::String
                if token.escaped || embedded::is_candidate(raw) || self.rules.detectors.may_be_in(raw) =>
            {
                let text = self.unescaped(token);
                let inner = embedded::redact(self.rules, &text, self.layer, self.hits);
                let redacted = self.rules.detectors.redact(&inner, self.hits);
                self.replace(token, &text, &redacted);
            }
            TokenKind::Number if self.rules.detectors.hit_number(raw, self.hits) => {
                self.mask(token.at.clone())
            }
            _ => {}
        }
    }

    /// The text of a token, as written.
    fn raw(&self, token: &Token) -> &'t str {
        self.text.get(token.at.clone()).unwrap_or_default()
    }

    /// The value of a string or name, without escapes.
    fn unescaped(&self, token: &Token) -> Cow<'t, str> {
        let raw = self.raw(token);
        if token.escaped {
            return unescape(raw);
        }
        Cow::Borrowed(raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default())
    }

    /// Writes the redacted string if it differs.
    fn replace(&mut self, token: &Token, text: &str, redacted: &str) {
        if redacted != text {
            self.copy_to(token.at.start);
            quote(redacted, &mut self.out);
            self.copied = token.at.end;
        }
    }

    fn mask(&mut self, at: Range<usize>) {
        self.copy_to(at.start);
        quote(MASK, &mut self.out);
        self.copied = at.end;
    }

    fn copy_to(&mut self, end: usize) {
        self.out.push_str(self.text.get(self.copied..end).unwrap_or_default());
        self.copied = end;
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
