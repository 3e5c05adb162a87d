//! Tells the logs of every block that has been told, and takes back those of blocks that have left the chain.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use seawall_chain::{
    Block,
    log::{Filter, Log, Logs},
};

use super::{At, Feed, HeadStep, fetch, window};
use crate::serve::Visit;

/// Blocks whose logs are asked for at once.
const WIDTH: usize = 8;
/// Blocks whose logs are remembered, lest they leave the chain; and how many bytes of them.
const REMEMBERED: usize = 256;
const REMEMBERED_BYTES: usize = 64 << 20;
/// What a log is besides its text, roughly.
const AROUND: usize = 200;

/// A block's logs, to be told.
pub(super) struct Told {
    logs: Vec<Log>,
    text: Bytes,
}

/// One step of the chain's logs.
pub(super) enum LogStep {
    /// A block has joined the chain with these.
    Added(Block, Arc<Told>),
    /// A block has left it; these are marked so.
    Removed(Block, Arc<Told>),
    /// Some were missed that cannot be made up for.
    Lost,
}

impl window::Sized for LogStep {
    fn bytes(&self) -> usize {
        match self {
            Self::Added(_, told) | Self::Removed(_, told) => told.bytes(),
            Self::Lost => 0,
        }
    }
}

impl LogStep {
    /// What of it a filter wants.
    pub(super) fn wanted(&self, filter: &Filter) -> impl Iterator<Item = Bytes> {
        let told = match self {
            Self::Added(block, told) | Self::Removed(block, told) if filter.covers(block.number) => {
                Some(told)
            }
            Self::Added(..) | Self::Removed(..) | Self::Lost => None,
        };
        told.into_iter().flat_map(|told| {
            told.logs.iter().filter(|log| filter.wants(log)).map(|log| told.text.slice(log.at.clone()))
        })
    }
}

impl Told {
    fn new(logs: Logs) -> Arc<Self> {
        Arc::new(Self { logs: logs.logs, text: logs.text.into() })
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.logs.len() * AROUND
    }
}

/// Where the telling of logs has come to.
#[derive(Default)]
pub(super) struct Logbook {
    /// The next place to read in the window of heads.
    place: u64,
    /// Counts the beginnings, so that what was asked for before one is not told after it.
    life: u64,
    /// What has been told, the oldest first.
    told: VecDeque<(Block, Logs)>,
    bytes: usize,
    /// Height up to which what was told has been forgotten.
    forgotten: Option<u64>,
    /// Height up to which the chain's logs have been told.
    tip: Option<u64>,
}

impl Logbook {
    /// Somebody listens from here on.
    pub(super) fn begin(&mut self, place: u64) {
        *self = Self { place, life: self.life + 1, ..Self::default() };
    }

    fn remember(&mut self, block: Block, logs: Logs) {
        self.bytes += logs.text.len() + logs.logs.len() * AROUND;
        self.told.push_back((block, logs));
        while self.told.len() > REMEMBERED || (self.bytes > REMEMBERED_BYTES && self.told.len() > 1) {
            let Some((block, logs)) = self.told.pop_front() else { break };
            self.bytes -= logs.text.len() + logs.logs.len() * AROUND;
            self.forgotten = Some(block.number);
        }
    }

    /// Takes back a block. Of one that was never told there is nothing to take back.
    fn take_back(&mut self, block: Block) -> Option<LogStep> {
        let last = self.told.back().filter(|(told, _)| *told == block).cloned();
        match last {
            Some((_, logs)) => {
                self.told.pop_back();
                self.bytes -= logs.text.len() + logs.logs.len() * AROUND;
                Some(LogStep::Removed(block, Told::new(logs.removed())))
            }
            None => self.forgotten.is_some_and(|n| block.number <= n).then_some(LogStep::Lost),
        }
    }
}

/// What is to be done next.
enum Next {
    /// Everything has been told.
    Nothing,
    /// Something has been told.
    Told,
    /// These blocks' logs are to be asked for; of each, whether its header says that there are some.
    Ask(u64, Vec<(Block, bool)>),
}

impl Feed {
    /// The place in the window of heads up to which logs have been told.
    pub(super) fn logs_come_to(&self) -> u64 {
        self.logbook().place
    }

    /// The height up to which the chain's logs have been told.
    pub(super) fn logs_tip(&self) -> Option<u64> {
        self.logbook().tip
    }

