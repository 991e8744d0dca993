//! A webhook: the message as JSON, signed.
//!
//! The header `x-gatelens-signature` is `t=<Unix seconds>,v1=<hex>`: the HMAC-SHA-256 of the time, a dot and the body, with
//! the shared secret. A receiver that knows the secret computes it over the bytes that it got, compares in constant time, and
//! refuses a time that is far from its own, so that nobody can repeat an old message.

use super::{Held, Reach, Secret, SendError};
use crate::alerts::engine::Origin;
use crate::alerts::message::Message;
use crate::alerts::observe::SECOND;
use crate::alerts::rule::RuleError;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;
use std::path::PathBuf;

const SIGNATURE: &str = "x-gatelens-signature";
const DELIVERY: &str = "x-gatelens-delivery";
/// A shorter secret could be guessed.
const MIN_SECRET_BYTES: usize = 16;

/// A webhook as it is written.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct WebhookConfig {
    /// Address that messages are posted to, `http` or `https`.
    pub url: Option<Secret>,
    /// File with the address.
    pub url_file: Option<PathBuf>,
    /// Secret that messages are signed with, at least 16 bytes. Without one they are not signed.
    pub secret: Option<Secret>,
    /// File with the secret.
    pub secret_file: Option<PathBuf>,
    /// File with the certificates (PEM) of the authorities that are trusted, in the place of the public ones.
    pub ca_file: Option<PathBuf>,
}

/// A checked webhook.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    reach: Reach,
    secret: Option<Held>,
}

impl Webhook {
    pub(super) fn compile(config: &WebhookConfig, origin: Origin) -> Result<Self, RuleError> {
        let WebhookConfig { url, url_file, secret, secret_file, ca_file } = config;
        let secret = Held::of("secret", secret.as_ref(), secret_file.as_ref(), origin)?;
        if let Some(Held::Here(text)) = &secret
            && text.expose().trim().len() < MIN_SECRET_BYTES
        {
            let message =
                format!("the secret has fewer than {MIN_SECRET_BYTES} bytes, so that it could be guessed");
            return Err(RuleError::new("secret", message));
        }
        Ok(Self { reach: Reach::compile(url.as_ref(), url_file.as_ref(), ca_file.as_ref(), origin)?, secret })
    }

    pub(super) fn host(&self) -> String {
        self.reach.host()
    }

    pub(super) fn send(&self, message: &Message, id: i64, now: i64) -> Result<Option<u16>, SendError> {
        let body = serde_json::to_vec(message).unwrap_or_default();
        let id = id.to_string();
        let mut headers = vec![("content-type", "application/json"), (DELIVERY, id.as_str())];
        let signed;
        if let Some(secret) = &self.secret {
            signed = signature(secret.read()?.expose(), now.div_euclid(SECOND), &body);
            headers.push((SIGNATURE, &signed));
        }
        self.reach.post("", &headers, &body, None)
    }
}

/// The value of the header.
fn signature(secret: &str, seconds: i64, body: &[u8]) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    format!("t={seconds},v1={}", HEXLOWER.encode(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_documentation() {
        // printf '1781956800.{}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let expected = "t=1781956800,v1=0671f44edf7f4dcb3b5769a55ef79671754994ab2b8dd23ea5194edb09d6efe1";
        assert_eq!(signature("0123456789abcdef", 1_781_956_800, b"{}"), expected);
    }
}
