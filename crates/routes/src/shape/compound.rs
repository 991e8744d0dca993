//! Segments with an identifier and text around it: suffixes, keys in parentheses, verbs, matrix parameters.

use super::{Classes, Form, Inferred, opaque, value, vocabulary, word};

/// Maximum matrix parameters of a segment that are kept by name.
const MAX_MATRIX_PARAMETERS: usize = 4;
/// Maximum bytes of the name of a matrix parameter, and of a verb.
const MAX_NAME_BYTES: usize = 32;
/// Maximum digits of the text around a placeholder.
const MAX_TEMPLATE_DIGITS: usize = 2;

/// Appends a segment of visible ASCII characters without `%`, `@` and brackets.
pub(super) fn write(text: &str, classes: Classes, out: &mut String) -> Form {
    let start = out.len();
    let form = if classes.has(Classes::DOT) && suffix(text, out) {
        Form::Compound
    } else if let Some(kind) = Inferred::of(text, classes) {
        return value(kind, out);
    } else if classes.has(Classes::RESERVED) {
        reserved(text, out)
    } else if is_range(text) {
        return value(Inferred::Range, out);
    } else {
        return word(text, out);
    };
    // The text around a placeholder is bounded like a template's, so that the route of the route is the same.
    let written = out.get(start..).unwrap_or_default();
    if form == Form::Compound && template(written).is_none() {
        out.truncate(start);
        return value(Inferred::Token, out);
    }
    form
}

/// How a text stands that has placeholders already; `None` when it is not a template.
pub(super) fn template(text: &str) -> Option<Form> {
    let mut rest = text;
    let mut around: usize = 0;
    let mut digits: usize = 0;
    let mut placeholders: usize = 0;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}')?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(is_name) {
            return None;
        }
        around = around.saturating_add(before.len());
        digits = digits.saturating_add(before.bytes().filter(u8::is_ascii_digit).count());
        placeholders = placeholders.saturating_add(1);
        rest = behind;
    }
    around = around.saturating_add(rest.len());
    digits = digits.saturating_add(rest.bytes().filter(u8::is_ascii_digit).count());
    let is_around = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:;=()$,{}".contains(&byte);
    let is_template = placeholders > 0
        && digits <= MAX_TEMPLATE_DIGITS
        && !rest.contains('}')
        && text.bytes().all(is_around);
    match is_template {
        false => None,
        true if placeholders == 1 && around == 0 => Some(Form::Value),
        true => Some(Form::Compound),
    }
}

/// `42.json`
fn suffix(text: &str, out: &mut String) -> bool {
    let Some((base, extension)) = text.rsplit_once('.') else { return false };
    if base.is_empty() || !vocabulary::is_extension(extension) {
        return false;
    }
    let Some(kind) = plain_kind(base) else { return false };
    push(out, &[kind.placeholder(), ".", extension]);
    true
}

fn reserved(text: &str, out: &mut String) -> Form {
    if text.contains(';') {
        return matrix(text, out);
    }
    if text.contains('(') {
        return key(text, out);
    }
    if text.contains(',') {
        return value(Inferred::List, out);
    }
    if let Some(name) = text.strip_prefix('$') {
        return if is_name(name) { word(text, out) } else { value(Inferred::Token, out) };
    }
    if text.len() > 1 && text.starts_with('~') {
        return value(Inferred::Handle, out);
    }
    if verb(text, out) {
        return Form::Compound;
    }
    match text.rsplit_once(':') {
        Some((base, name)) if is_name(name) && is_literal(base) => word(text, out),
        Some((base, _)) if !base.is_empty() => value(Inferred::Id, out),
        _ => value(Inferred::Token, out),
    }
}

/// `42:cancel`
fn verb(text: &str, out: &mut String) -> bool {
    let Some((base, name)) = text.rsplit_once(':') else { return false };
    if base.contains(':') || !is_name(name) {
        return false;
    }
    let Some(kind) = plain_kind(base) else { return false };
    push(out, &[kind.placeholder(), ":", name]);
    true
}

/// `Customers(42)`
fn key(text: &str, out: &mut String) -> Form {
    let parts = text.strip_suffix(')').and_then(|text| text.split_once('('));
    match parts {
        Some((name, "")) if is_literal(name) => word(text, out),
        Some((name, inner)) if is_literal(name) => {
            let kind = match plain_kind(inner) {
                Some(kind @ (Inferred::Number | Inferred::Uuid)) => kind,
                _ => Inferred::Key,
            };
            push(out, &[name, "(", kind.placeholder(), ")"]);
            Form::Compound
        }
        _ => value(Inferred::Token, out),
    }
}

/// `42;v=2`
fn matrix(text: &str, out: &mut String) -> Form {
    let mut parts = text.split(';');
    let base = parts.next().unwrap_or_default();
    match plain_kind(base) {
        Some(kind) => out.push_str(kind.placeholder()),
        None if base.is_empty() || is_literal(base) => out.push_str(base),
        None => out.push_str(Inferred::Token.placeholder()),
    }
    for (index, parameter) in parts.enumerate() {
        if index >= MAX_MATRIX_PARAMETERS {
            out.push_str(";{rest}");
            break;
        }
        match parameter.split_once('=') {
            Some((name, _)) if is_name(name) => push(out, &[";", name, "={value}"]),
            _ => out.push_str(";{value}"),
        }
    }
    Form::Compound
}

/// `main...feature`
fn is_range(text: &str) -> bool {
    let mut ends = text.splitn(2, "..");
    matches!((ends.next(), ends.next()), (Some(from), Some(to)) if !from.is_empty() && !to.trim_start_matches('.').is_empty())
}

/// The kind of a text that stands beside others in a segment.
fn plain_kind(text: &str) -> Option<Inferred> {
    Inferred::of(text, Classes::of(text.as_bytes()))
}

/// A word of letters, which names a parameter or a verb.
fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'))
        && opaque::letters(text, Classes::of(text.as_bytes())).is_none()
}

/// A word that may stand in a route as it is.
fn is_literal(text: &str) -> bool {
    let classes = Classes::of(text.as_bytes());
    !text.is_empty()
        && classes
            .within(Classes::LOWER | Classes::UPPER | Classes::DIGIT | Classes::SEPARATOR | Classes::DOT)
        && Inferred::of(text, classes).is_none()
}

fn push(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
}