    /// Goes a step further, and returns whether there was one to go; `None` if it could not be done now.
    pub(super) async fn log_step(&self, visit: &Visit) -> Option<bool> {
        let (life, blocks) = match self.next_logs() {
            Next::Nothing => return Some(false),
            Next::Told => return Some(true),
            Next::Ask(life, blocks) => (life, blocks),
        };
        let asked = blocks
            .into_iter()
            .map(|(block, some)| async move { (block, fetch::logs(visit, block.hash, some).await) });
        let mut answers = stream::iter(asked).buffered(WIDTH);
        while let Some((block, logs)) = answers.next().await {
            let logs = match logs {
                Some(logs) => logs,
                // Nobody has it any more: nothing is told of it, and so nothing taken back.
                None if self.has_left(block) => Logs::default(),
                None => return None,
            };
            let mut book = self.logbook();
            if book.life != life {
                return Some(true);
            }
            book.place += 1;
            book.tip = Some(block.number);
            book.remember(block, logs.clone());
            self.logs.tell([LogStep::Added(block, Told::new(logs))]);
        }
        Some(true)
    }

    fn next_logs(&self) -> Next {
        let mut book = self.logbook();
        let window = self.heads.now();
        let mut blocks = Vec::new();
        for place in (book.place..).take(WIDTH) {
            match window.at(place) {
                At::Item(step) => match &*step {
                    HeadStep::Added { block, header } => blocks.push((*block, has_bloom(header))),
                    HeadStep::Dropped(_) | HeadStep::Lost if !blocks.is_empty() => break,
                    HeadStep::Dropped(block) => {
                        book.place += 1;
                        book.tip = block.number.checked_sub(1);
                        let step = book.take_back(*block);
                        self.logs.tell(step);
                        return Next::Told;
                    }
                    HeadStep::Lost => {
                        let place = place + 1;
                        book.begin(place);
                        self.logs.tell([LogStep::Lost]);
                        return Next::Told;
                    }
                },
                At::End => break,
                At::Gone => {
                    self.counts.lost.fetch_add(1, Relaxed);
                    book.begin(window.end());
                    self.logs.tell([LogStep::Lost]);
                    return Next::Told;
                }
            }
        }
        if blocks.is_empty() { Next::Nothing } else { Next::Ask(book.life, blocks) }
    }

    /// Has a block that was told left the chain since?
    fn has_left(&self, block: Block) -> bool {
        let (window, from) = (self.heads.now(), self.logs_come_to());
        (from..window.end()).any(|place| match window.at(place) {
            At::Item(step) => matches!(*step, HeadStep::Dropped(dropped) if dropped == block),
            At::End | At::Gone => false,
        })
    }
}

/// Does the header's bloom say that there are logs? On chains that keep none it says nothing.
fn has_bloom(header: &[u8]) -> bool {
    const KEY: &[u8] = b"\"logsBloom\":\"0x";
    let at = header.windows(KEY.len()).position(|window| window == KEY);
    at.is_some_and(|at| {
        header[at + KEY.len()..].iter().take_while(|digit| **digit != b'"').any(|digit| *digit != b'0')
    })
}

#[cfg(test)]
mod tests {
    use seawall_chain::Hash;

    use super::*;

    #[test]
    fn a_bloom_tells_of_logs() {
        assert!(has_bloom(br#"{"logsBloom":"0x0001","x":"0x0"}"#));
        assert!(!has_bloom(br#"{"logsBloom":"0x0000","x":"0x1"}"#));
        assert!(!has_bloom(b"{}"));
    }

    #[test]
    fn what_was_told_is_taken_back_and_nothing_else() {
        let block = |n: u64| Block { number: n, hash: Hash([n as u8; 32]) };
        let mut book = Logbook::default();
        book.begin(5);
        book.remember(block(1), Logs::default());
        book.remember(block(2), Logs::default());
        assert!(matches!(book.take_back(block(2)), Some(LogStep::Removed(b, _)) if b == block(2)));
        assert!(book.take_back(block(2)).is_none());
        for n in 2..=REMEMBERED as u64 + 1 {
            book.remember(block(n), Logs::default());
        }
        assert!(matches!(book.take_back(block(1)), Some(LogStep::Lost)));
        assert!(book.take_back(block(300)).is_none());
    }
}
