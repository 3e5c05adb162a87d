//! The state of the simulated network, changed under one lock.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use fastrand::Rng;
use tokio::{io::ReadBuf, time::Instant};

use super::{
    Fault, Latency,
    flow::{Flow, Read},
};

/// Connections a listener may have waiting to be accepted.
const MAX_BACKLOG: usize = 1024;

/// Ports are given out from here on to those who do not name one.
const FIRST_EPHEMERAL: u16 = 32_768;

pub(super) type HostId = usize;
pub(super) type ConnId = u64;

/// A listener of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ListenerId(HostId, u64);

/// An end of a connection; also the index of the flow that it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client = 0,
    Server = 1,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// Whom to wake when the lock is free again.
#[derive(Default)]
pub(super) struct Wakes(Vec<Waker>);

impl Wakes {
    pub(super) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// A connection on its way to be made.
pub(super) struct Trip {
    from: HostId,
    to: HostId,
    port: u16,
    pub(super) out: Duration,
    pub(super) back: Duration,
}

/// How a request for a connection is met.
pub(super) enum Arrival {
    Open(ConnId),
    Refused,
}

pub(super) struct World {
    rng: Rng,
    links: BTreeMap<(HostId, HostId), Latency>,
    hosts: Vec<Host>,
    by_name: BTreeMap<Arc<str>, HostId>,
    conns: BTreeMap<ConnId, Link>,
    next_id: u64,
}

struct Host {
    address: IpAddr,
    fault: Option<Fault>,
    listeners: Vec<Listening>,
    next_port: u16,
    /// Those whose connections to this host hang.
    hanging: Vec<Waker>,
}

struct Listening {
    id: u64,
    port: u16,
    shared: bool,
    queue: VecDeque<(ConnId, SocketAddr)>,
    accepting: Option<Waker>,
}

/// A connection: its two hosts, client's first, and its two flows, each under the side that writes it.
struct Link {
    hosts: [HostId; 2],
    flows: [Flow; 2],
    /// The sides whose hosts have vanished since it was made, and are not back.
    severed: [bool; 2],
    closed: [bool; 2],
}

impl World {
    pub(super) fn new(rng: Rng) -> Self {
        Self {
            rng,
            links: BTreeMap::new(),
            hosts: Vec::new(),
            by_name: BTreeMap::new(),
            conns: BTreeMap::new(),
            next_id: 0,
        }
    }

    pub(super) fn host(&mut self, name: &str) -> HostId {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let id = self.hosts.len();
        let [.., high, low] = (id + 1).to_be_bytes();
        self.hosts.push(Host {
            address: Ipv4Addr::new(10, 0, high, low).into(),
            fault: None,
            listeners: Vec::new(),
            next_port: FIRST_EPHEMERAL,
            hanging: Vec::new(),
        });
        self.by_name.insert(name.into(), id);
        id
    }

    /// The address of a host that is there.
    pub(super) fn address(&self, name: &str) -> Option<IpAddr> {
        self.by_name.get(name).map(|id| self.hosts[*id].address)
    }

    /// Whose address it is.
    pub(super) fn name(&self, address: IpAddr) -> Option<Arc<str>> {
        let of = |id: &HostId| self.hosts[*id].address == address;
        self.by_name.iter().find(|(_, id)| of(id)).map(|(name, _)| name.clone())
    }

    pub(super) fn link(&mut self, a: HostId, b: HostId, latency: Latency) {
        self.links.insert((a.min(b), a.max(b)), latency);
    }

    fn latency(&self, a: HostId, b: HostId) -> Latency {
        let unsaid = if a == b { Latency::NONE } else { Latency::DEFAULT };
        self.links.get(&(a.min(b), a.max(b))).copied().unwrap_or(unsaid)
    }

