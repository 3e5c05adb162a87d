//! What a connection is made of, step by step, for those who must tell which step failed.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures_util::future::BoxFuture;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupError {
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// The name is there and has no address (NOERROR, and nothing in it).
    NoAddress,
    /// The resolver cannot tell now: it fails, or does not answer.
    Failing(Arc<str>),
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchName => f.write_str("there is no such name"),
            Self::NoAddress => f.write_str("the name has no address"),
            Self::Failing(why) => f.write_str(why),
        }
    }
}

impl LookupError {
    /// What the system's resolver meant. `getaddrinfo` tells by its words alone: the standard library keeps its
    /// number to itself. Words it does not know are a failure, which blames nobody for a name that is gone.
    pub(super) fn of_system(why: &str) -> Self {
        const GONE: [&str; 2] = ["Name or service not known", "nodename nor servname provided"];
        const EMPTY: [&str; 3] =
            ["No address associated", "does not resolve to an address", "the answer holds no address"];
        match () {
            () if GONE.iter().any(|words| why.contains(words)) => Self::NoSuchName,
            () if EMPTY.iter().any(|words| why.contains(words)) => Self::NoAddress,
            () => Self::Failing(why.into()),
        }
    }
}

/// Datagrams to one address and back.
pub trait Datagrams: Send + Sync {
    /// Sends one.
    fn send<'a>(&'a self, datagram: &'a [u8]) -> BoxFuture<'a, io::Result<()>>;

    /// Waits for one from that address; what does not fit into `room` is lost.
    fn receive<'a>(&'a self, room: &'a mut [u8]) -> BoxFuture<'a, io::Result<usize>>;
}

impl Datagrams for UdpSocket {
    fn send<'a>(&'a self, datagram: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { UdpSocket::send(self, datagram).await.map(|_| ()) })
    }

    fn receive<'a>(&'a self, room: &'a mut [u8]) -> BoxFuture<'a, io::Result<usize>> {
        Box::pin(self.recv(room))
    }
}

/// A socket of the system for datagrams to that address: its port is the system's choice, so nobody can guess it.
pub(super) async fn datagrams(to: SocketAddr) -> io::Result<Box<dyn Datagrams>> {
    let any: SocketAddr = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" }.parse().expect("an address");
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    Ok(Box::new(socket))
}

/// A socket of the system for echoes to that address. Linux has such for ordinary processes of the groups in
/// `net.ipv4.ping_group_range`, gives each an identifier of its own, and hands it the answers to its own echoes alone.
pub(super) fn echoes(to: IpAddr) -> io::Result<Box<dyn Datagrams>> {
    let (domain, protocol) = match to {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(protocol))?;
    socket.set_nonblocking(true)?;
    socket.connect(&SocketAddr::new(to, 0).into())?;
    // It sends and receives as one for UDP does.
    Ok(Box::new(UdpSocket::from_std(socket.into())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_understood() {
        let of = LookupError::of_system;
        let gone = "failed to lookup address information: Name or service not known";
        assert_eq!(of(gone), LookupError::NoSuchName);
        let empty = "failed to lookup address information: No address associated with hostname";
        assert_eq!(of(empty), LookupError::NoAddress);
        let failing = "failed to lookup address information: Temporary failure in name resolution";
        assert_eq!(of(failing), LookupError::Failing(failing.into()));
    }
}
