//! The section `redact` of the configuration, as written.

use serde::{Deserialize, Serialize};

/// The values that never leave the gateway. The lists extend the built-in defaults.
///
/// Every list has at most 256 entries of at most 512 characters.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RedactConfig {
    /// Names of headers whose values are masked, in any case; `*` stands for any characters. Default empty.
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub headers: Vec<String>,
    /// Names of query parameters and form fields whose values are masked, in any case; `*` stands for any characters.
    /// Default empty.
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub query: Vec<String>,
    /// JSONPaths (RFC 9535) of the values to mask in request bodies. Default empty.
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub request_body: Vec<String>,
    /// JSONPaths (RFC 9535) of the values to mask in response bodies. Default empty.
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub response_body: Vec<String>,
    /// Names of members whose values are masked at any depth of a body, in any spelling: `passport_no` also
    /// matches `passportNo`, `Passport-No` and `user_passport_no`. Default empty.
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub keys: Vec<String>,
    /// Kinds of secrets that are recognised by their form and masked everywhere except in the consumer's name. Default empty.
    #[cfg_attr(feature = "schema", schemars(length(max = 256)))]
    pub detectors: Vec<DetectorKind>,
    /// Whether the built-in names and keys with a form of their own (`sk_live_…`) are masked. Default true.
    pub defaults: bool,
}

impl Default for RedactConfig {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            query: Vec::new(),
            request_body: Vec::new(),
            response_body: Vec::new(),
            keys: Vec::new(),
            detectors: Vec::new(),
            defaults: true,
        }
    }
}

/// A kind of secret that is recognised by its form.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DetectorKind {
    /// A payment card: 13 to 19 digits that pass the Luhn check and begin as cards do, also with spaces or dashes.
    Card,
    /// A JSON Web Token (RFC 7519).
    Jwt,
    /// An e-mail address.
    Email,
    /// An international bank account number (ISO 13616) with the right length and check digits, also with spaces.
    Iban,
    /// A US social security number, `123-45-6789` or with spaces.
    Ssn,
}

impl DetectorKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Card, Self::Jwt, Self::Email, Self::Iban, Self::Ssn];

    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Jwt => "jwt",
            Self::Email => "email",
            Self::Iban => "iban",
            Self::Ssn => "ssn",
        }
    }
}
