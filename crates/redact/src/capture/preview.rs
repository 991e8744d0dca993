//! Shows how the filter would treat a body, without a gateway.

use super::{BodyCapture, BodyEnd, Capture, CaptureConfig, CapturedBody, Head};
use crate::{Hits, RedactConfig, Redactor, SectionError};
use gatelens_model::Message;

/// A body as it would be sent, and the hits of the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The body that would be sent, or why it would be omitted.
    pub captured: CapturedBody,
    /// Rules that were hit, and how often.
    pub hits: Vec<(String, u64)>,
    /// Configured rules for bodies of this message that were not hit.
    pub never: Vec<String>,
}

/// Takes a body through capture and redaction, exactly as the filter does. The switches
/// `capture.request_body` and `capture.response_body` are ignored.
///
/// # Errors
/// The first entry of the configuration that is wrong.
pub fn preview(
    redact: &RedactConfig,
    capture: &CaptureConfig,
    message: Message,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Preview, SectionError> {
    let redactor = Redactor::new(redact)?;
    let capture =
        Capture::new(&CaptureConfig { request_body: true, response_body: true, ..capture.clone() })?;
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let head = match message {
        Message::Request => Head::request(headers),
        Message::Response => Head::response(headers, b"GET"),
    };
    let mut taken = BodyCapture::new(message, &head, capture.max_body_bytes);
    taken.push(body);
    let mut hits = Hits::default();
    let captured = taken.finish(BodyEnd::Complete, &redactor, &mut hits);
    let mut never = Vec::new();
    let mut counted = vec![0; redactor.rules().len()];
    hits.drain().for_each(|(index, count)| counted.get_mut(index).into_iter().for_each(|seen| *seen = count));
    let mut hits = Vec::new();
    for (rule, count) in redactor.rules().iter().zip(counted) {
        match count {
            0 if concerns(rule, message) => never.push(rule.clone()),
            0 => {}
            count => hits.push((rule.clone(), count)),
        }
    }
    Ok(Preview { captured, hits, never })
}

/// Whether a rule applies to bodies of this message.
fn concerns(rule: &str, message: Message) -> bool {
    let own = match message {
        Message::Request => "request_body:",
        Message::Response => "response_body:",
    };
    [own, "keys:", "detectors:"].iter().any(|list| rule.starts_with(list))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatelens_model::OmissionReason;

    use crate::MASK;

    #[test]
    fn a_preview_tells_what_is_sent_and_which_rules_did_it() {
        let redact = RedactConfig {
            request_body: vec!["$.a".into(), "$.b".into()],
            response_body: vec!["$.c".into()],
            ..RedactConfig::default()
        };
        let headers = [("content-type", "application/json")];
        let see = |body: &[u8]| {
            preview(&redact, &CaptureConfig::default(), Message::Request, &headers, body).unwrap()
        };
        let seen = see(br#"{"a":1,"pwd":2}"#);
        let wanted = format!(r#"{{"a":"{MASK}","pwd":"{MASK}"}}"#);
        assert_eq!(seen.captured, CapturedBody { size: 15, content: Ok(wanted) });
        assert_eq!(seen.hits, [("default:password".into(), 1), ("request_body:$.a".into(), 1)]);
        assert_eq!(seen.never, ["request_body:$.b"]);
        assert_eq!(see(b"{").captured.content, Err(OmissionReason::Truncated));
    }
}
