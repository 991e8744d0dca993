//! The notations of a template's path, read into segments and a rest.

use gatelens_model::percent::decoded;

use super::segment::{Mixed, Segment};
use super::template::{Least, Rest, TemplateError};

/// Reads a path from behind its first slash.
///
/// # Errors
/// Its first defect.
pub(super) fn read(path: &str) -> Result<(Vec<Segment>, Option<Rest>), TemplateError> {
    let mut parts = Parts::default();
    for piece in pieces(path)? {
        parts.piece(piece)?;
    }
    Ok((parts.segments, parts.rest))
}

/// The parts between slashes; a slash within braces does not separate.
fn pieces(path: &str) -> Result<Vec<&str>, TemplateError> {
    let mut pieces = Vec::new();
    let (mut start, mut open) = (0, false);
    for (at, byte) in path.bytes().enumerate() {
        let piece = || path.get(start..).unwrap_or_default();
        match (byte, open) {
            (b'{', false) => open = true,
            (b'}', true) => open = false,
            (b'{', true) | (b'}', false) => {
                return Err(TemplateError::Braces { segment: piece().to_owned() });
            }
            (b'/', false) => {
                pieces.push(path.get(start..at).unwrap_or_default());
                start = at.saturating_add(1);
            }
            _ => {}
        }
    }
    let last = path.get(start..).unwrap_or_default();
    if open {
        return Err(TemplateError::Braces { segment: last.to_owned() });
    }
    pieces.push(last);
    Ok(pieces)
}

/// A template under construction.
#[derive(Default)]
struct Parts {
    segments: Vec<Segment>,
    rest: Option<Rest>,
}

impl Parts {
    fn piece(&mut self, piece: &str) -> Result<(), TemplateError> {
        if let Some(least) = rest_of(piece) {
            return self.end(piece, least, "");
        }
        if let Some((name, fields, verb)) = variable(piece) {
            return self.variable(piece, name, fields, verb);
        }
        if let Some(verb) = piece.strip_prefix("**").filter(|verb| is_verb(verb)) {
            return self.end(piece, Least::Nothing, verb);
        }
        if let Some(verb) = piece.strip_prefix('*').filter(|verb| is_verb(verb)) {
            return self.whole(piece, value_and(verb));
        }
        self.not_after_rest(piece)?;
        self.segments.push(segment(piece)?);
        Ok(())
    }

    /// `{name=shelves/*/books/**}`, perhaps with a verb after it.
    fn variable(&mut self, piece: &str, name: &str, fields: &str, verb: &str) -> Result<(), TemplateError> {
        let mut fields = fields.split('/').peekable();
        while let Some(field) = fields.next() {
            let verb = if fields.peek().is_none() { verb } else { "" };
            match field {
                "**" => self.end(piece, Least::Nothing, verb)?,
                "*" => self.whole(piece, value_and(verb))?,
                _ if field.is_empty() || field.contains(['*', '=']) => {
                    let corrected = format!("{{{name}}}");
                    return Err(TemplateError::Name { segment: piece.to_owned(), corrected });
                }
                _ => self.whole(piece, literal(&format!("{field}{verb}"))?)?,
            }
        }
        Ok(())
    }

    fn whole(&mut self, piece: &str, segment: Segment) -> Result<(), TemplateError> {
        self.not_after_rest(piece)?;
        self.segments.push(segment);
        Ok(())
    }

    fn end(&mut self, piece: &str, least: Least, verb: &str) -> Result<(), TemplateError> {
        self.not_after_rest(piece)?;
        self.rest = Some(Rest { least, verb: verb.as_bytes().into() });
        Ok(())
    }

    fn not_after_rest(&self, piece: &str) -> Result<(), TemplateError> {
        if self.rest.is_none() {
            return Ok(());
        }
        Err(TemplateError::AfterRest { segment: piece.to_owned() })
    }
}

