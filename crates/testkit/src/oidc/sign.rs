//! Keys of a provider, and good and bad signatures by them.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use super::{Token, random};

/// `ring` makes no keys of RSA: this one was made for these tests and is used nowhere else.
const RSA: &str = include_str!("rsa-key-of-tests.pem");

/// A key that signs.
pub struct SigningKey {
    id: String,
    pair: Pair,
}

enum Pair {
    Rs256(Box<RsaKeyPair>),
    Es256(Box<EcdsaKeyPair>),
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// With the provider's key.
    Good,
    /// With the provider's key, and then the claims were changed.
    Broken,
    /// Not at all.
    None,
    /// HMAC with the published key as its secret.
    HmacOfPublicKey,
}

impl SigningKey {
    /// The key of RSA.
    ///
    /// # Panics
    /// When the key in the source is broken.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a broken harness must stop the test")]
    pub fn rs256() -> Self {
        let text: String = RSA.lines().filter(|line| !line.starts_with('-')).collect();
        let der = BASE64.decode(text.as_bytes()).expect("base64");
        Self {
            id: random(),
            pair: Pair::Rs256(Box::new(RsaKeyPair::from_pkcs8(&der).expect("a key of RSA"))),
        }
    }

    /// A new key of P-256.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a broken harness must stop the test")]
    pub fn es256() -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &SystemRandom::new()).expect("the key");
        Self { id: random(), pair: Pair::Es256(Box::new(pair)) }
    }

    /// The same key under another identity.
    #[must_use]
    pub fn named(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// The public key (RFC 7517).
    #[must_use]
    pub fn published(&self) -> Value {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        match &self.pair {
            Pair::Rs256(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                let (n, e) = (text(&n), text(&e));
                json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "n": n, "e": e})
            }
            Pair::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref().split_at(1).1.split_at(32);
                json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": text(x), "y": text(y)})
            }
        }
    }

    /// The header of its tokens.
    pub(super) fn header(&self) -> Value {
        let algorithm = match self.pair {
            Pair::Rs256(_) => "RS256",
            Pair::Es256(_) => "ES256",
        };
        json!({"typ": "JWT", "alg": algorithm, "kid": self.id})
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map(|()| signature).unwrap_or_default()
            }
            Pair::Es256(pair) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec()).unwrap_or_default()
            }
        }
    }
}

pub(super) fn sign(token: &Token, key: &SigningKey) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let message = format!("{}.{}", part(&token.header), part(&token.claims));
    let signature = match token.signature {
        Signature::Good | Signature::Broken => key.sign(message.as_bytes()),
        Signature::None => Vec::new(),
        Signature::HmacOfPublicKey => {
            let public = match &key.pair {
                Pair::Rs256(pair) => pair.public_key().as_ref(),
                Pair::Es256(pair) => pair.public_key().as_ref(),
            };
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, public), message.as_bytes()).as_ref().to_vec()
        }
    };
    let message = match token.signature {
        Signature::Broken => {
            let mut claims = token.claims.clone();
            claims["sub"] = json!("somebody else");
            format!("{}.{}", part(&token.header), part(&claims))
        }
        _ => message,
    };
    format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))
}
