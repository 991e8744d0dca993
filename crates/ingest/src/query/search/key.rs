//! The keys of the grammar, and how their values are read.

use super::lex::{Operator, Value, Written};
use super::pattern::Pattern;
use super::{SearchError, Test, units};
use crate::clickhouse::Condition;
use crate::model::{RequestEvent, path_words};
use crate::query::dimension::{Dimension, INFERRED};
use crate::query::glob::Glob;
use crate::query::requests::Sender;
use crate::store::bloom::{Column, Key as BloomKey};
use data_encoding::HEXLOWER;
use gatelens_core::outcome::Method;
use gatelens_model::{grpc, value};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// What a key is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Key {
    Text(Text),
    Number(Number),
    Errors,
    Header(&'static [Message]),
    Body(&'static [Message]),
}

/// A text of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    Dimension(Dimension),
    RequestId,
    TraceId,
    ClientAddress,
    Path,
    Query,
    UserAgent,
}

/// A number of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Status,
    GrpcStatus,
    Duration,
    Upstream,
    RequestBytes,
    ResponseBytes,
}

/// A half of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    Request,
    Response,
}

const BOTH: &[Message] = &[Message::Request, Message::Response];

/// All keys, by their names.
pub(super) const KEYS: [(&str, Key); 31] = [
    ("consumer", Key::Text(Text::Dimension(Dimension::Consumer))),
    ("group", Key::Text(Text::Dimension(Dimension::ConsumerGroup))),
    ("method", Key::Text(Text::Dimension(Dimension::Method))),
    ("route", Key::Text(Text::Dimension(Dimension::Route))),
    ("path", Key::Text(Text::Path)),
    ("query", Key::Text(Text::Query)),
    ("status", Key::Number(Number::Status)),
    ("grpc_status", Key::Number(Number::GrpcStatus)),
    ("error_type", Key::Text(Text::Dimension(Dimension::ErrorType))),
    ("errors", Key::Errors),
    ("duration", Key::Number(Number::Duration)),
    ("upstream", Key::Number(Number::Upstream)),
    ("request_bytes", Key::Number(Number::RequestBytes)),
    ("response_bytes", Key::Number(Number::ResponseBytes)),
    ("host", Key::Text(Text::Dimension(Dimension::Host))),
    ("upstream_cluster", Key::Text(Text::Dimension(Dimension::UpstreamCluster))),
    ("service", Key::Text(Text::Dimension(Dimension::Service))),
    ("environment", Key::Text(Text::Dimension(Dimension::Environment))),
    ("version", Key::Text(Text::Dimension(Dimension::Version))),
    ("direction", Key::Text(Text::Dimension(Dimension::Direction))),
    ("gateway", Key::Text(Text::Dimension(Dimension::Gateway))),
    ("request_id", Key::Text(Text::RequestId)),
    ("trace_id", Key::Text(Text::TraceId)),
    ("client_address", Key::Text(Text::ClientAddress)),
    ("user_agent", Key::Text(Text::UserAgent)),
    ("header", Key::Header(BOTH)),
    ("request_header", Key::Header(&[Message::Request])),
    ("response_header", Key::Header(&[Message::Response])),
    ("body", Key::Body(BOTH)),
    ("request_body", Key::Body(&[Message::Request])),
    ("response_body", Key::Body(&[Message::Response])),
];

/// A trace ID as it is searched for, in SQL.
pub(super) const TRACE_ID: &str = "lower(hex(trace_id))";

/// Longer keys are not compared with known ones.
const MAX_COMPARED_BYTES: usize = 64;

