//! Who a person is and may be, from the claims of a token that was checked.

use super::id_token::Claims;
use super::settings::OidcConfig;
use crate::auth::{Role, token};
use serde_json::Value;

/// A person as the provider describes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// The provider's own identity of the person, which does not change.
    pub(crate) subject: String,
}

/// Why a person whom the provider knows may not sign in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdentityFault {
    #[error(
        "the provider gives no claim `{0}` with your name: an admin must choose another `person_claim`, or have the provider send it"
    )]
    NoName(String),
    #[error("your name at the provider has characters that are not allowed here, or is too long")]
    WrongName,
    #[error("the provider has not verified your e-mail address: verify it there, then sign in again")]
    Unverified,
    #[error("addresses of your e-mail domain may not sign in here")]
    Domain,
    #[error("you have no role here: ask an admin for it")]
    NoRole,
}

/// The person of a token, with the highest role that the configuration has for them.
pub(super) fn identify(config: &OidcConfig, claims: &Claims) -> Result<Identity, (IdentityFault, String)> {
    let name = claims.get(&config.person_claim).and_then(Value::as_str).unwrap_or_default();
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
    let refuse = |fault| (fault, if is_name(name) { name.to_owned() } else { String::new() });
    if name.is_empty() {
        return Err(refuse(IdentityFault::NoName(config.person_claim.clone())));
    }
    if !is_name(name) {
        return Err(refuse(IdentityFault::WrongName));
    }
    let by_email = config.person_claim == "email" || config.role_claim.as_deref() == Some("email");
    if (by_email || !config.domains.is_empty()) && !has_verified_email(claims) {
        return Err(refuse(IdentityFault::Unverified));
    }
    if !config.domains.is_empty() {
        let domain = claims.get("email").and_then(Value::as_str).and_then(domain);
        let is_allowed = |domain: &str| config.domains.iter().any(|known| known.eq_ignore_ascii_case(domain));
        if !domain.is_some_and(is_allowed) {
            return Err(refuse(IdentityFault::Domain));
        }
    }
    match role(config, claims) {
        Some(role) => Ok(Identity { name: name.to_owned(), role, subject }),
        None => Err(refuse(IdentityFault::NoRole)),
    }
}

fn role(config: &OidcConfig, claims: &Claims) -> Option<Role> {
    let claim = config.role_claim.as_deref().and_then(|name| match name.strip_prefix('/') {
        Some(pointer) => pointed(claims, pointer),
        None => claims.get(name),
    });
    let values: Vec<&str> = match claim {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_email = config.role_claim.as_deref() == Some("email");
    let stands_for = |known: &String, value: &str| match (is_email, known.strip_prefix('@')) {
        (true, Some(of)) => domain(value).is_some_and(|domain| of.eq_ignore_ascii_case(domain)),
        (true, None) => known.eq_ignore_ascii_case(value),
        (false, _) => known == value,
    };
    let has =
        |known: &[String]| known.iter().any(|known| values.iter().any(|value| stands_for(known, value)));
    let mapped = config.roles.each().into_iter().filter(|(.., known)| has(known)).map(|(role, ..)| role);
    mapped.max().or(config.default_role)
}

/// The value of a JSON pointer (RFC 6901) without its first slash.
fn pointed<'a>(claims: &'a Claims, pointer: &str) -> Option<&'a Value> {
    let (first, rest) = pointer.split_once('/').map_or((pointer, None), |(first, rest)| (first, Some(rest)));
    let value = claims.get(&first.replace("~1", "/").replace("~0", "~"))?;
    match rest {
        None => Some(value),
        Some(rest) => value.pointer(&format!("/{rest}")),
    }
}

