use proptest::prelude::*;

use super::*;

fn ms(n: u64) -> Mono {
    Mono::from_millis(n)
}

fn entry(start: u64, every: u64, host: &str) -> Entry {
    Entry { start: ms(start), every: Duration::from_millis(every), host: host.into() }
}

fn schedule(entries: &[Entry], concurrency: usize, per_host: usize) -> Schedule {
    Schedule::new(entries, Bounds { concurrency, per_host })
}

/// The check that is to be made now, how late it is in milliseconds, and what it missed.
#[track_caller]
fn run(schedule: &mut Schedule, now: u64) -> (usize, u64, u64) {
    match schedule.next(ms(now)) {
        Next::Run(turn) => (turn.check, u64::try_from(turn.lag.as_millis()).unwrap(), turn.missed),
        other @ (Next::Wait(_) | Next::Idle) => panic!("{other:?}"),
    }
}

#[test]
fn a_check_never_drifts() {
    let mut schedule = schedule(&[entry(3, 10, "a")], 10, 10);
    assert_eq!(schedule.next(ms(0)), Next::Wait(ms(3)));
    for (now, lag) in [(3, 0), (14, 1), (29, 6), (33, 0)] {
        assert_eq!(run(&mut schedule, now), (0, lag, 0));
        schedule.done(0, ms(now + 1));
    }
    assert_eq!(schedule.next(ms(35)), Next::Wait(ms(43)));
}

#[test]
fn turns_missed_are_counted() {
    let mut schedule = schedule(&[entry(0, 10, "a")], 1, 1);
    assert_eq!(run(&mut schedule, 0), (0, 0, 0));
    assert_eq!(schedule.next(ms(25)), Next::Idle);
    schedule.done(0, ms(30));
    // Those at 10 and 20 are gone; the one at 30 is not.
    assert_eq!(run(&mut schedule, 30), (0, 0, 2));
    schedule.done(0, ms(31));
    // The machine slept.
    assert_eq!(run(&mut schedule, 1_005), (0, 965, 96));
    assert_eq!(schedule.counts(), Counts { taken: 3, missed: 98 });
}

#[test]
fn a_host_is_not_asked_by_all_at_once() {
    let entries = [entry(0, 100, "a"), entry(0, 100, "a"), entry(0, 100, "b"), entry(0, 100, "c")];
    let mut schedule = schedule(&entries, 2, 1);
    assert_eq!((run(&mut schedule, 0).0, run(&mut schedule, 0).0), (0, 2));
    assert_eq!((schedule.next(ms(1)), schedule.waiting()), (Next::Idle, 2));
    schedule.done(0, ms(5));
    // Whoever could have gone first does.
    assert_eq!(run(&mut schedule, 5), (3, 5, 0));
    schedule.done(2, ms(6));
    assert_eq!(run(&mut schedule, 6), (1, 6, 0));
}

