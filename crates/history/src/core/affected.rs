//! Who was affected over more than a minute.

use std::collections::BTreeMap;

use seawall_model::{Affected, AffectedSum};
use serde::{Deserialize, Serialize};

use super::amount::Amount;

/// Most currencies and assets told apart in a sum; amounts in further ones count as not read.
pub const MAX_CURRENCIES: usize = 64;
/// Most countries told apart in a sum; requests from further ones count as from [`OTHERS`].
pub const MAX_COUNTRIES: usize = 300;
/// The countries that are not told apart.
const OTHERS: &str = "other";

/// Requests of several stretches of time, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// How many.
    pub requests: u64,
    /// At least so many customers made them: those of the stretch with the most.
    pub customers_least: u64,
    /// At most so many: as if nobody had been there twice.
    pub customers_most: u64,
    /// What they were about, per currency or asset.
    pub value: BTreeMap<String, Amount>,
    /// Requests whose amount could not be read or added. Of a sum that cannot be added, one.
    pub unread: u64,
    /// Requests per country.
    pub countries: BTreeMap<String, u64>,
}

/// Requests by what became of them, over several stretches of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffectedTotal {
    /// All of them.
    pub attempted: Reach,
    /// Those that failed.
    pub failed: Reach,
    /// Those that may have taken effect or not.
    pub unknown: Reach,
}

impl Reach {
    fn of(sum: &AffectedSum) -> Self {
        let mut reach = Self {
            requests: sum.requests,
            customers_least: sum.customers,
            customers_most: sum.customers,
            unread: sum.unread,
            ..Self::default()
        };
        for (currency, text) in &sum.value {
            match Amount::parse(text) {
                Some(amount) => reach.add_value(currency, amount),
                None => reach.unread = reach.unread.saturating_add(1),
            }
        }
        sum.countries.iter().for_each(|(country, n)| reach.add_country(country, *n));
        reach
    }

    fn merge(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.customers_least = self.customers_least.max(other.customers_least);
        self.customers_most = self.customers_most.saturating_add(other.customers_most);
        self.unread = self.unread.saturating_add(other.unread);
        other.value.iter().for_each(|(currency, amount)| self.add_value(currency, *amount));
        other.countries.iter().for_each(|(country, n)| self.add_country(country, *n));
    }

    fn add_value(&mut self, currency: &str, amount: Amount) {
        let sum = match self.value.get(currency) {
            Some(there) => there.plus(amount),
            None => (self.value.len() < MAX_CURRENCIES).then_some(amount),
        };
        match sum {
            Some(sum) => drop(self.value.insert(currency.to_owned(), sum)),
            None => self.unread = self.unread.saturating_add(1),
        }
    }

    fn add_country(&mut self, country: &str, n: u64) {
        let known = self.countries.contains_key(country) || self.countries.len() < MAX_COUNTRIES;
        let at = self.countries.entry(if known { country } else { OTHERS }.to_owned()).or_default();
        *at = at.saturating_add(n);
    }
}

impl AffectedTotal {
    /// What one stretch says.
    pub fn of(affected: &Affected) -> Self {
        Self {
            attempted: Reach::of(&affected.attempted),
            failed: Reach::of(&affected.failed),
            unknown: Reach::of(&affected.unknown),
        }
    }

    /// Adds another.
    pub fn merge(&mut self, other: &Self) {
        self.attempted.merge(&other.attempted);
        self.failed.merge(&other.failed);
        self.unknown.merge(&other.unknown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_and_customers_lie_between_two_numbers() {
        let sum = |requests, customers, usd: &str| AffectedSum {
            requests,
            customers,
            value: [("USD".to_owned(), usd.to_owned())].into(),
            unread: 0,
            countries: [("de".to_owned(), requests)].into(),
        };
        let mut reach = Reach::of(&sum(10, 4, "0.1"));
        reach.merge(&Reach::of(&sum(20, 3, "0.2")));
        reach.merge(&Reach::of(&sum(1, 1, "rubbish")));
        assert_eq!(
            (reach.requests, reach.customers_least, reach.customers_most, reach.unread),
            (31, 4, 8, 1)
        );
        assert_eq!(reach.value["USD"].to_string(), "0.3");
        assert_eq!(reach.countries["de"], 31);
    }
}
