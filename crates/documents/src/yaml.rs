//! YAML and JSON as a tree that knows where each part stands in the file.

use std::collections::HashMap;
use std::fmt;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::{Number, Value};

/// Aliases can make a small file a large tree. Those of a file may add this many values to the ones it has itself.
const MAX_ALIASED_NODES: usize = 1_000_000;

/// And this many bytes of text.
const MAX_ALIASED_BYTES: usize = 16 << 20;

/// Levels of a document. Whoever walks a tree may therefore do so by recursion.
pub const MAX_DEPTH: usize = 200;

/// A place in a file, from 1; columns are characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// A value and where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// Its parts.
    pub content: Content,
}

/// The parts of a node.
#[derive(Clone, Debug)]
pub enum Content {
    /// A text, a number or another value without parts, as it is written.
    Scalar {
        /// Without quotes and escapes.
        text: String,
        /// How it is written.
        style: ScalarStyle,
    },
    /// Elements in order.
    Sequence(Vec<Node>),
    /// Keys and values in order.
    Mapping(Vec<(Node, Node)>),
}

/// A tree written as JSON, with the places of its keys and elements in the file.
#[derive(Clone, Debug)]
pub struct Json {
    /// One line.
    pub text: String,
    /// Characters of the text.
    columns: usize,
    /// By the column of the text, from 1, ascending.
    places: Vec<(usize, Place)>,
}

/// Why a file is not YAML.
#[derive(Debug, thiserror::Error)]
pub enum YamlError {
    /// The text does not follow the grammar.
    #[error("this is not YAML: {message}")]
    Syntax {
        /// Of the first fault.
        place: Place,
        /// The reason.
        message: String,
    },
    /// Too many levels.
    #[error("more than {MAX_DEPTH} values are within one another: write a flatter document")]
    TooDeep {
        /// Of the first value that is too deep.
        place: Place,
    },
    /// The reader has no memory for more.
    #[error("the document has too many values or too long texts: split it, or leave out what is not needed")]
    NoRoom {
        /// Of the first value that found no room.
        place: Place,
    },
    /// Aliases multiply values.
    #[error(
        "aliases expand to more than {MAX_ALIASED_NODES} values or {MAX_ALIASED_BYTES} bytes: write the values out, or split the file"
    )]
    TooLarge {
        /// Of the anchor's value or the alias that needs the copy.
        place: Place,
    },
}

impl YamlError {
    /// Where the fault is.
    pub fn place(&self) -> Place {
        match self {
            YamlError::Syntax { place, .. }
            | YamlError::TooDeep { place }
            | YamlError::NoRoom { place }
            | YamlError::TooLarge { place } => *place,
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
pub fn documents(text: &str) -> Result<Vec<Node>, YamlError> {
    documents_within(text, &mut |_| true)
}

/// Like [`documents`], in memory that somebody gives: `hold` gets the bytes of each value before it is kept, and refuses
/// those for which there is no room.
///
/// # Errors
/// [`YamlError`].
pub fn documents_within(text: &str, hold: &mut dyn FnMut(usize) -> bool) -> Result<Vec<Node>, YamlError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| syntax(&error))?;
        builder.take(event, span, hold)?;
    }
    Ok(builder.done)
}

impl Node {
    /// The value of a member.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The value at the end of a path of members.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The elements of a sequence; none for anything else.
    pub fn elements(&self) -> &[Node] {
        match &self.content {
            Content::Sequence(nodes) => nodes,
            _ => &[],
        }
    }

    /// The members of a mapping; none for anything else.
    pub fn members(&self) -> &[(Node, Node)] {
        match &self.content {
            Content::Mapping(members) => members,
            _ => &[],
        }
    }

    /// The place of a member's key; without the member, of the node itself.
    pub fn key_place(&self, key: &str) -> Place {
        self.entry(key).map_or(self.place, |(key, _)| key.place)
    }

    /// Whether two trees hold the same values.
    pub fn equals(&self, other: &Node) -> bool {
        self.json().text == other.json().text
    }

    /// The tree as JSON in one line, plain scalars by YAML's core schema.
    pub fn json(&self) -> Json {
        let mut json = Json { text: String::new(), columns: 0, places: Vec::new() };
        json.mark(self.place);
        json.write(self);
        json
    }

    /// The place in the file of a place in this scalar's text; where that is not known, the scalar's own.
    pub fn place_in_text(&self, file: &str, inner: Place) -> Place {
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

    /// A member: its key and its value.
    pub fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        self.members().iter().find(|(known, _)| known.text() == Some(key))
    }
}

