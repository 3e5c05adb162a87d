//! The history as the documentation tells it, worked out anew from everything that was ever taken: what the real one
//! must agree with. All times are whole steps of [`STEP`], so that what was when can be asked step by step.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{civil::Date, tz::TimeZone};
use proptest::prelude::*;
use seawall_history::{
    AffectedTotal, Batch, Change, Check, Day, Downtime, Grain, History, HistoryError, MAX_AHEAD_MS,
    MAX_BEHIND_MS, MAX_MAINTENANCE_MS, MAX_SILENCE_MS, Outcome, Period, Policy, Reader, StatusTime,
    Stretched, Tally, Window,
};
use seawall_model::{Affected, AffectedSum, Cause, ComponentId, Status, Wall};

/// What all times are multiples of, in milliseconds.
pub(crate) const STEP: i64 = 30_000;
/// When it begins: the evening before clocks are put forward in Berlin.
pub(crate) const BEGIN: i64 = 1_774_728_000_000;
/// Days looked at, from [`FIRST_DAY`] on.
pub(crate) const DAYS: usize = 24;
pub(crate) const FIRST_DAY: i64 = BEGIN / 86_400_000 - 11;

/// Everything is kept.
pub(crate) const KEEP: Policy =
    Policy { raw_days: 400, minute_days: 400, hour_days: 400, max_bytes: 1 << 40 };

pub(crate) fn components() -> [ComponentId; 3] {
    ["service:a", "pool:b", "upstream:b/c"].map(|id| id.parse().unwrap())
}

pub(crate) fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

/// The local days looked at: across a change of clocks, and a part of what there is.
pub(crate) fn period() -> Period {
    Period::days_from(Date::new(2026, 3, 20).unwrap(), 16, &berlin()).unwrap()
}

/// A fact, its time told by the clock when it is written.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    Check { of: usize, at: i64, seq: u64, outcome: Outcome, latency: Option<u64> },
    Change { of: usize, at: i64, status: Option<Status>, cause: Option<Cause> },
    Window { of: usize, at: i64, long: i64, withdrawn: bool },
    Affected { of: usize, at: i64, seq: u64, failed: u64 },
}

#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// So many steps pass, back or forth, and a batch is written.
    Write(i64, Vec<Fact>),
    /// The last batch is written again.
    Again,
    Tend,
    Reopen,
}

fn fact() -> impl Strategy<Value = Fact> {
    let of = 0_usize..3;
    let status = prop_oneof![
        3 => Just(Some(Status::Up)),
        1 => Just(Some(Status::Degraded)),
        3 => Just(Some(Status::Down)),
        1 => Just(Some(Status::Unknown)),
        1 => Just(None)
    ];
    let outcome =
        prop_oneof![4 => Just(Outcome::Ok), 1 => Just(Outcome::Failed), 1 => Just(Outcome::Unknown)];
    let near = prop_oneof![6 => -3_i64..=0, 2 => -200_i64..=12, 1 => -30_000_i64..0];
    let cause = prop_oneof![Just(None), Just(Some(Cause::Hang)), Just(Some(Cause::Connect))];
    let far = prop_oneof![3 => -5_i64..=5, 2 => -9_000_i64..3_000, 1 => -300_000_i64..0];
    prop_oneof![
        4 => (of.clone(), near.clone(), 0_u64..6, outcome, prop::option::of(0_u64..3_000_000))
            .prop_map(|(of, at, seq, outcome, latency)| Fact::Check { of, at, seq, outcome, latency }),
        4 => (of.clone(), near.clone(), status, cause)
            .prop_map(|(of, at, status, cause)| Fact::Change { of, at, status, cause }),
        1 => (of.clone(), far, 1_i64..4_000, prop::bool::weighted(0.2))
            .prop_map(|(of, at, long, withdrawn)| Fact::Window { of, at, long, withdrawn }),
        1 => (of, near, 0_u64..4, 0_u64..9).prop_map(|(of, at, seq, failed)| Fact::Affected { of, at, seq, failed }),
    ]
}

