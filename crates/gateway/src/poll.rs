//! The active poll of every upstream's head, on the control threads.

mod fresh;
mod synthetic;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use seawall_chain::{
    block::Header,
    envelope::{self, parse_answer},
    family::{Owed, Poll, Rules, Seen},
    heads::{HeadSeen, Now, Tag, Tracker},
};
use seawall_model::{Blame, Cause, Mono};
use seawall_runtime::{
    clock::Clock,
    net::Net,
    tasks::{Shutdown, TaskError},
};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::{
    blooms::bloom_of,
    client::Link,
    event::Event,
    feed::Feed,
    heads::Heads,
    pool::{Pool, Upstream},
    routes::Routes,
};

pub(crate) use synthetic::has_call;

/// Polls that were asked for come no closer together than this.
const GAP: Duration = Duration::from_millis(40);
/// `safe` and `finalized` are asked for no more often than this.
const TAGS_EVERY: Duration = Duration::from_secs(1);
/// Largest answer to a poll: a block without its transactions' bodies, but with their hashes.
const HOLD: usize = 4 * 1024 * 1024;

/// What the polls work with.
#[derive(Clone)]
pub(crate) struct Poller {
    pub(crate) clock: Clock,
    pub(crate) net: Arc<dyn Net>,
    pub(crate) routes: Arc<ArcSwap<Routes>>,
    /// Told of every reload.
    pub(crate) reloads: watch::Receiver<u64>,
}

/// Polls every upstream of every chain until told to stop; those that a reload brings are begun and those
/// it takes away are ended, while the rest go on undisturbed.
pub(crate) async fn run(mut poller: Poller, shutdown: Shutdown) -> Result<(), TaskError> {
    let mut loops: JoinSet<()> = JoinSet::new();
    let mut running: BTreeMap<u64, AbortHandle> = BTreeMap::new();
    loop {
        poller.reloads.mark_unchanged();
        let wanted = wanted(&poller.routes.load());
        running.retain(|id, handle| {
            let stays = wanted.contains_key(id);
            if !stays {
                handle.abort();
            }
            stays
        });
        for (id, pool) in wanted {
            running.entry(id).or_insert_with(|| loops.spawn(poll_one(poller.clone(), pool, id)));
        }
        tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            changed = poller.reloads.changed() => if changed.is_err() { return Ok(()) },
            // A loop ends by itself only by a panic: give the whole task up, to be begun anew.
            Some(Err(error)) = loops.join_next() => if error.is_panic() {
                return Err(TaskError::new("a head poll panicked"));
            },
        }
    }
}

/// The upstreams to poll, each with its pool's name.
fn wanted(routes: &Routes) -> BTreeMap<u64, Arc<str>> {
    let chains = routes.pools().filter(|p| p.evm().is_some());
    chains
        .flat_map(|pool| pool.upstreams.iter().map(move |u| (pool, u)))
        .map(|(pool, u)| (u.state.id, pool.section.name.as_str().into()))
        .collect()
}

