//! The compiled rules of a configuration, and their application to headers, queries, paths and bodies.

use std::borrow::Cow;

use gatelens_model::{Message, OmissionReason};

use crate::automaton::Automaton;
use crate::body::{BodyKind, BodyRedactor, BodyRules};
use crate::config::RedactConfig;
use crate::detect::Detectors;
use crate::json::has_one_of;
use crate::mask::{MASK, UrlMatcher};
use crate::names::{KeyRule, NameContext, NameRules, Pattern};
use crate::parameters::{self, redact_host, redact_parameters, redact_path, redact_url};
use crate::path::Path;
use crate::rules::{Hits, RuleRegistry};
use crate::signs::Signs;
use crate::sniff::Carrier;
use crate::stable::{Pass, until_stable};

/// Longest list of a section of the configuration.
pub const MAX_LIST: usize = 256;

/// Longest name or pattern of a list, characters.
pub const MAX_NAME_CHARS: usize = 512;

/// Headers whose value is a host.
const HOSTS: [&[u8]; 3] = [b"host", b":authority", b"x-forwarded-host"];

/// Headers that are looked at in each request.
const USUAL: [&[u8]; 4] = [b"user-agent", b"x-request-id", b"host", b"content-type"];

/// What is wrong with a list of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{list}{}: {message}", index.map(|index| format!("[{index}]")).unwrap_or_default())]
pub struct SectionError {
    /// The key of the list within its section.
    pub list: &'static str,
    /// Which entry, if it is one.
    pub index: Option<usize>,
    /// What is wrong, and what was probably meant.
    pub message: String,
}

/// The rules of a configuration, compiled.
#[derive(Clone, Debug)]
pub struct Redactor {
    pub(crate) rules: RuleRegistry,
    headers: NameRules,
    /// Those of [`USUAL`] that no rule masks, so that their names are not matched again in each request.
    harmless_headers: Vec<&'static [u8]>,
    query: NameRules,
    pub(crate) request_body: BodyRules,
    response_body: BodyRules,
    detectors: Detectors,
}

