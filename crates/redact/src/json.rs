//! A strict JSON tokenizer (RFC 8259) over text in memory. It returns tokens with their positions and does not recurse.

mod strings;

use gatelens_model::OmissionReason;
use std::ops::Range;

use super::work;
use strings::plain_part;
pub(super) use strings::{eight, has_byte_of, has_one_of, has_separator, position, quote, unescape};

/// Deepest nesting of arrays and objects. Deeper JSON is refused.
pub(super) const MAX_DEPTH: usize = 128;

/// A token of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Position in the text. Strings include their quotes.
    pub(super) at: Range<usize>,
    /// What the pass over a string or name found in it.
    pub(super) signs: Signs,
}

/// Bytes within a string or name that later steps look for. They are found while its end is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signs {
    /// A backslash.
    pub(super) escape: bool,
    /// `:`, `=`, `@` or a character between them in ASCII.
    pub(super) separator: bool,
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
    /// Number of open arrays and objects.
    depth: usize,
    /// A bit for each of them, the innermost one last: 1 for an object.
    objects: u128,
}

/// Where a reader stands between two tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Position {
    at: usize,
    expect: Expect,
    depth: usize,
    objects: u128,
}

// A bit for each open array and object must suffice.
const _: () = assert!(MAX_DEPTH <= u128::BITS as usize);

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        // RFC 8259, section 8.1: a byte order mark may be ignored.
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { bytes: text.as_bytes(), at, expect: Expect::Value, depth: 0, objects: 0 }
    }

    /// Continues where another reader of the same text stood.
    pub(super) fn resume(text: &'a str, position: Position) -> Self {
        let Position { at, expect, depth, objects } = position;
        Self { bytes: text.as_bytes(), at, expect, depth, objects }
    }

    /// Where it stands.
    pub(super) fn position(&self) -> Position {
        let Self { at, expect, depth, objects, .. } = *self;
        Position { at, expect, depth, objects }
    }

    /// The next token; `None` at the end of a complete value.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Token>, OmissionReason> {
        let start = self.at;
        let token = self.read();
        work::add(self.at.saturating_sub(start).saturating_add(1));
        token
    }

    #[inline]
    fn read(&mut self) -> Result<Option<Token>, OmissionReason> {
        let mut byte = self.after_blanks();
        match (self.expect, byte) {
            (Expect::Next, Some(b',')) => {
                self.step();
                byte = self.after_blanks();
                if self.is_in_object() {
                    return self.name(byte).map(Some);
                }
            }
            (Expect::Next, Some(b'}')) if self.is_in_object() => {
                return Ok(Some(self.close(TokenKind::ObjectEnd)));
            }
            (Expect::Next, Some(b']')) if !self.is_in_object() => {
                return Ok(Some(self.close(TokenKind::ArrayEnd)));
            }
            (Expect::Next, byte) => return Err(flaw(byte)),
            (Expect::FirstName, Some(b'}')) => return Ok(Some(self.close(TokenKind::ObjectEnd))),
            (Expect::FirstName, byte) => return self.name(byte).map(Some),
            (Expect::FirstElement, Some(b']')) => return Ok(Some(self.close(TokenKind::ArrayEnd))),
            (Expect::End, None) => return Ok(None),
            (Expect::End, Some(_)) => return Err(OmissionReason::Malformed),
            (Expect::Value | Expect::FirstElement, _) => {}
        }
        self.value(byte).map(Some)
    }

    /// Number of open arrays and objects.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Reads the value that begins with this byte.
    #[inline]
    fn value(&mut self, byte: Option<u8>) -> Result<Token, OmissionReason> {
        let start = self.at;
        let mut signs = Signs::default();
        let kind = match byte {
            Some(b'"') => {
                signs = self.string()?;
                TokenKind::String
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                TokenKind::Number
            }
            Some(b'{') => return self.open(TokenKind::Object),
            Some(b'[') => return self.open(TokenKind::Array),
            Some(b't') => self.word(b"true", TokenKind::True)?,
            Some(b'f') => self.word(b"false", TokenKind::False)?,
            Some(b'n') => self.word(b"null", TokenKind::Null)?,
            byte => return Err(flaw(byte)),
        };
        self.after_value();
        Ok(Token { kind, at: start..self.at, signs })
    }

    fn open(&mut self, kind: TokenKind) -> Result<Token, OmissionReason> {
        if self.depth >= MAX_DEPTH {
            return Err(OmissionReason::TooDeep);
        }
        let start = self.at;
        self.step();
        let is_object = kind == TokenKind::Object;
        self.depth = self.depth.saturating_add(1);
        self.objects = self.objects.wrapping_shl(1) | u128::from(is_object);
        self.expect = if is_object { Expect::FirstName } else { Expect::FirstElement };
        Ok(Token { kind, at: start..self.at, signs: Signs::default() })
    }

    fn close(&mut self, kind: TokenKind) -> Token {
        let start = self.at;
        self.step();
        self.depth = self.depth.saturating_sub(1);
        self.objects = self.objects.wrapping_shr(1);
        self.after_value();
        Token { kind, at: start..self.at, signs: Signs::default() }
    }

    fn after_value(&mut self) {
        self.expect = if self.depth == 0 { Expect::End } else { Expect::Next };
    }

    /// Whether the innermost open array or object is an object.
    fn is_in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    /// Reads the name that begins with this byte, and the colon behind it.
    #[inline]
    fn name(&mut self, byte: Option<u8>) -> Result<Token, OmissionReason> {
        let start = self.at;
        if byte != Some(b'"') {
            return Err(flaw(byte));
        }
        let signs = self.string()?;
        let at = start..self.at;
        let byte = self.after_blanks();
        if byte != Some(b':') {
            return Err(flaw(byte));
        }
        self.step();
        self.expect = Expect::Value;
        Ok(Token { kind: TokenKind::Name, at, signs })
    }

    /// Skips the string that begins here.
    #[inline]
    fn string(&mut self) -> Result<Signs, OmissionReason> {
        self.step();
        let mut signs = Signs::default();
        loop {
            let (length, separator) = plain_part(self.rest());
            signs.separator |= separator;
            self.at = self.at.wrapping_add(length);
            match self.peek() {
                Some(b'"') => {
                    self.step();
                    return Ok(signs);
                }
                Some(b'\\') => {
                    signs.escape = true;
                    self.escape()?;
                }
                byte => return Err(flaw(byte)),
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
        let rest = self.rest();
        let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
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

    /// The next byte that is not a blank. Skips the blanks.
    #[inline]
    fn after_blanks(&mut self) -> Option<u8> {
        // Most tokens have no blanks before them.
        match self.peek() {
            Some(byte) if byte <= b' ' => self.skip_blanks(),
            byte => byte,
        }
    }

    fn skip_blanks(&mut self) -> Option<u8> {
        loop {
            // Indented text has many blanks in a row.
            while self.rest().first_chunk::<8>() == Some(&[b' '; 8]) {
                self.at = self.at.saturating_add(8);
            }
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.step(),
                byte => return byte,
            }
        }
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn step(&mut self) {
        // No text is long enough for an overflow.
        self.at = self.at.wrapping_add(1);
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
