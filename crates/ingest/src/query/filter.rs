//! Filters, the same for counts and for the request log.

use super::dimension::Dimension;
use super::params::Params;
use super::requests::Sender;
use crate::clickhouse::Condition;
use crate::drift::RouteKey;
use crate::error::QueryError;
use crate::model::{ConsumerKey, RequestEvent, Scope, SeriesKey, is_error};
use crate::store::bloom::{AnyOf, Key};
use crate::store::chunk::{FieldTest, Needs};
use gatelens_model::{grpc, value};

/// Names of the parameters read here: those of all dimensions, and the one that is none.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    Dimension::ALL.into_iter().map(|(name, _)| name).chain([ERRORS])
}

/// The parameter for the outcome of requests.
const ERRORS: &str = "errors";

/// A parameter may have several values, repeated or separated by commas: a request has to match any of them. A value
/// behind `!` excludes. Different parameters all have to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    texts: Vec<(Dimension, Wanted<String>)>,
    status: Wanted<Status>,
    grpc_status: Wanted<u64>,
    errors: Option<Outcome>,
}

/// The values that one parameter asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted<T> {
    /// One of these, unless there are none.
    any: Vec<T>,
    none: Vec<T>,
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
    /// Reads the parameters of [`names`]. Without a direction, inbound traffic is meant.
    pub(crate) fn read(params: &Params) -> Result<Self, QueryError> {
        let errors = match params.one(ERRORS)? {
            None => None,
            Some("true") => Some(Outcome::Errors),
            Some("false") => Some(Outcome::Others),
            Some(_) => return Err(QueryError::parameter(ERRORS, "errors must be true or false")),
        };
        let mut texts = Vec::new();
        for (name, dimension) in Dimension::ALL.into_iter().filter(|(_, dimension)| dimension.is_text()) {
            let mut wanted = match dimension {
                Dimension::Direction => Wanted::read(params, name, direction)?,
                Dimension::Method => Wanted::read(params, name, |text| Ok(text.to_ascii_uppercase()))?,
                _ => Wanted::read(params, name, |text| Ok(text.to_owned()))?,
            };
            if dimension == Dimension::Direction && wanted == Wanted::default() {
                wanted.any.push(value::INBOUND.to_owned());
            }
            if wanted != Wanted::default() {
                texts.push((dimension, wanted));
            }
        }
        Ok(Self {
            texts,
            status: Wanted::read(params, "status", status)?,
            grpc_status: Wanted::read(params, "grpc_status", grpc_status)?,
            errors,
        })
    }

    /// The same filter for traffic of any direction.
    pub(crate) fn of_any_direction(mut self) -> Self {
        self.texts.retain(|(dimension, _)| *dimension != Dimension::Direction);
        self
    }

    /// Whether the values of a dimension matter, which are texts.
    pub(crate) fn asks_for(&self, dimension: Dimension) -> bool {
        self.texts.iter().any(|(known, _)| *known == dimension)
    }

    /// Whether a consumer matches.
    pub(crate) fn takes_consumer(&self, key: &ConsumerKey, group: &str) -> bool {
        self.takes_texts(|dimension| match dimension {
            Dimension::Service => Some(&*key.service),
            Dimension::Environment => Some(&*key.environment),
            Dimension::Direction => Some(&*key.direction),
            Dimension::Consumer => Some(&*key.id),
            Dimension::ConsumerGroup => Some(group),
            _ => None,
        })
    }

    /// Whether a series matches, whose consumer is in this group.
    pub(crate) fn takes_series(&self, series: &SeriesKey, group: &str) -> bool {
        self.takes_texts(|dimension| dimension.text_of_series(series, group))
            && self.takes_outcome(series.status, series.grpc_status.map(u64::from))
    }

    /// Whether a request matches.
    pub(crate) fn takes_event(&self, event: &RequestEvent, sender: &Sender) -> bool {
        self.takes_texts(|dimension| dimension.text_of_event(event, sender))
            && self.takes_outcome(event.status, event.grpc_status)
    }

    /// Whether an issue matches, of which `texts` gives the values of a dimension: for each parameter one of them must fit.
    pub(crate) fn takes_issue(
        &self,
        texts: &mut dyn FnMut(Dimension) -> Result<Vec<String>, QueryError>,
        (status, grpc_status): (u16, Option<u64>),
    ) -> Result<bool, QueryError> {
        if !self.takes_outcome(status, grpc_status) {
            return Ok(false);
        }
        for (dimension, wanted) in &self.texts {
            if !texts(*dimension)?.iter().any(|found| wanted.takes(|wanted| wanted == found)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a gateway is wanted.
    pub(crate) fn takes_gateway(&self, instance: &str) -> bool {
        self.takes_texts(|dimension| (dimension == Dimension::Gateway).then_some(instance))
    }

    /// Whether a sender, which is an instance of a service, can have matching requests.
    pub(crate) fn takes_sender(&self, service: &str, environment: &str, instance: &str) -> bool {
        self.takes_texts(|dimension| match dimension {
            Dimension::Service => Some(service),
            Dimension::Environment => Some(environment),
            Dimension::Gateway => Some(instance),
            _ => None,
        })
    }

    /// Whether a chunk with this number of errors and these status classes can hold a matching request.
    pub(crate) fn may_take_chunk(&self, errors: i64, classes: i64) -> bool {
        let class = |status: &Status| match status {
            Status::Exactly(code) => code / 100,
            Status::Class(class) => *class,
        };
        let statuses = &self.status.any;
        (self.errors != Some(Outcome::Errors) || errors > 0)
            && (statuses.is_empty() || statuses.iter().any(|status| classes >> class(status) & 1 == 1))
    }

    /// The values of which a chunk must hold some.
    pub(crate) fn keys(&self) -> Vec<AnyOf> {
        let texts =
            self.texts.iter().map(|(dimension, wanted)| wanted.keys(|text| vec![dimension.key(text)]));
        let status = self.status.keys(|status| match status {
            Status::Exactly(code) => vec![Some(Key::of_status(u64::from(*code)))],
            Status::Class(_) => vec![None],
        });
        texts.chain([status]).flatten().collect()
    }

    /// The matching requests in SQL.
    pub(super) fn condition(&self) -> Condition {
        let texts =
            self.texts.iter().map(|(dimension, wanted)| wanted.condition(|text| dimension.condition(text)));
        let status = self.status.condition(|status| match status {
            Status::Exactly(code) => Condition::exact(format!("(status = {code})")),
            Status::Class(class) => Condition::exact(format!("(intDiv(status, 100) = {class})")),
        });
        let grpc_status = |code: &u64| Condition::exact(format!("ifNull(grpc_status = {code}, 0)"));
        let errors = self.errors.map(|outcome| errors(outcome == Outcome::Errors));
        Condition::all(texts.chain([status, self.grpc_status.condition(grpc_status)]).chain(errors))
    }

    /// The fields of a request that decide whether it matches.
    pub(crate) fn fields(&self) -> Vec<&'static str> {
        let texts = self.texts.iter().map(|(dimension, _)| dimension.field());
        let has_outcome = self.errors.is_some()
            || self.status != Wanted::default()
            || self.grpc_status != Wanted::default();
        texts.chain(["status", "grpc_status"].into_iter().filter(|_| has_outcome)).collect()
    }

    /// What it asks of single fields of a request. Groups are those that consumers have now, and not a field that is stored.
    pub(super) fn field_tests(&self) -> impl Iterator<Item = FieldTest<'_>> {
        let texts =
            self.texts.iter().filter(|(dimension, _)| dimension.is_stored()).map(|(dimension, wanted)| {
                let nobody = Sender::default();
                let takes = move |event: &mut RequestEvent| {
                    let found = dimension.text_of_event(event, &nobody);
                    found.is_none_or(|found| wanted.takes(|wanted| wanted == found))
                };
                FieldTest { fields: vec![dimension.field()], needs: Needs::All, takes: Box::new(takes) }
            });
        let status = (self.status != Wanted::default()).then(|| FieldTest {
            fields: vec!["status"],
            needs: Needs::All,
            takes: Box::new(|event| self.takes_status(event.status)),
        });
        texts.chain(status)
    }

    /// Whether the traffic of a scope is wanted, as far as its service, its environment and its direction decide it.
    pub(crate) fn takes_scope(&self, scope: &Scope) -> bool {
        self.takes_texts(|dimension| match dimension {
            Dimension::Service => Some(&*scope.service),
            Dimension::Environment => Some(&*scope.environment),
            Dimension::Direction => Some(&*scope.direction),
            _ => None,
        })
    }

    /// Whether a route is wanted, and the version of its service where that matters.
    pub(crate) fn takes_route(&self, key: &RouteKey, version: Option<&str>) -> bool {
        self.takes_scope(&key.scope)
            && self.takes_texts(|dimension| match dimension {
                Dimension::Method => Some(&*key.method),
                Dimension::Route => Some(&*key.route),
                Dimension::Version => version,
                _ => None,
            })
    }

    /// Whether all texts fit that are known.
    fn takes_texts<'a>(&self, text: impl Fn(Dimension) -> Option<&'a str>) -> bool {
        self.texts.iter().all(|(dimension, wanted)| {
            text(*dimension).is_none_or(|found| wanted.takes(|wanted| wanted == found))
        })
    }

    fn takes_status(&self, status: u16) -> bool {
        self.status.takes(|wanted| match wanted {
            Status::Exactly(code) => *code == status,
            Status::Class(class) => status / 100 == *class,
        })
    }

    fn takes_outcome(&self, status: u16, grpc_status: Option<u64>) -> bool {
        let outcome = if is_error(status, grpc_status) { Outcome::Errors } else { Outcome::Others };
        self.takes_status(status)
            && self.grpc_status.takes(|wanted| grpc_status == Some(*wanted))
            && self.errors.is_none_or(|wanted| wanted == outcome)
    }
}

