//! The operations of an OpenAPI 3 or Swagger 2 document: [OpenAPI], [Swagger].
//!
//! [OpenAPI]: https://spec.openapis.org/oas/v3.2.0.html
//! [Swagger]: https://spec.openapis.org/oas/v2.0.html

use gatelens_model::percent;

use crate::problem::Problem;
use crate::yaml::{Content, Node, Place};

/// The members of a path item that are operations.
const METHODS: [&str; 9] = ["get", "put", "post", "delete", "options", "head", "patch", "trace", "query"];

/// Operations that are read, and the bytes of their paths: servers multiply them.
const MAX_OPERATIONS: usize = 50_000;
const MAX_PATH_BYTES: usize = 16 << 20;

/// Servers of a document, of a path or of an operation that are read, and the bytes of the URL of one.
const MAX_SERVERS: usize = 100;
const MAX_URL_BYTES: usize = 8 << 10;

/// Methods of a path.
const MAX_METHODS: usize = 100;

/// Defects that are named.
const MAX_PROBLEMS: usize = 1_000;

/// References to follow from one path item to the next.
pub const MAX_REFERENCES: usize = 32;

/// An operation of an API.
#[derive(Debug)]
pub struct Operation<'a> {
    /// In upper case.
    pub method: String,
    /// With the base path, without query and fragment.
    pub path: String,
    /// Of the method in the document.
    pub place: Place,
    /// Path from the root of the document.
    pub at: String,
    /// The operation itself, where a document describes it.
    pub node: Option<&'a Node>,
}

/// What a document describes, and its defects.
#[derive(Debug, Default)]
pub struct Description<'a> {
    /// In the order of the document.
    pub operations: Vec<Operation<'a>>,
    /// Its defects, in the order of the document.
    pub problems: Vec<Problem>,
}

/// Reads the operations of a document; `base_path` is used in place of those in the document.
pub fn read<'a>(document: &'a Node, base_path: Option<&'a str>) -> Description<'a> {
    let mut reader =
        Reader { document, base_path, found: Description::default(), left: MAX_PATH_BYTES, is_full: false };
    match Version::of(document) {
        Ok(version) => reader.document(version),
        Err(problem) => reader.note(problem),
    }
    reader.found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    OpenApi3,
    Swagger2,
}

impl Version {
    fn of(document: &Node) -> Result<Self, Problem> {
        for (key, prefix, version) in [("openapi", "3.", Self::OpenApi3), ("swagger", "2.", Self::Swagger2)] {
            if let Some(value) = document.get(key) {
                let text = value.text().unwrap_or_default();
                if text == prefix.trim_end_matches('.') || text.starts_with(prefix) {
                    return Ok(version);
                }
                let message = format!("version `{text}` is not known; OpenAPI 3 and Swagger 2 are");
                return Err(Problem::error(value.place, message).about(key));
            }
        }
        let message = "this is not an API description: an OpenAPI 3 document has the key `openapi`, a Swagger 2 document \
                       the key `swagger`";
        Err(Problem::error(document.place, message))
    }
}

struct Reader<'a> {
    document: &'a Node,
    base_path: Option<&'a str>,
    found: Description<'a>,
    /// Bytes of paths that may still be read.
    left: usize,
    is_full: bool,
}

impl<'a> Reader<'a> {
    fn document(&mut self, version: Version) {
        let document = self.document;
        let Some((key, paths)) = document.entry("paths") else {
            let message = "there are no `paths`, so there is nothing to make templates of";
            return self.note(Problem::error(document.place, message));
        };
        if !matches!(paths.content, Content::Mapping(_)) {
            let message = "the paths are not a mapping; write `paths: {/users: {get: …}}`";
            return self.note(Problem::error(key.place, message).about("paths"));
        }
        let bases = match (self.base_path, version) {
            (Some(base), _) => vec![base_of(base)],
            (None, Version::OpenApi3) => self.servers(document, "").unwrap_or_else(|| vec![String::new()]),
            (None, Version::Swagger2) => {
                vec![base_of(document.get("basePath").and_then(Node::text).unwrap_or_default())]
            }
        };
        for (key, item) in paths.members() {
            let Some(path) = key.text() else {
                let message = "a key of `paths` is not a text; write a path such as `/users`";
                self.note(Problem::error(key.place, message).about("paths"));
                continue;
            };
            if path.starts_with("x-") {
                continue;
            }
            let at = format!("paths.{path}");
            if !path.starts_with('/') {
                let message = format!("a path begins with a slash; write `/{path}`");
                self.note(Problem::error(key.place, message).about(at));
                continue;
            }
            self.path(path, &at, key.place, item, &bases);
        }
    }