/// Reads a term.
///
/// # Errors
/// For an unknown key, or a value or an operator that the key does not have.
pub(super) fn read(term: &Written) -> Result<Test, SearchError> {
    let Some((name, operator)) = &term.key else { return Ok(word(term)) };
    let (name, part) = match name.split_once('.') {
        Some((name, part)) => (name, Some(part)),
        None => (name.as_str(), None),
    };
    let known = KEYS.iter().find(|(known, _)| *known == name);
    let Some((_, key)) = known else { return Err(no_such(term.column, name)) };
    if part.is_some() && !matches!(key, Key::Header(_)) {
        let message = format!(
            "{name} has no parts: only header, request_header and response_header do, such as header.x-tenant:acme"
        );
        return Err(SearchError::at(term.column, message));
    }
    let compares = !matches!(operator, Operator::Has | Operator::Is);
    match key {
        Key::Number(number) => read_number(name, *number, *operator, term),
        _ if compares => {
            let message = format!("{name} cannot be compared: write {name}:value");
            Err(SearchError::at(term.column, message))
        }
        Key::Text(text) => {
            let patterns = term.values.iter().map(|value| text.pattern(*operator, value));
            Ok(Test::Text(*text, patterns.collect::<Result<_, _>>()?))
        }
        Key::Errors => match term.values.as_slice() {
            [value] if ["true", "false"].contains(&value.text.as_str()) => {
                Ok(Test::Errors(value.text == "true"))
            }
            _ => Err(SearchError::at(term.column, "write errors:true or errors:false")),
        },
        Key::Header(messages) => {
            let name = part.map(str::to_ascii_lowercase);
            Ok(Test::Header(messages, name, contained(*operator, &term.values)))
        }
        Key::Body(messages) => Ok(Test::Body(messages, contained(*operator, &term.values))),
    }
}

/// A word is looked for in several texts.
fn word(term: &Written) -> Test {
    let Some(value) = term.values.first() else { return Test::Word(Pattern::contains("")) };
    let Value { text, stars, .. } = value;
    // Methods are in capital letters.
    if Method::new(text.as_bytes()) != Method::OTHER {
        return Test::Text(Text::Dimension(Dimension::Method), vec![Pattern::Is(text.clone())]);
    }
    if *stars {
        return Test::Word(Pattern::Glob(Glob::new(text)));
    }
    if is_id(text) { Test::Id(written_forms(text)) } else { Test::Word(Pattern::contains(text)) }
}

/// An ID as it is written, in small and in capital letters: its sender may write it in another way than a tool that shows it.
fn written_forms(id: &str) -> BTreeSet<String> {
    BTreeSet::from([id.to_owned(), id.to_ascii_lowercase(), id.to_ascii_uppercase()])
}

/// Whether a word has the form of a UUID or of a trace ID, so that a part of a text is not meant.
fn is_id(text: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    groups.iter().all(|group| is_hex(group)) && (lengths == [32] || lengths == [8, 4, 4, 4, 12])
}

fn contained(operator: Operator, values: &[Value]) -> Vec<Pattern> {
    values.iter().map(|value| pattern(operator, value, Pattern::contains(&value.text))).collect()
}

/// A value as a pattern; `usual` is the one behind `:` without stars.
fn pattern(operator: Operator, value: &Value, usual: Pattern) -> Pattern {
    match operator {
        Operator::Has if value.stars => Pattern::Glob(Glob::new(&value.text)),
        Operator::Has => usual,
        _ => Pattern::Is(value.text.clone()),
    }
}

fn read_number(name: &str, number: Number, operator: Operator, term: &Written) -> Result<Test, SearchError> {
    let mut ranges = Vec::new();
    for value in &term.values {
        let range = number.range(&value.text).ok_or_else(|| {
            let message = format!("{name} must be {}, not {:?}", number.example(), value.text);
            SearchError::at(value.column, message)
        })?;
        let (least, most) = range.into_inner();
        ranges.push(match operator {
            Operator::Has | Operator::Is => least..=most,
            Operator::More => most.saturating_add(1)..=u64::MAX,
            Operator::AtLeast => least..=u64::MAX,
            // The greatest number is never reached: nothing is less than 0.
            Operator::Less if least == 0 => u64::MAX..=u64::MAX,
            Operator::Less => 0..=least - 1,
            Operator::AtMost => 0..=most,
        });
    }
    Ok(Test::Number(number, ranges))
}

