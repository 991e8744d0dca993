//! The consumer of a request.

use crate::host::HeaderMap;

pub use gatelens_model::value::ANONYMOUS;

/// Longest consumer ID in characters.
pub const MAX_CONSUMER_CHARS: usize = 128;

/// A header source, compiled.
#[derive(Clone, Debug)]
pub struct Source {
    /// In lower case, like the header names that the host returns.
    pub header: Box<str>,
    /// Whether clients cannot set the header themselves.
    pub trusted: bool,
}

/// The caller of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Trimmed, 1 to [`MAX_CONSUMER_CHARS`] characters; [`ANONYMOUS`] when no source has a name.
    pub id: String,
    /// Whether the source that named it is trusted.
    pub trusted: bool,
}

impl Identity {
    /// Reads the sources in order; the first with a name is used.
    pub fn find(sources: &[Source], headers: &impl HeaderMap) -> Self {
        sources
            .iter()
            .find_map(|source| {
                let header = |(name, value)| name_equals(name, &source.header).then_some(value);
                let id = clean(headers.iter().find_map(header)?)?;
                Some(Self { id, trusted: source.trusted })
            })
            .unwrap_or_else(|| Self { id: ANONYMOUS.into(), trusted: false })
    }
}

fn name_equals(name: &[u8], lower: &str) -> bool {
    name.eq_ignore_ascii_case(lower.as_bytes())
}

/// Trims and shortens. Bytes that are not UTF-8 and control characters become U+FFFD. `None` when nothing is left.
fn clean(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value.trim_ascii());
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let id: String = text.trim().chars().take(MAX_CONSUMER_CHARS).map(printable).collect();
    let id = id.trim_end();
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::pairs::Pairs;

    #[test]
    fn the_first_source_that_names_somebody_wins() {
        let sources = [("x-consumer-id", true), ("x-user", false)]
            .map(|(header, trusted)| Source { header: header.into(), trusted });
        let check = |headers: &[(&str, &[u8])], id: &str, trusted: bool| {
            let found = Identity::find(&sources, &Pairs::encode(headers));
            assert_eq!(found, Identity { id: id.into(), trusted }, "{headers:?}");
        };
        check(&[], ANONYMOUS, false);
        check(&[("x-consumer-id", b"acme")], "acme", true);
        check(&[("X-Consumer-ID", b"  acme\t")], "acme", true);
        check(&[("x-user", b"ann"), ("x-consumer-id", b"acme")], "acme", true);
        check(&[("x-consumer-id", b"  "), ("x-user", b"ann")], "ann", false);
        check(&[("x-consumer-id", b"a"), ("x-consumer-id", b"b")], "a", true);
        check(&[("x-user", b"caf\xe9")], "caf\u{fffd}", false);
        check(&[("x-user", "x".repeat(500).as_bytes())], &"x".repeat(128), false);
    }
}
