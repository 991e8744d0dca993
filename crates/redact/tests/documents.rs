//! Compares `docs/redaction.md` with the table of media types. `make docs` writes the document.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use std::fs;
use std::path::Path;

use gatelens_redact::capture::reference;

#[test]
fn the_document_lists_the_media_types_that_are_captured() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/redaction.md");
    let present = fs::read_to_string(&path).unwrap();
    let updated = reference::update(&present).expect("the document has markers of the table");
    assert!(present == updated, "docs/redaction.md is out of date: run `make docs`");
}