impl Text {
    fn pattern(self, operator: Operator, value: &Value) -> Result<Pattern, SearchError> {
        let wrong = |message: String| Err(SearchError::at(value.column, message));
        let text = match self {
            Self::Dimension(Dimension::Method) => value.text.to_ascii_uppercase(),
            Self::TraceId => value.text.to_ascii_lowercase(),
            _ => value.text.clone(),
        };
        match self {
            Self::Dimension(Dimension::Direction) if ![value::INBOUND, value::OUTBOUND].contains(&&*text) => {
                return wrong(format!("direction must be inbound or outbound, not {:?}", value.text));
            }
            Self::TraceId
                if !value.stars
                    && (text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit())) =>
            {
                return wrong(format!(
                    "trace_id must be 32 hexadecimal digits, or have a star, not {:?}",
                    value.text
                ));
            }
            _ => {}
        }
        let value = Value { column: value.column, text, stars: value.stars };
        let usual = match self {
            Self::Path | Self::Query | Self::UserAgent => Pattern::contains(&value.text),
            _ => Pattern::Is(value.text.clone()),
        };
        Ok(pattern(operator, &value, usual))
    }

    /// The text of a request; `None` where it has none.
    pub(super) fn of<'a>(self, event: &'a RequestEvent, sender: &'a Sender) -> Option<Cow<'a, str>> {
        let text = match self {
            Self::Dimension(dimension) => {
                dimension.text_of_event(event, sender).filter(|text| !text.is_empty())
            }
            Self::RequestId => event.request_id.as_deref(),
            Self::TraceId if event.trace_id.is_empty() => None,
            Self::TraceId => return Some(HEXLOWER.encode(&event.trace_id).into()),
            Self::ClientAddress => event.client_address.as_deref(),
            Self::Path => event.path.as_deref(),
            Self::Query => event.query.as_deref(),
            Self::UserAgent => event.user_agent.as_deref(),
        };
        text.map(Cow::Borrowed)
    }

    /// Whether all requests of a sender have the same.
    pub(super) fn is_of_sender(self) -> bool {
        matches!(self, Self::Dimension(Dimension::Service | Dimension::Environment | Dimension::Gateway))
    }

    /// The keys of what a pattern takes; `None` where it may take what has none of them.
    pub(super) fn keys(self, pattern: &Pattern) -> Option<Vec<BloomKey>> {
        let words = |words: &mut dyn Iterator<Item = &str>| -> Vec<BloomKey> {
            words.map(|word| BloomKey::of_text(Column::PathWord, word)).collect()
        };
        match (self, pattern) {
            (Self::Path, Pattern::Is(path)) => Some(words(&mut path_words(path))),
            (Self::Path, Pattern::Glob(glob)) => Some(words(&mut glob.path_words())),
            (Self::Dimension(dimension), Pattern::Is(value)) => Some(vec![dimension.key(value)?]),
            (Self::RequestId, Pattern::Is(id)) => Some(vec![BloomKey::of_text(Column::RequestId, id)]),
            (Self::ClientAddress, Pattern::Is(address)) => {
                Some(vec![BloomKey::of_text(Column::ClientAddress, address)])
            }
            (Self::TraceId, Pattern::Is(id)) => {
                Some(vec![BloomKey::of(Column::TraceId, &HEXLOWER.decode(id.as_bytes()).ok()?)])
            }
            _ => None,
        }
    }

    /// The requests of which a pattern takes the text, in SQL.
    pub(super) fn condition(self, pattern: &Pattern) -> Condition {
        match (self, pattern) {
            (Self::Dimension(_), Pattern::Is(value)) if value.is_empty() => Condition::any([]),
            (Self::Dimension(dimension), Pattern::Is(value)) => dimension.condition(value),
            (Self::Dimension(Dimension::ConsumerGroup | Dimension::Direction), _) => Condition::undecided(),
            (Self::Dimension(Dimension::Route), pattern) => {
                Condition::any([pattern.condition("route"), Condition::rough(INFERRED.to_owned())])
            }
            (Self::Dimension(dimension), pattern) => {
                let column = dimension.field();
                let has_text = Condition::exact(format!("({column} != '')"));
                Condition::all([has_text, pattern.condition(column)])
            }
            (Self::TraceId, Pattern::Is(id)) if HEXLOWER.decode(id.as_bytes()).is_ok() => {
                Condition::exact(format!("(trace_id = unhex('{id}'))")).exact_if(!id.is_empty())
            }
            (Self::TraceId, pattern) => pattern.condition_of_optional(TRACE_ID),
            (other, pattern) => pattern.condition_of_optional(other.field()),
        }
    }

    /// The name of the field.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Dimension(dimension) => dimension.field(),
            Self::RequestId => "request_id",
            Self::TraceId => "trace_id",
            Self::ClientAddress => "client_address",
            Self::Path => "path",
            Self::Query => "query",
            Self::UserAgent => "user_agent",
        }
    }
}

