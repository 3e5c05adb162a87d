//! What a service's failure costs: `[services.NAME] value` and `[services.NAME.cost]`.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{At, Code, Graph, Place, Problem, Problems, RawService};
use crate::{
    ComponentId, ComponentKind, choice, section,
    units::{CostRate, Currency, Money, Percent},
};

/// Hours of a week.
pub const WEEK_HOURS: usize = 168;
/// Hours of a day, and seconds of an hour.
const DAY: usize = 24;
const HOUR: i128 = 3_600;
/// Most entries each of `hours`, `credits` and `penalties`.
const MAX_ENTRIES: usize = 64;

section! {
    /// What the failure of a service costs, besides its `value`.
    pub struct RawCost {
        /// What an outage costs in some hours of the week, in place of `value`; of several that say it of an hour, the
        /// last holds.
        hours: Vec<At<RawHours>>, default([]);
        /// The place whose hours, days and months count, as in `Europe/Berlin`.
        zone: At<String>, default("UTC");
        /// What is done later all the same, of what failed; nothing if absent.
        recovered: At<RawRecovered>, optional;
        /// What customers are owed for a month of too little availability; of several that apply, the largest.
        credits: Vec<At<RawCredit>>, default([]);
        /// What is owed for each downtime that is too long; of several that apply, the largest.
        penalties: Vec<At<RawPenalty>>, default([]);
        /// Whose counted requests tell what failed, as in `pool:venue`, which needs `affected`; if absent, those of the
        /// one pool that the service needs, where that is all it needs and nothing probes it.
        requests: At<String>, optional;
        /// What an hour's worth is learned in, where neither `value` nor `hours` says it: from what the requests of the
        /// weeks before were about.
        currency: Currency, optional;
    }
}

section! {
    /// What an outage costs in some hours of the week.
    pub struct RawHours {
        /// On which days; on all if absent.
        days: Vec<Weekday>, default(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]);
        /// From which hour of the day on, 0 to 23.
        from: u32, default(0);
        /// Until which hour, itself left out, 1 to 24.
        until: u32, default(24);
        /// What it costs.
        value: At<CostRate>, required;
    }
}

section! {
    /// Which share of what failed is done later all the same.
    pub struct RawRecovered {
        /// Most likely.
        likely: Percent, required;
        /// At least; as likely if absent.
        least: Percent, optional;
        /// At most; as likely if absent.
        most: Percent, optional;
    }
}

section! {
    /// What customers are owed for a month of too little availability.
    pub struct RawCredit {
        /// Below which availability, maintenance left out.
        below: Percent, required;
        /// How much in all, as in `"$50k"`.
        owed: At<Money>, required;
    }
}

section! {
    /// What is owed for each downtime that is too long.
    pub struct RawPenalty {
        /// Longer than this, announced maintenance left out.
        after: Duration, required;
        /// How much, as in `"$250k"`.
        owed: At<Money>, required;
    }
}

choice! {
    /// A day of the week.
    pub enum Weekday {
        /// Monday.
        Mon = "mon",
        /// Tuesday.
        Tue = "tue",
        /// Wednesday.
        Wed = "wed",
        /// Thursday.
        Thu = "thu",
        /// Friday.
        Fri = "fri",
        /// Saturday.
        Sat = "sat",
        /// Sunday.
        Sun = "sun",
    }
}

/// A credit that customers are owed once availability is below a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// Below which availability over the month, maintenance left out.
    pub below: Percent,
    /// How much in all, in minor units; not more on top of the credit before.
    pub owed: i64,
}

/// A penalty that is owed for each downtime longer than so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Penalty {
    /// Longer than this, announced maintenance left out.
    pub after: Duration,
    /// How much, in minor units.
    pub owed: i64,
}

/// Which share of what failed is done later all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// At least.
    pub least: Percent,
    /// Most likely.
    pub likely: Percent,
    /// At most.
    pub most: Percent,
}

/// What a service's failure costs its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What all amounts are in.
    pub currency: Currency,
    /// What comes later.
    pub recovered: Recovered,
    /// Credits, of which the largest that applies is owed.
    pub credits: Vec<Credit>,
    /// Penalties, of which the largest that applies is owed for each downtime.
    pub penalties: Vec<Penalty>,
}

