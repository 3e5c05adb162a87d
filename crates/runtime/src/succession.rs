//! One process takes the place of another, as in an upgrade, without anybody being refused meanwhile.
//!
//! The old process starts the new one with one end of a pair of sockets for its standard input, and hands over what
//! it listens on. The new one says [`Word::Ready`] once it could serve; it is told [`Word::Yours`] once the old one
//! has let go of what only one may have, and says [`Word::Serving`]. The old one then takes in no more and ends. If
//! the new one ends at any point before, the old one goes on.

use std::{
    ffi::OsStr,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        linux::net::SocketAddrExt,
        unix::ffi::OsStrExt,
        unix::net::{SocketAddr, UnixDatagram, UnixStream},
    },
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::net::sockets::Sockets;

/// Sockets that go in one message; the system takes 253.
const AT_ONCE: usize = 128;
/// Most messages of sockets.
const MESSAGES: usize = 64;
/// There are more messages of sockets, or there are none.
const MORE: u8 = b'+';
const LAST: u8 = b'.';

/// What the two say to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The new one could serve.
    Ready,
    /// It could not: of some pool nobody may be asked.
    Unready,
    /// The old one has let go.
    Yours,
    /// The new one serves.
    Serving,
}

impl Word {
    fn byte(self) -> u8 {
        match self {
            Self::Ready => b'r',
            Self::Unready => b'u',
            Self::Yours => b'y',
            Self::Serving => b's',
        }
    }
}

/// How the program is started anew.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it is; what is there now is what runs next.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<std::ffi::OsString>,
    /// The variable that tells it that it takes somebody's place.
    pub variable: &'static str,
}

/// The other process.
pub struct Peer {
    talk: UnixStream,
    /// The new one, for the old one to know what became of it.
    child: Option<Child>,
}

impl Peer {
    /// Starts the program anew and hands it the sockets.
    ///
    /// # Errors
    /// If it cannot be started, or ends before it has them.
    pub fn start(program: &Program, sockets: &Sockets) -> io::Result<Self> {
        let (talk, other) = UnixStream::pair()?;
        let child = Command::new(&program.path)
            .args(&program.args)
            .env(program.variable, "1")
            .stdin(Stdio::from(OwnedFd::from(other)))
            .spawn()
            .map_err(|e| {
                io::Error::new(e.kind(), format!("{} cannot be started: {e}", program.path.display()))
            })?;
        let peer = Self { talk, child: Some(child) };
        let sent = send(&peer.talk, &sockets.copies()?);
        match sent {
            Ok(()) => Ok(peer),
            Err(error) => {
                peer.dismiss();
                Err(error)
            }
        }
    }

    /// The process whose place this one takes, which started it so, and the sockets it leaves.
    ///
    /// # Errors
    /// If it was not started so after all.
    pub fn before() -> io::Result<(Self, Sockets)> {
        let talk = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let sockets = Sockets::left(receive(&talk)?)?;
        Ok((Self { talk, child: None }, sockets))
    }

    /// Says so.
    ///
    /// # Errors
    /// If the other one has ended.
    pub fn say(&mut self, word: Word) -> io::Result<()> {
        let said = (&self.talk).write_all(&[word.byte()]);
        said.map_err(|e| self.ended(e))
    }

