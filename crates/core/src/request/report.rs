//! What an application reports about a request in headers of its response: an error, and tags.

use super::consumer::ResponseNames;
use super::event::bounded;
use gatelens_model::Message;
use gatelens_redact::{BodyKind, Hits, Redactor};
use std::borrow::Cow;

/// Longest reported error in bytes.
pub const MAX_ERROR_BYTES: usize = 512;

/// Maximum number of tags.
pub const MAX_TAGS: usize = 16;

/// Longest name of a tag in bytes.
pub const MAX_TAG_NAME_BYTES: usize = 64;

/// Longest value of a tag in bytes.
pub const MAX_TAG_VALUE_BYTES: usize = 128;

/// The response headers that a filter removes, in lower case: those that name the consumer, then those of the report.
pub type ResponseHeaders = Vec<Box<str>>;

/// The section `report`, compiled: places in [`ResponseHeaders`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportPlan {
    /// The header with an error.
    pub error: Option<usize>,
    /// The header with tags.
    pub tags: Option<usize>,
}

/// A report, redacted. Empty texts are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// At most [`MAX_ERROR_BYTES`].
    pub error: String,
    /// `name=value`, separated by commas.
    pub tags: String,
}

impl ReportPlan {
    /// Whether a header is named.
    pub fn is_on(self) -> bool {
        self != Self::default()
    }

    /// The report among the headers that were read.
    pub(super) fn read(
        self,
        names: &[Box<str>],
        headers: &ResponseNames,
        redactor: &Redactor,
        hits: &mut Hits,
    ) -> Reported {
        let mut reported = Reported::default();
        let read = |place: Option<usize>| {
            let place = place?;
            Some((names.get(place)?.as_bytes(), headers.known(place)?))
        };
        if let Some((name, value)) = read(self.error) {
            reported.error = error(name, value, redactor, hits);
        }
        if let Some((_, value)) = read(self.tags) {
            reported.tags = tags(value, redactor, hits);
        }
        reported
    }
}

/// A text is redacted as a header, and then as prose. If that fails, nothing of it is kept.
fn error(name: &[u8], value: &[u8], redactor: &Redactor, hits: &mut Hits) -> String {
    let value = redactor.header(name, value.trim_ascii(), hits);
    let text = String::from_utf8_lossy(&value);
    match redactor.body(Message::Response, BodyKind::Text, &text, hits) {
        Ok(text) => bounded(Cow::Owned(text.into_bytes()), MAX_ERROR_BYTES).into_owned(),
        Err(_) => String::new(),
    }
}

/// Tags with names that are words. The value of each is redacted as that of a header with the name of the tag.
fn tags(list: &[u8], redactor: &Redactor, hits: &mut Hits) -> String {
    let mut tags = String::new();
    for tag in list.split(|byte| *byte == b',').take(MAX_TAGS) {
        let mut parts = tag.splitn(2, |byte| *byte == b'=');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let value = parts.next().unwrap_or_default().trim_ascii();
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if name.is_empty() || name.len() > MAX_TAG_NAME_BYTES || !name.iter().all(is_word) || value.is_empty()
        {
            continue;
        }
        if !tags.is_empty() {
            tags.push(',');
        }
        tags.push_str(&String::from_utf8_lossy(name));
        tags.push('=');
        tags.push_str(&bounded(redactor.header(name, value, hits), MAX_TAG_VALUE_BYTES));
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatelens_redact::RedactConfig;

    fn redactor() -> Redactor {
        Redactor::new(&RedactConfig::default()).unwrap()
    }

    #[test]
    fn an_error_is_bounded_and_redacted() {
        let check = |value: &str, expected: &str| {
            let found = error(b"x-gatelens-error", value.as_bytes(), &redactor(), &mut Hits::default());
            assert_eq!(found, expected, "{value}");
        };
        check(" KeyError: 'card' ", "KeyError: 'card'");
        check("", "");
        let long =
            error(b"x-gatelens-error", "é".repeat(5_000).as_bytes(), &redactor(), &mut Hits::default());
        assert_eq!(long, "é".repeat(MAX_ERROR_BYTES / 2));
        for secret in [
            "login failed: password=hunter2",
            "{\"password\": \"hunter2\"}",
            "at https://a:hunter2@b.example/",
        ] {
            let found = error(b"x-gatelens-error", secret.as_bytes(), &redactor(), &mut Hits::default());
            assert!(!found.contains("hunter2"), "{found}");
        }
        assert!(!error(b"x-gatelens-error", &[0xff, b'a'], &redactor(), &mut Hits::default()).is_empty());
    }

    #[test]
    fn tags_are_words_with_redacted_values() {
        let check = |list: &str, expected: &str| {
            assert_eq!(tags(list.as_bytes(), &redactor(), &mut Hits::default()), expected, "{list}");
        };
        check("plan=gold, cart = large ", "plan=gold,cart=large");
        check("plan, =x, a b=c, ok=1=2,, é=1", "ok=1=2");
        check("api-key=hunter2,plan=gold", "api-key=[CLIENT_REDACTED],plan=gold");
        check("", "");
        let many: Vec<String> = (0..40).map(|n| format!("t{n}={}", "v".repeat(1_000))).collect();
        let found = tags(many.join(",").as_bytes(), &redactor(), &mut Hits::default());
        assert_eq!(found.split(',').count(), MAX_TAGS);
        assert!(found.len() <= MAX_TAGS * ("t10=,".len() + MAX_TAG_VALUE_BYTES), "{}", found.len());
    }
}
