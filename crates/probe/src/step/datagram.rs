//! Datagrams and what comes back: UDP, NTP, echoes.

use std::{io, time::Duration};

use seawall_model::Mono;
use seawall_runtime::{
    clock::Clock,
    net::{Datagrams, Endpoint},
};
use tokio::time::timeout;

use super::{
    Notes,
    connect::{By, datagrams, dialling},
};
use crate::{
    core::{
        check::Check,
        fault::Fault,
        icmp::Echo,
        ntp::{Asked, NtpFacts, Read},
    },
    prober::Prober,
};

/// Time an answer is waited for before the datagram is sent again, for it may have been lost.
const RESEND: Duration = Duration::from_secs(1);
/// Most times that one is sent.
const MAX_SENDS: u16 = 4;
/// Most datagrams that are no answer, and are passed over.
const MAX_ALIENS: usize = 64;
/// Longest datagram there is (RFC 768), in bytes.
const MAX_DATAGRAM: usize = 65_535;
/// As much as is read of an answer that NTP or an echo has, in bytes.
const MAX_SHORT: usize = 2_048;
/// What the system says of a datagram that is too long (EMSGSIZE).
const TOO_LONG: i32 = 90;

/// A datagram with the check's body, and the first that comes back.
pub(crate) async fn udp(
    prober: &Prober,
    check: &Check,
    to: &Endpoint,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let (socket, _) = datagrams(prober, check, to, By::Udp, notes).await?;
    let mut room = vec![0; MAX_DATAGRAM];
    let length = exchange(&*socket, &mut room, &mut Body(&check.body)).await?;
    notes.end();
    notes.report.banner = Some(format!("{length} bytes"));
    check.expect.judge_text(&room[..length])
}

/// A time server's clock, and this machine's.
pub(crate) async fn ntp(
    prober: &Prober,
    check: &Check,
    to: &Endpoint,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let (socket, _) = datagrams(prober, check, to, By::Udp, notes).await?;
    let mut time = Time { clock: prober.clock, asked: Vec::new() };
    let facts = exchange(&*socket, &mut vec![0; MAX_SHORT], &mut time).await?;
    notes.end();
    let judged = facts.judge(check.expect.max_offset);
    notes.report.ntp = Some(facts);
    judged
}

/// An echo.
pub(crate) async fn icmp(
    prober: &Prober,
    check: &Check,
    to: &Endpoint,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let (socket, at) = datagrams(prober, check, to, By::Icmp, notes).await?;
    let echo = Echo::new(at.ip(), fastrand::u64(..));
    let mut ping = Ping { clock: prober.clock, echo, sent: Vec::new() };
    let (lost, took) = exchange(&*socket, &mut vec![0; MAX_SHORT], &mut ping).await?;
    notes.end();
    let before = if lost == 0 { String::new() } else { format!(", {lost} before it lost") };
    notes.report.banner = Some(format!("an echo after {} µs{before}", took.as_micros()));
    Ok(())
}

/// Something that is said in a datagram, and what is made of those that come back.
trait Talk {
    /// What an answer comes to.
    type Said;

    /// What is sent for the `number`th time, from 0 on.
    fn say(&mut self, number: u16) -> Vec<u8>;

    /// What was heard; `None` if it is no answer.
    fn hear(&self, heard: &[u8]) -> Option<Result<Self::Said, Fault>>;
}

struct Body<'a>(&'a [u8]);

impl Talk for Body<'_> {
    type Said = usize;

    fn say(&mut self, _number: u16) -> Vec<u8> {
        self.0.to_vec()
    }

    fn hear(&self, heard: &[u8]) -> Option<Result<usize, Fault>> {
        Some(Ok(heard.len()))
    }
}

/// Questions to a time server, and when they were sent.
struct Time {
    clock: Clock,
    asked: Vec<(Asked, Mono)>,
}

impl Talk for Time {
    type Said = Box<NtpFacts>;

    fn say(&mut self, _number: u16) -> Vec<u8> {
        let question = Asked { nonce: fastrand::u64(..), wall_us: self.clock.wall_us() };
        self.asked.push((question, self.clock.mono()));
        question.message()
    }

    fn hear(&self, heard: &[u8]) -> Option<Result<Box<NtpFacts>, Fault>> {
        let now = self.clock.mono();
        self.asked.iter().find_map(|(question, sent)| match question.read(heard, now.since(*sent)) {
            Read::Alien => None,
            Read::Answer(answer) => Some(answer),
        })
    }
}

/// Requests for an echo, and when they were sent.
struct Ping {
    clock: Clock,
    echo: Echo,
    sent: Vec<Mono>,
}

impl Talk for Ping {
    type Said = (u16, Duration);

    fn say(&mut self, number: u16) -> Vec<u8> {
        self.sent.push(self.clock.mono());
        self.echo.message(number)
    }

    fn hear(&self, heard: &[u8]) -> Option<Result<(u16, Duration), Fault>> {
        let number = self.echo.read(heard)?;
        let sent = self.sent.get(usize::from(number))?;
        Some(Ok((number, self.clock.mono().since(*sent))))
    }
}

/// Says something, again each second, until an answer comes.
async fn exchange<T: Talk>(socket: &dyn Datagrams, room: &mut [u8], talk: &mut T) -> Result<T::Said, Fault> {
    let mut aliens = 0;
    for number in 0..MAX_SENDS {
        let said = talk.say(number);
        socket.send(&said).await.map_err(|e| unsent(&e))?;
        // The caller's own time limit tells of a host that stays silent.
        while let Ok(received) = timeout(RESEND, socket.receive(room)).await {
            let length = received.map_err(|e| dialling(&e))?;
            if let Some(answer) = talk.hear(&room[..length]) {
                return answer;
            }
            aliens += 1;
            if aliens > MAX_ALIENS {
                let why = "what comes back is no answer to what was sent".to_owned();
                return Err(Fault::Malformed { why });
            }
        }
    }
    Err(Fault::NoReply)
}

/// What a datagram that was not sent says.
fn unsent(error: &io::Error) -> Fault {
    match error.raw_os_error() {
        Some(TOO_LONG) => Fault::Own { why: "the datagram is too long for the network".to_owned() },
        Some(_) | None => dialling(error),
    }
}
