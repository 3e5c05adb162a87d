//! From a host's name to a connection with it.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use seawall_runtime::net::{Conn, Datagrams, Endpoint, LookupError};

use super::{Notes, dns, notes::Phase};
use crate::{
    core::{certificate, check::Check, fault::Fault, target::RecordKind},
    prober::Prober,
};

/// Most addresses of a host that are tried.
const MAX_ADDRESSES: usize = 8;

/// What the system says when the fault lies with this process or machine: no more files, no more ports, no memory.
const OWN_ERRORS: [i32; 4] = [23, 24, 99, 105];

/// A fresh connection, with TLS if the endpoint says so.
pub(crate) async fn connect(
    prober: &Prober,
    check: &Check,
    to: &Endpoint,
    notes: &mut Notes,
) -> Result<Conn, Fault> {
    let conn = dial(prober, check, to, notes).await?;
    if !to.tls {
        return Ok(conn);
    }
    notes.begin(Phase::Tls);
    let (conn, shaken) =
        prober.net.shake(conn, &to.host, &check.alpn).await.map_err(|e| shaking(&e, check))?;
    notes.end();
    // A simulated network has no TLS.
    let Some(shaken) = shaken else { return Ok(conn) };
    let facts = certificate::facts(&shaken);
    let distrust = shaken.distrust.as_ref();
    let fault = distrust.map(|distrust| certificate::fault(distrust, &facts, &to.host, notes.clock.wall()));
    notes.report.tls = Some(Box::new(facts));
    fault.map_or(Ok(conn), Err)
}

/// A fresh connection, in the clear.
pub(crate) async fn dial(
    prober: &Prober,
    check: &Check,
    to: &Endpoint,
    notes: &mut Notes,
) -> Result<Conn, Fault> {
    let literal = to.host.parse::<IpAddr>().ok();
    let dialled = match literal {
        Some(address) => {
            notes.begin(Phase::Connect);
            prober.net.dial(&[SocketAddr::new(address, to.port)]).await
        }
        None => {
            let addresses = addresses(prober, check, &to.host, notes).await?;
            let at: Vec<_> =
                addresses.iter().map(|ip| SocketAddr::new(*ip, to.port)).take(MAX_ADDRESSES).collect();
            notes.report.addresses = addresses;
            notes.begin(Phase::Connect);
            prober.net.dial(&at).await
        }
    };
    let (conn, at) = dialled.map_err(|e| dialling(&e))?;
    notes.end();
    notes.report.remote = Some(at);
    Ok(conn)
}

/// By what a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Udp,
    Icmp,
}

/// A fresh socket for datagrams to a host: to the first of its addresses that there is a way to.
pub(crate) async fn datagrams(
    prober: &Prober,
    check: &Check,
    to: &Endpoint,
    by: By,
    notes: &mut Notes,
) -> Result<(Box<dyn Datagrams>, SocketAddr), Fault> {
    let addresses = match to.host.parse::<IpAddr>() {
        Ok(literal) => vec![literal],
        Err(_) => {
            notes.report.addresses = addresses(prober, check, &to.host, notes).await?;
            notes.report.addresses.clone()
        }
    };
    let mut failed = Fault::DnsEmpty { name: to.host.to_string() };
    for address in addresses.into_iter().take(MAX_ADDRESSES) {
        let at = SocketAddr::new(address, to.port);
        let opened = match by {
            By::Udp => prober.net.datagrams(at).await,
            By::Icmp => prober.net.echoes(address).await,
        };
        match opened {
            Ok(socket) => {
                notes.report.remote = Some(at);
                notes.begin(Phase::Datagram);
                return Ok((socket, at));
            }
            Err(e) if by == By::Icmp && e.kind() == io::ErrorKind::PermissionDenied => {
                failed = Fault::IcmpForbidden;
            }
            Err(e) => failed = dialling(&e),
        }
    }
    Err(failed)
}

/// The addresses of a host, as the check's resolver or else the system's has them.
async fn addresses(
    prober: &Prober,
    check: &Check,
    host: &Arc<str>,
    notes: &mut Notes,
) -> Result<Vec<IpAddr>, Fault> {
    notes.begin(Phase::Dns);
    let found = match check.resolver {
        Some(resolver) => {
            let v4 = dns::addresses(prober, resolver, host, RecordKind::A).await;
            let v6 = dns::addresses(prober, resolver, host, RecordKind::Aaaa).await;
            match (v4, v6) {
                (Ok(v4), Ok(v6)) => Ok([v4, v6].concat()),
                (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
                (Err(fault), Err(_)) => Err(fault),
            }
        }
        None => prober.net.look_up(host).await.map_err(|e| looking_up(&e, host)),
    };
    notes.end();
    found
}

/// What a failed look-up of the system's resolver says.
pub(super) fn looking_up(error: &LookupError, host: &str) -> Fault {
    match error {
        LookupError::NoSuchName => Fault::DnsNxdomain { name: host.to_owned() },
        LookupError::NoAddress => Fault::DnsEmpty { name: host.to_owned() },
        LookupError::Failing(why) => Fault::DnsFailed { why: why.to_string() },
    }
}

/// What a connection that was not made says.
pub(super) fn dialling(error: &io::Error) -> Fault {
    if error.raw_os_error().is_some_and(|code| OWN_ERRORS.contains(&code)) {
        return Fault::Own { why: error.to_string() };
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Fault::ConnectRefused,
        io::ErrorKind::TimedOut => Fault::ConnectTimeout,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            Fault::ConnectUnreachable { why: error.to_string() }
        }
        _ => Fault::ConnectFailed { why: error.to_string() },
    }
}

fn shaking(error: &io::Error, check: &Check) -> Fault {
    let why = error.to_string();
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            Fault::TlsHandshake { why: "the server ended the connection".to_owned() }
        }
        _ if why.contains("NoApplicationProtocol") => Fault::TlsAlpn { offered: check.alpn.join(", ") },
        _ => Fault::TlsHandshake { why },
    }
}
