//! The place in a JSON text to which a path leads, so that an error message can name line and column.

use std::ops::Range;

/// One step of a JSON path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the value of a key.
    Key(String),
    /// To an element of a list, from 0.
    Index(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Step::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Step::Index(index)
    }
}

/// `routes.templates[3]`.
pub(super) fn display(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            Step::Key(key) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(key);
            }
            Step::Index(index) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}

/// Line and column, from 1, of the target of the steps: of the key for a member, of the value for an element. If the
/// text lacks a part of the path, those of the last part that exists. The text is well-formed JSON.
pub(super) fn position(text: &str, steps: &[Step]) -> (usize, usize) {
    let mut scanner = Scanner { text: text.as_bytes(), at: 0 };
    scanner.blanks();
    let mut found = scanner.at;
    for step in steps {
        match scanner.enter(step) {
            Some(at) => found = at,
            None => break,
        }
    }
    line_and_column(text, found)
}

/// Line, and column in characters, both from 1, of the byte at `offset`.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1);
    let column = before.rsplit('\n').next().unwrap_or("").chars().count().saturating_add(1);
    (line, column)
}

/// The steps to what ends at a line and a column, counted from 1 and in bytes, as serde_json reports the end of what it
/// refused: a key, a value, or an object that lacks a key. The text is well-formed JSON up to there.
pub(super) fn steps_to(text: &str, line: usize, column: usize) -> Vec<Step> {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let end = before.saturating_add(column);
    let mut scanner = Scanner { text: text.as_bytes(), at: 0 };
    // One for each open object or array; none where an object's next key is not read yet.
    let mut open: Vec<Option<Step>> = Vec::new();
    while scanner.at < end {
        match (scanner.peek(), open.last_mut()) {
            (None, _) => break,
            (Some(b'"'), Some(key @ None)) => {
                let name = scanner.string().and_then(|name| serde_json::from_slice(name).ok());
                *key = Some(Step::Key(name.unwrap_or_default()));
                continue;
            }
            (Some(b'"'), _) => {
                if scanner.string().is_none() {
                    break;
                }
                continue;
            }
            (Some(b'{'), _) => open.push(None),
            (Some(b'['), _) => open.push(Some(Step::Index(0))),
            (Some(b'}' | b']'), _) => drop(open.pop()),
            (Some(b','), Some(Some(Step::Index(index)))) => *index = index.saturating_add(1),
            (Some(b','), Some(key)) => *key = None,
            _ => {}
        }
        scanner.step();
    }
    open.into_iter().flatten().collect()
}

/// The offset of a line and column, the inverse of [`line_and_column`].
pub(super) fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize =
        text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).fold(0, usize::saturating_add);
    let rest = text.get(start..).unwrap_or_default();
    let within = rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(at, _)| at);
    start.saturating_add(within)
}

/// A member of an object or an element of an array.
#[derive(Debug)]
pub(super) struct Item {
    /// The key of a member.
    pub(super) key: Option<String>,
    /// Where its object or array begins.
    pub(super) container: usize,
    /// The value, from its first byte.
    pub(super) value: Range<usize>,
    /// The whole item with one of the commas beside it.
    pub(super) with_comma: Range<usize>,
}

/// The item that begins at an offset: a member at its key. The text is well-formed JSON; `None` for any other, or if no item begins there.
pub(super) fn item_at(text: &str, offset: usize) -> Option<Item> {
    walk(text, offset).and_then(|(_, item)| item)
}

/// The path of the innermost item that has the offset within it; empty outside of all.
pub(super) fn steps_at(text: &str, offset: usize) -> Vec<Step> {
    walk(text, offset).map(|(steps, _)| steps).unwrap_or_default()
}