impl Redactor {
    /// Compiles the rules.
    ///
    /// # Errors
    /// The first rule that is wrong, and what was probably meant.
    pub fn new(config: &RedactConfig) -> Result<Self, SectionError> {
        let mut rules = RuleRegistry::default();
        let mut headers = NameRules::new(NameContext::Header);
        let mut query = NameRules::new(NameContext::Query);
        let mut keys = NameRules::new(NameContext::Key);
        let mut detectors = Detectors::default();
        if config.defaults {
            [&mut headers, &mut query, &mut keys]
                .into_iter()
                .for_each(|names| names.add_defaults(&mut rules));
            detectors.add_keys(&mut rules);
        }
        each("headers", &config.headers, |text| {
            check_pattern(text, NameContext::Header)?;
            headers.add_pattern(Pattern::new(text), rules.add(format!("headers:{text}")));
            Ok(())
        })?;
        each("query", &config.query, |text| {
            check_pattern(text, NameContext::Query)?;
            query.add_pattern(Pattern::new(text), rules.add(format!("query:{text}")));
            Ok(())
        })?;
        each("keys", &config.keys, |text| {
            let key_rule = check_key(text)?;
            let rule = rules.add(format!("keys:{text}"));
            // A name that is sensitive in a body is also sensitive in a query.
            query.add_key_rule(key_rule.clone(), rule);
            keys.add_key_rule(key_rule, rule);
            Ok(())
        })?;
        let mut paths = |list: &'static str, texts: &[String]| {
            let mut plain = Automaton::default();
            let mut queries = Vec::new();
            each(list, texts, |text| {
                if crate::interrupt::is_given_up() {
                    return Err("the rules were not compiled, because nobody waits for them".to_owned());
                }
                let path = Path::parse(text).map_err(|error| error.to_string())?;
                let rule = rules.add(format!("{list}:{text}"));
                if path.is_plain() {
                    plain.add(path, rule);
                } else {
                    queries.push((path, rule));
                }
                Ok(())
            })?;
            Ok(BodyRules::new(plain, queries, keys.clone()))
        };
        let request_body = paths("request_body", &config.request_body)?;
        let response_body = paths("response_body", &config.response_body)?;
        for (index, kind) in config.detectors.iter().enumerate() {
            if config.detectors.iter().take(index).any(|earlier| earlier == kind) {
                let message = format!("`{}` is in the list already; remove one of the two", kind.name());
                return Err(SectionError { list: "detectors", index: Some(index), message });
            }
            detectors.add(*kind, rules.add(format!("detectors:{}", kind.name())));
        }
        let is_harmless = |name: &&[u8]| {
            std::str::from_utf8(name).is_ok_and(|name| !headers.hit(name, &mut Hits::default()))
        };
        let harmless_headers = USUAL.into_iter().filter(is_harmless).collect();
        Ok(Self { rules, headers, harmless_headers, query, request_body, response_body, detectors })
    }

    /// The names of all rules, in a stable order: `default:password`, `request_body:$.user.email`. [`Hits::drain`] gives
    /// indices into these.
    pub fn rules(&self) -> &[String] {
        self.rules.names()
    }

    /// The names of the rules that were configured, rather than built in.
    pub fn configured_rules(&self) -> Vec<String> {
        self.rules().iter().filter(|name| !name.starts_with("default:")).cloned().collect()
    }

    /// Redacts the value of a header. Names are compared without regard to case. A value that is not masked as a whole
    /// loses the userinfo of hosts and URLs and the sensitive parameters of URLs. Pass each value of a repeated header
    /// separately.
    pub fn header<'v>(&self, name: &[u8], value: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        let name = name.trim_ascii();
        if !self.harmless_headers.contains(&name) && self.headers.hit(&String::from_utf8_lossy(name), hits) {
            return Cow::Borrowed(MASK.as_bytes());
        }
        if HOSTS.iter().any(|host| name.eq_ignore_ascii_case(host))
            && let Some(host) = redact_host(value)
        {
            return Cow::Owned(self.header_value(&host, hits).into_owned());
        }
        self.header_value(value, hits)
    }

    /// Redacts the value of a header whose name is not sensitive.
    fn header_value<'v>(&self, value: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        if Signs::of(value).are_absent_in_header(value) && !self.may_have_key(value) {
            return Cow::Borrowed(value);
        }
        self.searched_header_value(value, hits)
    }

    fn searched_header_value<'v>(&self, value: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        self.settle(value, hits, |value, hits| {
            // A mask begins with a bracket, so what is left of a value can begin as JSON.
            if parameters::is_secret_json(value, Carrier::Value, &mut self.matcher(hits)) {
                return Cow::Owned(MASK.into());
            }
            let (mut is_url, mut has_parameters, mut before) = (value.starts_with(b"/"), false, 0);
            for byte in value {
                match byte {
                    b'?' | b'#' => is_url = true,
                    b'/' if before == b'/' => is_url = true,
                    b'=' => has_parameters = true,
                    _ => {}
                }
                before = *byte;
            }
            if is_url {
                return self.url_once(value, hits);
            }
            let masked = if has_parameters {
                redact_parameters(value, &mut self.matcher(hits))
            } else {
                Cow::Borrowed(value)
            };
            self.text(masked, hits)
        })
    }

    /// Redacts a query, which is given without its `?`.
    pub fn query<'v>(&self, query: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        if self.is_harmless_query(query) {
            return Cow::Borrowed(query);
        }
        self.searched_query(query, hits)
    }

    /// Whether nothing can be masked in a query: neither encoding nor structure, and no part of it can be a sensitive name or a key.
    /// False for some harmless ones, too.
    fn is_harmless_query(&self, query: &[u8]) -> bool {
        let has_structure = || has_one_of(query, [b'%', b'+', b'@', b';', b'{', b'[', b'"']);
        match std::str::from_utf8(query) {
            Ok(text) if text.is_ascii() && !has_structure() => {
                // What a text holds, each of its parts can hold, and nothing else.
                !self.query.may_be_in_part(text) && !self.detectors.may_be_in(query)
            }
            _ => false,
        }
    }

    fn searched_query<'v>(&self, query: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        if parameters::is_secret_json(query, Carrier::Query, &mut self.matcher(hits)) {
            return Cow::Borrowed(MASK.as_bytes());
        }
        redact_parameters(query, &mut self.matcher(hits))
    }

    /// Redacts a path without its query: matrix parameters, `;session=…`, and matches of the detectors.
    pub fn path<'v>(&self, path: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        if Signs::of(path).are_absent() && !self.may_have_key(path) {
            return Cow::Borrowed(path);
        }
        self.searched_path(path, hits)
    }

    fn searched_path<'v>(&self, path: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        self.settle(path, hits, |path, hits| {
            let masked = redact_path(path, &mut self.matcher(hits));
            self.text(masked, hits)
        })
    }

    /// Redacts a URL, absolute or relative.
    pub fn url<'v>(&self, url: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        self.settle(url, hits, |url, hits| self.url_once(url, hits))
    }

    fn url_once<'v>(&self, url: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        let masked = redact_url(url, &mut self.matcher(hits));
        self.text(masked, hits)
    }

    /// Redacts a body. It must be complete and decoded.
    ///
    /// # Errors
    /// Why the body must be omitted. Hits of rules up to that point are counted.
    pub fn body(
        &self,
        message: Message,
        kind: BodyKind,
        text: &str,
        hits: &mut Hits,
    ) -> Result<String, OmissionReason> {
        self.body_redactor(message).redact(kind, text, hits).map(Cow::into_owned)
    }

    /// Redacts a body. A text of which nothing is masked is returned as it is, without a copy.
    ///
    /// # Errors
    /// As [`Redactor::body`].
    pub(crate) fn own_body(
        &self,
        message: Message,
        kind: BodyKind,
        text: String,
        hits: &mut Hits,
    ) -> Result<String, OmissionReason> {
        let kept = self.body_redactor(message).redact(kind, &text, hits)?;
        // A borrowed text can also be the mask alone.
        if kept == text { Ok(text) } else { Ok(kept.into_owned()) }
    }

    /// The rules for the bodies of such messages.
    pub(crate) fn body_redactor(&self, message: Message) -> BodyRedactor<'_> {
        let body = match message {
            Message::Request => &self.request_body,
            Message::Response => &self.response_body,
        };
        BodyRedactor { body, query: &self.query, detectors: &self.detectors }
    }

    fn matcher<'a>(&'a self, hits: &'a mut Hits) -> UrlMatcher<'a> {
        UrlMatcher { query: &self.query, detectors: &self.detectors, hits }
    }

    /// Masks until nothing changes. A value that does not settle is masked as a whole.
    fn settle<'v>(
        &self,
        value: &'v [u8],
        hits: &mut Hits,
        mask: impl for<'a> Fn(&'a [u8], &mut Hits) -> Cow<'a, [u8]>,
    ) -> Cow<'v, [u8]> {
        let stable = until_stable(value, |value, pass| {
            let masked = match pass {
                Pass::First => mask(value, hits),
                Pass::Again => mask(value, &mut Hits::default()),
            };
            match masked {
                Cow::Owned(masked) => Some(masked),
                Cow::Borrowed(_) => None,
            }
        });
        stable.unwrap_or(Cow::Borrowed(MASK.as_bytes()))
    }

    /// Whether the detectors can find something in bytes without signs, which are ASCII.
    fn may_have_key(&self, value: &[u8]) -> bool {
        self.detectors.may_be_in(value)
    }

    /// Masks matches of the detectors in any bytes.
    fn text<'v>(&self, bytes: Cow<'v, [u8]>, hits: &mut Hits) -> Cow<'v, [u8]> {
        // Checking is several times faster than looking for bytes to replace.
        let text =
            std::str::from_utf8(&bytes).map_or_else(|_| String::from_utf8_lossy(&bytes), Cow::Borrowed);
        match self.detectors.redact(&text, hits) {
            Cow::Owned(redacted) if redacted != text => Cow::Owned(redacted.into_bytes()),
            _ => bytes,
        }
    }
}

