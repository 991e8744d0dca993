//! The checks of an ID token (OpenID Connect Core 1.0, 3.1.3.7).

use super::keys;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

/// Bytes of a token.
const MAX_BYTES: usize = 128 << 10;
/// Seconds by which the clocks of both sides may differ.
const LEEWAY: u64 = 60;

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

/// The claims that a token must have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenFault {
    #[error("it is not a JSON web token")]
    Malformed,
    #[error("it is not signed with RS256 or ES256")]
    Algorithm,
    #[error("it has a critical header that is not known here")]
    Critical,
    #[error("the provider does not publish the key that it is signed with")]
    UnknownKey,
    #[error("its signature is wrong")]
    Signature,
    #[error("it is from another issuer")]
    Issuer,
    #[error("it is for another client")]
    Audience,
    #[error("it has expired: check the clocks of both sides")]
    Expired,
    #[error("it is not valid yet: check the clocks of both sides")]
    Early,
    #[error("it belongs to another sign-in")]
    Nonce,
    #[error("a claim that each ID token has is missing or is not what it must be")]
    Claim,
}

/// The algorithm and the key that a token names. Nothing of it is proven yet.
pub(super) fn named_key(token: &str) -> Result<(Algorithm, Option<String>), TokenFault> {
    if token.len() > MAX_BYTES {
        return Err(TokenFault::Malformed);
    }
    // An algorithm that the crate does not know, such as `none`, is an error of its parser.
    let header = jsonwebtoken::decode_header(token).map_err(|error| match error.kind() {
        ErrorKind::Json(_) => TokenFault::Algorithm,
        _ => TokenFault::Malformed,
    })?;
    // RFC 7515, 4.1.11; the crate does not look at it.
    if header.crit.is_some() {
        return Err(TokenFault::Critical);
    }
    match header.alg {
        Algorithm::RS256 | Algorithm::ES256 => Ok((header.alg, header.kid)),
        _ => Err(TokenFault::Algorithm),
    }
}

/// The claims of a token with a good signature that is for this sign-in.
pub(super) fn verified(
    token: &str,
    algorithm: Algorithm,
    key: &DecodingKey,
    expected: Expected<'_>,
) -> Result<Claims, TokenFault> {
    keys::use_ring();
    let mut validation = Validation::new(algorithm);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.client_id]);
    validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    let token = jsonwebtoken::decode::<Claims>(token, key, &validation);
    let claims = token.map_err(|error| fault(error.kind()))?.claims;
    check(&claims, expected, jsonwebtoken::get_current_timestamp())?;
    Ok(claims)
}

/// The checks that are not those of every JSON web token.
fn check(claims: &Claims, expected: Expected<'_>, now: u64) -> Result<(), TokenFault> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    // The crate also takes a list of issuers.
    if text("iss") != Some(expected.issuer) {
        return Err(TokenFault::Issuer);
    }
    let audiences = claims.get("aud").and_then(Value::as_array).map_or(1, Vec::len);
    match (claims.get("azp"), audiences) {
        (None, 1) => {}
        (Some(azp), _) if azp.as_str() == Some(expected.client_id) => {}
        (None | Some(_), _) => return Err(TokenFault::Audience),
    }
    if text("nonce") != Some(expected.nonce) {
        return Err(TokenFault::Nonce);
    }
    if text("sub").is_none_or(str::is_empty) {
        return Err(TokenFault::Claim);
    }
    match claims.get("iat").map(Value::as_f64) {
        None => Ok(()),
        Some(Some(issued)) if issued <= (now + LEEWAY) as f64 => Ok(()),
        Some(Some(_)) => Err(TokenFault::Early),
        Some(None) => Err(TokenFault::Claim),
    }
}

fn fault(error: &ErrorKind) -> TokenFault {
    match error {
        ErrorKind::InvalidSignature => TokenFault::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => TokenFault::Algorithm,
        ErrorKind::ExpiredSignature => TokenFault::Expired,
        ErrorKind::ImmatureSignature => TokenFault::Early,
        ErrorKind::InvalidIssuer => TokenFault::Issuer,
        ErrorKind::InvalidAudience => TokenFault::Audience,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => TokenFault::Claim,
        _ => TokenFault::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_of_another_sign_in_or_client_are_refused() {
        let expected = Expected { issuer: "https://id.example", client_id: "c", nonce: "n" };
        let check = |changed: Value, result: Result<(), TokenFault>| {
            let mut claims =
                json!({"iss": "https://id.example", "sub": "s", "aud": "c", "nonce": "n", "iat": 1_000});
            let claims = claims.as_object_mut().unwrap();
            claims.extend(changed.as_object().unwrap().clone());
            assert_eq!(super::check(claims, expected, 1_000), result, "{changed}");
        };
        check(json!({}), Ok(()));
        check(json!({"azp": "c"}), Ok(()));
        check(json!({"aud": ["c"]}), Ok(()));
        check(json!({"aud": ["c", "d"], "azp": "c"}), Ok(()));
        check(json!({"aud": ["c", "d"]}), Err(TokenFault::Audience));
        check(json!({"aud": ["c", "d"], "azp": "d"}), Err(TokenFault::Audience));
        check(json!({"azp": "d"}), Err(TokenFault::Audience));
        check(json!({"azp": ["c"]}), Err(TokenFault::Audience));
        check(json!({"iss": ["https://id.example"]}), Err(TokenFault::Issuer));
        check(json!({"iss": "https://id.example/"}), Err(TokenFault::Issuer));
        check(json!({"nonce": "m"}), Err(TokenFault::Nonce));
        check(json!({"nonce": null}), Err(TokenFault::Nonce));
        check(json!({"sub": ""}), Err(TokenFault::Claim));
        check(json!({"iat": 1_061}), Err(TokenFault::Early));
        check(json!({"iat": "1000"}), Err(TokenFault::Claim));
    }
}
