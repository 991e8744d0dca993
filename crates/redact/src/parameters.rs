//! Lists of `name=value` (queries, fragments, matrix parameters, forms) and the URLs around them.
//!
//! Unmasked parts are copied as written, with their order, blanks and encoding. Receivers read odd input differently, so
//! it is read in each way in which a receiver might read it, and masked in doubt. `;` is taken as a separator and as a
//! part of a value. Names are compared after each round of decoding. A name that cannot be decoded counts as sensitive.

use gatelens_model::{OmissionReason, percent};
use std::borrow::Cow;

use super::json::{Reader, TokenKind, has_one_of, position, unescape};
use super::signs::Signs;
use super::sniff::{Carrier, Sniffed, is_blank, sniff};
use super::{MASK, work};

/// How often a value is decoded in the search for names. A value that is encoded more often is masked.
const MAX_LAYERS: u8 = 4;

/// Decides what is sensitive.
pub(super) trait SecretMatcher {
    /// Whether the value of this name must be masked.
    fn name(&mut self, name: &str) -> bool;

    /// The end of a name of an object that can make the names of its members sensitive.
    fn parent<'n>(&self, _name: &'n str) -> Option<&'n str> {
        None
    }

    /// Whether the value of a member of JSON must be masked, by its name or by this and the name around it.
    fn member(&mut self, _parent: Option<&str>, name: &str) -> bool {
        self.name(name)
    }

    /// Whether decoded text contains a secret, whatever its name.
    fn text(&mut self, text: &str) -> bool;

    /// Whether the value of field number `index` must be masked.
    fn field(&mut self, _index: usize, name: &str) -> bool {
        self.name(name)
    }
}

/// Masks the values of sensitive parameters.
pub(super) fn redact_parameters<'a>(raw: &'a [u8], matcher: &mut impl SecretMatcher) -> Cow<'a, [u8]> {
    let mut out = Output::new(raw);
    let mut index = 0usize;
    for piece in raw.split(|byte| *byte == b'&') {
        // A receiver that does not separate at `;` continues to the `&`. The value of a sensitive name extends to there.
        let mut tainted = false;
        for segment in piece.split(|byte| *byte == b';') {
            redact_parameter(segment, index, &mut tainted, matcher, &mut out);
            out.separator();
            index = index.saturating_add(1);
        }
    }
    out.finish()
}

/// Whether a whole header or query is JSON that contains a secret, or malformed JSON that might.
pub(super) fn is_secret_json(raw: &[u8], carrier: Carrier, matcher: &mut impl SecretMatcher) -> bool {
    // Most values are not decoded, because their first byte neither begins JSON nor hides its beginning.
    let may_begin = |byte: &u8| matches!(byte, b'{' | b'[' | b'"' | b'%' | b'+') || !byte.is_ascii();
    if !raw.trim_ascii_start().first().is_some_and(may_begin) {
        return false;
    }
    let decoded = decode(raw).text;
    if holds_secret_in_json(&decoded, carrier, MAX_LAYERS, matcher) {
        return true;
    }
    // Headers are usually not percent-encoded, so decoding can break their JSON.
    let written = String::from_utf8_lossy(raw);
    written != decoded && holds_secret_in_json(&written, carrier, MAX_LAYERS, matcher)
}

/// The decoded names and values of a form, in order, numbered as in [`SecretMatcher::field`].
pub(super) fn fields(raw: &[u8]) -> impl Iterator<Item = (String, String)> + '_ {
    raw.split(|byte| matches!(byte, b'&' | b';')).map(|segment| {
        let (name, value) = split_once(segment, b'=');
        (decode(name).text.into_owned(), decode(value.unwrap_or_default()).text.into_owned())
    })
}

/// Masks userinfo, matrix parameters, query and fragment of a URL, or of all URLs in a text. Other text is unchanged.
pub(super) fn redact_url<'a>(raw: &'a [u8], matcher: &mut impl SecretMatcher) -> Cow<'a, [u8]> {
    let (before_fragment, fragment) = split_once(raw, b'#');
    let (head, query) = split_once(before_fragment, b'?');
    let head = redact_head(head, matcher);
    let query = query.map(|query| redact_parameters(query, matcher));
    let fragment = fragment.map(|fragment| {
        // `#access_token=…` and `#/view?access_token=…`
        let (path, query) = split_once(fragment, b'?');
        let path = redact_parameters(path, matcher);
        let query = query.map(|query| redact_parameters(query, matcher));
        join(fragment, [(b"", Some(path)), (b"?", query)])
    });
    join(raw, [(b"", Some(head)), (b"?", query), (b"#", fragment)])
}

