//! The gate before a pool: as many calls of a class are in as its upstreams take at once.
//!
//! Where there is room, passing is two atomic operations. Else a call waits in the line, for no longer than makes
//! sense, and whoever leaves lets the next one in.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use seawall_chain::method::Class;
use seawall_model::Mono;
use tokio::sync::oneshot;

use crate::{
    call::Refusal,
    core::line::{Joined, Line, Place, Priority},
    heads::Heads,
    pool::Pool,
    serve::Visit,
};

/// Shortest and longest time that one who was sent away is told to wait.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// No wait is long that is not longer than this.
const BRIEF: Duration = Duration::from_millis(100);

/// How one who waits is told to come in.
pub(super) type Ticket = oneshot::Sender<()>;

/// The gate of one method class.
pub(super) struct Gate {
    /// Calls that are in.
    inside: AtomicU32,
    /// As many as wait in the line; zero for as long as everybody can pass.
    waiting: AtomicU32,
    pub(super) waiters: Mutex<Line<Ticket>>,
}

impl Gate {
    pub(super) fn new(limit: usize) -> Self {
        Self { inside: AtomicU32::new(0), waiting: AtomicU32::new(0), waiters: Mutex::new(Line::new(limit)) }
    }

    pub(super) fn crowd(&self) -> (u32, u32) {
        (self.inside.load(SeqCst), self.waiting.load(SeqCst))
    }

    /// Goes in if fewer than `most` are.
    fn enter(&self, most: u32) -> bool {
        if self.inside.fetch_add(1, SeqCst) < most {
            return true;
        }
        self.inside.fetch_sub(1, SeqCst);
        false
    }
}

/// The right to be in, for as long as it lives.
pub(crate) struct Permit<'a> {
    visit: &'a Visit,
    class: Class,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let gate = self.visit.pool.gate(self.class);
        gate.inside.fetch_sub(1, SeqCst);
        if gate.waiting.load(SeqCst) > 0 {
            self.visit.let_in(self.class);
        }
    }
}

/// One who waits. Dropped, it leaves the line; if it had been told to come in meanwhile, the next one is.
struct Waiting<'a> {
    visit: &'a Visit,
    class: Class,
    place: Place,
    told: oneshot::Receiver<()>,
    is_over: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let gate = self.visit.pool.gate(self.class);
        let left = {
            let mut line = gate.line();
            let left =
                line.leave(self.visit.worker.clock.mono(), self.visit.pool.brief(self.class), self.place);
            gate.waiting.store(line.len() as u32, SeqCst);
            left
        };
        if !left && self.told.try_recv().is_ok() {
            drop(Permit { visit: self.visit, class: self.class });
        }
    }
}

impl Pool {
    fn gate(&self, class: Class) -> &Gate {
        &self.state.admission.gates[class as usize]
    }

    /// How many calls of `class` the upstreams that may be asked take at once. Where nobody may be asked, any number:
    /// they are told so at once.
    fn room(&self, now: Mono, heads: &Heads, class: Class) -> u32 {
        let sound = self.sound(heads, now);
        let limits = |admitting: bool| {
            let of = sound.iter().filter(|i| !admitting || self.upstreams[*i].state.admits(class));
            of.map(|i| self.limit(i, class)).fold(0, u32::saturating_add)
        };
        match limits(true) {
            0 => match limits(false) {
                0 => u32::MAX,
                room => room,
            },
            room => room,
        }
    }

    /// How much of the room one of that priority may fill: a share of it is kept for the critical, and what can wait
    /// never takes more than half.
    fn share(&self, room: u32, priority: Priority) -> u32 {
        let reserve = self.section.admission.reserve;
        let kept = (f64::from(room) * reserve).ceil() as u32;
        let normal = room.saturating_sub(kept).max(1);
        match priority {
            Priority::Critical => room,
            Priority::Normal => normal,
            Priority::Bulk => (normal / 2).max(1),
        }
    }

    /// What an answer takes now, of the fastest.
    fn mean(&self, class: Class) -> Duration {
        let means = self.upstreams.iter().map(|u| u.load(class).mean_us);
        Duration::from_micros(means.min().unwrap_or_default())
    }

    /// No long wait: it adds little to what an answer takes anyway.
    fn brief(&self, class: Class) -> Duration {
        (self.mean(class) * 2).max(BRIEF)
    }

