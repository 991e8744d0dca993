//! JSONPath (RFC 9535), compiled.
//!
//! jsonpath-rust parses the text. Its result is type-checked here, because it accepts some queries that are invalid by the
//! RFC and would select nothing, and is then compiled to steps. `docs/jsonpath.md` explains why its evaluation is not
//! used and where the two differ.

mod regexp;
mod syntax;

use jsonpath_rust::parser::model as ast;
use jsonpath_rust::parser::parse_json_path;
use regex_lite::Regex;

pub(crate) use syntax::PathError;

use super::tree::is_exact;

/// Longest path in bytes.
pub(crate) const MAX_PATH_BYTES: usize = 512;

/// Deepest nesting of brackets and parentheses within a path. The parser and the evaluation of filters recurse.
pub(crate) const MAX_NESTING: usize = 12;

/// Deepest nesting of functions within a path. The parser tries each in three ways, with all arguments each time.
pub(crate) const MAX_CALLS: u32 = 6;

/// What a path selects, step by step from the root.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    pub(super) steps: Vec<Step>,
}

/// A segment.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) reach: Reach,
    pub(super) selectors: Vec<Selector>,
}

/// The nodes from whose children a step selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// The current nodes.
    Children,
    /// The current nodes and their descendants.
    Descendants,
}

#[derive(Clone, Debug)]
pub(super) enum Selector {
    Name(Box<str>),
    Wildcard,
    Index(u64),
    /// 1 is the last element.
    IndexFromEnd(u64),
    Slice(Slice),
    Filter(Filter),
}

/// `start:end:step`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) step: i64,
}

#[derive(Clone, Debug)]
pub(super) enum Filter {
    Or(Vec<Filter>),
    And(Vec<Filter>),
    Not(Box<Filter>),
    Exists(Query),
    Compare(Comparison, Operand, Operand),
    Matches(Operand, Box<Regex>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A query within a filter.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) from: Origin,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Root,
    Current,
}

/// An operand that is a value or an empty result.
#[derive(Clone, Debug)]
pub(super) enum Operand {
    String(Box<str>),
    Number(f64),
    Bool(bool),
    Null,
    /// A query for at most one node.
    Singular(Query),
    Length(Box<Operand>),
    Count(Query),
    Value(Query),
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it, where, and what was probably meant.
    pub(crate) fn parse(text: &str) -> Result<Self, PathError> {
        syntax::check(text)?;
        let parsed = parse_json_path(text).map_err(|error| syntax::explain(text, &error))?;
        Ok(Self { steps: steps(&parsed.segments)? })
    }

    /// Whether a single pass over the text can evaluate it: whether it uses only names and indices from the front.
    pub(super) fn is_plain(&self) -> bool {
        self.steps.iter().flat_map(|step| &step.selectors).all(Selector::is_plain)
    }
}

impl Selector {
    fn is_plain(&self) -> bool {
        match self {
            Self::Name(_) | Self::Wildcard | Self::Index(_) => true,
            Self::Slice(slice) => slice.counts_from_front(),
            Self::IndexFromEnd(_) | Self::Filter(_) => false,
        }
    }
}

impl Slice {
    fn counts_from_front(self) -> bool {
        let from_front = |bound: Option<i64>| bound.is_none_or(|bound| bound >= 0);
        self.step >= 0 && from_front(self.start) && from_front(self.end)
    }

    /// Whether it contains an index. Only for slices that count from the front.
    pub(super) fn has(self, index: u64) -> bool {
        let Ok(index) = i64::try_from(index) else { return false };
        let start = self.start.unwrap_or(0);
        let into = index.saturating_sub(start);
        into >= 0 && self.end.is_none_or(|end| index < end) && into.checked_rem(self.step) == Some(0)
    }

    /// Its indices in an array of `length`, as RFC 9535, section 2.3.4.2.2, works them out.
    pub(super) fn indices(self, length: usize) -> impl Iterator<Item = usize> {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let normalize = |bound: i64| if bound >= 0 { bound } else { length.saturating_add(bound) };
        let last = length.saturating_sub(1);
        let (from, until) = if self.step >= 0 {
            let start = normalize(self.start.unwrap_or(0)).clamp(0, length);
            (start, normalize(self.end.unwrap_or(length)).clamp(0, length))
        } else {
            let start = self.start.map_or(last, normalize).clamp(-1, last);
            (start, self.end.map_or(-1, |end| normalize(end).clamp(-1, last)))
        };
        let inside = move |at: &i64| if self.step > 0 { *at < until } else { self.step < 0 && *at > until };
        std::iter::successors(Some(from), move |at| at.checked_add(self.step))
            .take_while(inside)
            .filter_map(|at| usize::try_from(at).ok())
    }
}

