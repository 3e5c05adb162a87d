//! What a token's claims (JWT, RFC 7519, section 4) must say.

use std::time::Duration;

use seawall_model::Wall;
use serde_json::{Map, Value};

/// Longest name that a token may give its client, in bytes.
const MAX_NAME: usize = 256;

/// What a token's claims must say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// Who must have issued it.
    pub issuer: Option<String>,
    /// Whom it must be for, one of these. A token that is for somebody is not taken if there is none.
    pub audience: Vec<String>,
    /// How far clocks may be apart.
    pub leeway: Duration,
    /// The claim that names the client.
    pub claim: String,
}

/// A token's bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// What the token calls it.
    pub name: String,
    /// When the token ends, leeway and all.
    pub until: Wall,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Untaken {
    /// It is no token.
    #[error("it is no token")]
    Malformed,
    /// It is signed in a way that is not taken.
    #[error("it is signed in a way that is not taken")]
    Algorithm,
    /// It is by a key that is not known.
    #[error("it is by a key that is not known")]
    UnknownKey,
    /// Its signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// It does not say when it ends.
    #[error("it does not say when it ends")]
    Endless,
    /// It has ended.
    #[error("it has ended")]
    Ended,
    /// It is not valid yet.
    #[error("it is not valid yet")]
    Early,
    /// It is by another issuer.
    #[error("it is by another issuer")]
    Issuer,
    /// It is for another audience.
    #[error("it is for another audience")]
    Audience,
    /// It does not name its client.
    #[error("it does not name its client")]
    Nameless,
}

/// Judges the claims of a token whose signature is right.
pub fn judge(claims: &Map<String, Value>, rules: &Rules, now: Wall) -> Result<Bearer, Untaken> {
    let leeway = i64::try_from(rules.leeway.as_millis()).unwrap_or(i64::MAX);
    // NumericDate: seconds, not always whole (RFC 7519, section 2).
    let date = |name: &str, missing| match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            let seconds = value.as_f64().filter(|s| s.is_finite()).ok_or(missing)?;
            Ok(Some((seconds * 1_000.0) as i64))
        }
    };
    let end = date("exp", Untaken::Endless)?.ok_or(Untaken::Endless)?;
    let until = Wall(end.saturating_add(leeway));
    if until <= now {
        return Err(Untaken::Ended);
    }
    if date("nbf", Untaken::Early)?.is_some_and(|from| from.saturating_sub(leeway) > now.0) {
        return Err(Untaken::Early);
    }
    if let Some(issuer) = &rules.issuer
        && claims.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return Err(Untaken::Issuer);
    }
    let is_for_us =
        |value: &Value| value.as_str().is_some_and(|aud| rules.audience.iter().any(|us| us == aud));
    let fits = match claims.get("aud") {
        None => rules.audience.is_empty(),
        Some(Value::Array(all)) => all.iter().any(is_for_us),
        Some(one) => is_for_us(one),
    };
    if !fits {
        return Err(Untaken::Audience);
    }
    let name = claims.get(&rules.claim).and_then(Value::as_str).ok_or(Untaken::Nameless)?;
    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(Untaken::Nameless);
    }
    Ok(Bearer { name: name.to_owned(), until })
}