async fn poll_one(poller: Poller, pool_name: Arc<str>, id: u64) {
    let mut link = None;
    let mut tags_at = Mono::ZERO;
    let mut owed = Owed::default();
    let mut fresh = fresh::Due::default();
    loop {
        let Some((pool, i)) = find(&poller.routes.load(), &pool_name, id) else { return };
        let Some(evm) = pool.evm() else { return };
        let began = poller.clock.mono();
        let with_tags = began >= tags_at;
        if with_tags {
            tags_at = began + TAGS_EVERY;
        }
        // From here on, so that what is asked for meanwhile is not missed.
        let nudged = pool.state.nudged();
        let nudged_alone = pool.upstreams[i].state.nudges.notified();
        let upstream = &pool.upstreams[i];
        let mut line = Line::new(&poller, upstream, pool.section.hang, &mut link, &pool.state.feed);
        fresh.renew(&mut line, &pool, i).await;
        let outcome = ask(&mut line, &pool, i, &mut owed, with_tags, began + evm.poll).await;
        let answered = outcome.is_ok();
        if matches!(outcome, Err(Cause::Connect | Cause::Reset | Cause::Timeout)) {
            upstream.state.end_era();
        }
        if !answered {
            *line.link = None;
            owed = Owed::default();
        }
        take(&poller, &pool, i, outcome);
        if answered {
            synthetic::probe(&mut line, &pool, i).await;
        }
        let every = evm.poll;
        tokio::time::sleep(GAP).await;
        let until = poller.clock.instant(began + every);
        // Nothing is lost with the arm that is dropped: a nudge asks for one poll, whoever it is from.
        tokio::select! {
            biased;
            () = nudged => {}
            () = nudged_alone => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

/// An upstream by its pool's name and its own id.
pub(crate) fn find(routes: &Routes, pool: &str, id: u64) -> Option<(Arc<Pool>, usize)> {
    let pool = routes.named(pool)?;
    let i = pool.upstreams.iter().position(|u| u.state.id == id)?;
    Some((pool.clone(), i))
}

/// Asks for the head, and for what is owed besides as far as there is time until `next`, when the next poll is due.
async fn ask(
    line: &mut Line<'_>,
    pool: &Pool,
    i: usize,
    owed: &mut Owed,
    with_tags: bool,
    next: Mono,
) -> Result<Seen, Cause> {
    let chain = pool.evm().ok_or(Cause::Incapable)?;
    let confirm = pool.state.tracker().confirm(i);
    let mut poll = Poll::new(chain.family, &chain.network, owed, with_tags, confirm);
    let mut told = false;
    while let Some(question) = poll.question(line.poller.clock.mono() >= next) {
        let body = match line.call(pool.rules(), question.method, &question.params).await {
            Ok(body) => body,
            // Chains without finality refuse the tag: then there is none, and that is no fault.
            Err(Cause::Incapable) if question.optional => continue,
            Err(cause) => return Err(cause),
        };
        let answer = parse_answer(&body).map_err(|_| Cause::Malformed)?;
        let result = answer.result.ok_or(Cause::Malformed)?;
        poll.answer(result).map_err(|_| Cause::Malformed)?;
        line.feed.saw(|| Header::from_block(result).ok());
        if let Some((block, bloom)) = bloom_of(result) {
            pool.state.blooms.note(line.upstream.provider, block, bloom);
        }
        if let Some(head) = poll.head().filter(|_| !std::mem::replace(&mut told, true)) {
            ahead(line.poller, pool, i, head);
        }
    }
    poll.seen().ok_or(Cause::Missing)
}

/// The poll's own connection to one upstream.
pub(crate) struct Line<'a> {
    poller: &'a Poller,
    upstream: &'a Upstream,
    /// Time for each call. Not for a whole poll: that is several, and far away is not unwell.
    limit: Duration,
    link: &'a mut Option<Link>,
    /// Whoever wants to know what was seen.
    feed: &'a Feed,
}

impl<'a> Line<'a> {
    pub(crate) fn new(
        poller: &'a Poller,
        upstream: &'a Upstream,
        limit: Duration,
        link: &'a mut Option<Link>,
        feed: &'a Feed,
    ) -> Self {
        Self { poller, upstream, limit, link, feed }
    }
}

impl Line<'_> {
    /// The body of an answer that is no fault. After an error the connection is not to be used again.
    pub(crate) async fn call(&mut self, rules: &Rules, method: &str, params: &str) -> Result<Bytes, Cause> {
        let limit = self.limit;
        tokio::time::timeout(limit, self.untimed(rules, method, params)).await.unwrap_or(Err(Cause::Timeout))
    }

    async fn untimed(&mut self, rules: &Rules, method: &str, params: &str) -> Result<Bytes, Cause> {
        let mut fresh = self.link.is_none();
        loop {
            let link = match self.link {
                Some(link) => link,
                None => {
                    fresh = true;
                    let to = &self.upstream.section.endpoint;
                    let conn = self.poller.net.connect(to).await.map_err(|_| Cause::Connect)?;
                    self.link.insert(Link::start(conn, 0).await.map_err(|_| Cause::Connect)?)
                }
            };
            match exchange(self.poller, self.upstream, link, rules, method, params).await {
                // Closed while it lay idle between polls: that says nothing yet.
                Err(Cause::Reset) if !fresh => {
                    *self.link = None;
                    self.upstream.state.end_era();
                }
                outcome => return outcome,
            }
        }
    }
}

async fn exchange(
    poller: &Poller,
    upstream: &Upstream,
    link: &mut Link,
    rules: &Rules,
    method: &str,
    params: &str,
) -> Result<Bytes, Cause> {
    let mut body = Vec::with_capacity(96);
    envelope::write_call(&mut body, "1", method, Some(params));
    let body = Bytes::from(body);
    // Never refused: it is what everything else goes by. But the provider counts it.
    upstream.take(poller.clock.mono(), method);
    let received = link.exchange(|| upstream.post(body), |_| HOLD).await.map_err(|e| e.cause())?;
    upstream.state.heard(poller.clock.mono());
    upstream.heed(poller.clock.mono(), &received.headers);
    if let Some(cause) = crate::call::status_fault(received.status) {
        return Err(cause);
    }
    let answer = parse_answer(&received.body).map_err(|_| Cause::Malformed)?;
    if answer.id.is_none_or(|id| id.get() != "1") && answer.error.is_none() {
        return Err(Cause::WrongId);
    }
    match answer.error.as_ref().map(rules.classify) {
        None => Ok(received.body),
        Some(kind) => Err(match kind.blame() {
            Blame::Upstream => kind.cause().unwrap_or(Cause::Unwell),
            Blame::Caller | Blame::Incapable => Cause::Incapable,
        }),
    }
}

/// Takes in a new head at once: what else the poll asks may take a while.
fn ahead(poller: &Poller, pool: &Pool, i: usize, head: HeadSeen) {
    let now = Now { mono: poller.clock.mono(), wall: poller.clock.wall() };
    let mut tracker = pool.state.tracker();
    let known = pool.state.heads.load().own.get(i).copied().flatten();
    if known.is_none_or(|(number, _)| number != head.number) {
        tracker.observe(now, i, head);
        publish(pool, now.mono, &tracker, None);
    }
}

/// Takes in what a poll saw and publishes what follows from it.
fn take(poller: &Poller, pool: &Pool, i: usize, outcome: Result<Seen, Cause>) {
    let now = Now { mono: poller.clock.mono(), wall: poller.clock.wall() };
    // One that cannot tell its head, for whatever reason, is of no use here.
    let failure = outcome.as_ref().err().map(|c| if *c == Cause::Incapable { Cause::Unwell } else { *c });
    pool.polled(now.mono, i, failure);
    let mut tracker = pool.state.tracker();
    match outcome {
        Ok(seen) => {
            if let Some(right) = seen.right_chain {
                tracker.wrong_chain(now, i, !right);
            }
            for (tag, block) in [(Tag::Safe, seen.safe), (Tag::Finalized, seen.finalized)] {
                if let Some(block) = block {
                    tracker.observe_tag(now, i, tag, block);
                }
            }
            if let Some(head) = seen.head {
                tracker.observe(now, i, head);
            }
            if let Some(block) = seen.confirmed {
                tracker.observe_block(now, i, block);
            }
        }
        Err(_) => tracker.failed(now, i),
    }
    publish(pool, now.mono, &tracker, Some(i));
}

/// Publishes what follows from what has been observed; `polled` has been asked all there was to ask.
fn publish(pool: &Pool, now: Mono, tracker: &Tracker, polled: Option<usize>) {
    let before = pool.state.heads.load_full();
    let polled = polled.map_or(before.polled, |i| pool.all_polled(i));
    let next = Heads::next(&before, tracker, now, polled);
    tell(pool, now, &before, &next);
    let moved = before.latest() != next.latest();
    pool.state.heads.store(Arc::new(next));
    if moved || !before.polled {
        pool.state.moved.notify_waiters();
    }
}

/// Tells the house what has changed.
fn tell(pool: &Pool, now: Mono, before: &Heads, next: &Heads) {
    let agreed = next.latest().map(|b| b.number);
    for (i, upstream) in pool.upstreams.iter().enumerate() {
        let (was, is) = (before.fault(i).map(|f| f.0), next.fault(i).map(|f| f.0));
        let silent = next.unknown.has(i);
        if was != is && !(silent && is.is_none()) {
            pool.state.events.send(Event::Head {
                at: now,
                upstream: upstream.component.clone(),
                fault: is,
                number: next.own.get(i).copied().flatten().map(|(n, _)| n),
                agreed,
            });
        }
    }
    if before.halted != next.halted {
        pool.state.events.send(Event::Halted {
            at: now,
            pool: pool.component.clone(),
            halted: next.halted,
            agreed,
        });
    }
}
