//! The address of a store: `clickhouse+https://user@host:8443/database`.

use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

const USER: &str = "default";

/// Where a database of ClickHouse is: its HTTP interface, a user and the name of the database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address {
    pub(super) url: String,
    pub(super) user: String,
    pub(super) database: String,
}

/// A text is not the address of a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0}: expected clickhouse+http://user@host:8123/database or clickhouse+https://user@host:8443/database"
)]
pub struct NotAnAddress(&'static str);

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let url =
            text.strip_prefix("clickhouse+").ok_or(NotAnAddress("it does not begin with clickhouse+"))?;
        let (scheme, rest) = url.split_once("://").ok_or(NotAnAddress("it has no ://"))?;
        if !["http", "https"].contains(&scheme) {
            return Err(NotAnAddress("its scheme is neither clickhouse+http nor clickhouse+https"));
        }
        let (authority, database) = rest.split_once('/').ok_or(NotAnAddress("it names no database"))?;
        let (user, host) = authority.rsplit_once('@').unwrap_or((USER, authority));
        if user.contains(':') {
            return Err(NotAnAddress("it has a password, which belongs into a file"));
        }
        let is_name =
            |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if user.is_empty() || host.is_empty() {
            return Err(NotAnAddress("it names no host"));
        }
        if !is_name(database) || database.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(NotAnAddress("the name of its database is not of letters, digits and _"));
        }
        Ok(Self { url: format!("{scheme}://{host}"), user: user.to_owned(), database: database.to_owned() })
    }
}

impl TryFrom<String> for Address {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = self.url.split_once("://").unwrap_or(("http", &self.url));
        write!(f, "clickhouse+{scheme}://{}@{host}/{}", self.user, self.database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        let check = |text: &str, expected: [&str; 3]| {
            let Address { url, user, database } = text.parse().unwrap();
            assert_eq!([url.as_str(), &user, &database], expected, "{text}");
        };
        check(
            "clickhouse+https://ann@db.example.com:8443/gatelens",
            ["https://db.example.com:8443", "ann", "gatelens"],
        );
        check("clickhouse+http://localhost:8123/g1", ["http://localhost:8123", "default", "g1"]);
        check("clickhouse+http://[::1]:8123/g", ["http://[::1]:8123", "default", "g"]);
        let address: Address = "clickhouse+https://ann@db:8443/gatelens".parse().unwrap();
        assert_eq!(address.to_string().parse(), Ok(address));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let refused = |text: &str| text.parse::<Address>().unwrap_err().to_string();
        assert!(refused("https://db/gatelens").starts_with("it does not begin with clickhouse+"));
        assert!(refused("clickhouse+tcp://db/gatelens").contains("neither"));
        assert!(refused("clickhouse+http://db").contains("no database"));
        assert!(refused("clickhouse+http://ann:secret@db/gatelens").contains("password"));
        assert!(!refused("clickhouse+http://ann:secret@db/gatelens").contains("secret"));
        assert!(refused("clickhouse+http://db/a;b").contains("letters"));
        assert!(refused("clickhouse+http://@/g").contains("host"));
    }
}
