//! One pass over a JSON text.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use gatelens_model::OmissionReason;

use super::known::Names;
use super::{BodyRedactor, embedded};
use crate::automaton::{Automaton, Edge, Place, Walk};
use crate::json::{Position, Reader, Token, TokenKind, quote, unescape};
use crate::mask::MASK;
use crate::names::Found;
use crate::rules::Hits;
use crate::sniff::is_blank;
use crate::tree::NodeId;

/// One pass over a JSON text. It copies everything except masked values.
pub(super) struct JsonPass<'r, 't, 'h> {
    rules: &'r BodyRedactor<'r>,
    plain: &'r Automaton,
    /// Number of strings around the text.
    layer: u8,
    text: &'t str,
    /// Nodes that queries selected and that the pass has not reached yet.
    selected: std::iter::Peekable<std::iter::Copied<std::slice::Iter<'h, NodeId>>>,
    hits: &'h mut Hits,
    names: Names<'r>,
    /// Empty while nothing is masked.
    out: String,
    /// The text is copied or masked up to here.
    copied: usize,
    /// Number of the next value.
    node: NodeId,
    /// Depth of the masked array or object that is open.
    masked: Option<usize>,
    /// The name of the current member: where it stands, with its quotes, and whether it has escapes.
    name: (Range<usize>, bool),
    /// The meaning of the current member's name for its value.
    by_name: Option<Arc<Found>>,
    /// Whether the current member's name can make the names of members of its value sensitive.
    is_parent: bool,
    /// Whether a path begins with the current member's name at any depth.
    is_anywhere: bool,
    /// The open arrays and objects.
    open: Vec<Open>,
    /// Longest string that is searched, with its quotes.
    max_string: usize,
    /// Where it begins or continues; `None` at the beginning.
    from: Option<(Position, Option<Place>)>,
}

/// How far a pass has come.
pub(super) enum Progress<'t> {
    /// To the end. What is kept of the text: all of it is borrowed.
    Over(Cow<'t, str>),
    /// Not to the end.
    Paused(Box<Paused>),
}

/// A pass between two values: all but the text and the rules.
#[derive(Debug)]
pub(super) struct Paused {
    position: Position,
    place: Option<Place>,
    out: String,
    copied: usize,
    node: NodeId,
    masked: Option<usize>,
    open: Vec<Open>,
}

/// An open array or object.
#[derive(Debug)]
struct Open {
    /// Number of elements of an array so far; `None` for an object.
    elements: Option<u64>,
    /// The name around it, if it can make the names of members sensitive.
    parent: Option<Rc<str>>,
}