    /// Adds the operations of a path item and of those that it refers to.
    fn path(&mut self, path: &str, at: &str, place: Place, item: &'a Node, bases: &[String]) {
        let mut item = item;
        let mut seen = Vec::new();
        for _ in 0..MAX_REFERENCES {
            if !matches!(item.content, Content::Mapping(_)) {
                let message = "this is not a path item; write `{get: …}`";
                return self.note(Problem::error(item.place, message).about(at));
            }
            let own = self.servers_unless_replaced(item, at);
            let bases = own.as_deref().unwrap_or(bases);
            self.operations(path, at, item, bases, &mut seen);
            let Some(reference) = item.get("$ref") else { return };
            match target(self.document, reference) {
                Ok(target) => item = target,
                Err(message) => {
                    return self.note(Problem::error(reference.place, message).about(at));
                }
            }
        }
        let message =
            "the references of this path lead back to themselves, or are too many; write the path item here";
        self.note(Problem::error(place, message).about(at));
    }

    fn operations(&mut self, path: &str, at: &str, item: &'a Node, bases: &[String], seen: &mut Vec<String>) {
        let additional = item.get("additionalOperations").map(Node::members).unwrap_or_default();
        let fixed =
            item.members().iter().filter(|(key, _)| key.text().is_some_and(|key| METHODS.contains(&key)));
        for (key, operation) in fixed.chain(additional) {
            let Some(name) = key.text() else { continue };
            let method = name.to_ascii_uppercase();
            let at = format!("{at}.{name}");
            if !matches!(operation.content, Content::Mapping(_)) {
                let message = "this is not an operation; write `{responses: …}`";
                self.note(Problem::error(key.place, message).about(at));
                continue;
            }
            // A path item goes before the one that it refers to.
            if seen.contains(&method) {
                continue;
            }
            let own = self.servers_unless_replaced(operation, &at);
            for base in own.as_deref().unwrap_or(bases) {
                let bytes = base.len() + path.len() + at.len();
                let left = self.left.checked_sub(bytes).filter(|_| seen.len() < MAX_METHODS);
                let Some(left) = left.filter(|_| self.found.operations.len() < MAX_OPERATIONS) else {
                    return self.full(key.place);
                };
                self.left = left;
                let path = format!("{base}{}", without_query(path));
                self.found.operations.push(Operation {
                    method: method.clone(),
                    path,
                    place: key.place,
                    at: at.clone(),
                    node: Some(operation),
                });
            }
            seen.push(method);
        }
    }

    fn note(&mut self, problem: Problem) {
        if self.found.problems.len() < MAX_PROBLEMS {
            self.found.problems.push(problem);
        }
    }

    /// Notes once that the rest is not read.
    fn full(&mut self, place: Place) {
        if self.is_full {
            return;
        }
        self.is_full = true;
        let message = format!(
            "the document has more than {MAX_OPERATIONS} operations, {MAX_METHODS} of a path, or too long paths, servers included; the rest is not read: split the document"
        );
        self.note(Problem::error(place, message));
    }

    fn servers_unless_replaced(&mut self, node: &Node, at: &str) -> Option<Vec<String>> {
        if self.base_path.is_some() { None } else { self.servers(node, at) }
    }

    /// The distinct base paths of the servers of a document, path item or operation; `None` where there are none.
    fn servers(&mut self, node: &Node, at: &str) -> Option<Vec<String>> {
        let servers = node.get("servers")?.elements();
        let mut bases: Vec<String> = Vec::new();
        for (index, server) in servers.iter().enumerate().take(MAX_SERVERS) {
            let at = format!("{at}{}servers[{index}]", if at.is_empty() { "" } else { "." });
            let url = server.get("url").and_then(Node::text).filter(|url| url.len() <= MAX_URL_BYTES);
            let Some(url) = url else {
                let message = "the server has no `url`, or a too long one; write one, or remove the server";
                self.note(Problem::error(server.place, message).about(at));
                continue;
            };
            let (url, unset) = with_defaults(url, server.get("variables"));
            let base = base_of(path_of_url(&url));
            if let Some(name) = unset.iter().find(|name| base.contains(&format!("{{{name}}}"))) {
                let message = format!(
                    "the server variable `{name}` has no default, so it stays a parameter of the templates"
                );
                self.note(Problem::warning(server.place, message).about(at));
            }
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        (!bases.is_empty()).then_some(bases)
    }
}

/// The node that a reference within a document leads to: a JSON pointer (RFC 6901) in a fragment.
///
/// # Errors
/// A message, where it leads to nothing in this document.
pub fn target<'a>(document: &'a Node, reference: &Node) -> Result<&'a Node, String> {
    let text = reference.text().unwrap_or_default();
    let Some(pointer) = text.strip_prefix("#/") else {
        return Err(format!("`{text}` is not in this document; bundle the documents into one first"));
    };
    let step = |node: &'a Node, step: &str| {
        let step =
            String::from_utf8_lossy(&percent::decoded(step.as_bytes())).replace("~1", "/").replace("~0", "~");
        match &node.content {
            Content::Sequence(nodes) => nodes.get(step.parse::<usize>().ok()?),
            _ => node.get(&step),
        }
    };
    pointer
        .split('/')
        .try_fold(document, step)
        .ok_or_else(|| format!("`{text}` leads to nothing in this document"))
}

