//! A JSON value as a flat list of nodes, in the order in which they stand in the text.
//!
//! The number of a node is its rank in that order. The descendants of a node are the numbers up to its `end`, and a pass
//! over the text finds the current node by counting values. Neither building nor dropping a tree recurses.

use gatelens_model::OmissionReason;
use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::json::{Reader, TokenKind, unescape};

/// Number of a node.
pub(super) type NodeId = u32;

/// A JSON value and its descendants.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// All names and strings.
    text: String,
}

#[derive(Debug)]
struct Node {
    value: Stored,
    /// Its name in an object.
    name: Range<usize>,
    /// The number after its last descendant.
    end: NodeId,
}

#[derive(Debug)]
enum Stored {
    Object,
    Array,
    String(Range<usize>),
    Number { value: f64, exact: bool },
    Bool(bool),
    Null,
}

/// A value as rules see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'t> {
    Object,
    Array,
    String(&'t str),
    Number {
        value: f64,
        /// Whether `value` is exactly the number in the text.
        exact: bool,
    },
    Bool(bool),
    Null,
}

impl Tree {
    /// Reads a JSON text.
    pub(super) fn parse(text: &str) -> Result<Self, OmissionReason> {
        let mut tree = Self::empty();
        let mut reader = Reader::new(text);
        let mut open: Vec<NodeId> = Vec::new();
        let mut name = 0..0;
        let mut names = ObjectNames::default();
        while let Some(token) = reader.next()? {
            let raw = text.get(token.at).unwrap_or_default();
            let value = match token.kind {
                TokenKind::Name => {
                    name = tree.keep(&unescape(raw));
                    names.add(open.last().copied().unwrap_or_default(), name.clone(), &tree.text)?;
                    continue;
                }
                TokenKind::ObjectEnd | TokenKind::ArrayEnd => {
                    if let Some(id) = open.pop() {
                        tree.close(id);
                    }
                    continue;
                }
                TokenKind::Object => Stored::Object,
                TokenKind::Array => Stored::Array,
                TokenKind::String => Stored::String(tree.keep(&unescape(raw))),
                TokenKind::Number => number(raw),
                TokenKind::True => Stored::Bool(true),
                TokenKind::False => Stored::Bool(false),
                TokenKind::Null => Stored::Null,
            };
            let id = tree.push(value, std::mem::take(&mut name));
            if matches!(token.kind, TokenKind::Object | TokenKind::Array) {
                open.push(id);
            }
        }
        Ok(tree)
    }

    /// A form as an object of strings. Field number `n` is node `n + 1`.
    pub(super) fn of_fields(fields: impl Iterator<Item = (String, String)>) -> Result<Self, OmissionReason> {
        let mut tree = Self::empty();
        let mut names = ObjectNames::default();
        tree.push(Stored::Object, 0..0);
        for (name, value) in fields {
            let at = tree.keep(&name);
            names.add(0, at.clone(), &tree.text)?;
            let value = tree.keep(&value);
            tree.push(Stored::String(value), at);
        }
        tree.close(0);
        Ok(tree)
    }

    fn empty() -> Self {
        Self { nodes: Vec::new(), text: String::new() }
    }

    fn push(&mut self, value: Stored, name: Range<usize>) -> NodeId {
        let id = NodeId::try_from(self.nodes.len()).unwrap_or(NodeId::MAX);
        self.nodes.push(Node { value, name, end: id.saturating_add(1) });
        id
    }

    fn close(&mut self, id: NodeId) {
        let end = NodeId::try_from(self.nodes.len()).unwrap_or(NodeId::MAX);
        if let Some(node) = self.nodes.get_mut(id as usize) {
            node.end = end;
        }
    }

    fn keep(&mut self, text: &str) -> Range<usize> {
        let start = self.text.len();
        self.text.push_str(text);
        start..self.text.len()
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The number after the node's last descendant.
    pub(super) fn end(&self, id: NodeId) -> NodeId {
        self.nodes.get(id as usize).map_or(id.saturating_add(1), |node| node.end)
    }

    /// The value of a node.
    pub(super) fn value(&self, id: NodeId) -> Value<'_> {
        match self.nodes.get(id as usize).map(|node| &node.value) {
            Some(Stored::Object) => Value::Object,
            Some(Stored::Array) => Value::Array,
            Some(Stored::String(at)) => Value::String(self.text.get(at.clone()).unwrap_or_default()),
            Some(Stored::Number { value, exact }) => Value::Number { value: *value, exact: *exact },
            Some(Stored::Bool(value)) => Value::Bool(*value),
            Some(Stored::Null) | None => Value::Null,
        }
    }

