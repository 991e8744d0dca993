//! A strict JSON reader (RFC 8259) over bytes in memory: tokens with their places, no tree, no recursion.

use std::borrow::Cow;
use std::ops::Range;

use super::Reason;

/// Deepest nesting of arrays and objects that is read.
pub(super) const MAX_DEPTH: usize = 128;

/// A piece of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// Where it stands in the text, strings with their quotes.
    pub(super) at: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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
    /// `,` or the end of what is open.
    Next,
    /// Only blanks.
    End,
}

/// Reads one JSON value and nothing after it.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    expect: Expect,
    /// Whether each open array or object is an object.
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
        Self { text, at, expect: Expect::Value, open: Vec::new() }
    }

    /// The next token; `None` at the end of a complete value.
    pub(super) fn next(&mut self) -> Result<Option<Token>, Reason> {
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
                (Some(b'}'), Some(Open::Object)) => return Ok(Some(self.close(Kind::ObjectEnd))),
                (Some(b']'), Some(Open::Array)) => return Ok(Some(self.close(Kind::ArrayEnd))),
                (byte, _) => return Err(flaw(byte)),
            }
        }
        match (self.expect, self.peek()) {
            (Expect::End, None) => Ok(None),
            (Expect::End, Some(_)) => Err(Reason::Malformed),
            (Expect::FirstName, Some(b'}')) => Ok(Some(self.close(Kind::ObjectEnd))),
            (Expect::FirstName, _) => self.name().map(Some),
            (Expect::FirstElement, Some(b']')) => Ok(Some(self.close(Kind::ArrayEnd))),
            _ => self.value().map(Some),
        }
    }

    /// How many arrays and objects are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    fn value(&mut self) -> Result<Token, Reason> {
        let start = self.at;
        let byte = self.peek();
        let kind = match byte {
            Some(b'{') => return self.open(Kind::Object, Open::Object, Expect::FirstName),
            Some(b'[') => return self.open(Kind::Array, Open::Array, Expect::FirstElement),
            Some(b'"') => {
                self.string()?;
                Kind::String
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Kind::Number
            }
            Some(b't') => self.word("true", Kind::True)?,
            Some(b'f') => self.word("false", Kind::False)?,
            Some(b'n') => self.word("null", Kind::Null)?,
            byte => return Err(flaw(byte)),
        };
        self.after_value();
        Ok(Token { kind, at: start..self.at })
    }

    fn open(&mut self, kind: Kind, open: Open, expect: Expect) -> Result<Token, Reason> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Reason::TooDeep);
        }
        let start = self.at;
        self.step();
        self.open.push(open);
        self.expect = expect;
        Ok(Token { kind, at: start..self.at })
    }

    fn close(&mut self, kind: Kind) -> Token {
        let start = self.at;
        self.step();
        self.open.pop();
        self.after_value();
        Token { kind, at: start..self.at }
    }

    fn after_value(&mut self) {
        self.expect = if self.open.is_empty() { Expect::End } else { Expect::Next };
    }

    fn name(&mut self) -> Result<Token, Reason> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(flaw(self.peek()));
        }
        self.string()?;
        let at = start..self.at;
        self.blanks();
        if self.peek() != Some(b':') {
            return Err(flaw(self.peek()));
        }
        self.step();
        self.expect = Expect::Value;
        Ok(Token { kind: Kind::Name, at })
    }

    /// Skips a string that begins here.
    fn string(&mut self) -> Result<(), Reason> {
        self.step();
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            let plain = plain.ok_or(Reason::Truncated)?;
            self.at = self.at.saturating_add(plain);
            match self.peek() {
                Some(b'"') => {
                    self.step();
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return Err(Reason::Malformed),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Reason> {
        self.step();
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.step(),
            Some(b'u') => {
                self.step();
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(flaw(self.peek()));
                    }
                    self.step();
                }
            }
            byte => return Err(flaw(byte)),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Reason> {
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

    fn digits(&mut self) -> Result<(), Reason> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(flaw(self.peek()));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.step();
        }
        Ok(())
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<Kind, Reason> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.at = self.at.saturating_add(word.len());
            Ok(kind)
        } else if word.starts_with(rest) {
            Err(Reason::Truncated)
        } else {
            Err(Reason::Malformed)
        }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.step();
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn step(&mut self) {
        self.at = self.at.saturating_add(1);
    }
}

