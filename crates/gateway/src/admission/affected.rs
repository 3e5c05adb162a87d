//! Who makes the requests, counted as the estate says, minute by minute.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use seawall_model::{Affected as Fact, AffectedSum, Wall};
use serde_json::Value;
use siphasher::sip::SipHasher24;

use crate::{
    core::affected::{Amount, Fate, NoAmount, Particulars, Sum, Tally},
    estate::{AffectedSection, CurrencySource, CustomerSource},
    serve::Visit,
};

/// Parts that a minute is counted in, so that workers seldom meet.
const SHARDS: usize = 8;
/// Longest claim set of a token that is looked at, in bytes of base64.
const CLAIMS: usize = 8 * 1024;

/// What customers' names are hashed with (SipHash-2-4, a keyed pseudorandom function). Whoever does not have it
/// cannot tell from a hash whose it is. Set once.
#[derive(Clone, Default)]
pub(crate) struct CustomerKey(Arc<OnceLock<[u8; 16]>>);

impl CustomerKey {
    /// False if one was set before, which stays.
    pub(crate) fn set(&self, key: [u8; 16]) -> bool {
        self.0.set(key).is_ok()
    }

    fn hash(&self, name: &[u8]) -> u64 {
        SipHasher24::new_with_key(self.0.get().unwrap_or(&[0; 16])).hash(name)
    }
}

/// A pool's requests, since they were last taken.
#[derive(Default)]
pub(crate) struct Affected([Mutex<Tally>; SHARDS]);

/// Who made a request: what its headers tell, and what its body may.
pub(crate) struct Who {
    section: Arc<AffectedSection>,
    customer: Option<u64>,
    country: Option<String>,
}

impl Who {
    pub(crate) fn of(section: &Arc<AffectedSection>, key: &CustomerKey, headers: &HeaderMap) -> Arc<Self> {
        let text = |name: &http::HeaderName| headers.get(name).map(http::HeaderValue::as_bytes);
        let customer = match &section.customer {
            None => None,
            Some(CustomerSource::Header(name)) => text(name).map(|name| key.hash(name)),
            Some(CustomerSource::Key) => {
                let api_key = http::HeaderName::from_static("x-api-key");
                text(&api_key).or_else(|| text(&header::AUTHORIZATION)).map(|name| key.hash(name))
            }
            Some(CustomerSource::Claim(claim)) => text(&header::AUTHORIZATION)
                .and_then(|token| claim_of(token, claim))
                .map(|c| key.hash(c.as_bytes())),
        };
        let country = section.country.as_ref().and_then(text);
        let country = country.map(|c| String::from_utf8_lossy(c).to_ascii_uppercase());
        Arc::new(Self { section: section.clone(), customer, country })
    }

    /// What there is to count of a request whose body, or whose call, is `body`. It is only read where the estate
    /// says where to look.
    fn particulars(&self, body: &[u8]) -> Particulars {
        let value = self.section.value.as_ref().map(|at| {
            let body: Value = serde_json::from_slice(body).map_err(|_| NoAmount)?;
            let amount = body.pointer(&at.amount).and_then(text).ok_or(NoAmount)?;
            let amount = Amount::parse(&amount).ok_or(NoAmount)?;
            let currency = match &at.currency {
                CurrencySource::Fixed(currency) => currency.clone(),
                CurrencySource::At(pointer) => body.pointer(pointer).and_then(text).ok_or(NoAmount)?,
            };
            Ok((currency, amount))
        });
        Particulars { customer: self.customer, value, country: self.country.clone() }
    }
}

impl Visit {
    /// Counts a request among those of its minute, where the estate has that counted.
    pub(crate) fn count<'b>(&self, fate: Fate, body: impl FnOnce() -> &'b [u8]) {
        if let Some(who) = &self.who {
            self.pool.state.admission.affected.count(fate, &who.particulars(body()));
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A claim of the bearer's token (RFC 7519). Whether the token is genuine is not looked at here: it tells whom a
/// request was for, and opens nothing.
fn claim_of(authorization: &[u8], claim: &str) -> Option<String> {
    let token = str::from_utf8(authorization).ok()?.strip_prefix("Bearer ")?;
    let payload = token.split('.').nth(1).filter(|p| p.len() <= CLAIMS)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    text(claims.get(claim)?)
}

impl Affected {
    /// Counts a request.
    fn count(&self, fate: Fate, about: &Particulars) {
        // By customer, who then meets only himself.
        let shard = about.customer.unwrap_or_default() as usize % SHARDS;
        self.0[shard].lock().unwrap_or_else(PoisonError::into_inner).add(fate, about);
    }

    /// What was counted since this was last called, if anything.
    pub(crate) fn take(&self, since: Wall, until: Wall) -> Option<Fact> {
        let mut whole = Tally::default();
        for shard in &self.0 {
            let part = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            whole.merge(&part);
        }
        let told = |sum: &Sum| AffectedSum {
            requests: sum.requests,
            customers: sum.customers.count(),
            value: sum.value.iter().map(|(c, a)| (c.clone(), a.to_string())).collect(),
            unread: sum.unread,
            countries: sum.countries.clone(),
        };
        (whole.attempted.requests > 0).then(|| Fact {
            since,
            until,
            attempted: told(&whole.attempted),
            failed: told(&whole.failed),
            unknown: told(&whole.unknown),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_found_in_a_token() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"alice","n":7}"#);
        let token = format!("Bearer e30.{payload}.sig");
        assert_eq!(claim_of(token.as_bytes(), "sub").as_deref(), Some("alice"));
        assert_eq!(claim_of(token.as_bytes(), "n").as_deref(), Some("7"));
        for (bad, claim) in [(&*token, "other"), ("Bearer x", "sub"), ("Bearer a.!.c", "sub"), ("", "sub")] {
            assert_eq!(claim_of(bad.as_bytes(), claim), None, "{bad}");
        }
    }

    #[test]
    fn hashes_depend_on_the_key() {
        let (a, b) = (CustomerKey::default(), CustomerKey::default());
        assert!(a.set([1; 16]) && b.set([2; 16]) && !a.set([2; 16]));
        assert_eq!(a.hash(b"alice"), a.hash(b"alice"));
        assert_ne!(a.hash(b"alice"), b.hash(b"alice"));
    }
}