    pub(super) fn listen(&mut self, host: HostId, port: u16, shared: bool) -> io::Result<(ListenerId, u16)> {
        let id = self.next_id();
        let host_state = &mut self.hosts[host];
        let port = if port == 0 { host_state.ephemeral() } else { port };
        if host_state.listeners.iter().any(|l| l.port == port && !(shared && l.shared)) {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("port {port} is taken")));
        }
        host_state.listeners.push(Listening { id, port, shared, queue: VecDeque::new(), accepting: None });
        Ok((ListenerId(host, id), port))
    }

    pub(super) fn unlisten(&mut self, ListenerId(host, id): ListenerId, wakes: &mut Wakes) {
        let listeners = &mut self.hosts[host].listeners;
        let Some(at) = listeners.iter().position(|l| l.id == id) else { return };
        for (conn, _) in listeners.remove(at).queue {
            self.reset_link(conn, Instant::now(), wakes);
            self.close(conn, Side::Server, wakes);
        }
    }

    pub(super) fn accept(
        &mut self,
        ListenerId(host, id): ListenerId,
        waker: &Waker,
        wakes: &mut Wakes,
    ) -> Option<(ConnId, SocketAddr)> {
        let host = &mut self.hosts[host];
        let listening = host.listeners.iter_mut().find(|l| l.id == id)?;
        let accepted = listening.queue.pop_front();
        match accepted {
            // There is room again for those that found none.
            Some(_) => wakes.0.append(&mut host.hanging),
            None => listening.accepting = Some(waker.clone()),
        }
        accepted
    }

    /// Looks up where a connection goes and how long the way is.
    pub(super) fn set_out(&mut self, from: HostId, name: &str, port: u16) -> io::Result<Trip> {
        let to = match name.parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() => Some(from),
            Ok(ip) => self.hosts.iter().position(|h| h.address == ip),
            Err(_) => self.by_name.get(name).copied(),
        };
        let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("cannot resolve `{name}`"));
        let to = to.ok_or_else(unknown)?;
        let latency = self.latency(from, to);
        let (out, back) = (latency.draw(&mut self.rng), latency.draw(&mut self.rng));
        Ok(Trip { from, to, port, out, back })
    }

    /// A request for a connection has come to its host.
    pub(super) fn arrive(&mut self, trip: &Trip, waker: &Waker, wakes: &mut Wakes) -> Poll<Arrival> {
        for host in [trip.from, trip.to] {
            if self.hosts[host].fault.is_some_and(Fault::hangs) {
                self.hosts[host].hang(waker);
                return Poll::Pending;
            }
        }
        if self.hosts[trip.to].fault == Some(Fault::Down) {
            return Poll::Ready(Arrival::Refused);
        }
        let on_port = |l: &&mut Listening| l.port == trip.port;
        let count = self.hosts[trip.to].listeners.iter_mut().filter(on_port).count();
        if count == 0 {
            return Poll::Ready(Arrival::Refused);
        }
        let chosen = self.rng.usize(..count);
        let (id, from) = (self.next_id(), self.client_address(trip.from));
        let target = &mut self.hosts[trip.to];
        let Some(listening) = target.listeners.iter_mut().filter(on_port).nth(chosen) else {
            return Poll::Ready(Arrival::Refused);
        };
        if listening.queue.len() >= MAX_BACKLOG {
            target.hang(waker);
            return Poll::Pending;
        }
        listening.queue.push_back((id, from));
        wakes.0.extend(listening.accepting.take());
        let latency = self.latency(trip.from, trip.to);
        let now = Instant::now();
        let mut flow = || Flow::new(latency, self.rng.fork(), now);
        let flows = [flow(), flow()];
        self.conns
            .insert(id, Link { hosts: [trip.from, trip.to], flows, severed: [false; 2], closed: [false; 2] });
        Poll::Ready(Arrival::Open(id))
    }

    fn client_address(&mut self, host: HostId) -> SocketAddr {
        let host = &mut self.hosts[host];
        SocketAddr::new(host.address, host.ephemeral())
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn read(
        &mut self,
        id: ConnId,
        side: Side,
        out: &mut ReadBuf<'_>,
        waker: &Waker,
        wakes: &mut Wakes,
    ) -> Read {
        let now = Instant::now();
        let Some(link) = self.conns.get_mut(&id) else { return Read::Reset };
        let silent = link.is_silent(&self.hosts) || link.severed[side as usize];
        let drip = match self.hosts[link.hosts[side.other() as usize]].fault {
            Some(Fault::Drip { bytes, every }) => Some((bytes.max(1), every)),
            Some(Fault::Down | Fault::Blackhole | Fault::Freeze | Fault::Vanish) | None => None,
        };
        let flow = &mut link.flows[side.other() as usize];
        let read = if silent { Read::Wait(None) } else { flow.read(out, drip, now) };
        match read {
            Read::Wait(_) => flow.reader = Some(waker.clone()),
            Read::Done => wakes.0.extend(flow.writer.take()),
            Read::Reset => {}
        }
        read
    }

    /// Writes what there is room for; `None` if the writer has to wait.
    pub(super) fn write(
        &mut self,
        id: ConnId,
        side: Side,
        bytes: &[u8],
        waker: &Waker,
        wakes: &mut Wakes,
    ) -> io::Result<Option<usize>> {
        let now = Instant::now();
        let Some(link) = self.conns.get_mut(&id) else { return Err(io::ErrorKind::ConnectionReset.into()) };
        if link.severed[side as usize] {
            return Ok(Some(bytes.len()));
        }
        let silent = link.is_silent(&self.hosts);
        let [ours, theirs] = link.flows_of(side);
        if ours.finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !silent && theirs.reset.is_some_and(|at| at <= now) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if ours.unread {
            // The peer's system answers with a reset, which takes the way there and back.
            let (there, back) = (ours.delay(), theirs.delay());
            theirs.reset.get_or_insert(now + there + back);
            wakes.0.extend(theirs.reader.take());
            return Ok(Some(bytes.len()));
        }
        match ours.push(bytes, now) {
            0 if !bytes.is_empty() => {
                ours.writer = Some(waker.clone());
                Ok(None)
            }
            taken => {
                wakes.0.extend(ours.reader.take());
                Ok(Some(taken))
            }
        }
    }

    /// Says that `side` writes no more.
    pub(super) fn shutdown(&mut self, id: ConnId, side: Side, wakes: &mut Wakes) {
        if let Some(link) = self.conns.get_mut(&id)
            && !link.severed[side as usize]
        {
            let [ours, _] = link.flows_of(side);
            ours.finish(Instant::now());
            wakes.0.extend(ours.reader.take());
        }
    }

    /// Says that `side` neither writes nor reads any more. What it has not read is answered with a
    /// reset, as by Linux.
    pub(super) fn close(&mut self, id: ConnId, side: Side, wakes: &mut Wakes) {
        let now = Instant::now();
        let Some(link) = self.conns.get_mut(&id) else { return };
        link.closed[side as usize] = true;
        if !link.severed[side as usize] {
            let [ours, theirs] = link.flows_of(side);
            let unread = theirs.first_unread().map(|at| at.max(now));
            theirs.unread = true;
            if unread != Some(now) {
                ours.finish(now);
            }
            ours.finished = true;
            if let Some(at) = unread {
                let back = ours.delay();
                ours.reset.get_or_insert(at + back);
            }
            wakes.0.extend(ours.reader.take().into_iter().chain(theirs.writer.take()));
        }
        if link.closed == [true; 2] {
            self.conns.remove(&id);
        }
    }

    pub(super) fn reset(&mut self, host: HostId, wakes: &mut Wakes) {
        let now = Instant::now();
        for id in self.conns_of(host) {
            self.reset_link(id, now, wakes);
        }
    }

    fn reset_link(&mut self, id: ConnId, now: Instant, wakes: &mut Wakes) {
        if let Some(link) = self.conns.get_mut(&id) {
            for flow in &mut link.flows {
                flow.reset = Some(now);
            }
            link.wake(wakes);
        }
    }

    pub(super) fn fault(&mut self, host: HostId, fault: Option<Fault>, wakes: &mut Wakes) {
        let now = Instant::now();
        let old = std::mem::replace(&mut self.hosts[host].fault, fault);
        let (was_gone, is_gone) = (old == Some(Fault::Vanish), fault == Some(Fault::Vanish));
        for id in self.conns_of(host) {
            let Some(link) = self.conns.get_mut(&id) else { continue };
            for side in [Side::Client, Side::Server] {
                if link.hosts[side as usize] != host {
                    continue;
                }
                if is_gone {
                    link.severed[side as usize] = true;
                    link.flows_of(side)[0].lose(now);
                } else if was_gone {
                    link.forget(side, now);
                }
            }
            link.wake(wakes);
        }
        wakes.0.append(&mut self.hosts[host].hanging);
    }

    fn conns_of(&self, host: HostId) -> Vec<ConnId> {
        self.conns.iter().filter(|(_, link)| link.hosts.contains(&host)).map(|(id, _)| *id).collect()
    }

    #[cfg(test)]
    pub(super) fn open_connections(&self) -> usize {
        self.conns.len()
    }
}