    /// Whether a node is an object.
    pub(super) fn is_object(&self, id: NodeId) -> bool {
        matches!(self.nodes.get(id as usize), Some(Node { value: Stored::Object, .. }))
    }

    /// Whether a node is an array.
    pub(super) fn is_array(&self, id: NodeId) -> bool {
        matches!(self.nodes.get(id as usize), Some(Node { value: Stored::Array, .. }))
    }

    /// The name of a member.
    pub(super) fn name(&self, id: NodeId) -> &str {
        let name = self.nodes.get(id as usize).map(|node| node.name.clone());
        name.and_then(|at| self.text.get(at)).unwrap_or_default()
    }

    /// The children of a node.
    pub(super) fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let end = self.end(id);
        let first = id.saturating_add(1);
        std::iter::successors(Some(first), |child| Some(self.end(*child)))
            .take_while(move |child| *child < end)
    }
}

/// The names of all objects, as positions in the text of the tree, so that none is copied.
#[derive(Default)]
struct ObjectNames {
    hasher: DefaultHashBuilder,
    /// The object, and its name.
    seen: HashTable<(NodeId, Range<usize>)>,
}

impl ObjectNames {
    fn add(&mut self, object: NodeId, name: Range<usize>, text: &str) -> Result<(), OmissionReason> {
        let read = |at: &Range<usize>| text.get(at.clone()).unwrap_or_default();
        let hash = |(object, at): &(NodeId, Range<usize>)| self.hasher.hash_one((object, read(at)));
        let entry = (object, name);
        let same = |other: &(NodeId, Range<usize>)| other.0 == object && read(&other.1) == read(&entry.1);
        let hashed = hash(&entry);
        if self.seen.find(hashed, same).is_some() {
            return Err(OmissionReason::DuplicateNames);
        }
        self.seen.insert_unique(hashed, entry, hash);
        Ok(())
    }
}

fn number(raw: &str) -> Stored {
    let value = raw.parse::<f64>().unwrap_or(f64::INFINITY);
    Stored::Number { value, exact: is_exact(raw, value) }
}

/// Whether a float represents the number unambiguously: an exact integer, or a decimal of at most 17 digits within the
/// range.
pub(super) fn is_exact(raw: &str, value: f64) -> bool {
    let digits = raw.split(['e', 'E']).next().unwrap_or_default().trim_start_matches(['-', '0', '.']);
    let significant = digits.bytes().filter(u8::is_ascii_digit).count();
    if !value.is_finite() || (value == 0.0 && significant > 0) {
        return false;
    }
    if raw.contains(['.', 'e', 'E']) {
        return significant <= 17;
    }
    // 2^53 has 16 digits. Longer numbers are compared as integers of 128 bits.
    significant <= 15
        || raw.parse::<i128>().is_ok_and(|integer| value.abs() < 1e30 && value as i128 == integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_numbered_in_the_order_of_the_text() {
        let tree = Tree::parse(r#"{"a": [1, {"b": "x"}], "c": null}"#).unwrap();
        assert_eq!(tree.len(), 6);
        assert_eq!(tree.children(0).map(|id| (id, tree.name(id))).collect::<Vec<_>>(), [(1, "a"), (5, "c")]);
        assert_eq!(tree.children(1).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((tree.end(1), tree.end(3)), (5, 5));
        assert_eq!(tree.value(4), Value::String("x"));
        assert_eq!(tree.children(4).next(), None);
    }

    #[test]
    fn names_may_not_repeat() {
        let check = |text: &str, reason: Option<OmissionReason>| {
            assert_eq!(Tree::parse(text).err(), reason, "{text}")
        };
        check(r#"{"a":1,"a":2}"#, Some(OmissionReason::DuplicateNames));
        check(r#"{"a":1,"\u0061":2}"#, Some(OmissionReason::DuplicateNames));
        check(r#"[{"a":1},{"a":{"a":2}}]"#, None);
    }

    #[test]
    fn numbers_that_a_float_does_not_hold_are_known() {
        let check = |raw: &str, exact: bool| assert_eq!(is_exact(raw, raw.parse().unwrap()), exact, "{raw}");
        for raw in
            ["0", "-0", "0.0", "1e5", "9007199254740992", "1152921504606846976", "0.1", "-12.50", "1e308"]
        {
            check(raw, true);
        }
        for raw in [
            "9007199254740993",
            "1e999",
            "1e-999",
            "0.12345678901234567890",
            "123456789012345678901234567890",
        ] {
            check(raw, false);
        }
    }
}
