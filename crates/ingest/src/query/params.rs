//! The query string, read strictly: a parameter that is not known is an error and not a silence.

use crate::error::QueryError;

/// The decoded pairs of a query string.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Reads a query string in which only `allowed` names may occur.
    pub(crate) fn parse(query: Option<&str>, allowed: &[&str]) -> Result<Self, QueryError> {
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
        if let Some((unknown, _)) = pairs.iter().find(|(name, _)| !allowed.contains(&name.as_str())) {
            return Err(no_such(unknown, allowed));
        }
        Ok(Self { pairs })
    }

    /// The value of a parameter that may be given once. An empty value is none.
    pub(crate) fn one<'a>(&'a self, name: &'a str) -> Result<Option<&'a str>, QueryError> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value.filter(|value| !value.is_empty())),
            _ => Err(QueryError::parameter(name, format!("{name} is given more than once"))),
        }
    }

    /// All values of a parameter that may be repeated.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A whole number within bounds.
    pub(crate) fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
        default: u64,
    ) -> Result<u64, QueryError> {
        let Some(text) = self.one(name)? else { return Ok(default) };
        text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let message = format!("{name} is to be a number from {} to {}", range.start(), range.end());
            QueryError::parameter(name, message)
        })
    }
}

/// Refuses any parameter, where there are none.
pub(crate) fn none(query: Option<&str>) -> Result<(), QueryError> {
    Params::parse(query, &[]).map(drop)
}

/// That a parameter is not one of those that are known, and what may have been meant.
pub(crate) fn no_such(unknown: &str, known: &[&str]) -> QueryError {
    let nearest = known.iter().map(|name| (distance(unknown, name), name)).min();
    let meant = match nearest {
        Some((near, name)) if near <= 2 => format!("did you mean {name}?"),
        _ => format!("known here are {}", known.join(", ")),
    };
    QueryError::parameter(unknown, format!("there is no parameter {unknown:?}: {meant}"))
}

/// The edit distance between two names, by letters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    // Names are short; what is longer is near to none of them.
    for (i, x) in a.chars().take(32).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = *cell;
            left = substituted.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default() + a.chars().count().saturating_sub(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_near_or_far() {
        let cases = [
            ("status", "status", 0),
            ("statsu", "status", 2),
            ("", "from", 4),
            ("frm", "from", 1),
            ("to", "from", 3),
        ];
        for (a, b, expected) in cases {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        let check = |query: &str, expected: &str| {
            let params = Params::parse(Some(query), &["from", "status"]);
            let error = params.and_then(|params| params.one("from").map(drop)).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check("form=1", "there is no parameter \"form\": did you mean from?");
        check("colour=red", "there is no parameter \"colour\": known here are from, status");
        check("from=1&from=2", "from is given more than once");
    }
}
