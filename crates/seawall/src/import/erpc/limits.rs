//! eRPC's rate limits: budgets that upstreams share.

use std::collections::BTreeMap;

use super::{
    super::{
        draft::Draft,
        tree::{Field, Left},
    },
    Made,
};

/// A budget: requests, each so many seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    count: u64,
    seconds: u64,
}

/// `rateLimiters`: the budgets that hold for all methods alike.
pub(super) fn budgets(field: &Field<'_>, left: &mut Left) -> BTreeMap<String, Budget> {
    let mut found = BTreeMap::new();
    let mut fields = field.fields(left);
    for budget in fields.items("budgets", left) {
        let mut fields = budget.fields(left);
        let id = fields.take("id").and_then(|field| field.text(left));
        for rule in fields.items("rules", left) {
            let Some(rate) = rule_of(&rule, left) else { continue };
            if let Some(id) = id {
                found.entry(id.to_owned()).or_insert(rate);
            }
        }
        fields.leave(left, |_| "an estate has nothing like it");
    }
    fields.leave(left, |_| "each node counts for itself");
    found
}

fn rule_of(rule: &Field<'_>, left: &mut Left) -> Option<Budget> {
    let mut fields = rule.fields(left);
    let all = fields.take("method").is_none_or(|field| field.raw(left) == Some("*"));
    let mut own = |key| fields.take(key).is_some_and(|field| field.flag(left) == Some(true));
    let (per_address, per_user) = (own("perIP"), own("perUser"));
    let (count, period) = (fields.take("maxCount"), fields.take("period"));
    let reason = match () {
        () if !all => "limits hold for all methods: a provider's `budget` may say what each costs (`costs`)",
        () if per_address => "limits by address stand under `[pools.NAME.admission] per_address`",
        () if per_user => "limits by client stand under `[auth.clients.NAME] rate`",
        () => {
            fields.leave(left, |key| match key {
                "waitTime" => "requests wait in line by themselves: see `[pools.NAME.admission]`",
                _ => "an estate has nothing like it",
            });
            let seconds = period.and_then(|field| period_of(&field, left))?;
            let count = count?.number(left).filter(|count| *count > 0)?;
            return Some(Budget { count, seconds });
        }
    };
    rule.leave(left, reason);
    None
}

/// A period in seconds.
fn period_of(field: &Field<'_>, left: &mut Left) -> Option<u64> {
    const NAMED: [(&str, u64); 4] = [("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400)];
    let text = field.text(left)?;
    if let Some((_, seconds)) = NAMED.iter().find(|(name, _)| *name == text) {
        return Some(*seconds);
    }
    let time = seawall_model::units::parse_duration(text).ok().map(|time| time.as_secs()).filter(|s| *s > 0);
    if time.is_none() {
        field.leave(left, "a rate is counted over a second or longer");
    }
    time
}

impl Made {
    /// Gives each budget to the provider whose upstreams alone share it, and else to each upstream by itself.
    pub(super) fn share_budgets(&mut self, left: &mut Left) {
        let shares = std::mem::take(&mut self.shares);
        let provider = |draft: &Draft, pool: usize, upstream: usize| {
            draft.pools.get(pool).and_then(|p| p.upstreams.get(upstream)).map(|u| u.provider.clone())
        };
        for (pool, upstream, id, (path, line)) in &shares {
            let Some(own) = provider(&self.draft, *pool, *upstream) else { continue };
            let Some(budget) = self.budgets.get(id).copied() else {
                left.add(path, *line, "there is no such budget, or none that carries over");
                continue;
            };
            let of_provider =
                self.draft.pools.iter().flat_map(|p| &p.upstreams).filter(|u| u.provider == own).count();
            let here = shares.iter().filter(|(.., other, _)| other == id).count();
            let same = shares
                .iter()
                .filter(|(p, u, other, _)| {
                    other == id && provider(&self.draft, *p, *u).as_ref() == Some(&own)
                })
                .count();
            let unit =
                [(1, "s"), (60, "m"), (3_600, "h"), (86_400, "d")].iter().find(|(s, _)| *s == budget.seconds);
            if of_provider == same && here == same {
                let rate = match unit {
                    Some((_, unit)) => format!("{}/{unit}", budget.count),
                    None => format!("{}/h", (budget.count.saturating_mul(3_600) / budget.seconds).max(1)),
                };
                self.draft.budgets.insert(own, rate);
                continue;
            }
            let rate = budget.count / budget.seconds;
            if rate == 0 || u32::try_from(rate).is_err() {
                left.add(path, *line, "an upstream's `rate` is counted in whole requests a second");
                continue;
            }
            if here > 1 {
                let reason =
                    "the budget is shared by upstreams of several providers: each has it as its own `rate`";
                left.add(path, *line, reason);
            }
            self.draft.pools[*pool].upstreams[*upstream].rate = Some(rate);
        }
    }
}
