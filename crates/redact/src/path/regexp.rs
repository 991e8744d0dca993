//! I-Regexp (RFC 9485), as `match` and `search` take it.

use regex_lite::{Regex, RegexBuilder};

use super::PathError;

/// Largest size of a compiled pattern, bytes.
const MAX_COMPILED_BYTES: usize = 262_144;

/// A pattern that must match the whole text.
pub(super) fn whole(pattern: &str) -> Result<Regex, PathError> {
    compile(&format!("^(?:{})$", translate(pattern)?), pattern)
}

/// A pattern that must match a part of the text.
pub(super) fn part(pattern: &str) -> Result<Regex, PathError> {
    compile(&translate(pattern)?, pattern)
}

fn compile(translated: &str, pattern: &str) -> Result<Regex, PathError> {
    RegexBuilder::new(translated)
        .size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|error| PathError::new(format!("the pattern `{pattern}` does not compile: {error}")))
}

/// Translates an I-Regexp to the syntax of the library. `.` matches everything except line ends. Patterns that the library
/// would read differently are refused.
fn translate(pattern: &str) -> Result<String, PathError> {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let escaped = chars.next();
                match escaped {
                    Some('p' | 'P') => {
                        return Err(PathError::new(format!(
                            "`\\{}{{…}}` in the pattern `{pattern}`: character categories are not available; write the \
                             characters as a class, `[A-Za-zÀ-ÿ]`",
                            escaped.unwrap_or('p')
                        )));
                    }
                    Some(
                        '(' | ')' | '*' | '+' | '-' | '.' | '?' | '[' | '\\' | ']' | '^' | 'n' | 'r' | 't'
                        | '{' | '|' | '}' | '$' | '/' | 'd' | 'D' | 'w' | 'W' | 's' | 'S',
                    ) => {}
                    other => {
                        let shown = other.map(String::from).unwrap_or_default();
                        return Err(PathError::new(format!(
                            "`\\{shown}` in the pattern `{pattern}` is not of RFC 9485"
                        )));
                    }
                }
                // The library has no escape for the slash, which needs none.
                if escaped != Some('/') {
                    out.push('\\');
                }
                out.extend(escaped);
            }
            '[' if !in_class => {
                in_class = true;
                out.push(c);
            }
            ']' if in_class => {
                in_class = false;
                out.push(c);
            }
            '[' | '&' | '~' if in_class => {
                // The library gives these a meaning of their own within a class.
                out.push('\\');
                out.push(c);
            }
            '(' if !in_class && chars.peek() == Some(&'?') => {
                return Err(PathError::new(format!("`(?` in the pattern `{pattern}` is not of RFC 9485")));
            }
            '.' if !in_class => out.push_str(r"[^\n\r]"),
            _ => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |pattern: &str, text: &str, whole_matches: bool, part_matches: bool| {
            assert_eq!(whole(pattern).unwrap().is_match(text), whole_matches, "{pattern} {text}");
            assert_eq!(part(pattern).unwrap().is_match(text), part_matches, "{pattern} {text}");
        };
        check("a.c", "abc", true, true);
        check("a.c", "a\nc", false, false);
        check("a.c", "a\rc", false, false);
        check("a.c", "xabcx", false, true);
        check("a|b", "ab", false, true);
        check("[a.]", ".", true, true);
        check("[.]", "x", false, false);
        check("é+", "éé", true, true);
        check("[^b]", "€", true, true);
        check("^ab", "abc", false, true);
        check("ab$", "xab", false, true);
        check(r"\d{3}\.", "123.", true, true);
        check(r"a\/b", "a/b", true, true);
        check("[a&&b]", "&", true, true);
        check("a{2,3}", "aaaa", false, true);
        check("", "", true, true);
    }

    #[test]
    fn what_would_select_less_is_refused() {
        let check = |pattern: &str, says: &str| {
            let error = whole(pattern).unwrap_err().to_string();
            assert!(error.contains(says), "{pattern}: {error}");
        };
        check(r"\p{Lu}", "not available");
        check(r"\b", "not of RFC 9485");
        check("(?i)a", "not of RFC 9485");
        check("[", "does not compile");
        check("a{1000}{1000}", "does not compile");
        check("\\", "not of RFC 9485");
    }
}
