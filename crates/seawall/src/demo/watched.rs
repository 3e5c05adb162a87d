//! What Seawall watches and believes, and what failing costs, read from its own API: `/v1/probes`, `/v1/verdicts`,
//! `/v1/costs`, and the latencies of `/v1/history/page`.

use serde::Deserialize;
use serde_json::Value;

use super::stage::Who;
use crate::output::amount;

/// The service that uses Seawall.
pub(super) const WALLET: &str = "service:wallet";

/// Where it is asked, in the order of [`Watched::read`].
pub(super) const PATHS: [&str; 4] =
    ["/v1/probes", "/v1/verdicts", "/v1/costs", "/v1/history/page?days=1&kind=upstream"];

/// What is watched, at one moment; what could not be had is empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    probes: Vec<Probe>,
    verdicts: Vec<Verdict>,
    costs: Vec<Cost>,
    latencies: Vec<Days>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Probe {
    probe: String,
    outcome: Option<String>,
}

/// What is believed of a component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Verdict {
    component: String,
    status: String,
    evidence: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Cost {
    service: String,
    status: String,
    currency: String,
    minor_units: u64,
    a_minute: Option<Estimate>,
    in_all: Estimate,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Estimate {
    likely: i64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Days {
    component: String,
    latency_us: Latency,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Latency {
    p95: Option<u64>,
}

impl Watched {
    /// Reads the answers to [`PATHS`].
    pub(super) fn read([probes, verdicts, costs, page]: [Option<Value>; 4]) -> Self {
        Self {
            probes: list(probes, "probes"),
            verdicts: list(verdicts, "verdicts"),
            costs: list(costs, "services"),
            latencies: list(page, "components"),
        }
    }

    /// What the last check of a provider came to: `up`, `down`, `unknown`; `-` before there is one.
    pub(super) fn checked(&self, who: Who) -> &str {
        let probe = self.probes.iter().find(|probe| probe.probe == who.provider());
        probe.and_then(|probe| probe.outcome.as_deref()).unwrap_or("-")
    }

    /// The latency that 95 % of a provider's good checks of today keep to, in microseconds.
    pub(super) fn p95_us(&self, who: Who) -> Option<u64> {
        let component = format!("upstream:chain/{}", who.upstream());
        self.latencies.iter().find(|days| days.component == component)?.latency_us.p95
    }

    /// What failing costs whoever uses Seawall, or everybody who uses one provider alone.
    pub(super) fn cost(&self, through: bool) -> String {
        let of = || self.costs.iter().filter(|cost| (cost.service == WALLET) == through);
        let Some(first) = of().next() else { return "cost ?".to_owned() };
        let rate: i64 = of().filter_map(|cost| cost.a_minute.as_ref()).map(|rate| rate.likely).sum();
        let so_far: i64 = of().map(|cost| cost.in_all.likely).sum();
        let show = |minor| amount(minor, first.minor_units, &first.currency);
        match rate {
            0 => format!("costs 0 USD a minute now; {} so far", show(so_far)),
            rate => format!("costs {} a minute now; {} so far", show(rate), show(so_far)),
        }
    }

    /// How many of the services that use one provider alone are down, and how many there are.
    pub(super) fn alone_down(&self) -> (usize, usize) {
        let alone = || self.costs.iter().filter(|cost| cost.service != WALLET);
        (alone().filter(|cost| cost.status == "down").count(), alone().count())
    }

    /// The worst verdict and its evidence.
    pub(super) fn worst(&self) -> String {
        let of = |status: &str| self.verdicts.iter().rev().find(|verdict| verdict.status == status);
        match ["down", "degraded"].into_iter().find_map(of) {
            Some(verdict) => verdict.words(),
            None => "all that Seawall watches is up".to_owned(),
        }
    }

    /// What is believed otherwise than `before`, each in a line.
    pub(super) fn changes(&self, before: &Self) -> Vec<String> {
        let turned = |verdict: &&Verdict| {
            let was = before.verdicts.iter().find(|was| was.component == verdict.component);
            was.is_some_and(|was| was.status != verdict.status)
        };
        self.verdicts.iter().filter(turned).map(Verdict::words).collect()
    }

    /// True if Seawall told of anything.
    pub(super) fn is_told(&self) -> bool {
        !self.verdicts.is_empty()
    }
}

impl Verdict {
    fn words(&self) -> String {
        let Self { component, status, evidence } = self;
        format!("verdict: {component} is {status}: {evidence}")
    }
}

fn list<T: for<'de> Deserialize<'de>>(told: Option<Value>, key: &str) -> Vec<T> {
    let list = told.and_then(|mut told| told.get_mut(key).map(Value::take));
    list.and_then(|list| serde_json::from_value(list).ok()).unwrap_or_default()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// Alder hangs, and who uses nothing else is down.
    pub(in crate::demo) fn watched() -> Watched {
        let probe = |name: &str, outcome: &str| json!({"probe": name, "outcome": outcome});
        let verdict = |component: &str, status: &str, evidence: &str| json!({"component": component, "status": status, "evidence": evidence});
        let cost = |service: &str, status: &str, rate: i64, in_all: i64| {
            json!({"service": service, "status": status, "currency": "USD", "minor_units": 100,
                "a_minute": {"likely": rate}, "in_all": {"likely": in_all}})
        };
        Watched::read([
            Some(json!({"probes": [probe("alder", "down"), probe("birch", "up"), probe("cedar", "up")]})),
            Some(json!({"verdicts": [
                verdict("service:alder-alone", "down", "it needs upstream:chain/a"),
                verdict("service:wallet", "up", "pool:chain is up"),
                verdict("upstream:chain/a", "down", "3 of 3 checks failed: timeout"),
            ]})),
            Some(json!({"services": [
                cost("service:alder-alone", "down", 120_000, 340_000),
                cost("service:birch-alone", "up", 0, 0),
                cost("service:cedar-alone", "up", 0, 0),
                cost(WALLET, "up", 0, 0),
            ]})),
            Some(json!({"components": [{"component": "upstream:chain/a", "latency_us": {"p95": 3_100}}]})),
        ])
    }

    #[test]
    fn what_is_watched_is_told_in_a_few_words() {
        let seen = watched();
        assert_eq!((seen.checked(Who::A), seen.p95_us(Who::A)), ("down", Some(3_100)));
        assert_eq!((seen.checked(Who::B), seen.p95_us(Who::B)), ("up", None));
        assert_eq!(seen.cost(true), "costs 0 USD a minute now; 0.00 USD so far");
        assert_eq!(seen.cost(false), "costs 1,200 USD a minute now; 3,400 USD so far");
        assert_eq!(seen.alone_down(), (1, 3));
        assert_eq!(seen.worst(), "verdict: upstream:chain/a is down: 3 of 3 checks failed: timeout");
    }

    #[test]
    fn only_what_turned_is_news() {
        let (before, mut now) = (watched(), watched());
        assert_eq!(now.changes(&before), Vec::<String>::new());
        now.verdicts[2].status = "up".to_owned();
        now.verdicts[0].evidence = "other words".to_owned();
        assert_eq!(now.changes(&before).len(), 1);
        // Nothing was known before: all of it would be news.
        assert_eq!(now.changes(&Watched::default()), Vec::<String>::new());
        assert_eq!(Watched::read([const { None }; 4]).cost(true), "cost ?");
    }
}
