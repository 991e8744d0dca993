//! The built-in names.

use super::NameContext;
use Match::{Anywhere, Ending, Whole, Word, Words};
use NameContext::{Header, Key, Query};

/// How a built-in name is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Match {
    /// As a word.
    Word(&'static str),
    /// As words in this order; then the same at one stretch.
    Words(&'static str, &'static str),
    /// As the end of a word.
    Ending(&'static str),
    /// Anywhere, even across words.
    Anywhere(&'static str),
    /// As the whole name.
    Whole(&'static str),
}

/// The rule's name, how it is looked for, where it applies. A rule can have several entries, for different places.
///
/// Headers and query parameters: the names of the OpenTelemetry conventions and the words that credentials go by.
/// Members: what `docs/redaction.md` lists. `tokens` is left alone on purpose, for it mostly counts them; so is a member
/// `session`, which mostly is an object of harmless data.
pub(super) const DEFAULTS: &[(&str, &[Match], &[NameContext])] = &[
    (
        "default:password",
        &[
            Anywhere("password"),
            Anywhere("passwd"),
            Anywhere("passphrase"),
            Ending("pwd"),
            Words("pass_code", "passcode"),
            Ending("passcode"),
        ],
        EVERYWHERE,
    ),
    (
        "default:secret",
        &[Ending("secret"), Ending("secrets"), Ending("secretkey"), Ending("secretaccesskey")],
        EVERYWHERE,
    ),
    ("default:token", &[Ending("token")], EVERYWHERE),
    ("default:jwt", &[Ending("jwt")], EVERYWHERE),
    (
        "default:api_key",
        &[
            Words("api_key", "apikey"),
            Words("api_keys", "apikeys"),
            Ending("apikey"),
            Ending("apikeys"),
            // Those of RapidAPI and Azure, which are no words of their own before the `key`.
            Words("rapidapi_key", "rapidapikey"),
            Words("subscription_key", "subscriptionkey"),
        ],
        EVERYWHERE,
    ),
    (
        "default:access_key",
        &[
            Words("access_key", "accesskey"),
            Words("access_keys", "accesskeys"),
            Ending("accesskey"),
            Ending("accesskeys"),
            Ending("accesskeyid"),
        ],
        EVERYWHERE,
    ),
    (
        "default:private_key",
        &[
            Words("private_key", "privatekey"),
            Words("private_keys", "privatekeys"),
            Ending("privatekey"),
            Ending("privatekeys"),
        ],
        EVERYWHERE,
    ),
    ("default:credential", &[Ending("credential")], EVERYWHERE),
    // `access-control-allow-credentials` holds none.
    ("default:credential", &[Ending("credentials")], &[Query, Key]),
    ("default:assertion", &[Ending("assertion")], EVERYWHERE),
    // What says who the caller is, by names that do not say so.
    ("default:assertion", &[Whole("dpop"), Whole("xamznoidcdata"), Whole("xmsclientprincipal")], &[Header]),
    ("default:assertion", &[Whole("samlresponse")], &[Query]),
    ("default:authorization", &[Word("authorization")], EVERYWHERE),
    ("default:auth", &[Word("auth")], &[Header, Query]),
    ("default:session", &[Word("session")], &[Header, Query]),
    (
        "default:session",
        &[
            Words("session_id", "sessionid"),
            Ending("sessionid"),
            Words("sess_id", "sessid"),
            Ending("sessid"),
        ],
        EVERYWHERE,
    ),
    ("default:cookie", &[Ending("cookie"), Ending("cookies")], &[Header, Key]),
    ("default:signature", &[Word("signature"), Word("sig")], &[Query]),
    ("default:code", &[Whole("code"), Whole("codeverifier"), Whole("oauthverifier")], &[Query]),
    ("default:otp", &[Whole("otp")], &[Query, Key]),
    (
        "default:card_number",
        &[
            Words("card_number", "cardnumber"),
            Ending("cardnumber"),
            Words("cc_number", "ccnumber"),
            // Not as an ending: `accnumber` is an account's.
            Word("ccnumber"),
        ],
        &[Query, Key],
    ),
    (
        "default:cvv",
        &[
            Ending("cvv"),
            Ending("cvc"),
            Ending("ccv"),
            Words("security_code", "securitycode"),
            Ending("securitycode"),
        ],
        &[Query, Key],
    ),
    (
        "default:ssn",
        &[Ending("ssn"), Anywhere("socialsecuritynumber"), Whole("socialsecurity")],
        &[Query, Key],
    ),
];

const EVERYWHERE: &[NameContext] = &[Header, Query, Key];

impl Match {
    /// What every name that matches contains, when only letters and digits are left of it.
    pub(super) fn squashed(&self) -> &'static str {
        match self {
            Self::Word(text)
            | Self::Words(_, text)
            | Self::Ending(text)
            | Self::Anywhere(text)
            | Self::Whole(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::NameRules;
    use super::*;
    use crate::rules::RuleRegistry;

    /// The first rule for each name in each place; none for the harmless ones.
    #[track_caller]
    fn check(place: NameContext, cases: &[(&str, &[&str])]) {
        let mut rules = RuleRegistry::default();
        let mut names = NameRules::new(place);
        names.add_defaults(&mut rules);
        for (rule, spellings) in cases {
            for name in *spellings {
                let found: Vec<_> =
                    names.rules_for(name).iter().map(|rule| &*rules.names()[usize::from(rule.0)]).collect();
                assert_eq!(found.first().copied().unwrap_or(""), *rule, "{place:?} {name}");
                let once: BTreeSet<_> = found.iter().collect();
                assert_eq!(found.len(), once.len(), "{place:?} {name}: {found:?}");
            }
        }
    }

    #[test]
    fn in_any_place() {
        for place in [Header, Query, Key] {
            check(
                place,
                &[
                    (
                        "default:password",
                        &[
                            "password",
                            "password_hash",
                            "oldpassword",
                            "pass_word",
                            "PaSsWoRd",
                            "userpasswd",
                            "db_pwd",
                            "passphrase",
                            "pass-phrase",
                            "key_passphrase",
                            "Passcode",
                            "pass_code",
                            "device-passcode",
                            "userpasscode",
                        ],
                    ),
                    ("default:secret", &["client-secret", "secretkey", "app_secrets"]),
                    ("default:token", &["access_token", "accesstoken", "x-csrf-token"]),
                    ("default:jwt", &["jwt", "JWT", "x-jwt", "user_jwt", "idjwt", "jwt-payload"]),
                    ("default:api_key", &["api_key", "apikey", "APIKEY", "x.api.key", "X-API-Keys"]),
                    (
                        "default:access_key",
                        &["access_key", "accesskey", "aws-access-key-id", "awsaccesskeyid", "Access-Keys"],
                    ),
                    (
                        "default:private_key",
                        &["private_key", "privatekey", "ssh-private-key", "rsaprivatekey", "private_key_id"],
                    ),
                    (
                        "default:credential",
                        &["credential", "X-Amz-Credential", "usercredential", "db_credential"],
                    ),
                    (
                        "default:assertion",
                        &["assertion", "client_assertion", "clientassertion", "x-assertion"],
                    ),
                    ("default:authorization", &["authorization", "Proxy-Authorization"]),
                    ("default:session", &["session_id", "sessionid", "JSESSIONID", "PHPSESSID", "sess-id"]),
                    (
                        "",
                        &[
                            "",
                            "id",
                            "name",
                            "author",
                            "x-author",
                            "authority",
                            "x-tokenizer",
                            "tokens",
                            "total_tokens",
                            "secretary",
                            "compass",
                            "passenger",
                            "passport",
                            "pass",
                            "keyboard",
                            "monkey",
                            "key",
                            "key_id",
                            "access",
                            "accessed_at",
                            "private",
                            "private_keyboard",
                            "price",
                            "principal",
                            "created_at",
                            "credit",
                            "credentialing",
                            "assert",
                            "assertions",
                            "asset",
                            "sessions",
                            "obsession_idea",
                            "addresses",
                            "lesson",
                            "country_code",
                            "otpauth",
                            "sid",
                            "pin",
                            "ticket",
                            "class",
                        ],
                    ),
                ],
            );
        }
    }

    #[test]
    fn in_headers() {
        check(
            Header,
            &[
                ("default:cookie", &["COOKIE", "Set-Cookie", "cookie2", "x-cookies"]),
                ("default:api_key", &["X-RapidAPI-Key", "Ocp-Apim-Subscription-Key"]),
                ("default:secret", &["SecretKey"]),
                ("default:token", &["x-authtoken"]),
                ("default:auth", &["x-auth-user"]),
                ("default:session", &["x-session"]),
                ("default:assertion", &["DPoP", "x-amzn-oidc-data", "X-MS-Client-Principal"]),
                ("default:jwt", &["x-goog-iap-jwt-assertion"]),
                (
                    "",
                    &[
                        "content-type",
                        "user-agent",
                        "access-control-allow-credentials",
                        "code",
                        "dpop-nonce",
                        "x-amzn-oidc-identity",
                        "x-ms-client-principal-name",
                        "sec-websocket-key",
                    ],
                ),
            ],
        );
    }

    #[test]
    fn in_queries() {
        check(
            Query,
            &[
                ("default:signature", &["sig", "X-Amz-Signature"]),
                ("default:code", &["code", "code_verifier", "codeVerifier", "oauth_verifier"]),
                ("default:credential", &["X-Goog-Credential", "usercredentials"]),
                ("default:access_key", &["AWSAccessKeyId"]),
                ("default:auth", &["auth"]),
                ("default:session", &["session"]),
                ("default:assertion", &["SAMLResponse"]),
                ("default:otp", &["otp", "OTP"]),
                ("default:password", &["user[password]"]),
                ("default:cvv", &["cvv", "securityCode"]),
                ("", &["page", "design", "q", "verifier", "SAMLRequest", "otp_sent"]),
            ],
        );
    }

    #[test]
    fn in_bodies() {
        check(
            Key,
            &[
                ("default:password", &["newPassword", "userPasswd", "passwordConfirmation", "passPhrase"]),
                ("default:secret", &["clientSecret"]),
                ("default:token", &["refreshToken"]),
                ("default:jwt", &["userJWT", "jwtBearer"]),
                ("default:api_key", &["apiKey", "APIKey", "api-key", "Api Key", "myApiKey", "aPiKeY"]),
                ("default:access_key", &["accessKey", "AccessKeyId", "s3AccessKeys"]),
                ("default:private_key", &["privateKey", "PrivateKey", "sshPrivateKeyPem", "PRIVATE KEY"]),
                ("default:credential", &["credentials", "userCredentials", "credentialId"]),
                ("default:assertion", &["clientAssertion", "samlAssertion"]),
                ("default:authorization", &["Authorization"]),
                ("default:session", &["sessionId", "SessionID", "userSessionId", "sessid"]),
                (
                    "default:cookie",
                    &["cookie", "cookies", "set-cookie", "setCookie", "setcookie", "sessionCookie"],
                ),
                ("default:otp", &["otp", "OTP"]),
                (
                    "default:card_number",
                    &[
                        "card_number",
                        "cardNumber",
                        "CardNumber",
                        "card-number",
                        "card number",
                        "cardnumber",
                        "credit_card_number",
                        "creditCardNumber",
                        "CARDNUMBER",
                        "ccNumber",
                        "cc_number",
                        "ccnumber",
                        "cc-number",
                    ],
                ),
                (
                    "default:cvv",
                    &[
                        "cvv",
                        "CVC",
                        "cvv2",
                        "card_cvv",
                        "cardcvv",
                        "ccv",
                        "cardSecurityCode",
                        "security_code",
                        "securitycode",
                    ],
                ),
                (
                    "default:ssn",
                    &[
                        "ssn",
                        "userSSN",
                        "userssn",
                        "social_security_number",
                        "socialSecurityNumber",
                        "socialsecurity",
                    ],
                ),
                (
                    "",
                    &[
                        "number",
                        "card",
                        "code",
                        "session",
                        "auth",
                        "signature",
                        "classname",
                        "accNumber",
                        "accnumber",
                        "accountNumber",
                        "socialSecurityOffice",
                        "security",
                        "secureCode",
                        "hotpot",
                        "coordinates",
                        "createdAt",
                        "privateNote",
                        "accessLevel",
                        "sessionIdle",
                    ],
                ),
            ],
        );
    }
}
