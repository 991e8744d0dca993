//! The search grammar of the request log: `status:5xx -status:503 duration>500ms path:/v1/* acme`.
//!
//! A term is `key:value`, `key=value`, a comparison such as `duration>500ms`, or a word. All terms must hold; several values
//! of a term, separated by commas, mean any of them; `-` before a term excludes what it takes. `docs/search.md` is the
//! reference.

mod key;
mod lex;
mod pattern;
mod routes;
mod units;

use crate::clickhouse::{Condition, quoted};
use crate::error::QueryError;
use crate::model::{RequestEvent, is_error, path_words};
use crate::query::dimension::Dimension;
use crate::query::filter;
use crate::query::requests::Sender;
use crate::store::bloom::{AnyOf, Column, Key};
use crate::store::chunk::{FieldTest, Needs};
use data_encoding::HEXLOWER;
use key::{Message, Number, TRACE_ID, Text};
use pattern::Pattern;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// A search for requests; without terms it takes all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Search {
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    excludes: bool,
    test: Test,
}

/// What a term asks of a request: any of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Text(Text, Vec<Pattern>),
    /// Where the number is known.
    Number(Number, Vec<RangeInclusive<u64>>),
    Errors(bool),
    /// In the headers of these messages: the values of one name, or all names and values.
    Header(&'static [Message], Option<String>, Vec<Pattern>),
    /// In the bodies of these messages.
    Body(&'static [Message], Vec<Pattern>),
    /// In the path or one of the names of a request: ids of the request, of its trace and of its consumer.
    Word(Pattern),
    /// A word in the form of a UUID or a trace ID, in each way in which it may be written: one of these names, or a whole word
    /// of the path.
    Id(BTreeSet<String>),
}

/// A search that cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("at character {column} of the search: {message}")]
pub(crate) struct SearchError {
    /// The number of the character at which the mistake begins; the first is 1.
    pub(crate) column: usize,
    pub(crate) message: String,
}

impl SearchError {
    fn at(column: usize, message: impl Into<String>) -> Self {
        Self { column, message: message.into() }
    }
}

impl Search {
    /// Reads a search.
    ///
    /// # Errors
    /// With the place of the first mistake and what may have been meant.
    pub(crate) fn parse(text: &str) -> Result<Self, QueryError> {
        let terms = lex::terms(text)?;
        let read = |term: lex::Written| Ok(Term { excludes: term.excludes, test: key::read(&term)? });
        let terms = terms.into_iter().map(read).collect::<Result<_, SearchError>>()?;
        Ok(Self { terms })
    }

    /// Whether a request matches.
    pub(crate) fn takes(&self, event: &RequestEvent, sender: &Sender) -> bool {
        self.terms.iter().all(|term| term.test.takes(event, sender) != term.excludes)
    }

    /// Whether a sender can have matching requests.
    pub(crate) fn takes_sender(&self, service: &str, environment: &str, instance: &str) -> bool {
        let is_decided = |term: &&Term| matches!(&term.test, Test::Text(text, _) if text.is_of_sender());
        let mut decided = self.terms.iter().filter(is_decided).peekable();
        if decided.peek().is_none() {
            return true;
        }
        let sender =
            Sender { gateway: instance.into(), service: service.into(), environment: environment.into() };
        let nothing = RequestEvent::default();
        decided.all(|term| term.test.takes(&nothing, &sender) != term.excludes)
    }

    /// Whether a chunk with this number of errors and these status classes, of which no request took longer (nanoseconds, in
    /// all or upstream), can hold a matching request.
    pub(crate) fn may_take_chunk(&self, errors: i64, classes: i64, longest: i64) -> bool {
        self.terms.iter().filter(|term| !term.excludes).all(|term| match &term.test {
            Test::Errors(true) => errors > 0,
            Test::Number(Number::Status, ranges) => ranges.iter().any(|range| {
                (0..10).any(|class| {
                    let codes = class * 100..=class * 100 + 99;
                    classes >> class & 1 == 1 && range.start() <= codes.end() && codes.start() <= range.end()
                })
            }),
            Test::Number(Number::Duration | Number::Upstream, ranges) => {
                ranges.iter().any(|range| i64::try_from(*range.start()).is_ok_and(|least| least <= longest))
            }
            _ => true,
        })
    }

    /// The values of which a chunk must hold some.
    pub(crate) fn keys(&self) -> Vec<AnyOf> {
        self.terms.iter().filter(|term| !term.excludes).filter_map(|term| term.test.keys()).collect()
    }

    /// The matching requests in SQL.
    pub(crate) fn condition(&self) -> Condition {
        Condition::all(self.terms.iter().map(|term| {
            let condition = term.test.condition();
            if term.excludes { condition.opposite() } else { condition }
        }))
    }

    /// The fields of a request that decide whether it matches.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &'static str> {
        self.terms.iter().flat_map(|term| term.test.fields())
    }

    /// What it asks of fields of a request, each by itself.
    pub(crate) fn field_tests(&self) -> impl Iterator<Item = FieldTest<'_>> {
        self.terms.iter().filter(|term| term.test.is_of_stored_fields()).map(|term| {
            let nobody = Sender::default();
            let takes = move |event: &mut RequestEvent| term.test.takes(event, &nobody) != term.excludes;
            let needs = if term.excludes { Needs::All } else { Needs::Any };
            FieldTest { fields: term.test.fields(), needs, takes: Box::new(takes) }
        })
    }

    /// Whether a dimension matters.
    pub(crate) fn asks_for(&self, dimension: Dimension) -> bool {
        self.terms
            .iter()
            .any(|term| matches!(term.test, Test::Text(Text::Dimension(asked), _) if asked == dimension))
    }
}

