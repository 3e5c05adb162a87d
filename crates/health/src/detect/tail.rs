//! How rare is a deviation of this size, for this series?
//!
//! A histogram over the logarithm of what has been seen, which forgets slowly, and beyond it the generalised Pareto
//! distribution (Pickands, 1975) with the mean and the variance of what has gone beyond the threshold. So a series with heavy
//! tails, or one that bursts every night, is held to its own past, and one that has always been tame to that.

use super::score::surprise;

/// Bins to a doubling.
const FINE: f64 = 6.0;
/// The binary logarithm of where the first bin begins.
const LOW: f64 = -6.0;
/// Bins: from 2⁻⁶ to 2¹⁰.
const BINS: usize = 96;
/// Points after which something seen is forgotten to a third.
const HORIZON: f64 = 2_048.0;
/// The points that the first guess is worth.
const PRIOR: f64 = 32.0;
/// Share of the points that lies beyond the threshold.
const SHARE: f64 = 0.05;
/// The same while fewer than [`MANY`] have been seen.
const SHARE_OF_FEW: f64 = 0.1;
/// See [`SHARE_OF_FEW`].
const MANY: f64 = 256.0;
/// The farthest points, which are left out: what was seen once does not make it usual.
const ONCE: f64 = 1.5;
/// See [`Tail::fade`].
const FADED: f32 = 0.1;
/// No tail is taken to be lighter, or heavier: a shape of 0 is exponential.
const SHAPES: (f64, f64) = (1e-6, 0.6);

/// The mean excess over the threshold is no smaller a share of it; with a normal distribution it is 0.19.
const NARROW: f64 = 0.12;

/// The sizes of past deviations, in whatever unit they come.
#[derive(Debug, Clone)]
pub(super) struct Tail {
    weights: [f32; BINS],
    total: f64,
}

impl Tail {
    /// A first guess: sizes beyond `x` have a probability of `exp(-rate * x)`.
    pub(super) fn new(rate: f64) -> Self {
        let beyond = |bin: usize| if bin == 0 { 1.0 } else { (-rate * edge(bin)).exp() };
        let weights = std::array::from_fn(|bin| (PRIOR * (beyond(bin) - beyond(bin + 1))) as f32);
        Self { weights, total: PRIOR }
    }

    /// Takes in a size.
    pub(super) fn learn(&mut self, size: f64, weight: f64) {
        let keep = (1.0 - 1.0 / HORIZON) as f32;
        self.weights.iter_mut().for_each(|w| *w *= keep);
        self.weights[bin(size)] += weight as f32;
        self.total = self.total * f64::from(keep) + weight;
    }

    /// What was seen was seen by other eyes: what comes counts for much more.
    pub(super) fn fade(&mut self) {
        self.weights.iter_mut().for_each(|w| *w *= FADED);
        self.total *= f64::from(FADED);
    }

    /// The surprise at a deviation of this size or more.
    pub(super) fn surprise(&self, size: f64) -> f64 {
        let own = bin(size);
        let share = if self.total < MANY { SHARE_OF_FEW } else { SHARE };
        let (mut beyond, mut spared, mut moved) = (0.0, ONCE, ONCE);
        let (mut seen, mut first, mut second) = (0.0, 0.0, 0.0);
        for bin in (0..BINS).rev() {
            let raw = f64::from(self.weights[bin]);
            let counted = (raw - spared).max(0.0);
            spared = (spared - raw).max(0.0);
            if bin > own {
                beyond += counted;
            } else if bin == own {
                beyond += counted * (edge(bin + 1) - size).max(0.0) / (edge(bin + 1) - edge(bin));
            }
            // What is left out of the count is taken to lie where the rest begins.
            let weight = if counted > 0.0 { counted + std::mem::take(&mut moved) } else { 0.0 };
            let at = middle(bin);
            (seen, first, second) = (seen + weight, first + weight * at, second + weight * at * at);
            if seen >= share * self.total {
                return match bin < own {
                    true => surprise((beyond / self.total).max(self.pareto(bin, size, seen, first, second))),
                    // Within what is seen often, what was seen is all there is to say.
                    false => surprise(beyond_from(&self.weights, own, size) / self.total),
                };
            }
        }
        0.0
    }