impl<T> Default for Wanted<T> {
    fn default() -> Self {
        Self { any: Vec::new(), none: Vec::new() }
    }
}

impl<T> Wanted<T> {
    /// Reads the values of a parameter. Empty ones are none.
    pub(super) fn read(
        params: &Params,
        name: &str,
        parse: impl Fn(&str) -> Result<T, QueryError>,
    ) -> Result<Self, QueryError> {
        let mut wanted = Self::default();
        for value in params.all(name).flat_map(values).filter(|value| !value.text.is_empty()) {
            let list = if value.excludes { &mut wanted.none } else { &mut wanted.any };
            list.push(parse(&value.text)?);
        }
        Ok(wanted)
    }

    /// The keys of the values, where each value that is asked for has some; `of` gives those of one, with `None` for a value
    /// that a chunk may hold without a key.
    pub(super) fn keys(&self, of: impl Fn(&T) -> Vec<Option<Key>>) -> Option<AnyOf> {
        let keys =
            |value: &T| of(value).into_iter().collect::<Option<Vec<Key>>>().filter(|keys| !keys.is_empty());
        let any: AnyOf = self.any.iter().map(keys).collect::<Option<_>>()?;
        Some(any).filter(|any| !any.is_empty())
    }

    /// What matches in SQL, where `of` is that of one value.
    pub(super) fn condition(&self, of: impl Fn(&T) -> Condition) -> Condition {
        let any = (!self.any.is_empty()).then(|| Condition::any(self.any.iter().map(&of)));
        let none = self.none.iter().map(|value| of(value).opposite());
        Condition::all(any.into_iter().chain(none))
    }

