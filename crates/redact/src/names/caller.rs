//! Headers that name the caller, and headers that hold a credential.

use super::{Humps, NameContext, NameRules, words};
use crate::rules::{RuleId, RuleRegistry};

/// Whether a header holds a credential, by the built-in names of masked headers. Such a header must not name a consumer,
/// because the name of a consumer leaves the gateway in clear.
///
/// Gateways also set headers such as `x-auth-request-email` and `x-jwt-claim-sub`. The log masks them, in doubt, but they
/// name the caller. The end of a name decides: `x-auth-user` names a user, `x-user-auth` holds a credential.
pub fn is_credential_header(name: &str) -> bool {
    let mut rules = RuleRegistry::default();
    let mut names = NameRules::new(NameContext::Header);
    names.add_defaults(&mut rules);
    let also_names_caller = |rule: &RuleId| {
        rules.names().get(usize::from(rule.0)).is_some_and(|rule| CALLER_RULES.contains(&rule.as_str()))
    };
    let found = names.find(name).rules;
    let names_caller = found.iter().all(also_names_caller) && names_caller(name);
    !found.is_empty() && !names_caller
}

/// Whether a claim of a token, or another value by its name, holds a credential.
pub fn is_credential_claim(name: &str) -> bool {
    let read = words(name, Humps::Split);
    CREDENTIAL_CLAIMS.iter().any(|word| read.trim_matches('_') == *word) || is_credential_header(name)
}

/// Whether a cookie holds a credential. Most cookies that name anybody do, so the words of sessions count anywhere.
pub fn is_credential_cookie(name: &str) -> bool {
    let read = words(name, Humps::Split);
    read.split('_').any(|word| CREDENTIAL_COOKIES.contains(&word)) || is_credential_header(name)
}

/// The rules whose words also stand in names of headers that name the caller. All other rules refuse a header whatever
/// else is in its name.
const CALLER_RULES: &[&str] = &[
    "default:api_key",
    "default:auth",
    "default:credential",
    "default:jwt",
    "default:session",
    "default:token",
];

/// The last words of names of headers that name the caller.
const IDENTITY_WORDS: &[&str] = &[
    "account",
    "app",
    "application",
    "aud",
    "audience",
    "claim",
    "client",
    "consumer",
    "customer",
    "email",
    "group",
    "groups",
    "login",
    "name",
    "org",
    "organisation",
    "organization",
    "owner",
    "partner",
    "principal",
    "role",
    "roles",
    "sub",
    "subject",
    "tenant",
    "user",
    "username",
];

/// Words that name the caller only after one of [`IDENTITY_WORDS`]: the ID of a session or a token can be a credential.
const ID_WORDS: &[&str] = &["id", "identifier", "uid", "uuid"];

/// Names of claims that name no caller, although no rule masks them: a key, and the session ID of OpenID Connect.
const CREDENTIAL_CLAIMS: &[&str] = &["key", "sid"];

/// Words in the names of cookies that hold a session, besides those that mask a header: `connect.sid`, `sess`.
const CREDENTIAL_COOKIES: &[&str] =
    &["auth", "csrf", "jwt", "key", "remember", "sess", "session", "sid", "ssid", "token", "xsrf"];

