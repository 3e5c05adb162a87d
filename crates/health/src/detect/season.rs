//! What a series is at this time of day and of the week, learnt from the days and weeks before.

use seawall_model::Wall;

const DAY: i64 = 86_400_000;
const WEEK: i64 = 7 * DAY;
/// Places of a day: five minutes each.
const OF_DAY: usize = 288;
/// Places of a week: an hour each.
const OF_WEEK: usize = 168;
/// Turns that a place must have seen before it says anything.
const ENOUGH: f32 = 1.5;
/// Turns after which it has all but forgotten: a week of days, six weeks.
const TURNS: (f32, f32) = (7.0, 6.0);
/// A value that lies farther off than this many usual errors is taken to lie there, once a place knows better.
const FAR: f64 = 10.0;

/// A cycle cut into places, each with the mean of what was seen there.
#[derive(Debug, Clone)]
struct Cycle<const N: usize> {
    means: [f32; N],
    /// How many turns each place has seen.
    seen: [f32; N],
    length: i64,
    turns: f32,
}

impl<const N: usize> Cycle<N> {
    fn new(length: i64, turns: f32) -> Self {
        Self { means: [0.0; N], seen: [0.0; N], length, turns }
    }

    /// The place, and how far into it, from 0 to 1.
    fn place(&self, at: Wall) -> (usize, f64) {
        let into = at.0.rem_euclid(self.length) * N as i64;
        ((into / self.length) as usize, (into % self.length) as f64 / self.length as f64)
    }

    fn expected(&self, at: Wall, cadence: i64) -> Option<f64> {
        let (place, into) = self.place(at);
        if self.seen[place] < ENOUGH {
            return None;
        }
        let own = f64::from(self.means[place]);
        if cadence >= self.length / N as i64 {
            return Some(own);
        }
        // Between the middles of two places, a bit of either.
        let (other, share) =
            if into < 0.5 { ((place + N - 1) % N, 0.5 - into) } else { ((place + 1) % N, into - 0.5) };
        match self.seen[other] >= ENOUGH {
            true => Some(own + share * (f64::from(self.means[other]) - own)),
            false => Some(own),
        }
    }

    fn learn(&mut self, at: Wall, cadence: i64, value: f64, unit: f64) {
        let (place, _) = self.place(at);
        let part = (cadence as f32 * N as f32 / self.length as f32).min(1.0);
        let (mean, seen) = (&mut self.means[place], &mut self.seen[place]);
        let mut off = value - f64::from(*mean);
        if *seen >= ENOUGH {
            off = off.clamp(-FAR * unit, FAR * unit);
        }
        *seen = (*seen + part).min(self.turns);
        *mean += (f64::from(part / *seen) * off) as f32;
    }
}

/// What was seen by time of day (UTC) and by hour of the week.
#[derive(Debug, Clone)]
pub(super) struct Season {
    day: Cycle<OF_DAY>,
    week: Cycle<OF_WEEK>,
    /// Everything is held as its distance from here, so that nothing is lost in rounding.
    origin: f64,
}

impl Season {
    /// Knows nothing.
    pub(super) fn new(origin: f64) -> Self {
        Self { day: Cycle::new(DAY, TURNS.0), week: Cycle::new(WEEK, TURNS.1), origin }
    }

    /// What is usual at this time of day, and at this hour of the week, as far as it is known.
    pub(super) fn expected(&self, at: Wall, cadence: i64) -> [Option<f64>; 2] {
        if !(1..=DAY / 4).contains(&cadence) {
            return [None, None];
        }
        [self.day.expected(at, cadence), self.week.expected(at, cadence)].map(|e| e.map(|e| e + self.origin))
    }

    /// Takes in a value.
    pub(super) fn learn(&mut self, at: Wall, cadence: i64, value: f64, unit: f64) {
        if (1..=DAY / 4).contains(&cadence) {
            self.day.learn(at, cadence, value - self.origin, unit);
            self.week.learn(at, cadence, value - self.origin, unit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_known_after_two_and_a_week_after_two() {
        let mut season = Season::new(100.0);
        let hour = 3_600_000;
        let value = |h: i64| 100.0 + (h % 24) as f64 + if h / 24 % 7 >= 5 { 50.0 } else { 0.0 };
        let mut known = [0; 2];
        for h in 0..24 * 7 * 5 {
            let expected = season.expected(Wall(h * hour), hour);
            if h < 48 {
                assert_eq!(expected, [None, None], "{h}");
            }
            if let [_, Some(week)] = expected {
                assert!(h >= 24 * 14 && (week - value(h)).abs() < 1e-3, "{h}: {week}");
                known[1] += 1;
            }
            known[0] += usize::from(expected[0].is_some());
            season.learn(Wall(h * hour), hour, value(h), 10.0);
        }
        assert_eq!(known, [24 * 33, 24 * 21]);
    }
}
