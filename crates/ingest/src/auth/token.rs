//! Bearer tokens: 256 random bits, of which files hold only the SHA-256.
//!
//! A slow hash protects passwords because people choose them from few. Nobody can try 2^256 tokens, so that a fast hash
//! keeps them as secret, and costs nothing on every batch of every gateway.

use super::Role;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use subtle::ConstantTimeEq;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Longer names are refused.
pub(crate) const MAX_NAME_BYTES: usize = 128;

/// What a new token is for.
#[derive(Debug, Clone, Copy)]
pub enum TokenOwner<'a> {
    /// A gateway or another sender, for one environment; `*` is any.
    Sender {
        /// The environment that it may report for.
        environment: &'a str,
    },
    /// A person or a program that reads.
    Person {
        /// What it may do.
        role: Role,
    },
}

/// A new token, and what the service must know of it.
pub struct NewToken {
    /// The token; nothing keeps it.
    pub token: String,
    /// The line for the file of tokens or of users.
    pub line: String,
}

impl NewToken {
    /// Makes a token from the system's random numbers.
    ///
    /// # Errors
    /// A sentence when the name or the environment cannot be in the file, or when the system has no random numbers.
    pub fn new(name: &str, owner: TokenOwner<'_>) -> Result<Self, String> {
        check_name("name", name)?;
        let random = random::<TOKEN_BYTES>().ok_or("the system has no random numbers")?;
        let (prefix, key, value) = match owner {
            TokenOwner::Sender { environment } => {
                check_name("environment", environment)?;
                ("gls_", "environment", environment)
            }
            TokenOwner::Person { role } => ("glp_", "role", role.name()),
        };
        let token = format!("{prefix}{}", BASE64URL_NOPAD.encode(&random));
        let hash = TokenHash::of(&token);
        // A JSON string is a quoted scalar of YAML.
        let [name, value] = [name, value].map(|text| serde_json::Value::from(text).to_string());
        Ok(Self { line: format!("- {{name: {name}, {key}: {value}, sha256: {hash}}}"), token })
    }
}

/// The SHA-256 of a token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenHash([u8; 32]);

impl TokenHash {
    /// Of a token.
    pub(crate) fn of(token: &str) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        Self(hash)
    }

    /// From 64 hexadecimal digits.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenHash")
    }
}

/// Random bytes for a secret; `None` when the system has none.
pub(crate) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

/// Refuses names that would not stand alone in a log line or a file.
pub(crate) fn check_name(key: &str, name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(format!("{key} must have 1 to {MAX_NAME_BYTES} bytes, not {}", name.len()));
    }
    match name.chars().find(|char| char.is_control()) {
        Some(char) => Err(format!("{key} must not contain the control character {char:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_new_each_time_and_only_its_hash_is_in_the_line() {
        let make = || NewToken::new("edge", TokenOwner::Sender { environment: "prod" }).unwrap();
        let (one, two) = (make(), make());
        assert_ne!(one.token, two.token);
        assert!(!one.line.contains(&one.token));
        assert!(one.line.contains(&TokenHash::of(&one.token).to_string()), "{}", one.line);
        // 4 characters of prefix, and 32 bytes in base64.
        assert_eq!(one.token.len(), 4 + 43);
    }

    #[test]
    fn only_the_same_token_matches() {
        let hash = TokenHash::of("gls_a");
        assert!(TokenHash::parse(&hash.to_string()).unwrap().matches(&TokenHash::of("gls_a")));
        assert!(!hash.matches(&TokenHash::of("gls_b")));
        assert!(TokenHash::parse("00").is_none() && TokenHash::parse(&"g".repeat(64)).is_none());
    }

    #[test]
    fn a_name_is_one_line() {
        for name in ["", "a\nb", &"a".repeat(129)] {
            assert!(NewToken::new(name, TokenOwner::Person { role: Role::Viewer }).is_err(), "{name:?}");
        }
    }
}
