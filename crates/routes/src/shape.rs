//! Inference: a path's identifiers replaced by their kind.
//!
//! docs/routes.md has the table of kinds. The functions run for each request in the filter: they allocate nothing except
//! what `out` needs, and an ordinary word costs one pass over its bytes.

mod compound;
mod decode;
mod kind;
mod opaque;
mod random;
mod vocabulary;

pub use kind::Inferred;

use crate::MAX_ROUTE_BYTES;
use gatelens_model::value::UNMATCHED;

/// Maximum number of segments of an inferred route; a deeper path ends in `{rest}`.
pub const MAX_SEGMENTS: usize = 24;

/// Maximum bytes of a literal segment; a longer one counts as an identifier.
const MAX_LITERAL_BYTES: usize = 64;

/// Maximum bytes of a version that is a number: `1.0`, `0.10`.
const MAX_VERSION_BYTES: usize = 4;

/// The mask that redaction leaves in a path. It stands for a value.
const MASK: &str = "[CLIENT_REDACTED]";

/// How a segment stands in its route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Word,
    /// As a placeholder and nothing else.
    Value,
    /// As a placeholder with text around it: `{number}.json`.
    Compound,
}

/// Writes the inferred route of a path (without query) into `out`.
///
/// An inferred route is its own route: placeholders stay as they are.
pub fn infer(path: &[u8], out: &mut String) {
    out.clear();
    let Some(segments) = segments(path) else {
        out.push_str(if path == b"*" { "*" } else { UNMATCHED });
        return;
    };
    for (index, raw) in segments.enumerate() {
        out.push('/');
        if index >= MAX_SEGMENTS {
            out.push_str("{rest}");
            break;
        }
        segment(raw, out);
    }
    bound(out);
}

/// The segments of an absolute path as they were sent.
pub(crate) fn segments(path: &[u8]) -> Option<impl Iterator<Item = Segment<'_>>> {
    let mut before: &[u8] = b"";
    let mut is_api = false;
    let mut segments = path.strip_prefix(b"/")?.split(|byte| *byte == b'/').peekable();
    Some(std::iter::from_fn(move || {
        let bytes = segments.next()?;
        let is_number = bytes.first().is_some_and(u8::is_ascii_digit) && bytes.len() <= MAX_VERSION_BYTES;
        let is_version = is_number && is_api && is_version_number(bytes, before) && segments.peek().is_some();
        is_api |= is_api_word(bytes);
        before = bytes;
        Some(Segment { bytes, is_version })
    }))
}

/// A segment as it was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) bytes: &'a [u8],
    /// Whether it is a number that is the version of an API.
    is_version: bool,
}

fn is_api_word(segment: &[u8]) -> bool {
    matches!(segment, b"api" | b"apis" | b"rest")
}

/// `/rest/api/3/`, `/rest/agile/1.0/`: one digit right behind `api`, or two numbers with a point anywhere behind it.
fn is_version_number(segment: &[u8], before: &[u8]) -> bool {
    let is_decimal = segment.contains(&b'.') && kind::is_number(segment);
    is_decimal || segment.len() == 1 && is_api_word(before)
}

/// A route that is too long is none.
pub(crate) fn bound(route: &mut String) {
    if route.len() > MAX_ROUTE_BYTES {
        route.clear();
        route.push_str(UNMATCHED);
    }
}

/// Appends a segment to a route.
pub(crate) fn segment(segment: Segment<'_>, out: &mut String) -> Form {
    let raw = segment.bytes;
    if segment.is_version {
        return word(str::from_utf8(raw).unwrap_or_default(), out);
    }
    let classes = Classes::of(raw);
    if raw.len() <= MAX_LITERAL_BYTES && classes.within(Classes::LOWER | Classes::UPPER | Classes::SEPARATOR)
    {
        // The common case. The bytes are ASCII, so they are text.
        let text = str::from_utf8(raw).unwrap_or_default();
        return match opaque::letters(text, classes) {
            Some(kind) => value(kind, out),
            None => word(text, out),
        };
    }
    if !classes.has(Classes::PERCENT) {
        return visible(raw, classes, out);
    }
    match decode::Decoded::of(raw) {
        // What is encoded although it needs no encoding reads like the plain text.
        Some(decoded) => visible(decoded.bytes(), Classes::of(decoded.bytes()), out),
        None => value(Inferred::Token, out),
    }
}

