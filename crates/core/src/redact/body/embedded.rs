//! Strings of a body that hold JSON, a URL or names and values. Sensitive names are looked for in these, too; paths do
//! not reach into them.

use std::borrow::Cow;

use super::super::json::has_byte_of;
use super::super::parameters::{has_member, redact_url};
use super::super::{MASK, UrlJudge};
use super::{Automaton, JsonPass, Rules, json_begin, prose};
use crate::redact::rules::Hits;

/// How many strings within strings are looked into. What is wrapped deeper is masked.
const MAX_LAYERS: u8 = 3;

/// How often a URL is masked at most.
const MAX_PASSES: usize = 5;

/// Longest scheme of a URL.
const MAX_SCHEME: usize = 16;

static NO_PATHS: Automaton = Automaton::none();

/// Whether there is any use in looking into a string, given with its quotes: most hold no separator.
pub(super) fn is_candidate(quoted: &str) -> bool {
    let inner = quoted.as_bytes().get(1..).unwrap_or_default();
    matches!(inner.first(), Some(b'{' | b'[' | b'/' | b'?' | b'#' | b' ')) || has_separator(inner)
}

/// What is kept of a string, which stands in `layer` strings already.
pub(super) fn redact<'t>(rules: &Rules<'_>, text: &'t str, layer: u8, hits: &mut Hits) -> Cow<'t, str> {
    if rules.query.is_empty() {
        // Whatever is sensitive in a body is so in a query.
        return Cow::Borrowed(text);
    }
    if !rules.body.keys.is_empty() && begins_as_json(text) {
        return Cow::Owned(json(rules, text, layer, hits));
    }
    let masked = if begins_as_url(text) {
        let masked = url(rules, text, hits);
        // Behind a blank anything may follow. Without one, all of the text is the URL.
        if !has_byte_of::<0, b' '>(text.trim().as_bytes()) {
            return masked;
        }
        masked
    } else {
        Cow::Borrowed(text)
    };
    match masked {
        masked if !has_separator(masked.as_bytes()) => masked,
        Cow::Borrowed(text) => prose::redact(rules, text, hits),
        Cow::Owned(masked) => Cow::Owned(prose::redact(rules, &masked, hits).into_owned()),
    }
}

/// Whether there is a `:`, `=` or `@`, or what stands between these in ASCII.
fn has_separator(text: &[u8]) -> bool {
    has_byte_of::<b':', b'@'>(text)
}

/// Masked until nothing changes any more: odd input can be read anew when a part of it is gone.
fn url<'t>(rules: &Rules<'_>, text: &'t str, hits: &mut Hits) -> Cow<'t, str> {
    // Parameters, userinfo and fragments alone are masked.
    if !text.bytes().any(|byte| matches!(byte, b'?' | b'#' | b';' | b'@')) {
        return Cow::Borrowed(text);
    }
    let mask = |text: &str, hits: &mut Hits| {
        let mut judge = UrlJudge { query: rules.query, detectors: rules.detectors, hits };
        match redact_url(text.as_bytes(), &mut judge) {
            Cow::Owned(masked) if masked != text.as_bytes() => Some(String::from_utf8(masked)),
            _ => None,
        }
    };
    let mut next = mask(text, hits);
    let mut last = Cow::Borrowed(text);
    for _ in 0..MAX_PASSES {
        match next {
            None => return last,
            Some(Ok(masked)) => last = Cow::Owned(masked),
            Some(Err(_)) => break,
        }
        next = mask(&last, &mut Hits::default());
    }
    Cow::Borrowed(MASK)
}

/// JSON that is broken or wrapped too deep is masked: its names cannot be told.
fn json(rules: &Rules<'_>, text: &str, layer: u8, hits: &mut Hits) -> String {
    if layer >= MAX_LAYERS {
        return MASK.to_owned();
    }
    let mut pass = JsonPass::new(rules, &NO_PATHS, text, &[], hits);
    pass.layer = layer.saturating_add(1);
    pass.run().unwrap_or_else(|_| MASK.to_owned())
}

/// `{"` and `[{"`, with blanks between, and other arrays with names in them: `{name}` and `[link]` begin texts.
fn begins_as_json(text: &str) -> bool {
    let begins = json_begin(text);
    let inner = begins.trim_start_matches('[').trim_start();
    inner.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('"'))
        || begins.starts_with('[') && has_member(begins)
}

/// `https://…`, `jdbc:mysql://…`, `//host/…`, `/path?…`, `?query`, `#fragment`
fn begins_as_url(text: &str) -> bool {
    let text = text.trim_start();
    let begin = text.as_bytes().get(..MAX_SCHEME.saturating_add(3)).unwrap_or(text.as_bytes());
    let in_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b':');
    let after = begin.iter().position(|byte| !in_scheme(byte)).unwrap_or_default();
    begin.get(after.saturating_sub(1)..).is_some_and(|after| after.starts_with(b"://"))
        || text.starts_with(['/', '?', '#']) && text.contains(['?', '#', ';', '@'])
}