/// Whether the end of a name is a word for an identity.
fn names_caller(name: &str) -> bool {
    let read = words(name, Humps::Keep);
    let is_word = |word: &&str| !word.is_empty() && !word.starts_with(char::is_numeric);
    let words: Vec<&str> = read.split('_').filter(is_word).collect();
    // Istio's documentation names headers `x-jwt-claim-…`. The name of the claim decides.
    if let Some((_, claim)) = read.split_once("_claim_")
        && let Some(last) = words.last()
        && *last != "claim"
    {
        return !CREDENTIAL_CLAIMS.contains(last) && !is_credential_header(claim);
    }
    match words.as_slice() {
        // Kong and others name the caller by the ID of the credential, which is not the credential.
        [.., "credential", "identifier"] | [.., "api", "key", "id"] | [.., "apikey", "id"] => true,
        [.., before, last] if ID_WORDS.contains(last) => IDENTITY_WORDS.contains(before),
        [.., last] => {
            let without_id = last.strip_suffix("id").unwrap_or(last);
            IDENTITY_WORDS.contains(last) || IDENTITY_WORDS.contains(&without_id)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_of_sessions_and_claims_with_credentials_are_known() {
        for cookie in [
            "session",
            "SID",
            "connect.sid",
            "JSESSIONID",
            "PHPSESSID",
            "ASP.NET_SessionId",
            "__Host-session",
            "token",
            "access_token",
            "XSRF-TOKEN",
            "laravel_session",
            "remember_me",
            "user_session",
            "sessionUser",
            "jwt",
            "auth",
        ] {
            assert!(is_credential_cookie(cookie), "{cookie}");
        }
        for cookie in ["uid", "user", "user_id", "customer", "tenant", "_ga", "author"] {
            assert!(!is_credential_cookie(cookie), "{cookie}");
        }
        for claim in
            ["sid", "key", "access_token", "accessToken", "session_id", "client_secret", "apiKey", "password"]
        {
            assert!(is_credential_claim(claim), "{claim}");
        }
        for claim in
            ["sub", "azp", "email", "client_id", "preferred_username", "https://example.com/tenant", "org"]
        {
            assert!(!is_credential_claim(claim), "{claim}");
        }
    }

    #[test]
    fn the_end_of_a_name_separates_credentials_from_identities() {
        for header in [
            "x-user-jwt",
            "x-group-jwt",
            "x-userjwt",
            "x-jwt-2",
            "x-user-session",
            "user-session-id",
            "x-user-session-id",
            "x-user-session-identifier",
            "x-user-session-uid",
            "x-user-sess-id",
            "x-user-sessionid",
            "x-user-sessid",
            "x-user-auth",
            "x-client-auth",
            "x-auth-user-key",
            "x-auth-user-hash",
            "x-auth-user-secret",
            "x-auth-user-password",
            "x-password-user",
            "x-authorization-user",
            "x-user-token",
            "x-token-id",
            "x-token-identifier",
            "x-auth-id",
            "x-user-api-key",
            "x-api-key",
            "x-access-key-id",
            "x-user-credential",
            "x-credential",
            "x-credential-id",
            "x-jwt-claim-session-id",
            "x-jwt-claim-sid",
            "x-jwt-claim-key",
            "x-jwt-claim-access-token",
            "x-jwt-claim-refresh-token-value",
            "x-token-claim-client-secret",
        ] {
            assert!(is_credential_header(header), "{header}");
        }
        for header in [
            "x-jwt-claim-sub",
            "x-jwt-claim-azp",
            "x-jwt-claim",
            "x-jwt-claim-client-id",
            "x-jwt-aud",
            "x-jwt-client-id",
            "x-auth-user",
            "X-Auth-User-2",
            "x-auth0-user-id",
            "x-auth-user-id",
            "x-auth-userid",
            "x-auth-user-uuid",
            "x-auth-request-user",
            "x-auth-request-email",
            "x-auth-request-preferred-username",
            "x-auth-request-groups",
            "x-auth-client-id",
            "x-auth-tenant",
            "x-auth-tenant-id",
            "x-auth-org-id",
            "x-auth-account",
            "x-auth-principal",
            "x-auth-role",
            "x-auth-consumer",
            "x-session-user",
            "x-credential-identifier",
            "x-credential-username",
            "x-api-key-id",
            "x-api-key-name",
            "x-apikey-owner",
            "x-token-claim-sub",
            "x-token-email",
            "x-consumer-id",
            "x-author",
            "x-amzn-oidc-identity",
            "x-ms-client-principal-name",
            "x-tokenizer",
        ] {
            assert!(!is_credential_header(header), "{header}");
        }
    }
}
