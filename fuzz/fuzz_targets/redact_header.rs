//! A header's name, a colon and its value: redacting twice gives the same as redacting once, whatever the name's case.

#![no_main]

use std::sync::LazyLock;

use gatelens_redact::{DetectorKind, Hits, RedactConfig, Redactor};
use libfuzzer_sys::fuzz_target;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    Redactor::new(&RedactConfig {
        headers: vec!["x-*-id".into()],
        detectors: DetectorKind::ALL.to_vec(),
        ..RedactConfig::default()
    })
    .expect("the rules are right")
});

fuzz_target!(|data: &[u8]| {
    let colon = data.iter().position(|byte| *byte == b':').unwrap_or(data.len());
    let (name, value) = data.split_at(colon);
    let value = value.strip_prefix(b":").unwrap_or(value);
    let hits = &mut Hits::default();
    let kept = REDACTOR.header(name, value, hits);
    assert_eq!(REDACTOR.header(name, &kept, hits), kept);
    assert_eq!(REDACTOR.header(&name.to_ascii_uppercase(), value, hits), kept);
    assert_eq!(REDACTOR.header(&name.to_ascii_lowercase(), value, hits), kept);
});
