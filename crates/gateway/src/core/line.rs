//! Who goes next where not everybody can: the line before a pool that is full.
//!
//! Three lanes by priority; in each, clients take turns (stochastic fair queueing, McKenney 1990: clients fall into
//! buckets by a keyed hash), so that one who asks for everything waits behind himself. Where for a while nobody has been
//! let in without a long wait, and somebody had to go or gave up, the line is overloaded: then, in the lanes that may be
//! shed, the newest of a client goes first, and nobody who joins waits long, since an answer that comes after its client
//! has given up, of which nothing may be heard, is worth nothing (Maurer, "Fail at Scale", 2015: adaptive LIFO and controlled delay). Long waits alone are
//! no overload: a batch that is larger than the room is served in the end, and the line behind it gets shorter. The critical are served in the order they
//! came, always.

use std::{collections::VecDeque, time::Duration};

use seawall_model::Mono;

/// Buckets that clients fall into.
const BUCKETS: usize = 64;
/// A line in which every wait has been long for this long is overloaded if it loses somebody; and one that has lost nobody
/// for this long is not any more.
const INTERVAL: Duration = Duration::from_millis(500);
/// A line in which every wait has been long for [`INTERVAL`] is overloaded if it is so many times as long as it was when
/// that began: whoever joins it last would wait as many times what is long already.
const GROWTH: usize = 4;

/// How much a request matters where not everybody can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// It must get through: a transaction, a close, a cancellation, a withdrawal.
    Critical,
    /// Anything else.
    Normal,
    /// What can wait.
    Bulk,
}

impl Priority {
    /// Every priority, the highest first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Normal, Self::Bulk];

    /// The priority as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }
}

/// The line. `T` is what waits.
#[derive(Debug)]
pub struct Line<T> {
    limit: usize,
    lanes: [Lane<T>; Priority::ALL.len()],
    waiting: usize,
    /// Since when every wait has been long.
    late: Option<Mono>,
    /// How many waited then.
    waited_late: usize,
    /// When somebody was last sent away, or gave up.
    lost: Option<Mono>,
    overloaded: bool,
    next: u64,
}

#[derive(Debug)]
struct Lane<T> {
    /// Made when somebody first waits.
    buckets: Vec<VecDeque<Waiter<T>>>,
    /// Buckets that are not empty, in the order of their turns.
    turns: VecDeque<usize>,
    waiting: usize,
}

#[derive(Debug)]
struct Waiter<T> {
    number: u64,
    since: Mono,
    what: T,
}

/// A place in the line, to leave it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    priority: Priority,
    bucket: usize,
    number: u64,
}

/// What came of joining.
#[derive(Debug, PartialEq, Eq)]
pub enum Joined<T> {
    /// It waits.
    Waits(Place),
    /// It waits, and this one, who mattered less or whose client had more waiting, has to go.
    Instead(Place, T),
    /// There is no room for it.
    Full(T),
}

impl<T> Line<T> {
    /// An empty line for so many.
    pub fn new(limit: usize) -> Self {
        let lane = || Lane { buckets: Vec::new(), turns: VecDeque::new(), waiting: 0 };
        Self {
            limit,
            lanes: [lane(), lane(), lane()],
            waiting: 0,
            late: None,
            waited_late: 0,
            lost: None,
            overloaded: false,
            next: 0,
        }
    }

    /// From now on so many may wait; whoever waits already goes on waiting.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Does nobody wait?
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Has every wait been long for a while, and is somebody lost again and again?
    pub fn is_overloaded(&self, now: Mono) -> bool {
        self.overloaded && self.waiting > 0 && self.loses(now)
    }

    fn loses(&self, now: Mono) -> bool {
        self.lost.is_some_and(|lost| now.since(lost) < INTERVAL)
    }

    /// How long one that joins now should wait at most, where `longest` is what there is time for and `brief` is no
    /// long wait.
    pub fn patience(&self, now: Mono, priority: Priority, longest: Duration, brief: Duration) -> Duration {
        match priority {
            Priority::Critical => longest,
            Priority::Normal | Priority::Bulk if self.is_overloaded(now) => longest.min(brief),
            Priority::Normal | Priority::Bulk => longest,
        }
    }

    /// Somebody was let in after that wait, or waited in vain.
    fn waited(&mut self, now: Mono, waited: Duration, brief: Duration) {
        if !self.is_overloaded(now) {
            self.overloaded = false;
            if waited <= brief {
                self.late = None;
                return;
            }
        }
        let since = *self.late.get_or_insert_with(|| {
            self.waited_late = self.waiting;
            now
        });
        if now.since(since) < INTERVAL {
            return;
        }
        if self.waiting >= GROWTH * self.waited_late {
            self.lost = Some(now);
        }
        self.overloaded |= self.loses(now);
    }