/// Descends to the innermost item around an offset; also gives the item if it begins there.
fn walk(text: &str, offset: usize) -> Option<(Vec<Step>, Option<Item>)> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    let mut scanner = Scanner { text: text.as_bytes(), at: 0 };
    let mut steps = Vec::new();
    let mut container = {
        scanner.blanks();
        scanner.at
    };
    'deeper: loop {
        let is_object = match scanner.peek()? {
            b'{' => true,
            b'[' => false,
            _ => return Some((steps, None)),
        };
        scanner.step();
        let mut comma_before = None;
        for index in 0_usize.. {
            scanner.blanks();
            if matches!(scanner.peek()?, b'}' | b']') {
                return Some((steps, None));
            }
            let start = scanner.at;
            let key: Option<String> = match is_object {
                true => {
                    let key = serde_json::from_slice(scanner.string()?).ok()?;
                    scanner.blanks();
                    scanner.eat(b':')?;
                    scanner.blanks();
                    Some(key)
                }
                false => None,
            };
            let value = scanner.at;
            scanner.value()?;
            let end = scanner.at;
            scanner.blanks();
            let comma = scanner.at;
            let comma_behind = scanner.eat(b',').map(|()| comma);
            if (start..end).contains(&offset) {
                steps.push(key.clone().map_or(Step::Index(index), Step::Key));
                if offset == start {
                    let with_comma = match (comma_behind, comma_before) {
                        (Some(comma), _) => start..comma.saturating_add(1),
                        (None, Some(comma)) => comma..end,
                        (None, None) => start..end,
                    };
                    return Some((steps, Some(Item { key, container, value: value..end, with_comma })));
                }
                scanner.at = value;
                container = value;
                continue 'deeper;
            }
            comma_before = comma_behind;
            if comma_behind.is_none() || offset < start {
                return Some((steps, None));
            }
        }
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    /// Follows the step into the current object or array and stops before the value; returns where the step's
    /// key or element begins.
    fn enter(&mut self, step: &Step) -> Option<usize> {
        self.blanks();
        match step {
            Step::Key(wanted) => {
                self.eat(b'{')?;
                loop {
                    self.blanks();
                    let key_at = self.at;
                    let key: String = serde_json::from_slice(self.string()?).ok()?;
                    self.blanks();
                    self.eat(b':')?;
                    self.blanks();
                    if key == *wanted {
                        return Some(key_at);
                    }
                    self.value()?;
                    self.blanks();
                    self.eat(b',')?;
                }
            }
            Step::Index(wanted) => {
                self.eat(b'[')?;
                for _ in 0..*wanted {
                    self.blanks();
                    self.value()?;
                    self.blanks();
                    self.eat(b',')?;
                }
                self.blanks();
                Some(self.at)
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.step())
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.step();
        }
    }

    /// Skips a string and returns it with its quotes.
    fn string(&mut self) -> Option<&[u8]> {
        let start = self.at;
        self.eat(b'"')?;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at = self.at.saturating_add(2),
                _ => self.step(),
            }
        }
        self.step();
        self.text.get(start..self.at)
    }

    /// Skips a value of any kind. Brackets are counted, not recursed into: depth costs nothing.
    fn value(&mut self) -> Option<()> {
        let mut depth = 0usize;
        loop {
            match self.peek()? {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    depth = depth.saturating_add(1);
                    self.step();
                }
                b'}' | b']' if depth == 0 => return Some(()),
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.step();
                }
                b',' if depth == 0 => return Some(()),
                _ => self.step(),
            }
            if depth == 0 && matches!(self.peek()?, b',' | b'}' | b']') {
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_at_a_place_is_found_again() {
        let text = "{\"a\": [1, {\"b]\\\"\": \"}{\"}, [],\n true], \"c\": {\"d\": {}, \"é\": 7}}";
        let check = |end: &str, path: &str| {
            let end = text.find(end).unwrap() + end.len();
            let line = text[..end].matches('\n').count() + 1;
            let column = end - text[..end].rfind('\n').map_or(0, |at| at + 1);
            assert_eq!(display(&steps_to(text, line, column)), path, "{line}:{column}");
        };
        check("{\"a\"", "a");
        check("[1", "a[0]");
        check("{\"b]\\\"\"", "a[1].b]\"");
        check("\"}{\"", "a[1].b]\"");
        check("\"}{\"}", "a[1]");
        check("[]", "a[2]");
        check("true", "a[3]");
        check("true]", "a");
        check("{\"d\"", "c.d");
        check("{}", "c.d");
        check("{}, \"é\"", "c.é");
        check("7", "c.é");
        check("7}", "c");
        check("7}}", "");
        assert_eq!(display(&steps_to(text, 9, 9)), "");
        assert_eq!(display(&steps_to("", 0, 0)), "");
    }
}
