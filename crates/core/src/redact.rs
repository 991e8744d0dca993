//! Redaction: what is secret is masked before anything is queued, and what cannot be redacted is left out.
//!
//! ```
//! use gatelens_core::redact::{BodyKind, Hits, Message, RedactConfig, Redactor};
//!
//! let config = RedactConfig { request_body: vec!["$.user.email".into()], ..RedactConfig::default() };
//! let redactor = Redactor::new(&config)?;
//! let mut hits = Hits::default();
//! let body = r#"{"user": {"id": 7, "email": "ann@example.com"}, "apiKey": ["k", 1]}"#;
//! assert_eq!(
//!     redactor.body(Message::Request, BodyKind::Json, body, &mut hits),
//!     Ok(r#"{"user": {"id": 7, "email": "[CLIENT_REDACTED]"}, "apiKey": "[CLIENT_REDACTED]"}"#.into()),
//! );
//! # Ok::<(), gatelens_core::redact::Defect>(())
//! ```
//!
//! A [`Redactor`] is compiled once, with the configuration; using it cannot fail but by leaving a body out, with a
//! [`Reason`]. Rules are known by name ([`Redactor::rules`]) and count what they select ([`Hits`]), also within what
//! another rule masks.

mod automaton;
mod body;
mod config;
mod detect;
mod json;
mod names;
mod parameters;
mod path;
mod reason;
mod rules;
mod select;
mod sniff;
mod stable;
mod tree;

use std::borrow::Cow;

pub use body::BodyKind;
pub use config::{DetectorKind, RedactConfig};
pub use reason::Reason;
pub use rules::{Hits, RuleId};

use automaton::Automaton;
use body::BodyRules;
use detect::Detectors;
pub(crate) use names::Pattern;
pub use names::is_credential_header;
use names::{Names, Place, Spelling};
use parameters::{Judge, redact_host, redact_parameters, redact_path, redact_url};
use path::Path;
use rules::Rules;
use sniff::Carrier;
use stable::{Pass, until_stable};

/// What stands where something was masked.
pub const MASK: &str = "[CLIENT_REDACTED]";

/// Longest list of a section of the configuration.
pub const MAX_LIST: usize = 256;

/// Longest name or pattern of a list, characters.
pub const MAX_NAME_CHARS: usize = 512;

/// Headers whose value is a host.
const HOSTS: [&[u8]; 3] = [b"host", b":authority", b"x-forwarded-host"];

/// Which half of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// From the client.
    Request,
    /// To the client.
    Response,
}

/// What is wrong with a list of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{list}{}: {message}", index.map(|index| format!("[{index}]")).unwrap_or_default())]
pub struct Defect {
    /// The key of the list within its section.
    pub list: &'static str,
    /// Which entry, if it is one.
    pub index: Option<usize>,
    /// What is wrong and what was meant.
    pub message: String,
}

/// The rules of a configuration, compiled.
#[derive(Clone, Debug)]
pub struct Redactor {
    rules: Rules,
    headers: Names,
    query: Names,
    request_body: BodyRules,
    response_body: BodyRules,
    detectors: Detectors,
}

impl Redactor {
    /// Compiles the rules.
    ///
    /// # Errors
    /// The first rule that is wrong, and what was meant.
    pub fn new(config: &RedactConfig) -> Result<Self, Defect> {
        let mut rules = Rules::default();
        let mut headers = Names::new(Place::Header);
        let mut query = Names::new(Place::Query);
        let mut keys = Names::new(Place::Key);
        if config.defaults {
            [&mut headers, &mut query, &mut keys]
                .into_iter()
                .for_each(|names| names.add_defaults(&mut rules));
        }
        each("headers", &config.headers, |text| {
            check_pattern(text, Place::Header)?;
            headers.add_pattern(Pattern::new(text), rules.add(format!("headers:{text}")));
            Ok(())
        })?;
        each("query", &config.query, |text| {
            check_pattern(text, Place::Query)?;
            query.add_pattern(Pattern::new(text), rules.add(format!("query:{text}")));
            Ok(())
        })?;
        each("keys", &config.keys, |text| {
            let spelling = check_key(text)?;
            let rule = rules.add(format!("keys:{text}"));
            // A name that is secret in a body is so in a query too.
            query.add_spelling(spelling.clone(), rule);
            keys.add_spelling(spelling, rule);
            Ok(())
        })?;
        let mut paths = |list: &'static str, texts: &[String]| {
            let mut plain = Automaton::default();
            let mut queries = Vec::new();
            each(list, texts, |text| {
                let path = Path::parse(text).map_err(|error| error.to_string())?;
                let rule = rules.add(format!("{list}:{text}"));
                if path.is_plain() {
                    plain.add(path, rule);
                } else {
                    queries.push((path, rule));
                }
                Ok(())
            })?;
            Ok(BodyRules { plain, queries, keys: keys.clone() })
        };
        let request_body = paths("request_body", &config.request_body)?;
        let response_body = paths("response_body", &config.response_body)?;
        let mut detectors = Detectors::default();
        for (index, kind) in config.detectors.iter().enumerate() {
            if config.detectors.iter().take(index).any(|earlier| earlier == kind) {
                let message = format!("`{}` is in the list already", kind.name());
                return Err(Defect { list: "detectors", index: Some(index), message });
            }
            detectors.add(*kind, rules.add(format!("detectors:{}", kind.name())));
        }
        Ok(Self { rules, headers, query, request_body, response_body, detectors })
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

