//! The built-in names.

use super::{Extent, NameContext};
use Match::{Anywhere, Ending, Phrase, Sole, Whole, Word, Words};
use NameContext::{Header, Key, Query};

/// How a built-in name is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Match {
    /// As a word.
    Word(&'static str),
    /// As words in this order; then the same at one stretch. The words can be divided between a name and the name around
    /// it.
    Words(&'static str, &'static str),
    /// As words in this order, within one name; then the same at one stretch.
    Phrase(&'static str, &'static str),
    /// As the end of a word.
    Ending(&'static str),
    /// Anywhere, even across words.
    Anywhere(&'static str),
    /// As the whole name, also of a member of a form: `user[otp]`.
    Whole(&'static str),
    /// As the whole name of a parameter, which has no name around it.
    Sole(&'static str),
}

/// A built-in rule. Several of these can have the same name, for different places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Default {
    pub(super) rule: &'static str,
    pub(super) matches: &'static [Match],
    pub(super) places: &'static [NameContext],
    pub(super) extent: Extent,
}

const fn secret(rule: &'static str, matches: &'static [Match], places: &'static [NameContext]) -> Default {
    Default { rule, matches, places, extent: Extent::Secret }
}

const fn identity(rule: &'static str, matches: &'static [Match]) -> Default {
    Default { rule, matches, places: FIELDS, extent: Extent::Identity }
}

const EVERYWHERE: &[NameContext] = &[Header, Query, Key];

/// Parameters, fields of forms, and members of bodies.
const FIELDS: &[NameContext] = &[Query, Key];

pub(super) const DEFAULTS: &[&[Default]] = &[SECRETS, IDENTITIES];

/// Names of what lets its bearer act: credentials, and what a payment with a card needs.
///
/// Headers and query parameters: the names of the OpenTelemetry conventions and the words that credentials go by.
/// Members: what `docs/redaction.md` lists. `tokens` is left alone on purpose, for it mostly counts them; so is a member
/// `session`, which mostly is an object of harmless data.
const SECRETS: &[Default] = &[
    secret(
        "default:password",
        &[
            Anywhere("password"),
            Anywhere("passwd"),
            Anywhere("passphrase"),
            Ending("pwd"),
            Words("pass_code", "passcode"),
            Ending("passcode"),
            Ending("passcodes"),
        ],
        EVERYWHERE,
    ),
    // Within `login`, `auth` and the like, where libraries of SMTP and databases have it.
    secret(
        "default:password",
        &[
            Words("auth_pass", "authpass"),
            Words("login_pass", "loginpass"),
            Words("smtp_pass", "smtppass"),
            Words("db_pass", "dbpass"),
            // Within `change_password` and the like, whose object is searched.
            Words("password_current", "passwordcurrent"),
            Words("password_new", "passwordnew"),
            Words("password_old", "passwordold"),
            Words("password_confirmation", "passwordconfirmation"),
            Words("password_value", "passwordvalue"),
        ],
        FIELDS,
    ),
    secret(
        "default:secret",
        &[Ending("secret"), Ending("secrets"), Ending("secretkey"), Ending("secretaccesskey")],
        EVERYWHERE,
    ),
    secret("default:token", &[Ending("token")], EVERYWHERE),
    // Within `token_info` and `secret_details`, whose object is searched.
    secret("default:token", &[Words("token_value", "tokenvalue")], FIELDS),
    secret("default:secret", &[Words("secret_value", "secretvalue")], FIELDS),
    // Other plurals are mostly counts.
    identity(
        "default:token",
        &[
            Words("access_tokens", "accesstokens"),
            Words("auth_tokens", "authtokens"),
            Words("public_tokens", "publictokens"),
            Words("refresh_tokens", "refreshtokens"),
            Words("report_tokens", "reporttokens"),
            Words("session_tokens", "sessiontokens"),
        ],
    ),
    secret("default:jwt", &[Ending("jwt")], EVERYWHERE),
    secret(
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
    secret(
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
    secret(
        "default:private_key",
        &[
            Words("private_key", "privatekey"),
            Words("private_keys", "privatekeys"),
            Ending("privatekey"),
            Ending("privatekeys"),
        ],
        EVERYWHERE,
    ),
    // Keys that are not named by the words above.
    secret(
        "default:key",
        &[
            Words("account_key", "accountkey"),
            Words("aes_key", "aeskey"),
            Words("cipher_key", "cipherkey"),
            Words("client_key", "clientkey"),
            Words("signature_key", "signaturekey"),
            Words("jit_config", "jitconfig"),
            Words("service_account_json", "serviceaccountjson"),
            Word("psk"),
            Whole("pem"),
            Word("salt"),
            Word("jwe"),
            Words("auth_key", "authkey"),
            Words("decryption_key", "decryptionkey"),
            Words("encryption_key", "encryptionkey"),
            Words("hmac_key", "hmackey"),
            Phrase("license_key", "licensekey"),
            Words("master_key", "masterkey"),
            Words("session_key", "sessionkey"),
            Words("shared_key", "sharedkey"),
            Words("signing_key", "signingkey"),
            Words("tls_key", "tlskey"),
            Words("webhook_key", "webhookkey"),
            Words("connection_string", "connectionstring"),
            Whole("dockerconfigjson"),
        ],
        FIELDS,
    ),
    secret("default:credential", &[Ending("credential")], EVERYWHERE),
    // `access-control-allow-credentials` holds none.
    secret("default:credential", &[Ending("credentials")], FIELDS),
    secret("default:assertion", &[Ending("assertion")], EVERYWHERE),
    // What says who the caller is, by names that do not say so.
    secret(
        "default:assertion",
        &[Whole("dpop"), Whole("xamznoidcdata"), Whole("xmsclientprincipal")],
        &[Header],
    ),
    secret("default:assertion", &[Sole("samlresponse")], &[Query]),
    secret("default:authorization", &[Word("authorization")], EVERYWHERE),
    secret("default:auth", &[Word("auth")], &[Header, Query]),
    secret("default:session", &[Word("session")], &[Header, Query]),
    secret(
        "default:session",
        &[
            // Not divided: the ID of an object `session` mostly is not a credential.
            Phrase("session_id", "sessionid"),
            Ending("sessionid"),
            Phrase("sess_id", "sessid"),
            Ending("sessid"),
        ],
        EVERYWHERE,
    ),
    secret("default:cookie", &[Ending("cookie"), Ending("cookies")], &[Header, Key]),
    secret("default:signature", &[Word("signature"), Word("sig")], &[Query]),
    secret("default:code", &[Sole("code"), Sole("codeverifier"), Sole("oauthverifier")], &[Query]),
    secret(
        "default:code",
        &[
            Words("access_code", "accesscode"),
            Words("activation_code", "activationcode"),
            Words("auth_code", "authcode"),
            Words("code_verifier", "codeverifier"),
            Words("blik_code", "blikcode"),
            Words("device_code", "devicecode"),
            Words("registration_code", "registrationcode"),
            Words("reset_code", "resetcode"),
        ],
        FIELDS,
    ),
    secret(
        "default:otp",
        &[
            Word("otp"),
            Word("totp"),
            Word("hotp"),
            Words("mfa_code", "mfacode"),
            Words("one_time_code", "onetimecode"),
            Words("otp_code", "otpcode"),
            Words("sms_code", "smscode"),
            Ending("smscode"),
            Words("two_factor_code", "twofactorcode"),
            Words("validation_code", "validationcode"),
            Words("verification_code", "verificationcode"),
            Words("recovery_code", "recoverycode"),
            Words("recovery_codes", "recoverycodes"),
            Words("backup_code", "backupcode"),
            Words("backup_codes", "backupcodes"),
        ],
        FIELDS,
    ),
    secret("default:nonce", &[Ending("nonce")], FIELDS),
    secret("default:pin", &[Word("pin"), Words("pin_code", "pincode")], FIELDS),
    secret(
        "default:security_answer",
        &[
            Words("security_answer", "securityanswer"),
            Words("security_answers", "securityanswers"),
            Words("secret_answer", "secretanswer"),
            Words("question_answer", "questionanswer"),
            Words("maiden_name", "maidenname"),
        ],
        FIELDS,
    ),
    secret(
        "default:card_number",
        &[
            Words("card_number", "cardnumber"),
            Ending("cardnumber"),
            Words("cc_number", "ccnumber"),
            // Not as an ending: `accnumber` is an account's.
            Word("ccnumber"),
            Words("card_no", "cardno"),
            Words("card_pan", "cardpan"),
            Whole("pan"),
            Words("encrypted_card", "encryptedcard"),
            Words("emv_data", "emvdata"),
            Words("emv_auth_data", "emvauthdata"),
            Words("track_data", "trackdata"),
            Words("track_value", "trackvalue"),
            Words("payment_method_number", "paymentmethodnumber"),
        ],
        FIELDS,
    ),
    secret(
        "default:cvv",
        &[
            Ending("cvv"),
            Ending("cvc"),
            Ending("ccv"),
            Words("security_code", "securitycode"),
            Ending("securitycode"),
            Word("cvn"),
            Words("card_code", "cardcode"),
            Phrase("card_verification", "cardverification"),
        ],
        FIELDS,
    ),
    secret(
        "default:ssn",
        &[Ending("ssn"), Anywhere("socialsecuritynumber"), Whole("socialsecurity")],
        FIELDS,
    ),
];

/// Names of what identifies a person to a bank or to a government.
const IDENTITIES: &[Default] = &[
    identity(
        "default:account_number",
        &[
            Words("account_number", "accountnumber"),
            Ending("accountnumber"),
            Words("account_no", "accountno"),
            Words("acct_number", "acctnumber"),
            Words("acct_no", "acctno"),
            Words("bank_number", "banknumber"),
            Words("ach_account", "achaccount"),
            Words("bacs_account", "bacsaccount"),
            Words("eft_account", "eftaccount"),
        ],
    ),
    identity("default:iban", &[Word("iban")]),
    identity(
        "default:routing_number",
        &[
            Words("routing_number", "routingnumber"),
            Ending("routingnumber"),
            Words("routing_numbers", "routingnumbers"),
            Words("ach_routing", "achrouting"),
            Words("wire_routing", "wirerouting"),
            Words("sort_code", "sortcode"),
            Words("bank_identification_number", "bankidentificationnumber"),
            Words("transit_number", "transitnumber"),
            Word("bsb"),
        ],
    ),
    identity(
        "default:id_number",
        &[
            Words("id_number", "idnumber"),
            Words("id_numbers", "idnumbers"),
            Words("identification_number", "identificationnumber"),
            Words("identity_number", "identitynumber"),
            Words("national_id", "nationalid"),
            Words("national_insurance", "nationalinsurance"),
            Words("government_id", "governmentid"),
            Words("passport_number", "passportnumber"),
            Words("passport_no", "passportno"),
            Words("passport_id", "passportid"),
            Words("license_number", "licensenumber"),
            Words("licence_number", "licencenumber"),
            Words("drivers_license", "driverslicense"),
            Words("driver_license", "driverlicense"),
            Words("driving_licence", "drivinglicence"),
            Words("document_number", "documentnumber"),
        ],
    ),
    identity(
        "default:tax_id",
        &[
            Words("tax_id", "taxid"),
            Words("tax_number", "taxnumber"),
            Words("taxpayer_id", "taxpayerid"),
            Words("taxpayer_identifier", "taxpayeridentifier"),
            Word("tin"),
            Word("itin"),
            Word("ein"),
            Word("cpf"),
        ],
    ),
    identity(
        "default:date_of_birth",
        &[
            Word("dob"),
            Words("date_of_birth", "dateofbirth"),
            Words("dates_of_birth", "datesofbirth"),
            Words("birth_date", "birthdate"),
            Word("birthdate"),
            Word("birthday"),
        ],
    ),
];

impl Match {
    /// What every name that matches contains, when only letters and digits are left of it.
    pub(super) fn squashed(&self) -> &'static str {
        match self {
            Self::Word(text)
            | Self::Words(_, text)
            | Self::Phrase(_, text)
            | Self::Ending(text)
            | Self::Anywhere(text)
            | Self::Whole(text)
            | Self::Sole(text) => text,
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
                    names.find(name).rules.iter().map(|rule| &*rules.names()[usize::from(rule.0)]).collect();
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
                ("default:account_number", &["account_number", "accounts[0][number]", "account.number"]),
                (
                    "",
                    &[
                        "page",
                        "design",
                        "q",
                        "verifier",
                        "SAMLRequest",
                        "otp_sent",
                        "user[code]",
                        "user[SAMLResponse]",
                        "token_type",
                        "session_count",
                    ],
                ),
            ],
        );
    }

    /// Words at the end that describe a secret and do not hold it.
    #[test]
    fn last_words_that_make_names_harmless() {
        for place in [Query, Key] {
            check(
                place,
                &[
                    (
                        "",
                        &[
                            "token_type",
                            "tokenType",
                            "TOKEN-TYPE",
                            "cvc_check",
                            "cvcCheck",
                            "authorization_method",
                            "password_updated_at",
                            "passwordStrength",
                            "api_key_count",
                            "token_expires_in",
                            "secret_status",
                            "id_number_provided",
                            "account_number_type",
                            "account_number_last4",
                            "cardNumberLast4",
                            "token_id",
                            "secretName",
                            "access_token_url",
                            "pin_status",
                            "nonce_method",
                            "card[cvc_check]",
                            "dob_status",
                        ],
                    ),
                    (
                        "default:token",
                        &["token", "type_token", "token type", "token_type_x", "token[type]", "token.type"],
                    ),
                    (
                        "default:password",
                        &[
                            "password",
                            "password_hash",
                            "password_hint",
                            "password_reset_url",
                            "passwordstatus",
                        ],
                    ),
                    ("default:secret", &["secret_id", "client_secret", "secret_key"]),
                    ("default:access_key", &["access_key_id"]),
                    ("default:private_key", &["private_key_id", "private_key_path", "privateKeyFile"]),
                    ("default:session", &["session_id", "user_session_id"]),
                    ("default:ssn", &["ssn", "ssn_last_4", "ssnLast4"]),
                ],
            );
        }
        check(
            Header,
            &[("default:token", &["x-token-type", "x-token-id"]), ("default:auth", &["x-auth-method"])],
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
                (
                    "default:otp",
                    &["otp", "OTP", "user_otp", "totpCode", "mfa_code", "recoveryCodes", "verification-code"],
                ),
                ("default:nonce", &["nonce", "cardNonce", "payment_method_nonce"]),
                ("default:pin", &["pin", "PIN", "newPin", "card_pin", "pinCode", "encrypted-pin"]),
                ("default:code", &["auth_code", "authCode", "deviceCode", "codeVerifier"]),
                (
                    "default:key",
                    &["signingKey", "master_key", "encryption-key", "ConnectionString", "tls.key"],
                ),
                ("default:security_answer", &["securityAnswer", "mothers_maiden_name"]),
                (
                    "default:account_number",
                    &["account_number", "accountNumber", "bankAccountNumber", "AccountNo"],
                ),
                ("default:iban", &["iban", "IBAN", "ibanCode", "receiver_iban"]),
                ("default:routing_number", &["routing_number", "achRoutingNumber", "sortCode", "bsb_number"]),
                (
                    "default:id_number",
                    &[
                        "id_number",
                        "idNumber",
                        "personal_id_number",
                        "nationalId",
                        "passportNo",
                        "driversLicense",
                    ],
                ),
                ("default:tax_id", &["tax_id", "taxId", "TaxID", "tin", "federal_ein"]),
                (
                    "default:date_of_birth",
                    &["dob", "DOB", "dateOfBirth", "birth_date", "birthdate", "owner_dob"],
                ),
                (
                    "default:card_number",
                    &[
                        "card[number]",
                        "card.number",
                        "items[0][card][number]",
                        "cards[0].number",
                        "card_details[number]",
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
                        "account",
                        "accountName",
                        "routing",
                        "identity",
                        "idNumeric",
                        "pinned",
                        "shipping",
                        "opinion",
                        "announcement",
                        "birthplace",
                        "taxRate",
                        "taxIds",
                        "sortOrder",
                        "verificationMethod",
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
