//! The templates that a gateway accepts, of all that were found.

use std::collections::HashMap;

use gatelens_core::config::{Counters, bounds};
use gatelens_core::counters::Caps;
use gatelens_core::request::route::{Conflict, Template, Templates};

use super::{Finding, Methods};
use gatelens_documents::openapi::Operation;
use gatelens_documents::problem::{Problem, Severity};
use gatelens_documents::yaml::Place;

/// Templates in the order in which they were found, and what is wrong with the others.
#[derive(Default)]
pub(super) struct Selection {
    kept: Vec<Kept>,
    by_text: HashMap<String, usize>,
    accepted: Templates,
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
        let Operation { method, path, place, at, .. } = operation;
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
        let left_out = |reason: String| Problem::warning(*place, format!("left out: {reason}")).about(at);
        let template = match Template::parse(&text) {
            Ok(template) => template,
            Err(error) => return self.report(file, left_out(error.to_string())),
        };
        let never = template.never_matches();
        if let Err(Conflict { with }) = self.accepted.insert(template) {
            let reason = self.kept.get(with).map_or_else(String::new, |other| {
                format!(
                    "`{text}` matches requests that `{}` (from {}:{}) matches too, and neither is more literal",
                    other.text, other.file, other.place
                )
            });
            return self.report(file, left_out(reason));
        }
        if let Some(reason) = never {
            self.report(
                file,
                Problem::warning(*place, format!("`{text}` matches no request: {reason}")).about(at),
            );
        }
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
        self.accepted.routes()
    }

    /// The least `counters.max_routes`, if the default is not enough.
    pub(super) fn needed_routes(&self) -> Option<usize> {
        let default = usize::try_from(Counters::default().max_routes).unwrap_or(usize::MAX);
        Some(self.routes()).filter(|routes| *routes > default)
    }

    /// The least `counters.max_series` with which no template overflows, if the default is not enough.
    pub(super) fn needed_series(&self) -> Option<u32> {
        let templates = u32::try_from(self.routes()).unwrap_or(u32::MAX);
        let needed = Caps::series_for_templates(templates).min(*bounds::SERIES.end());
        Some(needed).filter(|series| *series > Counters::default().max_series)
    }

    /// Why the filter would refuse all of the templates together, if it would.
    pub(super) fn excess(&self) -> Option<String> {
        let (templates, visits) = (self.kept.len(), self.accepted.most_visits());
        let (most, most_visits) = (bounds::TEMPLATES, bounds::TEMPLATE_VISITS);
        if templates > most {
            Some(format!(
                "there are {templates} templates, and the filter takes {most}; use `--any-method`, or fewer documents"
            ))
        } else if visits > most_visits {
            Some(format!(
                "a request could need {visits} steps to find its template, and the filter allows {most_visits}"
            ))
        } else {
            None
        }
    }

    /// Whether there are templates that the filter accepts, and no document has a defect.
    pub(super) fn passes(&self) -> bool {
        !self.kept.is_empty()
            && self.excess().is_none()
            && self.findings.iter().all(|finding| finding.problem.severity != Severity::Error)
    }
}
