//! Which HTTP a client speaks, told by its first bytes.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use seawall_runtime::net::Conn;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::Pulse;

/// What an HTTP/2 client says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// A connection whose first bytes have been looked at and are read again.
pub(crate) struct Seen {
    conn: Conn,
    pulse: Arc<Pulse>,
    first: [u8; PREFACE.len()],
    /// Those of `first` that have not been read again yet.
    from: u8,
    to: u8,
}

impl Seen {
    /// Reads until it is clear what the client speaks.
    pub(super) async fn look(conn: Conn) -> io::Result<(Self, Version)> {
        let mut seen = Self { conn, pulse: Arc::default(), first: [0; PREFACE.len()], from: 0, to: 0 };
        loop {
            let have = usize::from(seen.to);
            if seen.first[..have] != PREFACE[..have] {
                return Ok((seen, Version::Http1));
            }
            if have == PREFACE.len() {
                return Ok((seen, Version::Http2));
            }
            let read = seen.conn.read(&mut seen.first[have..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            seen.to += read as u8;
        }
    }

    /// Where its signs of life show.
    pub(super) fn pulse(&self) -> Arc<Pulse> {
        self.pulse.clone()
    }
}

impl AsyncRead for Seen {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.from < self.to {
            let n = usize::from(self.to - self.from).min(buf.remaining());
            let from = usize::from(self.from);
            buf.put_slice(&self.first[from..from + n]);
            self.from += n as u8;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.conn).poll_read(cx, buf)
    }
}

impl AsyncWrite for Seen {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.conn).poll_write(cx, buf);
        if written.is_ready() {
            self.pulse.beat();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.conn).poll_write_vectored(cx, bufs);
        if written.is_ready() {
            self.pulse.beat();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.conn.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.conn).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.conn).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn check(pieces: &[&[u8]], version: Version) {
        let (mut client, server) = tokio::io::duplex(3);
        let said = pieces.concat();
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|p| p.to_vec()).collect();
        let talk = async move {
            for piece in pieces {
                client.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let listen = async {
            let (mut seen, found) = Seen::look(Conn::Other(Box::new(server))).await.unwrap();
            assert_eq!(found, version);
            let mut heard = Vec::new();
            seen.read_to_end(&mut heard).await.unwrap();
            heard
        };
        let (heard, ()) = tokio::join!(listen, talk);
        assert_eq!(heard, said);
    }

    #[tokio::test]
    async fn nothing_is_lost_by_looking() {
        check(&[b"POST / HTTP/1.1\r\n"], Version::Http1).await;
        check(&[b"P", b"R", b"OPFIND / HTTP/1.1\r\n\r\n and a body"], Version::Http1).await;
        check(&[b"PRI * HT", b"TP/2.0\r\n\r\nSM\r\n\r\n", b"frames"], Version::Http2).await;
    }
}
