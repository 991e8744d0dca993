//! Strings of a body that hold JSON, a URL or text. Sensitive names are searched for in them; paths do not reach into
//! them.

use std::borrow::Cow;

use super::super::json::{Reader, has_byte_of, has_one_of, has_separator};
use super::super::parameters::redact_url;
use super::super::sniff::{Carrier, Sniffed, sniff};
use super::super::stable::{Pass, until_stable};
use super::{Automaton, BodyRedactor, JsonPass, Reading, both, prose};
use crate::mask::{MASK, UrlMatcher};
use crate::rules::Hits;

/// Depth to which strings within strings are searched. JSON that is nested deeper is masked.
const MAX_LAYERS: u8 = 3;

/// Longest scheme of a URL.
const MAX_SCHEME: usize = 16;

static NO_PATHS: Automaton = Automaton::none();

/// Whether a string without separators, given with its quotes, can hold a secret nevertheless, by how it begins.
pub(super) fn is_candidate(quoted: &[u8]) -> bool {
    matches!(quoted.get(1), Some(b'{' | b'[' | b'/' | b'?' | b'#' | b' '))
}

/// Redacts a string that is nested in `layer` other strings.
pub(super) fn redact<'t>(
    rules: &BodyRedactor<'_>,
    text: &'t str,
    layer: u8,
    hits: &mut Hits,
) -> Cow<'t, str> {
    if rules.query.is_empty() {
        // Names that are sensitive in a body are also sensitive in a query.
        return Cow::Borrowed(text);
    }
    if !rules.body.keys.is_empty() {
        match sniff(text, Carrier::String) {
            Sniffed::Json => {
                return Cow::Owned(json(rules, text, layer, hits).unwrap_or_else(|| MASK.to_owned()));
            }
            Sniffed::Perhaps => {
                let mut own = Hits::default();
                if let Some(json) = json(rules, text, layer, &mut own) {
                    let as_json = Reading { text: Cow::Owned(json), hits: own };
                    return both(text, as_json, hits, |text, hits| as_text(rules, text, hits).into_owned());
                }
            }
            Sniffed::Text => {}
        }
    }
    as_text(rules, text, hits)
}

/// Redacts a string that is a URL or text.
fn as_text<'t>(rules: &BodyRedactor<'_>, text: &'t str, hits: &mut Hits) -> Cow<'t, str> {
    let masked = if begins_as_url(text) {
        let masked = url(rules, text, hits);
        // A text without blanks is the URL. After a blank, anything can follow.
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

/// Redacts a URL.
fn url<'t>(rules: &BodyRedactor<'_>, text: &'t str, hits: &mut Hits) -> Cow<'t, str> {
    // Only parameters, userinfo and fragments are masked.
    if !has_one_of(text.as_bytes(), [b'?', b'#', b';', b'@']) {
        return Cow::Borrowed(text);
    }
    let stable = until_stable(text.as_bytes(), |url, pass| {
        let mut again = Hits::default();
        let hits = if pass == Pass::First { &mut *hits } else { &mut again };
        let mut matcher = UrlMatcher { query: rules.query, detectors: rules.detectors, hits };
        match redact_url(url, &mut matcher) {
            Cow::Owned(masked) => Some(masked),
            Cow::Borrowed(_) => None,
        }
    });
    match stable {
        Some(Cow::Borrowed(_)) => Cow::Borrowed(text),
        Some(Cow::Owned(masked)) => String::from_utf8(masked).map_or(Cow::Borrowed(MASK), Cow::Owned),
        None => Cow::Borrowed(MASK),
    }
}

/// Redacts a string that is JSON. JSON that is nested too deep is masked as a whole. `None` when it is malformed.
fn json(rules: &BodyRedactor<'_>, text: &str, layer: u8, hits: &mut Hits) -> Option<String> {
    if layer >= MAX_LAYERS {
        return is_json(text).then(|| MASK.to_owned());
    }
    let pass = JsonPass::new(rules, &NO_PATHS, text, &[], hits).within(layer.saturating_add(1));
    pass.run().ok().map(Cow::into_owned)
}

fn is_json(text: &str) -> bool {
    let mut reader = Reader::new(text);
    loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
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
