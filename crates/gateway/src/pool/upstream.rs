//! One upstream of a pool: what the estate says of it, and what has been learned.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use seawall_chain::{capability::Capabilities, method::Class};
use seawall_model::{Cause, ComponentId, Mono};
use tokio::sync::Notify;

use super::Allowance;
use crate::{
    client::Sending,
    core::{
        breaker::Breaker,
        choose::Load,
        limit::{Limiter, Sample},
        pace::Pace,
        rate::Rate,
    },
    estate::UpstreamSection,
};

/// How many method classes there are.
pub(crate) const CLASSES: usize = Class::ALL.len();
/// What a failure costs in the choice of an upstream, at the least: as though it had taken this long.
const FAILURE_US: u64 = 1_000_000;

/// One upstream: its place in the estate now, and its state, which outlives reloads.
pub(crate) struct Upstream {
    pub(crate) section: UpstreamSection,
    pub(crate) component: ComponentId,
    /// Index of its provider among the pool's.
    pub(crate) provider: usize,
    /// What its provider allows, if the estate says anything of that.
    pub(crate) allowance: Option<Arc<Allowance>>,
    /// Target of every JSON-RPC request sent to it, or the base of an HTTP API.
    pub(crate) uri: Uri,
    /// `host` and the estate's own headers.
    pub(crate) headers: HeaderMap,
    /// As `headers`, with what a JSON-RPC request has besides, its length to be replaced.
    rpc_headers: HeaderMap,
    pub(crate) state: Arc<UpstreamState>,
}

/// What has been learned of an upstream. Shared by all workers.
pub(crate) struct UpstreamState {
    /// Key of its connections; never used twice in the life of the process.
    pub(crate) id: u64,
    /// A bit for each class whose breaker admits.
    admitting: AtomicU32,
    in_flight: AtomicU32,
    in_flight_by: [AtomicU32; CLASSES],
    /// How many attempts of each class are good for it at once.
    limits: [AtomicU32; CLASSES],
    /// What the estate allows it to be sent.
    pub(crate) rate: Rate,
    /// When anything last came back from it, well or not.
    last_answer: AtomicU64,
    mean_us: [AtomicU64; CLASSES],
    cordoned: AtomicBool,
    /// Counts the times at which its idle connections were found to be dead, or it to be gone.
    era: AtomicU32,
    /// It takes no new connections, though old ones serve.
    stranded: AtomicBool,
    /// True once it has said of anything that it cannot do it.
    cannot_some: AtomicBool,
    learned: Mutex<Learned>,
    pub(crate) counts: Counts,
    /// Asks for a poll of its head now.
    pub(crate) nudges: Notify,
}

/// What takes a lock to read.
pub(crate) struct Learned {
    pub(crate) breakers: [Breaker; CLASSES],
    pub(crate) paces: [Pace; CLASSES],
    pub(crate) limiters: [Limiter; CLASSES],
    pub(crate) cannot: Capabilities,
    /// A bit for each class that was ejected with all the others, so that a good poll readmits it.
    pub(crate) ejected_whole: u32,
    /// Polls of its head that failed in a row.
    pub(crate) poll_failures: u32,
    pub(crate) failures_by_cause: [u64; Cause::ALL.len()],
    /// When a failure of each cause was last told of.
    pub(crate) told: [Option<Mono>; Cause::ALL.len()],
}

