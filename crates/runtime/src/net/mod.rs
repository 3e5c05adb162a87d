//! The network seam: everything that dials or listens does it through [`Net`].

pub mod credentials;
mod dial;
mod resolve;
pub mod server_tls;
pub mod sim;
pub mod sockets;
mod steps;
pub mod system;
mod tls;
mod witness;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use credentials::Credentials;
use futures_util::future::BoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

pub use steps::{Datagrams, LookupError};
pub use tls::TlsError;
pub use witness::{Distrust, Shaken};

/// A byte stream that is neither a plain TCP socket nor TLS over one: a simulated one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection. An enum, so that the data path pays no virtual call for a real socket.
pub enum Conn {
    /// A TCP socket.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    /// TLS over TCP, as the server of it.
    TlsServer(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// Anything else, as in a simulation.
    Other(Box<dyn Stream>),
}

/// Where to dial.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Host name or address literal (IPv6 without brackets).
    pub host: Arc<str>,
    /// TCP port.
    pub port: u16,
    /// True for TLS, with `host` as the server's name.
    pub tls: bool,
    /// What is shown, and who is trusted, over TLS; the usual if absent.
    pub credentials: Option<Credentials>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Something that accepts connections.
pub trait Listener: Send {
    /// Waits for the next connection and says who it is from.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Conn, SocketAddr)>>;

    /// The address bound, with the port the system chose if it was 0.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// The network.
pub trait Net: Send + Sync + 'static {
    /// Opens a fresh connection. The caller sets the time limit.
    fn connect<'a>(&'a self, to: &'a Endpoint) -> BoxFuture<'a, io::Result<Conn>>;

    /// As [`Self::connect`], to speak HTTP/2 alone: over TLS it is the only protocol offered, and a server that does not
    /// take it up is no use. A network without TLS of its own has nothing to offer.
    fn connect_h2<'a>(&'a self, to: &'a Endpoint) -> BoxFuture<'a, io::Result<Conn>> {
        self.connect(to)
    }

    /// Listens at `at`. With `shared`, several listeners may bind the address (`SO_REUSEPORT`) and the
    /// kernel spreads connections over them.
    fn listen(&self, at: SocketAddr, shared: bool) -> io::Result<Box<dyn Listener>>;

    /// The addresses of `host` as they are told now (an answer may be a second old): unlike
    /// [`connect`](Self::connect), never the last good ones in place of a failure. Never empty.
    fn look_up<'a>(&'a self, host: &'a Arc<str>) -> BoxFuture<'a, Result<Vec<IpAddr>, LookupError>>;

    /// A fresh TCP connection to whichever of the addresses answers first, tried in that order a while after one
    /// another, and which one it is. The caller sets the time limit.
    fn dial<'a>(&'a self, to: &'a [SocketAddr]) -> BoxFuture<'a, io::Result<(Conn, SocketAddr)>>;

    /// Shakes hands (TLS) over a connection with the server of that name, offering the protocols of `alpn`, and tells
    /// what was shown. **The caller looks at [`Shaken::distrust`] before it sends anything.** A simulated
    /// connection stays in the clear, and nothing is told.
    fn shake<'a>(
        &'a self,
        conn: Conn,
        name: &'a str,
        alpn: &'a [Arc<str>],
    ) -> BoxFuture<'a, io::Result<(Conn, Option<Shaken>)>>;

    /// A fresh socket for datagrams (UDP) to that address.
    fn datagrams(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>>;

    /// A fresh socket for echoes (ICMP, RFC 792; ICMPv6, RFC 4443) to that address. Messages begin with the type; identifier and
    /// checksum are the system's to fill in. Fails with `PermissionDenied` where the system lets no ordinary process
    /// do it.
    fn echoes(&self, to: IpAddr) -> BoxFuture<'_, io::Result<Box<dyn Datagrams>>>;
}

impl AsyncRead for Conn {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_read(cx, buf),
            Self::TlsServer(s) => Pin::new(s).poll_read(cx, buf),
            Self::Other(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_write(cx, buf),
            Self::TlsServer(s) => Pin::new(s).poll_write(cx, buf),
            Self::Other(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Tls(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::TlsServer(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Other(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(s) => s.is_write_vectored(),
            Self::Tls(s) => s.is_write_vectored(),
            Self::TlsServer(s) => s.is_write_vectored(),
            Self::Other(s) => s.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_flush(cx),
            Self::Tls(s) => Pin::new(s).poll_flush(cx),
            Self::TlsServer(s) => Pin::new(s).poll_flush(cx),
            Self::Other(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Self::Tls(s) => Pin::new(s).poll_shutdown(cx),
            Self::TlsServer(s) => Pin::new(s).poll_shutdown(cx),
            Self::Other(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}

impl Listener for TcpListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Conn, SocketAddr)>> {
        Box::pin(async move {
            let (stream, from) = TcpListener::accept(self).await?;
            stream.set_nodelay(true)?;
            Ok((Conn::Tcp(stream), from))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        TcpListener::local_addr(self)
    }
}