    pub(super) fn takes(&self, fits: impl Fn(&T) -> bool) -> bool {
        (self.any.is_empty() || self.any.iter().any(&fits)) && !self.none.iter().any(fits)
    }
}

/// Requests of an outcome in SQL, as [`is_error`] has it.
pub(super) fn errors(wanted: bool) -> Condition {
    let is_success = "intDiv(status, 100) = 2";
    let errors = Condition::exact(format!(
        "(status = 0 OR status >= 500 OR ({is_success} AND ifNull(grpc_status, 0) != 0))"
    ));
    if wanted { errors } else { errors.opposite() }
}

/// One of the values of a parameter.
#[derive(Debug, Default, PartialEq, Eq)]
struct Term {
    text: String,
    excludes: bool,
}

/// Takes a parameter apart: values are separated by commas, and `!` before one excludes it. A backslash takes the
/// character behind it as it is, because names may hold commas.
fn values(parameter: &str) -> Vec<Term> {
    let mut terms = vec![Term::default()];
    let mut characters = parameter.chars();
    let mut is_start = true;
    while let Some(character) = characters.next() {
        let Some(term) = terms.last_mut() else { break };
        let at_start = std::mem::take(&mut is_start);
        match character {
            ',' => {
                terms.push(Term::default());
                is_start = true;
            }
            '!' if at_start => term.excludes = true,
            '\\' => term.text.push(characters.next().unwrap_or('\\')),
            other => term.text.push(other),
        }
    }
    terms
}

