//! `gatelens routes`: makes route templates, ready to paste into `routes.templates`.
//!
//! They come from API descriptions, or from what an ingest has learned. The filter's own code reads each template, so that
//! a gateway accepts all that is printed.

mod learned;
mod selection;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::input;
use gatelens_documents::openapi;
use gatelens_documents::problem::Problem;
use gatelens_documents::yaml;
use selection::Selection;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// OpenAPI 3 or Swagger 2 documents, in YAML or JSON; `-` is the standard input.
    #[arg(required_unless_present = "learned", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The routes that an ingest has learned from traffic, in place of documents.
    #[arg(long, conflicts_with_all = ["files", "base_path"])]
    learned: bool,
    /// Address of that ingest.
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:4318",
        requires = "learned",
        conflicts_with = "files"
    )]
    server: String,
    /// Only routes learned for this service; may be repeated.
    #[arg(long, value_name = "NAME", requires = "learned", conflicts_with = "files")]
    service: Vec<String>,
    /// Only routes learned for this environment; may be repeated.
    #[arg(long, value_name = "NAME", requires = "learned", conflicts_with = "files")]
    environment: Vec<String>,
    /// Only routes learned for this direction: inbound or outbound [default: inbound]
    #[arg(long, value_name = "DIRECTION", requires = "learned", conflicts_with = "files")]
    direction: Vec<String>,
    /// One template for each path and any method, in place of one for each operation.
    #[arg(long)]
    any_method: bool,
    /// What all paths begin with at the gateway, in place of the base paths in the documents.
    #[arg(long, value_name = "PATH")]
    base_path: Option<String>,
    /// The form of the output.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// The templates as a JSON array; problems on the standard error.
    Text,
    /// One document with templates and problems.
    Json,
}

/// The method of the templates.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Methods {
    /// That of the operation.
    OfOperations,
    /// Any.
    Any,
}

/// A problem and the file that has it.
struct Finding {
    file: String,
    problem: Problem,
}

/// Prints the templates. 0 when there are some and no document has a defect, 1 otherwise, 2 when a file cannot be read.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let methods = if arguments.any_method { Methods::Any } else { Methods::OfOperations };
    let mut selection = Selection::default();
    for path in &arguments.files {
        let file = input::name(path);
        let text = match input::text(path) {
            Ok(text) => text,
            Err(error) => {
                eprintln!("gatelens: {error}");
                return ExitCode::from(2);
            }
        };
        from_description(&mut selection, &file, &text, arguments.base_path.as_deref(), methods);
    }
    if arguments.learned {
        let Arguments { server, service, environment, direction, .. } = arguments;
        let scopes = [("service", service), ("environment", environment), ("direction", direction)];
        if let Err(failure) = learned::add(&mut selection, server, scopes, methods) {
            eprintln!("gatelens: {failure}");
            return ExitCode::FAILURE;
        }
        if selection.routes() == 0 {
            eprintln!(
                "gatelens: {server} has learned no routes yet: it needs some hundred requests in the log"
            );
        }
    } else if selection.routes() == 0 {
        eprintln!("gatelens: the document has no operations, so there are no templates");
    }
    show(&selection, arguments.format);
    if selection.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn from_description(
    selection: &mut Selection,
    file: &str,
    text: &str,
    base_path: Option<&str>,
    methods: Methods,
) {
    let documents = match yaml::documents(text) {
        Ok(documents) => documents,
        Err(error) => return selection.report(file, Problem::error(error.place(), error.to_string())),
    };
    if documents.is_empty() {
        let start = yaml::Place { line: 1, column: 1 };
        selection.report(file, Problem::error(start, "the file is empty"));
    }
    for document in &documents {
        let description = openapi::read(document, base_path);
        for operation in &description.operations {
            selection.add(file, operation, methods);
        }
        description.problems.into_iter().for_each(|problem| selection.report(file, problem));
    }
    selection.end_file();
}

fn show(selection: &Selection, format: Format) {
    let templates: Vec<&str> = selection.templates().collect();
    let shown = match format {
        Format::Text => {
            for Finding { file, problem } in selection.findings() {
                eprintln!("{}", problem.line(file));
            }
            if let Some(excess) = selection.excess() {
                eprintln!("gatelens: {excess}");
            }
            let routes = selection.routes();
            if let Some(needed) = selection.needed_routes() {
                eprintln!(
                    "gatelens: the templates have {routes} routes: set `counters.max_routes` to {needed} or more"
                );
            }
            if let Some(needed) = selection.needed_series() {
                eprintln!(
                    "gatelens: so that none of {routes} routes overflows, set `counters.max_series` to {needed} or more"
                );
            }
            if templates.is_empty() { String::new() } else { format!("{:#}\n", json!(templates)) }
        }
        Format::Json => {
            let problems = selection.findings().iter().map(|Finding { file, problem }| {
                let mut problem = problem.json();
                problem["file"] = json!(file);
                problem
            });
            format!(
                "{:#}\n",
                json!({"templates": templates, "routes": selection.routes(), "max_routes": selection.needed_routes(), "max_series": selection.needed_series(),
                       "excess": selection.excess(), "problems": problems.collect::<Vec<Value>>()})
            )
        }
    };
    // Ignore a closed pipe.
    let _ = io::stdout().write_all(shown.as_bytes());
}