/// All that an estate says of what a service's failure costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCost {
    /// What is owed and what comes later.
    pub terms: Terms,
    /// What each hour of a week is worth, in minor units, from Monday midnight on. `None` if it is to be learned.
    pub hours: Option<Box<[i64; WEEK_HOURS]>>,
    /// The place whose hours, days and months count.
    pub zone: TimeZone,
    /// Whose requests tell what failed, where the estate says.
    pub requests: Option<ComponentId>,
}

/// Judges what a service says of its cost. `None` if it says nothing, or nothing that could be used; why has been
/// reported.
pub(super) fn validate(service: &RawService, graph: &Graph, problems: &mut Problems) -> Option<ServiceCost> {
    let Some(at) = &service.cost else {
        let value = service.value.as_ref()?;
        let hourly = hourly(value, problems)?;
        let nothing = Recovered { least: Percent::NONE, likely: Percent::NONE, most: Percent::NONE };
        let terms = Terms {
            currency: value.value.money.currency,
            recovered: nothing,
            credits: Vec::new(),
            penalties: Vec::new(),
        };
        return Some(ServiceCost {
            terms,
            hours: Some(Box::new([hourly; WEEK_HOURS])),
            zone: TimeZone::UTC,
            requests: None,
        });
    };
    let raw = &at.value;
    let entries = raw.hours.len().max(raw.credits.len()).max(raw.penalties.len());
    if entries > MAX_ENTRIES {
        let message = format!("{entries} entries; at most {MAX_ENTRIES} are taken");
        problems.report(Problem::new(Code::Limit, at.place, message));
        return None;
    }
    let currency = currency(service, at, problems)?;
    let one = OneCurrency(currency);
    let (hours, zone) = (hours(service, raw, one, problems), zone(&raw.zone, problems));
    let recovered = recovered(raw.recovered.as_ref(), problems);
    let credits: Vec<_> = raw
        .credits
        .iter()
        .filter_map(|credit| {
            let At { value: RawCredit { below, owed }, .. } = credit;
            Some(Credit { below: (*below)?, owed: one.owed(owed.as_ref()?, problems)? })
        })
        .collect();
    let penalties: Vec<_> = raw
        .penalties
        .iter()
        .filter_map(|penalty| {
            let At { value: RawPenalty { after, owed }, .. } = penalty;
            Some(Penalty { after: (*after)?, owed: one.owed(owed.as_ref()?, problems)? })
        })
        .collect();
    let requests = match &raw.requests {
        Some(text) => Some(counted(text, graph, problems)?),
        None => None,
    };
    let terms = Terms { currency, recovered: recovered?, credits, penalties };
    Some(ServiceCost { terms, hours: hours?, zone: zone?, requests })
}

/// What a rate comes to in an hour, in minor units.
fn hourly(rate: &At<CostRate>, problems: &mut Problems) -> Option<i64> {
    let CostRate { money, per } = rate.value;
    let minor = i64::try_from(i128::from(money.minor) * HOUR / i128::from(per.seconds())).ok();
    if minor.is_none() {
        let message = format!("`{}` is too large for an hour", rate.value);
        problems.report(Problem::new(Code::InvalidValue, rate.place, message));
    }
    minor
}

/// What all amounts are in: that of the first of them.
fn currency(service: &RawService, at: &At<RawCost>, problems: &mut Problems) -> Option<Currency> {
    let raw = &at.value;
    let worth = service.value.iter().chain(raw.hours.iter().filter_map(|hours| hours.value.value.as_ref()));
    let first = worth.map(|rate| rate.value.money.currency).next();
    match (first, raw.currency) {
        (Some(first), Some(said)) if first != said => {
            let message = format!("`currency` is {}, and the service is worth {}", said.code(), first.code());
            let problem = Problem::new(Code::Contradiction, at.place, message);
            problems.report(problem.help("remove `currency`: it is for hours whose worth is learned"));
            None
        }
        (Some(currency), _) | (None, Some(currency)) => Some(currency),
        (None, None) => {
            let problem = Problem::new(Code::MissingKey, at.place, "nothing says what an outage costs");
            let help = "add `value = \"$120k/h\"` to the service, `hours` to its cost, or `currency` to have it learned";
            problems.report(problem.help(help));
            None
        }
    }
}

