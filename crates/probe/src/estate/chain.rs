//! Chains that are watched: from how they are written to what is asked of whom.

use std::{sync::Arc, time::Duration};

use http::HeaderMap;
use seawall_model::{
    ComponentId, ComponentKind, Name,
    estate::{At, Code, Graph, Operator, Place, Problem, Problems, Resolve, Table},
    units::show_duration,
};

use super::{
    headers::RawHeaders,
    raw::{RawChain, RawFollower, RawSequencer, TargetSource},
    target::target,
    validate::{EVERY, TIMEOUT, is_loopback, within},
};
use crate::core::{
    chain::{MAX_ID, Part},
    check::Check,
    target::{Target, Url},
};

/// Most chains of one estate.
pub const MAX_CHAINS: usize = 256;
/// Most sequencers, and most followers, of one chain.
pub const MAX_MEMBERS: usize = 256;
/// Time between blocks.
const BLOCK_TIME: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3_600));
/// How old a head may be made to be.
const LATE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(7 * 86_400));
/// Longest a look takes where nothing is said.
const USUAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A chain that is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainSection {
    /// Its name, which is that of the pool that serves it, if one does.
    pub name: Name,
    /// The time between its blocks, or the mean of it.
    pub block_time: Duration,
    /// Blocks come at random.
    pub random: bool,
    /// The age from which its newest block is too old, if told.
    pub late: Option<Duration>,
    /// The age from which its newest safe block is too old; `None` if nobody minds.
    pub safe_late: Option<Duration>,
    /// Time from one look at each part to the next.
    pub every: Duration,
    /// Sequencers, then followers, each in name order.
    pub members: Vec<MemberSection>,
}

/// A sequencer, or a node that follows.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberSection {
    /// The component it is.
    pub component: ComponentId,
    /// Who operates it, of a follower.
    pub operator: Option<Operator>,
    /// Its id in the conductors' cluster.
    pub server_id: Option<Arc<str>>,
    /// What is asked of which part. Each part is there once.
    pub checks: Vec<(Part, Arc<Check>)>,
}

impl ChainSection {
    /// The pool that serves it, or stands for it.
    pub fn pool(&self) -> ComponentId {
        ComponentId::new(ComponentKind::Pool, &self.name)
    }

    /// The chain itself, and whoever is asked about it.
    pub fn components(&self) -> impl Iterator<Item = ComponentId> {
        std::iter::once(self.pool()).chain(self.members.iter().map(|member| member.component.clone()))
    }
}

impl MemberSection {
    /// True if it makes blocks, or stands by to.
    pub fn is_sequencer(&self) -> bool {
        self.component.kind() == ComponentKind::Sequencer
    }

    /// True if that part of it is asked.
    pub fn has(&self, part: Part) -> bool {
        self.checks.iter().any(|(p, _)| *p == part)
    }
}

/// Declares what chains are made of: sequencers, and where no pool serves a chain, a pool that stands for it, of its
/// followers. To be called after the pools and before the services.
pub fn declare(chains: &Table<RawChain>, graph: &mut Graph, problems: &mut Problems) {
    for (name, At { value: raw, place }) in chains {
        raw.sequencers.keys().for_each(|sequencer| graph.add_sequencer(name, sequencer));
        let served = graph.contains(&ComponentId::new(ComponentKind::Pool, name));
        if let (true, Some((_, follower))) = (served, raw.followers.iter().next()) {
            let message = format!("pool `{name}` serves this chain, and its upstreams are what follows it");
            let problem = Problem::new(Code::Contradiction, follower.place, message);
            problems.report(problem.help("remove `followers`, or give the chain another name"));
        }
        if served {
            continue;
        }
        if raw.sequencers.is_empty() && raw.followers.is_empty() {
            let message = format!("chain `{name}` has no sequencers, no followers, and no pool of its name");
            let problem = Problem::new(Code::NoChoice, *place, message);
            problems.report(problem.help(format!(
                "declare `[pools.{name}]`, `[chains.{name}.sequencers.NAME]` or `[chains.{name}.followers.NAME]`"
            )));
        }
        let operated = |(follower, at): (&Name, &At<RawFollower>)| {
            let operator =
                at.value.provider.as_ref().and_then(|at| graph.operator(at, &mut Problems::default()));
            (follower.clone(), operator)
        };
        let followers = raw.followers.iter().map(operated).collect();
        graph.add_pool(name, followers);
    }
}

