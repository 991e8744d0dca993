//! What was seen, compared with what a document describes.
//!
//! Both sides are OpenAPI: the ingest makes a document of what it has seen. The other side may have references, `allOf`,
//! `oneOf` and `anyOf`; a value must fit one of the alternatives.

use crate::openapi::{MAX_REFERENCES, Operation, target};
use crate::problem::Problem;
use crate::yaml::{Node, Place};
use serde_json::Value;
use std::collections::HashSet;

/// Levels of a schema that are compared.
const MAX_DEPTH: usize = 16;
/// Schemas that are compared in one body: alternatives within alternatives multiply.
const MAX_WORK: usize = 20_000;
/// Schemas that one consists of by `allOf`.
const MAX_PARTS: usize = 64;
/// Alternatives of a schema; one with more is not compared.
const MAX_ALTERNATIVES: usize = 500;
/// Characters of a message, and of a path in a body.
const MAX_TEXT: usize = 1_000;
/// Formats that the ingest tells by strict tests.
const FORMATS: [&str; 8] = ["uuid", "date-time", "date", "time", "email", "uri", "ipv4", "ipv6"];
/// Where the document of the ingest names all formats of strings that have several.
const ALL_FORMATS: &str = "x-gatelens-formats";

/// A difference.
#[derive(Debug)]
pub struct Finding {
    /// What differs.
    pub kind: Kind,
    /// The words, and the place in the document.
    pub problem: Problem,
    /// Method and path of an operation: as it was seen, or as it is documented where nothing was seen of it.
    pub operation: Option<(String, String)>,
}

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The document itself has a defect.
    Document,
    /// Requests were seen, and the document has no such operation.
    UndocumentedRoute,
    /// The document has an operation, and no request was seen.
    NeverCalled,
    /// The document has an operation, and it had requests once and has none any more.
    Vanished,
    /// A status was seen that the operation does not have.
    UndocumentedStatus,
    /// A field was seen that the document does not have.
    UndocumentedField,
    /// Values have a type that the document does not allow.
    Type,
    /// Strings have a format that the document does not allow.
    Format,
    /// The document requires a field that is absent from some bodies.
    Presence,
}

/// An operation that had requests once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// In upper case.
    pub method: String,
    /// Its route.
    pub route: String,
    /// Start of the half hour in which it had the last requests, in words.
    pub last_seen: String,
}

/// What was seen.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// An OpenAPI document of it.
    pub document: &'a Value,
    /// Operations that are not in it, because they have no requests any more.
    pub gone: &'a [Gone],
}

impl Kind {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::UndocumentedRoute => "undocumented_route",
            Self::NeverCalled => "never_called",
            Self::Vanished => "vanished",
            Self::UndocumentedStatus => "undocumented_status",
            Self::UndocumentedField => "undocumented_field",
            Self::Type => "type",
            Self::Format => "format",
            Self::Presence => "presence",
        }
    }
}

impl Finding {
    /// A defect of the document.
    pub fn unreadable(problem: Problem) -> Self {
        Self { kind: Kind::Document, problem, operation: None }
    }

    fn error(kind: Kind, place: Place, at: &str, message: impl AsRef<str>) -> Self {
        Self { kind, problem: Problem::error(place, clipped(message)).about(clipped(at)), operation: None }
    }

    fn warning(kind: Kind, place: Place, at: &str, message: impl AsRef<str>) -> Self {
        Self { kind, problem: Problem::warning(place, clipped(message)).about(clipped(at)), operation: None }
    }

    /// What makes it the same as one of another alternative.
    fn name(&self) -> (Kind, &str) {
        (self.kind, &self.problem.path)
    }

    fn of(self, method: &str, path: &str) -> Self {
        Self { operation: Some((method.to_owned(), path.to_owned())), ..self }
    }
}