/// Masks the matrix parameters of a path, userinfo of URLs in it, and segments with misplaced sensitive parameters:
/// `/callback&token=…`, `/login%3Ftoken=…`, `/api/{"token":…}`.
pub(super) fn redact_path<'a>(raw: &'a [u8], matcher: &mut impl SecretMatcher) -> Cow<'a, [u8]> {
    let head = redact_head(raw, matcher);
    if !head.iter().any(|byte| matches!(byte, b'=' | b'%' | b'{' | b'[' | b'"')) {
        return head;
    }
    match redact_segments(&head, matcher) {
        Cow::Owned(masked) => Cow::Owned(masked),
        Cow::Borrowed(_) => head,
    }
}

/// Masks whole segments. Their parts after a `;` were redacted before.
fn redact_segments<'a>(path: &'a [u8], matcher: &mut impl SecretMatcher) -> Cow<'a, [u8]> {
    let mut out = Output::new(path);
    for segment in path.split(|byte| *byte == b'/') {
        let (name, _) = split_once(segment, b';');
        let name = decode(name).text;
        if is_sensitive(&name, MAX_LAYERS, matcher) {
            if is_broken_json(&name) {
                // A slash in a string can have cut the JSON, so the rest of the path can be a part of it.
                let rest = path.get(out.at..).unwrap_or_default();
                out.replace(rest, MASK.as_bytes());
                return out.finish();
            }
            out.replace(segment, MASK.as_bytes());
        } else {
            out.keep(segment);
        }
        out.separator();
    }
    out.finish()
}

/// Masks the matrix parameters of a path.
fn redact_matrix<'a>(raw: &'a [u8], matcher: &mut impl SecretMatcher) -> Cow<'a, [u8]> {
    if !has_one_of(raw, [b';']) {
        return Cow::Borrowed(raw);
    }
    let mut out = Output::new(raw);
    for segment in raw.split(|byte| *byte == b'/') {
        let (name, parameters) = split_once(segment, b';');
        out.keep(name);
        if let Some(parameters) = parameters {
            out.separator();
            match redact_parameters(parameters, matcher) {
                Cow::Borrowed(same) => out.keep(same),
                Cow::Owned(masked) => out.replace(parameters, &masked),
            }
        }
        out.separator();
    }
    out.finish()
}

/// The part of a URL before query and fragment: userinfo and matrix parameters.
fn redact_head<'a>(head: &'a [u8], matcher: &mut impl SecretMatcher) -> Cow<'a, [u8]> {
    match redact_userinfo(head) {
        Cow::Borrowed(head) => redact_matrix(head, matcher),
        Cow::Owned(head) => Cow::Owned(redact_matrix(&head, matcher).into_owned()),
    }
}

/// Masks userinfo before a host: `ann:x@h`. `None` where there is none.
pub(super) fn redact_host(host: &[u8]) -> Option<Vec<u8>> {
    let at = host.iter().rposition(|byte| *byte == b'@')?;
    let (user, rest) = host.split_at_checked(at)?;
    (!user.is_empty() && user != MASK.as_bytes()).then(|| [MASK.as_bytes(), rest].concat())
}

/// Masks userinfo in all URLs of a text.
pub(super) fn redact_userinfo(text: &[u8]) -> Cow<'_, [u8]> {
    work::add(text.len());
    if !has_one_of(text, [b'@']) {
        return Cow::Borrowed(text);
    }
    let mut masked: Option<Vec<u8>> = None;
    let mut rest = text;
    while let Some(at) = find(rest, b"//") {
        let (before, after) = rest.split_at_checked(at.saturating_add(2)).unwrap_or((rest, b""));
        let ends =
            |byte: &u8| matches!(byte, b'/' | b'\\' | b' ' | b'"' | b'<' | b'>' | b'\t' | b'\n' | b'\r');
        let end = after.iter().position(ends);
        let (authority, tail) = after.split_at_checked(end.unwrap_or(after.len())).unwrap_or((after, b""));
        let host = match authority.iter().rposition(|byte| *byte == b'@') {
            Some(at)
                if authority.get(..at).is_some_and(|user| !user.is_empty() && user != MASK.as_bytes()) =>
            {
                let so_far = text.len().saturating_sub(rest.len());
                let out = masked.get_or_insert_with(|| text.get(..so_far).unwrap_or_default().to_vec());
                out.extend_from_slice(before);
                out.extend_from_slice(MASK.as_bytes());
                authority.get(at..).unwrap_or_default()
            }
            _ => {
                if let Some(out) = &mut masked {
                    out.extend_from_slice(before);
                }
                authority
            }
        };
        if let Some(out) = &mut masked {
            out.extend_from_slice(host);
        }
        rest = tail;
    }
    match masked {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.extend_from_slice(rest);
            Cow::Owned(out)
        }
    }
}