/// Some providers write the truth value as a text.
fn has_verified_email(claims: &Claims) -> bool {
    match claims.get("email_verified") {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

fn domain(address: &str) -> Option<&str> {
    let (local, domain) = address.rsplit_once('@')?;
    (!local.is_empty() && !domain.is_empty()).then_some(domain)
}

/// A name that stands alone in a log line, and that reads in one direction: a person must not look like another one.
fn is_name(name: &str) -> bool {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    token::check_name("name", name).is_ok() && name.trim() == name && !name.chars().any(turns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(changes: Value) -> OidcConfig {
        let mut whole = json!({"issuer": "https://id.example", "client_id": "c", "person_claim": "name"});
        whole.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let config: OidcConfig = serde_json::from_value(whole).unwrap();
        config.check().unwrap();
        config
    }

    fn claims(changes: Value) -> Claims {
        let mut whole =
            json!({"sub": "s", "name": "Ada", "email": "ada@example.com", "email_verified": true});
        whole.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        whole.as_object().unwrap().clone()
    }

    #[test]
    fn the_highest_role_holds_and_nobody_has_one_by_chance() {
        let groups = json!({"role_claim": "groups", "roles": {"viewer": ["all"], "admin": ["ops", "sre"]}});
        let check = |config: &Value, changes: Value, role: Option<Role>| {
            let found = identify(&self::config(config.clone()), &claims(changes.clone()));
            let expected = role.ok_or(IdentityFault::NoRole);
            assert_eq!(
                found.map(|found| found.role).map_err(|(fault, _)| fault),
                expected,
                "{config} {changes}"
            );
        };
        check(&groups, json!({"groups": ["all", "ops"]}), Some(Role::Admin));
        check(&groups, json!({"groups": ["all"]}), Some(Role::Viewer));
        check(&groups, json!({"groups": "all"}), Some(Role::Viewer));
        for changes in [
            json!({}),
            json!({"groups": ["OPS", "al", ""]}),
            json!({"groups": {"all": 1}}),
            json!({"groups": [["all"], 7]}),
        ] {
            check(&groups, changes, None);
        }
        let mut or_viewer = groups.clone();
        or_viewer["default_role"] = json!("viewer");
        check(&or_viewer, json!({}), Some(Role::Viewer));
        check(&or_viewer, json!({"groups": ["sre"]}), Some(Role::Admin));

        let nested = json!({"role_claim": "/realm_access/roles", "roles": {"analyst": ["a"]}});
        check(&nested, json!({"realm_access": {"roles": ["a"]}}), Some(Role::Analyst));
        check(&nested, json!({"/realm_access/roles": ["a"], "realm_access": ["a"]}), None);
        let named = json!({"role_claim": "https://a.example/roles", "roles": {"analyst": ["a"]}});
        check(&named, json!({"https://a.example/roles": ["a"]}), Some(Role::Analyst));

        let email = json!({"role_claim": "email", "roles": {"viewer": ["@example.com"], "admin": ["Ada@example.com"]}});
        check(&email, json!({}), Some(Role::Admin));
        check(&email, json!({"email": "bob@EXAMPLE.com"}), Some(Role::Viewer));
        check(&email, json!({"email": "bob@sub.example.com"}), None);
        check(&email, json!({"email": "@example.com"}), None);
    }

    #[test]
    fn an_address_counts_when_the_provider_verified_it() {
        let check = |config: Value, changes: Value, expected: Result<(), IdentityFault>| {
            let mut whole = json!({"default_role": "viewer"});
            whole.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
            let found = identify(&self::config(whole), &claims(changes.clone()));
            assert_eq!(found.map(drop).map_err(|(fault, _)| fault), expected, "{config} {changes}");
        };
        let (by_email, by_domain) = (json!({"person_claim": "email"}), json!({"domains": ["Example.com"]}));
        for config in [&by_email, &by_domain] {
            check(config.clone(), json!({}), Ok(()));
            check(config.clone(), json!({"email_verified": "true"}), Ok(()));
            for unverified in [json!(false), json!("false"), json!(1), json!(null)] {
                check(config.clone(), json!({"email_verified": unverified}), Err(IdentityFault::Unverified));
            }
        }
        for email in [
            "ada@example.com.evil.example",
            "ada@evil-example.com",
            "example.com",
            "a@example.com@evil.example",
        ] {
            check(by_domain.clone(), json!({"email": email}), Err(IdentityFault::Domain));
        }
        check(json!({}), json!({"email_verified": false}), Ok(()));
    }

    #[test]
    fn a_name_is_one_that_reads_as_it_is() {
        let named = |name: Value| {
            let found = identify(&config(json!({"default_role": "viewer"})), &claims(json!({"name": name})));
            found.map(|found| found.name).map_err(|(fault, _)| fault)
        };
        assert_eq!(named(json!("Ada Ä.")), Ok("Ada Ä.".to_owned()));
        for wrong in ["a\nb", "a\u{202e}b", " ada", &"a".repeat(129)] {
            assert_eq!(named(json!(wrong)), Err(IdentityFault::WrongName), "{wrong:?}");
        }
        for missing in [json!(null), json!(7), json!(""), json!(["Ada"])] {
            assert!(matches!(named(missing), Err(IdentityFault::NoName(_))));
        }
    }
}
