//! `gatelens openapi`: an OpenAPI document of what was seen, or the comparison of one with it.

use crate::input;
use crate::query::client::{Failure, SourceArguments};
use gatelens_documents::compare::{Finding, Seen, compare};
use gatelens_documents::openapi;
use gatelens_documents::problem::{Problem, Severity};
use gatelens_documents::yaml;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Compare an OpenAPI 3 or Swagger 2 document, in YAML or JSON, with what was seen; `-` is the standard input.
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// What all paths begin with at the gateway, in place of the base paths in the document.
    #[arg(long, value_name = "PATH", requires = "compare")]
    base_path: Option<String>,
    /// Exit with 1 for warnings, too: routes that were never called, fields and statuses that the document lacks.
    #[arg(long, requires = "compare")]
    strict: bool,
    #[command(flatten)]
    source: SourceArguments,
    /// The service.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Its environment.
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// inbound or outbound [default: inbound]
    #[arg(long, value_name = "DIRECTION")]
    direction: Option<String>,
    /// The form of a comparison. What was seen is always printed as JSON.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A line for each finding.
    Text,
    Json,
}

/// Prints the document or the findings. 0 when there is no contradiction, 1 when there is one or no answer, 2 when a file
/// cannot be read.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    // The file first: a wrong name is found without a service.
    let file = match arguments.compare.as_deref().map(|path| (path, input::text(path))) {
        Some((_, Err(error))) => {
            eprintln!("gatelens: {error}");
            return ExitCode::from(2);
        }
        Some((path, Ok(text))) => Some((path, text)),
        None => None,
    };
    let seen = match seen(arguments) {
        Ok(seen) => seen,
        Err(failure) => {
            eprintln!("gatelens: {failure}");
            return match failure {
                Failure::Wrong(_) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            };
        }
    };
    let Some((path, text)) = file else {
        print(&format!("{seen:#}\n"));
        return ExitCode::SUCCESS;
    };
    let findings = findings(&text, arguments.base_path.as_deref(), &seen);
    show(path, &findings, arguments.format);
    let fails = |finding: &Finding| match finding.problem.severity {
        Severity::Error => true,
        Severity::Warning => arguments.strict,
        Severity::Note => false,
    };
    if findings.iter().any(fails) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The document of what was seen.
fn seen(arguments: &Arguments) -> Result<Value, Failure> {
    let source = arguments.source.open().map_err(Failure::Refused)?;
    let mut query = form_urlencoded::Serializer::new(String::new());
    let Arguments { service, environment, direction, .. } = arguments;
    for (name, value) in [("service", service), ("environment", environment), ("direction", direction)] {
        query.extend_pairs(value.iter().map(|value| (name, literal(value))));
    }
    source.ask("openapi", &query.finish())
}

/// A value of a filter as it is: a comma would part it.
fn literal(value: &str) -> String {
    value.replace(',', "\\,")
}

fn findings(text: &str, base_path: Option<&str>, seen: &Value) -> Vec<Finding> {
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => return vec![Finding::unreadable(Problem::error(error.place(), error.to_string()))],
    };
    let Some(document) = documents.first() else {
        let start = yaml::Place { line: 1, column: 1 };
        return vec![Finding::unreadable(Problem::error(start, "the file is empty"))];
    };
    let description = openapi::read(document, base_path);
    let seen = Seen { document: seen, gone: &[] };
    let mut findings = compare(document, &description.operations, seen, &|| false);
    findings.extend(description.problems.into_iter().map(Finding::unreadable));
    findings
}

fn show(path: &Path, findings: &[Finding], format: Format) {
    let file = input::name(path);
    match format {
        Format::Text => {
            let lines = findings.iter().map(|finding| finding.problem.line(&file) + "\n");
            print(&lines.collect::<String>());
            if findings.is_empty() {
                eprintln!("gatelens: what was seen is as {file} describes it");
            }
        }
        Format::Json => {
            let rows = findings.iter().map(|Finding { kind, problem, .. }| {
                let mut row = problem.json();
                row["kind"] = json!(kind.name());
                row
            });
            print(&format!("{:#}\n", json!({"findings": rows.collect::<Vec<_>>()})));
        }
    }
}

fn print(text: &str) {
    // Ignore a closed pipe.
    let _ = io::stdout().write_all(text.as_bytes());
}
