//! Text without a structure: sensitive names before a `:` or `=`, and userinfo of URLs.
//!
//! In prose, YAML and logs the end of a value is not marked. A value is therefore masked to the end of its line. It is
//! masked to the end of the text where it can continue on the next line: because it begins there, or opens a bracket.

use std::borrow::Cow;

use super::super::MASK;
use super::super::parameters::redact_userinfo;
use super::super::work;
use super::BodyRedactor;
use crate::rules::Hits;

/// Longest name before a separator, bytes.
const MAX_NAME: usize = 128;

/// Quotes that can span lines, in TOML, Python and Markdown.
const QUOTES: [&str; 3] = ["\"\"\"", "'''", "```"];

/// Redacts a text.
pub(super) fn redact<'t>(rules: &BodyRedactor<'_>, text: &'t str, hits: &mut Hits) -> Cow<'t, str> {
    let has = |byte: u8| text.as_bytes().contains(&byte);
    if rules.query.is_empty() || !has(b'@') || !has(b'/') {
        return redact_named(rules, text, hits);
    }
    // Userinfo is masked first, because a part of it could be read as a name.
    match redact_userinfo(text.as_bytes()) {
        Cow::Borrowed(_) => redact_named(rules, text, hits),
        Cow::Owned(bytes) => {
            Cow::Owned(redact_named(rules, &String::from_utf8_lossy(&bytes), hits).into_owned())
        }
    }
}

/// Masks the values after sensitive names.
fn redact_named<'t>(rules: &BodyRedactor<'_>, text: &'t str, hits: &mut Hits) -> Cow<'t, str> {
    work::add(text.len());
    let mut masked: Option<String> = None;
    // The text is copied or masked up to here.
    let mut done = 0usize;
    for (at, separator) in text.bytes().enumerate().filter(|(_, byte)| matches!(byte, b':' | b'=')) {
        let (Some(before), Some(after)) = (text.get(done..at), text.get(at.saturating_add(1)..)) else {
            continue;
        };
        let name = name_before(before);
        if name.is_empty() {
            continue;
        }
        let mut own = Hits::default();
        if !is_sensitive(rules, name, separator, &mut own) {
            continue;
        }
        let line = after.split(['\n', '\r']).next().unwrap_or_default();
        // Base64 can end in any letters and `==`. Nothing follows there that could be masked.
        let is_nothing = |c: char| c.is_whitespace() || c == '=';
        work::add(line.len());
        let value = after.trim_start_matches(is_nothing);
        work::add(after.len().saturating_sub(value.len()));
        if line.trim() == MASK || value.is_empty() {
            continue;
        }
        hits.take(own);
        let continues = !line.contains(|c: char| c.is_alphanumeric() || c == '*')
            || line.trim_start().starts_with(['{', '[', '|', '>'])
            || line.ends_with('\\')
            || QUOTES.iter().any(|quotes| line.contains(quotes));
        let value = if continues { after } else { line };
        let blanks = value.len().saturating_sub(value.trim_start().len());
        let start = at.saturating_add(1).saturating_add(blanks);
        let out = masked.get_or_insert_default();
        out.push_str(text.get(done..start).unwrap_or_default());
        out.push_str(MASK);
        done = at.saturating_add(1).saturating_add(value.len());
    }
    match masked {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(text.get(done..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

/// What stands before a separator, up to what separates it from what is before: `"api key" ` and `; api_key`.
fn name_before(text: &str) -> &str {
    let is_around = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '\\' | '*');
    let text = text.trim_end_matches(is_around);
    let begin = text.ceil_char_boundary(text.len().saturating_sub(MAX_NAME));
    let near = text.get(begin..).unwrap_or_default();
    work::add(near.len());
    // All of these are ASCII, so a character begins after each of them.
    let is_end = |byte| {
        let brackets = matches!(byte, b'{' | b'(' | b'<' | b'|' | b'"' | b'\'' | b'`');
        brackets || matches!(byte, b'\n' | b'\r' | b',' | b';' | b'&' | b'?' | b'#' | b':' | b'=')
    };
    let end = near.bytes().rposition(is_end);
    end.map_or(near, |end| near.get(end.saturating_add(1)..).unwrap_or_default())
}

/// Names that are sensitive only as parameters, such as `sig` and `code`, count only before `=`.
fn is_sensitive(rules: &BodyRedactor<'_>, name: &str, separator: u8, hits: &mut Hits) -> bool {
    match separator {
        b'=' => rules.body.keys.hit_either(rules.query, None, name, hits),
        _ => rules.body.keys.hit(name, hits),
    }
}