/// Passes the entries of a list to `take` one by one. An error names the entry.
pub(crate) fn each(
    list: &'static str,
    entries: &[String],
    mut take: impl FnMut(&str) -> Result<(), String>,
) -> Result<(), SectionError> {
    if entries.len() > MAX_LIST {
        return Err(SectionError { list, index: None, message: format!("at most {MAX_LIST} entries") });
    }
    for (index, entry) in entries.iter().enumerate() {
        let length = entry.chars().count();
        let result = match length {
            0 => Err("an entry cannot be empty".to_owned()),
            1..=MAX_NAME_CHARS => take(entry),
            _ => Err(format!("at most {MAX_NAME_CHARS} characters")),
        };
        result.map_err(|message| SectionError { list, index: Some(index), message })?;
    }
    Ok(())
}

/// Whether a pattern can match a name at all.
pub(crate) fn check_header_pattern(text: &str) -> Result<(), String> {
    check_pattern(text, NameContext::Header)
}

fn check_pattern(text: &str, place: NameContext) -> Result<(), String> {
    if text.starts_with("$.") || text.starts_with("$[") {
        return Err("this is a path; paths belong in `request_body` and `response_body`".into());
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(format!("a name must not begin or end with blanks; write `{}`", text.trim()));
    }
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if place == NameContext::Header && text.starts_with(':') {
        return Err("`:…` names a pseudo-header; write `host` for `:authority`".into());
    }
    if place == NameContext::Header && !text.bytes().all(is_token) {
        return Err("not a header name; use letters, digits and `-`, and `*` for any characters".into());
    }
    Ok(())
}

fn check_key(text: &str) -> Result<KeyRule, String> {
    if text.starts_with('$') {
        return Err("this is a path; paths belong in `request_body` and `response_body`".into());
    }
    if text.contains('*') {
        return Err("no `*` here: a key is found in any key_rule and as a part of longer names".into());
    }
    KeyRule::new(text).ok_or_else(|| "a key must contain letters or digits".into())
}

#[cfg(test)]
mod tests;
