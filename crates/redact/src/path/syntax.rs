//! Errors in paths: what is wrong, where, and what was probably meant.

use jsonpath_rust::parser::errors::JsonPathError;
use pest::error::InputLocation;

use super::{MAX_CALLS, MAX_NESTING, MAX_PATH_BYTES};

/// Why a path is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.describe())]
pub(crate) struct PathError {
    /// Character of the path, from 1, where that is known.
    at: Option<usize>,
    message: String,
}

impl PathError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { at: None, message: message.into() }
    }

    fn at(byte: usize, text: &str, message: impl Into<String>) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        Self { at: Some(before.chars().count().saturating_add(1)), message: message.into() }
    }

    fn describe(&self) -> String {
        match self.at {
            Some(at) => format!("{} (at character {at} of the path)", self.message),
            None => self.message.clone(),
        }
    }
}

/// Checks a path before it is parsed.
pub(super) fn check(text: &str) -> Result<(), PathError> {
    if text.len() > MAX_PATH_BYTES {
        return Err(PathError::new(format!("a path has at most {MAX_PATH_BYTES} bytes")));
    }
    if text.trim() != text {
        return Err(PathError::new(format!("no blanks around a path: `{}`", text.trim())));
    }
    if !text.starts_with('$') {
        return Err(PathError::at(0, text, format!("a path begins with `$`: `{}`", corrected(text))));
    }
    let mut depth = 0usize;
    // A bit for each open bracket, set when a function opened it.
    let mut calls = 0u32;
    let mut last = ' ';
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[') => {
                depth = depth.saturating_add(1);
                let is_call = c == '(' && (last.is_ascii_alphanumeric() || last == '_');
                calls = calls.wrapping_shl(1) | u32::from(is_call);
            }
            (None, ')' | ']') => {
                depth = depth.saturating_sub(1);
                calls = calls.wrapping_shr(1);
            }
            _ => {}
        }
        if !c.is_whitespace() {
            last = c;
        }
        if calls.count_ones() > MAX_CALLS {
            return Err(PathError::at(
                at,
                text,
                format!("functions nest at most {MAX_CALLS} deep in a path"),
            ));
        }
        if depth > MAX_NESTING {
            return Err(PathError::at(
                at,
                text,
                format!("brackets nest at most {MAX_NESTING} deep in a path"),
            ));
        }
    }
    Ok(())
}

/// The path that was probably meant by one without `$`.
fn corrected(text: &str) -> String {
    if let Some(pointer) = text.strip_prefix('/') {
        let mut path = String::from("$");
        for token in pointer.split('/') {
            let name = token.replace("~1", "/").replace("~0", "~");
            match name.parse::<u64>() {
                Ok(index) => path.push_str(&format!("[{index}]")),
                Err(_) => path.push_str(&member(&name)),
            }
        }
        return path;
    }
    let rest = text.strip_prefix('@').unwrap_or(text);
    if rest.is_empty() || rest.starts_with(['.', '[']) { format!("${rest}") } else { format!("$.{rest}") }
}

/// A member as it is written in a path.
fn member(name: &str) -> String {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
    let shorthand = name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit());
    if shorthand {
        return format!(".{name}");
    }
    format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Explains why a path could not be parsed.
