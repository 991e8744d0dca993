//! A strict JSON tokenizer (RFC 8259) over text in memory. It returns tokens with their positions and does not recurse.

mod strings;

use gatelens_model::OmissionReason;
use std::ops::Range;

use super::work;
use strings::plain_length;
pub(super) use strings::{eight, has_byte_of, quote, unescape};

/// Deepest nesting of arrays and objects. Deeper JSON is refused.
pub(super) const MAX_DEPTH: usize = 128;

/// A token of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Position in the text. Strings include their quotes.
    pub(super) at: Range<usize>,
    /// Whether it is a string or name that contains a backslash.
    pub(super) escaped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// `{`
    Object,
    /// `}`
    ObjectEnd,
    /// `[`
    Array,
    /// `]`
    ArrayEnd,
    /// The name of the member whose value comes next.
    Name,
    String,
    Number,
    True,
    False,
    Null,
}

/// What the grammar allows next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value or `]`, right after `[`.
    FirstElement,
    /// A name or `}`, right after `{`.
    FirstName,
    /// `,` or the end of the innermost array or object.
    Next,
    /// Only blanks.
    End,
}

/// Reads one JSON value and nothing after it.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    expect: Expect,
    /// The open arrays and objects.
    open: Vec<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    Array,
    Object,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        // RFC 8259, section 8.1: a byte order mark may be ignored.
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { bytes: text.as_bytes(), at, expect: Expect::Value, open: Vec::new() }
    }

    /// The next token; `None` at the end of a complete value.
    pub(super) fn next(&mut self) -> Result<Option<Token>, OmissionReason> {
        let start = self.at;
        let token = self.read();
        work::add(self.at.saturating_sub(start).saturating_add(1));
        token
    }

    fn read(&mut self) -> Result<Option<Token>, OmissionReason> {
        self.blanks();
        if self.expect == Expect::Next {
            match (self.peek(), self.open.last()) {
                (Some(b','), Some(open)) => {
                    let object = *open == Open::Object;
                    self.step();
                    self.blanks();
                    if object {
                        return self.name().map(Some);
                    }
                    self.expect = Expect::Value;
                }
                (Some(b'}'), Some(Open::Object)) => return Ok(Some(self.close(TokenKind::ObjectEnd))),
                (Some(b']'), Some(Open::Array)) => return Ok(Some(self.close(TokenKind::ArrayEnd))),
                (byte, _) => return Err(flaw(byte)),
            }
        }
        match (self.expect, self.peek()) {
            (Expect::End, None) => Ok(None),
            (Expect::End, Some(_)) => Err(OmissionReason::Malformed),
            (Expect::FirstName, Some(b'}')) => Ok(Some(self.close(TokenKind::ObjectEnd))),
            (Expect::FirstName, _) => self.name().map(Some),
            (Expect::FirstElement, Some(b']')) => Ok(Some(self.close(TokenKind::ArrayEnd))),
            _ => self.value().map(Some),
        }
    }

    /// Number of open arrays and objects.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    fn value(&mut self) -> Result<Token, OmissionReason> {
        let start = self.at;
        let mut escaped = false;
        let kind = match self.peek() {
            Some(b'{') => return self.open(TokenKind::Object, Open::Object, Expect::FirstName),
            Some(b'[') => return self.open(TokenKind::Array, Open::Array, Expect::FirstElement),
            Some(b'"') => {
                escaped = self.string()?;
                TokenKind::String
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                TokenKind::Number
            }
            Some(b't') => self.word(b"true", TokenKind::True)?,
            Some(b'f') => self.word(b"false", TokenKind::False)?,
            Some(b'n') => self.word(b"null", TokenKind::Null)?,
            byte => return Err(flaw(byte)),
        };
        self.after_value();
        Ok(Token { kind, at: start..self.at, escaped })
    }

    fn open(&mut self, kind: TokenKind, open: Open, expect: Expect) -> Result<Token, OmissionReason> {
        if self.open.len() >= MAX_DEPTH {
            return Err(OmissionReason::TooDeep);
        }
        let start = self.at;
        self.step();
        self.open.push(open);
        self.expect = expect;
        Ok(Token { kind, at: start..self.at, escaped: false })
    }

    fn close(&mut self, kind: TokenKind) -> Token {
        let start = self.at;
        self.step();
        self.open.pop();
        self.after_value();
        Token { kind, at: start..self.at, escaped: false }
    }

    fn after_value(&mut self) {
        self.expect = if self.open.is_empty() { Expect::End } else { Expect::Next };
    }

    fn name(&mut self) -> Result<Token, OmissionReason> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(flaw(self.peek()));
        }
        let escaped = self.string()?;
        let at = start..self.at;
        self.blanks();
        if self.peek() != Some(b':') {
            return Err(flaw(self.peek()));
        }
        self.step();
        self.expect = Expect::Value;
        Ok(Token { kind: TokenKind::Name, at, escaped })
    }

    /// Skips the string that begins here. Returns whether it contains escapes.
    fn string(&mut self) -> Result<bool, OmissionReason> {
        self.step();
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.step();
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                None | Some(0..=0x1f) => return Err(flaw(self.peek())),
                _ => self.at = self.at.saturating_add(plain_length(self.rest())),
            }
        }
    }

    fn escape(&mut self) -> Result<(), OmissionReason> {
        self.step();
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.step(),
            Some(b'u') => {
                self.step();
                let digits = self.rest().iter().take(4).take_while(|byte| byte.is_ascii_hexdigit()).count();
                self.at = self.at.saturating_add(digits);
                if digits < 4 {
                    return Err(flaw(self.peek()));
                }
            }
            byte => return Err(flaw(byte)),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), OmissionReason> {
        if self.peek() == Some(b'-') {
            self.step();
        }
        match self.peek() {
            Some(b'0') => self.step(),
            Some(b'1'..=b'9') => self.digits()?,
            byte => return Err(flaw(byte)),
        }
        if self.peek() == Some(b'.') {
            self.step();
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.step();
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.step();
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), OmissionReason> {
        let count = self.count(u8::is_ascii_digit);
        if count == 0 {
            return Err(flaw(self.peek()));
        }
        self.at = self.at.saturating_add(count);
        Ok(())
    }

    fn word(&mut self, word: &[u8], kind: TokenKind) -> Result<TokenKind, OmissionReason> {
        let rest = self.rest();
        if rest.starts_with(word) {
            self.at = self.at.saturating_add(word.len());
            Ok(kind)
        } else if word.starts_with(rest) {
            Err(OmissionReason::Truncated)
        } else {
            Err(OmissionReason::Malformed)
        }
    }

    fn blanks(&mut self) {
        // Most tokens have no blanks before them.
        if self.peek().is_some_and(|byte| byte <= b' ') {
            let count = self.count(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
            self.at = self.at.saturating_add(count);
        }
    }

    /// Number of bytes from here on that are of a kind.
    fn count(&self, kind: impl Fn(&u8) -> bool) -> usize {
        let rest = self.rest();
        rest.iter().position(|byte| !kind(byte)).unwrap_or(rest.len())
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }
}

/// The reason why this byte cannot stand here.
fn flaw(byte: Option<u8>) -> OmissionReason {
    if byte.is_none() { OmissionReason::Truncated } else { OmissionReason::Malformed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<Token>, OmissionReason> {
        let mut reader = Reader::new(text);
        let mut tokens = Vec::new();
        while let Some(token) = reader.next()? {
            tokens.push(token);
        }
        Ok(tokens)
    }

    #[test]
    fn what_is_json_and_what_is_not() {
        let check = |text: &str, result: Result<(), OmissionReason>| {
            assert_eq!(read(text).map(drop), result, "{text}");
        };
        for text in [
            "null",
            " true ",
            "false\r\n\t",
            "0",
            "-0",
            "1.5e+10",
            "\"\"",
            "\"a\\u00e9\\n\"",
            "[]",
            "{}",
            "[1,2]",
            "{\"a\":[{}, []]}",
            "\u{feff}{}",
            "1e999999",
            "{\"a\":1,\"a\":2}",
            "\"\\ud800\"",
            "\"é\"",
        ] {
            check(text, Ok(()));
        }
        for text in [
            "",
            " ",
            "{",
            "[",
            "[1",
            "[1,",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "\"a",
            "\"\\",
            "\"\\u00",
            "tru",
            "-",
            "1.",
            "1e",
            "1e+",
            "[[[",
        ] {
            check(text, Err(OmissionReason::Truncated));
        }
        for text in [
            "{]",
            "[}",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "[1 2]",
            "01",
            "+1",
            ".5",
            "1 2",
            "{}x",
            "nul!",
            "\"\n\"",
            "\"\\x\"",
            "\"\\u00zz\"",
            "[,1]",
            "{\"a\" 1}",
            "NaN",
            "//",
            "]",
            "1.e5",
            "\u{a0}1",
            "0x10",
        ] {
            check(text, Err(OmissionReason::Malformed));
        }
        check(&format!("{}{}", "[".repeat(128), "]".repeat(128)), Ok(()));
        check(&format!("{}{}", "[".repeat(129), "]".repeat(129)), Err(OmissionReason::TooDeep));
        check(&"[".repeat(10_000_000), Err(OmissionReason::TooDeep));
    }

    proptest! {
        #[test]
        fn serde_json_agrees(text in r#"[\[\]{}:,"a1 e.\-\\u0tn]{0,24}|(\{"a":|\[|1|,|\]|\}|"b"|null|0\.5|-1e3| ){0,12}"#) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(read(&text).is_ok(), theirs, "{}", text);
        }
    }
}
