//! Filters, the same for counts and for the request log.

use super::params::Params;
use crate::error::QueryError;
use crate::model::{RequestEvent, SeriesKey, is_error};

/// Names of the parameters read here.
pub(crate) const NAMES: [&str; 7] =
    ["service", "environment", "consumer", "method", "route", "status", "errors"];

/// A parameter given several times means any of its values; different parameters all have to hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    service: Vec<String>,
    environment: Vec<String>,
    consumer: Vec<String>,
    method: Vec<String>,
    route: Vec<String>,
    status: Vec<Status>,
    errors: Option<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Exactly(u16),
    /// The hundreds.
    Class(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Errors,
    Others,
}

impl Filter {
    /// Reads the parameters of [`NAMES`].
    pub(crate) fn read(params: &Params) -> Result<Self, QueryError> {
        let texts = |name| params.all(name).filter(|value| !value.is_empty()).map(str::to_owned).collect();
        let statuses = params.all("status").filter(|value| !value.is_empty()).map(status);
        let errors = match params.one("errors")? {
            None => None,
            Some("true") => Some(Outcome::Errors),
            Some("false") => Some(Outcome::Others),
            Some(_) => return Err(QueryError::parameter("errors", "errors must be true or false")),
        };
        Ok(Self {
            service: texts("service"),
            environment: texts("environment"),
            consumer: texts("consumer"),
            method: texts("method"),
            route: texts("route"),
            status: statuses.collect::<Result<_, _>>()?,
            errors,
        })
    }

    /// Whether a series matches.
    pub(crate) fn takes_series(&self, series: &SeriesKey) -> bool {
        self.takes_sender(&series.service, &series.environment)
            && any(&self.consumer, &series.consumer)
            && any(&self.method, &series.method)
            && any(&self.route, &series.route)
            && self.takes_status(series.status)
    }

    /// Whether a request matches; its sender is checked apart.
    pub(crate) fn takes_event(&self, event: &RequestEvent) -> bool {
        any(&self.consumer, &event.consumer)
            && any(&self.method, &event.method)
            && any(&self.route, &event.route)
            && self.takes_status(event.status)
    }

    /// Whether a sender matches.
    pub(crate) fn takes_sender(&self, service: &str, environment: &str) -> bool {
        any(&self.service, service) && any(&self.environment, environment)
    }

    /// Whether a chunk with this number of errors and these status classes can hold a matching request.
    pub(crate) fn may_take_chunk(&self, errors: i64, classes: i64) -> bool {
        let class = |status: &Status| match status {
            Status::Exactly(code) => code / 100,
            Status::Class(class) => *class,
        };
        (self.errors != Some(Outcome::Errors) || errors > 0)
            && (self.status.is_empty() || self.status.iter().any(|s| classes >> class(s) & 1 == 1))
    }

    fn takes_status(&self, status: u16) -> bool {
        let fits = |wanted: &Status| match wanted {
            Status::Exactly(code) => *code == status,
            Status::Class(class) => status / 100 == *class,
        };
        let outcome = if is_error(status) { Outcome::Errors } else { Outcome::Others };
        (self.status.is_empty() || self.status.iter().any(fits))
            && self.errors.is_none_or(|wanted| wanted == outcome)
    }
}

fn any(wanted: &[String], found: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|value| value == found)
}

fn status(text: &str) -> Result<Status, QueryError> {
    let class = text.strip_suffix("xx").and_then(|class| class.parse().ok());
    let status = match class {
        Some(class @ 1..=5) => Some(Status::Class(class)),
        _ => text.parse().ok().filter(|code| *code < 1000).map(Status::Exactly),
    };
    status.ok_or_else(|| {
        let message = format!("status must be a code such as 404, a class such as 5xx, or 0, not {text:?}");
        QueryError::parameter("status", message)
    })
}