fn visible(bytes: &[u8], classes: Classes, out: &mut String) -> Form {
    let text = str::from_utf8(bytes).unwrap_or_default();
    let opaque = classes.has(Classes::OTHER | Classes::PERCENT) || text.is_empty();
    if bytes.is_empty() {
        return word("", out);
    }
    if opaque || bytes.len() > MAX_LITERAL_BYTES {
        return value(if kind::is_email(bytes) { Inferred::Email } else { Inferred::Token }, out);
    }
    if classes.has(Classes::BRACKET) {
        return bracketed(text, out);
    }
    if classes.has(Classes::AT) {
        return match kind::is_email(bytes) {
            true => value(Inferred::Email, out),
            false if vocabulary::is_mention(text) => word(text, out),
            false if text.starts_with('@') => value(Inferred::Handle, out),
            false => value(Inferred::Token, out),
        };
    }
    compound::write(text, classes, out)
}

/// A segment that is a placeholder already, or has one.
fn bracketed(text: &str, out: &mut String) -> Form {
    if text == MASK {
        out.push_str(text);
        return Form::Value;
    }
    match compound::template(text) {
        Some(form) => {
            out.push_str(text);
            form
        }
        None => value(Inferred::Token, out),
    }
}

fn word(text: &str, out: &mut String) -> Form {
    out.push_str(text);
    Form::Word
}

fn value(kind: Inferred, out: &mut String) -> Form {
    out.push_str(kind.placeholder());
    Form::Value
}

/// The classes of bytes that occur in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Classes(u16);

impl Classes {
    const LOWER: u16 = 1;
    const UPPER: u16 = 1 << 1;
    const DIGIT: u16 = 1 << 2;
    /// `-` and `_`.
    const SEPARATOR: u16 = 1 << 3;
    const DOT: u16 = 1 << 4;
    const PERCENT: u16 = 1 << 5;
    const AT: u16 = 1 << 6;
    /// Braces and square brackets, which no client needs: placeholders and masks.
    const BRACKET: u16 = 1 << 7;
    /// Other characters that RFC 3986 allows in a segment.
    const RESERVED: u16 = 1 << 8;
    const OTHER: u16 = 1 << 9;

    fn of(segment: &[u8]) -> Self {
        let class = |byte: &u8| Self::TABLE.get(usize::from(*byte)).copied().unwrap_or(Self::OTHER);
        Self(segment.iter().fold(0, |classes, byte| classes | class(byte)))
    }

    /// The class of each byte, because this is looked up for each byte of each path.
    const TABLE: [u16; 256] = {
        let mut table = [0; 256];
        let mut rest: &mut [u16] = &mut table;
        let mut byte: u8 = 0;
        while let Some((class, behind)) = rest.split_first_mut() {
            *class = Self::of_byte(byte);
            byte = byte.wrapping_add(1);
            rest = behind;
        }
        table
    };

    const fn of_byte(byte: u8) -> u16 {
        match byte {
            b'a'..=b'z' => Self::LOWER,
            b'A'..=b'Z' => Self::UPPER,
            b'0'..=b'9' => Self::DIGIT,
            b'-' | b'_' => Self::SEPARATOR,
            b'.' => Self::DOT,
            b'%' => Self::PERCENT,
            b'@' => Self::AT,
            b'{' | b'}' | b'[' | b']' => Self::BRACKET,
            b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':'
            | b'|' => Self::RESERVED,
            _ => Self::OTHER,
        }
    }

    fn has(self, classes: u16) -> bool {
        self.0 & classes != 0
    }

    fn within(self, classes: u16) -> bool {
        self.0 & !classes == 0
    }
}
