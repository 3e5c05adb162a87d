//! When something is to be judged anew though nobody said anything.

use std::{cmp::Reverse, collections::BinaryHeap};

use seawall_model::Wall;

/// What is to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    Node(u32),
    Chain(u32),
    Source(u32),
}

/// The earliest deadline of each, in order. What is put off is found out when it is due, so that a signal which
/// puts a deadline off costs nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deadlines {
    queue: BinaryHeap<Reverse<(Wall, What)>>,
}

/// The deadline that stands in the queue for one thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Armed(Option<Wall>);

impl Deadlines {
    /// Asks for `what` to be judged at `at`, unless it is to be before that anyway.
    pub(crate) fn arm(&mut self, armed: &mut Armed, at: Wall, what: What) {
        if armed.0.is_none_or(|before| at < before) {
            armed.0 = Some(at);
            self.queue.push(Reverse((at, what)));
        }
    }

    /// What is due first, if it is due now.
    pub(crate) fn due(&mut self, now: Wall) -> Option<(Wall, What)> {
        let Reverse((at, _)) = self.queue.peek()?;
        if *at > now {
            return None;
        }
        self.queue.pop().map(|Reverse(due)| due)
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }
}

impl Armed {
    /// True if that deadline is the one that stands; it no longer does then.
    pub(crate) fn fire(&mut self, at: Wall) -> bool {
        let stands = self.0 == Some(at);
        if stands {
            self.0 = None;
        }
        stands
    }
}