    /// Joins the line. `client` is a hash of who asks.
    pub fn join(&mut self, now: Mono, priority: Priority, client: u64, what: T) -> Joined<T> {
        let bucket = (client % BUCKETS as u64) as usize;
        if self.waiting == 0 {
            (self.late, self.overloaded) = (None, false);
        }
        let mut out = None;
        if self.waiting >= self.limit {
            self.lost = Some(now);
            match self.make_room(priority, bucket) {
                Some(one) => out = Some(one),
                None => return Joined::Full(what),
            }
        }
        self.next += 1;
        let place = Place { priority, bucket, number: self.next };
        self.lanes[priority as usize].push(bucket, Waiter { number: place.number, since: now, what });
        self.waiting += 1;
        match out {
            Some(out) => Joined::Instead(place, out),
            None => Joined::Waits(place),
        }
    }

    /// Takes out the one who should give way to a newcomer: of the least priority there is, unless the newcomer's is
    /// less, the oldest of the client with most waiting; nobody, if that is the newcomer's own.
    fn make_room(&mut self, priority: Priority, bucket: usize) -> Option<T> {
        let least = Priority::ALL.into_iter().rev().find(|p| self.lanes[*p as usize].waiting > 0)?;
        if least < priority {
            return None;
        }
        let lane = &mut self.lanes[least as usize];
        let longest = (0..BUCKETS).max_by_key(|b| lane.buckets[*b].len())?;
        if least == priority && lane.buckets[bucket].len() >= lane.buckets[longest].len() {
            return None;
        }
        let out = lane.buckets[longest].pop_front()?;
        lane.left(longest);
        self.waiting -= 1;
        Some(out.what)
    }

    /// Takes out who goes next, among the priorities that `may` go; `brief` is no long wait.
    pub fn next(&mut self, now: Mono, brief: Duration, may: impl Fn(Priority) -> bool) -> Option<T> {
        let overloaded = self.is_overloaded(now);
        for priority in Priority::ALL {
            let lane = &mut self.lanes[priority as usize];
            if lane.waiting > 0 && may(priority) {
                let newest = overloaded && priority != Priority::Critical;
                let waiter = lane.pop(newest)?;
                if priority != Priority::Critical {
                    self.waited(now, now.since(waiter.since), brief);
                }
                self.waiting -= 1;
                return Some(waiter.what);
            }
        }
        None
    }

    /// Leaves the line, having waited long enough or having gone away; false if it is not in it any more.
    pub fn leave(&mut self, now: Mono, brief: Duration, place: Place) -> bool {
        let lane = &mut self.lanes[place.priority as usize];
        let Some(bucket) = lane.buckets.get_mut(place.bucket) else { return false };
        // Numbers rise along a bucket.
        let Ok(at) = bucket.binary_search_by_key(&place.number, |w| w.number) else { return false };
        let Some(waiter) = bucket.remove(at) else { return false };
        lane.left(place.bucket);
        self.lost = Some(now);
        self.waited(now, now.since(waiter.since), brief);
        self.waiting -= 1;
        true
    }
}

impl<T> Lane<T> {
    fn push(&mut self, bucket: usize, waiter: Waiter<T>) {
        if self.buckets.is_empty() {
            self.buckets.resize_with(BUCKETS, VecDeque::new);
        }
        if self.buckets[bucket].is_empty() {
            self.turns.push_back(bucket);
        }
        self.buckets[bucket].push_back(waiter);
        self.waiting += 1;
    }

    fn pop(&mut self, newest: bool) -> Option<Waiter<T>> {
        let bucket = *self.turns.front()?;
        let queue = &mut self.buckets[bucket];
        let waiter = if newest { queue.pop_back() } else { queue.pop_front() }?;
        self.left(bucket);
        // It has had its turn.
        if self.turns.front() == Some(&bucket) {
            self.turns.rotate_left(1);
        }
        Some(waiter)
    }

