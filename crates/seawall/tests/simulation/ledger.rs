//! What clients were told, held against the truth; and a trace of it all.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    chain::{Chain, quantity},
    plan::{Plan, USUAL_FLOOR},
};

/// A client waits no longer, in milliseconds.
pub(crate) const PATIENCE: u64 = 15_000;
/// The daemon remembers the agreed chain for so many blocks.
const REMEMBERED: u64 = 128;
/// Most findings kept of one run.
const FINDINGS: usize = 20;
/// If most providers have been well for this long, the head that is read is new, but for [`slack`].
const SETTLED: u64 = 16_000;

/// What became of a write, as its client was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Told {
    Accepted,
    Rejected,
    /// It may have taken effect or not.
    Unknown,
    /// Nobody has seen it.
    NotSent,
}

/// A read, and what it was asked with.
#[derive(Debug, Clone)]
pub(crate) enum Read {
    Number,
    State {
        method: &'static str,
        subject: Value,
    },
    /// A block by tag or number, how many blocks behind the head it is.
    Tagged {
        behind: u64,
    },
    Block {
        number: u64,
    },
    Logs {
        from: u64,
        to: Option<u64>,
    },
    Receipt {
        hash: String,
    },
    Constant {
        want: &'static str,
    },
}

/// When a call was made, and the newest block that answers before it spoke of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) at: u64,
    pub(crate) floor: u64,
}

/// Everything that is held against a run.
#[derive(Default)]
pub(crate) struct Ledger {
    /// What clients saw, line by line.
    pub(crate) trace: Vec<String>,
    /// What should not have been.
    pub(crate) findings: Vec<String>,
    /// The newest block that any answer of this life spoke of, and the agreed heads that were read.
    pub(crate) floor: u64,
    pub(crate) heads: BTreeSet<u64>,
    /// Wrong answers about blocks that were not among them.
    pub(crate) beyond: u64,
    pub(crate) reads: u64,
    /// Failed reads by code.
    pub(crate) failed: BTreeMap<String, u64>,
    pub(crate) slowest: u64,
    pub(crate) writes: BTreeMap<String, Vec<Told>>,
    pub(crate) told: BTreeMap<Told, u64>,
    /// When each client's call went, by id; and if it is a write.
    pub(crate) calls: BTreeMap<String, (u64, bool)>,
    /// Checkpoints of the journal that were shown, oldest first.
    pub(crate) checkpoints: Vec<String>,
    /// Calls that have not been answered yet.
    pub(crate) open: i64,
    /// The newest block that the subscriber of this life was told of.
    pub(crate) subscribed: Option<u64>,
    /// When this life began.
    pub(crate) born: u64,
}

impl Ledger {
    pub(crate) fn find(&mut self, at: u64, what: String) {
        if self.findings.len() < FINDINGS {
            self.findings.push(format!("{:.3} s: {what}", at as f64 / 1_000.0));
        }
    }

    /// The journal's newest checkpoint was shown.
    pub(crate) fn show(&mut self, checkpoint: Option<&str>) {
        let new = checkpoint.filter(|c| self.checkpoints.last().is_none_or(|last| last != c));
        self.checkpoints.extend(new.map(str::to_owned));
    }

    /// A read was answered with `result`.
    pub(crate) fn answered(
        &mut self,
        plan: &Plan,
        chain: &Chain,
        asked: Asked,
        now: u64,
        read: &Read,
        result: &Value,
    ) {
        let most = chain.head_at(now);
        let least = self.least(plan, chain, asked, now);
        let spoke_of = match judge(chain, read, result, least, most) {
            Ok(block) => block,
            Err(_)
                if about(chain, read).is_some_and(|n| !self.heads.contains(&n) || n + REMEMBERED < most) =>
            {
                // It has not been an agreed head in this life, or is forgotten: the daemon need not know what was there. And that
                // an upstream has gone over to another chain is known only once its head has been polled.
                self.beyond += 1;
                return;
            }
            Err(wrong) => {
                let times = format!("asked at {}, blocks {least} to {most}", asked.at);
                return self.find(now, format!("wrong answer to {read:?}: {wrong}; {times}: {result}"));
            }
        };
        if let Some(block) = spoke_of {
            self.floor = self.floor.max(block);
            if !matches!(read, Read::Receipt { .. }) {
                self.heads.insert(block);
            }
        }
    }

    /// The oldest block that an answer may speak of: none older than those before it and, while most
    /// providers are well, none that they have all left behind.
    fn least(&self, plan: &Plan, chain: &Chain, asked: Asked, now: u64) -> u64 {
        let settled = asked.at.saturating_sub(SETTLED);
        let well = settled >= self.born && (settled..now).step_by(250).all(|at| plan.most_are_well(at));
        let recent = chain.head_at(asked.at.saturating_sub(slack(plan)));
        if well { asked.floor.max(recent) } else { asked.floor }
    }

    /// A read failed with `code`: while somebody is well it must not, but for a budget that the estate made
    /// too small for what goes wrong here.
    pub(crate) fn failed(
        &mut self,
        plan: &Plan,
        asked: Asked,
        now: u64,
        read: &Read,
        code: &str,
        answer: &str,
    ) {
        *self.failed.entry(code.to_owned()).or_default() += 1;
        let excused = code == "SW0304" && plan.floor < USUAL_FLOOR && now < plan.spans.recovered;
        if !excused {
            self.find(now, format!("{read:?}, asked at {}, failed: {code} {answer}", asked.at));
        }
    }