/// A server's URL with the defaults of its variables, and the variables without one.
fn with_defaults(url: &str, variables: Option<&Node>) -> (String, Vec<String>) {
    let mut filled = String::new();
    let mut unset = Vec::new();
    let mut rest = url;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((name, after)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            continue;
        };
        match variables.and_then(|variables| variables.at(&[name, "default"])).and_then(Node::text) {
            Some(default) => filled.push_str(default),
            None => {
                filled.push_str(&format!("{{{name}}}"));
                unset.push(name.to_owned());
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    (filled, unset)
}

/// The path of a server's URL, which may lack its scheme or its authority.
fn path_of_url(url: &str) -> &str {
    let after_authority = |text: &'_ str| text.find('/').map_or(text.len(), |slash| slash);
    if let Some(authority) = url.find("://").map(|at| at + 3).or(url.starts_with("//").then_some(2)) {
        let rest = url.get(authority..).unwrap_or_default();
        return rest.get(after_authority(rest)..).unwrap_or_default();
    }
    let first = url.split('/').next().unwrap_or_default();
    // `api.example.com/v1`, `localhost:8080/v1` and `{host}/v1` are meant as authorities; `v1` is relative.
    let is_authority = !matches!(first, "" | "." | "..") && first.contains(['.', ':', '{']);
    if is_authority { url.get(first.len()..).unwrap_or_default() } else { url.trim_start_matches("./") }
}

/// A base path with one slash at its beginning and none at its end.
fn base_of(path: &str) -> String {
    let path = without_query(path.trim()).trim_matches('/');
    if matches!(path, "" | ".") { String::new() } else { format!("/{path}") }
}

/// Some documents tell operations apart by a query or a fragment, also as an expression of RFC 6570.
fn without_query(path: &str) -> &str {
    let ends = ["{?", "{&", "{#", "?", "#"].iter().filter_map(|mark| path.find(mark));
    path.get(..ends.min().unwrap_or(path.len())).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    #[test]
    fn servers_and_methods_multiply_operations_up_to_a_bound() {
        let servers: String = (0..90).map(|n| format!("{{url: /s{n}}},")).collect();
        let paths: String = (0..1_000).map(|n| format!("/p{n}: {{get: {{}}}},")).collect();
        let check = |text: &str, operations: usize, problems: usize| {
            let documents = yaml::documents(text).unwrap();
            let found = read(&documents[0], None);
            assert_eq!((found.operations.len(), found.problems.len()), (operations, problems));
        };
        check(&format!("{{openapi: 3.1.0, servers: [{servers}], paths: {{{paths}}}}}"), MAX_OPERATIONS, 1);
        let methods: String = (0..200).map(|n| format!("M{n}: {{}},")).collect();
        check(
            &format!("{{openapi: 3.2.0, paths: {{/a: {{additionalOperations: {{{methods}}}}}}}}}"),
            MAX_METHODS,
            1,
        );
        let wrong: String = (0..2_000).map(|n| format!("p{n}: {{}},")).collect();
        check(&format!("{{openapi: 3.1.0, paths: {{{wrong}}}}}"), 0, MAX_PROBLEMS);
        let long = "x".repeat(MAX_PATH_BYTES / 4);
        check(
            &format!("{{openapi: 3.1.0, paths: {{? /{long} : {{get: {{}}, put: {{}}, post: {{}}}}}}}}"),
            1,
            1,
        );
    }

    #[test]
    fn the_path_of_a_server() {
        let check = |url: &str, base: &str| assert_eq!(base_of(path_of_url(url)), base, "{url}");
        check("https://api.example.com", "");
        check("https://api.example.com/", "");
        check("https://api.example.com/v1/", "/v1");
        check("https://api.example.com:8080/api/v3?x=1#y", "/api/v3");
        check("{scheme}://{host}:{port}/{base}", "/{base}");
        check("//api.example.com/v2", "/v2");
        check("/v1", "/v1");
        check("/", "");
        check("v1", "/v1");
        check("./v1", "/v1");
        check(".", "");
        check("", "");
        check("api.example.com/v1", "/v1");
        check("localhost:8080/v1", "/v1");
        check("{server}/v1", "/v1");
    }
}
