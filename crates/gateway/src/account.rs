//! What became of each request, one by one, for those who want to know: the access log and traces. Nothing is
//! kept of a request, and nothing paid for it, unless the estate asks for either.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use seawall_chain::method::Class;
use seawall_model::{Cause, Name, Wall};
use seawall_runtime::random::Seed;
use tokio::sync::mpsc;

use crate::trace::Context;

/// Most accounts that wait to be written; beyond it they are counted as lost. The data path never waits.
const QUEUE: usize = 8_192;
/// Longest method or path that goes into an account, in bytes: a client may send any.
const MAX_TEXT: usize = 256;

/// What became of one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Tells it from every other request.
    pub id: u64,
    /// It was drawn for the access log.
    pub logged: bool,
    /// It was drawn for traces: where in which.
    pub trace: Option<Context>,
    /// When it came.
    pub began: Wall,
    /// How long it took until the last byte of the answer was handed on.
    pub took: Duration,
    /// Who asked.
    pub client: IpAddr,
    /// Of which pool; `None` if there is none at its path.
    pub pool: Option<Name>,
    /// The method of the call, or of the request to an HTTP API; `batch` for several calls.
    pub method: Box<str>,
    /// The path of a request to an HTTP API, without its query.
    pub path: Option<Box<str>>,
    /// Calls in it.
    pub calls: u32,
    /// What it is for, where it is one call.
    pub class: Option<Class>,
    /// The status it was answered with; 0 if it was not.
    pub status: u16,
    /// How it ended.
    pub end: Ended,
    /// Number of the refusal's code (302 for SW0302), if it was refused.
    pub refusal: Option<u32>,
    /// Who answered: an upstream's name, or `gateway`, `cache`, `shared`, `several`, `nobody`.
    pub by: Box<str>,
    /// Attempts that were begun.
    pub attempts: u32,
    /// Height of the agreed head it was answered at.
    pub head: Option<u64>,
    /// Length of the request's body in bytes.
    pub received: u64,
    /// Length of the answer's body in bytes, as far as it went out.
    pub sent: u64,
    /// Each attempt, if it was drawn for traces.
    pub tries: Vec<Tried>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With an answer, whatever it says.
    Answered,
    /// With a refusal of the gateway's.
    Refused,
    /// With a write of which nobody can tell whether it took effect.
    Unknown,
    /// The client went away before it was answered in full.
    Gone,
    /// The upstream's answer broke off.
    BrokeOff,
}

impl Ended {
    /// As a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Gone => "gone",
            Self::BrokeOff => "broke_off",
        }
    }
}

/// One attempt of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Tried {
    /// The span that the upstream was told of.
    pub span: u64,
    /// Whom.
    pub upstream: Name,
    /// When it began, after the request came.
    pub after: Duration,
    /// How long it took; `None` if it was left behind.
    pub took: Option<Duration>,
    /// The upstream's fault in how it ended.
    pub fault: Option<Cause>,
}

/// What is wanted of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Share of requests for the access log, in parts per million.
    pub logged: u32,
    /// Share of requests for traces, in parts per million.
    pub traced: u32,
    /// A client's `traceparent` is taken up, and upstreams are sent one.
    pub context: bool,
}

/// Where accounts go in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts {
    to: mpsc::Sender<Account>,
    pub(crate) wanted: Wanted,
    lost: Arc<AtomicU64>,
    dice: Arc<AtomicU64>,
}

impl Accounts {
    /// A bounded queue of accounts and its other end.
    pub fn queue(wanted: Wanted, seed: Seed) -> (Self, mpsc::Receiver<Account>) {
        let (to, from) = mpsc::channel(QUEUE);
        let dice = Arc::new(AtomicU64::new(seed.rng("accounts").u64(..)));
        (Self { to, wanted, lost: Arc::default(), dice }, from)
    }

    /// Accounts lost because nobody took them in time.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    pub(crate) fn send(&self, account: Account) {
        if self.to.try_send(account).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    /// Draws a number; see `Pool::random`.
    pub(crate) fn draw(&self) -> u64 {
        fastrand::Rng::with_seed(self.dice.fetch_add(0x9E37_79B9_7F4A_7C15, Relaxed)).u64(..)
    }
}

/// A text of a client's, cut where it is too long.
pub(crate) fn cut(text: &str) -> Box<str> {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].into()
}

/// Is a draw among this many of a million?
pub(crate) fn is_drawn(draw: u64, parts_per_million: u32) -> bool {
    draw % 1_000_000 < u64::from(parts_per_million)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_letters() {
        assert_eq!(&*cut("eth_call"), "eth_call");
        assert_eq!(cut(&"é".repeat(200)).len(), 256);
        assert_eq!(cut(&format!("a{}", "é".repeat(200))).len(), 255);
    }

    #[test]
    fn all_or_none_are_drawn() {
        for draw in [0, 1, 999_999, 1_000_000, u64::MAX] {
            assert!(is_drawn(draw, 1_000_000) && !is_drawn(draw, 0));
        }
        assert!(is_drawn(2_000_009, 10) && !is_drawn(2_000_010, 10));
    }
}
