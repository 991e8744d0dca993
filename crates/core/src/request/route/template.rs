//! Configured route templates: `GET /users/{id}`.
//!
//! | written | the request's path has there |
//! |---|---|
//! | `/users` | this text |
//! | `{id}`, `:id`, `*` | one segment that is not empty |
//! | `{base}...{head}`, `{id}:cancel`, `{id}.json` | one segment with these texts around values that are not empty |
//! | `**`, `{path=**}` | any number of segments, also none (gRPC transcoding) |
//! | `{path...}` | a slash and anything after it, also nothing (Go) |
//! | `{*rest}`, `{rest+}` | a slash and something after it (axum, API Gateway) |
//! | `{name=shelves/*}` | the segments after the `=` (gRPC transcoding) |
//!
//! Those of the rest of a path end a template; after `**` a verb can follow, `{name=operations/**}:cancel`.

use super::notation;
use super::segment::Segment;
use crate::outcome::Method;

/// Longest path of a template in bytes. Some APIs have paths that are longer than an inferred route may be.
pub const MAX_TEMPLATE_BYTES: usize = 512;

/// The parts of a template as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub(super) method: Option<Method>,
    pub(super) segments: Vec<Segment>,
    pub(super) rest: Option<Rest>,
    pub(super) path: Box<str>,
}

/// The rest of a path at the end of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) least: Least,
    /// The end of the path: nothing, or a colon and a word.
    pub(super) verb: Box<[u8]>,
}

impl Rest {
    /// Whether a path without a rest has it.
    pub(super) fn takes_nothing(&self) -> bool {
        self.least == Least::Nothing && self.verb.is_empty()
    }
}

/// The least that a rest takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Least {
    /// Nothing.
    Nothing,
    /// A slash.
    Slash,
    /// A slash and a byte.
    Byte,
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
    /// A brace has no partner, or stands in another pair.
    #[error("`{segment}`: each `{{` needs its own `}}`, as in `/users/{{id}}`")]
    Braces {
        /// As written.
        segment: String,
    },
    /// A parameter has no name, or one with signs that mean something elsewhere.
    #[error("`{segment}`: a template has no patterns, options or expressions; write `{corrected}`")]
    Name {
        /// As written.
        segment: String,
        /// A suggestion.
        corrected: String,
    },
    /// Two parameters touch each other.
    #[error("`{segment}`: nothing shows where the first of these parameters ends; write `{corrected}`")]
    Adjacent {
        /// As written.
        segment: String,
        /// A suggestion.
        corrected: String,
    },
    /// A colon or an asterisk that means different things in different notations.
    #[error("`{segment}` has more than one meaning; write `{corrected}`")]
    Ambiguous {
        /// As written.
        segment: String,
        /// A suggestion.
        corrected: String,
    },
    /// Something follows the rest of a path.
    #[error(
        "`{segment}` follows the rest of the path; end the template before it, or write `*` for one segment"
    )]
    AfterRest {
        /// As written.
        segment: String,
    },
    /// Go's mark for the end of a path.
    #[error("`{{$}}`: a template matches whole paths; leave it out and end with the slash")]
    Anchor,
    /// It has a query, a fragment, a space or a control character.
    #[error(
        "`{character}` cannot stand in a template: it is a path, without query, fragment, space and pattern"
    )]
    Character {
        /// The character.
        character: char,
    },
    /// Longer than [`MAX_TEMPLATE_BYTES`].
    #[error("a template has at most {MAX_TEMPLATE_BYTES} bytes")]
    TooLong,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Its first defect, with a suggestion.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) if !method.contains('/') => (Some(method), path.trim()),
            _ => (None, text),
        };
        let method = match method {
            None => None,
            Some(name) => match Method::new(name.as_bytes()) {
                Method::OTHER => return Err(TemplateError::Method { method: name.to_owned() }),
                known => Some(known),
            },
        };
        let Some(rest) = path.strip_prefix('/') else {
            let corrected = text.replacen(path, &format!("/{}", without_host(path)), 1);
            return Err(TemplateError::NoSlash { corrected });
        };
        if path.len() > MAX_TEMPLATE_BYTES {
            return Err(TemplateError::TooLong);
        }
        let (segments, rest) = notation::read(rest)?;
        Ok(Self { method, segments, rest, path: path.into() })
    }

    /// As written, without the method: the route of the requests that match.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Why a gateway never sees such a request, if it does not.
    pub fn never_matches(&self) -> Option<&'static str> {
        let is_literal = |segment: &Segment, text: &[u8]| matches!(segment, Segment::Literal(literal) if **literal == *text);
        let has = |text: &[u8]| self.segments.iter().any(|segment| is_literal(segment, text));
        if self.method.is_some_and(|method| method.name() == "CONNECT") {
            return Some("a CONNECT request has no path");
        }
        if has(b".") || has(b"..") {
            return Some("clients and gateways resolve `.` and `..` before they send a path");
        }
        let (_, inner) = self.segments.split_last()?;
        let inner = if self.rest.is_some() { &self.segments } else { inner };
        let doubled = inner.iter().any(|segment| is_literal(segment, b""));
        doubled.then_some("a gateway that merges slashes, as most do, sends no empty segment")
    }
}

