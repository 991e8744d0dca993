//! The text of a search, taken apart into terms: `key:value,value`, `-key>value`, words, and texts in quotes.

use super::SearchError;
use std::iter::Peekable;
use std::str::Chars;

/// Bytes of a search.
const MAX_BYTES: usize = 1_000;
/// Terms of a search, and values of all its terms.
const MAX_TERMS: usize = 32;
const MAX_VALUES: usize = 100;

/// A term as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// Characters up to it and its first one.
    pub(super) column: usize,
    /// Whether `-` or `!` stands before it.
    pub(super) excludes: bool,
    /// `None` for a word.
    pub(super) key: Option<(String, Operator)>,
    pub(super) values: Vec<Value>,
}

/// What stands between a key and its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    /// `:`, which means what is usual for the key.
    Has,
    /// `=`: the whole value.
    Is,
    More,
    AtLeast,
    Less,
    AtMost,
}

/// A value as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) column: usize,
    pub(super) text: String,
    /// Whether its stars stand for any characters: not in quotes.
    pub(super) stars: bool,
}

/// The terms of a search.
///
/// # Errors
/// With the place of what cannot be read.
pub(super) fn terms(text: &str) -> Result<Vec<Written>, SearchError> {
    if text.len() > MAX_BYTES {
        return Err(SearchError::at(1, format!("a search has at most {MAX_BYTES} bytes")));
    }
    let mut reader = Reader { rest: text.chars().peekable(), column: 1 };
    let mut terms = Vec::new();
    let mut values = 0;
    loop {
        reader.skip_blanks();
        if reader.peek().is_none() {
            return Ok(terms);
        }
        let term = reader.term()?;
        values += term.values.len();
        if terms.len() == MAX_TERMS || values > MAX_VALUES {
            let message = format!("a search has at most {MAX_TERMS} terms with {MAX_VALUES} values");
            return Err(SearchError::at(term.column, message));
        }
        terms.push(term);
    }
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    /// Of the next character.
    column: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        self.column += 1;
        self.rest.next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_next = self.peek() == Some(wanted);
        if is_next {
            self.next();
        }
        is_next
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    fn is_at_end(&mut self) -> bool {
        self.peek().is_none_or(char::is_whitespace)
    }

    fn term(&mut self) -> Result<Written, SearchError> {
        let column = self.column;
        let excludes = self.take('-') || self.take('!');
        if self.is_at_end() {
            return Err(SearchError::at(
                column,
                "a term must follow the mark that excludes it, without a blank",
            ));
        }
        let start = self.column;
        let mut head = String::new();
        while let Some(c) = self.peek().filter(|c| is_of_key(*c, head.is_empty())) {
            head.push(c);
            self.next();
        }
        let operator = if head.is_empty() { None } else { self.operator() };
        let Some(operator) = operator else {
            let value = match self.peek() {
                Some('"') if head.is_empty() => self.quoted()?,
                _ => self.plain(start, head, |_| false),
            };
            return Ok(Written { column, excludes, key: None, values: vec![value] });
        };
        let mut values = Vec::new();
        loop {
            let start = self.column;
            let value = match self.peek() {
                Some('"') => self.quoted()?,
                _ => self.plain(start, String::new(), |c| c == ','),
            };
            if value.text.is_empty() {
                return Err(SearchError::at(start, format!("a value of {head} is missing here")));
            }
            values.push(value);
            if !self.take(',') {
                break;
            }
        }
        if !self.is_at_end() {
            return Err(SearchError::at(self.column, "a blank or a comma must follow the quote"));
        }
        Ok(Written { column, excludes, key: Some((head, operator)), values })
    }

    fn operator(&mut self) -> Option<Operator> {
        let operator = match self.peek()? {
            ':' => Operator::Has,
            '=' => Operator::Is,
            '>' => Operator::More,
            '<' => Operator::Less,
            _ => return None,
        };
        self.next();
        Some(match operator {
            Operator::More if self.take('=') => Operator::AtLeast,
            Operator::Less if self.take('=') => Operator::AtMost,
            operator => operator,
        })
    }

    /// A value in quotes, in which a backslash takes the character behind it as it is.
    fn quoted(&mut self) -> Result<Value, SearchError> {
        let column = self.column;
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(SearchError::at(column, "the quote that begins here has no end")),
                Some('"') => return Ok(Value { column, text, stars: false }),
                Some('\\') => text.extend(self.next()),
                Some(c) => text.push(c),
            }
        }
    }

    /// A value up to the next blank.
    fn plain(&mut self, column: usize, mut text: String, ends: impl Fn(char) -> bool) -> Value {
        while let Some(c) = self.peek().filter(|c| !c.is_whitespace() && !ends(*c)) {
            self.next();
            text.push(if c == '\\' { self.next().unwrap_or(c) } else { c });
        }
        let stars = text.contains('*');
        Value { column, text, stars }
    }
}

/// Whether a character can be a part of a key; keys begin with a letter.
fn is_of_key(c: char, is_first: bool) -> bool {
    c.is_ascii_alphabetic() || (!is_first && (c.is_ascii_digit() || matches!(c, '_' | '-' | '.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let shown = |term: Written| {
            let mark = if term.excludes { "-" } else { "" };
            let key =
                term.key.map_or_else(|| "word".to_owned(), |(key, operator)| format!("{key} {operator:?}"));
            let values: Vec<_> = term.values.into_iter().map(|value| format!("{:?}", value.text)).collect();
            format!("{} {mark}{key} {}", term.column, values.join(" "))
        };
        terms(text).unwrap().into_iter().map(shown).collect()
    }

    #[test]
    fn terms_are_taken_apart() {
        let check = |text: &str, expected: &[&str]| assert_eq!(shown(text), expected, "{text}");
        check("", &[]);
        check("  ", &[]);
        check("status:429,500 -status:503", &["1 status Has \"429\" \"500\"", "16 -status Has \"503\""]);
        check("duration>500ms upstream<=2s", &["1 duration More \"500ms\"", "16 upstream AtMost \"2s\""]);
        check("path=/a,\"/b, c\"", &["1 path Is \"/a\" \"/b, c\""]);
        check("/v1/orders?x=1:2,3", &["1 word \"/v1/orders?x=1:2,3\""]);
        check("order-7.json \"a b\" !x", &["1 word \"order-7.json\"", "14 word \"a b\"", "20 -word \"x\""]);
        check(r#"consumer:a\,b "say \"no\"""#, &["1 consumer Has \"a,b\"", r#"15 word "say \"no\"""#]);
        check("12:30 é:x", &["1 word \"12:30\"", "7 word \"é:x\""]);
        check("request_header.x-tenant:acme", &["1 request_header.x-tenant Has \"acme\""]);
    }

    #[test]
    fn the_place_of_a_mistake_is_named() {
        let check = |text: &str, column: usize, message: &str| {
            let error = terms(text).unwrap_err();
            assert_eq!((error.column, error.message.as_str()), (column, message), "{text}");
        };
        check("a -", 3, "a term must follow the mark that excludes it, without a blank");
        check("é status:", 10, "a value of status is missing here");
        check("status:5xx,", 12, "a value of status is missing here");
        check("x path:\"/a", 8, "the quote that begins here has no end");
        check("path:\"/a\"b", 10, "a blank or a comma must follow the quote");
        check(&"x".repeat(1001), 1, "a search has at most 1000 bytes");
        check(&"x ".repeat(33), 65, "a search has at most 32 terms with 100 values");
        check(&format!("status:{}5", "5,".repeat(100)), 1, "a search has at most 32 terms with 100 values");
    }
}
