//! Names to addresses, and what to go on with when the resolver has nothing to say.
//!
//! An empty or failing answer for a name that has worked before is an outage of the name's operator far
//! more often than a change of mind, so the last good addresses are kept and used.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use tokio::time::{Instant, timeout};
use tracing::warn;

/// How long an answer is used without asking again.
const FRESH: Duration = Duration::from_secs(10);

/// How long the last good addresses are used without asking again once the resolver has failed.
const RETRY: Duration = Duration::from_secs(1);

/// How long a lookup is waited for when there are last good addresses; below any sensible connect timeout.
const PATIENCE: Duration = Duration::from_millis(300);

/// Most names remembered; the one longest unused goes first.
const MAX_NAMES: usize = 1024;

/// Most addresses kept of one answer.
const MAX_ADDRESSES: usize = 16;

/// What a lookup came to; shared by everyone who waited for it.
type Answer = Result<Vec<IpAddr>, Arc<str>>;

/// Asks the system, or whatever a test puts in its place.
type Lookup = Box<dyn Fn(Arc<str>) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Resolves names and remembers the answers.
pub(super) struct Resolver {
    lookup: Lookup,
    names: Mutex<BTreeMap<Arc<str>, Known>>,
    lookups: Family<Outcome, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Outcome {
    outcome: &'static str,
}

struct Known {
    /// The last addresses that a lookup gave; empty if none ever did.
    good: Vec<IpAddr>,
    /// Until when `good` is used without asking.
    settled: Instant,
    used: Instant,
    /// What the last lookup came to, good or bad, and when.
    last: Option<(Instant, Answer)>,
    /// One lookup a name at a time; the blocking threads under it are few.
    under_way: Option<UnderWay>,
}

/// A lookup, and when it was begun.
type UnderWay = (Instant, Shared<BoxFuture<'static, Answer>>);

/// What is known of a name, used now; the one longest unused makes room for a new one.
fn entry<'a>(names: &'a mut BTreeMap<Arc<str>, Known>, host: &Arc<str>, now: Instant) -> &'a mut Known {
    if !names.contains_key(host) && names.len() >= MAX_NAMES {
        let oldest = names.iter().min_by_key(|(_, k)| k.used).map(|(name, _)| name.clone());
        oldest.and_then(|name| names.remove(&name));
    }
    let entry = names.entry(host.clone()).or_insert_with(|| Known {
        good: Vec::new(),
        settled: now,
        used: now,
        last: None,
        under_way: None,
    });
    entry.used = now;
    entry
}

impl Resolver {
    /// A resolver over the system's (`getaddrinfo`).
    pub(super) fn system() -> Self {
        Self::over(Box::new(|name| {
            async move { Ok(tokio::net::lookup_host((&*name, 0)).await?.map(|a| a.ip()).collect()) }.boxed()
        }))
    }

    fn over(lookup: Lookup) -> Self {
        Self { lookup, names: Mutex::default(), lookups: Family::default() }
    }

    /// Lookups by outcome: `fresh`, `stale` (last good addresses used) and `failed`.
    pub(super) fn lookups(&self) -> Family<Outcome, Counter> {
        self.lookups.clone()
    }

    /// The addresses of `host`, a name or an address literal. Never empty.
    pub(super) async fn resolve(&self, host: &Arc<str>) -> io::Result<Vec<IpAddr>> {
        if let Ok(literal) = host.parse() {
            return Ok(vec![literal]);
        }
        let (known, began, lookup) = match self.ask(host) {
            Asked::Settled(good) => return Ok(good),
            Asked::UnderWay { known, began, lookup } => (known, began, lookup),
        };
        let answer = if known {
            match timeout(PATIENCE.saturating_sub(began.elapsed()), lookup).await {
                Ok(answer) => answer,
                Err(_) => return self.late(host),
            }
        } else {
            lookup.await
        };
        self.answered(host, began, answer)
    }

    fn ask(&self, host: &Arc<str>) -> Asked {
        let now = Instant::now();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entry(&mut names, host, now);
        if !entry.good.is_empty() && now < entry.settled {
            return Asked::Settled(entry.good.clone());
        }
        let (began, lookup) = self.under_way(entry, host, now);
        Asked::UnderWay { known: !entry.good.is_empty(), began, lookup }
    }

