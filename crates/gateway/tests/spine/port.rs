//! A port that stays the test's own, listened on or not: no other test is given it by the system meanwhile.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Holds the port, and takes no connections itself. Listeners share it (`SO_REUSEPORT`).
pub(crate) struct Port(TcpSocket);

impl Port {
    pub(crate) fn new() -> Self {
        Self(bound("127.0.0.1:0".parse().unwrap()))
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn listen(&self) -> TcpListener {
        bound(self.at()).listen(BACKLOG).unwrap()
    }
}

fn bound(at: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_reuseport(true).unwrap();
    socket.bind(at).unwrap();
    socket
}
