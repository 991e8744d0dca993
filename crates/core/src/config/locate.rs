//! The place in a JSON text to which a path leads, so that an error message can name line and column.

/// One step of a JSON path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
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
    let before = text.get(..found).unwrap_or(text);
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