    /// The probability of `size` by the distribution beyond the lower edge of `bin`.
    fn pareto(&self, bin: usize, size: f64, seen: f64, first: f64, second: f64) -> f64 {
        let threshold = edge(bin);
        // Where all lie in one bin, as counts do, it tells nothing of their spread.
        let mean = (first / seen - threshold).max(NARROW * threshold);
        // Of the excesses over the threshold, from the moments of the sizes themselves.
        let square = (second - 2.0 * threshold * first) / seen + threshold * threshold;
        let ratio = mean * mean / (square - mean * mean).max(f64::MIN_POSITIVE);
        let shape = (0.5 * (1.0 - ratio)).clamp(SHAPES.0, SHAPES.1);
        let scale = mean * (1.0 - shape);
        seen / self.total * (1.0 + shape * (size - threshold) / scale).powf(-1.0 / shape)
    }
}

/// The weight at `size` and beyond.
fn beyond_from(weights: &[f32; BINS], own: usize, size: f64) -> f64 {
    let whole: f64 = weights[own + 1..].iter().map(|w| f64::from(*w)).sum();
    let part = ((edge(own + 1) - size) / (edge(own + 1) - edge(own))).clamp(0.0, 1.0);
    whole + f64::from(weights[own]) * part
}

fn bin(size: f64) -> usize {
    // A float's cast saturates; what is no number lands in the first bin.
    (((size.log2() - LOW) * FINE) as usize).min(BINS - 1)
}

/// Where a bin begins.
fn edge(bin: usize) -> f64 {
    EDGES[bin]
}

const EDGES: [f64; BINS + 1] = {
    // The sixth root of two, six times and over again: whole doublings are exact.
    let root = [
        1.0,
        1.122_462_048_309_373,
        1.259_921_049_894_873_2,
        std::f64::consts::SQRT_2,
        1.587_401_051_968_199_4,
        1.781_797_436_280_678_5,
    ];
    let mut edges = [0.0; BINS + 1];
    let (mut bin, mut octave) = (0, 0.015_625);
    while bin <= BINS {
        edges[bin] = root[bin % 6] * octave;
        if bin % 6 == 5 {
            octave *= 2.0;
        }
        bin += 1;
    }
    edges
};

fn middle(bin: usize) -> f64 {
    0.5 * (edge(bin) + edge(bin + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(size: impl Fn(f64) -> f64, points: usize) -> Tail {
        let (mut tail, mut random) = (Tail::new(1.3), fastrand::Rng::with_seed(3));
        (0..points).for_each(|_| tail.learn(size(1.0 - random.f64()), 1.0));
        tail
    }

    #[test]
    fn quantiles_are_those_of_what_was_seen() {
        let tail = learnt(|dice| -dice.ln(), 20_000);
        for size in [0.5, 1.0, 2.0, 3.0, 5.0, 8.0] {
            let (is, should) = (tail.surprise(size), size / std::f64::consts::LN_10);
            assert!((is - should).abs() < 0.12 + 0.1 * should, "{size}: {is} {should}");
        }
    }

    #[test]
    fn heavy_tails_surprise_less() {
        // Pareto with exponent 3.
        let (heavy, light) = (learnt(|dice| dice.powf(-1.0 / 3.0), 5_000), learnt(|dice| -dice.ln(), 5_000));
        let (heavy, light) = (heavy.surprise(20.0), light.surprise(20.0));
        // In truth 3.9 and 8.7.
        assert!((3.0..5.5).contains(&heavy) && light > 7.0, "{heavy} {light}");
    }

    #[test]
    fn the_larger_the_more_surprising() {
        let tail = learnt(|dice| -dice.ln(), 500);
        let all: Vec<f64> = (0..4_000).map(|i| tail.surprise(f64::from(i) * 0.01)).collect();
        assert!(all.windows(2).all(|w| w[0] <= w[1] + 1e-9));
        assert!(tail.surprise(f64::INFINITY).is_finite() && tail.surprise(f64::NAN) >= 0.0);
    }

    #[test]
    fn once_is_not_usual_and_often_is() {
        let mut tail = learnt(|dice| -dice.ln(), 1_000);
        tail.learn(50.0, 1.0);
        assert!(tail.surprise(50.0) > 5.0);
        (0..20).for_each(|_| tail.learn(50.0, 1.0));
        assert!(tail.surprise(50.0) < 2.5);
    }
}