/// All amounts of a service are in one currency: nothing here knows what one is worth in another.
#[derive(Clone, Copy)]
struct OneCurrency(Currency);

impl OneCurrency {
    fn holds(self, money: Money, place: Place, problems: &mut Problems) -> bool {
        let same = money.currency == self.0;
        if !same {
            let message = format!("`{money}` is not in {}, as the others are", self.0.code());
            let help = format!("write all amounts of a service in {}", self.0.code());
            problems.report(Problem::new(Code::Contradiction, place, message).help(help));
        }
        same
    }

    fn owed(self, at: &At<Money>, problems: &mut Problems) -> Option<i64> {
        if at.value.minor < 0 {
            let message = format!("`{}` is less than nothing", at.value);
            problems.report(Problem::new(Code::InvalidValue, at.place, message));
            return None;
        }
        self.holds(at.value, at.place, problems).then_some(at.value.minor)
    }
}

/// What each hour of a week is worth; `Some(None)` if that is to be learned.
fn hours(
    service: &RawService,
    raw: &RawCost,
    one: OneCurrency,
    problems: &mut Problems,
) -> Option<Option<Box<[i64; WEEK_HOURS]>>> {
    if service.value.is_none() && raw.hours.is_empty() {
        return Some(None);
    }
    let flat = match &service.value {
        Some(rate) => hourly(rate, problems)?,
        None => 0,
    };
    let (mut week, mut good) = (Box::new([flat; WEEK_HOURS]), true);
    for At { value: hours, place } in &raw.hours {
        let Some(rate) = &hours.value else { return None };
        let (from, until) = (hours.from as usize, hours.until as usize);
        if from >= until || until > DAY {
            let message = format!("from {from} until {until} is no part of a day");
            let problem = Problem::new(Code::InvalidValue, *place, message);
            problems
                .report(problem.help("write hours from 0 to 24; what goes on after midnight is two entries"));
            good = false;
        }
        let worth =
            one.holds(rate.value.money, rate.place, problems).then(|| hourly(rate, problems)).flatten();
        let Some(worth) = worth.filter(|_| good) else {
            good = false;
            continue;
        };
        for day in &hours.days {
            week[*day as usize * DAY + from..*day as usize * DAY + until].fill(worth);
        }
    }
    good.then_some(Some(week))
}

fn zone(at: &At<String>, problems: &mut Problems) -> Option<TimeZone> {
    let zone = TimeZone::get(&at.value).ok();
    if zone.is_none() {
        let message = format!("{} is no time zone", problems.quote(&at.value, at.place));
        let problem = Problem::new(Code::InvalidValue, at.place, message);
        problems.report(problem.help("write a name of the tz database, as in `Europe/Berlin` or `UTC`"));
    }
    zone
}

fn recovered(at: Option<&At<RawRecovered>>, problems: &mut Problems) -> Option<Recovered> {
    let Some(At { value: raw, place }) = at else {
        return Some(Recovered { least: Percent::NONE, likely: Percent::NONE, most: Percent::NONE });
    };
    let likely = raw.likely?;
    let recovered =
        Recovered { least: raw.least.unwrap_or(likely), likely, most: raw.most.unwrap_or(likely) };
    let rising = recovered.least <= likely && likely <= recovered.most;
    if !rising {
        let message = "`least`, `likely` and `most` do not rise";
        problems.report(Problem::new(Code::Contradiction, *place, message));
    }
    rising.then_some(recovered)
}