impl Test {
    fn takes(&self, event: &RequestEvent, sender: &Sender) -> bool {
        let any = |patterns: &[Pattern], text: &str| patterns.iter().any(|pattern| pattern.takes(text));
        match self {
            Self::Text(text, patterns) => text.of(event, sender).is_some_and(|found| any(patterns, &found)),
            Self::Number(number, ranges) => {
                number.of(event).is_some_and(|found| ranges.iter().any(|range| range.contains(&found)))
            }
            Self::Errors(wanted) => is_error(event.status, event.grpc_status) == *wanted,
            Self::Header(messages, name, patterns) => {
                let mut headers = messages.iter().filter_map(|message| message.headers(event));
                headers.any(|headers| match name {
                    None => any(patterns, headers),
                    Some(name) => values_of(headers, name).iter().any(|value| any(patterns, value)),
                })
            }
            Self::Body(messages, patterns) => {
                messages.iter().filter_map(|message| message.body(event)).any(|body| any(patterns, body))
            }
            Self::Word(pattern) => {
                let texts =
                    [event.path.as_deref(), event.request_id.as_deref(), Some(event.consumer.as_str())];
                texts.into_iter().flatten().any(|text| pattern.takes(text))
                    || (pattern.can_be_hex() && pattern.takes(&HEXLOWER.encode(&event.trace_id)))
            }
            Self::Id(forms) => {
                event.request_id.as_ref().is_some_and(|id| forms.contains(id))
                    || forms.contains(&event.consumer)
                    || path_words(event.path.as_deref().unwrap_or_default()).any(|word| forms.contains(word))
                    || forms.contains(&HEXLOWER.encode(&event.trace_id))
            }
        }
    }