/// The least that a piece takes, if it is the rest of a path.
fn rest_of(piece: &str) -> Option<Least> {
    if piece == "**" {
        return Some(Least::Nothing);
    }
    let inner = piece.strip_prefix('{')?.strip_suffix('}')?;
    let (name, least) = if let Some(name) = inner.strip_prefix("**") {
        (name, Least::Nothing)
    } else if let Some(name) = inner.strip_prefix('*').or_else(|| inner.strip_suffix('+')) {
        (name, Least::Byte)
    } else {
        (inner.strip_suffix("...")?, Least::Slash)
    };
    is_name(name).then_some(least)
}

/// The name, the segments and the verb of a piece like `{name=shelves/*}:cancel`.
fn variable(piece: &str) -> Option<(&str, &str, &str)> {
    let (inner, verb) = piece.strip_prefix('{')?.split_once('}')?;
    let (name, fields) = inner.split_once('=')?;
    (is_name(name) && (verb.is_empty() || is_verb(verb))).then_some((name, fields, verb))
}

fn is_verb(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|verb| !verb.is_empty() && !verb.contains([':', '*', '{', '}']))
}

/// Names of OpenAPI parameters have few rules; these signs are patterns, options or expressions of other notations.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(['.', ';', '&', ',', '!'])
        && !name.ends_with("...")
        && !name.contains([':', '?', '*', '=', '+', '$', '|', '^', '<', '>', '\\', '#', '/', '{', '}'])
        && !name.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// A value, perhaps with a verb after it.
fn value_and(verb: &str) -> Segment {
    match verb {
        "" => Segment::Parameter,
        verb => Segment::Mixed(Mixed::new(vec![Vec::new(), verb.as_bytes().to_vec()])),
    }
}

/// A segment: a literal, a parameter, or both.
fn segment(piece: &str) -> Result<Segment, TemplateError> {
    let ambiguous = |corrected: String| TemplateError::Ambiguous { segment: piece.to_owned(), corrected };
    match piece.strip_prefix(':') {
        _ if piece == "*" => return Ok(Segment::Parameter),
        Some(name) if is_word(name) => return Ok(Segment::Parameter),
        Some(_) => return Err(ambiguous(with_braces(piece))),
        None => {}
    }
    let mut literals = Vec::new();
    let mut rest = piece;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        if name == "$" {
            return Err(TemplateError::Anchor);
        }
        if !is_name(name) {
            let corrected = piece.replacen(&format!("{{{name}}}"), &plain_parameter(piece, name), 1);
            return Err(TemplateError::Name { segment: piece.to_owned(), corrected });
        }
        if before.is_empty() && !literals.is_empty() {
            let corrected = piece.replace("}{", "_");
            return Err(TemplateError::Adjacent { segment: piece.to_owned(), corrected });
        }
        literals.push(before);
        rest = after;
    }
    literals.push(rest);
    for text in &literals {
        if text.contains(['<', '>']) {
            return Err(TemplateError::Name { segment: piece.to_owned(), corrected: without_angles(piece) });
        }
        // No path has these signs unencoded (RFC 3986): they are parameters and patterns of other notations.
        if text.contains(['[', ']', '|', '^']) {
            return Err(TemplateError::Name {
                segment: piece.to_owned(),
                corrected: without_brackets(piece),
            });
        }
        if text.contains('*') {
            let corrected = match piece.strip_prefix('*') {
                Some(name) if is_word(name) => format!("{{*{name}}}"),
                _ => piece.replace("**", "*").replace("}*", "}").replace("*{", "{").replace('*', "{name}"),
            };
            return Err(ambiguous(corrected));
        }
        // `users:batchGet` and `{id}:cancel` have a verb. After other signs a colon begins a parameter of some routers.
        let marks = text.match_indices(':').filter(|(at, _)| {
            let before = text.get(..*at).and_then(|before| before.chars().next_back());
            let after = text.get(at.saturating_add(1)..).and_then(|after| after.chars().next());
            before.is_some_and(|c| !c.is_alphanumeric() && !matches!(c, '_' | ')' | '%'))
                && after.is_some_and(|c| c.is_alphabetic() || c == '_')
        });
        if marks.count() > 0 {
            return Err(ambiguous(with_braces(piece)));
        }
    }
    match &literals[..] {
        [text] => literal(text),
        ["", ""] => Ok(Segment::Parameter),
        _ => Ok(Segment::Mixed(Mixed::new(literals.into_iter().map(checked).collect::<Result<_, _>>()?))),
    }
}