impl Json {
    /// The place in the file of what begins at a column of the text, or of what the column is part of.
    pub fn place(&self, column: usize) -> Option<Place> {
        let next = self.places.partition_point(|(known, _)| *known <= column);
        self.places.get(next.checked_sub(1)?).map(|(_, place)| *place)
    }

    fn write(&mut self, node: &Node) {
        match &node.content {
            Content::Scalar { text, style: ScalarStyle::Plain } => self.push(&plain(text).to_string()),
            Content::Scalar { text, .. } => self.push(&quoted(text)),
            Content::Sequence(nodes) => {
                self.push("[");
                for (index, node) in nodes.iter().enumerate() {
                    self.push(if index > 0 { "," } else { "" });
                    self.mark(node.place);
                    self.write(node);
                }
                self.push("]");
            }
            Content::Mapping(members) => {
                self.push("{");
                for (index, (key, value)) in members.iter().enumerate() {
                    self.push(if index > 0 { "," } else { "" });
                    self.mark(key.place);
                    let name = key.text().map_or_else(|| key.json().text, str::to_owned);
                    self.push(&quoted(&name));
                    self.push(":");
                    self.write(value);
                }
                self.push("}");
            }
        }
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.columns += text.chars().count();
    }

    fn mark(&mut self, place: Place) {
        self.places.push((self.columns + 1, place));
    }
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
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
    // JSON's numbers are those of the core schema, except forms that nobody writes by hand.
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
    anchors: HashMap<usize, (Node, Size)>,
    /// Of the copies that anchors and aliases make.
    size: Size,
}

/// Bytes of memory that a value takes beside its text: itself, twice because lists grow by doubling, and its text's allocation.
const VALUE_BYTES: usize = 2 * size_of::<Node>() + 16;

/// Values and bytes of text.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
    /// Collections within one another; of several values, of the deepest.
    levels: usize,
}

impl Size {
    fn plus(self, other: Self) -> Self {
        Self {
            nodes: self.nodes + other.nodes,
            bytes: self.bytes + other.bytes,
            levels: self.levels.max(other.levels),
        }
    }

