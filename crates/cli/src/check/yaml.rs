//! YAML and JSON as a tree that knows where each part stands in the file.

use std::collections::HashMap;
use std::fmt;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::{Map, Number, Value};

/// Aliases can make a small file a large tree; no configuration is larger than this.
const MAX_NODES: usize = 1_000_000;

/// A place in a file, from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    Scalar { text: String, style: ScalarStyle },
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

/// Why a file is no YAML.
#[derive(Debug, thiserror::Error)]
pub(super) enum YamlError {
    #[error("no YAML: {message}")]
    Syntax { place: Place, message: String },
    #[error("aliases make this more than {MAX_NODES} values")]
    TooLarge { place: Place },
}

impl YamlError {
    pub(super) fn place(&self) -> Place {
        match self {
            YamlError::Syntax { place, .. } | YamlError::TooLarge { place } => *place,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Reads all documents of a text.
///
/// # Errors
/// [`YamlError`].
pub(super) fn documents(text: &str) -> Result<Vec<Node>, YamlError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        builder.take(event, span)?;
    }
    Ok(builder.done)
}

impl Node {
    /// The value of a member.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The value at the end of a path of members.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The elements of a sequence; none for anything else.
    pub(super) fn elements(&self) -> &[Node] {
        match &self.content {
            Content::Sequence(nodes) => nodes,
            _ => &[],
        }
    }

    /// The members of a mapping; none for anything else.
    pub(super) fn members(&self) -> &[(Node, Node)] {
        match &self.content {
            Content::Mapping(members) => members,
            _ => &[],
        }
    }

