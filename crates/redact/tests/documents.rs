//! The lists in `docs/` are those of the code. `UPDATE=1 cargo test -p gatelens-redact --test documents` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fmt::Write;
use std::fs;
use std::path::Path;

use gatelens_redact::BodyKind;
use gatelens_redact::capture::MEDIA_TYPES;

/// Holds the part of a document between two comments to what the code says.
#[track_caller]
fn check(file: &str, section: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    let text = fs::read_to_string(&path).unwrap();
    let begin = text.find(&format!("<!-- {section}:")).unwrap();
    let begin = begin + text[begin..].find("-->\n").unwrap() + "-->\n".len();
    let end = begin + text[begin..].find(&format!("<!-- end of {section} -->")).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, [&text[..begin], expected, &text[end..]].concat()).unwrap();
        return;
    }
    let stale = "is out of date: UPDATE=1 cargo test -p gatelens-redact --test documents";
    assert!(&text[begin..end] == expected, "{file}: the list of {section} {stale}");
}

/// The table of the media types whose bodies are captured.
fn media_types() -> String {
    let mut table = String::from("| redacted as | media types |\n|---|---|\n");
    for (kind, title) in [
        (BodyKind::Json, "JSON"),
        (BodyKind::JsonLines, "JSON by the line"),
        (BodyKind::Form, "a form"),
        (BodyKind::Text, "text"),
        (BodyKind::EventStream, "server-sent events"),
    ] {
        let of_kind = MEDIA_TYPES.iter().filter(|(_, other)| *other == kind);
        let names: Vec<_> = of_kind.map(|(pattern, _)| format!("`{pattern}`")).collect();
        writeln!(table, "| {title} | {} |", names.join(", ")).unwrap();
    }
    table
}

#[test]
fn captured_media_types() {
    let table = media_types();
    assert_eq!(table.matches('`').count(), 2 * MEDIA_TYPES.len(), "a kind is missing:\n{table}");
    check("docs/redaction.md", "media types", &table);
}