impl Query {
    /// Whether it selects at most one node, by its form.
    fn is_singular(&self) -> bool {
        self.steps.iter().all(|step| {
            let single = matches!(
                step.selectors[..],
                [Selector::Name(_) | Selector::Index(_) | Selector::IndexFromEnd(_)]
            );
            step.reach == Reach::Children && single
        })
    }
}

fn steps(segments: &[ast::Segment]) -> Result<Vec<Step>, PathError> {
    segments.iter().map(step).collect()
}

fn step(segment: &ast::Segment) -> Result<Step, PathError> {
    let (reach, segment) = match segment {
        ast::Segment::Descendant(inner) => (Reach::Descendants, &**inner),
        other => (Reach::Children, other),
    };
    let selectors = match segment {
        ast::Segment::Selector(one) => vec![selector(one)?],
        ast::Segment::Selectors(several) => several.iter().map(selector).collect::<Result<_, _>>()?,
        ast::Segment::Descendant(_) => return Err(PathError::new("`....` is not a segment")),
    };
    Ok(Step { reach, selectors })
}

fn selector(selector: &ast::Selector) -> Result<Selector, PathError> {
    Ok(match selector {
        ast::Selector::Name(name) => Selector::Name(name.as_str().into()),
        ast::Selector::Wildcard => Selector::Wildcard,
        ast::Selector::Index(index) => match u64::try_from(*index) {
            Ok(index) => Selector::Index(index),
            Err(_) => Selector::IndexFromEnd(index.unsigned_abs()),
        },
        ast::Selector::Slice(_, _, Some(0)) => {
            return Err(PathError::new("a slice with a step of 0 selects nothing"));
        }
        ast::Selector::Slice(start, end, step) => {
            Selector::Slice(Slice { start: *start, end: *end, step: step.unwrap_or(1) })
        }
        ast::Selector::Filter(filter) => Selector::Filter(self::filter(filter)?),
    })
}

fn filter(filter: &ast::Filter) -> Result<Filter, PathError> {
    let all = |filters: &[ast::Filter]| filters.iter().map(self::filter).collect::<Result<Vec<_>, _>>();
    Ok(match filter {
        ast::Filter::Or(filters) => Filter::Or(all(filters)?),
        ast::Filter::And(filters) => Filter::And(all(filters)?),
        ast::Filter::Atom(ast::FilterAtom::Filter { expr, not }) => negated(*not, self::filter(expr)?),
        ast::Filter::Atom(ast::FilterAtom::Test { expr, not }) => negated(*not, test(expr)?),
        ast::Filter::Atom(ast::FilterAtom::Comparison(comparison)) => compare(comparison)?,
    })
}

fn negated(not: bool, filter: Filter) -> Filter {
    if not { Filter::Not(Box::new(filter)) } else { filter }
}

fn test(test: &ast::Test) -> Result<Filter, PathError> {
    match test {
        ast::Test::Function(function) => match &**function {
            ast::TestFunction::Match(subject, pattern) => {
                Ok(Filter::Matches(value(subject)?, Box::new(regexp::whole(literal_pattern(pattern)?)?)))
            }
            ast::TestFunction::Search(subject, pattern) => {
                Ok(Filter::Matches(value(subject)?, Box::new(regexp::part(literal_pattern(pattern)?)?)))
            }
            ast::TestFunction::Custom(name, _) => Err(not_in_the_rfc(name)),
            other => Err(PathError::new(format!("`{other}` is a value and must be compared: `{other} > 0`"))),
        },
        query => Ok(Filter::Exists(self::query(query)?)),
    }
}

fn not_in_the_rfc(name: &str) -> PathError {
    PathError::new(format!(
        "`{name}` is not a function of RFC 9535; the functions are `length`, `count`, `match`, `search` and `value`"
    ))
}

fn compare(comparison: &ast::Comparison) -> Result<Filter, PathError> {
    let kind = match comparison {
        ast::Comparison::Eq(..) => Comparison::Equal,
        ast::Comparison::Ne(..) => Comparison::NotEqual,
        ast::Comparison::Lt(..) => Comparison::Less,
        ast::Comparison::Lte(..) => Comparison::LessOrEqual,
        ast::Comparison::Gt(..) => Comparison::Greater,
        ast::Comparison::Gte(..) => Comparison::GreaterOrEqual,
    };
    let (left, right) = comparison.vals();
    Ok(Filter::Compare(kind, comparable(left)?, comparable(right)?))
}

