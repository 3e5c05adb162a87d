//! The demo's clients: a steady open-loop load through Seawall on a thread of its own, every answer held
//! against the chain itself.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};

use super::{
    rpc::{Rpc, RpcError, block_number, quantity},
    tally::{Ending, Tally},
    truth::{Block, Floor, Judgement, Ledger, Question, TOLERATED_AGE},
};

/// The account whose balance the clients watch.
const WATCHED: &str = "0x5ea0000000000000000000000000000000000001";
/// How often the account is paid, so that its balance tells the blocks apart.
const PAYDAY: Duration = Duration::from_millis(250);
/// How often the chain is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Requests in flight at most; one beyond that has failed.
const IN_FLIGHT: usize = 4_096;
/// How far back questions about the past go, in blocks.
const PAST: u64 = 30;
/// How long answers still out when the load ends are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(16);

/// Where the load goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Seawall's listener.
    pub(super) seawall: SocketAddr,
    /// The route of the pool, as in `/chain`.
    pub(super) route: String,
    /// The chain itself.
    pub(super) chain: SocketAddr,
    /// Requests a second.
    pub(super) rate: u32,
}

/// A running load.
pub(super) struct Load {
    tally: Arc<Mutex<Tally>>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<Result<(), RpcError>>,
}

impl Load {
    /// Starts it.
    pub(super) fn start(target: Target) -> io::Result<Self> {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = tally.clone();
        let thread = std::thread::Builder::new().name("load".into()).spawn(move || {
            let client = Client::new(&target, shared);
            runtime.block_on(client.run(target.rate, stopped))
        })?;
        Ok(Self { tally, stop, thread })
    }

