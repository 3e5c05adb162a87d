//! The system's network: TCP, and TLS over it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use rustls::RootCertStore;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub use super::tls::TlsError;
use super::{
    Conn, Datagrams, Endpoint, Listener, LookupError, Net, Shaken, dial::race, resolve::Resolver,
    sockets::Sockets, steps, tls, witness::Witness,
};
use crate::metrics::Metrics;

/// Connections the kernel completes before we accept them (it caps this at `net.core.somaxconn`).
const BACKLOG: i32 = 4096;

/// A silent peer is asked whether it is there after this long, and then every [`KEEPALIVE_EVERY`].
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);

/// Time between questions to a silent peer.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// Questions that may go unanswered before the connection is given up.
const KEEPALIVE_TRIES: u32 = 3;

/// The system's network.
pub struct SystemNet {
    resolver: Resolver,
    tls: TlsConnector,
    roots: RootCertStore,
    witness: Witness,
    sockets: Arc<Sockets>,
}

impl SystemNet {
    /// A network that trusts the Mozilla roots and those in `ca_bundle` (a PEM file), and listens on what `sockets` was
    /// left before it makes sockets of its own.
    pub fn new(ca_bundle: Option<&Path>, sockets: Arc<Sockets>, metrics: &Metrics) -> Result<Self, TlsError> {
        let resolver = Resolver::system();
        metrics.within("net", |registry| {
            registry.register("lookups", "Name lookups by outcome", resolver.lookups());
        });
        let roots = tls::roots(ca_bundle)?;
        let tls = Arc::new(tls::config(roots.clone())?).into();
        let witness = Witness::new(roots.clone())?;
        Ok(Self { resolver, tls, roots, witness, sockets })
    }
}

impl SystemNet {
    async fn reach(&self, to: &Endpoint) -> io::Result<TcpStream> {
        let addresses = self.resolver.resolve(&to.host).await?;
        race(&addresses, |ip| dial(SocketAddr::new(ip, to.port))).await
    }

    fn connector<'a>(&'a self, to: &'a Endpoint) -> io::Result<&'a TlsConnector> {
        match &to.credentials {
            None => Ok(&self.tls),
            Some(credentials) => credentials.connector(&self.roots),
        }
    }
}

impl Net for SystemNet {
    fn connect<'a>(&'a self, to: &'a Endpoint) -> BoxFuture<'a, io::Result<Conn>> {
        Box::pin(async move {
            let stream = self.reach(to).await?;
            if !to.tls {
                return Ok(Conn::Tcp(stream));
            }
            let stream = self.connector(to)?.connect(tls::server_name(&to.host)?, stream).await?;
            Ok(Conn::Tls(Box::new(stream)))
        })
    }

    fn connect_h2<'a>(&'a self, to: &'a Endpoint) -> BoxFuture<'a, io::Result<Conn>> {
        Box::pin(async move {
            let stream = self.reach(to).await?;
            if !to.tls {
                return Ok(Conn::Tcp(stream));
            }
            let connector = self.connector(to)?.with_alpn(vec![tls::H2.to_vec()]);
            let stream = connector.connect(tls::server_name(&to.host)?, stream).await?;
            if stream.get_ref().1.alpn_protocol() != Some(tls::H2) {
                return Err(io::Error::other(format!("{to} does not speak HTTP/2")));
            }
            Ok(Conn::Tls(Box::new(stream)))
        })
    }

    fn listen(&self, at: SocketAddr, shared: bool) -> io::Result<Box<dyn Listener>> {
        let what = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen at {at}: {e}"));
        let socket = match self.sockets.inherit(at, shared).map_err(what)? {
            Some(socket) => socket,
            None => listener(at, shared).map_err(what)?,
        };
        self.sockets.keep(socket).map_err(what)
    }

    fn look_up<'a>(&'a self, host: &'a Arc<str>) -> BoxFuture<'a, Result<Vec<IpAddr>, LookupError>> {
        Box::pin(async move { self.resolver.told(host).await.map_err(|e| LookupError::of_system(&e)) })
    }

    fn dial<'a>(&'a self, to: &'a [SocketAddr]) -> BoxFuture<'a, io::Result<(Conn, SocketAddr)>> {
        Box::pin(async move {
            let (stream, at) = match to {
                [only] => (TcpStream::connect(*only).await?, *only),
                many => {
                    let addresses: Vec<IpAddr> = many.iter().map(SocketAddr::ip).collect();
                    let port = many.first().map_or(0, SocketAddr::port);
                    let stream = race(&addresses, |ip| TcpStream::connect(SocketAddr::new(ip, port))).await?;
                    let at = stream.peer_addr()?;
                    (stream, at)
                }
            };
            stream.set_nodelay(true)?;
            Ok((Conn::Tcp(stream), at))
        })
    }

    fn shake<'a>(
        &'a self,
        conn: Conn,
        name: &'a str,
        alpn: &'a [Arc<str>],
    ) -> BoxFuture<'a, io::Result<(Conn, Option<Shaken>)>> {
        Box::pin(self.witness.shake(conn, name, alpn))
    }

    fn datagrams(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>> {
        Box::pin(steps::datagrams(to))
    }

    fn echoes(&self, to: IpAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>> {
        Box::pin(async move { steps::echoes(to) })
    }
}

async fn dial(at: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(at)
        .await
        .map_err(|e| io::Error::new(e.kind(), format!("cannot connect to {at}: {e}")))?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&keepalive())?;
    Ok(stream)
}

fn listener(at: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    // What is accepted inherits it.
    socket.set_tcp_keepalive(&keepalive())?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_TRIES)
}
