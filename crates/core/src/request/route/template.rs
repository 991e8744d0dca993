//! Configured route templates: `GET /users/{id}`.

use hashbrown::HashMap;

use crate::outcome::Method;
use crate::request::route::MAX_ROUTE_BYTES;

/// The parts of a template as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    method: Option<Method>,
    segments: Vec<Segment>,
    path: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Parameter,
}

/// A defect of a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It does not begin with a slash.
    #[error("a template begins with a slash: `{corrected}`")]
    NoSlash {
        /// A suggestion.
        corrected: String,
    },
    /// The word before the path is not a method.
    #[error(
        "`{method}` is not a known method; a template reads `GET /users/{{id}}` or `/users/{{id}}` for any method"
    )]
    Method {
        /// As written.
        method: String,
    },
    /// A segment mixes braces and other characters, or its parameter has no name.
    #[error(
        "`{segment}`: a parameter is a whole segment between slashes and has a name, as in `/users/{{id}}`"
    )]
    Segment {
        /// As written.
        segment: String,
    },
    /// It has a query, a fragment or a control character.
    #[error("`{character}` cannot stand in a template: it is a path, without query and fragment")]
    Character {
        /// The character.
        character: char,
    },
    /// Longer than [`MAX_ROUTE_BYTES`].
    #[error("a template has at most {MAX_ROUTE_BYTES} bytes")]
    TooLong,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Its first defect, with a suggestion.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (Some(method), path.trim()),
            None => (None, text),
        };
        let method = match method {
            None => None,
            Some(name) => match Method::new(name.as_bytes()) {
                Method::OTHER => return Err(TemplateError::Method { method: name.to_owned() }),
                known => Some(known),
            },
        };
        let Some(rest) = path.strip_prefix('/') else {
            return Err(TemplateError::NoSlash { corrected: text.replacen(path, &format!("/{path}"), 1) });
        };
        if let Some(character) =
            path.chars().find(|c| matches!(c, '?' | '#') || c.is_control() || c.is_whitespace())
        {
            return Err(TemplateError::Character { character });
        }
        if path.len() > MAX_ROUTE_BYTES {
            return Err(TemplateError::TooLong);
        }
        let segments = rest.split('/').map(Segment::parse).collect::<Result<_, _>>()?;
        Ok(Self { method, segments, path: path.into() })
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, TemplateError> {
        match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if !name.is_empty() && !name.contains(['{', '}']) => Ok(Segment::Parameter),
            None if !text.contains(['{', '}']) => Ok(Segment::Literal(text.into())),
            _ => Err(TemplateError::Segment { segment: text.to_owned() }),
        }
    }
}

/// All templates of a configuration, as a tree over their segments.
#[derive(Clone, Debug, Default)]
pub struct Templates {
    root: Node,
}

#[derive(Clone, Debug, Default)]
struct Node {
    literals: HashMap<Box<[u8]>, Node>,
    parameter: Option<Box<Node>>,
    any_method: Option<Box<str>>,
    by_method: Vec<(Method, Box<str>)>,
}

impl Templates {
    /// Builds the tree. Of two templates that match the same requests the first stays.
    pub fn new(templates: impl IntoIterator<Item = Template>) -> Self {
        let mut root = Node::default();
        for template in templates {
            let mut node = &mut root;
            for segment in template.segments {
                node = match segment {
                    Segment::Literal(text) => node.literals.entry(text.into_boxed_bytes()).or_default(),
                    Segment::Parameter => node.parameter.get_or_insert_default(),
                };
            }
            match template.method {
                None => drop(node.any_method.get_or_insert(template.path)),
                Some(method) if node.by_method.iter().all(|(known, _)| *known != method) => {
                    node.by_method.push((method, template.path));
                }
                Some(_) => {}
            }
        }
        Self { root }
    }

    /// The most literal template that matches: at every segment a literal goes before a parameter, and a template with
    /// the method before one without. A parameter takes one segment that is not empty.
    ///
    /// Each node is visited at most once per call, and no deeper than the longest template.
    pub fn find(&self, method: Method, path: &[u8]) -> Option<&str> {
        self.root.find(method, path.strip_prefix(b"/")?)
    }
}

impl Node {
    fn find(&self, method: Method, path: &[u8]) -> Option<&str> {
        let (segment, rest) = match path.iter().position(|byte| *byte == b'/') {
            Some(slash) => (path.get(..slash)?, path.get(slash.saturating_add(1)..)),
            None => (path, None),
        };
        let literal = self.literals.get(segment).and_then(|node| node.end_or_deeper(method, rest));
        literal.or_else(|| {
            let node = self.parameter.as_deref().filter(|_| !segment.is_empty())?;
            node.end_or_deeper(method, rest)
        })
    }

    fn end_or_deeper(&self, method: Method, rest: Option<&[u8]>) -> Option<&str> {
        match rest {
            Some(rest) => self.find(method, rest),
            None => {
                let named = self.by_method.iter().find(|(known, _)| *known == method).map(|(_, path)| path);
                named.or(self.any_method.as_ref()).map(|path| &**path)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_literal_template_wins() {
        let templates = Templates::new(
            [
                "GET /users/{id}",
                "/users/me",
                "POST /users/{user_id}",
                "/users/{id}/orders",
                "/{any}/{thing}/orders",
                "/",
                "/a/",
            ]
            .map(|text| Template::parse(text).unwrap()),
        );
        let check = |request: &str, route: Option<&str>| {
            let (method, path) = request.split_once(' ').unwrap();
            assert_eq!(templates.find(Method::new(method.as_bytes()), path.as_bytes()), route, "{request}");
        };
        check("GET /users/42", Some("/users/{id}"));
        check("POST /users/42", Some("/users/{user_id}"));
        check("PUT /users/42", None);
        check("GET /users/me", Some("/users/me"));
        check("GET /users/42/orders", Some("/users/{id}/orders"));
        check("GET /users/me/orders", Some("/users/{id}/orders"));
        check("GET /teams/1/orders", Some("/{any}/{thing}/orders"));
        check("GET /users/", None);
        check("GET /users", None);
        check("GET /", Some("/"));
        check("GET /a/", Some("/a/"));
        check("GET /a", None);
        check("GET *", None);
        check("GET /users/\u{e9}", Some("/users/{id}"));
    }

    #[test]
    fn a_defect_has_a_suggestion() {
        let check = |text: &str, says: &str| {
            let message = Template::parse(text).unwrap_err().to_string();
            assert!(message.contains(says), "{text}: {message}");
        };
        check("users/{id}", "`/users/{id}`");
        check("GET users/{id}", "`GET /users/{id}`");
        check("FETCH /users", "`FETCH` is not a known method");
        check("/users/{id}.json", "`{id}.json`");
        check("/users/{}", "`{}`");
        check("/users/{a", "`{a`");
        check("/users?x=1", "`?`");
        check(&format!("/{}", "a".repeat(300)), "256 bytes");
    }
}
