//! Whether a series is looked at as it is, or its logarithm: latencies and volumes vary by factors.

/// No value is taken to be larger, so that squares stay finite.
const LARGEST: f64 = 1e100;
/// Pairs of neighbours looked at: one of the first few, then one of ever more, spread over all that was seen.
const HELD: usize = 96;
/// Pairs of which nothing is concluded.
const FEW: usize = 32;
/// Where the spread grows at least as this power of the level, logarithms are looked at: they fit a power of 1 exactly.
const POWER: f64 = 0.6;
/// The logarithm of how much larger the spread must be where values are large: less may be by chance.
const GROWN: f64 = 0.5;
/// The logarithm of how much larger large values must be than small ones: among less, logarithms change nothing.
const RANGE: f64 = 0.2;
/// The share of a small value (the tenth percentile) that is added before the logarithm, so that it holds at zero.
const OFFSET: f64 = 0.05;

/// How values are looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// As they are.
    Plain,
    /// By their logarithm, after this was added.
    Log(f64),
}

impl Shape {
    /// The value as it is looked at. Always finite.
    pub(super) fn of(self, value: f64) -> f64 {
        let value = value.clamp(-LARGEST, LARGEST);
        match self {
            Self::Plain => value,
            Self::Log(offset) => (value.max(0.0) + offset).ln(),
        }
    }
}

/// A few pairs of neighbours from all over a series: their spread against their level (Tukey, 1977).
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// Level and spread.
    pairs: [(f32, f32); HELD],
    count: usize,
    /// One of so many is taken.
    stride: u64,
    seen: u64,
    last: f64,
    /// There was a value that has no logarithm.
    signed: bool,
}

impl Sample {
    pub(super) fn new() -> Self {
        Self { pairs: [(0.0, 0.0); HELD], count: 0, stride: 1, seen: 0, last: 0.0, signed: false }
    }

    pub(super) fn note(&mut self, value: f64) {
        self.signed |= value <= 0.0;
        if self.seen > 0 && self.seen.is_multiple_of(self.stride) {
            if self.count == HELD {
                (0..HELD / 2).for_each(|i| self.pairs[i] = self.pairs[2 * i]);
                self.count = HELD / 2;
                self.stride *= 2;
            }
            // Beyond what 32 bits hold nothing is told apart any more, which makes it plain.
            self.pairs[self.count] = ((0.5 * (value + self.last)) as f32, (value - self.last).abs() as f32);
            self.count += 1;
        }
        self.seen += 1;
        self.last = value;
    }

    /// The shape that fits what was seen.
    pub(super) fn shape(&self) -> Shape {
        if self.signed || self.count < FEW {
            return Shape::Plain;
        }
        let mut pairs = self.pairs;
        let pairs = &mut pairs[..self.count];
        pairs.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (low, high) = pairs.split_at_mut(self.count / 2);
        let small = f64::from(low[low.len() / 5].0);
        let level = middle(low, |p| p.0)..middle(high, |p| p.0);
        let spread = middle(low, |p| p.1)..middle(high, |p| p.1);
        let (level, spread) = ((level.end / level.start).ln(), (spread.end / spread.start).ln());
        match spread > GROWN && spread.is_finite() && level > RANGE && spread > POWER * level {
            true => Shape::Log(OFFSET * small),
            false => Shape::Plain,
        }
    }
}

fn middle(pairs: &mut [(f32, f32)], of: fn(&(f32, f32)) -> f32) -> f64 {
    pairs.sort_unstable_by(|a, b| of(a).total_cmp(&of(b)));
    f64::from(of(&pairs[pairs.len() / 2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: impl Fn(u64, f64) -> f64, log: bool) {
        let (mut sample, mut random) = (Sample::new(), fastrand::Rng::with_seed(4));
        (0..1_000).for_each(|i| sample.note(value(i, 1.0 - random.f64())));
        assert_eq!(matches!(sample.shape(), Shape::Log(_)), log, "{:?}", sample.shape());
    }

    #[test]
    fn what_varies_by_factors_is_looked_at_by_its_logarithm() {
        check(|_, dice| (3.0 * dice).exp(), true);
        check(|_, dice| 20.0 - 30.0 * dice.ln(), true);
        check(|_, dice| 100.0 + dice, false);
        check(|_, dice| dice.ln(), false);
        check(|_, dice| if dice < 0.9 { 0.0 } else { 1.0 }, false);
        check(|_, _| 5.0, false);
        check(|i, dice| 100.0 + dice + if i / 100 % 2 == 0 { 300.0 } else { 0.0 }, false);
        check(|i, dice| (10.0 + dice) * if i / 100 % 2 == 0 { 30.0 } else { 1.0 }, true);
    }

    #[test]
    fn every_value_has_a_place() {
        for shape in [Shape::Plain, Shape::Log(1e-6)] {
            for value in [f64::MAX, f64::MIN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0] {
                assert!(shape.of(value).is_finite());
            }
        }
    }
}