/// Counters that are only ever added to.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) attempts: [AtomicU64; CLASSES],
    pub(crate) failures: [AtomicU64; CLASSES],
    pub(crate) busy_us: [AtomicU64; CLASSES],
    /// Copied calls that it would have been asked first.
    pub(crate) observed: AtomicU64,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl UpstreamState {
    pub(crate) fn new() -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            admitting: AtomicU32::new((1 << CLASSES) - 1),
            in_flight: AtomicU32::new(0),
            in_flight_by: Default::default(),
            era: AtomicU32::new(0),
            limits: std::array::from_fn(|_| AtomicU32::new(Limiter::default().limit())),
            rate: Rate::default(),
            last_answer: AtomicU64::new(0),
            mean_us: Default::default(),
            cordoned: AtomicBool::new(false),
            stranded: AtomicBool::new(false),
            cannot_some: AtomicBool::new(false),
            learned: Mutex::new(Learned {
                breakers: Default::default(),
                paces: Default::default(),
                limiters: Default::default(),
                cannot: Capabilities::default(),
                ejected_whole: 0,
                poll_failures: 0,
                failures_by_cause: [0; Cause::ALL.len()],
                told: [None; Cause::ALL.len()],
            }),
            counts: Counts::default(),
            nudges: Notify::new(),
        }
    }

    pub(crate) fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn admits(&self, class: Class) -> bool {
        self.admitting.load(Relaxed) & (1 << class as u32) != 0
    }

    /// True if any class admits.
    pub(crate) fn admits_any(&self) -> bool {
        self.admitting.load(Relaxed) != 0
    }

    /// Publishes what the breakers of `learned` say, for those that read without the lock.
    pub(crate) fn publish(&self, learned: &Learned) {
        let mut bits = 0;
        for (i, breaker) in learned.breakers.iter().enumerate() {
            bits |= u32::from(breaker.state() == crate::core::breaker::State::Admitting) << i;
        }
        self.admitting.store(bits, Relaxed);
    }

    pub(crate) fn cordoned(&self) -> bool {
        self.cordoned.load(Relaxed)
    }

    pub(crate) fn set_cordoned(&self, yes: bool) -> bool {
        self.cordoned.swap(yes, Relaxed) != yes
    }

    /// Its connections belong to this era.
    pub(crate) fn era(&self) -> u32 {
        self.era.load(Relaxed)
    }

    /// What connections lie idle now is not to be trusted: one of them was dead, or there was nobody.
    pub(crate) fn end_era(&self) {
        self.era.fetch_add(1, Relaxed);
    }

    pub(crate) fn stranded(&self) -> bool {
        self.stranded.load(Relaxed)
    }

    pub(super) fn set_stranded(&self, yes: bool) -> bool {
        self.stranded.swap(yes, Relaxed) != yes
    }

    pub(crate) fn cannot_some(&self) -> bool {
        self.cannot_some.load(Relaxed)
    }

    pub(crate) fn set_cannot_some(&self) {
        self.cannot_some.store(true, Relaxed);
    }

    pub(crate) fn heard(&self, now: Mono) {
        self.last_answer.fetch_max(now.0, Relaxed);
    }

    pub(crate) fn last_answer(&self) -> Mono {
        Mono(self.last_answer.load(Relaxed))
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Attempts of a class in flight.
    pub(crate) fn in_flight_of(&self, class: Class) -> u32 {
        self.in_flight_by[class as usize].load(Relaxed)
    }

    /// How many attempts of a class have been found to be good for it at once.
    pub(crate) fn limit(&self, class: Class) -> u32 {
        self.limits[class as usize].load(Relaxed)
    }

    /// Counts an attempt as in flight for as long as the guard lives.
    pub(crate) fn begin(self: &Arc<Self>, class: Class) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        self.in_flight_by[class as usize].fetch_add(1, Relaxed);
        InFlight(self.clone(), class)
    }

    /// An attempt that is not in flight any more took that long, answered or waited for in vain.
    pub(crate) fn weigh(&self, learned: &mut Learned, now: Mono, class: Class, took: Duration) {
        let (in_flight, all_in_flight) = (self.in_flight_of(class) + 1, self.in_flight() + 1);
        let limiter = &mut learned.limiters[class as usize];
        if limiter.sample(now, Sample { took, in_flight, all_in_flight }) {
            self.limits[class as usize].store(limiter.limit(), Relaxed);
        }
    }

    /// A whole answer came after `took`.
    /// True if that is slow by its own past.
    pub(crate) fn pace(&self, learned: &mut Learned, now: Mono, class: Class, took: Duration) -> bool {
        let us = took.as_micros() as u64;
        let pace = &mut learned.paces[class as usize];
        let slow = pace.answered(now, us);
        self.mean_us[class as usize].store(pace.mean_us(), Relaxed);
        self.counts.busy_us[class as usize].fetch_add(us, Relaxed);
        slow
    }

    /// A failure, or a wait that was given up after `took`.
    pub(crate) fn penalise(&self, learned: &mut Learned, now: Mono, class: Class, took: Duration) {
        let pace = &mut learned.paces[class as usize];
        pace.penalise(now, (took.as_micros() as u64).max(FAILURE_US));
        self.mean_us[class as usize].store(pace.mean_us(), Relaxed);
    }
}

