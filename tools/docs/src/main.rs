//! `gatelens-docs`: writes the reference documents. `make docs` runs it; the tests here fail while one is out of date.

mod config;
mod examples;
mod serve;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use gatelens_core::request::access_log;
use gatelens_model::OmissionReason;

/// A file that is made from code.
struct Document {
    /// Below the root of the workspace.
    file: &'static str,
    text: String,
}

fn main() -> ExitCode {
    match documents().and_then(|documents| documents.iter().try_for_each(write)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gatelens-docs: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All of them.
fn documents() -> io::Result<Vec<Document>> {
    let schema = config::schema();
    let options = serve::schema();
    Ok(vec![
        Document { file: "docs/config.schema.json", text: format!("{schema:#}\n") },
        Document { file: "docs/config.md", text: config::page(&schema) },
        Document { file: "docs/serve.schema.json", text: format!("{options:#}\n") },
        Document { file: "docs/serve.md", text: serve::page(&options) },
        Document { file: "docs/wire.md", text: gatelens_model::reference::update(&read("docs/wire.md")?) },
        Document { file: "docs/redaction.md", text: redaction(&read("docs/redaction.md")?)? },
        Document { file: "docs/log-line.md", text: log_line(&read("docs/log-line.md")?)? },
        Document { file: "dashboard/src/omission.ts", text: omission() },
    ])
}

/// The document with its table of captured media types.
fn redaction(document: &str) -> io::Result<String> {
    gatelens_redact::capture::reference::update(document)
        .ok_or_else(|| io::Error::other("docs/redaction.md has no markers of the table of media types"))
}

/// The document with its table of keys.
fn log_line(document: &str) -> io::Result<String> {
    const BEGIN: &str = "<!-- table: keys -->\n";
    const END: &str = "<!-- end -->\n";
    let parts = document.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let missing = || io::Error::other("docs/log-line.md has no markers of the table of keys");
    let (before, after) = parts.ok_or_else(missing)?;
    let rows: String =
        access_log::KEYS.iter().map(|(key, meaning)| format!("| `{key}` | {meaning} |\n")).collect();
    Ok([before, BEGIN, "| key | meaning |\n|---|---|\n", &rows, END, after].concat())
}

/// The omission reasons as a type of the page, so that its compiler finds one that the page does not explain.
fn omission() -> String {
    let names: String =
        OmissionReason::ALL.iter().map(|reason| format!("  '{}',\n", reason.name())).collect();
    format!(
        "// Why a body is not in the log, under the names of the wire. Written by `make docs`.\n\n\
         export const OMISSION_REASONS = [\n{names}] as const;\n\n\
         export type OmissionReason = (typeof OMISSION_REASONS)[number];\n"
    )
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

fn read(file: &str) -> io::Result<String> {
    fs::read_to_string(path(file)).map_err(|error| io::Error::new(error.kind(), format!("{file}: {error}")))
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_are_up_to_date() {
        for Document { file, text } in documents().unwrap() {
            let found = fs::read_to_string(path(file)).unwrap_or_default();
            assert!(found == text, "{file} is out of date: run `make docs`");
        }
    }

    #[test]
    fn every_omission_reason_is_explained() {
        let text = read("docs/wire.md").unwrap();
        for reason in OmissionReason::ALL.map(OmissionReason::name) {
            assert!(text.contains(&format!("`{reason}`")), "docs/wire.md: {reason}");
        }
    }
}
