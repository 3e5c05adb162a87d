//! What a provider allows: `[providers.NAME.budget]`.

use std::collections::BTreeMap;

use seawall_model::{
    Name,
    estate::{At, Code, Problem, Problems, RawBudget, RawProvider, Table},
    units::Rate,
};

use super::validate::within;

/// Most methods of one table of costs.
const MAX_COSTS: usize = 1_000;
/// Most that one call may cost.
const MAX_COST: u32 = 1_000_000;

/// What a provider allows, over all its upstreams in all pools.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderBudget {
    /// Whose it is.
    pub provider: Name,
    /// Most requests a second.
    pub requests: Option<f64>,
    /// Most compute units a second.
    pub units: Option<f64>,
    /// Most compute units in a day, UTC.
    pub daily: Option<u64>,
    /// Most compute units in a month, UTC.
    pub monthly: Option<u64>,
    /// What each call costs.
    pub costs: Costs,
}

/// What calls cost, in compute units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Costs {
    /// What any other method costs.
    pub usual: u32,
    /// What each of these costs.
    pub methods: BTreeMap<Box<str>, u32>,
}

impl Default for Costs {
    fn default() -> Self {
        Self { usual: 1, methods: BTreeMap::new() }
    }
}

impl Costs {
    /// What a call of `method` costs.
    pub fn of(&self, method: &str) -> u32 {
        self.methods.get(method).copied().unwrap_or(self.usual)
    }
}

/// Judges the budgets. `None` if any is bad.
pub(super) fn validate(raw: &Table<RawProvider>, problems: &mut Problems) -> Option<Vec<ProviderBudget>> {
    let mut good = Some(Vec::new());
    for (name, provider) in raw {
        let Some(budget) = &provider.value.budget else { continue };
        match (one(name, budget, problems), &mut good) {
            (Some(budget), Some(all)) => all.push(budget),
            (Some(_), None) => {}
            (None, _) => good = None,
        }
    }
    good
}

fn one(provider: &Name, at: &At<RawBudget>, problems: &mut Problems) -> Option<ProviderBudget> {
    let raw = &at.value;
    let requests = raw.requests.map(|rate| per_second(rate, "requests", problems));
    let units = raw.compute_units.map(|rate| per_second(rate, "compute_units", problems));
    let mut quota = |at: Option<At<u64>>, key| {
        at.map(|at| within(at, 1, i64::MAX.unsigned_abs(), key, u64::to_string, problems))
    };
    let (daily, monthly) = (quota(raw.daily, "daily"), quota(raw.monthly, "monthly"));
    let costs = costs(raw, problems);
    Some(ProviderBudget {
        provider: provider.clone(),
        requests: whole(requests)?,
        units: whole(units)?,
        daily: whole(daily)?,
        monthly: whole(monthly)?,
        costs: costs?,
    })
}

/// What may be left out, and must be good if it is there.
fn whole<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        Some(good) => Some(Some(good?)),
        None => Some(None),
    }
}

fn per_second(at: At<Rate>, key: &str, problems: &mut Problems) -> Option<f64> {
    let rate = at.value.count as f64 / at.value.per.seconds() as f64;
    if rate >= 1.0 / 3_600.0 {
        return Some(rate);
    }
    let message = format!("`{key}` is `{}`, but must be 1/h at least", at.value);
    problems.report(Problem::new(Code::InvalidValue, at.place, message));
    None
}

fn costs(raw: &RawBudget, problems: &mut Problems) -> Option<Costs> {
    let listed = &raw.costs.0;
    if let Some((beyond, _)) = listed.get(MAX_COSTS) {
        let message = format!("{} costs; at most {MAX_COSTS} are taken", listed.len());
        problems.report(Problem::new(Code::Limit, beyond.place, message));
        return None;
    }
    let mut costs = Costs::default();
    let mut good = true;
    for (method, cost) in listed {
        match within(*cost, 1, MAX_COST, &method.value, u32::to_string, problems) {
            Some(cost) if method.value == "default" => costs.usual = cost,
            Some(cost) => drop(costs.methods.insert(method.value.as_str().into(), cost)),
            None => good = false,
        }
    }
    good.then_some(costs)
}