#[test]
fn starts_are_spread() {
    let every = Duration::from_secs(10);
    assert_eq!(jittered(ms(5), every, 0), ms(5));
    assert!((0..1_000_u64).all(|n| {
        let start = jittered(ms(5), every, n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        (ms(5)..ms(10_005)).contains(&start)
    }));
}

/// What a schedule must do, said as plainly as can be: everything is looked through at every step.
struct Reference {
    entries: Vec<Entry>,
    bounds: Bounds,
    /// Of each check: the turn it is at, and how it stands.
    at: Vec<(u64, Stand)>,
    order: u64,
    taken: u64,
    missed: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Stand {
    Idle,
    /// Due since, by the order in which that was seen.
    Waiting(u64),
    /// Due, and its host has had room since.
    Ready(u64),
    Running,
}

impl Reference {
    fn due(&self, check: usize, turn: u64) -> u64 {
        self.entries[check].start.0 + turn * u64::try_from(self.entries[check].every.as_nanos()).unwrap()
    }

    fn admitted(&self, host: &str) -> usize {
        let stands = |i: &usize| matches!(self.at[*i].1, Stand::Ready(_) | Stand::Running);
        (0..self.at.len()).filter(|i| &*self.entries[*i].host == host && stands(i)).count()
    }

    fn stamp(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    fn next(&mut self, now: u64) -> Option<(usize, u64)> {
        let mut due: Vec<_> = (0..self.at.len())
            .filter(|i| self.at[*i].1 == Stand::Idle && self.due(*i, self.at[*i].0) <= now)
            .collect();
        due.sort_by_key(|i| (self.due(*i, self.at[*i].0), *i));
        for check in due {
            let room = self.admitted(&self.entries[check].host.clone()) < self.bounds.per_host;
            let stamp = self.stamp();
            self.at[check].1 = if room { Stand::Ready(stamp) } else { Stand::Waiting(stamp) };
        }
        let running = self.at.iter().filter(|a| a.1 == Stand::Running).count();
        let ready = |i: &usize| if let Stand::Ready(n) = self.at[*i].1 { Some(n) } else { None };
        let check = (0..self.at.len()).filter(|i| ready(i).is_some()).min_by_key(|i| ready(i))?;
        if running >= self.bounds.concurrency {
            return None;
        }
        let due = self.due(check, self.at[check].0);
        while self.due(check, self.at[check].0 + 1) <= now {
            self.at[check].0 += 1;
            self.missed += 1;
        }
        self.at[check].1 = Stand::Running;
        self.taken += 1;
        Some((check, due))
    }

    fn done(&mut self, check: usize, now: u64) {
        if self.at[check].1 != Stand::Running {
            return;
        }
        self.at[check] = (self.at[check].0 + 1, Stand::Idle);
        while self.due(check, self.at[check].0) < now {
            self.at[check].0 += 1;
            self.missed += 1;
        }
        let host = self.entries[check].host.clone();
        let waits = |i: &usize| if let Stand::Waiting(n) = self.at[*i].1 { Some(n) } else { None };
        let of_host = (0..self.at.len()).filter(|i| self.entries[*i].host == host && waits(i).is_some());
        if let Some(next) = of_host.min_by_key(|i| waits(i)) {
            let stamp = self.stamp();
            self.at[next].1 = Stand::Ready(stamp);
        }
    }
}

/// Something that happens to a schedule: the clock says another time (perhaps an earlier one), or a check ends.
#[derive(Debug, Clone)]
enum Happens {
    Clock(i64),
    Done(usize),
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let step = prop_oneof![8 => 0..40_i64, 1 => -200..0_i64, 1 => 500..5_000_i64];
    let one = prop_oneof![step.prop_map(Happens::Clock), (0..6_usize).prop_map(Happens::Done)];
    prop::collection::vec(one, 0..200)
}

proptest! {
    #[test]
    fn it_does_as_the_reference(
        checks in prop::collection::vec((0..50_u64, 10..60_u64, 0..3_u8), 1..6),
        concurrency in 1..5_usize,
        per_host in 1..3_usize,
        happenings in happenings(),
    ) {
        let entries: Vec<_> =
            checks.iter().map(|(start, every, host)| entry(*start, *every, &host.to_string())).collect();
        let bounds = Bounds { concurrency, per_host };
        let mut schedule = Schedule::new(&entries, bounds);
        let at = vec![(0, Stand::Idle); entries.len()];
        let mut reference = Reference { entries, bounds, at, order: 0, taken: 0, missed: 0 };
        let (mut clock, mut latest) = (0_i64, 0_u64);
        for happens in happenings {
            let told = match happens {
                Happens::Clock(step) => {
                    clock = (clock + step * 1_000_000).max(0);
                    clock.unsigned_abs()
                }
                Happens::Done(check) => {
                    let check = check % reference.at.len();
                    schedule.done(check, Mono(clock.unsigned_abs()));
                    latest = latest.max(clock.unsigned_abs());
                    reference.done(check, latest);
                    clock.unsigned_abs()
                }
            };
            latest = latest.max(told);
            loop {
                let wanted = reference.next(latest);
                match schedule.next(Mono(told)) {
                    Next::Run(turn) => {
                        prop_assert_eq!(Some((turn.check, turn.due.0)), wanted);
                        prop_assert_eq!(turn.lag, Mono(latest).since(turn.due));
                    }
                    Next::Wait(until) => {
                        prop_assert_eq!(None, wanted);
                        prop_assert!(until.0 > latest);
                        break;
                    }
                    Next::Idle => {
                        prop_assert_eq!(None, wanted);
                        break;
                    }
                }
            }
            prop_assert_eq!(schedule.counts(), Counts { taken: reference.taken, missed: reference.missed });
            prop_assert!(schedule.running() <= concurrency);
        }
    }
}
