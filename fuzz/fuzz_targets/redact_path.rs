//! A JSONPath, a line feed and a body: the path is refused, or it redacts the body within its bounds.

#![no_main]

use gatelens_model::Message;
use gatelens_redact::{BodyKind, Hits, RedactConfig, Redactor};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (path, body) = text.split_once('\n').unwrap_or((text, r#"{"a":[1,{"b":"c"}],"d":null}"#));
    let config = RedactConfig { request_body: vec![path.to_owned()], ..RedactConfig::default() };
    if let Ok(redactor) = Redactor::new(&config) {
        let _ = redactor.body(Message::Request, BodyKind::Json, body, &mut Hits::default());
    }
});