    /// Where a path like `routes.templates[3]` leads: the key for a member, the value for an element, and where the path
    /// leaves the tree, the last part that exists.
    pub(super) fn find(&self, path: &str) -> Place {
        let (mut node, mut place, mut rest) = (self, self.place, path);
        while !rest.is_empty() {
            rest = rest.trim_start_matches('.');
            if let Some((index, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                let Some(element) = index.parse().ok().and_then(|index: usize| node.elements().get(index))
                else {
                    break;
                };
                (node, place, rest) = (element, element.place, after);
                continue;
            }
            // A key may itself have dots and brackets: the longest one that fits is meant.
            let fits = |key: &str| {
                rest.strip_prefix(key).is_some_and(|after| after.is_empty() || after.starts_with(['.', '[']))
            };
            let named = node.members().iter().filter(|(key, _)| key.text().is_some_and(fits));
            let Some((key, value)) = named.max_by_key(|(key, _)| key.text().map(str::len)) else { break };
            rest = rest.get(key.text().map_or(0, str::len)..).unwrap_or_default();
            (node, place) = (value, key.place);
        }
        place
    }

    /// The tree as JSON, plain scalars by YAML's core schema.
    pub(super) fn json(&self) -> Value {
        match &self.content {
            Content::Scalar { text, style: ScalarStyle::Plain } => plain(text),
            Content::Scalar { text, .. } => Value::String(text.clone()),
            Content::Sequence(nodes) => Value::Array(nodes.iter().map(Node::json).collect()),
            Content::Mapping(members) => {
                let pairs = members.iter().map(|(key, value)| {
                    (key.text().map_or_else(|| key.json().to_string(), str::to_owned), value.json())
                });
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// Where in the file a place in this scalar's text is, as well as that can be told.
    pub(super) fn place_in_text(&self, file: &str, inner: Place) -> Place {
        let Content::Scalar { text, style } = &self.content else { return self.place };
        let lines: Vec<&str> = file.lines().collect();
        let found = match style {
            ScalarStyle::Literal => in_literal(&lines, self.place, text, inner),
            ScalarStyle::DoubleQuoted => in_double_quotes(&lines, self.place, inner),
            ScalarStyle::SingleQuoted => in_line(&lines, self.place, 1, text, inner),
            ScalarStyle::Plain => in_line(&lines, self.place, 0, text, inner),
            ScalarStyle::Folded => None,
        };
        found.unwrap_or(self.place)
    }

    fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        self.members().iter().find(|(known, _)| known.text() == Some(key))
    }
}

/// A literal block repeats its lines as they are, each after the same indentation.
fn in_literal(lines: &[&str], start: Place, text: &str, inner: Place) -> Option<Place> {
    let matches = |first: usize| {
        text.lines()
            .enumerate()
            .all(|(index, line)| lines.get(first + index).is_some_and(|whole| whole.ends_with(line)))
    };
    // The scalar begins at its `|` or, after blank lines, at its first line with something in it.
    let blank = text.lines().take_while(|line| line.is_empty()).count();
    let first = (start.line.saturating_sub(1 + blank)..=start.line).find(|first| matches(*first))?;
    let line = first + inner.line.max(1) - 1;
    let own = text.lines().nth(inner.line.max(1) - 1)?.chars().count();
    let indentation = lines.get(line)?.chars().count().checked_sub(own)?;
    Some(Place { line: line + 1, column: indentation + inner.column.max(1) })
}

/// Follows the escapes up to the place.
fn in_double_quotes(lines: &[&str], start: Place, inner: Place) -> Option<Place> {
    let mut source = lines.get(start.line.checked_sub(1)?)?.chars().enumerate().skip(start.column);
    let mut at = Place { line: 1, column: 1 };
    loop {
        let (column, char) = source.next()?;
        if at == inner {
            return Some(Place { line: start.line, column: column + 1 });
        }
        let mut is_newline = false;
        if char == '\\' {
            let digits = match source.next()?.1 {
                'n' => {
                    is_newline = true;
                    0
                }
                'x' => 2,
                'u' => 4,
                'U' => 8,
                _ => 0,
            };
            for _ in 0..digits {
                source.next()?;
            }
        }
        at = if is_newline {
            Place { line: at.line + 1, column: 1 }
        } else {
            Place { line: at.line, column: at.column + 1 }
        };
    }
}

/// A text that stands in one line as it is.
fn in_line(lines: &[&str], start: Place, quotes: usize, text: &str, inner: Place) -> Option<Place> {
    let rest: String =
        lines.get(start.line.checked_sub(1)?)?.chars().skip(start.column + quotes - 1).collect();
    let column = start.column + quotes + inner.column.max(1) - 1;
    rest.starts_with(text).then_some(Place { line: start.line, column })
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    // JSON's numbers are those of the core schema, but for forms that nobody writes by hand.
    serde_json::from_str::<Number>(text).map_or_else(|_| Value::String(text.to_owned()), Value::Number)
}

fn syntax(error: &ScanError) -> YamlError {
    let marker = error.marker();
    let place = Place { line: marker.line(), column: marker.col() + 1 };
    YamlError::Syntax { place, message: error.info().to_owned() }
}

/// Makes a tree of the parser's events.
#[derive(Default)]
struct Builder {
    done: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

/// A collection whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    children: Children,
}

enum Children {
    Sequence(Vec<Node>),
    /// The key waits for its value.
    Mapping(Vec<(Node, Node)>, Option<Node>),
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let place = Place { line: span.start.line(), column: span.start.col() + 1 };
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, _) => {
                let content = Content::Scalar { text: text.into_owned(), style };
                self.add(Node { place, content }, anchor)?;
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open.push(Open { place, anchor, children: Children::Sequence(Vec::new()) });
            }
            Event::MappingStart(_, anchor, _) => {
                self.open.push(Open { place, anchor, children: Children::Mapping(Vec::new(), None) });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { place, anchor, children }) = self.open.pop() {
                    let content = match children {
                        Children::Sequence(nodes) => Content::Sequence(nodes),
                        Children::Mapping(members, _) => Content::Mapping(members),
                    };
                    self.add(Node { place, content }, anchor)?;
                }
            }
            Event::Alias(anchor) => {
                if let Some(node) = self.anchors.get(&anchor).cloned() {
                    self.nodes += size(&node);
                    self.add(node, 0)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(YamlError::TooLarge { place: node.place });
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.children) {
            None => self.done.push(node),
            Some(Children::Sequence(nodes)) => nodes.push(node),
            Some(Children::Mapping(members, key)) => match key.take() {
                Some(key) => members.push((key, node)),
                None => *key = Some(node),
            },
        }
        Ok(())
    }
}

fn size(node: &Node) -> usize {
    match &node.content {
        Content::Scalar { .. } => 1,
        Content::Sequence(nodes) => nodes.iter().map(size).sum(),
        Content::Mapping(members) => members.iter().map(|(key, value)| size(key) + size(value)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
kind: &k Plugin   # a comment
list: [a, {b.c: 1}, "x"]
block: |

  {"a": 1,
   "b": 2}
quoted: "{\"a\": 1,\n \"b\": 2}"
single: '{"a": 1}'
again: *k
numbers: [1, 0.5, "1", true, ~, 1e3]
---
second: document
"#;

    #[test]
    fn parts_know_their_places() {
        let documents = documents(FILE).unwrap();
        let [first, second] = &documents[..] else { panic!("{documents:?}") };
        let check = |path: &str, line: usize, column: usize| {
            assert_eq!(first.find(path), Place { line, column }, "{path}");
        };
        check("kind", 2, 1);
        check("list[0]", 3, 8);
        check("list[1].b.c", 3, 12);
        check("list[7]", 3, 1);
        check("nothing", 2, 1);
        assert_eq!(first.get("again").and_then(Node::text), Some("Plugin"));
        assert_eq!(second.find("second"), Place { line: 13, column: 1 });
        assert_eq!(
            first.get("numbers").map(Node::json),
            Some(serde_json::json!([1, 0.5, "1", true, null, 1000.0]))
        );
    }

    #[test]
    fn places_in_a_text_are_found_in_the_file() {
        let first = documents(FILE).unwrap().remove(0);
        let check = |key: &str, inner: (usize, usize), line: usize, column: usize| {
            let inner = Place { line: inner.0, column: inner.1 };
            let found = first.get(key).unwrap().place_in_text(FILE, inner);
            assert_eq!(found, Place { line, column }, "{key} {inner}");
        };
        check("block", (2, 2), 6, 4);
        check("block", (3, 2), 7, 4);
        check("quoted", (1, 2), 8, 11);
        check("quoted", (2, 2), 8, 23);
        check("single", (1, 2), 9, 11);
    }

    #[test]
    fn what_is_no_yaml_has_a_place() {
        assert_eq!(documents("a: 1\nb: c: d\n").unwrap_err().place().line, 2);
        let laughs = (1..30).fold("a0: &a0 [1, 1]\n".to_owned(), |text, n| {
            format!("{text}a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)
        });
        assert!(matches!(documents(&laughs), Err(YamlError::TooLarge { .. })));
    }
}
