//! Who was affected: what a minute of requests adds up to. It cannot be worked out afterwards, so it is counted
//! while it happens, in bounded memory, and without keeping anybody's name.

use std::collections::BTreeMap;

use super::distinct::Distinct;

/// Most countries told apart; the rest together are [`OTHERS`].
const COUNTRIES: usize = 32;
/// Most currencies told apart; amounts in further ones are counted as not read.
const CURRENCIES: usize = 8;
/// Longest name of a currency or asset.
const CURRENCY: usize = 12;
/// Digits behind the point.
const SCALE: u32 = 9;
/// What is not told apart.
const OTHERS: &str = "other";

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was answered.
    Answered,
    /// It was refused, or nobody could answer it.
    Failed,
    /// It may have taken effect or not.
    Unknown,
}

/// An exact amount, in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Amount(i128);

impl Amount {
    /// Reads a decimal number, as JSON writes one or a text holds it, or a hexadecimal quantity. `None` if it is
    /// neither, or does not fit.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix("0x") {
            let units = i128::from_str_radix(digits, 16).ok().filter(|n| *n >= 0)?;
            return units.checked_mul(10_i128.pow(SCALE)).map(Self);
        }
        let (text, minus) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || number.ends_with('.') {
            return None;
        }
        let mut units: i128 = format!("{whole}{fraction}").parse().ok()?;
        let shift = i64::from(SCALE) + i64::from(exponent) - fraction.len() as i64;
        if shift >= 0 {
            units = units.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?)?;
        } else {
            // What is finer than a billionth is cut off.
            units = 10_i128.checked_pow(u32::try_from(-shift).ok()?).map_or(0, |by| units / by);
        }
        Some(Self(if minus { -units } else { units }))
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let by = 10_u128.pow(SCALE);
        let (whole, fraction) = (self.0.unsigned_abs() / by, self.0.unsigned_abs() % by);
        let sign = if self.0 < 0 { "-" } else { "" };
        if fraction == 0 {
            return write!(f, "{sign}{whole}");
        }
        let fraction = format!("{fraction:09}");
        write!(f, "{sign}{whole}.{}", fraction.trim_end_matches('0'))
    }
}

/// What a request tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Particulars {
    /// A keyed hash of who made it.
    pub customer: Option<u64>,
    /// How much it is about, and of what; `Err` if there should have been an amount and none could be read.
    pub value: Option<Result<(String, Amount), NoAmount>>,
    /// Two letters.
    pub country: Option<String>,
}

/// There was no amount where the estate says that there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoAmount;

/// Requests with one fate, added up.
#[derive(Debug, Clone, Default)]
pub struct Sum {
    /// How many.
    pub requests: u64,
    /// Their customers.
    pub customers: Distinct,
    /// What they were about, per currency.
    pub value: BTreeMap<String, Amount>,
    /// Those whose amount could not be read or added.
    pub unread: u64,
    /// How many from each country.
    pub countries: BTreeMap<String, u64>,
}

/// A stretch of time, added up.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// All requests.
    pub attempted: Sum,
    /// Those that failed.
    pub failed: Sum,
    /// Those whose outcome is unknown.
    pub unknown: Sum,
}

impl Tally {
    /// Counts one request.
    pub fn add(&mut self, fate: Fate, about: &Particulars) {
        self.attempted.add(about);
        match fate {
            Fate::Answered => {}
            Fate::Failed => self.failed.add(about),
            Fate::Unknown => self.unknown.add(about),
        }
    }

    /// Adds what somebody else counted.
    pub fn merge(&mut self, other: &Self) {
        self.attempted.merge(&other.attempted);
        self.failed.merge(&other.failed);
        self.unknown.merge(&other.unknown);
    }
}