/// An attempt in flight.
pub(crate) struct InFlight(Arc<UpstreamState>, Class);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
        self.0.in_flight_by[self.1 as usize].fetch_sub(1, Relaxed);
    }
}

impl Upstream {
    /// Builds the parts that never change between requests.
    pub(crate) fn new(
        section: UpstreamSection,
        component: ComponentId,
        provider: usize,
        allowance: Option<Arc<Allowance>>,
        state: Arc<UpstreamState>,
    ) -> Self {
        state.rate.set(section.rate);
        let mut headers = HeaderMap::with_capacity(section.headers.len() + 3);
        let host =
            HeaderValue::from_str(&section.host).unwrap_or_else(|_| HeaderValue::from_static("upstream"));
        headers.insert(header::HOST, host);
        for (name, value) in &section.headers {
            // The estate's validation refuses values that no header may hold.
            if let Ok(mut value) = HeaderValue::from_str(value.expose()) {
                value.set_sensitive(true);
                headers.insert(name.clone(), value);
            }
        }
        let mut rpc_headers = headers.clone();
        let json = HeaderValue::from_static("application/json");
        rpc_headers.entry(header::CONTENT_TYPE).or_insert(json);
        rpc_headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        let uri = section.path.expose().parse().unwrap_or_else(|_| Uri::from_static("/"));
        Self { section, component, provider, allowance, uri, headers, rpc_headers, state }
    }

    /// The request that posts a JSON-RPC call or batch.
    pub(crate) fn post(&self, body: Bytes) -> Request<Sending> {
        let mut headers = self.rpc_headers.clone();
        headers.insert(header::CONTENT_LENGTH, length(body.len()));
        let mut request = Request::new(Sending::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }

    /// May anything be sent to it now, by its own rate and its provider's budget?
    pub(crate) fn has_room(&self, now: Mono) -> bool {
        self.state.rate.has_room(now) && self.allowance.as_ref().is_none_or(|a| a.has_room(now))
    }

    /// Is it better to ask somebody else first: does its provider refuse more than this, or take no new
    /// connections?
    pub(crate) fn is_second_choice(&self, now: Mono) -> bool {
        self.state.stranded() || self.allowance.as_ref().is_some_and(|a| a.is_held(now))
    }

    /// A call of `method` is sent to it.
    pub(crate) fn take(&self, now: Mono, method: &str) {
        self.state.rate.take(now);
        if let Some(allowance) = &self.allowance {
            allowance.take(now, method);
        }
    }

    /// Heeds what an answer's headers tell of its provider's limit.
    pub(crate) fn heed(&self, now: Mono, headers: &HeaderMap) {
        if let Some(allowance) = &self.allowance {
            allowance.heed(now, headers);
        }
    }

    /// What speaks for or against choosing it now.
    pub(crate) fn load(&self, class: Class) -> Load {
        Load {
            mean_us: self.state.mean_us[class as usize].load(Relaxed),
            in_flight: self.state.in_flight(),
            weight: self.section.weight,
        }
    }
}

/// A length as a header, in one allocation where [`HeaderValue::from`] makes three.
fn length(length: usize) -> HeaderValue {
    let mut digits = [b'0'; 20];
    let (mut at, mut rest) = (digits.len(), length);
    while rest > 0 || at == digits.len() {
        at -= 1;
        digits[at] += (rest % 10) as u8;
        rest /= 10;
    }
    HeaderValue::from_bytes(&digits[at..]).expect("digits may stand in a header")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_decimal() {
        for n in [0, 7, 10, 4_194_304, usize::MAX] {
            assert_eq!(length(n), HeaderValue::from(n));
        }
    }
}