impl Host {
    fn hang(&mut self, waker: &Waker) {
        if !self.hanging.iter().any(|w| w.will_wake(waker)) {
            self.hanging.push(waker.clone());
        }
    }

    fn ephemeral(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(FIRST_EPHEMERAL);
        port
    }
}

impl Link {
    /// The flow that `side` writes, and the one that it reads.
    fn flows_of(&mut self, side: Side) -> [&mut Flow; 2] {
        let [client, server] = &mut self.flows;
        match side {
            Side::Client => [client, server],
            Side::Server => [server, client],
        }
    }

    /// True while nothing that is sent arrives.
    fn is_silent(&self, hosts: &[Host]) -> bool {
        self.hosts.iter().any(|host| hosts[*host].fault.is_some_and(Fault::silences))
    }

    /// The host of `side` is back, and knows nothing of this connection.
    fn forget(&mut self, side: Side, now: Instant) {
        self.severed[side as usize] = false;
        let [ours, theirs] = self.flows_of(side);
        ours.finished = true;
        theirs.unread = true;
        theirs.reset = Some(now);
        // What the peer has sent meanwhile, it sends again, and is told.
        if theirs.first_unread().is_some() {
            let back = ours.delay();
            ours.reset.get_or_insert(now + back);
        }
    }

    fn wake(&mut self, wakes: &mut Wakes) {
        for flow in &mut self.flows {
            wakes.0.extend(flow.reader.take().into_iter().chain(flow.writer.take()));
        }
    }
}

impl Fault {
    /// True if a request for a connection is never answered.
    fn hangs(self) -> bool {
        match self {
            Self::Blackhole | Self::Vanish => true,
            Self::Down | Self::Freeze | Self::Drip { .. } => false,
        }
    }

    /// True if nothing arrives over existing connections until the fault ends. (A vanished host takes
    /// part in none; see [`Link::severed`].)
    fn silences(self) -> bool {
        match self {
            Self::Blackhole | Self::Freeze => true,
            Self::Down | Self::Drip { .. } | Self::Vanish => false,
        }
    }
}
