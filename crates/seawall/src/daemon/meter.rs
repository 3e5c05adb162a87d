//! What failing services cost just now: a rate by the second and what it has come to. Quick and rough; what a time cost
//! is worked out from the history.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use seawall_history::{Estimate, hour_of_week};
use seawall_model::{
    Affected, ComponentId, Fact, Mono, Signal, Status, Wall,
    estate::ServiceCost,
    units::{Currency, Percent},
};
use seawall_runtime::{
    clock::Clock,
    metrics::Metrics,
    tasks::{Shutdown, TaskError},
};
use serde_json::{Value, json};
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    watch,
};

use super::board::Board;
use crate::{estate::Costs, output::amount};

/// How often rates are worked out.
const TICK: Duration = Duration::from_secs(1);
/// The longest time between two looks that is charged: a process that stood still saw nothing.
const LONGEST: Duration = Duration::from_secs(5);
/// How long the count of a minute speaks for the time after it, in milliseconds.
const COUNT_HOLDS_MS: i64 = 90_000;
/// Services with a metric of their own; further ones are told together, as [`OTHERS`].
pub(super) const MAX_LABELS: usize = 1_000;
/// No service can be called that.
const OTHERS: &str = "_other";
/// Shares are counted in billionths.
const BILLION: i128 = 1_000_000_000;
/// Billionths of a minor unit in a minor unit.
const ONE: i128 = BILLION;

/// Three amounts in billionths of a minor unit, so that seconds of little add up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Fine([i128; 3]);

impl Fine {
    fn add(&mut self, other: Self) {
        (0..3).for_each(|i| self.0[i] = self.0[i].saturating_add(other.0[i]));
    }

    fn estimate(self) -> Estimate {
        let [low, likely, high] = self.0.map(|n| i64::try_from((n + ONE / 2) / ONE).unwrap_or(i64::MAX));
        Estimate { low, likely, high }
    }
}

/// What one service costs.
#[derive(Debug, Clone)]
struct Reading {
    currency: Currency,
    status: Status,
    /// A minute of now; `None` where nobody says what the hour is worth.
    rate: Option<Fine>,
    /// Since when it costs something.
    since: Option<Wall>,
    /// What the trouble under way has come to, or the last one.
    so_far: Fine,
    /// All since the process began.
    total: Fine,
}

/// What services cost just now.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<BTreeMap<ComponentId, Reading>>);

/// What keeps the meter.
pub(super) struct Watched {
    pub(super) meter: Arc<Meter>,
    pub(super) board: Arc<Board>,
    pub(super) clock: Clock,
    pub(super) costs: watch::Receiver<Arc<Costs>>,
    pub(super) signals: Receiver<Arc<Signal>>,
}

impl Watched {
    /// Reads the meter every second until told to stop.
    pub(super) async fn run(mut self, shutdown: Shutdown) -> Result<(), TaskError> {
        let mut counts = BTreeMap::new();
        let (mut tick, mut last) = (tokio::time::interval(TICK), self.clock.mono());
        loop {
            // Receiving and ticking are cancel-safe: what one would have given is still there for the next round.
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                _ = tick.tick() => {
                    let (costs, now, wall) =
                        (self.costs.borrow().clone(), self.clock.mono(), self.clock.wall());
                    counts.retain(|_, count: &mut Affected| holds(count, wall));
                    self.read(&costs, &counts, std::mem::replace(&mut last, now), now);
                }
                signal = self.signals.recv() => match signal {
                    Ok(signal) => if let Fact::Affected(affected) = &signal.fact
                        && self.costs.borrow().iter().any(|(id, cost)| counted(id, cost) == &signal.component)
                    {
                        counts.insert(signal.component.clone(), affected.clone());
                    },
                    // A minute that is lost is followed by another.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(()),
                },
            }
        }
    }

    fn read(&self, costs: &Costs, counts: &BTreeMap<ComponentId, Affected>, last: Mono, now: Mono) {
        if costs.is_empty() {
            self.meter.all().clear();
            return;
        }
        let long = now.since(last).min(LONGEST);
        let statuses = self.board.statuses();
        let status = |id: &ComponentId| statuses.get(id).copied().unwrap_or(Status::Unknown);
        self.meter.tick(costs, status, counts, self.clock.wall(), long);
    }
}

/// Whose requests tell what of a service failed.
fn counted<'a>(id: &'a ComponentId, cost: &'a ServiceCost) -> &'a ComponentId {
    cost.requests.as_ref().unwrap_or(id)
}

impl Meter {
    /// Charges the time since the last look, `long`.
    pub(super) fn tick(
        &self,
        costs: &Costs,
        status: impl Fn(&ComponentId) -> Status,
        counts: &BTreeMap<ComponentId, Affected>,
        now: Wall,
        long: Duration,
    ) {
        let mut all = self.all();
        all.retain(|id, _| costs.contains_key(id));
        for (id, cost) in costs {
            let reading = all.entry(id.clone()).or_insert_with(|| Reading {
                currency: cost.terms.currency,
                status: Status::Unknown,
                rate: None,
                since: None,
                so_far: Fine::default(),
                total: Fine::default(),
            });
            (reading.currency, reading.status) = (cost.terms.currency, status(id));
            let shares = failed(reading.status, counts.get(counted(id, cost)), now);
            reading.rate = rate(cost, shares, now);
            let fails = reading.rate.is_some_and(|rate| rate.0[1] > 0);
            match (fails, reading.since) {
                (true, None) => (reading.since, reading.so_far) = (Some(now), Fine::default()),
                (true, Some(_)) => {
                    let ms = i128::try_from(long.as_millis()).unwrap_or(0);
                    let spent = reading.rate.unwrap_or_default().0.map(|minute| minute * ms / 60_000);
                    reading.so_far.add(Fine(spent));
                    reading.total.add(Fine(spent));
                }
                (false, _) => reading.since = None,
            }
        }
    }

