//! The section `consumer`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Secret;

/// The consumer, that is the caller, of a request.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Consumer {
    /// Sources of the consumer's ID, tried in order; the first with a value is used. Default: the header
    /// `x-consumer-id`.
    #[cfg_attr(feature = "schema", schemars(length(max = super::bounds::SOURCES)))]
    pub sources: Vec<ConsumerSource>,
    /// Key of the pseudonyms (HMAC-SHA-256). Use at least 32 random characters, the same on all gateways. It is a secret:
    /// no hash and no log contains it. A new key gives every pseudonymised consumer a new ID.
    #[cfg_attr(feature = "schema", schemars(length(min = *super::bounds::PSEUDONYMIZE_KEY.start(), max = *super::bounds::PSEUDONYMIZE_KEY.end())))]
    pub pseudonymize_key: Option<Secret<String>>,
    /// Source of the consumer's display name: `{"header": "x-consumer-name"}`, or `{"metadata": ["filter", "key"]}`.
    pub name: Option<ConsumerLabel>,
    /// Source of the consumer's group, in the same form.
    pub group: Option<ConsumerLabel>,
    /// Names and groups by consumer ID, which take precedence: `{"acme": {"name": "Acme Inc.", "group": "enterprise"}}`.
    /// At most 10,000 consumers.
    #[cfg_attr(feature = "schema", schemars(extend("maxProperties" = super::bounds::DIRECTORY)))]
    pub directory: BTreeMap<String, DirectoryEntry>,
}

impl Default for Consumer {
    fn default() -> Self {
        let header = ConsumerSource { header: Some("x-consumer-id".into()), ..ConsumerSource::default() };
        Self {
            sources: vec![header],
            pseudonymize_key: None,
            name: None,
            group: None,
            directory: BTreeMap::new(),
        }
    }
}

/// A source of the consumer's ID. Exactly one key besides `trusted`, `pseudonymize` and `keep_prefix`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerSource {
    /// Envoy's dynamic metadata: the name of the filter that wrote it, then its keys, as in
    /// `["envoy.filters.http.jwt_authn", "payload", "sub"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = *super::bounds::METADATA_PATH.start(), max = *super::bounds::METADATA_PATH.end())))]
    pub metadata: Option<Vec<String>>,
    /// The first URI in the subject alternative names of the client's certificate, for example its SPIFFE ID.
    #[serde(skip_serializing_if = "is_false")]
    pub certificate_uri_san: bool,
    /// The subject of the client's certificate.
    #[serde(skip_serializing_if = "is_false")]
    pub certificate_subject: bool,
    /// A request header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// A response header in which the application names the caller. The HTTP filter removes it before the client sees it;
    /// an access logger only reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_header: Option<String>,
    /// A claim of the bearer token in `authorization`, whose signature nobody has verified: any client can forge it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unverified_bearer_claim: Option<String>,
    /// The user of HTTP basic authentication, without the password.
    #[serde(skip_serializing_if = "is_false")]
    pub basic_user: bool,
    /// A request header with an API key. It is always pseudonymised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_header: Option<String>,
    /// A query parameter with an API key. It is always pseudonymised, and masked in the logged query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_query: Option<String>,
    /// A cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// The client's address. If it is pseudonymised, the log does not contain the address.
    #[serde(skip_serializing_if = "is_false")]
    pub client_ip: bool,
    /// States that clients cannot set this `header` themselves, because the gateway sets or strips it. It changes no
    /// count; events carry it as `gatelens.consumer.trusted`. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub trusted: bool,
    /// Replace the value by 16 hex digits of its HMAC-SHA-256 with `consumer.pseudonymize_key`. Default false.
    #[serde(skip_serializing_if = "is_false")]
    pub pseudonymize: bool,
    /// Number of characters of the value that stay in clear before the hex digits, 0 to 16. Values with fewer than twice
    /// as many characters lose them. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "schema", schemars(range(min = *super::bounds::KEEP_PREFIX.start(), max = *super::bounds::KEEP_PREFIX.end())))]
    pub keep_prefix: u32,
}

/// A source of a name or a group: exactly one key.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ConsumerLabel {
    /// A request header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// Envoy's dynamic metadata, as in a source.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = *super::bounds::METADATA_PATH.start(), max = *super::bounds::METADATA_PATH.end())))]
    pub metadata: Option<Vec<String>>,
}

/// The name and the group of one consumer.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DirectoryEntry {
    /// Display name.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = *super::bounds::LABEL.end())))]
    pub name: String,
    /// Group.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = *super::bounds::LABEL.end())))]
    pub group: String,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}
