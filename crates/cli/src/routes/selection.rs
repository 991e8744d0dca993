//! The templates that a gateway accepts, of all that were found.

use std::collections::{HashMap, HashSet};

use gatelens_core::config::{Counters, bounds};
use gatelens_core::request::route::Template;

use super::openapi::Operation;
use super::{Finding, Methods};
use crate::problem::{Problem, Severity};
use crate::yaml::Place;

/// Templates in the order in which they were found, and what is wrong with the others.
#[derive(Default)]
pub(super) struct Selection {
    kept: Vec<Kept>,
    by_text: HashMap<String, usize>,
    routes: HashSet<String>,
    findings: Vec<Finding>,
    /// Problems of files that are done with.
    ended: usize,
}

struct Kept {
    text: String,
    file: String,
    place: Place,
}

impl Selection {
    /// Takes a template for an operation, unless the filter would refuse it.
    pub(super) fn add(&mut self, file: &str, operation: &Operation, methods: Methods) {
        let Operation { method, path, place, at } = operation;
        let text = match methods {
            Methods::OfOperations => format!("{method} {path}"),
            Methods::Any => path.clone(),
        };
        if let Some(known) = self.by_text.get(&text).and_then(|index| self.kept.get(*index)) {
            if methods == Methods::OfOperations {
                let message = format!("`{text}` is there already, from {}:{}", known.file, known.place);
                self.report(file, Problem::warning(*place, message).about(at));
            }
            return;
        }
        if let Err(error) = Template::parse(&text) {
            let message = format!("left out: {error}");
            return self.report(file, Problem::warning(*place, message).about(at));
        }
        self.routes.insert(path.clone());
        self.by_text.insert(text.clone(), self.kept.len());
        self.kept.push(Kept { text, file: file.to_owned(), place: *place });
    }

    /// Takes a problem of a file.
    pub(super) fn report(&mut self, file: &str, problem: Problem) {
        self.findings.push(Finding { file: file.to_owned(), problem });
    }

    /// Puts the problems of the file in its order.
    pub(super) fn end_file(&mut self) {
        let own = self.findings.get_mut(self.ended..).unwrap_or_default();
        own.sort_by_key(|Finding { problem, .. }| (problem.place.line, problem.place.column));
        self.ended = self.findings.len();
    }

    pub(super) fn templates(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(|kept| kept.text.as_str())
    }

    pub(super) fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Number of distinct routes.
    pub(super) fn routes(&self) -> usize {
        self.routes.len()
    }

    /// The least `counters.max_routes`, if the default is not enough.
    pub(super) fn needed_routes(&self) -> Option<usize> {
        let default = usize::try_from(Counters::default().max_routes).unwrap_or(usize::MAX);
        Some(self.routes()).filter(|routes| *routes > default)
    }

    /// Whether there are templates, and no document has a defect.
    pub(super) fn passes(&self) -> bool {
        !self.kept.is_empty()
            && self.kept.len() <= bounds::TEMPLATES
            && self.findings.iter().all(|finding| finding.problem.severity != Severity::Error)
    }
}
