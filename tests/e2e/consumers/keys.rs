//! Certificates and tokens, made and signed for one test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    PKCS_ED25519, SanType, SigningKey,
};
use serde_json::{Value, json};

/// The issuer of the tokens.
pub(super) const ISSUER: &str = "https://issuer.test";

/// A certification authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key in PEM.
pub(super) struct Certified {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name = name(&[(DnType::CommonName, "The authority of the test")]);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate with this common name, of the organisation Acme, with these URIs.
    pub(super) fn certify(&self, common_name: &str, uris: &[&str]) -> Certified {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name =
            name(&[(DnType::OrganizationName, "Acme"), (DnType::CommonName, common_name)]);
        parameters.subject_alt_names =
            uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())).collect();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        Certified { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A key that signs tokens (EdDSA).
pub(super) struct TokenKey(KeyPair);

impl TokenKey {
    pub(super) fn new() -> Self {
        Self(KeyPair::generate_for(&PKCS_ED25519).unwrap())
    }

    /// The public key as a JWK set.
    pub(super) fn jwks(&self) -> String {
        let x = base64url(self.0.public_key_raw());
        json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "test", "x": x}]}).to_string()
    }

    /// The value of `authorization` with a token that has these claims.
    pub(super) fn bearer(&self, claims: Value) -> String {
        let mut payload = json!({"iss": ISSUER, "exp": 4_102_444_800u64});
        payload.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let header = json!({"alg": "EdDSA", "kid": "test", "typ": "JWT"});
        let signed = format!("{}.{}", base64url(header.to_string()), base64url(payload.to_string()));
        format!("Bearer {signed}.{}", base64url(self.0.sign(signed.as_bytes()).unwrap()))
    }
}

fn name(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    parts.iter().for_each(|(kind, value)| name.push(kind.clone(), *value));
    name
}

/// RFC 4648, section 5, without padding.
pub(super) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.as_ref().chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..=chunk.len() {
            text.push(char::from(alphabet[(bits >> (18 - 6 * index) & 63) as usize]));
        }
    }
    text
}