fn literal(text: &str) -> Result<Segment, TemplateError> {
    Ok(Segment::Literal(checked(text)?.into_boxed_slice()))
}

/// The bytes that a request can have there, without percent-encoding.
fn checked(text: &str) -> Result<Vec<u8>, TemplateError> {
    let is_wrong = |c: &char| matches!(c, '?' | '#' | '\\') || c.is_control() || c.is_whitespace();
    match text.chars().find(is_wrong) {
        Some(character) => Err(TemplateError::Character { character }),
        None => Ok(decoded(text.as_bytes()).into_owned()),
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The name in an expression such as `id:[0-9]+`, `+path` or `id?`.
fn plain_name(expression: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let name: String = expression.chars().skip_while(|c| !is_part(*c)).take_while(|c| is_part(*c)).collect();
    if expression.starts_with('+') && !name.is_empty() {
        format!("*{name}")
    } else if name.is_empty() {
        "name".to_owned()
    } else {
        name
    }
}

/// The parameter of an expression in braces: `{id}` of `{id:[0-9]+}`. Those of a query (`{?page}`, RFC 6570) are left out.
fn plain_parameter(piece: &str, expression: &str) -> String {
    let is_of_query = expression.starts_with(['?', '&', '#']);
    let stands_alone = piece.len() == expression.len().saturating_add(2);
    match expression.strip_prefix('/') {
        _ if is_of_query && !stands_alone => String::new(),
        Some(name) if !stands_alone => format!("/{{{}}}", plain_name(name)),
        _ => format!("{{{}}}", plain_name(expression)),
    }
}

/// Express' `:path*` as `{**path}`, `:from-:to` as `{from}-{to}`, `:id(\\d+)?` as `{id}`; a colon without a name is encoded.
fn with_braces(piece: &str) -> String {
    let whole = |modifier: char| piece.strip_prefix(':')?.strip_suffix(modifier).filter(|name| is_word(name));
    if let Some(name) = whole('*') {
        return format!("{{**{name}}}");
    }
    if let Some(name) = whole('+') {
        return format!("{{{name}+}}");
    }
    let mut corrected = String::new();
    let mut rest = piece;
    while let Some((before, after)) = rest.split_once(':') {
        corrected.push_str(before);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
        let (name, after) = after.split_at_checked(end).unwrap_or((after, ""));
        if !is_word(name) {
            corrected.push_str(&format!("%3A{name}"));
            rest = after;
        } else if corrected.ends_with('}') {
            // Right behind a parameter it is a verb: `:id:cancel`.
            corrected.push_str(&format!(":{name}"));
            rest = after;
        } else {
            corrected.push_str(&format!("{{{name}}}"));
            rest = without_pattern(after);
        }
    }
    corrected + rest
}

/// What follows a parameter without its pattern in parentheses and the sign of an optional one.
fn without_pattern(text: &str) -> &str {
    let text = text.strip_prefix('(').and_then(|text| text.split_once(')')).map_or(text, |(_, after)| after);
    text.trim_start_matches(['?', '*', '+'])
}

/// The parameter of frameworks that name files by it: `[id]` as `{id}`, `[...path]` as `{*path}`.
fn without_brackets(piece: &str) -> String {
    let inner = piece.trim_matches(['[', ']']);
    match inner.strip_prefix("...") {
        Some(name) if is_word(name) => format!("{{*{name}}}"),
        None if is_word(inner) && inner.len() < piece.len() => format!("{{{inner}}}"),
        _ => "{name}".to_owned(),
    }
}

/// Flask's `<int:id>` as `{id}`.
fn without_angles(piece: &str) -> String {
    let inner = piece.trim_matches(['<', '>']);
    format!("{{{}}}", plain_name(inner.rsplit(':').next().unwrap_or(inner)))
}
