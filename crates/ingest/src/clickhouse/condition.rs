//! Conditions on requests of the log, in SQL: what the server passes over, nobody has to send and to decode. A condition may
//! take more than was asked for, because what it takes is looked at again.

use std::fmt::Write;

/// A condition on the columns of `requests`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// `None` for one that takes all.
    sql: Option<String>,
    /// Whether it takes nothing that was not asked for, so that its opposite can be asked for.
    is_exact: bool,
}

impl Condition {
    /// Takes all, because the server cannot decide it.
    pub(crate) fn undecided() -> Self {
        Self { sql: None, is_exact: false }
    }

    /// Takes exactly what was asked for. The expression must not be null.
    pub(crate) fn exact(sql: String) -> Self {
        Self { sql: Some(sql), is_exact: true }
    }

    /// Takes what was asked for, and may take more.
    pub(crate) fn rough(sql: String) -> Self {
        Self { sql: Some(sql), is_exact: false }
    }

    /// The same condition; whether it is as exact as it was depends on this, too.
    pub(crate) fn exact_if(self, is_exact: bool) -> Self {
        Self { is_exact: self.is_exact && is_exact, ..self }
    }

    pub(crate) fn any(all: impl IntoIterator<Item = Self>) -> Self {
        let (mut parts, mut is_exact) = (Vec::new(), true);
        for Self { sql, is_exact: of_part } in all {
            let Some(sql) = sql else { return Self::undecided() };
            is_exact &= of_part;
            parts.push(sql);
        }
        if parts.is_empty() {
            return Self::exact("0".to_owned());
        }
        Self { sql: Some(format!("({})", parts.join(" OR "))), is_exact }
    }

    pub(crate) fn all(all: impl IntoIterator<Item = Self>) -> Self {
        let (mut parts, mut is_exact) = (Vec::new(), true);
        for Self { sql, is_exact: of_part } in all {
            is_exact &= of_part;
            parts.extend(sql);
        }
        Self { sql: (!parts.is_empty()).then(|| format!("({})", parts.join(" AND "))), is_exact }
    }

    /// Takes what this does not take, as far as that is certain.
    pub(crate) fn opposite(self) -> Self {
        match self {
            Self { sql: Some(sql), is_exact: true } => Self::exact(format!("(NOT {sql})")),
            Self { sql: None, is_exact: true } => Self::exact("0".to_owned()),
            Self { is_exact: false, .. } => Self::undecided(),
        }
    }

    /// An expression has one of some texts.
    pub(crate) fn one_of<'a>(expression: &str, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let texts: Vec<String> = texts.into_iter().map(quoted).collect();
        match texts.as_slice() {
            [] => Self::exact("0".to_owned()),
            [text] => Self::exact(format!("({expression} = {text})")),
            texts => Self::exact(format!("({expression} IN ({}))", texts.join(", "))),
        }
    }

    /// The text of the condition.
    pub(crate) fn sql(&self) -> &str {
        self.sql.as_deref().unwrap_or("1")
    }
}

/// A text as a literal.
pub(crate) fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for character in text.chars() {
        match character {
            '\'' | '\\' => literal.extend(['\\', character]),
            control if control.is_ascii_control() => {
                // Writing to a text does not fail.
                let _ = write!(literal, "\\x{:02x}", control as u8);
            }
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_within_their_marks() {
        let check = |text: &str, expected: &str| assert_eq!(quoted(text), expected, "{text:?}");
        check("plain", "'plain'");
        check("it's", r"'it\'s'");
        check(r"a\", r"'a\\'");
        check("\0\n\t", r"'\x00\x0a\x09'");
        check("é 100%?", "'é 100%?'");
    }

    #[test]
    fn an_opposite_takes_all_of_which_it_is_not_certain() {
        let exact = || Condition::one_of("a", ["x"]);
        let rough = || Condition::rough("b".to_owned());
        assert_eq!(exact().opposite().sql(), "(NOT (a = 'x'))");
        assert_eq!(rough().opposite(), Condition::undecided());
        assert_eq!(Condition::any([exact(), rough()]).opposite(), Condition::undecided());
        assert_eq!(Condition::all([exact(), Condition::undecided()]).sql(), "((a = 'x'))");
        assert_eq!(Condition::all([exact(), Condition::undecided()]).opposite(), Condition::undecided());
        assert_eq!(Condition::any([exact(), Condition::undecided()]), Condition::undecided());
        assert_eq!(Condition::any([]).sql(), "0");
        assert_eq!(Condition::all([]).sql(), "1");
    }
}
