//! The query string, read strictly: an unknown parameter is an error.

use crate::error::QueryError;

/// Longer names are not compared with known ones.
const MAX_COMPARED_BYTES: usize = 64;

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
            let message = format!("{name} must be a whole number from {} to {}", range.start(), range.end());
            QueryError::parameter(name, message)
        })
    }
}

/// Refuses any parameter, where there are none.
pub(crate) fn none(query: Option<&str>) -> Result<(), QueryError> {
    Params::parse(query, &[]).map(drop)
}

/// The error for an unknown parameter, with the nearest known name.
pub(crate) fn no_such(unknown: &str, known: &[&str]) -> QueryError {
    // A longer name is near to none, and need not be compared.
    let comparable = if unknown.len() <= MAX_COMPARED_BYTES { known } else { &[] };
    let nearest = comparable.iter().map(|name| (strsim::levenshtein(unknown, name), name)).min();
    let meant = match nearest {
        Some((near, name)) if near <= 2 => format!("did you mean {name}?"),
        _ if known.is_empty() => "this path takes none".to_owned(),
        _ => format!("expected one of {}", known.join(", ")),
    };
    QueryError::parameter(unknown, format!("there is no parameter {unknown:?}: {meant}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_repeated_parameters_are_refused() {
        let check = |query: &str, expected: &str| {
            let params = Params::parse(Some(query), &["from", "status"]);
            let error = params.and_then(|params| params.one("from").map(drop)).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check("form=1", "there is no parameter \"form\": did you mean from?");
        check("colour=red", "there is no parameter \"colour\": expected one of from, status");
        let long = "x".repeat(1 << 20);
        check(&long, &format!("there is no parameter {long:?}: expected one of from, status"));
        check("statsu=1", "there is no parameter \"statsu\": did you mean status?");
        check("from=1&from=2", "from is given more than once");
    }
}