/// A text with names out of the document, each of which may be as long as the document.
fn clipped(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The differences, in the order of what was seen; operations without requests come last. Where `given_up` is true, it ends
/// early, and what it has found is of no use.
pub fn compare(
    document: &Node,
    operations: &[Operation<'_>],
    seen: Seen<'_>,
    given_up: &dyn Fn() -> bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut called = HashSet::new();
    for (path, item) in seen.document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if given_up() {
                return findings;
            }
            let method = method.to_ascii_uppercase();
            let Some((place, documented)) = documented(operations, &method, path) else {
                let message = "requests were seen, and the document has no such operation; add it";
                let at = format!("{method} {path}");
                let finding = Finding::error(Kind::UndocumentedRoute, document.place, &at, message);
                findings.push(finding.of(&method, path));
                continue;
            };
            called.insert(place);
            let at = format!("{method} {}", documented.path);
            if let Some(node) = documented.node {
                let comparison = Comparison { document, at, given_up };
                let found = comparison.operation(operation, node, documented.place);
                findings.extend(found.into_iter().map(|finding| finding.of(&method, path)));
            }
        }
    }
    for (place, operation) in operations.iter().enumerate() {
        if called.contains(&place) || given_up() {
            continue;
        }
        let Operation { method, path, place, .. } = operation;
        let at = format!("{method} {path}");
        let gone = seen.gone.iter().find(|gone| gone.method == *method && takes(path, &gone.route));
        let finding = match gone {
            Some(Gone { last_seen, .. }) => {
                let message = format!(
                    "it had regular requests, the last of them in the half hour from {last_seen}; find out who called it, or remove it"
                );
                Finding::warning(Kind::Vanished, *place, &at, message)
            }
            None => {
                let message = "no request was seen; remove it if nobody needs it";
                Finding::warning(Kind::NeverCalled, *place, &at, message)
            }
        };
        findings.push(finding.of(method, path));
    }
    findings
}

/// The operation that takes requests of a route: with the same segments, or with the fewest parameters in place of words.
fn documented<'o, 'd>(
    operations: &'o [Operation<'d>],
    method: &str,
    path: &str,
) -> Option<(usize, &'o Operation<'d>)> {
    let candidates = operations.iter().enumerate().filter(|(_, operation)| operation.method == method);
    candidates
        .filter_map(|(place, operation)| Some((words_taken(&operation.path, path)?, place, operation)))
        .min_by_key(|(taken, place, _)| (*taken, *place))
        .map(|(_, place, operation)| (place, operation))
}

/// Whether a template takes a route.
fn takes(template: &str, route: &str) -> bool {
    words_taken(template, route).is_some()
}

/// How many words of a route stand where a template has a parameter; `None` where the template does not take it.
fn words_taken(template: &str, route: &str) -> Option<usize> {
    let (mut template, mut route) = (segments(template), segments(route));
    let mut taken = 0;
    loop {
        match (template.next(), route.next()) {
            (None, None) => return Some(taken),
            (Some(wanted), Some(found)) if wanted == found || form(wanted) == form(found) => {}
            (Some(wanted), Some(found)) if wanted.contains('{') && !found.contains('{') => taken += 1,
            _ => return None,
        }
    }
}

fn segments(path: &str) -> std::str::Split<'_, char> {
    path.trim_end_matches('/').split('/')
}

/// A segment without the names of its parameters.
fn form(segment: &str) -> String {
    let mut form = String::new();
    let mut rest = segment;
    while let Some((before, inner)) = rest.split_once('{') {
        form.push_str(before);
        form.push_str("{}");
        rest = inner.split_once('}').map_or("", |(_, after)| after);
    }
    form + rest
}

/// The comparison of one operation.
struct Comparison<'a> {
    document: &'a Node,
    /// Method and path.
    at: String,
    given_up: &'a dyn Fn() -> bool,
}

/// Where in an operation two schemas are compared.
#[derive(Clone)]
struct Spot<'s> {
    /// The message and its status.
    body: &'s str,
    /// A field of this kind may be absent: the other side of the connection sets it.
    other_side: &'s str,
    pointer: String,
    depth: usize,
}