fn counted(text: &At<String>, graph: &Graph, problems: &mut Problems) -> Option<ComponentId> {
    let id: Option<ComponentId> = text.value.parse().ok();
    let id = id.filter(|id| id.kind() == ComponentKind::Pool && graph.contains(id));
    if id.is_none() {
        let message = format!("{} is no pool", problems.quote(&text.value, text.place));
        let problem = Problem::new(Code::UnknownReference, text.place, message);
        let pools = graph.components().filter(|id| id.kind() == ComponentKind::Pool);
        let pools: Vec<_> = pools.map(ToString::to_string).collect();
        problems.report_unlike(problem.help("write `pool:NAME`"), &text.value, &pools);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Name,
        estate::{Decode, FileId, Node, Table, parse},
    };

    fn judge(text: &str) -> Result<ServiceCost, Vec<String>> {
        let mut problems = Problems::default();
        let tree = parse(FileId(0), text, &mut problems);
        let services = Table::<RawService>::decode(Node::new(FileId(0), &tree), &mut problems).unwrap();
        let mut graph = Graph::default();
        graph.add_pool(&Name::new("eth").unwrap(), Vec::new());
        graph.add_services(&services, &mut problems);
        let told: Vec<_> = problems.sorted().iter().map(|p| p.message.clone()).collect();
        if !told.is_empty() {
            return Err(told);
        }
        let service = graph.services.remove(&Name::new("pay").unwrap()).unwrap();
        Ok(service.cost.unwrap())
    }

    #[test]
    fn a_flat_value_is_a_cost_by_itself() {
        let cost = judge("pay.needs.all = []\npay.value = \"$2.40/m\"").unwrap();
        assert_eq!(cost.hours.unwrap()[..], [14_400; WEEK_HOURS]);
        assert_eq!((cost.terms.currency, cost.requests), (Currency::Usd, None));
    }

    #[test]
    fn hours_of_the_week_stand_above_the_flat_value() {
        let cost = judge(
            r#"
            [pay]
            needs = "pool:eth"
            value = "€100/h"
            [pay.cost]
            zone = "Europe/Berlin"
            requests = "pool:eth"
            hours = [{ days = ["mon", "sun"], from = 9, until = 17, value = "€300/h" }]
            recovered = { likely = "60%", least = "40%" }
            credits = [{ below = "99.9%", owed = "€50k" }]
            penalties = [{ after = "4h", owed = "€250k" }]
            "#,
        )
        .unwrap();
        let week = cost.hours.unwrap();
        assert_eq!(
            [8, 9, 16, 17, 24 + 9, 6 * 24 + 9].map(|h| week[h]),
            [10_000, 30_000, 30_000, 10_000, 10_000, 30_000]
        );
        assert_eq!(cost.zone.iana_name(), Some("Europe/Berlin"));
        assert_eq!(cost.requests.unwrap().to_string(), "pool:eth");
        assert_eq!(cost.terms.credits[0].owed, 5_000_000);
        assert_eq!(cost.terms.penalties[0].after, Duration::from_secs(4 * 3_600));
        assert_eq!(cost.terms.recovered.most.to_string(), "60%");
    }

    #[test]
    fn what_contradicts_itself_is_told() {
        let check = |more: &str, wanted: &str| {
            let told = judge(&format!("pay.needs.all = []\n{more}")).unwrap_err();
            assert!(told.len() == 1 && told[0].contains(wanted), "{told:?}");
        };
        check("pay.cost.zone = \"UTC\"", "nothing says what an outage costs");
        check("pay.value = \"$1/h\"\npay.cost.zone = \"Moon/Tycho\"", "is no time zone");
        check("pay.value = \"$1/h\"\npay.cost.currency = \"EUR\"", "`currency` is EUR");
        check("pay.value = \"$1/h\"\npay.cost.requests = \"pool:other\"", "is no pool");
        check("pay.value = \"$1/h\"\npay.cost.credits = [{ below = \"99%\", owed = \"€5\" }]", "not in USD");
        check(
            "pay.value = \"$1/h\"\npay.cost.hours = [{ from = 9, until = 9, value = \"$2/h\" }]",
            "no part of a day",
        );
        check(
            "pay.value = \"$1/h\"\npay.cost.recovered = { likely = \"5%\", least = \"6%\" }",
            "do not rise",
        );
        check("pay.value = \"$90000000B/s\"", "too large for an hour");
        assert!(judge("pay.needs.all = []\npay.cost.currency = \"USD\"").unwrap().hours.is_none());
    }
}