    /// What is kept of a header's value. Names are compared without regard to case; in the values of headers that are
    /// kept, URLs and hosts lose their userinfo, URLs their sensitive parameters. Each value of a repeated header is
    /// given by itself.
    pub fn header<'v>(&self, name: &[u8], value: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        let name = name.trim_ascii();
        if self.headers.hit(&String::from_utf8_lossy(name), hits) {
            return Cow::Borrowed(MASK.as_bytes());
        }
        if HOSTS.iter().any(|host| name.eq_ignore_ascii_case(host))
            && let Some(host) = redact_host(value)
        {
            return Cow::Owned(self.header_value(&host, hits).into_owned());
        }
        self.header_value(value, hits)
    }

    /// What is kept of the value of a header that is kept.
    fn header_value<'v>(&self, value: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        if parameters::is_secret_json(value, Carrier::Value, &mut self.judge(hits)) {
            return Cow::Borrowed(MASK.as_bytes());
        }
        let has = |wanted: &[u8]| value.iter().any(|byte| wanted.contains(byte));
        if value.starts_with(b"/") || has(b"?#") || value.windows(2).any(|pair| pair == b"//") {
            return self.url(value, hits);
        }
        self.settle(value, hits, |value, hits| {
            let masked = if has(b"=") {
                redact_parameters(value, &mut self.judge(hits))
            } else {
                Cow::Borrowed(value)
            };
            self.text(masked, hits)
        })
    }

    /// What is kept of a query, given without its `?`.
    pub fn query<'v>(&self, query: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        if parameters::is_secret_json(query, Carrier::Query, &mut self.judge(hits)) {
            return Cow::Borrowed(MASK.as_bytes());
        }
        redact_parameters(query, &mut self.judge(hits))
    }

    /// What is kept of a path without its query: matrix parameters, `;session=…`, and what the detectors find.
    pub fn path<'v>(&self, path: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        self.settle(path, hits, |path, hits| {
            let masked = redact_path(path, &mut self.judge(hits));
            self.text(masked, hits)
        })
    }

    /// What is kept of a URL, absolute or not.
    pub fn url<'v>(&self, url: &'v [u8], hits: &mut Hits) -> Cow<'v, [u8]> {
        self.settle(url, hits, |url, hits| {
            let masked = redact_url(url, &mut self.judge(hits));
            self.text(masked, hits)
        })
    }

    /// What is kept of a body, which is complete and decoded.
    ///
    /// # Errors
    /// Why nothing is kept of it. Rules that were hit until then are counted.
    pub fn body(
        &self,
        message: Message,
        kind: BodyKind,
        text: &str,
        hits: &mut Hits,
    ) -> Result<String, Reason> {
        let body = match message {
            Message::Request => &self.request_body,
            Message::Response => &self.response_body,
        };
        body::Rules { body, query: &self.query, detectors: &self.detectors }.redact(kind, text, hits)
    }

    fn judge<'a>(&'a self, hits: &'a mut Hits) -> UrlJudge<'a> {
        UrlJudge { query: &self.query, detectors: &self.detectors, hits }
    }

    /// Masks until nothing changes, and the whole value where that takes too long.
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

    /// Masks what the detectors find in bytes of any kind.
    fn text<'v>(&self, bytes: Cow<'v, [u8]>, hits: &mut Hits) -> Cow<'v, [u8]> {
        if self.detectors.is_empty() {
            return bytes;
        }
        let text = String::from_utf8_lossy(&bytes);
        match self.detectors.redact(&text, hits) {
            redacted if redacted == text => bytes,
            redacted => Cow::Owned(redacted.into_owned().into_bytes()),
        }
    }
}

/// What is sensitive in a URL.
struct UrlJudge<'a> {
    query: &'a Names,
    detectors: &'a Detectors,
    hits: &'a mut Hits,
}

impl Judge for UrlJudge<'_> {
    fn name(&mut self, name: &str) -> bool {
        self.query.hit(name, self.hits)
    }

    fn text(&mut self, text: &str) -> bool {
        self.detectors.hit(text, self.hits)
    }
}

/// Takes the entries of a list one by one and says which one is wrong.
pub(crate) fn each(
    list: &'static str,
    entries: &[String],
    mut take: impl FnMut(&str) -> Result<(), String>,
) -> Result<(), Defect> {
    if entries.len() > MAX_LIST {
        return Err(Defect { list, index: None, message: format!("at most {MAX_LIST} entries") });
    }
    for (index, entry) in entries.iter().enumerate() {
        let length = entry.chars().count();
        let result = match length {
            0 => Err("an entry cannot be empty".to_owned()),
            1..=MAX_NAME_CHARS => take(entry),
            _ => Err(format!("at most {MAX_NAME_CHARS} characters")),
        };
        result.map_err(|message| Defect { list, index: Some(index), message })?;
    }
    Ok(())
}

/// Whether a pattern can match a name at all.
pub(crate) fn check_header_pattern(text: &str) -> Result<(), String> {
    check_pattern(text, Place::Header)
}

fn check_pattern(text: &str, place: Place) -> Result<(), String> {
    if text.starts_with("$.") || text.starts_with("$[") {
        return Err("this is a path; paths stand in `request_body` and `response_body`".into());
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err(format!("no blanks around a name: `{}`", text.trim()));
    }
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if place == Place::Header && text.starts_with(':') {
        return Err("a pseudo-header is no header; `:authority` is `host` here".into());
    }
    if place == Place::Header && !text.bytes().all(is_token) {
        return Err("not a header name; `*` stands for any characters".into());
    }
    Ok(())
}

fn check_key(text: &str) -> Result<Spelling, String> {
    if text.starts_with('$') {
        return Err("this is a path; paths stand in `request_body` and `response_body`".into());
    }
    if text.contains('*') {
        return Err("no `*` here: a key is found in any spelling and as a part of longer names".into());
    }
    Spelling::new(text).ok_or_else(|| "a key has letters or digits".into())
}

#[cfg(test)]
mod tests;
