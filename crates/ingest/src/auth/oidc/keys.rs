//! The keys of a provider (RFC 7517), and signatures by them: RS256 and ES256, and no others.
//!
//! `jsonwebtoken` reads and checks tokens, and `ring` checks the signatures: the service has no second implementation of
//! cryptography beside that of TLS.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{self, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::Value;

/// Keys of a provider; more are left out.
const MAX_KEYS: usize = 100;
/// Bytes of a coordinate of P-256.
const COORDINATE_BYTES: usize = 32;
/// The first byte of a point that has both coordinates (SEC 1, 2.3.3).
const UNCOMPRESSED: u8 = 4;

/// The keys that signatures may be by.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Key>);

/// A key, for one algorithm.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    public: DecodingKey,
}

impl Keys {
    /// Reads a set of keys. Those for other purposes or algorithms are left out, as are broken ones.
    pub(super) fn parse(text: &[u8]) -> std::result::Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text)?;
        let keys = set.keys.into_iter().take(MAX_KEYS);
        Ok(Self(keys.filter_map(|key| serde_json::from_value::<Written>(key).ok()?.read()).collect()))
    }

    /// The key of a token. A token without an identity of its key needs a set with a single key for its algorithm.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let mut fitting = self
            .0
            .iter()
            .filter(|key| key.algorithm == algorithm && id.is_none_or(|id| key.id.as_deref() == Some(id)));
        match (fitting.next(), fitting.next(), id) {
            (Some(key), None, _) | (Some(key), Some(_), Some(_)) => Some(key.public.clone()),
            (Some(_), Some(_), None) | (None, ..) => None,
        }
    }
}

/// A key as it is written (RFC 7517, 4, and RFC 7518, 6).
#[derive(Deserialize)]
struct Written {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
}

impl Written {
    fn read(self) -> Option<Key> {
        if self.purpose.is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let bytes =
            |text: Option<String>| BASE64URL_NOPAD.decode(text?.trim_end_matches('=').as_bytes()).ok();
        let (algorithm, name, public) = match (&*self.kty, self.crv.as_deref()) {
            ("RSA", _) => {
                let public = DecodingKey::from_rsa_raw_components(&bytes(self.n)?, &bytes(self.e)?);
                (Algorithm::RS256, "RS256", public)
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes(self.x)?, bytes(self.y)?);
                if [&x, &y].iter().any(|coordinate| coordinate.len() != COORDINATE_BYTES) {
                    return None;
                }
                let point = [&[UNCOMPRESSED][..], &x, &y].concat();
                (Algorithm::ES256, "ES256", DecodingKey::from_ec_der(&point))
            }
            _ => return None,
        };
        self.alg.is_none_or(|alg| alg == name).then_some(Key { id: self.kid, algorithm, public })
    }
}

/// Has `jsonwebtoken` check signatures with `ring`, in this process. Further calls change nothing.
pub(super) fn use_ring() {
    static RING: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        verifier_factory,
        key_utils: KeyUtils::new_unimplemented(),
    };
    // An error means that it is installed already.
    let _ = RING.install_default();
}

fn verifier_factory(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    match (algorithm, key.kind()) {
        (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
            Ok(Box::new(Rs256 { n: n.clone(), e: e.clone() }))
        }
        (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
            Ok(Box::new(Es256 { point: point.clone() }))
        }
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

/// Keys of fewer than 2,048 bits are refused.
struct Rs256 {
    n: Vec<u8>,
    e: Vec<u8>,
}

struct Es256 {
    point: Vec<u8>,
}

impl Verifier<Vec<u8>> for Rs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let key = RsaPublicKeyComponents { n: &self.n, e: &self.e };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Rs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::RS256
    }
}

impl Verifier<Vec<u8>> for Es256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point);
        key.verify(message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for Es256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::ES256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_for_signatures_by_known_algorithms_count() {
        let coordinate = BASE64URL_NOPAD.encode(&[7; COORDINATE_BYTES]);
        let ec = format!(r#""kty": "EC", "crv": "P-256", "x": "{coordinate}", "y": "{coordinate}""#);
        let check = |key: &str, algorithm: Algorithm, found: bool| {
            let keys = Keys::parse(format!(r#"{{"keys": [{key}]}}"#).as_bytes()).unwrap();
            assert_eq!(keys.find(None, algorithm).is_some(), found, "{key}");
        };
        check(&format!("{{{ec}}}"), Algorithm::ES256, true);
        check(&format!("{{{ec}}}"), Algorithm::RS256, false);
        check(&format!(r#"{{{ec}, "use": "sig", "alg": "ES256"}}"#), Algorithm::ES256, true);
        check(&format!(r#"{{{ec}, "use": "enc"}}"#), Algorithm::ES256, false);
        check(&format!(r#"{{{ec}, "alg": "ES384"}}"#), Algorithm::ES256, false);
        check(&format!("{{{}}}", ec.replace("P-256", "P-384")), Algorithm::ES256, false);
        check(&format!("{{{}}}", ec.replace(&coordinate, "AAAA")), Algorithm::ES256, false);
        check(r#"{"kty": "oct", "k": "AAAA"}"#, Algorithm::HS256, false);
        check(r#"{"kty": "RSA", "n": "AAAA", "e": "AQAB"}"#, Algorithm::RS256, true);
        check(r#"7, {"kty": 7}, {"kty": "RSA"}"#, Algorithm::RS256, false);
        // Without an identity it must be clear which one is meant.
        check(&format!("{{{ec}}}, {{{ec}}}"), Algorithm::ES256, false);
        assert!(Keys::parse(b"{}").is_err() && Keys::parse(b"[]").is_err());
    }
}
