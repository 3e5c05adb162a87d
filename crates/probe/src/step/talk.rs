//! Small protocols: something is said, something is answered.

use seawall_runtime::net::{Conn, Endpoint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Notes,
    connect::{connect, dial},
    notes::Phase,
};
use crate::{
    core::{
        answer::{Progress, Said, nats, postgres, redis, smtp},
        check::Check,
        fault::Fault,
    },
    prober::Prober,
};

/// Most of an answer that is read, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// A connection; and what the server says first, if the check waits for a text.
pub(crate) async fn tcp(
    prober: &Prober,
    check: &Check,
    to: &Endpoint,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let mut conn = dial(prober, check, to, notes).await?;
    if !check.expect.wants_text() {
        return Ok(());
    }
    notes.begin(Phase::Answer);
    let mut heard = Vec::new();
    while let Err(lacking) = check.expect.judge_text(&heard) {
        if heard.len() >= MAX_ANSWER || read_more(&mut conn, &mut heard).await.is_err() {
            return Err(lacking);
        }
    }
    notes.end();
    Ok(())
}

/// A handshake, and the certificates shown in it.
pub(crate) async fn tls(
    prober: &Prober,
    check: &Check,
    to: &Endpoint,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let conn = connect(prober, check, to, notes).await?;
    drop(conn);
    let agreed = notes.report.tls.as_ref().is_none_or(|tls| tls.alpn.is_some());
    if check.alpn.is_empty() || agreed {
        return Ok(());
    }
    Err(Fault::TlsAlpn { offered: check.alpn.join(", ") })
}

/// A mail server's greeting, its answer to `EHLO`, and good-bye.
pub(crate) async fn smtp(
    prober: &Prober,
    check: &Check,
    to: &Endpoint,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let mut talk = Talk::begin(prober, check, to, notes).await?;
    let banner = talk.exchange(b"", smtp::reply).await?;
    talk.end(notes, &banner);
    talk.exchange(b"EHLO seawall.invalid\r\n", smtp::reply).await?;
    talk.exchange(b"QUIT\r\n", smtp::reply).await.map(|_| ())
}

/// Redis' answer to `PING`.
pub(crate) async fn redis(
    prober: &Prober,
    check: &Check,
    to: &Endpoint,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let mut talk = Talk::begin(prober, check, to, notes).await?;
    let said = talk.exchange(redis::PING, redis::answer).await?;
    talk.end(notes, &said);
    Ok(())
}

/// Whether PostgreSQL takes connections.
pub(crate) async fn postgres(
    prober: &Prober,
    check: &Check,
    to: &Endpoint,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let mut talk = Talk::begin(prober, check, to, notes).await?;
    let said = talk.exchange(&postgres::startup(), postgres::answer).await?;
    talk.end(notes, &said);
    Ok(())
}

/// NATS' greeting, and its answer to `PING`.
pub(crate) async fn nats(
    prober: &Prober,
    check: &Check,
    to: &Endpoint,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let mut talk = Talk::begin(prober, check, to, notes).await?;
    let banner = talk.exchange(b"", nats::greeting).await?;
    talk.end(notes, &banner);
    talk.exchange(nats::PING, nats::pong).await.map(|_| ())
}

/// A conversation.
struct Talk {
    conn: Conn,
    heard: Vec<u8>,
}

impl Talk {
    async fn begin(prober: &Prober, check: &Check, to: &Endpoint, notes: &mut Notes) -> Result<Self, Fault> {
        let conn = connect(prober, check, to, notes).await?;
        notes.begin(Phase::Answer);
        Ok(Self { conn, heard: Vec::new() })
    }

    /// The answer that counts has come.
    fn end(&self, notes: &mut Notes, said: &str) {
        notes.report.banner = Some(said.to_owned());
        notes.begin(Phase::Body);
    }

    /// Says something (perhaps nothing) and reads the answer.
    async fn exchange(&mut self, say: &[u8], read: fn(&[u8]) -> Progress) -> Result<String, Fault> {
        if !say.is_empty() {
            self.conn.write_all(say).await.map_err(|_| Fault::Closed)?;
            self.conn.flush().await.map_err(|_| Fault::Closed)?;
        }
        loop {
            match read(&self.heard) {
                Progress::Whole(length, said) => {
                    self.heard.drain(..length);
                    return match said {
                        Said::Good(text) => Ok(text),
                        Said::Bad(said) => Err(Fault::Refused { said }),
                        Said::Alien(why) => Err(Fault::Malformed { why: why.to_owned() }),
                    };
                }
                Progress::More if self.heard.len() >= MAX_ANSWER => {
                    return Err(Fault::Malformed { why: "it does not end".to_owned() });
                }
                Progress::More => {
                    let empty = self.heard.is_empty();
                    let ended = if empty { Fault::Closed } else { Fault::Truncated };
                    read_more(&mut self.conn, &mut self.heard).await.map_err(|_| ended)?;
                }
            }
        }
    }
}

/// Adds what comes next; an error if nothing comes any more.
async fn read_more(conn: &mut Conn, heard: &mut Vec<u8>) -> std::io::Result<()> {
    let mut room = [0; 2048];
    match conn.read(&mut room).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        read => {
            heard.extend_from_slice(&room[..read]);
            Ok(())
        }
    }
}
