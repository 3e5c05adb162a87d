//! How much each client may ask, whoever it is and however many there are.
//!
//! Two rows of cells, each a rate of its own (the generic cell rate algorithm, ITU-T I.371): a client falls into one
//! cell of each row by a keyed hash, and may go on while either has room. Two clients that share a cell hardly ever
//! share both, so nobody pays for another; and no client, known or new, takes any memory (after the count-min sketch,
//! Cormode and Muthukrishnan 2005).

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use seawall_model::Mono;

/// Cells of a row.
const CELLS: usize = 4_096;
/// What may be asked at once after a lull, as time at the full rate.
const BURST: Duration = Duration::from_secs(1);

/// The tolls of a pool.
#[derive(Debug)]
pub struct Tolls {
    /// Nanoseconds that one request takes up.
    each: u64,
    /// Until when the requests so far take up the rate.
    taken: Box<[AtomicU64]>,
}

impl Tolls {
    /// So many requests a second for each client.
    pub fn new(per_second: u32) -> Self {
        let taken = std::iter::repeat_with(AtomicU64::default).take(2 * CELLS).collect();
        Self { each: 1_000_000_000 / u64::from(per_second.max(1)), taken }
    }

    /// One more of the client with that hash: `Ok` if it may go on, else how long until it might.
    pub fn pay(&self, now: Mono, client: u64) -> Result<(), Duration> {
        let cells = self.cells(client);
        let burst = (BURST.as_nanos() as u64).max(self.each) - self.each;
        let least = cells.map(|cell| cell.load(Relaxed)).into_iter().min().unwrap_or_default();
        if least > now.0 + burst {
            return Err(Duration::from_nanos(least - now.0 - burst));
        }
        for cell in cells {
            // Of two at the very same time one may go uncounted; nobody waits for the other.
            cell.store(cell.load(Relaxed).max(now.0) + self.each, Relaxed);
        }
        Ok(())
    }

    fn cells(&self, client: u64) -> [&AtomicU64; 2] {
        let (one, two) = (client as usize % CELLS, (client >> 32) as usize % CELLS);
        [&self.taken[one], &self.taken[CELLS + two]]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_second_at_once_and_then_the_rate() {
        let tolls = Tolls::new(10);
        let now = Mono::from_millis(5_000);
        assert_eq!((0..30).filter(|_| tolls.pay(now, 7).is_ok()).count(), 10);
        let wait = tolls.pay(now, 7).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(100), "{wait:?}");
        assert!(tolls.pay(now, 8).is_ok(), "another's toll is another's");
        assert!(tolls.pay(now + wait, 7).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Nobody gets more than a second's worth and the rate; and of clients that keep to the rate, hardly any is
        /// ever refused for what others do.
        #[test]
        fn the_greedy_pay_alone(seed: u64, greedy in 1usize..20) {
            let tolls = Tolls::new(10);
            let mut random = fastrand::Rng::with_seed(seed);
            let bad: Vec<u64> = (0..greedy).map(|_| random.u64(..)).collect();
            let good: Vec<u64> = (0..200).map(|_| random.u64(..)).collect();
            let (mut given, mut refused) = (vec![0; greedy], 0);
            for ms in 0..3_000 {
                let now = Mono::from_millis(10_000 + ms);
                for (i, client) in bad.iter().enumerate() {
                    given[i] += usize::from(tolls.pay(now, *client).is_ok());
                }
                if ms % 200 == 0 {
                    refused += good.iter().filter(|client| tolls.pay(now, **client).is_err()).count();
                }
            }
            prop_assert!(given.iter().all(|n| *n <= 10 + 30 + 1), "{given:?}");
            prop_assert!(refused <= 15 * 4, "{refused} of {}", 15 * good.len());
        }
    }
}
