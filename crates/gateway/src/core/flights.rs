//! Reads in flight that others may join, of one worker.
//!
//! Whoever asks first leads; whoever asks the same meanwhile takes a seat and gets the leader's answer. A leader
//! that goes away gives its seats up, and the first of them to notice leads in its place.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use foldhash::fast::RandomState;
use seawall_model::Mono;

/// Most reads of one worker that can be joined at once; further ones go alone.
pub const FLIGHTS: usize = 16_384;
/// Most who take a seat in one flight; further ones go alone.
pub const SEATS: usize = 1_024;

/// What makes two reads the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The pool as it is now, by its address: whoever is in flight keeps it there.
    pub pool: usize,
    /// The agreed chain that the read is judged by, by its address, for the same reason.
    pub chain: usize,
    /// Writes of the pool that have ended: a read does not join one that was asked before a write it may know of.
    pub writes: u64,
    /// Method and parameters, as upstreams are asked them.
    pub call: Bytes,
}

/// The flights of one worker. `S` is what a seat is told the answer by.
#[derive(Debug)]
pub struct Flights<S> {
    open: HashMap<Key, Flight<S>, RandomState>,
}

#[derive(Debug)]
struct Flight<S> {
    began: Mono,
    seats: Vec<S>,
}

/// How a read goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Joined {
    /// It is the first: it asks, and must [`Flights::land`].
    Lead,
    /// It has a seat.
    Seated,
    /// By itself: there are too many flights or seats, or the flight has been under way for too long to be sure
    /// that it ends before this read's own time does.
    Alone,
}

impl<S> Default for Flights<S> {
    fn default() -> Self {
        Self { open: HashMap::default() }
    }
}

impl<S> Flights<S> {
    /// Joins the flight of `key`, if it began less than `young` ago, or begins it.
    pub fn join(&mut self, key: &Key, now: Mono, young: Duration, seat: impl FnOnce() -> S) -> Joined {
        if let Some(flight) = self.open.get_mut(key) {
            if flight.seats.len() >= SEATS || now.since(flight.began) >= young {
                return Joined::Alone;
            }
            flight.seats.push(seat());
            return Joined::Seated;
        }
        if self.open.len() >= FLIGHTS {
            return Joined::Alone;
        }
        self.open.insert(key.clone(), Flight { began: now, seats: Vec::new() });
        Joined::Lead
    }

    /// Ends the flight of `key`: those who have seats are to be told.
    pub fn land(&mut self, key: &Key) -> Vec<S> {
        self.open.remove(key).map(|flight| flight.seats).unwrap_or_default()
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// True if none is.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn key(call: u8) -> Key {
        Key { pool: 1, chain: 2, writes: 3, call: Bytes::copy_from_slice(&[call]) }
    }

    const YOUNG: Duration = Duration::from_millis(100);

    proptest! {
        /// Everybody who asks either asks upstream or is told by somebody who did: also where those who lead, or
        /// those who sit, go away at any time.
        #[test]
        fn nobody_is_left_waiting(steps in prop::collection::vec((0u8..4, 0u8..3, 0u64..60), 1..200)) {
            let mut flights = Flights::default();
            let mut now = 0;
            // Who leads what since when, and who sits there.
            let mut model: BTreeMap<u8, (u64, Vec<u32>)> = BTreeMap::new();
            let mut serial = 0;
            for (step, call, pause) in steps {
                now += pause;
                let at = Mono::ZERO + Duration::from_millis(now);
                if step == 0 {
                    // The leader lands, or goes away.
                    let seats = model.remove(&call).map(|(_, seats)| seats).unwrap_or_default();
                    prop_assert_eq!(flights.land(&key(call)), seats);
                    continue;
                }
                serial += 1;
                let joined = flights.join(&key(call), at, YOUNG, || serial);
                match model.get_mut(&call) {
                    None => {
                        prop_assert_eq!(joined, Joined::Lead);
                        model.insert(call, (now, Vec::new()));
                    }
                    Some((began, seats)) if now - *began < 100 => {
                        prop_assert_eq!(joined, Joined::Seated);
                        seats.push(serial);
                    }
                    Some(_) => prop_assert_eq!(joined, Joined::Alone),
                }
                prop_assert_eq!(flights.len(), model.len());
            }
        }
    }

    #[test]
    fn flights_and_seats_are_bounded() {
        let mut flights = Flights::default();
        let join = |flights: &mut Flights<()>, n: usize| {
            let call = Bytes::copy_from_slice(&n.to_be_bytes());
            flights.join(&Key { call, ..key(0) }, Mono::ZERO, YOUNG, || ())
        };
        for n in 0..FLIGHTS {
            assert_eq!(join(&mut flights, n), Joined::Lead);
        }
        assert_eq!(join(&mut flights, FLIGHTS), Joined::Alone);
        for _ in 0..SEATS {
            assert_eq!(join(&mut flights, 0), Joined::Seated);
        }
        assert_eq!(join(&mut flights, 0), Joined::Alone);
    }

    #[test]
    fn only_the_same_is_joined() {
        let mut flights = Flights::default();
        let same = key(0);
        for other in [
            same.clone(),
            Key { pool: 9, ..same.clone() },
            Key { chain: 9, ..same.clone() },
            Key { writes: 9, ..same.clone() },
            key(1),
        ] {
            assert_eq!(flights.join(&other, Mono::ZERO, YOUNG, || ()), Joined::Lead, "{other:?}");
        }
    }
}