impl<'r, 't, 'h> JsonPass<'r, 't, 'h> {
    pub(super) fn new(
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
            names: Names::new(rules),
            out: String::new(),
            copied: 0,
            node: 0,
            masked: None,
            name: (0..0, false),
            by_name: None,
            is_parent: false,
            is_anywhere: false,
            open: Vec::new(),
            max_string: usize::MAX,
            from: None,
        }
    }

    /// Continues a pass of the same rules over the same text.
    pub(super) fn resume(self, paused: Paused) -> Self {
        let Paused { position, place, out, copied, node, masked, open } = paused;
        Self { out, copied, node, masked, open, from: Some((position, place)), ..self }
    }

    /// Omits a text with a longer string that must be searched.
    pub(super) fn with_strings_up_to(self, max_string: usize) -> Self {
        Self { max_string, ..self }
    }

    /// The text stands in a number of strings.
    pub(super) fn within(self, layer: u8) -> Self {
        Self { layer, ..self }
    }

    /// What is kept of the text. All of it is borrowed.
    pub(super) fn run(self) -> Result<Cow<'t, str>, OmissionReason> {
        match self.run_to(usize::MAX)? {
            Progress::Over(kept) => Ok(kept),
            // No text is that long.
            Progress::Paused(_) => Err(OmissionReason::Overload),
        }
    }

    /// Goes on to the end of the first value that ends at `stop` or behind it.
    pub(super) fn run_to(mut self, stop: usize) -> Result<Progress<'t>, OmissionReason> {
        let mut chosen = false;
        let (mut reader, mut walk) = match self.from.take() {
            Some((position, place)) => {
                let walk = place.map(|place| Walk::resume(self.plain, place));
                (Reader::resume(self.text, position), walk)
            }
            None => {
                let walk = (!self.plain.is_empty()).then(|| {
                    Walk::new(self.plain, |rule| {
                        self.hits.add(rule, 1);
                        chosen = true;
                    })
                });
                (Reader::new(self.text), walk)
            }
        };
        while let Some(token) = reader.next()? {
            match token.kind {
                TokenKind::Name => {
                    self.enter_member(&token)?;
                    continue;
                }
                TokenKind::ObjectEnd | TokenKind::ArrayEnd => {
                    self.open.pop();
                    if let Some(walk) = &mut walk {
                        walk.close();
                    }
                    if self.masked == Some(reader.depth()) {
                        self.masked = None;
                        self.copied = token.at.end;
                    }
                    continue;
                }
                _ => {}
            }
            if let Some(walk) = &mut walk {
                chosen |= self.step(walk);
            }
            let chosen = std::mem::take(&mut chosen) | self.is_sensitive(&token) | self.is_selected();
            if matches!(token.kind, TokenKind::Object | TokenKind::Array) {
                self.enter(token.kind);
                if let Some(walk) = &mut walk {
                    walk.open();
                }
            }
            match (self.masked, chosen) {
                (Some(_), _) => {}
                (None, true) => {
                    self.mask(token.at.clone());
                    if matches!(token.kind, TokenKind::Object | TokenKind::Array) {
                        self.masked = reader.depth().checked_sub(1);
                    }
                }
                (None, false) => self.detect(&token)?,
            }
            if token.at.end >= stop {
                return Ok(Progress::Paused(Box::new(self.pause(&reader, walk))));
            }
        }
        if self.copied == 0 && self.out.is_empty() {
            return Ok(Progress::Over(Cow::Borrowed(self.text)));
        }
        self.copy_to(self.text.len());
        Ok(Progress::Over(Cow::Owned(self.out)))
    }

    /// Behind a value. What the name of a member means is used up by its value.
    fn pause(mut self, reader: &Reader<'_>, walk: Option<Walk<'_>>) -> Paused {
        Paused {
            position: reader.position(),
            place: walk.map(Walk::place),
            out: std::mem::take(&mut self.out),
            copied: self.copied,
            node: self.node,
            masked: self.masked,
            open: std::mem::take(&mut self.open),
        }
    }

    /// Moves the paths to the current value. Returns whether one of them selects it.
    fn step(&mut self, walk: &mut Walk<'_>) -> bool {
        let (hits, mut chosen) = (&mut *self.hits, false);
        let selected = |rule| {
            hits.add(rule, 1);
            chosen = true;
        };
        match self.open.last_mut() {
            None => {}
            Some(Open { elements: None, .. }) => {
                let (at, escape) = &self.name;
                let name = || unquoted(self.text, at, *escape);
                if self.is_anywhere {
                    walk.step(Edge::Name(&name()), selected);
                } else if !walk.pass_by() {
                    walk.step(Edge::NameInPlace(&name()), selected);
                }
            }
            Some(Open { elements: Some(index), .. }) => {
                walk.step(Edge::Index(*index), selected);
                *index = index.saturating_add(1);
            }
        }
        chosen
    }

    /// Whether a query selected the current value. Advances to the next value.
    fn is_selected(&mut self) -> bool {
        let node = self.node;
        self.node = node.saturating_add(1);
        self.selected.next_if_eq(&node).is_some()
    }

    /// Finds out what the name of a member means.
    fn enter_member(&mut self, token: &Token) -> Result<(), OmissionReason> {
        self.check_length(token)?;
        let (text, escape) = (self.text, token.signs.escape);
        self.name = (token.at.clone(), escape);
        let name = || unquoted(text, &token.at, escape);
        let unescaped;
        let bytes = if escape {
            unescaped = name();
            unescaped.as_bytes()
        } else {
            // What stands between the quotes.
            let between = token.at.start.wrapping_add(1)..token.at.end.wrapping_sub(1);
            text.as_bytes().get(between).unwrap_or_default()
        };
        let known = self.names.of(bytes, name);
        self.is_parent = known.is_parent;
        self.is_anywhere = known.is_anywhere;
        let (may_be_within, holds_secret) = (known.may_be_within, known.holds_secret);
        self.by_name = known.found.clone();
        if may_be_within && let Some(Open { parent: Some(parent), .. }) = self.open.last() {
            self.by_name = self.names.within(parent, &name());
        }
        if holds_secret && self.masked.is_none() {
            let name = name();
            let redacted = self.rules.detectors.redact(&name, self.hits).into_owned();
            self.replace(token, &name, &redacted);
        }
        Ok(())
    }

    fn check_length(&self, token: &Token) -> Result<(), OmissionReason> {
        match token.at.len() > self.max_string {
            true => Err(OmissionReason::Overload),
            false => Ok(()),
        }
    }

    /// Enters an array or object.
    fn enter(&mut self, kind: TokenKind) {
        let parent = match self.open.last() {
            // Elements of an array have the name of the array.
            Some(Open { elements: Some(_), parent }) => parent.clone(),
            Some(_) if self.is_parent => {
                let (at, escape) = &self.name;
                self.rules.body.keys.parent(&unquoted(self.text, at, *escape)).map(Rc::from)
            }
            _ => None,
        };
        self.open.push(Open { elements: (kind == TokenKind::Array).then_some(0), parent });
    }

    /// Whether the current value must be masked because of its name. Counts hits of the rules that match.
    fn is_sensitive(&mut self, token: &Token) -> bool {
        let Some(found) = self.by_name.take() else { return false };
        let sensitive = found.extent.covers(token.kind, self.raw(token));
        if sensitive {
            found.count(self.hits);
        }
        sensitive
    }

    /// Masks secrets within a string, and a number that is a secret.
    fn detect(&mut self, token: &Token) -> Result<(), OmissionReason> {
        match token.kind {
            TokenKind::String if self.may_hold_secret(token) => {
                self.check_length(token)?;
                let text = unquoted(self.text, &token.at, token.signs.escape);
                let (rules, layer, hits) = (self.rules, self.layer, &mut *self.hits);
                let inner = if text.trim_start_matches(is_blank).starts_with(['{', '[', '"']) {
                    self.names.lend(|| embedded::redact(rules, &text, layer, hits))
                } else {
                    embedded::redact(rules, &text, layer, hits)
                };
                let redacted = self.rules.detectors.redact(&inner, self.hits);
                self.replace(token, &text, &redacted);
            }
            TokenKind::Number
                if self.rules.detectors.look_at_numbers()
                    && self.rules.detectors.hit_number(self.raw(token), self.hits) =>
            {
                self.mask(token.at.clone());
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a string must be searched. False for most.
    #[inline]
    fn may_hold_secret(&self, token: &Token) -> bool {
        let raw = self.text.as_bytes().get(token.at.clone()).unwrap_or_default();
        token.signs.escape
            || token.signs.separator
            || embedded::is_candidate(raw)
            || self.rules.detectors.may_be_in(raw)
    }

    /// The text of a token, as written.
    fn raw(&self, token: &Token) -> &'t str {
        self.text.get(token.at.clone()).unwrap_or_default()
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
        if self.out.is_empty() {
            self.out.reserve(self.text.len());
        }
        self.out.push_str(self.text.get(self.copied..end).unwrap_or_default());
        self.copied = end;
    }
}

/// The value of a string or name of the text, which stands there with its quotes, without escapes.
#[cfg_attr(target_arch = "wasm32", inline(never))]
fn unquoted<'t>(text: &'t str, at: &Range<usize>, escape: bool) -> Cow<'t, str> {
    let raw = text.get(at.clone()).unwrap_or_default();
    if escape {
        return unescape(raw);
    }
    Cow::Borrowed(raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default())
}