    /// A life in which all was well for a while has ended: its subscriber was told of all blocks but the newest.
    pub(crate) fn check_subscriber(&mut self, plan: &Plan, chain: &Chain, now: u64) {
        let due = chain.head_at(now.saturating_sub(2 * slack(plan)));
        if now >= plan.spans.all_serve && self.subscribed.is_none_or(|last| last < due) {
            self.find(
                now,
                format!("a subscriber was told of no block after {:?}, {due} is old", self.subscribed),
            );
        }
    }

    /// The client of a write was told what became of it.
    pub(crate) fn wrote(&mut self, hash: &str, told: Told) {
        self.writes.entry(hash.to_owned()).or_default().push(told);
        *self.told.entry(told).or_default() += 1;
    }

    /// Holds what was told of writes against what became of them.
    pub(crate) fn check_writes(&mut self, chain: &Chain) {
        for (hash, told) in std::mem::take(&mut self.writes) {
            let mined = chain.mined(&hash).is_some();
            let says = |what: Told| told.contains(&what);
            if says(Told::Accepted) && !mined {
                self.find(u64::MAX, format!("{hash} was accepted and never mined: {told:?}"));
            }
            if says(Told::Rejected) && mined {
                self.find(u64::MAX, format!("{hash} was rejected and mined: {told:?}"));
            }
            if told == [Told::NotSent] && mined {
                self.find(u64::MAX, format!("{hash} was told to have reached nobody and was mined"));
            }
        }
    }

    /// Unplanned attempts, as the nodes counted them: those of the calls of any ten seconds were spent
    /// within twenty, so they are at most what two windows allow.
    pub(crate) fn check_budget(&mut self, plan: &Plan, extras: &BTreeMap<String, u32>) {
        /// Seconds that a call may take.
        const DEADLINE: usize = 10;
        let seconds = plan.spans.end as usize / 1_000 + 1;
        let (mut calls, mut extra) = (vec![0; seconds], vec![0; seconds]);
        for (id, (at, _)) in &self.calls {
            calls[*at as usize / 1_000] += 1;
            extra[*at as usize / 1_000] += extras.get(id).copied().unwrap_or(0);
        }
        let sum = |of: &[u32], from: usize, to: usize| of[from..to.min(of.len())].iter().sum::<u32>();
        for from in 0..calls.len() {
            let spent = sum(&extra, from, from + 10);
            let windows = from.saturating_sub(10)..(from + 10 + DEADLINE).min(calls.len());
            let busiest = windows.map(|t| sum(&calls, t, t + 11)).max().unwrap_or(0);
            let allowed = (f64::from(busiest) * 0.2).max(f64::from(plan.floor) * 10.0);
            if f64::from(spent) > 2.0 * allowed {
                self.find(
                    from as u64 * 1_000,
                    format!("{spent} unplanned attempts in ten seconds, {allowed} allowed"),
                );
            }
        }
    }
}

/// Time from a block's making until most providers show it and every poll has seen that, in milliseconds.
fn slack(plan: &Plan) -> u64 {
    plan.block_ms + 3 * plan.poll_ms + 1_500
}

/// The newest block that a read of settled things is about.
fn about(chain: &Chain, read: &Read) -> Option<u64> {
    match read {
        Read::Block { number } => Some(*number),
        Read::Logs { to, .. } => *to,
        Read::Receipt { hash } => chain.mined(hash),
        Read::Number | Read::State { .. } | Read::Tagged { .. } | Read::Constant { .. } => None,
    }
}

/// The block that an answer speaks of, if it is right for one that it may speak of.
fn judge(chain: &Chain, read: &Read, result: &Value, least: u64, most: u64) -> Result<Option<u64>, String> {
    let block = |value: &Value| value.as_str().and_then(quantity);
    let in_time = |n: u64| match (least..=most).contains(&n) {
        true => Ok(Some(n)),
        false => Err(format!("it is of block {n}")),
    };
    match read {
        Read::Number => in_time(block(result).ok_or("no number")?),
        Read::State { method, subject } => {
            let of = |n: &u64| *result == chain.state(&chain.hash(*n, None), method, subject);
            let found = (most.saturating_sub(200)..=most).rev().find(of);
            in_time(found.ok_or("it is of no block")?)
        }
        Read::Tagged { behind } => {
            let n = block(&result["number"]).ok_or("no block")?;
            if result["hash"] != chain.hash(n, None) {
                return Err("another chain's".into());
            }
            // A tag that lags behind its head is judged by nobody.
            if *behind == 0 { in_time(n) } else { Ok(None) }
        }
        Read::Block { number } => match result["hash"] == chain.hash(*number, None) {
            true => Ok(None),
            false => Err("another chain's, or nothing".into()),
        },
        Read::Logs { from, to } => {
            let logs = result.as_array().ok_or("no list")?;
            let last = from + logs.len() as u64 - u64::from(!logs.is_empty());
            let right = logs.iter().zip(*from..).all(|(log, n)| *log == chain.log(n, None));
            match (right && !logs.is_empty(), to) {
                (true, Some(to)) if last == *to => Ok(None),
                (true, None) => in_time(last),
                (true, Some(_)) | (false, _) => Err("gaps, or another chain's".into()),
            }
        }
        Read::Receipt { hash } => {
            let mined = chain.mined(hash);
            match (block(&result["blockNumber"]), mined) {
                (Some(n), Some(m)) if n == m && result["blockHash"] == chain.hash(n, None) => Ok(Some(n)),
                // A node may be a block or two behind the head and still be sound.
                (None, Some(m)) if result.is_null() && m + 2 > least => Ok(None),
                (None, None) if result.is_null() => Ok(None),
                _ => Err(format!("mined in {mined:?}")),
            }
        }
        Read::Constant { want } => {
            if result == want {
                Ok(None)
            } else {
                Err(format!("not {want}"))
            }
        }
    }
}
