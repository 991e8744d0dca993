//! Patterns with `*` for any bytes, compiled. Matching allocates nothing.

/// Bytes of a path or a user agent that are compared; longer ones are compared by these. It bounds the work of a request.
pub(super) const MAX_COMPARED_BYTES: usize = 2_048;

/// Whether letters of different case are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// They differ, as in paths.
    Sensitive,
    /// ASCII letters are the same, as in user agents.
    Insensitive,
}

/// A list of patterns.
#[derive(Clone, Debug)]
pub(super) struct Patterns {
    case: Case,
    /// Patterns without `*`.
    exact: Vec<Box<[u8]>>,
    /// Bit n: an exact pattern has n bytes; the last bit stands for that number and more.
    lengths: u64,
    globs: Vec<Glob>,
}

/// A pattern with at least one `*`: its parts between the stars.
#[derive(Clone, Debug)]
struct Glob {
    head: Box<[u8]>,
    middle: Vec<Box<[u8]>>,
    tail: Box<[u8]>,
}

impl Patterns {
    /// Compiles patterns; an empty list matches nothing.
    pub(super) fn new<'a>(case: Case, patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut compiled = Self { case, exact: Vec::new(), lengths: 0, globs: Vec::new() };
        for pattern in patterns {
            match Glob::new(pattern.as_bytes()) {
                Some(glob) => compiled.globs.push(glob),
                None => {
                    let exact = without_last_slash(pattern.as_bytes());
                    compiled.lengths |= length_bit(exact);
                    compiled.exact.push(exact.into());
                }
            }
        }
        compiled
    }

    /// Whether any pattern matches the whole text.
    pub(super) fn matches(&self, text: &[u8]) -> bool {
        let text = text.get(..MAX_COMPARED_BYTES).unwrap_or(text);
        let whole = without_last_slash(text);
        self.lengths & length_bit(whole) != 0 && self.has_exact(whole)
            || self.globs.iter().any(|glob| glob.matches(text, self.case))
    }

    fn has_exact(&self, text: &[u8]) -> bool {
        let last = text.last().copied().unwrap_or(0);
        self.exact.iter().any(|exact| {
            exact.len() == text.len()
                && self.case.same_byte(exact.last().copied().unwrap_or(0), last)
                && self.case.same(exact, text)
        })
    }
}

impl Glob {
    fn new(pattern: &[u8]) -> Option<Self> {
        let mut parts: Vec<&[u8]> = pattern.split(|byte| *byte == b'*').collect();
        let tail = parts.pop().filter(|_| !parts.is_empty())?;
        let mut parts = parts.into_iter();
        let head = parts.next()?;
        let middle = parts.filter(|part| !part.is_empty()).map(Into::into).collect();
        Some(Self { head: head.into(), middle, tail: tail.into() })
    }

    /// Compares one byte, which rules out most texts: the last one of the tail, else that of the head.
    fn may_match(&self, text: &[u8], case: Case) -> bool {
        let (wanted, given) = match self.tail.last() {
            Some(last) => (Some(last), text.last()),
            None => (self.head.last(), self.head.len().checked_sub(1).and_then(|at| text.get(at))),
        };
        wanted.is_none_or(|wanted| given.is_some_and(|given| case.same_byte(*wanted, *given)))
    }

    fn matches(&self, text: &[u8], case: Case) -> bool {
        if !self.may_match(text, case) {
            return false;
        }
        let Some((head, rest)) = text.split_at_checked(self.head.len()) else { return false };
        if !case.same(head, &self.head) {
            return false;
        }
        let Some(until) = rest.len().checked_sub(self.tail.len()) else { return false };
        let (mut rest, tail) = rest.split_at_checked(until).unwrap_or_default();
        if !case.same(tail, &self.tail) {
            return false;
        }
        // The first place of each part leaves the most room for those behind it.
        for part in &self.middle {
            let found = rest.windows(part.len()).position(|window| case.same(window, part));
            let Some(behind) = found.and_then(|at| rest.get(at.saturating_add(part.len())..)) else {
                return false;
            };
            rest = behind;
        }
        true
    }
}

impl Case {
    fn same(self, a: &[u8], b: &[u8]) -> bool {
        match self {
            Case::Sensitive => a == b,
            Case::Insensitive => a.eq_ignore_ascii_case(b),
        }
    }

    fn same_byte(self, a: u8, b: u8) -> bool {
        match self {
            Case::Sensitive => a == b,
            Case::Insensitive => a.eq_ignore_ascii_case(&b),
        }
    }
}

fn length_bit(text: &[u8]) -> u64 {
    1 << text.len().min(63)
}

/// `/health/` and `/health` are the same endpoint in most frameworks.
fn without_last_slash(text: &[u8]) -> &[u8] {
    text.strip_suffix(b"/").filter(|rest| !rest.is_empty()).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_is_any_bytes_and_everything_else_is_itself() {
        let check = |case: Case, pattern: &str, text: &str, matches: bool| {
            let patterns = Patterns::new(case, [pattern]);
            assert_eq!(patterns.matches(text.as_bytes()), matches, "{pattern} {text}");
        };
        let path = |pattern: &str, text: &str, matches: bool| check(Case::Sensitive, pattern, text, matches);
        path("/health", "/health", true);
        path("/health", "/health/", true);
        path("/health/", "/health", true);
        path("/health", "/Health", false);
        path("/health", "/healthz", false);
        path("/health", "/api/health", false);
        path("/", "/", true);
        path("/", "/a", false);
        path("/internal/*", "/internal/", true);
        path("/internal/*", "/internal/a/b", true);
        path("/internal/*", "/internal", false);
        path("/internal/*", "/x/internal/a", false);
        path("*/healthz", "/a/b/healthz", true);
        path("*/healthz", "/healthz", true);
        path("*/healthz", "/healthzz", false);
        path("/v*/jobs/*/logs", "/v1/jobs/7/logs", true);
        path("/v*/jobs/*/logs", "/v1/jobs/logs", false);
        path("/v*/jobs/*/logs", "/v1/jobs/7/logs/9", false);
        path("/a*a", "/a", false);
        path("/a*a", "/aa", true);
        path("/a**b", "/ab", true);
        path("*", "", true);
        path("*", "/anything", true);
        path("/a*b*b", "/axb", false);
        path("/a*b*b", "/axbb", true);
        let agent =
            |pattern: &str, text: &str, matches: bool| check(Case::Insensitive, pattern, text, matches);
        agent("kube-probe/*", "Kube-Probe/1.30", true);
        agent("KUBE-PROBE/*", "kube-probe/1.30", true);
        agent("kube-probe", "kube-probe/1.30", false);
        agent("*bot*", "Mozilla/5.0 (compatible; GoogleBOT/2.1)", true);
        agent("*bot*", "curl/8", false);
        agent("", "", true);
        assert!(!Patterns::new(Case::Sensitive, []).matches(b""));
        let long = "/a".repeat(MAX_COMPARED_BYTES);
        path("/a*", &long, true);
        path("*/b", &format!("{long}/b"), false);
    }

    /// The textbook's definition, by recursion.
    fn reference(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| reference(rest, &text[skip..])),
            Some((byte, rest)) => text.first() == Some(byte) && reference(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn patterns_match_as_defined(pattern in "[ab*]{0,8}", text in "[ab]{0,10}") {
            let matches = Patterns::new(Case::Sensitive, [&*pattern]).matches(text.as_bytes());
            prop_assert_eq!(matches, reference(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