    /// One has left that bucket.
    fn left(&mut self, bucket: usize) {
        self.waiting -= 1;
        if self.buckets[bucket].is_empty() {
            self.turns.retain(|b| *b != bucket);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANYBODY: fn(Priority) -> bool = |_| true;
    const BRIEF: Duration = Duration::from_millis(100);

    fn place<T: std::fmt::Debug>(joined: Joined<T>) -> Place {
        match joined {
            Joined::Waits(place) | Joined::Instead(place, _) => place,
            Joined::Full(what) => panic!("no room for {what:?}"),
        }
    }

    #[test]
    fn what_matters_most_goes_first_and_clients_take_turns() {
        let mut line = Line::new(10);
        let now = Mono::from_millis(1);
        for (priority, client, what) in [
            (Priority::Bulk, 1, "bulk"),
            (Priority::Normal, 1, "a1"),
            (Priority::Normal, 1, "a2"),
            (Priority::Normal, 1, "a3"),
            (Priority::Normal, 2, "b1"),
            (Priority::Critical, 1, "critical"),
        ] {
            place(line.join(now, priority, client, what));
        }
        let order: Vec<_> = std::iter::from_fn(|| line.next(now, BRIEF, ANYBODY)).collect();
        assert_eq!(order, ["critical", "a1", "b1", "a2", "a3", "bulk"]);
    }

    /// A line in which somebody waits for 150 ms and more again and again, until that moment, and, if `loses`, gives up.
    fn late(until_ms: u64, loses: bool) -> Line<&'static str> {
        let mut line = Line::new(10);
        place(line.join(Mono::from_millis(1), Priority::Normal, 1, "always one more"));
        for ms in (200..=until_ms).step_by(50) {
            let late = place(line.join(Mono::from_millis(ms - 150), Priority::Normal, 1, "late"));
            if loses {
                assert!(line.leave(Mono::from_millis(ms), BRIEF, late));
            } else {
                line.next(Mono::from_millis(ms), BRIEF, ANYBODY);
            }
        }
        line
    }

    #[test]
    fn under_overload_the_newest_goes_first_and_waits_are_short_but_not_for_the_critical() {
        let long = Duration::from_secs(2);
        let (before, after) = (Mono::from_millis(690), Mono::from_millis(710));
        assert_eq!(late(690, true).patience(before, Priority::Normal, long, BRIEF), long);
        let mut line = late(700, true);
        assert_eq!(line.patience(after, Priority::Normal, long, BRIEF), BRIEF);
        assert_eq!(line.patience(after, Priority::Critical, long, BRIEF), long);
        for what in ["first", "second", "third"] {
            place(line.join(after, Priority::Normal, 1, what));
            place(line.join(after, Priority::Critical, 1, what));
        }
        let order: Vec<_> = (0..6).filter_map(|_| line.next(after, BRIEF, ANYBODY)).collect();
        assert_eq!(order, ["first", "second", "third", "third", "second", "first"]);
        // Once nobody has had to go for a while, it is over.
        let later = after + INTERVAL;
        assert!(line.is_overloaded(after) && !line.is_overloaded(later));
    }

    #[test]
    fn long_waits_that_everybody_sits_out_are_no_overload() {
        let mut line = late(5_000, false);
        let now = Mono::from_millis(5_010);
        assert!(!line.is_overloaded(now) && !line.is_empty());
        assert_eq!(line.patience(now, Priority::Normal, 20 * BRIEF, BRIEF), 20 * BRIEF);
        // The first one who is lost makes the difference.
        let gone = place(line.join(now, Priority::Normal, 2, "gone"));
        let later = now + 2 * BRIEF;
        assert!(line.leave(later, BRIEF, gone) && line.is_overloaded(later));
    }

    #[test]
    fn a_line_that_grows_and_grows_is_overloaded_though_nobody_is_heard_to_leave() {
        let overloaded_at = |comes_every: u64| {
            let mut line = Line::new(10_000);
            let ends = |ms: &u64| {
                let now = Mono::from_millis(*ms);
                if ms.is_multiple_of(comes_every) {
                    place(line.join(now, Priority::Normal, 1, *ms));
                }
                if ms.is_multiple_of(6) {
                    line.next(now, BRIEF, ANYBODY);
                }
                line.is_overloaded(now)
            };
            (1..20_000).find(ends)
        };
        // Every sixth millisecond one goes.
        assert_eq!(overloaded_at(6), None);
        assert!(overloaded_at(5).is_some_and(|ms| ms < 5_000));
        assert!(overloaded_at(3).is_some_and(|ms| ms < 1_000));
    }

    #[test]
    fn a_line_that_stands_but_moves_is_not_overloaded() {
        let mut line = Line::new(10);
        place(line.join(Mono::from_millis(1), Priority::Normal, 1, 0));
        for ms in 1..5_000 {
            let now = Mono::from_millis(ms);
            place(line.join(now, Priority::Normal, 1, ms));
            line.next(now, BRIEF, ANYBODY);
            assert!(!line.is_overloaded(now) && !line.is_empty());
        }
    }

    #[test]
    fn in_a_full_line_the_greedy_and_the_unimportant_give_way() {
        let mut line = Line::new(3);
        let now = Mono::from_millis(1);
        for what in ["a1", "a2", "a3"] {
            place(line.join(now, Priority::Normal, 1, what));
        }
        assert_eq!(line.join(now, Priority::Normal, 1, "a4"), Joined::Full("a4"));
        assert_eq!(line.join(now, Priority::Bulk, 2, "bulk"), Joined::Full("bulk"));
        assert!(matches!(line.join(now, Priority::Normal, 2, "b1"), Joined::Instead(_, "a1")));
        assert!(matches!(line.join(now, Priority::Critical, 1, "c1"), Joined::Instead(_, "a2")));
        assert_eq!(line.len(), 3);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Join(Priority, u64),
        Next { critical_only: bool },
        Leave(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let priority = prop::sample::select(Priority::ALL.to_vec());
        let step = prop_oneof![
            5 => (priority, 0u64..6).prop_map(|(p, c)| Step::Join(p, c)),
            3 => any::<bool>().prop_map(|critical_only| Step::Next { critical_only }),
            1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        ];
        prop::collection::vec(step, 1..300)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Nobody is lost or served twice, the line keeps its limit, and nobody goes before one who matters more.
        #[test]
        fn like_a_list(steps in steps(), limit in 1usize..20) {
            let mut line = Line::new(limit);
            let mut model: Vec<(Place, u32)> = Vec::new();
            for (at, step) in steps.into_iter().enumerate() {
                let (now, me) = (Mono::from_millis(at as u64 * 20), at as u32);
                match step {
                    Step::Join(priority, client) => match line.join(now, priority, client, me) {
                        Joined::Waits(place) => {
                            prop_assert!(model.len() < limit);
                            model.push((place, me));
                        }
                        Joined::Instead(place, out) => {
                            prop_assert_eq!(model.len(), limit);
                            let gone = model.iter().position(|(_, who)| *who == out).unwrap();
                            let worst = model.iter().map(|(p, _)| p.priority).max().unwrap();
                            prop_assert_eq!(model.remove(gone).0.priority, worst);
                            prop_assert!(worst >= priority);
                            model.push((place, me));
                        }
                        Joined::Full(back) => {
                            prop_assert_eq!((back, model.len()), (me, limit));
                            let worst = model.iter().map(|(p, _)| p.priority).max().unwrap();
                            prop_assert!(worst <= priority);
                        }
                    },
                    Step::Next { critical_only } => {
                        let may = |p: Priority| !critical_only || p == Priority::Critical;
                        let best = model.iter().map(|(p, _)| p.priority).filter(|p| may(*p)).min();
                        let next = line.next(now, BRIEF, may);
                        let went = next.map(|who| model.iter().position(|(_, w)| *w == who).unwrap());
                        prop_assert_eq!(went.map(|at| model.remove(at).0.priority), best);
                    }
                    Step::Leave(which) => {
                        if !model.is_empty() {
                            let (place, _) = model.remove(which.index(model.len()));
                            prop_assert!(line.leave(now, BRIEF, place));
                            prop_assert!(!line.leave(now, BRIEF, place), "once");
                        }
                    }
                }
                prop_assert_eq!(line.len(), model.len());
            }
        }

        /// A client that asks ten times as often as the others gets no more than they do, once everybody waits.
        #[test]
        fn the_greedy_wait_behind_themselves(others in 1u64..20, limit in 60usize..200, seed: u64) {
            let mut line = Line::new(limit);
            let mut random = fastrand::Rng::with_seed(seed);
            let mut served = vec![0u32; others as usize + 1];
            for at in 0..4_000u64 {
                let now = Mono::from_millis(at);
                for _ in 0..10 {
                    let _ = line.join(now, Priority::Normal, 0, 0u64);
                }
                for client in 1..=others {
                    if random.u64(..others) < 2 {
                        let _ = line.join(now, Priority::Normal, client, client);
                    }
                }
                if let Some(client) = line.next(now, BRIEF, ANYBODY) {
                    served[client as usize] += 1;
                }
            }
            let greedy = served[0];
            let fair = 4_000 / (others as u32 + 1);
            prop_assert!(greedy < 2 * fair + 200, "{served:?}");
        }
    }
}
