//! `gatelens check`: reads configurations with the filter's own code before a gateway does.
//!
//! A file is the plugin's JSON, or any YAML or JSON that carries it: an Envoy bootstrap or listener, Istio's WasmPlugin or
//! EnvoyFilter, Envoy Gateway's EnvoyExtensionPolicy, several documents of these kinds. Places are those in the file.
//! The file of `gatelens serve --config` is checked with the service's own code.
//!
//! A directory of manifests also has files that carry no plugin: a service entry, the cluster of the ingest. Beside a file
//! with a plugin they are a note. A call in which no file has a plugin is an error.

mod carrier;
mod find;
mod lints;

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::input;
use crate::serve_config;
use gatelens_documents::problem::{Problem, Severity};
use gatelens_documents::yaml::Place;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Files to check; `-` is the standard input. A file that carries no plugin is a note if another file carries one.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Take warnings for errors.
    #[arg(long)]
    strict: bool,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A line for each problem, `FILE:LINE:COLUMN: error: …`.
    Text,
    /// One document for all files.
    Json,
}

/// Checks all files. 0 when nothing would be refused, 1 when something would be, 2 when a file cannot be read. With
/// `--strict` it is 1 for a warning, too.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut texts = Vec::new();
    for file in &arguments.files {
        match input::text(file) {
            Ok(text) => texts.push((file, text)),
            Err(error) => {
                eprintln!("gatelens: {error}");
                return ExitCode::from(2);
            }
        }
    }
    let mut reports: Vec<Report> = texts.iter().map(|(file, text)| report(file, text)).collect();
    if reports.iter().any(|report| report.configurations > 0) {
        for (report, (_, text)) in reports.iter_mut().zip(&texts) {
            if report.configurations == 0 && find::is_companion(text) {
                let message =
                    "no configuration of gatelens in this file, so nothing was checked; another file has one";
                report.problems = vec![Problem::note(Place { line: 1, column: 1 }, message)];
            }
        }
    }
    if arguments.strict {
        let problems = reports.iter_mut().flat_map(|report| &mut report.problems);
        for problem in problems.filter(|problem| problem.severity == Severity::Warning) {
            problem.severity = Severity::Error;
        }
    }
    let shown = match arguments.format {
        Format::Text => reports.iter().map(Report::to_string).collect::<String>(),
        Format::Json => {
            format!("{:#}\n", json!({"files": reports.iter().map(Report::json).collect::<Vec<_>>()}))
        }
    };
    // Ignore a closed pipe.
    let _ = io::stdout().write_all(shown.as_bytes());
    if reports.iter().all(Report::passes) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The one configuration of the plugin that a file carries, as the filter reads it.
///
/// # Errors
/// Lines for people, if the file has none, if it has some that differ, or if the filter would refuse it.
pub(crate) fn configuration(name: &str, text: &str) -> Result<String, Vec<String>> {
    let one = |problem: Problem| vec![problem.line(name)];
    let found = find::configurations(text).map_err(one)?;
    let (Some(first), others) = (found.first(), found.get(1..).unwrap_or_default()) else {
        return Err(in_gateway(text).1.iter().map(|problem| problem.line(name)).collect());
    };
    if let Some(other) = others.iter().find(|other| other.text() != first.text()) {
        let message = format!(
            "this configuration differs from the one at {}; put the one that is meant into a file of its own",
            first.place()
        );
        return Err(one(Problem::error(other.place(), message)));
    }
    let errors: Vec<String> = first
        .problems()
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(|problem| problem.line(name))
        .collect();
    if errors.is_empty() { Ok(first.text().to_owned()) } else { Err(errors) }
}

/// The problems of one file.
struct Report {
    file: String,
    configurations: usize,
    problems: Vec<Problem>,
}

impl Report {
    fn passes(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity != Severity::Error)
    }

    fn json(&self) -> Value {
        let problems: Vec<Value> = self.problems.iter().map(Problem::json).collect();
        json!({"file": self.file, "ok": self.passes(), "configurations": self.configurations, "problems": problems})
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{}", problem.line(&self.file))?;
        }
        match (self.passes(), self.configurations) {
            (true, 0) => Ok(()),
            (true, 1) => writeln!(f, "{}: ok", self.file),
            (true, number) => writeln!(f, "{}: ok, {number} configurations", self.file),
            (false, _) => Ok(()),
        }
    }
}

fn report(file: &Path, text: &str) -> Report {
    let file = input::name(file);
    let (configurations, problems) = match serve_config::find(text) {
        Some(document) => (1, serve_config::problems(&document)),
        None => in_gateway(text),
    };
    Report { file, configurations, problems }
}

/// The number of plugin configurations in a text, and their problems.
fn in_gateway(text: &str) -> (usize, Vec<Problem>) {
    match find::configurations(text) {
        Ok(found) if found.is_empty() => {
            let message = "no configuration of gatelens in this file; expected the plugin's JSON, a Wasm plugin, WasmPlugin \
                           or EnvoyExtensionPolicy that carries it, or the options of `gatelens serve`";
            (0, vec![Problem::error(Place { line: 1, column: 1 }, message)])
        }
        Ok(found) => (found.len(), found.iter().flat_map(find::PluginConfig::problems).collect()),
        Err(problem) => (0, vec![problem]),
    }
}