/// A path without the scheme and the host that some documents put before it, and without its first slash.
fn without_host(path: &str) -> &str {
    match path.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_has_a_suggestion() {
        let check = |text: &str, says: &str| {
            let message = Template::parse(text).unwrap_err().to_string();
            assert!(message.contains(says), "{text}: {message}");
            // A whole segment that is suggested is one that is accepted.
            if let Some(segment) = says.strip_prefix("write `").and_then(|says| says.strip_suffix('`')) {
                assert!(Template::parse(&format!("/{segment}")).is_ok(), "{text}: {message}");
            }
        };
        check("/users/:id?", "write `{id}`");
        check("/users/:id(\\d+)", "write `{id}`");
        check("/users/:id(\\d+).json", "write `{id}.json`");
        check("/files/:path*", "write `{**path}`");
        check("/files/:path+", "write `{path+}`");
        check("/jobs/:id:cancel", "write `{id}:cancel`");
        check("/users/{id}*", "write `{id}`");
        check("/users/*{id}", "write `{id}`");
        check("/users/{id}{?page}", "write `{id}`");
        check("/users/{?page}", "write `{page}`");
        check("/users{/id}", "write `users/{id}`");
        check("/files/x{path...}", "write `x{path}`");
        check("/posts/[slug]", "write `{slug}`");
        check("/posts/[...slug]", "write `{*slug}`");
        check("/posts/[[...slug]]", "write `{*slug}`");
        check("/users/(me|all)", "write `{name}`");
        check("/^users$", "write `{name}`");
        check("https://api.example.com/users/{id}", "`/users/{id}`");
        check("GET https://api.example.com", "`GET /`");
        check("users/{id}", "`/users/{id}`");
        check("GET users/{id}", "`GET /users/{id}`");
        check("FETCH /users", "`FETCH` is not a known method");
        check("get /users", "`get` is not a known method");
        check("/users/{}", "`{}`: a template has no patterns");
        check("/users/{a", "`{a`: each `{`");
        check("/users/a}", "`a}`: each `{`");
        check("/users/{{a}}", "`{{a}}`: each `{`");
        check("/users/{a}{b}", "write `{a_b}`");
        check("/users/{id:[0-9]+}", "write `{id}`");
        check("/users/{id?}", "write `{id}`");
        check("/users/{id}.{format?}", "write `{id}.{format}`");
        check("/v1/{+name}", "write `{*name}`");
        check("/users/<int:user_id>", "write `{user_id}`");
        check("/users/<id>", "write `{id}`");
        check("/users/{$}", "leave it out");
        check("/users/:id.json", "write `{id}.json`");
        check("/users/:user-id", "write `{user}-id`");
        check("/flights/:from-:to", "write `{from}-{to}`");
        check("/flights/{from}-:to", "write `{from}-{to}`");
        check("/users/:42", "write `%3A42`");
        check("/users/*.json", "write `{name}.json`");
        check("/src/*path", "write `{*path}`");
        check("/a/**/b", "`b` follows the rest of the path");
        check("/a/{rest...}/", "follows the rest of the path");
        check("/a/{*rest}/{id}", "`{id}` follows the rest of the path");
        check("/a/{path=**}/b", "`b` follows");
        check("/a/{path=**/b}", "`{path=**/b}` follows");
        check("/a/{path=x*}", "write `{path}`");
        check("/a/**.json", "write `{name}.json`");
        check("/users?x=1", "`?`");
        check("/users#x", "`#`");
        check("/a b", "` `");
        check("/a/\\d+", "`\\`");
        check("/a/{a b}", "write `{a}`");
        check("/\u{7}", "`\u{7}`");
        check(&format!("/{}", "a".repeat(512)), "512 bytes");
        check("", "a template begins with a slash");
        check("GET ", "a template begins with a slash");
    }

    #[test]
    fn a_template_keeps_the_form_in_which_it_was_written() {
        for text in [
            "/",
            "/users/:id",
            "/users/*",
            "/files/**",
            "/files/{path...}",
            "/files/{*rest}",
            "/files/{path=**}",
            "/repos/{owner}/{repo}/compare/{base}...{head}",
            "/v1/{name=shelves/*/books/*}:cancel",
            "/b/{Key+}",
            "/v1/users:batchGet",
            "/v1/{id}:cancel",
            "/Customers({id})/$value",
            "/caf\u{e9}/caf%C3%A9",
            "/{user.id}/{X-Id}",
        ] {
            assert_eq!(Template::parse(text).unwrap().path(), text);
            assert_eq!(Template::parse(&format!("GET {text}")).unwrap().path(), text);
        }
    }

    #[test]
    fn some_templates_match_no_request_of_a_gateway() {
        let check = |text: &str, never: bool| {
            assert_eq!(Template::parse(text).unwrap().never_matches().is_some(), never, "{text}");
        };
        check("CONNECT /a", true);
        check("/a/../b", true);
        check("/a/./b", true);
        check("/a//b", true);
        check("//**", true);
        check("/a/", false);
        check("/", false);
        check("/a/..b", false);
        check("/a/**", false);
    }
}
