//! Tokens (JWT, RFC 7519): whose they are, if they are anybody's.
//!
//! Signatures are checked by `jsonwebtoken`; what the claims must say is judged by `core::claims`, since the crate takes
//! the time from the machine by itself.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode_header,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use seawall_model::{Secret, Wall};
use serde_json::{Map, Value};

use crate::{
    core::claims::{Bearer, Rules, Untaken, judge},
    estate::TokenSection,
};

/// Most keys of an issuer.
const MAX_KEYS: usize = 64;
/// Shortest secret, in bytes: as long as the hash (RFC 7518, section 3.2).
const MIN_SECRET: usize = 32;
/// Keys that a signature is tried with, when the token does not say which it is by.
const MAX_TRIES: usize = 4;

/// Why no token could be verified. Holds nothing of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("the text is no JWK set (RFC 7517)")]
    NotJwks,
    #[error("the JWK set holds no key that signs tokens by RS256, PS256, ES256, ES384 or EdDSA")]
    NoKey,
    #[error("the JWK set holds {0} keys; at most {MAX_KEYS} are taken")]
    TooMany(usize),
    #[error("the JWK set holds a damaged key")]
    Damaged,
    #[error("the secret is shorter than {MIN_SECRET} bytes")]
    ShortSecret,
}

/// Tells whose a token is.
pub(crate) struct Verifier {
    keys: Vec<Key>,
    rules: Rules,
}

/// One key, with the only ways to sign that it is taken for: a public key is never a secret.
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Verifier {
    pub(crate) fn new(section: &TokenSection) -> Result<Self, KeysError> {
        let keys = match (&section.jwks, &section.secret) {
            (Some(jwks), _) => public(jwks)?,
            (None, Some(secret)) => vec![shared(secret)?],
            (None, None) => return Err(KeysError::NoKey),
        };
        Ok(Self { keys, rules: section.rules.clone() })
    }

    /// Whose token it is.
    pub(crate) fn verify(&self, token: &str, now: Wall) -> Result<Bearer, Untaken> {
        let header = decode_header(token).map_err(|_| Untaken::Malformed)?;
        // What it says must be understood is not (RFC 7515, section 4.1.11).
        if header.crit.is_some() {
            return Err(Untaken::Algorithm);
        }
        let fits = |key: &&Key| match (&header.kid, &key.id) {
            (Some(wanted), Some(id)) => wanted == id,
            (Some(_), None) | (None, _) => true,
        };
        let mut fitting = self.keys.iter().filter(fits).peekable();
        if fitting.peek().is_none() {
            return Err(Untaken::UnknownKey);
        }
        let mut untaken = Untaken::Algorithm;
        for key in fitting.filter(|key| key.algorithms.contains(&header.alg)).take(MAX_TRIES) {
            let mut checks = Validation::new(header.alg);
            checks.required_spec_claims.clear();
            (checks.validate_exp, checks.validate_nbf, checks.validate_aud) = (false, false, false);
            match jsonwebtoken::decode::<Map<String, Value>>(token, &key.key, &checks) {
                Ok(read) => return judge(&read.claims, &self.rules, now),
                Err(_) => untaken = Untaken::Signature,
            }
        }
        Err(untaken)
    }
}

fn shared(secret: &Secret) -> Result<Key, KeysError> {
    let secret = secret.expose().as_bytes();
    if secret.len() < MIN_SECRET {
        return Err(KeysError::ShortSecret);
    }
    Ok(Key { id: None, algorithms: vec![Algorithm::HS256], key: DecodingKey::from_secret(secret) })
}

fn public(jwks: &Secret) -> Result<Vec<Key>, KeysError> {
    let set: JwkSet = serde_json::from_str(jwks.expose()).map_err(|_| KeysError::NotJwks)?;
    if set.keys.len() > MAX_KEYS {
        return Err(KeysError::TooMany(set.keys.len()));
    }
    let mut keys = Vec::new();
    for jwk in &set.keys {
        let algorithms = algorithms(jwk);
        // What is for other uses stands in many sets, and does not hurt.
        if algorithms.is_empty() {
            continue;
        }
        let key = DecodingKey::from_jwk(jwk).map_err(|_| KeysError::Damaged)?;
        keys.push(Key { id: jwk.common.key_id.clone(), algorithms, key });
    }
    if keys.is_empty() { Err(KeysError::NoKey) } else { Ok(keys) }
}

/// The ways to sign that a public key is taken for: those of its kind, and of these only the one it names if it
/// names one.
fn algorithms(jwk: &Jwk) -> Vec<Algorithm> {
    if jwk.common.public_key_use.as_ref().is_some_and(|uses| *uses != PublicKeyUse::Signature) {
        return Vec::new();
    }
    let of_kind: &[(KeyAlgorithm, Algorithm)] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {
            &[(KeyAlgorithm::RS256, Algorithm::RS256), (KeyAlgorithm::PS256, Algorithm::PS256)]
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            &[(KeyAlgorithm::ES256, Algorithm::ES256)]
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => {
            &[(KeyAlgorithm::ES384, Algorithm::ES384)]
        }
        AlgorithmParameters::OctetKeyPair(_) => &[(KeyAlgorithm::EdDSA, Algorithm::EdDSA)],
        // A secret in a set of public keys is a mistake, and no key to trust.
        _ => &[],
    };
    let named = jwk.common.key_algorithm;
    of_kind.iter().filter(|(name, _)| named.is_none_or(|named| named == *name)).map(|(_, a)| *a).collect()
}

#[cfg(test)]
mod tests;
