//! `gatelens-docs`: writes the reference documents. `make docs` runs it; the tests here fail while one is out of date.

mod config;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

/// A document that is made from code.
struct Document {
    /// Below the root of the workspace.
    file: &'static str,
    text: String,
}

fn main() -> ExitCode {
    for document in documents() {
        if let Err(error) = write(&document) {
            eprintln!("gatelens-docs: {}: {error}", document.file);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// All of them.
fn documents() -> Vec<Document> {
    let schema = config::schema();
    vec![
        Document { file: "docs/config.schema.json", text: format!("{schema:#}\n") },
        Document { file: "docs/config.md", text: config::page(&schema) },
    ]
}

/// Leaves a file alone that is up to date, so that nothing is rebuilt because of it.
fn write(document: &Document) -> io::Result<()> {
    let path = path(document.file);
    if fs::read_to_string(&path).is_ok_and(|text| text == document.text) {
        return Ok(());
    }
    fs::write(path, &document.text)?;
    println!("{} written", document.file);
    Ok(())
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

#[cfg(test)]
mod tests {
    use gatelens_core::redact::Reason;

    use super::*;

    #[test]
    fn the_documents_are_up_to_date() {
        for Document { file, text } in documents() {
            let found = fs::read_to_string(path(file)).unwrap_or_default();
            assert!(found == text, "{file} is out of date: run `make docs`");
        }
    }

    #[test]
    fn every_reason_for_leaving_a_body_out_is_explained_in_the_documents_and_on_the_page() {
        let read = |file: &str| fs::read_to_string(path(file)).unwrap();
        let (document, page) = (read("docs/wire.md"), read("dashboard/src/redaction.ts"));
        for reason in Reason::ALL.map(Reason::name) {
            assert!(document.contains(&format!("`{reason}`")), "docs/wire.md: {reason}");
            assert!(page.contains(&format!("  {reason}: {{")), "dashboard/src/redaction.ts: {reason}");
        }
    }
}