fn comparable(comparable: &ast::Comparable) -> Result<Operand, PathError> {
    match comparable {
        ast::Comparable::Literal(literal) => self::literal(literal),
        ast::Comparable::Function(function) => self::function(function),
        ast::Comparable::SingularQuery(query) => {
            let (from, segments) = match query {
                ast::SingularQuery::Current(segments) => (Origin::Current, segments),
                ast::SingularQuery::Root(segments) => (Origin::Root, segments),
            };
            let step = |segment: &ast::SingularQuerySegment| {
                let selector = match segment {
                    ast::SingularQuerySegment::Name(name) => ast::Selector::Name(name.clone()),
                    ast::SingularQuerySegment::Index(index) => ast::Selector::Index(*index),
                };
                Ok(Step { reach: Reach::Children, selectors: vec![self::selector(&selector)?] })
            };
            Ok(Operand::Singular(Query { from, steps: segments.iter().map(step).collect::<Result<_, _>>()? }))
        }
    }
}

fn literal(literal: &ast::Literal) -> Result<Operand, PathError> {
    let number = |text: String, value: f64| {
        if is_exact(&text, value) {
            return Ok(Operand::Number(value));
        }
        Err(PathError::new(format!("`{text}` is beyond the numbers that can be compared exactly (2^53)")))
    };
    match literal {
        ast::Literal::Int(value) => number(value.to_string(), *value as f64),
        ast::Literal::Float(value) if value.is_finite() => Ok(Operand::Number(*value)),
        ast::Literal::Float(value) => number(value.to_string(), *value),
        ast::Literal::String(text) => Ok(Operand::String(text.as_str().into())),
        ast::Literal::Bool(value) => Ok(Operand::Bool(*value)),
        ast::Literal::Null => Ok(Operand::Null),
    }
}

fn function(function: &ast::TestFunction) -> Result<Operand, PathError> {
    match function {
        ast::TestFunction::Length(argument) => Ok(Operand::Length(Box::new(value(argument)?))),
        ast::TestFunction::Count(argument) => Ok(Operand::Count(nodes(argument)?)),
        ast::TestFunction::Value(argument) => Ok(Operand::Value(nodes(argument)?)),
        ast::TestFunction::Custom(name, _) => Err(not_in_the_rfc(name)),
        other => Err(PathError::new(format!("`{other}` is true or false and cannot be compared"))),
    }
}

/// An argument that must be a value (RFC 9535, section 2.4.3).
fn value(argument: &ast::FnArg) -> Result<Operand, PathError> {
    match argument {
        ast::FnArg::Literal(literal) => self::literal(literal),
        ast::FnArg::Test(test) => match &**test {
            ast::Test::Function(function) => self::function(function),
            query => {
                let query = self::query(query)?;
                if !query.is_singular() {
                    return Err(PathError::new(format!(
                        "`{argument}` can select several nodes where a function takes one value; `value({argument})` \
                         or `count({argument})` may be meant"
                    )));
                }
                Ok(Operand::Singular(query))
            }
        },
        ast::FnArg::Filter(_) => Err(PathError::new(format!("`{argument}` is not a value"))),
    }
}

/// An argument that must be nodes.
fn nodes(argument: &ast::FnArg) -> Result<Query, PathError> {
    match argument {
        ast::FnArg::Test(test) if !matches!(**test, ast::Test::Function(_)) => query(test),
        _ => Err(PathError::new(format!(
            "`{argument}` is not a query; `count` and `value` take one, as `@.items`"
        ))),
    }
}

fn query(test: &ast::Test) -> Result<Query, PathError> {
    match test {
        ast::Test::RelQuery(segments) => Ok(Query { from: Origin::Current, steps: steps(segments)? }),
        ast::Test::AbsQuery(query) => Ok(Query { from: Origin::Root, steps: steps(&query.segments)? }),
        ast::Test::Function(function) => Err(PathError::new(format!("`{function}` is not a query"))),
    }
}

/// The pattern must be a literal, because it is compiled with the configuration. If it came from the body, the sender of
/// the body would decide what is masked.
fn literal_pattern(argument: &ast::FnArg) -> Result<&str, PathError> {
    match argument {
        ast::FnArg::Literal(ast::Literal::String(pattern)) => Ok(pattern),
        _ => Err(PathError::new("the second argument of `match` and `search` is a pattern in quotes")),
    }
}