/// Writes and what happens between them. The clock goes on, leaps, and is set back.
pub(crate) fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    let pass = prop_oneof![
        10 => 1_i64..=6,
        3 => 7_i64..400,
        2 => 400_i64..6_000,
        2 => -6_i64..=0,
        1 => -3_000_i64..0,
    ];
    let op = prop_oneof![
        8 => (pass, prop::collection::vec(fact(), 0..6)).prop_map(|(pass, facts)| Op::Write(pass, facts)),
        // An hour is watched, so that the clock is believed.
        2 => Just(Op::Write(0, Vec::new())),
        1 => Just(Op::Again),
        3 => Just(Op::Tend),
        1 => Just(Op::Reopen),
    ];
    prop::collection::vec(op, 1..most)
}

/// The batch that facts make at a time of the clock.
pub(crate) fn batch(now: i64, facts: &[Fact]) -> Batch {
    let ids = components();
    let when = |at: i64| Wall(now + at * STEP);
    let mut batch = Batch::default();
    for fact in facts.iter().cloned() {
        match fact {
            Fact::Check { of, at, seq, outcome, latency } => batch.checks.push(Check {
                source: Arc::from(["probe/a", "probe/b"][(seq % 2) as usize]),
                seq,
                component: ids[of].clone(),
                at: when(at),
                vantage: Arc::from("here"),
                outcome,
                latency_us: latency,
                cause: (outcome == Outcome::Failed).then_some(Cause::Timeout),
            }),
            Fact::Change { of, at, status, cause } => {
                batch.changes.push(Change { component: ids[of].clone(), status, since: when(at), cause });
            }
            Fact::Window { of, at, long, withdrawn } => batch.windows.push(Window {
                component: ids[of].clone(),
                since: when(at),
                until: when(at + long),
                withdrawn,
            }),
            Fact::Affected { of, at, seq, failed } => {
                let sum = |requests: u64| AffectedSum {
                    requests,
                    customers: requests / 2,
                    value: [("USD".to_owned(), format!("{requests}.25"))].into(),
                    unread: 0,
                    countries: [("de".to_owned(), requests)].into(),
                };
                batch.affected.push(Stretched {
                    source: Arc::from("gateway"),
                    seq,
                    component: ids[of].clone(),
                    affected: Affected {
                        since: when(at),
                        until: when(at + 2),
                        attempted: sum(10 + failed),
                        failed: sum(failed),
                        unknown: sum(1),
                    },
                });
            }
        }
    }
    batch
}

/// What a result is told from another by.
type Identity = (ComponentId, i64, Arc<str>, u64);

/// What everything is worked out from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    /// By what tells them apart; the first is kept.
    checks: BTreeMap<Identity, (Outcome, Option<u64>)>,
    /// In the order told.
    changes: Vec<Change>,
    windows: BTreeSet<(ComponentId, i64, i64)>,
    affected: BTreeMap<(ComponentId, i64, u64), Affected>,
    watched: Vec<(i64, i64)>,
}

impl Model {
    fn trusted(&self) -> Option<i64> {
        self.watched.iter().rev().find(|(since, until)| until - since >= 3_600_000).map(|w| w.1)
    }

    /// Writes a batch. False if the clock is refused.
    pub(crate) fn write(&mut self, now: Wall, batch: &Batch) -> bool {
        let now = now.0;
        if self.trusted().is_some_and(|t| now < t - MAX_BEHIND_MS) {
            return false;
        }
        let back = self.watched.last().is_some_and(|w| w.1 > now);
        for id in components().iter().filter(|_| back) {
            // What was last said of the time that has yet to come is what is believed now.
            let last = self.changes.iter().filter(|c| c.component == *id).max_by_key(|c| c.since).cloned();
            if let Some(last) = last.filter(|c| c.since.0 > now) {
                self.changes.retain(|c| c.component != *id || c.since.0 < now);
                self.changes.push(Change { since: Wall(now), ..last });
            }
        }
        self.watched.retain(|w| w.0 <= now);
        match self.watched.last_mut() {
            Some(last) if now - last.1 <= MAX_SILENCE_MS => last.1 = now,
            _ => self.watched.push((now, now)),
        }
        let early = |at: Wall| at.0 > now + MAX_AHEAD_MS;
        for check in batch.checks.iter().filter(|c| !early(c.at)) {
            let place = (check.component.clone(), check.at.0, check.source.clone(), check.seq);
            self.checks.entry(place).or_insert((check.outcome, check.latency_us));
        }
        for change in batch.changes.iter().filter(|c| !early(c.since) && c.since.0 >= now - MAX_BEHIND_MS) {
            self.changes.retain(|c| c.component != change.component || c.since < change.since);
            self.changes.push(change.clone());
        }
        for window in batch.windows.iter().filter(|w| w.since.0 >= now - MAX_MAINTENANCE_MS) {
            let place = (window.component.clone(), window.since.0, window.until.0);
            if window.withdrawn {
                self.windows.remove(&place)
            } else {
                self.windows.insert(place)
            };
        }
        for told in batch.affected.iter().filter(|a| !early(a.affected.since)) {
            // Told apart within their minute.
            let place = (told.component.clone(), told.affected.since.0.div_euclid(60_000), told.seq);
            self.affected.entry(place).or_insert(told.affected.clone());
        }
        true
    }

