//! The file of senders' tokens: a YAML list, an entry to a line as `gatelens token new` prints it.

use super::token::{TokenHash, check_name};
use super::watched;
use serde::Deserialize;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

/// An environment that stands for any.
const ANY: &str = "*";
/// Every token is compared with every batch's.
const MAX_TOKENS: usize = 10_000;

/// The holder of one or more tokens: those with the same name and environment, as in a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SenderId(u64);

impl SenderId {
    #[cfg(test)]
    pub(crate) fn for_test(number: u64) -> Self {
        Self(number)
    }
}

/// Who a token is from.
#[derive(Debug, Clone)]
pub(crate) struct SenderToken {
    pub(crate) name: String,
    id: SenderId,
    environment: String,
    hash: TokenHash,
}

impl SenderToken {
    /// Whether it may report for an environment, and ask for what is learned there.
    pub(crate) fn may_report(&self, environment: &str) -> bool {
        self.reports_for_any() || self.environment == environment
    }

    /// Whose use of the service is bounded together.
    pub(crate) fn id(&self) -> SenderId {
        self.id
    }

    /// Whether it is bound to no environment.
    pub(crate) fn reports_for_any(&self) -> bool {
        self.environment == ANY
    }

    /// The environment that it may report for.
    pub(crate) fn environment(&self) -> &str {
        &self.environment
    }
}

/// The tokens in force. A name may have several, so that an old one is valid until every gateway has the new one.
#[derive(Debug)]
pub(crate) struct SenderTokens(Vec<Arc<SenderToken>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    environment: String,
    sha256: String,
}

impl SenderTokens {
    /// Reads the file; the error is a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let entries: Option<Vec<Entry>> = watched::yaml(text)?;
        let entries = entries.unwrap_or_default();
        if entries.len() > MAX_TOKENS {
            return Err(format!("there are {} tokens, at most {MAX_TOKENS} are possible", entries.len()));
        }
        let tokens = entries.into_iter().enumerate().map(|(index, entry)| {
            entry.read().map(Arc::new).map_err(|fault| format!("token {}: {fault}", index + 1))
        });
        tokens.collect::<Result<_, _>>().map(Self)
    }

    /// The sender with a token. All are compared, so that the time does not depend on which one it is.
    pub(crate) fn find(&self, token: &str) -> Option<Arc<SenderToken>> {
        let hash = TokenHash::of(token);
        let found = self.0.iter().fold(None, |found, sender| match sender.hash.matches(&hash) {
            true => Some(sender),
            false => found,
        });
        found.cloned()
    }
}

impl Entry {
    fn read(self) -> Result<SenderToken, String> {
        check_name("name", &self.name)?;
        check_name("environment", &self.environment)?;
        let hash = TokenHash::parse(&self.sha256).ok_or(
            "sha256 must be 64 hexadecimal digits, as `gatelens token new` prints them; the token itself does not \
             belong into this file",
        )?;
        // The file is the operator's, so that nobody chooses names for their hashes; it stays the same when the file is read
        // again.
        let id = SenderId(
            BuildHasherDefault::<DefaultHasher>::default().hash_one((&self.name, &self.environment)),
        );
        Ok(SenderToken { name: self.name, id, environment: self.environment, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::super::token::{NewToken, TokenOwner};
    use super::*;

    fn made(name: &str, environment: &str) -> NewToken {
        NewToken::new(name, TokenOwner::Sender { environment }).unwrap()
    }

    #[test]
    fn a_line_as_it_is_printed_is_a_token_of_its_environment() {
        let (old, new, any) =
            (made("edge: \"1\" #", "prod"), made("edge: \"1\" #", "prod"), made("otel", "*"));
        let text = format!("# rotation\n{}\n{}\n{}\n", old.line, new.line, any.line);
        let tokens = SenderTokens::parse(&text).unwrap();
        for token in [&old, &new] {
            let sender = tokens.find(&token.token).unwrap();
            assert_eq!(sender.name, "edge: \"1\" #");
            assert_eq!(sender.id(), tokens.find(&old.token).unwrap().id());
            assert_ne!(sender.id(), tokens.find(&any.token).unwrap().id());
            assert_eq!(["prod", "stage", "*"].map(|name| sender.may_report(name)), [true, false, false]);
        }
        assert!(tokens.find(&any.token).unwrap().may_report("stage"));
        assert!(tokens.find("").is_none() && tokens.find(&made("x", "prod").token).is_none());
    }

    #[test]
    fn an_empty_file_accepts_nobody() {
        for text in ["", "# none\n", "[]"] {
            assert!(SenderTokens::parse(text).unwrap().find("x").is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_place() {
        for (text, words) in [
            ("- {name: a, environment: b, sha256: gls_xyz}", "token 1: sha256"),
            ("- {name: a, environment: b}", "sha256"),
            ("- {name: a, environment: b, token: c}", "token"),
            ("a: b", ""),
        ] {
            let error = SenderTokens::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
