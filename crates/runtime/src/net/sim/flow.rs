//! One direction of a connection: what has been written, when it arrives, and what the reader may see.

use std::{collections::VecDeque, task::Waker, time::Duration};

use fastrand::Rng;
use tokio::{io::ReadBuf, time::Instant};

use super::Latency;

/// Bytes that may be on the way, or waiting to be read, before a writer has to wait.
const MAX_BUFFERED: usize = 256 * 1024;

pub(super) struct Flow {
    /// What is on the way or has arrived, in order.
    queue: VecDeque<(Instant, Item)>,
    buffered: usize,
    latency: Latency,
    rng: Rng,
    /// When the last thing sent arrives; nothing overtakes it.
    last: Instant,
    /// When the reader learns that the connection was reset.
    pub(super) reset: Option<Instant>,
    /// The writer has said that there is no more.
    pub(super) finished: bool,
    /// Nobody will ever read what arrives.
    pub(super) unread: bool,
    next_drip: Instant,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

enum Item {
    Bytes(VecDeque<u8>),
    Finish,
}

/// What came of an attempt to read.
pub(super) enum Read {
    /// As much as there was; nothing means the end.
    Done,
    /// Nothing yet; worth trying again then, or when woken.
    Wait(Option<Instant>),
    /// The connection was reset.
    Reset,
}

impl Flow {
    pub(super) fn new(latency: Latency, rng: Rng, now: Instant) -> Self {
        Self {
            queue: VecDeque::new(),
            buffered: 0,
            latency,
            rng,
            last: now,
            reset: None,
            finished: false,
            unread: false,
            next_drip: now,
            reader: None,
            writer: None,
        }
    }

    /// The time something sent now takes.
    pub(super) fn delay(&mut self) -> Duration {
        self.latency.draw(&mut self.rng)
    }

    /// Takes as many of `bytes` as there is room for; 0 if the writer has to wait.
    pub(super) fn push(&mut self, bytes: &[u8], now: Instant) -> usize {
        let taken = bytes.len().min(MAX_BUFFERED - self.buffered);
        if taken > 0 {
            self.buffered += taken;
            let at = self.arrival(now);
            self.queue.push_back((at, Item::Bytes(bytes[..taken].to_vec().into())));
        }
        taken
    }

    /// Sends the end of the stream after everything else, once.
    pub(super) fn finish(&mut self, now: Instant) {
        if !self.finished {
            self.finished = true;
            let at = self.arrival(now);
            self.queue.push_back((at, Item::Finish));
        }
    }

    /// Reads what has arrived, at most a drip of it where there are drips (bytes, and time between them).
    pub(super) fn read(
        &mut self,
        out: &mut ReadBuf<'_>,
        drip: Option<(usize, Duration)>,
        now: Instant,
    ) -> Read {
        if self.reset.is_some_and(|at| at <= now) {
            return Read::Reset;
        }
        let mut room = out.remaining();
        if let Some((most, _)) = drip {
            if now < self.next_drip && !self.queue.is_empty() {
                return Read::Wait(earlier(Some(self.next_drip), self.reset));
            }
            room = room.min(most);
        }
        let before = out.filled().len();
        let mut at_end = room == 0;
        while room > 0 {
            match self.queue.front_mut() {
                Some((at, Item::Bytes(bytes))) if *at <= now => {
                    let (part, _) = bytes.as_slices();
                    let part = &part[..part.len().min(room)];
                    out.put_slice(part);
                    let taken = part.len();
                    room -= taken;
                    self.buffered -= taken;
                    bytes.drain(..taken);
                    if bytes.is_empty() {
                        self.queue.pop_front();
                    }
                }
                Some((at, Item::Finish)) if *at <= now => {
                    at_end = true;
                    break;
                }
                Some(_) | None => break,
            }
        }
        if out.filled().len() > before {
            self.next_drip = drip.map_or(self.next_drip, |(_, every)| now + every);
            return Read::Done;
        }
        if at_end {
            return Read::Done;
        }
        Read::Wait(earlier(self.queue.front().map(|(at, _)| *at), self.reset))
    }

    /// When the first bytes that nobody has read arrive, if there are any.
    pub(super) fn first_unread(&self) -> Option<Instant> {
        self.queue.iter().find_map(|(at, item)| matches!(item, Item::Bytes(_)).then_some(*at))
    }

    /// The writer's host is gone: what has not arrived never will.
    pub(super) fn lose(&mut self, now: Instant) {
        while self.queue.back().is_some_and(|(at, _)| *at > now) {
            if let Some((_, Item::Bytes(bytes))) = self.queue.pop_back() {
                self.buffered -= bytes.len();
            }
        }
    }

    fn arrival(&mut self, now: Instant) -> Instant {
        self.last = self.last.max(now + self.delay());
        self.last
    }
}

impl Latency {
    pub(super) const NONE: Self = Self { base: Duration::ZERO, jitter: Duration::ZERO };

    pub(super) fn draw(self, rng: &mut Rng) -> Duration {
        self.base + self.jitter.mul_f64(rng.f64())
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    a.into_iter().chain(b).min()
}
