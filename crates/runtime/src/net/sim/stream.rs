//! An end of a simulated connection.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep_until},
};

use super::{
    SimNet,
    flow::Read,
    world::{ConnId, Side},
};

pub(super) struct SimStream {
    net: SimNet,
    id: ConnId,
    side: Side,
    /// Until what is on the way arrives; only the reader waits on it.
    arrival: Option<Pin<Box<Sleep>>>,
}

impl SimStream {
    pub(super) fn new(net: SimNet, id: ConnId, side: Side) -> Self {
        Self { net, id, side, arrival: None }
    }
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let read = this.net.with(|world, wakes| world.read(this.id, this.side, buf, cx.waker(), wakes));
            match read {
                Read::Done => return Poll::Ready(Ok(())),
                Read::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Read::Wait(None) => return Poll::Pending,
                Read::Wait(Some(at)) => {
                    let timer = this.arrival.get_or_insert_with(|| Box::pin(sleep_until(at)));
                    if timer.deadline() != at {
                        timer.as_mut().reset(at);
                    }
                    ready!(timer.as_mut().poll(cx));
                }
            }
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.net.with(|world, wakes| world.write(self.id, self.side, bytes, cx.waker(), wakes)) {
            Ok(Some(taken)) => Poll::Ready(Ok(taken)),
            Ok(None) => Poll::Pending,
            Err(e) => Poll::Ready(Err(e)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.net.with(|world, wakes| world.shutdown(self.id, self.side, wakes));
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.net.with(|world, wakes| world.close(self.id, self.side, wakes));
    }
}