    /// The lookup of a name that is under way, begun now if there is none.
    fn under_way(&self, entry: &mut Known, host: &Arc<str>, now: Instant) -> UnderWay {
        // A lookup that nobody has polled for so long would give addresses as old as itself.
        if entry.under_way.as_ref().is_some_and(|(began, _)| now.duration_since(*began) > FRESH) {
            entry.under_way = None;
        }
        let begin = || {
            let answer = (self.lookup)(host.clone()).map(|answer| match answer {
                Ok(addresses) if addresses.is_empty() => Err("the answer holds no address".into()),
                Ok(mut addresses) => {
                    addresses.truncate(MAX_ADDRESSES);
                    Ok(addresses)
                }
                Err(e) => Err(e.to_string().into()),
            });
            (now, answer.boxed().shared())
        };
        entry.under_way.get_or_insert_with(begin).clone()
    }

    /// What is said of `host` now, good or bad: an answer of at most [`RETRY`] ago, and never the last good addresses in
    /// place of a failure.
    pub(super) async fn told(&self, host: &Arc<str>) -> Answer {
        if let Ok(literal) = host.parse() {
            return Ok(vec![literal]);
        }
        let (began, lookup) = {
            let now = Instant::now();
            let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = entry(&mut names, host, now);
            match &entry.last {
                Some((at, answer)) if now.duration_since(*at) < RETRY => return answer.clone(),
                Some(_) | None => self.under_way(entry, host, now),
            }
        };
        let answer = lookup.await;
        // For those who connect: what they go on with is theirs to know.
        let _ = self.answered(host, began, answer.clone());
        answer
    }

    /// The lookup is taking too long and is left to those who come later; the last good addresses serve.
    fn late(&self, host: &Arc<str>) -> io::Result<Vec<IpAddr>> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let good = names.get(host).map(|k| k.good.clone()).unwrap_or_default();
        drop(names);
        if good.is_empty() {
            return Err(self.failed(host, "no answer"));
        }
        self.count("stale");
        Ok(good)
    }

    fn answered(&self, host: &Arc<str>, began: Instant, answer: Answer) -> io::Result<Vec<IpAddr>> {
        let now = Instant::now();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = names.get_mut(host) else {
            drop(names);
            return answer.map_err(|e| self.failed(host, &e));
        };
        // The first to see the answer books it; the others only read what it came to.
        let first = known.under_way.take_if(|(b, _)| *b == began).is_some();
        if first {
            known.last = Some((now, answer.clone()));
        }
        let good = match &answer {
            Ok(addresses) => {
                if first {
                    known.good.clone_from(addresses);
                    known.settled = now + FRESH;
                }
                addresses.clone()
            }
            Err(_) => {
                if first {
                    known.settled = now + RETRY;
                }
                known.good.clone()
            }
        };
        drop(names);
        match answer {
            Ok(_) => self.count("fresh"),
            Err(e) if good.is_empty() => return Err(self.failed(host, &e)),
            Err(e) => {
                self.count("stale");
                if first {
                    warn!(
                        host = &**host,
                        error = &*e,
                        "cannot resolve; going on with the last good addresses"
                    );
                }
            }
        }
        Ok(good)
    }

    fn failed(&self, host: &str, why: &str) -> io::Error {
        self.count("failed");
        io::Error::new(io::ErrorKind::NotFound, format!("cannot resolve `{host}`: {why}"))
    }

    fn count(&self, outcome: &'static str) {
        self.lookups.get_or_create(&Outcome { outcome }).inc();
    }
}

