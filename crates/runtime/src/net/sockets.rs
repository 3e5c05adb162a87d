//! Listening sockets, as one process leaves them to the next: what waits in their queues is not lost.

use std::{
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use futures_util::future::BoxFuture;
use socket2::Socket;
use tokio::net::TcpListener;

use super::{Conn, Listener};

/// The listening sockets of this process, and those that it was left.
#[derive(Default)]
pub struct Sockets {
    open: Mutex<Vec<(u64, Socket)>>,
    left: Mutex<Vec<(SocketAddr, Socket)>>,
    next: AtomicU64,
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sockets {
    /// Those that the process before this one left.
    ///
    /// # Errors
    /// If one of them is no socket that listens at an address.
    pub fn left(sockets: Vec<OwnedFd>) -> io::Result<Self> {
        let at = |socket: Socket| {
            let at = socket.local_addr()?.as_socket();
            Ok((at.ok_or(io::ErrorKind::AddrNotAvailable)?, socket))
        };
        let left = sockets.into_iter().map(|fd| at(Socket::from(fd))).collect::<io::Result<_>>()?;
        Ok(Self { left: Mutex::new(left), ..Self::default() })
    }

    /// How many were left for an address.
    pub fn left_for(&self, at: SocketAddr) -> usize {
        locked(&self.left).iter().filter(|(of, _)| *of == at).count()
    }

    /// Copies of those that are open, to be left to the next process.
    pub(crate) fn copies(&self) -> io::Result<Vec<OwnedFd>> {
        locked(&self.open).iter().map(|(_, socket)| Ok(socket.try_clone()?.into())).collect()
    }

    /// One that was left for that address. What several share is taken once each; else it stays to be taken again.
    pub(super) fn inherit(&self, at: SocketAddr, shared: bool) -> io::Result<Option<Socket>> {
        let mut left = locked(&self.left);
        let Some(i) = left.iter().position(|(of, _)| *of == at) else { return Ok(None) };
        if shared { Ok(Some(left.remove(i).1)) } else { left[i].1.try_clone().map(Some) }
    }

    /// Listens on a socket, and knows of it for as long as that goes on.
    pub(super) fn keep(self: &Arc<Self>, socket: Socket) -> io::Result<Box<dyn Listener>> {
        let id = self.next.fetch_add(1, Relaxed);
        let copy = socket.try_clone()?;
        let listener = TcpListener::from_std(socket.into())?;
        locked(&self.open).push((id, copy));
        Ok(Box::new(Kept { listener, id, sockets: self.clone() }))
    }
}

struct Kept {
    listener: TcpListener,
    id: u64,
    sockets: Arc<Sockets>,
}

impl Listener for Kept {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Conn, SocketAddr)>> {
        Listener::accept(&mut self.listener)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        locked(&self.sockets.open).retain(|(id, _)| *id != self.id);
    }
}
