//! Last words that make a name harmless: `token_type` and `cvc_check` describe a secret and do not hold it.

/// Last words after which every built-in name is harmless.
const HARMLESS: &[&str] = &[
    "age",
    "alg",
    "algorithm",
    "at",
    "attempts",
    "audience",
    "brand",
    "category",
    "changed",
    "check",
    "checked",
    "checks",
    "configured",
    "count",
    "counts",
    "country",
    "created",
    "currency",
    "date",
    "days",
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
    "format",
    "hours",
    "issuer",
    "kind",
    "length",
    "level",
    "lifetime",
    "limit",
    "limits",
    "location",
    "method",
    "methods",
    "minutes",
    "mode",
    "network",
    "policies",
    "policy",
    "present",
    "provided",
    "provider",
    "reason",
    "remaining",
    "requested",
    "required",
    "requirement",
    "requirements",
    "result",
    "results",
    "revoked",
    "rotated",
    "scheme",
    "scope",
    "scopes",
    "score",
    "seconds",
    "sent",
    "size",
    "status",
    "statuses",
    "strength",
    "supported",
    "time",
    "timeout",
    "timestamp",
    "total",
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
];

/// Last words after which the names of some rules are harmless. The ID of a session or of an access key, for example,
/// is a part of the credential, and so can be a file with a private key.
const HARMLESS_FOR: &[(&[&str], &[&str])] = &[
    (
        &["id", "ids"],
        &["default:token", "default:api_key", "default:authorization", "default:password", "default:jwt"],
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
    // The address of an endpoint. A link to reset a password is a credential itself.
    (&["url", "uri", "urls"], &["default:token", "default:authorization"]),
];

/// The last digits of a card or an account, which receipts show. Those of a social security number identify a person.
const LAST_DIGITS: (&[&str], &[&str]) = (
    &["_last_4_", "_last_four_", "_last_digits_"],
    &["default:card_number", "default:account_number", "default:iban", "default:routing_number"],
);

/// What stands before the last word of a normalised name, `_token_` of `_token_type_`, if that word makes the name
/// harmless under the rule.
pub(super) fn without<'n>(read: &'n str, rule: &str) -> Option<&'n str> {
    let words = read.strip_suffix('_')?;
    let (_, last) = words.rsplit_once('_')?;
    let before = words.strip_suffix(last)?;
    let is_harmless = HARMLESS.contains(&last)
        || last == "in" && (before.ends_with("_expires_") || before.ends_with("_valid_"))
        || HARMLESS_FOR.iter().any(|(lasts, rules)| lasts.contains(&last) && rules.contains(&rule));
    if is_harmless {
        return Some(before);
    }
    let (lasts, rules) = LAST_DIGITS;
    let last = lasts.iter().find(|last| rules.contains(&rule) && read.ends_with(*last))?;
    // The underscore before the last word belongs to both.
    read.get(..read.len().saturating_sub(last.len()).saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_decides() {
        let check = |read: &str, rule: &str, before: Option<&str>| {
            assert_eq!(without(read, rule), before, "{read} {rule}");
        };
        check("_token_type_", "default:token", Some("_token_"));
        check("_cvc_check_", "default:cvv", Some("_cvc_"));
        check("_token_expires_in_", "default:token", Some("_token_expires_"));
        check("_logged_in_", "default:token", None);
        check("_type_", "default:token", Some("_"));
        check("_token_id_", "default:token", Some("_token_"));
        check("_secret_id_", "default:secret", None);
        check("_session_id_", "default:session", None);
        check("_card_number_last_4_", "default:card_number", Some("_card_number_"));
        check("_ssn_last_4_", "default:ssn", None);
        check("_token_", "default:token", None);
        check("_", "default:token", None);
        check("", "default:token", None);
    }
}