    /// What it takes in SQL.
    fn condition(&self) -> Condition {
        let any = |patterns: &[Pattern], column: &str| {
            Condition::any(patterns.iter().map(|pattern| pattern.condition_of_optional(column)))
        };
        match self {
            Self::Text(text, patterns) => {
                Condition::any(patterns.iter().map(|pattern| text.condition(pattern)))
            }
            Self::Number(number, ranges) => {
                let column = number.column();
                Condition::any(ranges.iter().map(|range| {
                    let (least, most) = (range.start(), range.end());
                    Condition::exact(format!("ifNull({column} >= {least} AND {column} <= {most}, 0)"))
                }))
            }
            Self::Errors(wanted) => filter::errors(*wanted),
            // The headers are JSON, in which a value may be written in several ways.
            Self::Header(messages, Some(_), _) => Condition::any(
                messages
                    .iter()
                    .map(|message| Condition::rough(format!("({} != '')", message.header_field()))),
            ),
            Self::Header(messages, None, patterns) => {
                Condition::any(messages.iter().map(|message| any(patterns, message.header_field())))
            }
            Self::Body(messages, patterns) => {
                Condition::any(messages.iter().map(|message| any(patterns, message.body_field())))
            }
            Self::Word(pattern) => {
                let trace_id = pattern.can_be_hex().then(|| pattern.condition(TRACE_ID));
                let optional = ["path", "request_id"].map(|column| pattern.condition_of_optional(column));
                Condition::any(optional.into_iter().chain([pattern.condition("consumer")]).chain(trace_id))
            }
            Self::Id(forms) => {
                let forms = || forms.iter().map(String::as_str);
                let in_path = forms().map(|form| format!("path LIKE {}", quoted(&format!("%{form}%"))));
                let in_path = Condition::any(in_path.map(Condition::rough));
                let bytes = forms().find_map(|id| HEXLOWER.decode(id.as_bytes()).ok());
                let trace_id =
                    bytes.map(|id| Condition::exact(format!("trace_id = unhex('{}')", HEXLOWER.encode(&id))));
                let names = ["request_id", "consumer"].map(|column| Condition::one_of(column, forms()));
                Condition::any(names.into_iter().chain([in_path]).chain(trace_id))
            }
        }
    }

    /// The keys of what it takes; `None` where a chunk may hold a request that it takes without any of them.
    fn keys(&self) -> Option<AnyOf> {
        let any: AnyOf = match self {
            Self::Text(text, patterns) => {
                patterns.iter().map(|pattern| text.keys(pattern)).collect::<Option<_>>()?
            }
            Self::Number(Number::Status, ranges) => {
                let exact = |range: &RangeInclusive<u64>| {
                    let code = Some(range.start()).filter(|code| *code == range.end())?;
                    Some(vec![Key::of_status(*code)])
                };
                ranges.iter().map(exact).collect::<Option<_>>()?
            }
            Self::Id(forms) => {
                let traces = forms.iter().find_map(|id| HEXLOWER.decode(id.as_bytes()).ok());
                let traces = traces.map(|bytes| Key::of(Column::TraceId, &bytes));
                let columns = [Column::RequestId, Column::Consumer, Column::PathWord];
                let texts = forms.iter().flat_map(|id| columns.map(|column| Key::of_text(column, id)));
                texts.chain(traces).map(|key| vec![key]).collect()
            }
            _ => return None,
        };
        Some(any).filter(|any| any.iter().all(|keys| !keys.is_empty()))
    }

    /// Whether any one field decides that a request matches, each request having its own.
    fn is_of_stored_fields(&self) -> bool {
        match self {
            Self::Text(Text::Dimension(dimension), _) => dimension.is_stored(),
            // Two fields together are the outcome.
            Self::Errors(_) => false,
            _ => true,
        }
    }

    fn fields(&self) -> Vec<&'static str> {
        match self {
            Self::Text(text, _) => vec![text.field()],
            Self::Number(number, _) => vec![number.field()],
            Self::Errors(_) => vec!["status", "grpc_status"],
            Self::Header(messages, ..) => messages.iter().map(|message| message.header_field()).collect(),
            Self::Body(messages, _) => messages.iter().map(|message| message.body_field()).collect(),
            Self::Word(_) | Self::Id(_) => vec!["path", "request_id", "consumer", "trace_id"],
        }
    }
}

/// The values of one header; none where the JSON is damaged.
fn values_of(headers: &str, name: &str) -> Vec<String> {
    let mut headers: BTreeMap<String, Vec<String>> = serde_json::from_str(headers).unwrap_or_default();
    headers.remove(name).unwrap_or_default()
}

#[cfg(test)]
mod tests;