    /// There is no room. The refusal, with how long it takes until there may be.
    fn shed(&self, class: Class, priority: Priority) -> Refusal {
        self.state.admission.counts.shed[priority as usize].fetch_add(1, SeqCst);
        let (inside, waiting) = self.gate(class).crowd();
        let mean = self.mean(class);
        let rounds = f64::from(waiting) / f64::from(inside.max(1)) + 1.0;
        Refusal::Full { retry: mean.mul_f64(rounds.min(1_000.0)).clamp(RETRY.0, RETRY.1) }
    }
}

impl Visit {
    /// Goes in, at once or after a wait; with when that was.
    pub(crate) async fn enter(
        &self,
        now: Mono,
        heads: &Heads,
        class: Class,
        priority: Priority,
        deadline: Mono,
    ) -> Result<(Permit<'_>, Mono), Refusal> {
        if let Some(permit) = self.pass(now, heads, class, priority) {
            return Ok((permit, now));
        }
        // Boxed, since hardly anybody waits.
        let permit = Box::pin(self.wait(now, class, priority, deadline)).await?;
        Ok((permit, self.worker.clock.mono()))
    }

    /// Goes in if there is room and nobody waits.
    fn pass(&self, now: Mono, heads: &Heads, class: Class, priority: Priority) -> Option<Permit<'_>> {
        let (pool, gate) = (&self.pool, self.pool.gate(class));
        let goes =
            gate.waiting.load(SeqCst) == 0 && gate.enter(pool.share(pool.room(now, heads, class), priority));
        goes.then(|| Permit { visit: self, class })
    }

    /// Waits to be let in, for as long as makes sense with that deadline.
    async fn wait(
        &self,
        now: Mono,
        class: Class,
        priority: Priority,
        deadline: Mono,
    ) -> Result<Permit<'_>, Refusal> {
        // Half of the time that is left is the least that the call itself should have.
        let left = deadline.since(now) / 2;
        let longest = match priority {
            Priority::Critical => left,
            Priority::Normal | Priority::Bulk => left.min(self.pool.section.admission.wait),
        };
        let (gate, admission) = (self.pool.gate(class), &self.pool.state.admission);
        let client = self.asker();
        let (tell, told) = oneshot::channel();
        let (joined, patience) = {
            let mut line = gate.line();
            let patience = line.patience(now, priority, longest, self.pool.brief(class));
            let joined = line.join(now, priority, client, tell);
            gate.waiting.store(line.len() as u32, SeqCst);
            (joined, patience)
        };
        let place = match joined {
            Joined::Waits(place) => place,
            Joined::Instead(place, out) => {
                // A ticket that is dropped tells its holder that it was sent away.
                drop(out);
                place
            }
            Joined::Full(_) => return Err(self.pool.shed(class, priority)),
        };
        admission.counts.waited[priority as usize].fetch_add(1, SeqCst);
        let mut waiting = Waiting { visit: self, class, place, told, is_over: false };
        // Somebody may have left before there was anybody to let in.
        self.let_in(class);
        match tokio::time::timeout(patience, &mut waiting.told).await {
            Ok(Ok(())) => {
                waiting.is_over = true;
                Ok(Permit { visit: self, class })
            }
            Ok(Err(_)) => {
                waiting.is_over = true;
                Err(self.pool.shed(class, priority))
            }
            Err(_) => Err(self.pool.shed(class, priority)),
        }
    }

    /// Lets in whoever is next, as long as there is room.
    fn let_in(&self, class: Class) {
        let (pool, gate) = (&self.pool, self.pool.gate(class));
        let now = self.worker.clock.mono();
        let room = pool.room(now, &pool.state.heads.load(), class);
        let brief = pool.brief(class);
        let mut line = gate.line();
        loop {
            let inside = gate.inside.load(SeqCst);
            let may = |priority| inside < pool.share(room, priority);
            let Some(ticket) = line.next(now, brief, may) else { break };
            gate.inside.fetch_add(1, SeqCst);
            if ticket.send(()).is_err() {
                // It has gone away meanwhile.
                gate.inside.fetch_sub(1, SeqCst);
            }
        }
        gate.waiting.store(line.len() as u32, SeqCst);
    }
}
