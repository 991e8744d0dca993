//! Media types, by the grammar of RFC 9110, section 8.3.1.

use crate::BodyKind;
use gatelens_model::OmissionReason;

/// The media types whose bodies are captured, and how each is redacted. `*` stands for any characters.
///
/// The list in `docs/redaction.md` is made from this table.
pub const MEDIA_TYPES: &[(&str, BodyKind)] = &[
    ("application/json", BodyKind::Json),
    ("text/json", BodyKind::Json),
    // RFC 6839, section 3.1: problem+json, ld+json, vnd.…+json.
    ("*/*+json", BodyKind::Json),
    ("application/x-ndjson", BodyKind::JsonLines),
    ("application/ndjson", BodyKind::JsonLines),
    ("application/jsonl", BodyKind::JsonLines),
    ("application/x-jsonl", BodyKind::JsonLines),
    ("application/jsonlines", BodyKind::JsonLines),
    ("application/x-jsonlines", BodyKind::JsonLines),
    ("application/x-www-form-urlencoded", BodyKind::Form),
    ("text/plain", BodyKind::Text),
    ("text/markdown", BodyKind::Text),
    ("text/x-markdown", BodyKind::Text),
    ("text/event-stream", BodyKind::EventStream),
];

/// A media type: type and subtype in lower case, and parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    essence: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Reads the value of a `content-type`; `None` when it is not of the grammar.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?.trim_matches([' ', '\t']);
        let (essence, mut rest) = text.split_at_checked(text.find(';').unwrap_or(text.len()))?;
        let essence = essence.trim_end_matches([' ', '\t']).to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let mut parameters = Vec::new();
        while let Some(after) = rest.strip_prefix(';') {
            rest = after.trim_start_matches([' ', '\t']);
            if rest.is_empty() || rest.starts_with(';') {
                continue;
            }
            let (name, value) = rest.split_once('=')?;
            let (value, after) = parameter_value(value)?;
            if !is_token(name) {
                return None;
            }
            parameters.push((name.to_ascii_lowercase(), value));
            rest = after.trim_start_matches([' ', '\t']);
        }
        rest.is_empty().then_some(Self { essence, parameters })
    }

    /// The one media type that all values of the header state.
    pub(super) fn of_values<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Self, OmissionReason> {
        let mut found: Option<Self> = None;
        for value in values {
            let media_type = Self::parse(value).ok_or(OmissionReason::UnsupportedMediaType)?;
            if found.as_ref().is_some_and(|found| *found != media_type) {
                return Err(OmissionReason::UnsupportedMediaType);
            }
            found = Some(media_type);
        }
        found.ok_or(OmissionReason::UnsupportedMediaType)
    }

    /// Type and subtype, `application/json`.
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// The value of a parameter. A parameter with several different values yields the empty text, which is not a valid
    /// value of any parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut values =
            self.parameters.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let first = values.next()?;
        Some(if values.all(|value| value.eq_ignore_ascii_case(first)) { first } else { "" })
    }

    /// How a body of this type is redacted.
    ///
    /// # Errors
    /// Why such a body is omitted.
    pub fn body_kind(&self) -> Result<BodyKind, OmissionReason> {
        let grpc = self.essence.strip_prefix("application/grpc");
        if grpc.is_some_and(|rest| rest.is_empty() || rest.starts_with('+') || rest.starts_with("-web")) {
            return Err(OmissionReason::Grpc);
        }
        let known = MEDIA_TYPES.iter().find(|(pattern, _)| self.is(pattern));
        known.map(|(_, kind)| *kind).ok_or(OmissionReason::UnsupportedMediaType)
    }

    /// Whether this is one of the types of a pattern of [`MEDIA_TYPES`].
    fn is(&self, pattern: &str) -> bool {
        match pattern.strip_prefix("*/*") {
            Some(suffix) => self.essence.ends_with(suffix),
            None => self.essence == pattern,
        }
    }
}

/// A token or quoted string, and what comes after it.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return is_token(value).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    loop {
        let mut chars = rest.chars();
        match chars.next()? {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
        rest = chars.as_str();
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        let check = |value: &str, kind: Result<BodyKind, OmissionReason>, charset: Option<&str>| {
            let read = MediaType::of_values([value.as_bytes()].into_iter());
            let charset_read =
                read.as_ref().ok().and_then(|read| read.parameter("charset").map(str::to_owned));
            assert_eq!(read.and_then(|read| read.body_kind()), kind, "{value}");
            assert_eq!(charset_read.as_deref(), charset, "{value}");
        };
        let json = Ok(BodyKind::Json);
        check("application/json", json, None);
        check("APPLICATION/JSON;Charset=UTF-8", json, Some("UTF-8"));
        check("application/json ; charset=\"utf\\-8\" ; x=\"a;b\"", json, Some("utf-8"));
        check("application/json;", json, None);
        check("application/problem+json", json, None);
        check("application/vnd.api+json; profile=\"x\"", json, None);
        check("application/ld+json", json, None);
        check("application/x-ndjson", Ok(BodyKind::JsonLines), None);
        check("application/x-www-form-urlencoded", Ok(BodyKind::Form), None);
        check("text/plain;charset=latin1", Ok(BodyKind::Text), Some("latin1"));
        check("text/markdown", Ok(BodyKind::Text), None);
        check("text/event-stream", Ok(BodyKind::EventStream), None);
        check("application/grpc+proto", Err(OmissionReason::Grpc), None);
        check("application/grpc", Err(OmissionReason::Grpc), None);
        check("application/grpc-web+proto", Err(OmissionReason::Grpc), None);
        check("application/json; charset=utf-8; charset=latin1", json, Some(""));
        let unsupported = Err(OmissionReason::UnsupportedMediaType);
        for value in [
            "",
            "json",
            "application/",
            "/json",
            "application/json x",
            "application/json; charset",
            "text/html",
            "application/json; charset=\"utf-8",
            "multipart/form-data; boundary=x",
            "application/jsonp",
            "image/png",
            "application/json, text/plain",
            "application/json; =x",
            "applicati\u{f6}n/json",
        ] {
            check(value, unsupported, None);
        }
    }

    #[test]
    fn several_values_have_to_agree() {
        let check = |values: &[&str], agree: bool| {
            let read = MediaType::of_values(values.iter().map(|value| value.as_bytes()));
            assert_eq!(read.is_ok(), agree, "{values:?}");
        };
        check(&["application/json", "Application/JSON"], true);
        check(&["application/json", "text/plain"], false);
        check(&[], false);
    }
}