    /// What operators are shown. Money is in minor units, and in words.
    pub(super) fn show(&self) -> Value {
        let all = self.all();
        let services = all.iter().map(|(id, reading)| {
            let Reading { currency, status, rate, since, so_far, total } = reading;
            json!({
                "service": id,
                "status": status,
                "currency": currency.code(),
                "minor_units": currency.minor(),
                "a_minute": rate.map(|rate| estimate(rate.estimate())),
                "since": since.map(|since| since.to_string()),
                "so_far": estimate(so_far.estimate()),
                "in_all": estimate(total.estimate()),
                "words": words(reading),
            })
        });
        json!({"services": services.collect::<Vec<_>>()})
    }

    /// Has it told to Prometheus.
    pub(super) fn register(self: &Arc<Self>, metrics: &Metrics) {
        let told = Told(self.clone());
        metrics.within("cost", |registry| registry.register_collector(Box::new(told)));
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ComponentId, Reading>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn estimate(of: Estimate) -> Value {
    json!({"low": of.low, "likely": of.likely, "high": of.high})
}

/// The share that fails, in billionths: what a down service fails at is everything, and what the last minute's requests
/// say otherwise is believed where it is more.
fn failed(status: Status, count: Option<&Affected>, now: Wall) -> [i128; 3] {
    let by_status = match status {
        Status::Up | Status::Degraded => [0; 3],
        Status::Down => [BILLION; 3],
        Status::Unknown => [0, 0, BILLION],
    };
    let Some(count) = count.filter(|count| holds(count, now) && count.attempted.requests > 0) else {
        return by_status;
    };
    let [all, failed, unknown] =
        [&count.attempted, &count.failed, &count.unknown].map(|sum| i128::from(sum.requests));
    let by_count = [2 * failed, 2 * failed + unknown, 2 * (failed + unknown)]
        .map(|twice| (twice * BILLION / (2 * all)).min(BILLION));
    [0, 1, 2].map(|i| by_status[i].max(by_count[i]))
}

/// True while the count of a minute speaks for the time after it.
fn holds(count: &Affected, now: Wall) -> bool {
    now.0.saturating_sub(count.until.0) <= COUNT_HOLDS_MS
}

/// What a minute costs, less what comes later. `None` where nobody says what the hour is worth.
fn rate(cost: &ServiceCost, shares: [i128; 3], now: Wall) -> Option<Fine> {
    let worth = cost.hours.as_ref()?[hour_of_week(now, &cost.zone)];
    let later = &cost.terms.recovered;
    let kept = |later: Percent| 1_000_000 - i128::from(later.parts_per_million());
    // What is cheapest comes together in the low figure, as in the history's.
    let minute = |share: i128, later: Percent| i128::from(worth) * share / 60 * kept(later) / 1_000_000;
    Some(Fine([
        minute(shares[0], later.most),
        minute(shares[1], later.likely),
        minute(shares[2], later.least),
    ]))
}

/// As in `costs 1,200 USD a minute now; 3,400 USD so far`.
fn words(reading: &Reading) -> String {
    let currency = reading.currency;
    let show = |fine: Fine| amount(fine.estimate().likely, currency.minor(), currency.code());
    match (reading.rate, reading.since) {
        (None, _) => "what it is worth is learned: see /v1/history/cost".to_owned(),
        (Some(rate), Some(_)) => {
            format!("costs {} a minute now; {} so far", show(rate), show(reading.so_far))
        }
        (Some(_), None) if reading.so_far == Fine::default() => "costs nothing now".to_owned(),
        (Some(_), None) => format!("costs nothing now; the last trouble cost {}", show(reading.so_far)),
    }
}

#[derive(Debug)]
struct Told(Arc<Meter>);

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut rows = BTreeMap::<(String, &str), [f64; 2]>::new();
        for (n, (id, reading)) in self.0.all().iter().enumerate() {
            let name = if n < MAX_LABELS { id.path() } else { OTHERS };
            let row = rows.entry((name.to_owned(), reading.currency.code())).or_default();
            let units = |fine: Fine| fine.0[1] as f64 / ONE as f64 / reading.currency.minor() as f64;
            row[0] += units(reading.rate.unwrap_or_default());
            row[1] += units(reading.total);
        }
        let help = "What failing services cost a minute just now, most likely, in units of the currency";
        let mut family = encoder.encode_descriptor("per_minute", help, None, MetricType::Gauge)?;
        for ((service, currency), row) in &rows {
            let labels = [("service", service.as_str()), ("currency", *currency)];
            ConstGauge::new(row[0]).encode(family.encode_family(&labels)?)?;
        }
        let help =
            "What failing services have cost since the process began, most likely, in units of the currency";
        let mut family = encoder.encode_descriptor("spent", help, None, MetricType::Counter)?;
        for ((service, currency), row) in &rows {
            let labels = [("service", service.as_str()), ("currency", *currency)];
            ConstCounter::new(row[1]).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
