//! A query, a path or a URL: redacting twice gives the same as redacting once.

#![no_main]

use std::sync::LazyLock;

use gatelens_redact::{DetectorKind, Hits, RedactConfig, Redactor};
use libfuzzer_sys::fuzz_target;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| {
    Redactor::new(&RedactConfig {
        query: vec!["x*y".into()],
        detectors: DetectorKind::ALL.to_vec(),
        ..RedactConfig::default()
    })
    .expect("the rules are right")
});

fuzz_target!(|data: &[u8]| {
    let hits = &mut Hits::default();
    let query = REDACTOR.query(data, hits);
    assert_eq!(REDACTOR.query(&query, hits), query);
    let path = REDACTOR.path(data, hits);
    assert_eq!(REDACTOR.path(&path, hits), path);
    let url = REDACTOR.url(data, hits);
    assert_eq!(REDACTOR.url(&url, hits), url);
});