    /// What the clients saw so far.
    pub(super) fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// True if it ended by itself, which it does only if the chain is gone.
    pub(super) fn ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Sends no more, waits for the last answers, and tells what the clients saw in all.
    pub(super) fn finish(self) -> (Tally, Result<(), RpcError>) {
        // Nobody listening means that the load has ended already.
        let _ = self.stop.send(true);
        let ended = self
            .thread
            .join()
            .unwrap_or_else(|_| Err(RpcError::Transport("the load's thread panicked".into())));
        let tally = lock(&self.tally).clone();
        (tally, ended)
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    // Counters stay usable whatever happened to a thread that held them.
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Client {
    seawall: Rpc,
    route: String,
    chain: Rpc,
    tally: Arc<Mutex<Tally>>,
    began: Instant,
    known: RefCell<Known>,
}

/// What the clients know of the chain.
#[derive(Default)]
struct Known {
    ledger: Ledger,
    /// The newest block in any answer so far, and to which method: no later request may be answered from
    /// an older one.
    seen: Option<Floor>,
    /// Answers about blocks that were not in the ledger when they came.
    early: Vec<Answered>,
}

/// An answer and all it takes to judge it.
struct Answered {
    question: Question,
    floor: Floor,
    took: Duration,
    outcome: Result<Value, RpcError>,
}

impl Client {
    fn new(target: &Target, tally: Arc<Mutex<Tally>>) -> Self {
        Self {
            seawall: Rpc::new(target.seawall),
            route: target.route.clone(),
            chain: Rpc::new(target.chain),
            tally,
            began: Instant::now(),
            known: RefCell::default(),
        }
    }

    async fn run(&self, rate: u32, mut stopped: watch::Receiver<bool>) -> Result<(), RpcError> {
        self.look().await?;
        let traffic = async {
            // Either way there is nothing more to send.
            let stop = async { drop(stopped.wait_for(|stop| *stop).await) };
            self.send_and_judge(rate, stop).await;
            Ok(())
        };
        tokio::select! {
            done = traffic => done,
            gone = self.follow_chain() => gone,
        }?;
        self.look_and_judge().await
    }

    /// Pays the watched account and keeps the ledger; ends only with an error.
    async fn follow_chain(&self) -> Result<(), RpcError> {
        let mut payday = tokio::time::interval(PAYDAY);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let accounts = self.chain.call("/", "eth_accounts", json!([])).await?;
        let payment = json!([{"from": accounts[0], "to": WATCHED, "value": "0x1"}]);
        loop {
            tokio::select! {
                _ = payday.tick() => drop(self.chain.call("/", "eth_sendTransaction", payment.clone()).await?),
                _ = look.tick() => self.look_and_judge().await?,
            }
        }
    }

    /// Brings the ledger up to the chain's head.
    async fn look(&self) -> Result<(), RpcError> {
        let number = self.chain.call("/", "eth_blockNumber", json!([])).await?;
        let newest =
            block_number(&number).ok_or_else(|| RpcError::Malformed(format!("block number {number}")))?;
        let next = self.known.borrow().ledger.head().map_or(newest.saturating_sub(PAST), |head| head + 1);
        for number in next..=newest {
            let tag = format!("{number:#x}");
            let block = self.chain.call("/", "eth_getBlockByNumber", json!([tag, false])).await?;
            let balance = self.chain.call("/", "eth_getBalance", json!([WATCHED, tag])).await?;
            let malformed = || RpcError::Malformed(format!("block {number}: {block}, balance {balance}"));
            let block = Block {
                hash: block["hash"].as_str().ok_or_else(malformed)?.to_owned(),
                balance: quantity(&balance).ok_or_else(malformed)?,
                transaction: block["transactions"][0].as_str().map(str::to_owned),
            };
            self.known.borrow_mut().ledger.add(number, block);
        }
        Ok(())
    }

    /// Sends on schedule, whatever the answers do, until `stop`; then waits for the last answers.
    async fn send_and_judge(&self, rate: u32, stop: impl Future<Output = ()>) {
        let mut answers: JoinSet<Answered> = JoinSet::new();
        let mut schedule = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut sent = 0_u64;
        tokio::pin!(stop);
        loop {
            tokio::select! {
                due = schedule.tick() => {
                    self.ask(sent, due, &mut answers);
                    sent += 1;
                }
                Some(Ok(answered)) = answers.join_next() => self.judge(answered, Patience::OneLook),
                _ = second.tick() => lock(&self.tally).tick(),
                () = &mut stop => break,
            }
        }
        let last = async {
            while let Some(Ok(answered)) = answers.join_next().await {
                self.judge(answered, Patience::OneLook);
            }
        };
        if tokio::time::timeout(LAST_ANSWERS, last).await.is_err() {
            for _ in 0..answers.len() {
                self.count(LAST_ANSWERS, Ending::Failed("no answer by the end".into()));
            }
        }
    }

    /// Sends the `n`th question. Its latency counts from `due`, when it should have gone out.
    fn ask(&self, n: u64, due: tokio::time::Instant, answers: &mut JoinSet<Answered>) {
        if answers.len() >= IN_FLIGHT {
            return self.count(
                Duration::ZERO,
                Ending::Failed(format!("{IN_FLIGHT} requests are in flight already")),
            );
        }
        let (question, floor) = {
            let known = self.known.borrow();
            let head = known.ledger.head().unwrap_or(0);
            let aged =
                Floor { block: head.saturating_sub(TOLERATED_AGE), by: "the chain, three blocks earlier," };
            let floor = known.seen.filter(|seen| seen.block > aged.block).unwrap_or(aged);
            (question(n, head, &known.ledger), floor)
        };
        let (method, params) = question.call(WATCHED);
        let (seawall, route) = (self.seawall.clone(), self.route.clone());
        answers.spawn(async move {
            let outcome = seawall.call(&route, method, params).await;
            Answered { question, floor, took: due.elapsed(), outcome }
        });
    }

    fn judge(&self, answered: Answered, patience: Patience) {
        let mut known = self.known.borrow_mut();
        let ending = match &answered.outcome {
            Err(e) => Ending::Failed(format!("{}: {e}", answered.question.call(WATCHED).0)),
            Ok(value) => match (known.ledger.judge(&answered.question, value, answered.floor), patience) {
                (Judgement::Right(block), _) => {
                    let by = answered.question.call(WATCHED).0;
                    let newer = block.filter(|block| known.seen.is_none_or(|seen| *block > seen.block));
                    known.seen = newer.map(|block| Floor { block, by }).or(known.seen);
                    Ending::Right
                }
                (Judgement::Wrong(how), _) => Ending::Wrong(format!("{:?}: {how}", answered.question)),
                (Judgement::Early, Patience::OneLook) => return known.early.push(answered),
                (Judgement::Early, Patience::None) => Ending::Wrong(format!(
                    "{:?}: a block that the chain does not have: {value}",
                    answered.question
                )),
            },
        };
        drop(known);
        self.count(answered.took, ending);
    }

    /// Looks at the chain, then judges for good the answers that were early before the look.
    async fn look_and_judge(&self) -> Result<(), RpcError> {
        let early = std::mem::take(&mut self.known.borrow_mut().early);
        let looked = self.look().await;
        for answered in early {
            self.judge(answered, Patience::None);
        }
        looked
    }

    fn count(&self, took: Duration, ending: Ending) {
        let second = usize::try_from(self.began.elapsed().as_secs()).unwrap_or(usize::MAX);
        lock(&self.tally).count(second, took, ending);
    }
}

/// How long an answer about an unknown block is given.
#[derive(Clone, Copy)]
enum Patience {
    /// Until the chain has been looked at once more.
    OneLook,
    /// Not at all.
    None,
}

/// The questions in turn, each kind as often as the others.
fn question(n: u64, head: u64, ledger: &Ledger) -> Question {
    // While the chain is younger, its newest block is no past: anvil may answer for it from the one that it is making.
    let past = head.checked_sub(TOLERATED_AGE + 1 + (n / 5) % PAST);
    let block = past.and_then(|past| Some((past, ledger.at(past)?)));
    match (n % 5, block) {
        (1, _) => Question::Head,
        (2, _) => Question::HeadBlock,
        (3, Some((past, _))) => Question::BalanceAt(past),
        (4, Some((past, Block { transaction: Some(hash), .. }))) => Question::Receipt(hash.clone(), past),
        _ => Question::Balance,
    }
}