impl<'a> Comparison<'a> {
    fn operation(&self, seen: &Value, node: &'a Node, place: Place) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(schema) = seen["requestBody"].get("content").and_then(json_schema) {
            match self.request_schema(node) {
                Some(documented) => {
                    let spot = Spot::new("request", "readOnly");
                    self.body(schema, documented, &spot, &mut findings);
                }
                None => {
                    let message = "bodies of JSON were seen, and the document has no schema of one; add it";
                    let at = format!("{} request", self.at);
                    findings.push(Finding::warning(Kind::UndocumentedField, place, &at, message));
                }
            }
        }
        let Some(responses) = node.get("responses") else { return findings };
        for (status, response) in seen["responses"].as_object().into_iter().flatten() {
            let body = format!("response {status}");
            let Some(documented) = self.response(responses, status) else {
                let message = "the status was seen, and the document does not have it; add it";
                let at = format!("{} {body}", self.at);
                let finding = Finding::warning(Kind::UndocumentedStatus, responses.place, &at, message);
                findings.extend(Some(finding).filter(|_| status != "default"));
                continue;
            };
            let schema = response.get("content").and_then(json_schema);
            if let (Some(schema), Some(documented)) = (schema, self.content_schema(documented)) {
                self.body(schema, documented, &Spot::new(&body, "writeOnly"), &mut findings);
            }
        }
        findings
    }

    fn body(&self, seen: &Value, schema: &'a Node, spot: &Spot<'_>, findings: &mut Vec<Finding>) {
        let mut work = MAX_WORK;
        findings.extend(self.schema(seen, schema, spot, &mut work));
    }

    /// The schema of a request's body: in OpenAPI 3 of its content, in Swagger 2 of a parameter.
    fn request_schema(&self, operation: &'a Node) -> Option<&'a Node> {
        if let Some(body) = operation.get("requestBody") {
            return self.content_schema(self.resolved(body));
        }
        let parameters = operation.get("parameters")?.elements().iter().map(|node| self.resolved(node));
        let is_body = |node: &&Node| node.get("in").and_then(Node::text) == Some("body");
        parameters.into_iter().find(is_body)?.get("schema")
    }

    /// The response of a status: under its code, its class, or `default`.
    fn response(&self, responses: &'a Node, status: &str) -> Option<&'a Node> {
        let class = format!("{}XX", status.get(..1).unwrap_or_default());
        // A class that was seen is one of its codes, of which the first stands for all.
        let of_class = || {
            let is_of =
                |key: &&str| status.ends_with("XX") && key.len() == 3 && key.get(..1) == status.get(..1);
            let mut keys = responses.members().iter().filter_map(|(key, node)| Some((key.text()?, node)));
            keys.find(|(key, _)| is_of(key)).map(|(_, node)| node)
        };
        let found = responses.get(status).or_else(|| responses.get(&class));
        let found = found.or_else(|| responses.get(&class.to_ascii_lowercase())).or_else(of_class);
        found.or_else(|| responses.get("default")).map(|node| self.resolved(node))
    }

    /// The schema of the JSON content of a response or a request's body.
    fn content_schema(&self, node: &'a Node) -> Option<&'a Node> {
        if let Some(schema) = node.get("schema") {
            return Some(schema);
        }
        let is_json = |name: &str| {
            let name = name.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            name.ends_with("/json") || name.ends_with("+json") || name == "*/*"
        };
        let members = node.get("content")?.members().iter();
        members.filter(|(key, _)| key.text().is_some_and(is_json)).find_map(|(_, media)| media.get("schema"))
    }

    /// The node behind references. One that leads to nothing stays.
    fn resolved(&self, node: &'a Node) -> &'a Node {
        let mut node = node;
        for _ in 0..MAX_REFERENCES {
            let Some(reference) = node.get("$ref") else { break };
            match target(self.document, reference) {
                Ok(found) => node = found,
                Err(_) => break,
            }
        }
        node
    }

    /// The differences of values that were seen from a schema.
    fn schema(&self, seen: &Value, schema: &'a Node, spot: &Spot<'_>, work: &mut usize) -> Vec<Finding> {
        let is_over = spot.depth >= MAX_DEPTH || (self.given_up)();
        let Some(left) = work.checked_sub(1).filter(|_| !is_over) else { return Vec::new() };
        *work = left;
        let mut all = Vec::new();
        self.gather(schema, &mut all, 0);
        // A schema with alternatives: the one that fits best is meant.
        let choice = all.iter().find_map(|node| {
            let name = ["oneOf", "anyOf"].into_iter().find(|name| node.get(name).is_some())?;
            node.get(name)
        });
        let Some(choice) = choice else { return self.all_of(seen, &all, spot, work) };
        if choice.elements().len() > MAX_ALTERNATIVES {
            return Vec::new();
        }
        let is_null = |node: &Node| node.get("type").and_then(Node::text) == Some("null");
        let alternatives = choice.elements().iter().filter(|node| !is_null(self.resolved(node)));
        let null_is_allowed = choice.elements().iter().any(|node| is_null(self.resolved(node)));
        let seen = if null_is_allowed { &without_null(seen) } else { seen };
        let beside = all.iter().filter(|node| node.get("oneOf").is_none() && node.get("anyOf").is_none());
        let beside: Vec<&Node> = beside.copied().collect();
        // Different alternatives may have been seen, and each has fields of its own: only what none of them allows is a
        // contradiction.
        let mut common: Option<Vec<Finding>> = None;
        for alternative in alternatives {
            let mut all = beside.clone();
            self.gather(alternative, &mut all, 0);
            let found = self.all_of(seen, &all, spot, work);
            let left = match common {
                None => without_repeats(found),
                Some(common) => in_both(common, &found),
            };
            if left.is_empty() || (self.given_up)() {
                return Vec::new();
            }
            common = Some(left);
        }
        common.unwrap_or_default()
    }

    /// A schema and all that it consists of.
    fn gather(&self, schema: &'a Node, all: &mut Vec<&'a Node>, depth: usize) {
        let schema = self.resolved(schema);
        all.push(schema);
        if depth < MAX_DEPTH && all.len() < MAX_PARTS {
            for part in schema.get("allOf").map(Node::elements).unwrap_or_default() {
                self.gather(part, all, depth + 1);
            }
        }
    }

    fn all_of(&self, seen: &Value, all: &[&'a Node], spot: &Spot<'_>, work: &mut usize) -> Vec<Finding> {
        let mut findings = Vec::new();
        let Some(first) = all.first() else { return findings };
        let at = self.path(spot);
        let seen_types = texts(&seen["type"]);
        if let Some((node, allowed)) = all.iter().find_map(|node| Some((node, types(node)?))) {
            for found in seen_types.iter().filter(|found| !fits(found, &allowed)) {
                let message = format!("values are {found}, and the document has {}", allowed.join(", "));
                findings.push(Finding::error(Kind::Type, node.place, &at, message));
            }
        }
        findings.extend(format(seen, all, &at));
        let properties = |name: &str| all.iter().find_map(|node| node.get("properties")?.get(name));
        let open = all.iter().find_map(|node| node.get("additionalProperties"));
        for (name, value) in seen["properties"].as_object().into_iter().flatten() {
            if (self.given_up)() {
                return findings;
            }
            let spot = spot.below(name);
            match (properties(name), open) {
                (Some(property), _) => findings.extend(self.schema(value, property, &spot, work)),
                (None, Some(open)) if open.text() == Some("false") => {
                    let message = "the field was seen, and the document allows no other fields; add it";
                    findings.push(Finding::error(
                        Kind::UndocumentedField,
                        first.place,
                        &self.path(&spot),
                        message,
                    ));
                }
                (None, Some(open)) if open.text().is_some() => {}
                (None, Some(open)) => findings.extend(self.schema(value, open, &spot, work)),
                (None, None) => {
                    let message = "the field was seen, and the document does not have it; add it";
                    findings.push(Finding::warning(
                        Kind::UndocumentedField,
                        first.place,
                        &self.path(&spot),
                        message,
                    ));
                }
            }
        }
        let always = texts(&seen["required"]);
        let is_object = seen["properties"].is_object();
        for required in
            all.iter().flat_map(|node| node.get("required").map(Node::elements).unwrap_or_default())
        {
            if (self.given_up)() {
                break;
            }
            let Some(name) = required.text().filter(|name| is_object && !always.contains(name)) else {
                continue;
            };
            let is_of_other_side = properties(name)
                .and_then(|property| self.resolved(property).get(spot.other_side))
                .is_some_and(|mark| mark.text() == Some("true"));
            if !is_of_other_side {
                let share = if seen["properties"].get(name).is_some() { "some" } else { "all" };
                let message =
                    format!("the document requires the field, and it is absent from {share} bodies");
                let at = self.path(&spot.below(name));
                findings.push(Finding::error(Kind::Presence, required.place, &at, message));
            }
        }
        let values = seen.get("additionalProperties").zip(open.filter(|open| open.text().is_none()));
        if let Some((values, schema)) = values {
            findings.extend(self.schema(values, schema, &spot.below("{*}"), work));
        }
        let items = all.iter().find_map(|node| node.get("items"));
        if let Some((items, schema)) = seen.get("items").zip(items) {
            findings.extend(self.schema(items, schema, &spot.below("[]"), work));
        }
        findings
    }

    fn path(&self, spot: &Spot<'_>) -> String {
        format!("{} {} {}", self.at, spot.body, spot.pointer).trim_end().to_owned()
    }
}

impl<'s> Spot<'s> {
    fn new(body: &'s str, other_side: &'s str) -> Self {
        Self { body, other_side, pointer: String::new(), depth: 0 }
    }

    fn below(&self, name: &str) -> Self {
        let name = name.replace('~', "~0").replace('/', "~1");
        Self { pointer: format!("{}/{name}", self.pointer), depth: self.depth + 1, ..*self }
    }
}

/// The schema of the JSON content in the document of the ingest.
fn json_schema(content: &Value) -> Option<&Value> {
    content["application/json"].get("schema")
}

/// One text, or a list of texts.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        other => other.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    }
}

/// The types that a schema allows; `None` where it allows all.
fn types(schema: &Node) -> Option<Vec<&str>> {
    let node = schema.get("type")?;
    let mut types: Vec<&str> = match node.text() {
        Some(one) => vec![one],
        None => node.elements().iter().filter_map(Node::text).collect(),
    };
    // OpenAPI 3.0, and an extension that is common in Swagger 2.
    let is_true = |name| schema.get(name).and_then(Node::text) == Some("true");
    if is_true("nullable") || is_true("x-nullable") {
        types.push("null");
    }
    Some(types)
}

fn fits(found: &str, allowed: &[&str]) -> bool {
    allowed.contains(&found) || (found == "integer" && allowed.contains(&"number"))
}

fn format(seen: &Value, all: &[&Node], at: &str) -> Option<Finding> {
    let (node, wanted) = all.iter().find_map(|node| Some((node, node.get("format")?.text()?)))?;
    let is_known = FORMATS.contains(&wanted);
    let found = match seen.get(ALL_FORMATS) {
        Some(all) => texts(all),
        None => texts(&seen["format"]),
    };
    let others: Vec<&str> = found.into_iter().filter(|found| *found != wanted).collect();
    if !is_known || others.is_empty() {
        return None;
    }
    let message = format!("strings are of the format {}, and the document has {wanted}", others.join(", "));
    Some(Finding::error(Kind::Format, node.place, at, message))
}

/// The first finding of each name.
fn without_repeats(mut findings: Vec<Finding>) -> Vec<Finding> {
    let mut known = HashSet::new();
    findings.retain(|finding| {
        let (kind, path) = finding.name();
        known.insert((kind, path.to_owned()))
    });
    findings
}

/// The findings whose names others have, too.
fn in_both(findings: Vec<Finding>, others: &[Finding]) -> Vec<Finding> {
    let names: HashSet<_> = others.iter().map(Finding::name).collect();
    findings.into_iter().filter(|finding| names.contains(&finding.name())).collect()
}

/// The same schema without the type null.
fn without_null(seen: &Value) -> Value {
    let mut seen = seen.clone();
    if let Some(types) = seen["type"].as_array_mut() {
        types.retain(|name| name != "null");
    } else if seen["type"] == "null"
        && let Some(members) = seen.as_object_mut()
    {
        members.remove("type");
    }
    seen
}

#[cfg(test)]
mod tests;
