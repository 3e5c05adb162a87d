//! What the next value is likely to be, learnt from what has just been seen: recursive least squares with a memory that fades
//! (Haykin, *Adaptive Filter Theory*), made robust by trusting a point the less the farther off it is.

/// What a forecast goes by.
pub(super) const INPUTS: usize = 11;
/// Points after which what was learnt is forgotten to a third.
const HORIZON: f64 = 1_024.0;
/// How unsure a weight is before anything is known of it; none ever gets less sure.
const UNSURE: f64 = 1.0;

/// A weight for each input, and how sure they are.
#[derive(Debug, Clone)]
pub(super) struct Regression {
    weights: [f64; INPUTS],
    spread: [[f64; INPUTS]; INPUTS],
}

impl Regression {
    pub(super) fn new() -> Self {
        let mut spread = [[0.0; INPUTS]; INPUTS];
        spread.iter_mut().enumerate().for_each(|(i, row)| row[i] = UNSURE);
        Self { weights: [0.0; INPUTS], spread }
    }

    pub(super) fn forecast(&self, inputs: &[f64; INPUTS]) -> f64 {
        dot(&self.weights, inputs)
    }

    /// Learns from how far off [`forecast`](Self::forecast) was. `trust` is 1 for a point that is as good as any, 0 for one
    /// that tells nothing.
    pub(super) fn learn(&mut self, inputs: &[f64; INPUTS], error: f64, trust: f64) {
        if trust <= 0.0 {
            return;
        }
        let keep = 1.0 - 1.0 / HORIZON;
        let mut gain = [0.0; INPUTS];
        for (gain, row) in gain.iter_mut().zip(&self.spread) {
            *gain = dot(row, inputs);
        }
        let whole = keep / trust + dot(&gain, inputs);
        if !(whole.is_finite() && whole > 0.0) {
            *self = Self::new();
            return;
        }
        for (weight, gain) in self.weights.iter_mut().zip(&gain) {
            *weight += gain * error / whole;
        }
        for (row, own) in self.spread.iter_mut().zip(&gain) {
            for (cell, other) in row.iter_mut().zip(&gain) {
                *cell = (*cell - own * other / whole) / keep;
            }
        }
        self.bound();
    }

    /// What is never put in would grow ever less sure, until a single point decided.
    fn bound(&mut self) {
        for i in 0..INPUTS {
            let own = self.spread[i][i];
            if own > UNSURE {
                let by = (UNSURE / own).sqrt();
                for j in 0..INPUTS {
                    self.spread[i][j] *= by;
                    self.spread[j][i] *= by;
                }
            }
        }
    }
}

fn dot(a: &[f64; INPUTS], b: &[f64; INPUTS]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_found_and_outliers_do_not_move_them() {
        let (mut learnt, mut random) = (Regression::new(), fastrand::Rng::with_seed(2));
        let truth: [f64; INPUTS] = std::array::from_fn(|i| if i < 6 { 0.5 - i as f64 * 0.1 } else { 0.0 });
        for i in 0..4_000 {
            // The last input is never there.
            let inputs = std::array::from_fn(|i| if i < INPUTS - 1 { random.f64() * 4.0 - 2.0 } else { 0.0 });
            let outlier = i % 50 == 7;
            let value = dot(&truth, &inputs) + random.f64() - 0.5 + if outlier { 80.0 } else { 0.0 };
            let error = value - learnt.forecast(&inputs);
            learnt.learn(&inputs, error, if outlier { 0.0 } else { 1.0 });
        }
        let off = learnt.weights.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off < 0.05, "{:?}", learnt.weights);
        assert!(learnt.spread.iter().flatten().all(|c| c.abs() <= UNSURE + 1e-9));
    }
}