pub(super) fn explain(text: &str, error: &JsonPathError) -> PathError {
    let JsonPathError::PestError(error) = error else {
        let message = error.to_string();
        return PathError::new(message.strip_prefix("Invalid json path: ").unwrap_or(&message));
    };
    let at = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let at = text.floor_char_boundary(at.min(text.len()));
    let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
    let here = |message: String| PathError::at(at, text, message);
    if at == text.len() {
        return here("the path is not complete".into());
    }
    // `$.user-name`: the name began before the character that cannot stand in it.
    let name_start = before.rfind('.').map(|dot| dot.saturating_add(1)).filter(|start| {
        text.get(*start..at).is_some_and(|name| !name.contains(['[', ']', '(', '\'', '"', '?', '@', ' ']))
    });
    if let Some(start) = name_start {
        let name = text.get(start..).unwrap_or_default();
        let name =
            name.split(['.', '[', ']', ')', ' ', '=', '<', '>', '!', '&', '|', ',']).next().unwrap_or(name);
        let head = text.get(..start.saturating_sub(1)).unwrap_or_default();
        let tail = text.get(start.saturating_add(name.len())..).unwrap_or_default();
        let written = member(name);
        if !name.is_empty() && name != "*" && written.starts_with('[') {
            let dot = if head.ends_with('.') { "." } else { "" };
            return here(format!("this name is written in brackets: `{head}{dot}{written}{tail}`"));
        }
    }
    if rest.starts_with("]") && before.ends_with('[') {
        return here(format!("empty brackets select nothing; all elements are `{before}*{rest}`"));
    }
    if before.ends_with('[') {
        let name = rest.split([']', ',']).next().unwrap_or_default();
        let tail = rest.get(name.len()..).unwrap_or_default();
        if !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$'))
        {
            return here(format!("a name in brackets has quotes: `{before}'{name}'{tail}`"));
        }
    }
    if rest.starts_with("=~") || rest.starts_with("~") {
        return here("there is no `=~` in RFC 9535; write `match(@.name, 'pattern')` or `search(…)`".into());
    }
    if rest.starts_with('=') && !rest.starts_with("==") {
        return here("equality is `==`".into());
    }
    if rest.bytes().take_while(u8::is_ascii_digit).count() >= 16 {
        return here(
            "integers in a path go up to 2^53 - 1: beyond that they cannot be compared exactly".into(),
        );
    }
    let unexpected = rest.chars().next().map(String::from).unwrap_or_default();
    here(format!("`{unexpected}` cannot stand here"))
}

#[cfg(test)]
mod tests {
    use super::super::Path;

    #[test]
    fn a_defect_has_a_position_and_a_suggestion() {
        let check = |path: &str, at: Option<usize>, says: &str| {
            let error = Path::parse(path).unwrap_err();
            assert!(error.to_string().contains(says), "{path}: {error}\nmust contain: {says}");
            assert_eq!(error.at, at, "{path}: {error}");
        };
        check("user.email", Some(1), "`$.user.email`");
        check("users[*].email", Some(1), "`$.users[*].email`");
        check("[0].a", Some(1), "`$[0].a`");
        check(".a", Some(1), "`$.a`");
        check("..a", Some(1), "`$..a`");
        check("@.a", Some(1), "`$.a`");
        check("/user/0/e-mail", Some(1), "`$.user[0]['e-mail']`");
        check("", Some(1), "begins with `$`");
        check(" $.a", None, "`$.a`");
        check("$.user-name", Some(7), "`$['user-name']`");
        check("$.a.user-name[0]", Some(9), "`$.a['user-name'][0]`");
        check("$..e-mail", Some(5), "`$..['e-mail']`");
        check("$.0", Some(3), "`$['0']`");
        check("$.items[]", Some(9), "`$.items[*]`");
        check("$[name]", Some(3), "`$['name']`");
        check("$.a.", Some(5), "not complete");
        check("$.a[", Some(5), "not complete");
        check("$[?@.a = 1]", Some(8), "`==`");
        check("$[?@.a =~ 'x']", Some(8), "match(");
        check("$[::0]", None, "step of 0");
        check("$[?length(@.a)]", None, "must be compared");
        check("$[?count(@..*)]", None, "must be compared");
        check("$[?value(@.a)]", None, "must be compared");
        check("$[?length(@.*) < 3]", None, "several nodes");
        check("$[?length(@['a','b']) < 3]", None, "several nodes");
        check("$[?count(1) > 2]", None, "");
        check("$[?in(@.a, $.b)]", None, "not a function of RFC 9535");
        check("$[?match(@.a, $.pattern)]", None, "in quotes");
        check("$[?match(@.a, '[')]", None, "does not compile");
        check(r"$[?search(@.a, '\\p{Lu}')]", None, "not available");
        check("$[?@.id == 9007199254740993]", Some(12), "2^53");
        check("$[?@.id == 1e400]", None, "2^53");
        check(&format!("$.{}", "a".repeat(600)), None, "512 bytes");
        check(&format!("${}", "[?@".repeat(20)), Some(38), "12 deep");
        check(&format!("$[?{}", "length(".repeat(10)), Some(52), "6 deep");
    }
}
