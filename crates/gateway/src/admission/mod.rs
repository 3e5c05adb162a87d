//! Who may pass, and who goes first where not everybody can: modes, tolls, priorities, the gate before a pool.

mod affected;
mod gate;
mod modes;
mod priority;

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use seawall_model::Mono;
use siphasher::sip::SipHasher24;

pub(crate) use affected::{Affected, CustomerKey, Who};
pub(crate) use modes::Modes;
pub use modes::{ModeSet, ModeView};

use crate::{
    core::{
        line::{Line, Priority},
        mode::Effect,
        toll::Tolls,
    },
    estate::AdmissionSection,
    pool::CLASSES,
};
use gate::Gate;

/// What a pool knows of who is in and who waits. It outlives reloads.
pub(crate) struct Admission {
    gates: [Gate; CLASSES],
    pub(crate) modes: Modes,
    tolls: ArcSwapOption<Tolls>,
    /// The rate that the tolls are for.
    toll: Mutex<Option<u32>>,
    /// What clients' addresses are hashed with, so that nobody can choose whose bucket to fall into.
    key: u64,
    pub(crate) affected: Affected,
    pub(crate) counts: AdmissionCounts,
}

/// Counters that are only ever added to.
#[derive(Default)]
pub(crate) struct AdmissionCounts {
    /// Requests that had to wait, by priority.
    pub(crate) waited: [AtomicU64; Priority::ALL.len()],
    /// Requests that were sent away because the pool was full.
    pub(crate) shed: [AtomicU64; Priority::ALL.len()],
    /// Requests beyond what one address may ask.
    pub(crate) tolled: AtomicU64,
    /// Requests that the mode does not let through.
    pub(crate) barred: AtomicU64,
}

impl Admission {
    pub(crate) fn new(section: &AdmissionSection, key: u64) -> Self {
        let admission = Self {
            gates: std::array::from_fn(|_| Gate::new(section.queue)),
            modes: Modes::default(),
            tolls: ArcSwapOption::empty(),
            toll: Mutex::new(None),
            key,
            affected: Affected::default(),
            counts: AdmissionCounts::default(),
        };
        admission.take_over(section);
        admission
    }

    /// Takes over what the estate says now; who waits goes on waiting.
    pub(crate) fn take_over(&self, section: &AdmissionSection) {
        self.gates.iter().for_each(|gate| gate.line().set_limit(section.queue));
        let mut toll = self.toll.lock().unwrap_or_else(PoisonError::into_inner);
        if *toll != section.per_address {
            *toll = section.per_address;
            self.tolls.store(section.per_address.map(|rate| Arc::new(Tolls::new(rate))));
        }
    }

    /// Does the mode let through what a request does?
    fn lets(&self, effect: impl FnOnce() -> Effect) -> bool {
        let lets = self.modes.lets(effect);
        if !lets {
            self.counts.barred.fetch_add(1, Relaxed);
        }
        lets
    }

    /// Counts one request of an address against what it may ask; how long it should wait if that was too much.
    pub(crate) fn pay(&self, now: Mono, from: IpAddr) -> Result<(), Duration> {
        match &*self.tolls.load() {
            None => Ok(()),
            Some(tolls) => tolls.pay(now, self.client(from)).inspect_err(|_| {
                self.counts.tolled.fetch_add(1, Relaxed);
            }),
        }
    }

    /// A hash of who asks. Of an IPv6 address only the network counts, since whoever has one has all of it.
    pub(crate) fn client(&self, from: IpAddr) -> u64 {
        let bits = match from {
            IpAddr::V4(v4) => u64::from(v4.to_bits()),
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => u64::from(v4.to_bits()),
                None => (v6.to_bits() >> 64) as u64,
            },
        };
        // The finaliser of SplitMix64 (Steele et al. 2014), keyed.
        let mut hash = bits ^ self.key;
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (hash ^ (hash >> 31)).wrapping_add(self.key.rotate_left(32)).rotate_left(17)
    }

    /// As [`Self::client`], of one whose name is known.
    pub(crate) fn named(&self, name: &str) -> u64 {
        SipHasher24::new_with_keys(self.key, 0).hash(name.as_bytes())
    }

    /// Requests of each class that are in, and that wait.
    pub(crate) fn crowd(&self, class: usize) -> (u32, u32) {
        self.gates[class].crowd()
    }
}

impl Gate {
    fn line(&self) -> MutexGuard<'_, Line<gate::Ticket>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
