//! Headers that list what a client takes, each with a weight (RFC 9110, 12.4.2).

/// A member of such a list.
#[derive(Debug)]
pub(crate) struct Choice<'a> {
    /// In lower case.
    pub(crate) name: String,
    /// Names are in lower case, values without quotes.
    parameters: Vec<(String, &'a str)>,
}

impl Choice<'_> {
    /// The value of a parameter, whose name is in lower case.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// How much it is preferred: 1 where the client says nothing, 0 where it refuses it or the weight cannot be read.
    pub(crate) fn weight(&self) -> f64 {
        self.parameter("q").map_or(1.0, |weight| weight.parse().unwrap_or(0.0))
    }
}

/// The members of a list.
pub(crate) fn choices(list: &str) -> impl Iterator<Item = Choice<'_>> {
    list.split(',').map(|member| {
        let mut parts = member.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameters = parts
            .filter_map(|parameter| parameter.split_once('='))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"')))
            .collect();
        Choice { name, parameters }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_whatever_their_case() {
        let check = |list: &str, expected: &[(&str, f64)]| {
            let found: Vec<_> = choices(list).map(|choice| (choice.name.clone(), choice.weight())).collect();
            let expected: Vec<_> =
                expected.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
            assert_eq!(found, expected, "{list}");
        };
        check("gzip", &[("gzip", 1.0)]);
        check("br, GZIP;q=0.5", &[("br", 1.0), ("gzip", 0.5)]);
        check("gzip;Q=0", &[("gzip", 0.0)]);
        check("gzip ; q = \"0.25\"", &[("gzip", 0.25)]);
        check("gzip;q=much", &[("gzip", 0.0)]);
        check("", &[("", 1.0)]);
    }
}