    fn status(&self, id: &ComponentId, at: i64) -> Option<(Status, Option<Cause>, bool)> {
        if self.watched.iter().all(|w| w.1 <= at) {
            return None;
        }
        let change =
            self.changes.iter().filter(|c| c.component == *id && c.since.0 <= at).max_by_key(|c| c.since)?;
        let seen = self.watched.iter().any(|w| w.0 <= at && at < w.1);
        let maintained = self.windows.iter().any(|w| w.0 == *id && w.1 <= at && at < w.2);
        let status = change.status?;
        Some(if seen { (status, change.cause, maintained) } else { (Status::Unknown, None, maintained) })
    }

    fn tally(&self, id: &ComponentId, within: impl Fn(i64) -> bool) -> Tally {
        let mut tally = Tally::default();
        for ((component, at, ..), (outcome, latency)) in &self.checks {
            if component == id && within(*at) {
                tally.add(*outcome, *latency);
            }
        }
        tally
    }

    fn reach(&self, id: &ComponentId, within: impl Fn(i64) -> bool) -> AffectedTotal {
        let mut total = AffectedTotal::default();
        for (_, affected) in self.affected.iter().filter(|((c, ..), a)| c == id && within(a.since.0)) {
            total.merge(&AffectedTotal::of(affected));
        }
        total
    }
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Observed {
    /// By component: what it was on each day of UTC.
    pub(crate) page: Vec<Vec<StatusTime>>,
    /// By component: downtimes.
    pub(crate) down: Vec<Vec<Downtime>>,
    /// By component: what it was on each day of a place, what checks add up to and who was affected there.
    pub(crate) report: Vec<(Vec<StatusTime>, Tally, AffectedTotal)>,
    /// By component and grain: time and checks, where there are any.
    pub(crate) series: Vec<Vec<(i64, StatusTime, Tally)>>,
}

const GRAINS: [(Grain, i64, i64); 3] = [
    (Grain::Day, FIRST_DAY * 86_400_000, DAYS as i64),
    (Grain::Hour, FIRST_DAY * 86_400_000, 24 * DAYS as i64),
    (Grain::Minute, BEGIN - 60 * 60_000, 3 * 60),
];

/// Asks the real one.
pub(crate) fn observe(reader: &Reader) -> Observed {
    let ids = components();
    let (from, until) = (Day(FIRST_DAY).start(), Day(FIRST_DAY + DAYS as i64).start());
    let page = reader.page(&ids, Day(FIRST_DAY), DAYS).unwrap();
    let report = reader.report(&ids, &period()).unwrap();
    let mut series = Vec::new();
    for id in &ids {
        for (grain, start, count) in GRAINS {
            let end = Wall(start + count * grain.millis());
            let points = reader.series(id, Wall(start), end, grain).unwrap();
            assert_eq!(points.len() as i64, count);
            let points = points.into_iter().map(|p| (p.from.0, p.time, p.tally));
            series.push(
                points
                    .filter(|(_, time, tally)| *time != StatusTime::default() || tally.count() > 0)
                    .collect(),
            );
        }
    }
    Observed {
        page: page.rows.into_iter().map(|row| row.days).collect(),
        down: ids.iter().map(|id| reader.downtimes(id, from, until).unwrap()).collect(),
        report: report.into_iter().map(|r| (r.days, r.tally, r.affected)).collect(),
        series,
    }
}

impl Model {
    /// Works it out.
    pub(crate) fn observe(&self) -> Observed {
        let ids = components();
        let steps = FIRST_DAY * 86_400_000 / STEP..(FIRST_DAY + DAYS as i64) * 86_400_000 / STEP;
        let (zone, period) = (berlin(), period());
        let mut seen =
            Observed { page: Vec::new(), down: Vec::new(), report: Vec::new(), series: Vec::new() };
        for id in &ids {
            let mut page = vec![StatusTime::default(); DAYS];
            let mut local = vec![StatusTime::default(); period.days().len()];
            let mut by_grain = [const { BTreeMap::<i64, StatusTime>::new() }; 3];
            let mut down: Vec<Downtime> = Vec::new();
            // There is nothing before the first change, and after the last moment watched.
            let told = self.changes.iter().map(|c| c.since.0 / STEP).min().unwrap_or(i64::MAX);
            let known = self.watched.iter().map(|w| w.1 / STEP + 1).max().unwrap_or(0);
            for at in (steps.start.max(told)..steps.end.min(known)).map(|s| s * STEP) {
                let Some((status, cause, maintained)) = self.status(id, at) else { continue };
                let add = |time: &mut StatusTime| time.add(status, maintained, STEP as u64);
                add(&mut page[(at / 86_400_000 - FIRST_DAY) as usize]);
                let date = zone.to_datetime(jiff::Timestamp::from_millisecond(at).unwrap()).date();
                if let Some(day) = period.days().iter().position(|d| d.date == date) {
                    add(&mut local[day]);
                }
                for ((grain, ..), times) in GRAINS.iter().zip(&mut by_grain) {
                    add(times.entry(at.div_euclid(grain.millis())).or_default());
                }
                if status == Status::Down {
                    let long = if maintained { STEP as u64 } else { 0 };
                    match down.last_mut() {
                        Some(last) if last.until.0 == at => {
                            last.until.0 += STEP;
                            last.maintenance_ms += long;
                            last.cause = last.cause.or(cause);
                        }
                        _ => down.push(Downtime {
                            from: Wall(at),
                            until: Wall(at + STEP),
                            cause,
                            maintenance_ms: long,
                        }),
                    }
                }
            }
            for ((grain, start, count), times) in GRAINS.into_iter().zip(by_grain) {
                let long = grain.millis();
                let mut points = Vec::new();
                for slot in start / long..start / long + count {
                    let time = times.get(&slot).copied().unwrap_or_default();
                    let tally = self.tally(id, |at| at.div_euclid(long) == slot);
                    if time != StatusTime::default() || tally.count() > 0 {
                        points.push((slot * long, time, tally));
                    }
                }
                seen.series.push(points);
            }
            let within = |at: i64| {
                let date = zone.to_datetime(jiff::Timestamp::from_millisecond(at).unwrap()).date();
                period.days().iter().any(|d| d.date == date)
            };
            seen.report.push((local, self.tally(id, within), self.reach(id, within)));
            seen.page.push(page);
            seen.down.push(down);
        }
        seen
    }
}

/// Writes to both, and says that they agree on whether the clock will do.
pub(crate) fn write_both(history: &mut History, model: &mut Model, now: Wall, batch: &Batch) {
    match (history.write(now, batch), model.write(now, batch)) {
        (Ok(_), true) | (Err(HistoryError::Clock { .. }), false) => {}
        (outcome, model) => panic!("{outcome:?} where the model says {model}"),
    }
}

/// Says where two differ, without the much that is the same.
pub(crate) fn same(told: &Observed, wanted: &Observed) -> Result<(), TestCaseError> {
    fn parts<T: PartialEq + std::fmt::Debug>(
        what: &str,
        told: &[T],
        wanted: &[T],
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(told.len(), wanted.len(), "{}", what);
        for (at, (told, wanted)) in told.iter().zip(wanted).enumerate() {
            prop_assert_eq!(told, wanted, "{} {}", what, at);
        }
        Ok(())
    }
    for (told, wanted) in told.page.iter().zip(&wanted.page) {
        parts("day", told, wanted)?;
    }
    for (told, wanted) in told.series.iter().zip(&wanted.series) {
        parts("point", told, wanted)?;
    }
    parts("downtimes", &told.down, &wanted.down)?;
    parts("report", &told.report, &wanted.report)?;
    prop_assert!(told == wanted);
    Ok(())
}