enum Asked {
    Settled(Vec<IpAddr>),
    UnderWay { known: bool, began: Instant, lookup: Shared<BoxFuture<'static, Answer>> },
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// What the resolver under test says next: an answer after so many milliseconds.
    type Script = Arc<Mutex<(u64, io::Result<Vec<&'static str>>)>>;

    struct Bench {
        resolver: Resolver,
        script: Script,
        asked: Arc<AtomicUsize>,
    }

    impl Bench {
        fn new() -> Self {
            let script: Script = Arc::new(Mutex::new((0, Ok(vec![]))));
            let asked = Arc::new(AtomicUsize::new(0));
            let (says, count) = (script.clone(), asked.clone());
            let resolver = Resolver::over(Box::new(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
                let says = says.lock().unwrap();
                let ms = says.0;
                let answer = match &says.1 {
                    Ok(all) => Ok(all.iter().map(|a| a.parse().unwrap()).collect()),
                    Err(e) => Err(io::Error::from(e.kind())),
                };
                async move {
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    answer
                }
                .boxed()
            }));
            Self { resolver, script, asked }
        }

        fn says(&self, ms: u64, answer: io::Result<Vec<&'static str>>) {
            *self.script.lock().unwrap() = (ms, answer);
        }

        /// What a caller gets, how long it waits, and how many lookups have been made in all.
        async fn check(&self, wanted: Option<&str>, ms: u128, lookups: usize) {
            let began = Instant::now();
            let got = self.resolver.resolve(&"node.test".into()).await;
            let first = got.as_ref().ok().map(|a| a[0].to_string());
            assert_eq!(first.as_deref(), wanted, "{got:?}");
            assert_eq!((began.elapsed().as_millis(), self.asked.load(Ordering::Relaxed)), (ms, lookups));
        }
    }

    async fn pass(d: Duration) {
        tokio::time::sleep(d).await;
    }

    #[tokio::test(start_paused = true)]
    async fn last_good_addresses_outlive_the_resolver() {
        let bench = Bench::new();
        bench.check(None, 0, 1).await;
        bench.says(20, Ok(vec!["192.0.2.1"]));
        bench.check(Some("192.0.2.1"), 20, 2).await;
        bench.check(Some("192.0.2.1"), 0, 2).await;
        for (n, gone) in [Ok(vec![]), Err(io::ErrorKind::NotFound.into())].into_iter().enumerate() {
            pass(FRESH).await;
            bench.says(5, gone);
            bench.check(Some("192.0.2.1"), 5, 3 + n).await;
            bench.check(Some("192.0.2.1"), 0, 3 + n).await;
        }
        pass(RETRY).await;
        bench.says(5, Ok(vec!["192.0.2.9"]));
        bench.check(Some("192.0.2.9"), 5, 5).await;
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_for_the_truth_is_told_of_a_failure() {
        let bench = Bench::new();
        let told = async || bench.resolver.told(&"node.test".into()).await.map(|all| all[0].to_string());
        bench.says(20, Ok(vec!["192.0.2.1"]));
        assert_eq!(told().await, Ok("192.0.2.1".to_owned()));
        bench.says(20, Ok(vec![]));
        assert_eq!(told().await, Ok("192.0.2.1".to_owned()), "it was told just now");
        pass(RETRY).await;
        assert_eq!(told().await, Err("the answer holds no address".into()));
        assert_eq!(bench.asked.load(Ordering::Relaxed), 2);
        // Those who connect go on with what they have.
        bench.check(Some("192.0.2.1"), 0, 2).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_resolver_is_waited_for_once() {
        let bench = Bench::new();
        bench.says(0, Ok(vec!["192.0.2.1"]));
        bench.check(Some("192.0.2.1"), 0, 1).await;
        pass(FRESH).await;
        bench.says(3_600_000, Ok(vec![]));
        bench.check(Some("192.0.2.1"), PATIENCE.as_millis(), 2).await;
        bench.check(Some("192.0.2.1"), 0, 2).await;
        // Given up on in time, and asked anew.
        pass(FRESH + RETRY).await;
        bench.says(0, Ok(vec!["192.0.2.9"]));
        bench.check(Some("192.0.2.9"), 0, 3).await;
    }

    #[tokio::test(start_paused = true)]
    async fn callers_share_a_lookup() {
        let bench = Bench::new();
        bench.says(100, Ok(vec!["192.0.2.1"]));
        tokio::join!(
            bench.check(Some("192.0.2.1"), 100, 1),
            bench.check(Some("192.0.2.1"), 100, 1),
            bench.check(Some("192.0.2.1"), 100, 1)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn literals_are_not_looked_up_and_names_are_bounded() {
        let bench = Bench::new();
        bench.says(0, Ok(vec!["192.0.2.1"]));
        assert_eq!(bench.resolver.resolve(&"::1".into()).await.unwrap()[0].to_string(), "::1");
        assert_eq!(bench.asked.load(Ordering::Relaxed), 0);
        for n in 0..MAX_NAMES + 10 {
            bench.resolver.resolve(&format!("host-{n}").into()).await.unwrap();
        }
        assert_eq!(bench.resolver.names.lock().unwrap().len(), MAX_NAMES);
    }
}