impl Number {
    /// The numbers that a value stands for.
    fn range(self, text: &str) -> Option<RangeInclusive<u64>> {
        let number = match self {
            Self::Status => match text.strip_suffix("xx").map(str::parse::<u64>) {
                Some(class) => {
                    let class = class.ok().filter(|class| (1..=5).contains(class))?;
                    return Some(class * 100..=class * 100 + 99);
                }
                None => text.parse().ok().filter(|code| *code < 1000)?,
            },
            Self::GrpcStatus => grpc::number(text).or_else(|| text.parse().ok())?,
            Self::Duration | Self::Upstream => units::nanos(text)?,
            Self::RequestBytes | Self::ResponseBytes => units::bytes(text)?,
        };
        Some(number..=number)
    }

    /// The column of the number, which is null where it is not known.
    pub(super) fn column(self) -> &'static str {
        match self {
            Self::Duration => "duration_ns",
            Self::Upstream => "upstream_ns",
            other => other.field(),
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Status => "a code such as 404, a class such as 5xx, or 0",
            Self::GrpcStatus => "a number or a name such as UNAVAILABLE",
            Self::Duration | Self::Upstream => "a time such as 500ms, 1.5s or 2m",
            Self::RequestBytes | Self::ResponseBytes => "a size such as 800, 10kB or 1MiB",
        }
    }

    /// The number of a request.
    pub(super) fn of(self, event: &RequestEvent) -> Option<u64> {
        match self {
            Self::Status => Some(u64::from(event.status)),
            Self::GrpcStatus => event.grpc_status,
            Self::Duration => event.duration_ns,
            Self::Upstream => event.upstream_ns,
            Self::RequestBytes => event.request_bytes,
            Self::ResponseBytes => event.response_bytes,
        }
    }

    /// The name of the field.
    pub(super) fn field(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::GrpcStatus => "grpc_status",
            Self::Duration => "duration_ms",
            Self::Upstream => "upstream_ms",
            Self::RequestBytes => "request_bytes",
            Self::ResponseBytes => "response_bytes",
        }
    }
}

impl Message {
    pub(super) fn headers(self, event: &RequestEvent) -> Option<&str> {
        match self {
            Self::Request => event.request_headers.as_deref(),
            Self::Response => event.response_headers.as_deref(),
        }
    }

    pub(super) fn body(self, event: &RequestEvent) -> Option<&str> {
        match self {
            Self::Request => event.request_body.as_deref(),
            Self::Response => event.response_body.as_deref(),
        }
    }

    pub(super) fn header_field(self) -> &'static str {
        match self {
            Self::Request => "request_headers",
            Self::Response => "response_headers",
        }
    }

    pub(super) fn body_field(self) -> &'static str {
        match self {
            Self::Request => "request_body",
            Self::Response => "response_body",
        }
    }
}

/// The error for an unknown key, with the one that was probably meant.
fn no_such(column: usize, name: &str) -> SearchError {
    let comparable = if name.len() <= MAX_COMPARED_BYTES { KEYS.as_slice() } else { &[] };
    let nearest = comparable.iter().map(|(key, _)| (strsim::levenshtein(name, key), *key)).min();
    let longer = || comparable.iter().find(|(key, _)| key.starts_with(name) || key.ends_with(name));
    let meant = match (nearest, longer()) {
        (Some((near, key)), _) if near <= 2 => format!("did you mean {key}?"),
        (_, Some((key, _))) => format!("did you mean {key}?"),
        _ => format!("expected one of {}", KEYS.map(|(key, _)| key).join(", ")),
    };
    SearchError::at(
        column,
        format!("there is no key {name:?}: {meant} A text with such marks must stand in quotes"),
    )
}