/// Judges the chains, whose components [`declare`] has declared. `None` if anything is wrong; why has been reported.
pub(super) fn validate(
    chains: &Table<RawChain>,
    graph: &Graph,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<Vec<ChainSection>> {
    let mut reader = Reader { graph, resolve, problems };
    reader.few(chains, MAX_CHAINS, "chains")?;
    let judged: Vec<_> = chains.iter().filter_map(|(name, at)| reader.chain(name, &at.value)).collect();
    (judged.len() == chains.len()).then_some(judged)
}

struct Reader<'a, 'r> {
    graph: &'a Graph,
    resolve: &'a Resolve<'r>,
    problems: &'a mut Problems,
}

impl Reader<'_, '_> {
    fn chain(&mut self, name: &Name, raw: &RawChain) -> Option<ChainSection> {
        let show = |d: &Duration| show_duration(*d);
        let block_time = raw.block_time.map(|at| within(at, BLOCK_TIME, "block_time", show, self.problems));
        let every = within(raw.every, EVERY, "every", show, self.problems);
        let mut limit = |at: Option<At<Duration>>, key| match at {
            Some(at) => within(at, LATE, key, show, self.problems).map(Some),
            None => Some(None),
        };
        let (late, safe_late) = (limit(raw.late, "late"), limit(raw.safe_late, "safe_late"));
        let (block_time, every) = (block_time??, every?);
        let (late, safe_late) = (late?, safe_late?);
        if let (Some(at), Some(late)) = (raw.late, late)
            && late < block_time
        {
            let message = format!(
                "`late` ({}) is shorter than `block_time` ({}): every block would be too old before the next",
                show(&late),
                show(&block_time)
            );
            self.report(Code::Contradiction, at.place, message, "raise `late`, or leave it out");
            return None;
        }
        let timeout = self.timeout(raw.timeout, every)?;
        self.few(&raw.sequencers, MAX_MEMBERS, "sequencers")?;
        self.few(&raw.followers, MAX_MEMBERS, "followers")?;
        let mut members = Vec::new();
        for (sequencer, at) in &raw.sequencers {
            members.extend(self.sequencer(name, sequencer, at, timeout));
        }
        for (follower, at) in &raw.followers {
            members.extend(self.follower(name, follower, &at.value, timeout));
        }
        let whole = members.len() == raw.sequencers.len() + raw.followers.len();
        let (name, random) = (name.clone(), raw.random);
        whole.then_some(ChainSection { name, block_time, random, late, safe_late, every, members })
    }

    fn timeout(&mut self, at: Option<At<Duration>>, every: Duration) -> Option<Duration> {
        let Some(at) = at else { return Some(every.min(USUAL_TIMEOUT)) };
        let timeout = within(at, TIMEOUT, "timeout", |d| show_duration(*d), self.problems)?;
        if timeout > every {
            let message = format!(
                "`timeout` ({}) is longer than `every` ({}): turns would be missed",
                show_duration(timeout),
                show_duration(every)
            );
            self.report(Code::Contradiction, at.place, message, "lower `timeout` or raise `every`");
            return None;
        }
        Some(timeout)
    }

    fn sequencer(
        &mut self,
        chain: &Name,
        name: &Name,
        at: &At<RawSequencer>,
        timeout: Duration,
    ) -> Option<MemberSection> {
        let raw = &at.value;
        let urls = [
            (Part::Execution, &raw.execution),
            (Part::OpNode, &raw.op_node),
            (Part::Conductor, &raw.conductor),
        ];
        let urls: Vec<_> = urls.into_iter().filter_map(|(part, url)| Some((part, url.as_ref()?))).collect();
        if urls.is_empty() {
            let message = format!("nothing tells where sequencer `{name}` can be asked");
            self.report(Code::NoChoice, at.place, message, "add `execution`, `op_node` or `conductor`");
            return None;
        }
        let headers = self.headers(raw.headers.as_ref());
        let mut checks = Vec::new();
        for (part, url) in &urls {
            checks.extend(self.check(*part, url, timeout).map(|check| (*part, check)));
        }
        let headers = headers?;
        self.set(raw.headers.as_ref(), &headers, &mut checks);
        let checks: Vec<_> = checks.into_iter().map(|(part, check)| (part, Arc::new(check))).collect();
        let component = ComponentId::within(ComponentKind::Sequencer, chain, name);
        let server_id = match &raw.server_id {
            Some(at) => Some(self.server_id(at)?),
            None => None,
        };
        let whole = checks.len() == urls.len();
        whole.then_some(MemberSection { component, operator: None, server_id, checks })
    }

    fn server_id(&mut self, at: &At<String>) -> Option<Arc<str>> {
        if (1..=MAX_ID).contains(&at.value.chars().count()) {
            return Some(at.value.as_str().into());
        }
        let message = format!("`server_id` must be of 1 to {MAX_ID} characters");
        self.report(Code::InvalidValue, at.place, message, "write what `--raft.server.id` says");
        None
    }

    fn follower(
        &mut self,
        chain: &Name,
        name: &Name,
        raw: &RawFollower,
        timeout: Duration,
    ) -> Option<MemberSection> {
        let operator = raw.provider.as_ref().and_then(|at| self.graph.operator(at, self.problems));
        let headers = self.headers(raw.headers.as_ref());
        let check = raw.url.as_ref().and_then(|url| self.check(Part::Execution, url, timeout));
        let (operator, headers) = (operator?, headers?);
        let mut checks = vec![(Part::Execution, check?)];
        self.set(raw.headers.as_ref(), &headers, &mut checks);
        let checks = checks.into_iter().map(|(part, check)| (part, Arc::new(check))).collect();
        let component = ComponentId::within(ComponentKind::Upstream, chain, name);
        Some(MemberSection { component, operator: Some(operator), server_id: None, checks })
    }

    /// What is asked of a part at that URL.
    fn check(&mut self, part: Part, at: &At<TargetSource>, timeout: Duration) -> Option<Check> {
        let mut check = Check::new(Target::Chain(part, self.url(at)?));
        check.timeout = timeout;
        // Asked every few seconds for ever: one connection does for all of it.
        check.fresh = false;
        Some(check)
    }

    fn headers(&mut self, at: Option<&At<RawHeaders>>) -> Option<HeaderMap> {
        match at {
            Some(at) => RawHeaders::validate(at, self.resolve, self.problems),
            None => Some(HeaderMap::new()),
        }
    }

    /// Has headers sent with every check, and warns if others can read them on the way.
    fn set(&mut self, at: Option<&At<RawHeaders>>, headers: &HeaderMap, checks: &mut [(Part, Check)]) {
        let mut plain = false;
        for (_, check) in checks {
            plain |= check.target.endpoint().is_some_and(|e| !e.tls && !is_loopback(&e.host));
            check.headers.clone_from(headers);
        }
        if let Some(at) = at.filter(|_| plain) {
            let message =
                "headers go over plain `http` to another host: they can be read and changed on the way";
            self.problems.report(Problem::new(Code::PlainHttp, at.place, message));
        }
    }

    fn url(&mut self, at: &At<TargetSource>) -> Option<Url> {
        match target(at, self.resolve, self.problems)? {
            Target::Http(url) => Some(url),
            other => {
                let message = format!("`{}://` is not how a node of a chain is asked", other.scheme());
                self.report(Code::Url, at.place, message, "write `http://` or `https://`, a host and a port");
                None
            }
        }
    }

    fn few<T>(&mut self, table: &Table<T>, most: usize, what: &str) -> Option<()> {
        let Some((_, beyond)) = table.iter().nth(most) else { return Some(()) };
        let message = format!("{} {what}; at most {most} are taken", table.len());
        self.problems.report(Problem::new(Code::Limit, beyond.place, message));
        None
    }

    fn report(&mut self, code: Code, place: Place, message: String, help: &str) {
        self.problems.report(Problem::new(code, place, message).help(help));
    }
}
