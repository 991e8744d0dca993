//! Text that strangers chose, made fit to be shown: trimmed, bounded, and without characters that hide.

use std::borrow::Cow;

use gatelens_model::value;

/// Bytes per character that are looked at. UTF-8 needs at most four; blanks at the beginning take from the rest.
const BYTES_PER_CHAR: usize = 8;

/// Trims and shortens to `most` characters. Bytes that are not UTF-8, control characters and invisible characters become
/// U+FFFD, so that two texts that differ also look different. `None` when nothing is left.
pub(super) fn clean(value: &[u8], most: usize) -> Option<Cow<'_, str>> {
    let value = value.trim_ascii();
    // Nearly all are short and plain, and stay as they are.
    if value.len() <= most && value.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return std::str::from_utf8(value).ok().filter(|text| !text.is_empty()).map(Cow::Borrowed);
    }
    let head = value.get(..most.saturating_mul(BYTES_PER_CHAR)).unwrap_or(value);
    let text = std::str::from_utf8(head).map_or_else(|_| String::from_utf8_lossy(head), Cow::Borrowed);
    let visible = |c: char| if is_invisible(c) { char::REPLACEMENT_CHARACTER } else { c };
    let mut text: String = text.trim().chars().take(most).map(visible).collect();
    text.truncate(text.trim_end().len());
    (!text.is_empty()).then_some(Cow::Owned(text))
}

/// [`clean`] for an ID. The sentinel of the overflow series, which only the filter may use, loses its first character.
pub fn clean_id(value: &[u8], most: usize) -> Option<Cow<'_, str>> {
    let id = clean(value, most)?;
    match id.strip_prefix('_').filter(|_| id == value::OVERFLOW) {
        Some(rest) => Some(Cow::Owned(format!("{}{rest}", char::REPLACEMENT_CHARACTER))),
        None => Some(id),
    }
}

/// Characters that have no glyph of their own, or that change the direction or the shape of their neighbours: control
/// characters, the category Cf (format) and `Default_Ignorable_Code_Point` of Unicode 16, and the two separators of lines.
fn is_invisible(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{890}'..='\u{891}'
                | '\u{8e2}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{110bd}'
                | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_hides_becomes_visible() {
        let check =
            |value: &[u8], id: Option<&str>| assert_eq!(clean_id(value, 128).as_deref(), id, "{value:?}");
        check(b"  acme\t", Some("acme"));
        check(b" \t ", None);
        check("\u{3000}acme\u{a0}".as_bytes(), Some("acme"));
        check(b"caf\xe9", Some("caf\u{fffd}"));
        check(b"a\0b\x1b[31mc\x7f", Some("a\u{fffd}b\u{fffd}[31mc\u{fffd}"));
        check(
            "a\u{202e}b\u{200b}c\u{feff}d\u{e0041}".as_bytes(),
            Some("a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}"),
        );
        check("Zoë's <b>&\"Café\"</b> 東京".as_bytes(), Some("Zoë's <b>&\"Café\"</b> 東京"));
        check("é".repeat(500).as_bytes(), Some(&"é".repeat(128)));
        check(&vec![b'x'; 1 << 20], Some(&"x".repeat(128)));
        check(b"__overflow__", Some("\u{fffd}_overflow__"));
        check(b"__unmatched__", Some("__unmatched__"));
    }

    proptest! {
        #[test]
        fn every_text_is_bounded_and_cleaning_again_changes_nothing(bytes in any::<Vec<u8>>(), text in ".*") {
            for value in [&bytes[..], text.as_bytes()] {
                if let Some(cleaned) = clean(value, 16) {
                    prop_assert!(cleaned.chars().count() <= 16 && !cleaned.is_empty());
                    prop_assert!(!cleaned.chars().any(is_invisible));
                    let again = clean(cleaned.as_bytes(), 16);
                    prop_assert_eq!(again.as_ref(), Some(&cleaned));
                }
            }
        }
    }
}
