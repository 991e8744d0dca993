//! Text that clients wrote, made harmless where it is shown.

/// Whether a character is one of Unicode's format characters, which show nothing and turn or hide other text: marks, embeddings,
/// overrides and isolates of direction, joiners, line separators, tags.
#[must_use]
pub fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// First characters that make a spreadsheet read a formula (OWASP, "CSV Injection"), and the apostrophe that marks text,
/// so that a reader who takes one leading apostrophe off has the text again.
pub const FORMULA: [char; 12] = ['=', '+', '-', '@', '\t', '\r', '\n', '\'', '＝', '＋', '－', '＠'];

/// As text of a spreadsheet or a terminal. A text that would begin a formula gets a leading apostrophe; controls and marks that
/// turn text are escaped. The page's export does the same.
#[must_use]
pub fn inert(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        let turns = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || (character.is_control() && !matches!(character, '\t' | '\r' | '\n')) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    if shown.starts_with(FORMULA) { format!("'{shown}") } else { shown }
}

/// As text of HTML, also within an attribute.
pub(crate) fn html(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_text_and_never_markup() {
        assert_eq!(html("a<b a=\"x\" c='&'>"), "a&lt;b a=&quot;x&quot; c=&#39;&amp;&#39;&gt;");
    }
}
