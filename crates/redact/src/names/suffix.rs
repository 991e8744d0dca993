//! Last words that make a name harmless: `token_type` and `cvc_check` describe a secret and do not hold it.

/// Last words after which every built-in name is harmless. Sorted.
const HARMLESS: &[&str] = &[
    "age",
    "alg",
    "algorithm",
    "at",
    "attempts",
    "audience",
    "available",
    "bin",
    "brand",
    "category",
    "changed",
    "check",
    "checked",
    "checks",
    "configured",
    "count",
    "country",
    "counts",
    "created",
    "currency",
    "date",
    "days",
    "decision",
    "disabled",
    "enabled",
    "endpoint",
    "endpoints",
    "enforcement",
    "error",
    "errors",
    "exists",
    "expiration",
    "expired",
    "expires",
    "expiry",
    "field",
    "fields",
    "format",
    "hour",
    "hours",
    "indicator",
    "issuer",
    "kind",
    "label",
    "length",
    "level",
    "lifetime",
    "limit",
    "limits",
    "location",
    "mask",
    "match",
    "method",
    "methods",
    "minutes",
    "mode",
    "namespace",
    "network",
    "order",
    "policies",
    "policy",
    "prefix",
    "prefixes",
    "present",
    "provided",
    "provider",
    "rate",
    "rationale",
    "reason",
    "registrar",
    "remaining",
    "requested",
    "requestor",
    "required",
    "requirement",
    "requirements",
    "result",
    "results",
    "revoked",
    "rotated",
    "scan",
    "scanning",
    "scans",
    "scheme",
    "schemes",
    "scope",
    "scopes",
    "score",
    "seconds",
    "selector",
    "sent",
    "size",
    "source",
    "status",
    "statuses",
    "strength",
    "summary",
    "support",
    "supported",
    "time",
    "timeout",
    "timestamp",
    "tip",
    "total",
    "trigger",
    "ttl",
    "type",
    "types",
    "until",
    "updated",
    "usage",
    "used",
    "valid",
    "validated",
    "verified",
    "version",
    "window",
];

/// Last words after which the names of some rules are harmless. The ID of a session or of an access key, for example,
/// is a part of the credential, and so can be a file with a private key.
const HARMLESS_FOR: &[(&[&str], &[&str])] = &[
    (
        &["id", "ids", "sid", "sids"],
        &[
            "default:token",
            "default:api_key",
            "default:authorization",
            "default:password",
            "default:jwt",
            "default:account_number",
            "default:code",
        ],
    ),
    (
        &["name", "names", "arn", "ref", "refs", "reference", "path"],
        &[
            "default:token",
            "default:secret",
            "default:password",
            "default:credential",
            "default:api_key",
            "default:jwt",
        ],
    ),
    // Twilio's word for an identifier. A session of Express has one, too, which is a credential.
    (&["sid", "sids"], &["default:credential", "default:key", "default:secret"]),
    // The address of an endpoint. A link to reset a password is a credential itself.
    (&["url", "uri", "urls"], &["default:token", "default:authorization"]),
];

/// Last words that make every built-in name harmless after another word: `token_expires_in`, `authorization_response_code`.
const HARMLESS_AFTER: &[(&str, &[&str])] = &[
    ("id", &["version"]),
    ("in", &["expires", "valid"]),
    ("code", &["decision", "error", "rationale", "reason", "response", "result"]),
    ("raw", &["result"]),
    ("value", &["check"]),
];

/// The last digits of a card or an account, which receipts show. Those of a social security number identify a person.
const LAST_DIGITS: (&[&str], &[&str]) = (
    &["_last_4_", "_last_four_", "_last_eight_", "_last_digits_", "_last_chars_", "_suffix_"],
    &[
        "default:card_number",
        "default:account_number",
        "default:iban",
        "default:routing_number",
        "default:token",
    ],
);