fn redact_parameter(
    segment: &[u8],
    index: usize,
    tainted: &mut bool,
    matcher: &mut impl SecretMatcher,
    out: &mut Output<'_>,
) {
    let (raw_name, raw_value) = split_once(segment, b'=');
    let name = decode(raw_name);
    let Some(raw_value) = raw_value else {
        // A name without a value is kept, unless it belongs to a sensitive value or hides a `=` in its encoding.
        if !segment.is_empty() && (*tainted || !name.sound || is_sensitive(&name.text, MAX_LAYERS, matcher)) {
            out.replace(segment, MASK.as_bytes());
        } else {
            out.keep(segment);
        }
        return;
    };
    let secret_name = matcher.text(&name.text);
    *tainted |= matcher.field(index, &name.text) || !name.sound || is_sensitive_name(&name.text, matcher);
    if secret_name {
        out.replace(raw_name, MASK.as_bytes());
    } else {
        out.keep(raw_name);
    }
    out.separator();
    let value = decode(raw_value);
    let sensitive = *tainted || is_sensitive(&value.text, MAX_LAYERS, matcher);
    if sensitive && !raw_value.is_empty() && raw_value != MASK.as_bytes() {
        out.replace(raw_value, MASK.as_bytes());
    } else {
        out.keep(raw_value);
    }
}

/// Whether a name that is still encoded after decoding is sensitive when it is decoded again.
fn is_sensitive_name(name: &str, matcher: &mut impl SecretMatcher) -> bool {
    if !name.contains('%') {
        return false;
    }
    let again = decode(name.as_bytes());
    !again.sound || matcher.name(&again.text)
}

/// Whether decoded text contains a secret, or JSON, a URL or parameters that contain one.
fn is_sensitive(text: &str, layers: u8, matcher: &mut impl SecretMatcher) -> bool {
    work::add(text.len());
    if matcher.text(text) {
        return true;
    }
    if Signs::of(text.as_bytes()).are_absent() {
        return false;
    }
    let Some(layers) = layers.checked_sub(1) else {
        return text.contains(['=', '%', '@']);
    };
    if text.contains("//") && matches!(redact_head(text.as_bytes(), matcher), Cow::Owned(_)) {
        return true;
    }
    if holds_secret_in_json(text, Carrier::Value, layers, matcher) {
        return true;
    }
    let mut nested = text.split(['?', '#', '&', ';']).filter_map(|part| part.split_once('='));
    if nested.any(|(name, value)| !value.is_empty() && value != MASK && matcher.name(name)) {
        return true;
    }
    if text.contains('%') {
        let again = decode(text.as_bytes());
        // A per cent sign that encodes nothing does not make a value sensitive: `100%`.
        return again.text != text && is_sensitive(&again.text, layers, matcher);
    }
    false
}

/// Whether a text is JSON with a sensitive name or with a string that holds a secret. Broken JSON counts as such, because
/// its names cannot be known.
fn holds_secret_in_json(text: &str, carrier: Carrier, layers: u8, matcher: &mut impl SecretMatcher) -> bool {
    match sniff(text, carrier) {
        Sniffed::Json => has_secret_token(text, layers, matcher).unwrap_or(true),
        Sniffed::Perhaps => has_secret_token(text, layers, matcher).unwrap_or(false),
        Sniffed::Text => false,
    }
}

