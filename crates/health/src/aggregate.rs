//! What follows for pools and providers from what is believed of their upstreams.

use std::{collections::BTreeMap, time::Duration};

use seawall_model::{Cause, ComponentId, Status, Verdict, Wall};

use crate::{Engine, FRESH, Held, Opinion, age, plan::PoolPlan};

/// Upstreams that evidence names; the rest is counted.
const NAMED: usize = 4;

impl Engine {
    /// Opinions on every pool, then on every provider.
    pub(crate) fn aggregates(&self, now: Wall) -> Vec<(ComponentId, Opinion)> {
        let mut providers: BTreeMap<&ComponentId, Vec<&Held>> = BTreeMap::new();
        for upstream in self.plan.upstreams() {
            let verdicts = providers.entry(&upstream.provider).or_default();
            verdicts.extend(self.verdicts.get(&upstream.component));
        }
        let pools = self.plan.pools.iter().map(|pool| (pool.component.clone(), self.pool(now, pool)));
        let providers = providers.into_iter().map(|(p, held)| (p.clone(), provider(now, &held)));
        pools.chain(providers).collect()
    }

    fn pool(&self, now: Wall, pool: &PoolPlan) -> Opinion {
        let held: Vec<&Held> =
            pool.upstreams.iter().filter_map(|u| self.verdicts.get(&u.component)).collect();
        let verdicts = judged(now, &held);
        let serves = |v: &&&Verdict| matches!(v.status, Status::Up | Status::Degraded);
        let status = if all(&verdicts, Status::Unknown) {
            Status::Unknown
        } else if all(&verdicts, Status::Up) {
            Status::Up
        } else if verdicts.iter().any(|v| serves(&v)) {
            Status::Degraded
        } else {
            Status::Down
        };
        let serving = verdicts.iter().filter(serves).count();
        let summary = format!("{serving} of {} upstreams serving", held.len());
        let opinion = opinion(status, &summary, &verdicts);
        match self.standstill(now, pool) {
            Some(age) if status == Status::Up || status == Status::Degraded => {
                let evidence = format!("no head has moved for {} s; {}", age.as_secs(), opinion.evidence);
                Opinion { status: Status::Degraded, cause: Some(Cause::Stalled), evidence }
            }
            Some(_) | None => opinion,
        }
    }

    /// How long the chain has stood still as a whole, if it has for too long.
    fn standstill(&self, now: Wall, pool: &PoolPlan) -> Option<Duration> {
        let limit = pool.halted_after?;
        let upstreams = pool.upstreams.iter().filter_map(|u| self.upstreams.get(&u.component));
        upstreams.filter_map(|u| u.head_age(now)).min().filter(|age| *age >= limit)
    }
}

/// The verdicts to go by: those on upstreams that are new, and may be heard from yet, are not among them.
fn judged<'a>(now: Wall, held: &[&'a Held]) -> Vec<&'a Verdict> {
    let is_new = |h: &Held| h.changed.is_none() && age(now, h.verdict.since) < FRESH;
    held.iter().filter(|h| !is_new(h)).map(|h| &h.verdict).collect()
}

fn provider(now: Wall, held: &[&Held]) -> Opinion {
    let verdicts = judged(now, held);
    let status = [Status::Unknown, Status::Up, Status::Down].into_iter().find(|s| all(&verdicts, *s));
    let up = verdicts.iter().filter(|v| v.status == Status::Up).count();
    opinion(status.unwrap_or(Status::Degraded), &format!("{up} of {} upstreams up", held.len()), &verdicts)
}

fn all(verdicts: &[&Verdict], status: Status) -> bool {
    verdicts.iter().all(|v| v.status == status)
}

/// An opinion with the worst upstreams for evidence.
fn opinion(status: Status, summary: &str, verdicts: &[&Verdict]) -> Opinion {
    let mut not_up: Vec<&&Verdict> = verdicts.iter().filter(|v| v.status != Status::Up).collect();
    // Down first, then degraded, then unknown; by name within.
    not_up.sort_by_key(|v| match v.status {
        Status::Down => 0,
        Status::Degraded => 1,
        Status::Unknown | Status::Up => 2,
    });
    let mut evidence = summary.to_owned();
    for verdict in not_up.iter().take(NAMED) {
        evidence.push_str(&format!(
            "; `{}` {}: {}",
            verdict.component.path(),
            verdict.status,
            verdict.evidence
        ));
    }
    if not_up.len() > NAMED {
        evidence.push_str(&format!("; and {} more", not_up.len() - NAMED));
    }
    let cause = if status == Status::Up { None } else { not_up.iter().find_map(|v| v.cause) };
    Opinion { status, cause, evidence }
}