/// What stands before the last word of a normalised name, `_token_` of `_token_type_`, if that word makes the name
/// harmless under the rule.
pub(super) fn without<'n>(read: &'n str, rule: &str) -> Option<&'n str> {
    let (before, last) = before_last(read)?;
    if rule == "default:date_of_birth" && matches!(last, "date" | "time") {
        return None;
    }
    // Forms have a password in `password_field`, and ask for it a second time in `password_check`.
    if rule == "default:password" && matches!(last, "check" | "field" | "match") {
        return None;
    }
    let is_harmless = HARMLESS.binary_search(&last).is_ok()
        || rule == "default:secret" && read.contains("_secret_scanning_")
        || HARMLESS_AFTER.iter().any(|(word, after)| {
            *word == last && before.strip_suffix('_').is_some_and(|before| ends_with_word(before, after))
        })
        || HARMLESS_FOR.iter().any(|(lasts, rules)| lasts.contains(&last) && rules.contains(&rule));
    if is_harmless {
        return Some(before);
    }
    let (lasts, rules) = LAST_DIGITS;
    let last = lasts.iter().find(|last| rules.contains(&rule) && read.ends_with(*last))?;
    // The underscore before the last word belongs to both.
    read.get(..read.len().saturating_sub(last.len()).saturating_add(1))
}

/// Last words of names that hold the secret itself, although another word comes first: `private_key_data`. Sorted.
const CARRIERS: &[&str] = &[
    "again",
    "base",
    "block",
    "body",
    "confirm",
    "confirmation",
    "content",
    "current",
    "data",
    "encrypted",
    "file",
    "hash",
    "hashes",
    "history",
    "id",
    "ids",
    "json",
    "jwk",
    "jwks",
    "key",
    "keys",
    "list",
    "material",
    "new",
    "old",
    "pair",
    "pairs",
    "pem",
    "plain",
    "plaintext",
    "previous",
    "raw",
    "repeat",
    "salt",
    "string",
    "text",
    "value",
    "values",
];

/// First words of names of actions and of links to them. Sorted.
const VERBS: &[&str] = &[
    "change", "check", "disable", "enable", "expire", "forget", "forgot", "generate", "include", "request",
    "require", "reset", "revoke", "rotate", "unlock",
];

/// What stands before the last word of a normalised name, if that word is not known to leave the secret in the value:
/// `_token_` of `_token_info_`.
pub(super) fn described(read: &str) -> Option<&str> {
    let (before, last) = before_last(read)?;
    (!is_carrier(last)).then_some(before)
}

/// What stands before the last word of a normalised name, if that word leaves the secret in the value: `_token_` of
/// `_token_hash_`.
pub(super) fn carried(read: &str) -> Option<&str> {
    let (before, last) = before_last(read)?;
    is_carrier(last).then_some(before)
}

fn is_carrier(last: &str) -> bool {
    last.bytes().all(|byte| byte.is_ascii_digit()) || CARRIERS.binary_search(&last).is_ok()
}

fn before_last(read: &str) -> Option<(&str, &str)> {
    let words = read.strip_suffix('_')?;
    let (_, last) = words.rsplit_once('_')?;
    Some((words.strip_suffix(last)?, last))
}

/// Whether a normalised name begins with a verb: `_change_password_`.
pub(super) fn is_action(read: &str) -> bool {
    let first = read.strip_prefix('_').and_then(|read| read.split_once('_'));
    first.is_some_and(|(first, rest)| !rest.is_empty() && VERBS.binary_search(&first).is_ok())
}

fn ends_with_word(read: &str, words: &[&str]) -> bool {
    read.rsplit('_').next().is_some_and(|last| words.contains(&last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted() {
        for list in [HARMLESS, CARRIERS, VERBS] {
            assert!(list.is_sorted(), "{list:?}");
        }
    }

    #[test]
    fn the_last_word_decides() {
        let check = |read: &str, rule: &str, before: Option<&str>| {
            assert_eq!(without(read, rule), before, "{read} {rule}");
        };
        check("_token_type_", "default:token", Some("_token_"));
        check("_cvc_check_", "default:cvv", Some("_cvc_"));
        check("_password_check_", "default:password", None);
        check("_password_match_", "default:password", None);
        check("_password_verification_", "default:password", None);
        check("_token_expires_in_", "default:token", Some("_token_expires_"));
        check("_logged_in_", "default:token", None);
        check("_type_", "default:token", Some("_"));
        check("_token_id_", "default:token", Some("_token_"));
        check("_secret_id_", "default:secret", None);
        check("_session_id_", "default:session", None);
        check("_card_number_last_4_", "default:card_number", Some("_card_number_"));
        check("_ssn_last_4_", "default:ssn", None);
        check("_dob_status_", "default:date_of_birth", Some("_dob_"));
        check("_dob_date_", "default:date_of_birth", None);
        check("_secret_scanning_push_protection_", "default:secret", Some("_secret_scanning_push_"));
        check("_token_", "default:token", None);
        check("_", "default:token", None);
        check("", "default:token", None);
    }
}
