//! Text without a structure: sensitive names before a `:` or `=`, and userinfo of URLs.
//!
//! Where a value ends cannot be told in prose, in YAML or in a log. So its line ends it; where it may go on beyond that,
//! because it begins on the next line or opens a bracket, the text does.

use std::borrow::Cow;

use super::super::MASK;
use super::super::parameters::redact_userinfo;
use super::Rules;
use crate::redact::rules::Hits;

/// Most bytes before a separator that are read as a name.
const MAX_NAME: usize = 128;

/// Quotes that lines can end in: of TOML and Python, of Markdown.
const QUOTES: [&str; 3] = ["\"\"\"", "'''", "```"];

/// What is kept of a text.
pub(super) fn redact<'t>(rules: &Rules<'_>, text: &'t str, hits: &mut Hits) -> Cow<'t, str> {
    if rules.query.is_empty() {
        return redact_named(rules, text, hits);
    }
    // Userinfo goes first: without it, what was a part of it can be read as a name.
    match redact_userinfo(text.as_bytes()) {
        Cow::Borrowed(_) => redact_named(rules, text, hits),
        Cow::Owned(bytes) => {
            Cow::Owned(redact_named(rules, &String::from_utf8_lossy(&bytes), hits).into_owned())
        }
    }
}

/// Masks what follows sensitive names.
fn redact_named<'t>(rules: &Rules<'_>, text: &'t str, hits: &mut Hits) -> Cow<'t, str> {
    let mut masked: Option<String> = None;
    // Up to where the text is copied or masked.
    let mut done = 0usize;
    for (at, separator) in text.match_indices([':', '=']) {
        let (Some(before), Some(after)) = (text.get(done..at), text.get(at.saturating_add(1)..)) else {
            continue;
        };
        if !is_sensitive(rules, name_before(before), separator, hits) {
            continue;
        }
        let line = after.split(['\n', '\r']).next().unwrap_or_default();
        if line.trim() == MASK || after.trim().is_empty() {
            continue;
        }
        let goes_on = !line.contains(|c: char| c.is_alphanumeric() || c == '*')
            || line.trim_start().starts_with(['{', '[', '|', '>'])
            || line.ends_with('\\')
            || QUOTES.iter().any(|quotes| line.contains(quotes));
        let value = if goes_on { after } else { line };
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
    let ends = ['\n', '\r', '"', '\'', '`', ',', ';', '&', '?', '#', '{', '(', ':', '=', '<', '|'];
    text.get(begin..).and_then(|near| near.rsplit(ends).next()).unwrap_or_default()
}

/// Names of parameters, `sig` and `code`, stand before `=` alone.
fn is_sensitive(rules: &Rules<'_>, name: &str, separator: &str, hits: &mut Hits) -> bool {
    if name.is_empty() {
        return false;
    }
    rules.body.keys.hit(name, hits) | (separator == "=" && rules.query.hit(name, hits))
}