/// Whether a text begins as JSON but is malformed or truncated.
fn is_broken_json(text: &str) -> bool {
    if sniff(text, Carrier::Value) != Sniffed::Json {
        return false;
    }
    let mut reader = Reader::new(text.trim_start_matches(is_blank));
    loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

fn has_secret_token(
    text: &str,
    layers: u8,
    matcher: &mut impl SecretMatcher,
) -> Result<bool, OmissionReason> {
    let json = text.trim_start_matches(is_blank);
    let mut reader = Reader::new(json);
    // The name of the current member, and the name around each open array and object.
    let mut name = Cow::Borrowed("");
    let mut parents: Vec<(Opened, Option<String>)> = Vec::new();
    while let Some(token) = reader.next()? {
        let said = || unescape(json.get(token.at.clone()).unwrap_or_default());
        let sensitive = match token.kind {
            TokenKind::Name => {
                name = said();
                let parent = parents.last().and_then(|(_, parent)| parent.as_deref());
                matcher.member(parent, &name)
            }
            TokenKind::Object | TokenKind::Array => {
                let parent = match parents.last() {
                    Some((Opened::Array, parent)) => parent.clone(),
                    _ => matcher.parent(&name).map(str::to_owned),
                };
                let opened = if token.kind == TokenKind::Array { Opened::Array } else { Opened::Object };
                parents.push((opened, parent));
                false
            }
            TokenKind::ObjectEnd | TokenKind::ArrayEnd => {
                parents.pop();
                false
            }
            TokenKind::String => is_sensitive(&said(), layers, matcher),
            _ => false,
        };
        if sensitive {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What began and has not ended.
enum Opened {
    Array,
    Object,
}

/// Percent-decoded bytes.
struct Decoded<'a> {
    /// The text, with U+FFFD for bytes that are not UTF-8.
    text: Cow<'a, str>,
    /// Whether two digits followed every `%` and the result is UTF-8.
    sound: bool,
}

fn decode(raw: &[u8]) -> Decoded<'_> {
    work::add(raw.len());
    // Most text needs no decoding.
    if !has_one_of(raw, [b'%', b'+']) {
        return match std::str::from_utf8(raw) {
            Ok(text) => Decoded { text: Cow::Borrowed(text), sound: true },
            Err(_) => Decoded { text: String::from_utf8_lossy(raw), sound: false },
        };
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut sound = true;
    let mut rest = raw;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => match percent::escape(tail) {
                Some((byte, tail)) => {
                    bytes.push(byte);
                    rest = tail;
                }
                None => {
                    bytes.push(b'%');
                    sound = false;
                }
            },
            byte => bytes.push(*byte),
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) => Decoded { text: Cow::Owned(text), sound },
        Err(error) => {
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            Decoded { text: Cow::Owned(text), sound: false }
        }
    }
}

fn split_once(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match position(bytes, [at]).and_then(|at| bytes.split_at_checked(at)) {
        Some((before, after)) => (before, after.get(1..)),
        None => (bytes, None),
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// A separator and the optional part after it.
type Part<'a> = (&'static [u8], Option<Cow<'a, [u8]>>);

/// Joins the parts. Borrows when none of them changed.
fn join<'a, const N: usize>(whole: &'a [u8], parts: [Part<'_>; N]) -> Cow<'a, [u8]> {
    if parts.iter().all(|(_, part)| !matches!(part, Some(Cow::Owned(_)))) {
        return Cow::Borrowed(whole);
    }
    let mut out = Vec::with_capacity(whole.len());
    for (before, part) in parts {
        if let Some(part) = part {
            out.extend_from_slice(before);
            out.extend_from_slice(&part);
        }
    }
    Cow::Owned(out)
}

/// The output, which is copied only from the first change on. Parts must be added in order and cover everything
/// except single separators.
struct Output<'a> {
    input: &'a [u8],
    at: usize,
    changed: Option<Vec<u8>>,
}

impl<'a> Output<'a> {
    fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0, changed: None }
    }

    fn keep(&mut self, part: &[u8]) {
        if let Some(out) = &mut self.changed {
            out.extend_from_slice(part);
        }
        self.at = self.at.saturating_add(part.len());
    }

    fn replace(&mut self, part: &[u8], by: &[u8]) {
        if part != by {
            let before = self.input.get(..self.at).unwrap_or_default();
            self.changed.get_or_insert_with(|| before.to_vec());
        }
        if let Some(out) = &mut self.changed {
            out.extend_from_slice(by);
        }
        self.at = self.at.saturating_add(part.len());
    }

    /// Copies one byte, if one is left.
    fn separator(&mut self) {
        if let Some(byte) = self.input.get(self.at) {
            self.keep(&[*byte]);
        }
    }

    fn finish(self) -> Cow<'a, [u8]> {
        self.changed.map_or(Cow::Borrowed(self.input), Cow::Owned)
    }
}

#[cfg(test)]
mod tests;