/// What is wrong where this byte stands.
fn flaw(byte: Option<u8>) -> Reason {
    if byte.is_none() { Reason::Truncated } else { Reason::Malformed }
}

/// What a string of the text, given with its quotes, says. Halves of surrogate pairs become U+FFFD.
pub(super) fn unescape(quoted: &str) -> Cow<'_, str> {
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(quoted);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = escaped.chars();
        match chars.next() {
            Some('u') => {
                let (c, after) = unicode(chars.as_str());
                out.push(c);
                rest = after;
                continue;
            }
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some(c) => out.push(c),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Reads on after `\u`.
fn unicode(text: &str) -> (char, &str) {
    let four = |text: &str| u32::from_str_radix(text.get(..4)?, 16).ok();
    let after = text.get(4..).unwrap_or("");
    let Some(first) = four(text) else { return (char::REPLACEMENT_CHARACTER, after) };
    if let Some(c) = char::from_u32(first) {
        return (c, after);
    }
    let low = after.strip_prefix("\\u").and_then(four).filter(|low| (0xdc00..0xe000).contains(low));
    match low {
        Some(low) if first < 0xdc00 => {
            let high = (first & 0x3ff).wrapping_shl(10);
            let c = char::from_u32((high | (low & 0x3ff)).saturating_add(0x10000));
            (c.unwrap_or(char::REPLACEMENT_CHARACTER), after.get(6..).unwrap_or(""))
        }
        _ => (char::REPLACEMENT_CHARACTER, after),
    }
}

/// Writes text as a JSON string, with its quotes.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<Token>, Reason> {
        let mut reader = Reader::new(text);
        let mut tokens = Vec::new();
        while let Some(token) = reader.next()? {
            tokens.push(token);
        }
        Ok(tokens)
    }

    #[test]
    fn what_is_json_and_what_is_not() {
        let check = |text: &str, result: Result<(), Reason>| {
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
            check(text, Err(Reason::Truncated));
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
            check(text, Err(Reason::Malformed));
        }
        check(&format!("{}{}", "[".repeat(128), "]".repeat(128)), Ok(()));
        check(&format!("{}{}", "[".repeat(129), "]".repeat(129)), Err(Reason::TooDeep));
        check(&"[".repeat(10_000_000), Err(Reason::TooDeep));
    }

    #[test]
    fn strings() {
        let check = |quoted: &str, text: &str| assert_eq!(unescape(quoted), text, "{quoted}");
        check(r#""""#, "");
        check(r#""plain é""#, "plain é");
        check(r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t");
        check(r#""p\u0061ss\u00e9\u20AC""#, "passé€");
        check(r#""\ud83d\ude00!""#, "😀!");
        check(r#""\ud83d""#, "\u{fffd}");
        check(r#""\ud83dx""#, "\u{fffd}x");
        check(r#""\ude00\ud83d\u0041""#, "\u{fffd}\u{fffd}A");
        check(r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀");
    }

    proptest! {
        #[test]
        fn serde_json_agrees(text in r#"[\[\]{}:,"a1 e.\-\\u0tn]{0,24}|(\{"a":|\[|1|,|\]|\}|"b"|null|0\.5|-1e3| ){0,12}"#) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(read(&text).is_ok(), theirs, "{}", text);
        }

        #[test]
        fn what_is_quoted_reads_back(text in any::<String>()) {
            let mut quoted = String::new();
            quote(&text, &mut quoted);
            prop_assert_eq!(unescape(&quoted), &text[..]);
            prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
        }
    }
}
