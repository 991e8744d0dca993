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

/// Every rule for keys with a form of their own is in the document, and can be seen there.
#[test]
fn the_document_lists_the_forms_of_keys() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/redaction.md");
    let document = fs::read_to_string(&path).unwrap();
    let (_, table) = document.split_once("<!-- keys -->").expect("the document has the table of keys");
    let redactor = gatelens_redact::Redactor::new(&gatelens_redact::RedactConfig::default()).unwrap();
    let forms = redactor.rules().iter().skip_while(|rule| *rule != "default:private_key_pem");
    let mut count = 0;
    for rule in forms {
        assert!(table.contains(&format!("`{rule}`")), "docs/redaction.md lacks {rule}");
        count += 1;
    }
    assert!(count > 30, "{count}");
}
