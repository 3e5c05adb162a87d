//! A simulated network: hosts by name, links with latency, and the ways a network fails, in memory.
//!
//! It is for simulations, on a current-thread runtime with paused time: nothing here ticks, every wait is
//! a tokio timer or a waker, and every delay comes from the seed. The same seed and the same calls
//! in the same order give the same run. (What runs on top must do its part: `tokio::select!` is random
//! unless `biased`, and so is the order of a hash map.)
//!
//! TLS is not simulated: an endpoint that asks for it is spoken to in the clear.

mod flow;
mod stream;
mod world;

#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::time::sleep;

use self::{
    stream::SimStream,
    world::{Arrival, HostId, ListenerId, Side, Wakes, World},
};
use super::{Conn, Datagrams, Endpoint, Listener, LookupError, Net, Shaken};
use crate::random::Seed;

/// The time bytes take from one host to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// What it takes at least.
    pub base: Duration,
    /// What it may take beyond that, evenly spread. Bytes never overtake one another.
    pub jitter: Duration,
}

impl Latency {
    /// Between hosts that nothing else has been said of.
    pub const DEFAULT: Self = Self { base: Duration::from_millis(2), jitter: Duration::from_millis(3) };
}

/// What is wrong with a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// New connections are refused; those that exist go on. A process killed is this and
    /// [`SimNet::reset`].
    Down,
    /// Nothing gets in or out: new connections hang, those that exist fall silent; both go on when it ends.
    Blackhole,
    /// As a stopped process: connections are accepted, and nothing more comes of them until it ends.
    Freeze,
    /// Whatever the host sends arrives in drips.
    Drip {
        /// Most bytes in a drip.
        bytes: usize,
        /// Time from one drip to the next.
        every: Duration,
    },
    /// The host is gone without a word: no FIN, no RST, new connections hang. When it is back it knows
    /// nothing of the old connections and resets those that still send to it.
    Vanish,
}

/// A simulated network. Cheap to clone.
#[derive(Clone)]
pub struct SimNet {
    world: Arc<Mutex<World>>,
}

impl SimNet {
    /// A network without hosts.
    pub fn new(seed: Seed) -> Self {
        Self { world: Arc::new(Mutex::new(World::new(seed.rng("net")))) }
    }

    /// The network as `name` sees it; the host is made if it is new.
    pub fn host(&self, name: &str) -> Arc<dyn Net> {
        let host = self.lock().host(name);
        Arc::new(SimHost { net: self.clone(), host })
    }

    /// Sets the latency between two hosts, both ways, for connections made from now on.
    pub fn link(&self, a: &str, b: &str, latency: Latency) {
        let mut world = self.lock();
        let (a, b) = (world.host(a), world.host(b));
        world.link(a, b, latency);
    }

    /// Puts a fault on a host in place of the one it had, or takes it off.
    pub fn fault(&self, host: &str, fault: Option<Fault>) {
        self.with(|world, wakes| {
            let host = world.host(host);
            world.fault(host, fault, wakes);
        });
    }

    /// Resets every connection that the host has now.
    pub fn reset(&self, host: &str) {
        self.with(|world, wakes| {
            let host = world.host(host);
            world.reset(host, wakes);
        });
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the world, and wakes whom that concerns once the lock is free again.
    fn with<R>(&self, change: impl FnOnce(&mut World, &mut Wakes) -> R) -> R {
        let mut wakes = Wakes::default();
        let result = change(&mut self.lock(), &mut wakes);
        wakes.wake();
        result
    }
}

struct SimHost {
    net: SimNet,
    host: HostId,
}

impl Net for SimHost {
    fn connect<'a>(&'a self, to: &'a Endpoint) -> BoxFuture<'a, io::Result<Conn>> {
        Box::pin(async move {
            let trip = self.net.lock().set_out(self.host, &to.host, to.port)?;
            pause(trip.out).await;
            let arrival = poll_fn(|cx| self.net.with(|world, wakes| world.arrive(&trip, cx.waker(), wakes)));
            // Made at once, so that giving up on the way back closes what was opened.
            let stream = match arrival.await {
                Arrival::Open(id) => Ok(SimStream::new(self.net.clone(), id, Side::Client)),
                Arrival::Refused => Err(io::Error::new(
                    io::ErrorKind::ConnectionRefused,
                    format!("cannot connect to {to}: refused"),
                )),
            };
            pause(trip.back).await;
            Ok(Conn::Other(Box::new(stream?)))
        })
    }

    fn listen(&self, at: SocketAddr, shared: bool) -> io::Result<Box<dyn Listener>> {
        let (id, port) = self.net.lock().listen(self.host, at.port(), shared)?;
        Ok(Box::new(SimListener { net: self.net.clone(), id, at: SocketAddr::new(at.ip(), port) }))
    }

    fn look_up<'a>(&'a self, host: &'a Arc<str>) -> BoxFuture<'a, Result<Vec<IpAddr>, LookupError>> {
        Box::pin(async move {
            let literal: Option<IpAddr> = host.parse().ok();
            let address = literal.or_else(|| self.net.lock().address(host));
            address.map(|address| vec![address]).ok_or(LookupError::NoSuchName)
        })
    }

    /// The first of the addresses: a simulated host has but one.
    fn dial<'a>(&'a self, to: &'a [SocketAddr]) -> BoxFuture<'a, io::Result<(Conn, SocketAddr)>> {
        Box::pin(async move {
            let first = *to.first().ok_or(io::ErrorKind::NotFound)?;
            let host = self.net.lock().name(first.ip()).ok_or(io::ErrorKind::HostUnreachable)?;
            let to = Endpoint { host, port: first.port(), tls: false, credentials: None };
            Ok((self.connect(&to).await?, first))
        })
    }

    fn shake<'a>(
        &'a self,
        conn: Conn,
        _name: &'a str,
        _alpn: &'a [Arc<str>],
    ) -> BoxFuture<'a, io::Result<(Conn, Option<Shaken>)>> {
        Box::pin(async move { Ok((conn, None)) })
    }

    /// Datagrams are not simulated.
    fn datagrams(&self, _to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>> {
        Box::pin(async { Err(unsimulated("datagrams")) })
    }

    /// Nor are echoes.
    fn echoes(&self, _to: IpAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>> {
        Box::pin(async { Err(unsimulated("echoes")) })
    }
}

fn unsimulated(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{what} are not simulated"))
}

/// Like `sleep`, but a wait of nothing is no wait.
async fn pause(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

struct SimListener {
    net: SimNet,
    id: ListenerId,
    at: SocketAddr,
}

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Conn, SocketAddr)>> {
        let (net, id) = (&self.net, self.id);
        Box::pin(poll_fn(move |cx| match net.with(|world, wakes| world.accept(id, cx.waker(), wakes)) {
            Some((id, from)) => {
                let stream = SimStream::new(net.clone(), id, Side::Server);
                Poll::Ready(Ok((Conn::Other(Box::new(stream)), from)))
            }
            None => Poll::Pending,
        }))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.at)
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.net.with(|world, wakes| world.unlisten(self.id, wakes));
    }
}
