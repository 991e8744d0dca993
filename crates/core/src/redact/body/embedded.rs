//! Strings of a body that hold JSON or a URL. Sensitive names are looked for in these, too; paths do not reach into them.

use std::borrow::Cow;

use super::super::parameters::{has_member, redact_url};
use super::super::{MASK, UrlJudge};
use super::{Automaton, JsonPass, Rules, json_begin};
use crate::redact::rules::Hits;

/// How many strings within strings are looked into. What is wrapped deeper is masked.
const MAX_LAYERS: u8 = 3;

/// How often a URL is masked at most.
const MAX_PASSES: usize = 5;

/// Longest scheme of a URL.
const MAX_SCHEME: usize = 16;

static NO_PATHS: Automaton = Automaton::none();

/// Whether there is any use in looking into a string, given with its quotes: most tell by how they begin.
pub(super) fn is_candidate(quoted: &str) -> bool {
    let begin = quoted.as_bytes().get(1..).unwrap_or_default();
    let begin = begin.get(..MAX_SCHEME.saturating_add(3)).unwrap_or(begin);
    matches!(begin.first(), Some(b'{' | b'[' | b'/' | b'?' | b'#' | b' '))
        || begin.iter().any(|byte| matches!(byte, b':' | b'\\'))
}

/// What is kept of a string, which stands in `layer` strings already.
pub(super) fn redact<'t>(rules: &Rules<'_>, text: &'t str, layer: u8, hits: &mut Hits) -> Cow<'t, str> {
    if !rules.body.keys.is_empty() && begins_as_json(text) {
        return Cow::Owned(json(rules, text, layer, hits));
    }
    if !rules.query.is_empty() && begins_as_url(text) {
        return url(rules, text, hits);
    }
    Cow::Borrowed(text)
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
