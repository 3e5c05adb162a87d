//! Asking a resolver: by datagram, and over TCP what does not fit into one.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    Notes,
    connect::{dialling, looking_up},
    notes::Phase,
};
use crate::{
    core::{
        check::Check,
        dns::{self, Answer, MAX_DATAGRAM, Read},
        fault::Fault,
        report::DnsFacts,
        target::{Question, RecordKind},
    },
    prober::Prober,
};

/// Where resolvers listen.
const PORT: u16 = 53;
/// Time a datagram is waited for before the question is sent again, for it may have been lost.
const RESEND: Duration = Duration::from_secs(1);
/// Most times that a question is sent.
const MAX_SENDS: usize = 4;
/// Most messages that are no answer, and are passed over.
const MAX_ALIENS: usize = 64;

/// Makes the check.
pub(crate) async fn check(
    prober: &Prober,
    check: &Check,
    question: &Question,
    notes: &mut Notes,
) -> Result<(), Fault> {
    let resolver = match (&question.resolver, check.resolver) {
        (Some(to), _) => {
            let literal = to.host.parse::<IpAddr>().ok();
            let address = match literal {
                Some(address) => address,
                None => {
                    let found = prober.net.look_up(&to.host).await.map_err(|e| looking_up(&e, &to.host))?;
                    *found.first().ok_or_else(|| Fault::DnsEmpty { name: to.host.to_string() })?
                }
            };
            Some(SocketAddr::new(address, to.port))
        }
        (None, told) => told,
    };
    notes.begin(Phase::Dns);
    let Some(resolver) = resolver else { return system(prober, check, question, notes).await };
    notes.report.remote = Some(resolver);
    let answer = ask(prober, resolver, &question.name, question.kind).await?;
    notes.end();
    let judged = answer.judge(&question.name, &check.expect.answers);
    notes.report.addresses = answer.addresses;
    notes.report.dns = Some(Box::new(answer.facts));
    judged
}

/// The system's resolver, which tells of addresses and of nothing else.
async fn system(prober: &Prober, check: &Check, question: &Question, notes: &mut Notes) -> Result<(), Fault> {
    let v6 = match question.kind {
        RecordKind::A => false,
        RecordKind::Aaaa => true,
        _ => {
            let kind = question.kind.as_str();
            return Err(Fault::Own { why: format!("no `resolver` is named to ask for {kind} records") });
        }
    };
    let found = prober.net.look_up(&question.name).await.map_err(|e| looking_up(&e, &question.name))?;
    notes.end();
    let addresses: Vec<_> = found.into_iter().filter(|address| address.is_ipv6() == v6).collect();
    let answers: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let facts = DnsFacts {
        rcode: "NOERROR".to_owned(),
        answers,
        ttl: None,
        authentic: false,
        authoritative: false,
        serial: None,
        tcp: false,
    };
    let judged = match facts.answers.is_empty() {
        true => Err(Fault::DnsEmpty { name: question.name.to_string() }),
        false => dns::lacks(&facts.answers, &check.expect.answers),
    };
    notes.report.addresses = addresses;
    notes.report.dns = Some(Box::new(facts));
    judged
}

/// The addresses that a resolver has of a host.
pub(super) async fn addresses(
    prober: &Prober,
    resolver: SocketAddr,
    host: &Arc<str>,
    kind: RecordKind,
) -> Result<Vec<IpAddr>, Fault> {
    let answer = ask(prober, resolver, host, kind).await?;
    answer.judge(host, &[])?;
    Ok(answer.addresses)
}

async fn ask(prober: &Prober, resolver: SocketAddr, name: &str, kind: RecordKind) -> Result<Answer, Fault> {
    let resolver = match resolver.port() {
        0 => SocketAddr::new(resolver.ip(), PORT),
        _ => resolver,
    };
    let unfit = || Fault::DnsFailed { why: "the name fits into no question".to_owned() };
    let asked = dns::question(fastrand::u16(..), name, kind).ok_or_else(unfit)?;
    match by_datagram(prober, resolver, &asked, kind).await? {
        Some(answer) => Ok(answer),
        None => over_tcp(prober, resolver, &asked, kind).await,
    }
}

/// The answer; `None` if it does not fit.
async fn by_datagram(
    prober: &Prober,
    resolver: SocketAddr,
    asked: &[u8],
    kind: RecordKind,
) -> Result<Option<Answer>, Fault> {
    let socket = prober.net.datagrams(resolver).await.map_err(|e| dialling(&e))?;
    let mut room = vec![0; usize::from(MAX_DATAGRAM)];
    let mut aliens = 0;
    for _ in 0..MAX_SENDS {
        socket.send(asked).await.map_err(|e| dialling(&e))?;
        // The caller's own time limit tells of a resolver that stays silent.
        while let Ok(received) = timeout(RESEND, socket.receive(&mut room)).await {
            let length = received.map_err(|e| dialling(&e))?;
            match dns::read(asked, &room[..length], kind) {
                Read::Answer(answer) => return Ok(Some(answer)),
                Read::Truncated => return Ok(None),
                Read::Alien if aliens >= MAX_ALIENS => return Err(Fault::DnsMalformed),
                Read::Alien => aliens += 1,
            }
        }
    }
    Err(if aliens > 0 { Fault::DnsMalformed } else { Fault::DnsTimeout })
}

async fn over_tcp(
    prober: &Prober,
    resolver: SocketAddr,
    asked: &[u8],
    kind: RecordKind,
) -> Result<Answer, Fault> {
    let (mut conn, _) = prober.net.dial(&[resolver]).await.map_err(|e| dialling(&e))?;
    let cut =
        |_| Fault::DnsFailed { why: "the connection ended before the whole answer had come".to_owned() };
    // Each message goes after its length (RFC 1035, section 4.2.2).
    let length = u16::try_from(asked.len()).unwrap_or(u16::MAX);
    conn.write_all(&[&length.to_be_bytes(), asked].concat()).await.map_err(cut)?;
    conn.flush().await.map_err(cut)?;
    let mut room = vec![0; usize::from(conn.read_u16().await.map_err(cut)?)];
    conn.read_exact(&mut room).await.map_err(cut)?;
    match dns::read(asked, &room, kind) {
        Read::Answer(mut answer) => {
            answer.facts.tcp = true;
            Ok(answer)
        }
        Read::Alien | Read::Truncated => Err(Fault::DnsMalformed),
    }
}
