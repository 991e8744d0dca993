//! Whether a text is JSON. This is the only place that decides it.
//!
//! Media types and names do not say it: clients send JSON as a form, in a header, in a parameter and in a string of
//! other JSON. The beginning of a text says it, with different certainty in different places, and the two mistakes cost
//! differently there. JSON that is taken for text can lose the names that its escapes hide; text that is taken for
//! broken JSON is withheld as a whole.
//!
//! | text begins with | [`Carrier::Body`] | [`Carrier::String`] | [`Carrier::Value`] | [`Carrier::Query`] |
//! |---|---|---|---|---|
//! | `{"`, `[{"` | JSON | JSON | JSON | JSON |
//! | another `{`, `[{`, with a `"` after it | JSON | JSON for `[{`, else text | JSON | perhaps for `[{`, else text |
//! | another `{`, `[{` | JSON | text | text | text |
//! | `["`, with a member after it (`{` and `"`) | JSON | JSON | JSON | perhaps |
//! | `["` | JSON | perhaps | perhaps | perhaps |
//! | another `[`, with a member after it | perhaps | JSON | JSON | perhaps |
//! | another `[`, with a `"` after it | perhaps | perhaps | perhaps | perhaps |
//! | another `[` | perhaps | text | text | text |
//! | `"` | perhaps | perhaps | perhaps | perhaps |
//! | anything else | text | text | text | text |

use super::work;

/// Where a text stands that may be JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// The whole of a body whose media type does not say that it is JSON: a form, text, an event.
    Body,
    /// A string within JSON.
    String,
    /// A header, a parameter or a segment of a path, decoded. It is masked as a whole if it holds a secret.
    Value,
    /// A whole query, decoded. Parameters can begin it, `[0]=1&filter={…}`, whose values are looked at by themselves.
    Query,
}

/// How a text must be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sniffed {
    /// As JSON. Where it is broken, its names cannot be known: it is withheld.
    Json,
    /// As JSON if it is well-formed; otherwise as text.
    Perhaps,
    /// As text.
    Text,
}

/// How a text must be read, by how it begins. A byte order mark, blanks and brackets may stand before.
pub(super) fn sniff(text: &str, carrier: Carrier) -> Sniffed {
    use Sniffed::{Json, Perhaps, Text};
    let begin = text.trim_start_matches(is_blank);
    let is_array = match begin.as_bytes().first() {
        Some(b'[') => true,
        Some(b'{' | b'"') => false,
        _ => return Text,
    };
    work::add(text.len());
    let inner = begin.trim_start_matches(|c| c == '[' || is_blank(c));
    if let Some(object) = inner.strip_prefix('{') {
        if object.trim_start_matches(is_blank).starts_with('"') {
            return Json;
        }
        return match carrier {
            Carrier::Body => Json,
            Carrier::String if is_array && object.contains('"') => Json,
            Carrier::Value if object.contains('"') => Json,
            Carrier::Query if is_array && object.contains('"') => Perhaps,
            Carrier::String | Carrier::Value | Carrier::Query => Text,
        };
    }
    match (carrier, is_array) {
        (Carrier::Body, true) if inner.starts_with('"') => Json,
        (Carrier::Body, true) => Perhaps,
        (Carrier::Body, false) => Perhaps,
        (Carrier::String | Carrier::Value, true) if has_member(inner) => Json,
        (_, true) if !inner.contains('"') => Text,
        (Carrier::String | Carrier::Value | Carrier::Query, _) => Perhaps,
    }
}

/// Whether there is a brace and a quote behind it, as in all JSON with names.
fn has_member(text: &str) -> bool {
    text.split_once('{').is_some_and(|(_, rest)| rest.contains('"'))
}

/// What may stand before JSON: a byte order mark, and blanks of any kind.
pub(super) fn is_blank(c: char) -> bool {
    c == '\u{feff}' || c.is_whitespace()
}

#[cfg(test)]
mod tests {
    use super::Sniffed::{Json, Perhaps, Text};
    use super::*;

    #[test]
    fn texts_are_told_by_how_they_begin() {
        let check = |text: &str, wanted: [Sniffed; 4]| {
            let carriers = [Carrier::Body, Carrier::String, Carrier::Value, Carrier::Query];
            assert_eq!(carriers.map(|carrier| sniff(text, carrier)), wanted, "{text}");
        };
        for certain in ["{\"a\":1}", "\u{feff} [\n[ { \"", "[{\"", " \u{a0}{\"", "[[{\"a\""] {
            check(certain, [Json, Json, Json, Json]);
        }
        check("{a: \"b\"}", [Json, Text, Json, Text]);
        check("[{a: \"b\"}]", [Json, Json, Json, Perhaps]);
        check("[{ }, {\"\"}]", [Json, Json, Json, Perhaps]);
        check("{}", [Json, Text, Text, Text]);
        check("{name} [1]", [Json, Text, Text, Text]);
        check("[{x]", [Json, Text, Text, Text]);
        check("[\"a\", {\"b\"", [Json, Json, Json, Perhaps]);
        check("[\"a\"]", [Json, Perhaps, Perhaps, Perhaps]);
        check("[1, {\"a\"", [Perhaps, Json, Json, Perhaps]);
        check("[1, \"a\"", [Perhaps, Perhaps, Perhaps, Perhaps]);
        check("[link](https://x)", [Perhaps, Text, Text, Text]);
        check("[]", [Perhaps, Text, Text, Text]);
        check("\"a\"", [Perhaps, Perhaps, Perhaps, Perhaps]);
        for text in ["", " ", "a{\"b\":1}", "1", "(\"", "\u{feff}"] {
            check(text, [Text, Text, Text, Text]);
        }
    }
}
