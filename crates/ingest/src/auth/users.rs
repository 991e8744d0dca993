//! The file of people: a YAML list, an entry to a line as `gatelens user add` and `gatelens token new` print it.

use super::Role;
use super::token::{TokenHash, check_name};
use super::watched;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use serde::Deserialize;
use std::sync::Arc;

/// Passwords have at least so many characters (NIST SP 800-63B, 3.1.1.2), and at most so many bytes.
const MIN_PASSWORD_CHARS: usize = 12;
pub(super) const MAX_PASSWORD_BYTES: usize = 1024;
/// Every token is compared with every request's.
const MAX_USERS: usize = 10_000;

/// A person, or a program that reads.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) role: Role,
    credential: Credential,
}

#[derive(Clone)]
enum Credential {
    /// An Argon2 hash in the PHC string format.
    Password(String),
    Token(TokenHash),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Password(_) => "Password",
            Self::Token(_) => "Token",
        })
    }
}

/// The people in force.
#[derive(Debug)]
pub(crate) struct Users(Vec<Arc<User>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    role: Role,
    password: Option<String>,
    sha256: Option<String>,
}

impl Users {
    /// Reads the file; the error is a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let entries: Option<Vec<Entry>> = watched::yaml(text)?;
        let entries = entries.unwrap_or_default();
        if entries.len() > MAX_USERS {
            return Err(format!("there are {} users, at most {MAX_USERS} are possible", entries.len()));
        }
        let mut users = Vec::with_capacity(entries.len());
        for (index, entry) in entries.into_iter().enumerate() {
            let user = entry.read().map_err(|fault| format!("user {}: {fault}", index + 1))?;
            let is_taken = |other: &Arc<User>| other.name == user.name && other.password().is_some();
            if user.password().is_some() && users.iter().any(is_taken) {
                return Err(format!("user {}: {:?} has a password already", index + 1, user.name));
            }
            users.push(Arc::new(user));
        }
        Ok(Self(users))
    }

    /// The person with a name, who signs in with a password.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<User>> {
        self.0.iter().find(|user| user.name == name && user.password().is_some()).cloned()
    }

    /// Whether a person or a program has a name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|user| user.name == name)
    }

    /// Whose token this is. All are compared, so that the time does not depend on which one it is.
    pub(crate) fn with_token(&self, token: &str) -> Option<Arc<User>> {
        let presented = TokenHash::of(token);
        let found = self.0.iter().fold(None, |found, user| match &user.credential {
            Credential::Token(hash) if hash.matches(&presented) => Some(user),
            Credential::Token(_) | Credential::Password(_) => found,
        });
        found.cloned()
    }
}

impl User {
    /// The hash of the password, if that is the credential.
    pub(crate) fn password(&self) -> Option<&str> {
        match &self.credential {
            Credential::Password(hash) => Some(hash),
            Credential::Token(_) => None,
        }
    }
}

impl Entry {
    fn read(self) -> Result<User, String> {
        check_name("name", &self.name)?;
        let credential = match (self.password, self.sha256) {
            (Some(hash), None) => {
                let algorithm = PasswordHash::new(&hash).map(|hash| hash.algorithm.as_str().to_owned());
                if algorithm.ok().as_deref() != Some("argon2id") {
                    return Err("password must be an Argon2id hash, as `gatelens user add` prints it; the password \
                                itself does not belong into this file"
                        .to_owned());
                }
                Credential::Password(hash)
            }
            (None, Some(hash)) => Credential::Token(TokenHash::parse(&hash).ok_or(
                "sha256 must be 64 hexadecimal digits, as `gatelens token new` prints them; the token itself does \
                 not belong into this file",
            )?),
            (Some(_), Some(_)) | (None, None) => {
                return Err("either password or sha256 must be given".to_owned());
            }
        };
        Ok(User { name: self.name, role: self.role, credential })
    }
}

/// The line for the file of people, with a new hash of the password.
///
/// # Errors
/// A sentence when the name cannot be in the file or the password is too short or too long.
pub fn user_line(name: &str, role: Role, password: &str) -> Result<String, String> {
    check_name("name", name)?;
    if password.chars().count() < MIN_PASSWORD_CHARS || password.len() > MAX_PASSWORD_BYTES {
        return Err(format!(
            "the password must have at least {MIN_PASSWORD_CHARS} characters and at most {MAX_PASSWORD_BYTES} bytes"
        ));
    }
    let hash = hash(password)?;
    let [name, hash] = [name, hash.as_str()].map(|text| serde_json::Value::from(text).to_string());
    Ok(format!("- {{name: {name}, role: {role}, password: {hash}}}"))
}

/// A new hash of a password, with the parameters that OWASP recommends (19 MiB, 2 passes).
pub(super) fn hash(password: &str) -> Result<String, String> {
    let hash: PasswordHash =
        Argon2::default().hash_password(password.as_bytes()).map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

/// Whether a password is the one of a hash. Takes tens of milliseconds of a core and the memory that the hash names.
pub(super) fn verify(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::token::{NewToken, TokenOwner};
    use super::*;

    #[test]
    fn lines_as_they_are_printed_are_people() {
        let ada = user_line("Ada \"A\" L.", Role::Admin, "correct horse battery").unwrap();
        let ci = NewToken::new("ci", TokenOwner::Person { role: Role::Viewer }).unwrap();
        let users = Users::parse(&format!("{ada}\n{}\n", ci.line)).unwrap();
        let found = users.named("Ada \"A\" L.").unwrap();
        assert_eq!(found.role, Role::Admin);
        assert!(verify("correct horse battery", found.password().unwrap()));
        assert!(!verify("correct horse batterz", found.password().unwrap()));
        assert_eq!(users.with_token(&ci.token).unwrap().role, Role::Viewer);
        // A token is not a password, and a person without a password cannot sign in.
        assert!(users.named("ci").is_none() && users.with_token("correct horse battery").is_none());
    }

    #[test]
    fn the_error_about_a_file_does_not_repeat_it() {
        let ada = user_line("ada", Role::Admin, "correct horse battery").unwrap();
        for wrong in
            ["- {name: a, role: admin, password: plain-secret", "- {name: a, secret: plain-secret}", "\tx"]
        {
            let error = Users::parse(&format!("{ada}\n{wrong}")).unwrap_err();
            assert!(!error.contains("argon2id") && !error.contains("plain-secret"), "{error}");
            assert!(error.contains("line 2"), "{error}");
        }
    }

    #[test]
    fn a_short_password_is_refused() {
        assert!(user_line("a", Role::Viewer, "elevenchars").is_err());
        assert!(user_line("a", Role::Viewer, &"x".repeat(1025)).is_err());
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_place() {
        let ada = user_line("ada", Role::Admin, "correct horse battery").unwrap();
        for (text, words) in [
            ("- {name: a, role: boss, password: x}".to_owned(), "boss"),
            ("- {name: a, role: admin, password: secret}".to_owned(), "user 1: password must be an Argon2id"),
            ("- {name: a, role: admin, sha256: abc}".to_owned(), "user 1: sha256"),
            ("- {name: a, role: admin}".to_owned(), "either password or sha256"),
            (format!("{ada}\n{ada}"), "user 2: \"ada\" has a password already"),
        ] {
            let error = Users::parse(&text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