    /// Waits for one of these words. Blocks.
    ///
    /// # Errors
    /// If the other one ends, says something else, or nothing for so long.
    pub fn hear(&mut self, words: &[Word], within: Duration) -> io::Result<Word> {
        let mut heard = [0];
        let read =
            self.talk.set_read_timeout(Some(within)).and_then(|()| (&self.talk).read_exact(&mut heard));
        match read {
            Ok(()) => {
                let word = words.iter().copied().find(|word| word.byte() == heard[0]);
                word.ok_or_else(|| io::ErrorKind::InvalidData.into())
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("nothing for {} s", within.as_secs())))
            }
            Err(e) => Err(self.ended(e)),
        }
    }

    /// Why nothing more comes of it: how it ended, which it has, or is about to, once its end of the pair is closed.
    fn ended(&mut self, error: io::Error) -> io::Error {
        let closed = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
        );
        if !closed {
            return error;
        }
        match self.child.as_mut().map(Child::wait) {
            Some(Ok(status)) => io::Error::new(error.kind(), format!("it ended: {status}")),
            Some(Err(_)) | None => error,
        }
    }

    /// Has it end, if it has not: it is not to take this one's place after all.
    pub fn dismiss(mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Tells the service manager that this process serves, and is the one to look after: what `sd_notify(3)` sends. `socket`
/// is its `NOTIFY_SOCKET`.
///
/// # Errors
/// If the manager does not listen there.
pub fn tell_manager(socket: &OsStr) -> io::Result<()> {
    let to = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let text = format!("READY=1\nMAINPID={}\n", std::process::id());
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &to).map(|_| ())
}

fn send(talk: &UnixStream, sockets: &[OwnedFd]) -> io::Result<()> {
    let parts: Vec<_> = sockets.chunks(AT_ONCE).collect();
    for (i, part) in parts.iter().enumerate() {
        let fds: Vec<_> = part.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mark = [if i + 1 == parts.len() { LAST } else { MORE }];
        sendmsg(talk, &[IoSlice::new(&mark)], &mut control, SendFlags::NOSIGNAL)?;
    }
    if parts.is_empty() {
        (&*talk).write_all(&[LAST])?;
    }
    Ok(())
}

fn receive(talk: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut sockets = Vec::new();
    for _ in 0..MESSAGES {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(AT_ONCE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut mark = [0];
        let received =
            recvmsg(talk, &mut [IoSliceMut::new(&mut mark)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 || received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                sockets.extend(fds);
            }
        }
        match mark[0] {
            LAST => return Ok(sockets),
            MORE => {}
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn sockets_arrive_with_what_waits_in_them() {
        let (old, new) = UnixStream::pair().unwrap();
        let listeners: Vec<_> = (0..AT_ONCE + 3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let waits = TcpStream::connect(listeners[AT_ONCE].local_addr().unwrap()).unwrap();
        let at: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
        let fds: Vec<_> = listeners.into_iter().map(OwnedFd::from).collect();
        send(&old, &fds).unwrap();
        drop(fds);
        let received: Vec<_> = receive(&new).unwrap().into_iter().map(TcpListener::from).collect();
        let came: Vec<_> = received.iter().map(|l| l.local_addr().unwrap()).collect();
        assert_eq!(came, at);
        let (_, from) = received[AT_ONCE].accept().unwrap();
        assert_eq!(from, waits.local_addr().unwrap());
    }

    #[test]
    fn who_has_none_says_so_and_nonsense_is_refused() {
        let (old, new) = UnixStream::pair().unwrap();
        send(&old, &[]).unwrap();
        assert_eq!(receive(&new).unwrap().len(), 0);
        (&old).write_all(b"?").unwrap();
        assert_eq!(receive(&new).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(old);
        assert_eq!(receive(&new).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn words_are_waited_for() {
        let (a, b) = UnixStream::pair().unwrap();
        let (mut old, mut new) = (Peer { talk: a, child: None }, Peer { talk: b, child: None });
        new.say(Word::Ready).unwrap();
        old.hear(&[Word::Ready], Duration::from_secs(9)).unwrap();
        let late = old.hear(&[Word::Serving], Duration::from_millis(5)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        new.say(Word::Ready).unwrap();
        let other = old.hear(&[Word::Serving], Duration::from_secs(9)).unwrap_err();
        assert_eq!(other.kind(), io::ErrorKind::InvalidData);
        drop(new);
        let gone = old.hear(&[Word::Serving], Duration::from_secs(9)).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::UnexpectedEof);
    }
}