    /// With a copy that is about to be made for a place: within the bounds of a file, and held.
    fn with_copy(
        self,
        copy: Self,
        place: Place,
        hold: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Self, YamlError> {
        let all = self.plus(copy);
        if all.nodes > MAX_ALIASED_NODES || all.bytes > MAX_ALIASED_BYTES {
            return Err(YamlError::TooLarge { place });
        }
        if !hold(copy.nodes * VALUE_BYTES + copy.bytes) {
            return Err(YamlError::NoRoom { place });
        }
        Ok(all)
    }

    fn of(node: &Node) -> Self {
        let own = Self { nodes: 1, ..Self::default() };
        let inner = |nodes: &mut dyn Iterator<Item = &Node>| {
            let all = nodes.map(Self::of).fold(own, Self::plus);
            Self { levels: all.levels + 1, ..all }
        };
        match &node.content {
            Content::Scalar { text, .. } => Self { bytes: text.len(), ..own },
            Content::Sequence(nodes) => inner(&mut nodes.iter()),
            Content::Mapping(members) => inner(&mut members.iter().flat_map(|(key, value)| [key, value])),
        }
    }
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
    fn take(
        &mut self,
        event: Event<'_>,
        span: Span,
        hold: &mut dyn FnMut(usize) -> bool,
    ) -> Result<(), YamlError> {
        let place = Place { line: span.start.line(), column: span.start.col() + 1 };
        let bytes = match &event {
            Event::Scalar(text, ..) => VALUE_BYTES + text.len(),
            Event::SequenceStart(..) | Event::MappingStart(..) => VALUE_BYTES,
            _ => 0,
        };
        if bytes > 0 && !hold(bytes) {
            return Err(YamlError::NoRoom { place });
        }
        match event {
            Event::DocumentStart(..) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, _) => {
                let content = Content::Scalar { text: text.into_owned(), style };
                self.add(Node { place, content }, anchor, hold)?;
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if self.open.len() >= MAX_DEPTH => {
                return Err(YamlError::TooDeep { place });
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
                    self.add(Node { place, content }, anchor, hold)?;
                }
            }
            Event::Alias(anchor) => {
                if let Some((node, size)) = self.anchors.get(&anchor) {
                    if self.open.len() + size.levels > MAX_DEPTH {
                        return Err(YamlError::TooDeep { place });
                    }
                    self.size = self.size.with_copy(*size, place, hold)?;
                    let node = node.clone();
                    self.put(node);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds a value, and keeps a copy for the aliases of its anchor.
    fn add(
        &mut self,
        node: Node,
        anchor: usize,
        hold: &mut dyn FnMut(usize) -> bool,
    ) -> Result<(), YamlError> {
        if anchor != 0 {
            let size = Size::of(&node);
            self.size = self.size.with_copy(size, node.place, hold)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        self.put(node);
        Ok(())
    }

    fn put(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.children) {
            None => self.done.push(node),
            Some(Children::Sequence(nodes)) => nodes.push(node),
            Some(Children::Mapping(members, key)) => match key.take() {
                Some(key) => members.push((key, node)),
                None => *key = Some(node),
            },
        }
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
        let json = first.json();
        let check = |text: &str, line: usize, column: usize| {
            let at = json.text.find(text).unwrap();
            assert_eq!(json.place(at + 1), Some(Place { line, column }), "{text}");
        };
        check("{\"kind\"", 2, 1);
        check("\"kind\"", 2, 1);
        check("\"Plugin\"", 2, 1);
        check("\"a\"", 3, 8);
        check("\"b.c\"", 3, 12);
        check("\"x\"", 3, 21);
        assert_eq!(first.key_place("list"), Place { line: 3, column: 1 });
        assert_eq!(first.key_place("nothing"), Place { line: 2, column: 1 });
        assert_eq!(first.get("again").and_then(Node::text), Some("Plugin"));
        assert_eq!(second.key_place("second"), Place { line: 13, column: 1 });
        assert_eq!(
            first.get("numbers").map(|node| node.json().text).as_deref(),
            Some(r#"[1,0.5,"1",true,null,1000.0]"#)
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
    fn a_syntax_error_has_a_place() {
        assert_eq!(documents("a: 1\nb: c: d\n").unwrap_err().place().line, 2);
        let laughs = (1..30).fold("a0: &a0 [1, 1]\n".to_owned(), |text, n| {
            format!("{text}a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)
        });
        assert!(matches!(documents(&laughs), Err(YamlError::TooLarge { .. })));
        let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), ["*a"; 16].join(","));
        assert!(matches!(documents(&long), Err(YamlError::TooLarge { .. })));
        assert!(documents(&long.replacen("*a,", "", 1)).is_ok());
    }

    #[test]
    fn a_document_takes_no_more_memory_than_it_is_given() {
        let text = format!("a: &a [1, 2, 3]\nb: *a\nc: {}", "x".repeat(1_000));
        let mut held = 0;
        let mut hold = |bytes| {
            held += bytes;
            true
        };
        assert!(documents_within(&text, &mut hold).is_ok());
        // Eleven values, and copies of four for the anchor and for the alias.
        assert!(held > 19 * VALUE_BYTES && held < 20 * VALUE_BYTES + 1_100, "{held}");
        let mut left = Some(held - 1);
        let mut hold = |bytes| {
            left = left.and_then(|left| left.checked_sub(bytes));
            left.is_some()
        };
        let refused = documents_within(&text, &mut hold).unwrap_err();
        assert!(matches!(refused, YamlError::NoRoom { place: Place { line: 3, .. } }), "{refused}");
        // A copy for an anchor is refused where the value itself still had room.
        let anchored = format!("a: &a \"{}\"\n", "x".repeat(1_000));
        let mut left = 4 * VALUE_BYTES + 1_500;
        let mut hold = |bytes| match left.checked_sub(bytes) {
            Some(less) => {
                left = less;
                true
            }
            None => false,
        };
        let refused = documents_within(&anchored, &mut hold).unwrap_err();
        assert!(matches!(refused, YamlError::NoRoom { place: Place { line: 1, column: 7 } }), "{refused}");
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let refused = documents(&format!("a: {}", nested(MAX_DEPTH))).unwrap_err();
        assert!(matches!(refused, YamlError::TooDeep { place: Place { line: 1, .. } }), "{refused}");
        // The parser has a bound of its own.
        assert!(documents(&nested(100_000)).is_err());
        assert!(documents(&nested(MAX_DEPTH)).is_ok());
        // A value is as deep behind an alias as where it is written.
        let aliased = |levels: usize| {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            documents(&format!("a: &a {}\nb: {open}*a{close}\n", nested(100))).map(|found| found.len())
        };
        let refused = aliased(MAX_DEPTH - 100).unwrap_err();
        assert!(matches!(refused, YamlError::TooDeep { place: Place { line: 2, .. } }), "{refused}");
        assert!(aliased(MAX_DEPTH - 101).is_ok());
    }
}
