//! Who was affected: `[pools.NAME.affected]`.

use http::HeaderName;
use seawall_model::{
    estate::{At, Code, Problem, Problems},
    section,
};

/// Longest JSON pointer, name of a claim or of a currency, in bytes.
const MAX_TEXT: usize = 256;

section! {
    /// What tells who makes requests, and what they are about, so that it is known afterwards who was affected.
    pub struct RawAffected {
        /// Who the customer is: `header:NAME`, `claim:NAME` of a bearer token, or `key` (the `x-api-key` or
        /// `authorization` header).
        customer: At<String>, optional;
        /// Where in a request's JSON the amount stands, as a JSON pointer (RFC 6901), as in `/notional`; of a call
        /// to a chain it is looked for in `params`.
        value: At<String>, optional;
        /// The amount's currency or asset, as in `USD`, or where it stands, as a JSON pointer. Required with `value`.
        currency: At<String>, optional;
        /// The header that tells the country by its two letters: `header:NAME`.
        country: At<String>, optional;
    }
}

/// What tells who makes requests, and what they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AffectedSection {
    /// Who the customer is.
    pub customer: Option<CustomerSource>,
    /// What a request is about.
    pub value: Option<ValueSource>,
    /// The header that tells the country.
    pub country: Option<HeaderName>,
}

/// Where a customer's name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerSource {
    /// In a header.
    Header(HeaderName),
    /// In a claim of the bearer's token.
    Claim(String),
    /// It is the API key.
    Key,
}

/// Where an amount is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueSource {
    /// JSON pointer to the amount.
    pub amount: String,
    /// Of what.
    pub currency: CurrencySource,
}

/// What an amount is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CurrencySource {
    /// Always this.
    Fixed(String),
    /// What stands there.
    At(String),
}

/// Judges the section.
pub(super) fn validate(raw: &At<RawAffected>, problems: &mut Problems) -> Option<AffectedSection> {
    let RawAffected { customer, value, currency, country } = &raw.value;
    let customer = match customer {
        Some(at) => Some(self::customer(at, problems)?),
        None => None,
    };
    let country = match country {
        Some(at) => Some(header(at, at.value.strip_prefix("header:"), problems)?),
        None => None,
    };
    let value = match (value, currency) {
        (Some(value), Some(currency)) => {
            let amount = pointer(value, problems)?;
            let currency = match currency.value.starts_with('/') {
                true => CurrencySource::At(pointer(currency, problems)?),
                false => CurrencySource::Fixed(currency.value.chars().take(MAX_TEXT).collect()),
            };
            Some(ValueSource { amount, currency })
        }
        (Some(at), None) => {
            let problem = Problem::new(Code::MissingKey, at.place, "`currency` is missing");
            problems.report(problem.help("say of what the amount is, as in `currency = \"USD\"`"));
            return None;
        }
        (None, Some(at)) => {
            let problem =
                Problem::new(Code::Contradiction, at.place, "`currency` means nothing without `value`");
            problems.report(problem.help("remove it"));
            return None;
        }
        (None, None) => None,
    };
    Some(AffectedSection { customer, value, country })
}

fn customer(at: &At<String>, problems: &mut Problems) -> Option<CustomerSource> {
    match at.value.split_once(':') {
        None if at.value == "key" => Some(CustomerSource::Key),
        Some(("claim", claim)) if !claim.is_empty() && claim.len() <= MAX_TEXT => {
            Some(CustomerSource::Claim(claim.to_owned()))
        }
        Some(("header", name)) => header(at, Some(name), problems).map(CustomerSource::Header),
        _ => {
            let message = format!("{} tells no customer", problems.quote(&at.value, at.place));
            let problem = Problem::new(Code::InvalidValue, at.place, message);
            problems.report(problem.help("write `header:NAME`, `claim:NAME` or `key`"));
            None
        }
    }
}

fn header(at: &At<String>, name: Option<&str>, problems: &mut Problems) -> Option<HeaderName> {
    let found = name.and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    if found.is_none() {
        let message = format!("{} is no header", problems.quote(&at.value, at.place));
        let problem = Problem::new(Code::InvalidValue, at.place, message);
        problems.report(problem.help("write `header:` and its name, as in `header:x-account`"));
    }
    found
}

fn pointer(at: &At<String>, problems: &mut Problems) -> Option<String> {
    if at.value.starts_with('/') && at.value.len() <= MAX_TEXT {
        return Some(at.value.clone());
    }
    let message = format!("{} is no JSON pointer", problems.quote(&at.value, at.place));
    let problem = Problem::new(Code::InvalidValue, at.place, message);
    problems.report(problem.help("write the way to the value, as in `/order/notional`"));
    None
}