impl Sum {
    fn add(&mut self, about: &Particulars) {
        self.requests += 1;
        if let Some(customer) = about.customer {
            self.customers.add(customer);
        }
        match &about.value {
            Some(Ok((currency, amount))) => self.worth(currency, *amount),
            Some(Err(NoAmount)) => self.unread += 1,
            None => {}
        }
        if let Some(country) = &about.country {
            self.from(country, 1);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.customers.merge(&other.customers);
        other.value.iter().for_each(|(currency, amount)| self.worth(currency, *amount));
        self.unread += other.unread;
        other.countries.iter().for_each(|(country, n)| self.from(country, *n));
    }

    fn worth(&mut self, currency: &str, amount: Amount) {
        let known = self.value.contains_key(currency);
        let fits = !currency.is_empty()
            && currency.len() <= CURRENCY
            && currency.bytes().all(|b| b.is_ascii_alphanumeric());
        if !known && (!fits || self.value.len() >= CURRENCIES) {
            self.unread += 1;
            return;
        }
        let sum = self.value.entry(currency.to_owned()).or_default();
        match sum.0.checked_add(amount.0) {
            Some(more) => sum.0 = more,
            None => self.unread += 1,
        }
    }

    fn from(&mut self, country: &str, n: u64) {
        let known = self.countries.contains_key(country);
        let fits = country.len() == 2 && country.bytes().all(|b| b.is_ascii_alphanumeric());
        // One place is kept for all the others.
        let name = if known || (fits && self.countries.len() < COUNTRIES) { country } else { OTHERS };
        *self.countries.entry(name.to_owned()).or_default() += n;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, want) in [
            ("12.5", Some("12.5")),
            ("-0.000000001", Some("-0.000000001")),
            ("1e3", Some("1000")),
            ("2.5E-2", Some("0.025")),
            ("0x10", Some("16")),
            ("0.0000000019", Some("0.000000001")),
            ("1e-40", Some("0")),
            ("1e40", None),
            ("1.", None),
            (".5", None),
            ("ten", None),
            ("0x-1", None),
            ("", None),
        ] {
            assert_eq!(Amount::parse(text).map(|a| a.to_string()).as_deref(), want, "{text}");
        }
    }

    fn request() -> impl Strategy<Value = (Fate, Particulars)> {
        let fate = prop::sample::select(vec![Fate::Answered, Fate::Failed, Fate::Unknown]);
        let value = prop_oneof![
            Just(None),
            Just(Some(Err(NoAmount))),
            (prop::sample::select(vec!["USD", "EUR", "BTC"]), -1_000_000i64..1_000_000)
                .prop_map(|(c, n)| { Some(Ok((c.to_owned(), Amount::parse(&format!("{n}")).unwrap()))) }),
        ];
        let country = prop::option::of("[A-D][A-D]");
        let customer = prop::option::of(0u64..50);
        (fate, customer, value, country)
            .prop_map(|(fate, customer, value, country)| (fate, Particulars { customer, value, country }))
    }

    proptest! {
        /// However requests are spread over workers: what is added up and merged is what counting them one by one
        /// gives.
        #[test]
        fn adds_up(requests in prop::collection::vec((0usize..4, request()), 0..400)) {
            let mut parts = vec![Tally::default(); 4];
            requests.iter().for_each(|(part, (fate, about))| parts[*part].add(*fate, about));
            let mut tally = Tally::default();
            parts.iter().for_each(|part| tally.merge(part));
            type Keep = fn(Fate) -> bool;
            let groups: [(&Sum, Keep); 3] = [
                (&tally.attempted, |_| true),
                (&tally.failed, |fate| fate == Fate::Failed),
                (&tally.unknown, |fate| fate == Fate::Unknown),
            ];
            for (sum, keep) in groups {
                let of: Vec<_> = requests.iter().map(|(_, r)| r).filter(|(fate, _)| keep(*fate)).collect();
                prop_assert_eq!(sum.requests, of.len() as u64);
                let customers: std::collections::BTreeSet<_> = of.iter().filter_map(|(_, a)| a.customer).collect();
                prop_assert_eq!(sum.customers.count(), customers.len() as u64);
                let mut value = BTreeMap::<String, i128>::new();
                let mut unread = 0;
                for (_, about) in &of {
                    match &about.value {
                        Some(Ok((currency, amount))) => *value.entry(currency.clone()).or_default() += amount.0,
                        Some(Err(NoAmount)) => unread += 1,
                        None => {}
                    }
                }
                prop_assert_eq!(&sum.value.iter().map(|(c, a)| (c.clone(), a.0)).collect::<BTreeMap<_, _>>(), &value);
                prop_assert_eq!(sum.unread, unread);
                let told = of.iter().filter(|(_, a)| a.country.is_some()).count() as u64;
                prop_assert_eq!(sum.countries.values().sum::<u64>(), told);
                prop_assert!(sum.countries.len() <= COUNTRIES + 1);
            }
        }

        /// Whatever clients send, the labels stay few.
        #[test]
        fn labels_are_few(names in prop::collection::vec(("\\PC{0,14}", "\\PC{0,4}"), 0..300)) {
            let mut tally = Tally::default();
            for (currency, country) in names {
                let value = Some(Ok((currency, Amount(1))));
                tally.add(Fate::Failed, &Particulars { customer: None, value, country: Some(country) });
            }
            prop_assert!(tally.failed.value.len() <= CURRENCIES);
            prop_assert!(tally.failed.countries.len() <= COUNTRIES + 1);
        }
    }
}