fn direction(text: &str) -> Result<String, QueryError> {
    if [value::INBOUND, value::OUTBOUND].contains(&text) {
        return Ok(text.to_owned());
    }
    Err(QueryError::parameter("direction", format!("direction must be inbound or outbound, not {text:?}")))
}

fn grpc_status(text: &str) -> Result<u64, QueryError> {
    grpc::number(text).or_else(|| text.parse().ok()).ok_or_else(|| {
        let message = format!("grpc_status must be a number or a name such as UNAVAILABLE, not {text:?}");
        QueryError::parameter("grpc_status", message)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Filter, QueryError> {
        Filter::read(&Params::parse(Some(query), &names().collect::<Vec<_>>())?)
    }

    fn event(change: impl FnOnce(&mut RequestEvent)) -> RequestEvent {
        let mut event = RequestEvent {
            consumer: "acme".to_owned(),
            method: "GET".to_owned(),
            route: "/users/{id}".to_owned(),
            status: 200,
            ..RequestEvent::default()
        };
        change(&mut event);
        event
    }

    #[test]
    fn values_are_separated_by_commas_and_a_mark_excludes() {
        let check = |parameter: &str, expected: &[(&str, bool)]| {
            let found = values(parameter);
            let found: Vec<_> = found.iter().map(|term| (&*term.text, term.excludes)).collect();
            assert_eq!(found, expected, "{parameter}");
        };
        check("acme", &[("acme", false)]);
        check("acme,!globex", &[("acme", false), ("globex", true)]);
        check(r"CN=a\,O=b,c", &[("CN=a,O=b", false), ("c", false)]);
        check(r"\!a!", &[("!a!", false)]);
        check(r"a\\b\", &[(r"a\b\", false)]);
        check("", &[("", false)]);
    }

    #[test]
    fn a_request_matches_any_value_of_each_parameter_and_none_that_is_excluded() {
        let sender = Sender::default();
        let check = |query: &str, event: &RequestEvent, expected: bool| {
            assert_eq!(read(query).unwrap().takes_event(event, &sender), expected, "{query} {event:?}");
        };
        let plain = event(|_| ());
        check("", &plain, true);
        check("consumer=globex,acme", &plain, true);
        check("consumer=globex&consumer=acme", &plain, true);
        check("consumer=!acme", &plain, false);
        check("consumer=!globex&method=GET", &plain, true);
        check("consumer=acme&method=!GET", &plain, false);
        check("method=get", &plain, true);
        check("status=2xx,!201", &plain, true);
        check("status=!2xx", &plain, false);
        check("status=4xx,5xx", &plain, false);
        check("host=a.example", &plain, false);
        check("host=!a.example", &plain, true);
        check("direction=outbound", &plain, false);
        check("direction=inbound,outbound", &plain, true);
        let call = event(|event| {
            event.grpc_status = Some(14);
            event.host = Some("a.example".to_owned());
            event.upstream_cluster = Some("users".to_owned());
            event.error_type = Some("UNAVAILABLE".to_owned());
            event.direction = Some("outbound".to_owned());
        });
        check("", &call, false);
        for query in [
            "grpc_status=UNAVAILABLE",
            "grpc_status=14",
            "grpc_status=!0",
            "host=a.example",
            "upstream_cluster=users",
            "error_type=UNAVAILABLE",
            "errors=true",
        ] {
            check(query, &call, false);
            check(&format!("{query}&direction=outbound"), &call, true);
        }
        check("direction=outbound&errors=false", &call, false);
        check("direction=outbound&grpc_status=!UNAVAILABLE", &call, false);
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        let check = |query: &str, expected: &str| {
            assert_eq!(read(query).unwrap_err().to_string(), expected);
        };
        check("direction=up", "direction must be inbound or outbound, not \"up\"");
        check("grpc_status=BAD", "grpc_status must be a number or a name such as UNAVAILABLE, not \"BAD\"");
        check("status=2xx,no", "status must be a code such as 404, a class such as 5xx, or 0, not \"no\"");
    }
}
