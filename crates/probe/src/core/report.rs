//! What a check found.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use seawall_model::Wall;
use serde::Serialize;

use super::{
    certificate::Certificate,
    chain::ChainFacts,
    evm::EvmFacts,
    fault::{Fault, Place},
    ntp::NtpFacts,
    own::Trouble,
};

/// What a check found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// When it began.
    pub began: Wall,
    /// Why it failed, if it did.
    pub fault: Option<Fault>,
    /// Why it says nothing about the target all the same: the prober itself was in trouble.
    pub own_trouble: Option<Trouble>,
    /// It went over a connection that was there already.
    pub reused: bool,
    /// How long each part took.
    pub timings: Timings,
    /// The target's addresses, as they were looked up.
    pub addresses: Vec<IpAddr>,
    /// The one that answered.
    pub remote: Option<SocketAddr>,
    /// What the handshake told.
    pub tls: Option<Box<TlsFacts>>,
    /// What the HTTP answer was.
    pub http: Option<HttpFacts>,
    /// What a resolver said.
    pub dns: Option<Box<DnsFacts>>,
    /// What a chain's node said.
    pub evm: Option<Box<EvmFacts>>,
    /// What a part of a rollup said.
    pub chain: Option<Box<ChainFacts>>,
    /// What a time server said.
    pub ntp: Option<Box<NtpFacts>>,
    /// What a server said of itself, or a program or job last.
    pub banner: Option<String>,
    /// The steps of a journey, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepReport>,
    /// The first of them that failed, whose fault is the whole's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_step: Option<usize>,
}

/// What a step of a journey found.
#[derive(Debug, Clone, Serialize)]
pub struct StepReport {
    /// Its name.
    pub name: String,
    /// It is made whatever happened before.
    pub always: bool,
    /// When it began, in microseconds of the whole.
    pub at_us: u32,
    /// Why it was not made, if it was not.
    pub skipped: Option<String>,
    /// Why it failed, if it did.
    pub fault: Option<Fault>,
    /// The status of its answer.
    pub status: Option<u16>,
    /// It went over a connection that was there already.
    pub reused: bool,
    /// How long each part took.
    pub timings: Timings,
}

impl StepReport {
    pub(crate) fn new(name: &str, always: bool, at_us: u32) -> Self {
        Self {
            name: name.to_owned(),
            always,
            at_us,
            skipped: None,
            fault: None,
            status: None,
            reused: false,
            timings: Timings::default(),
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The target does as it should.
    Up,
    /// It does not.
    Down,
    /// The prober was in trouble itself: nothing is known.
    Unknown,
}

impl Outcome {
    /// The outcome as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
        }
    }
}

/// How long each part took, in microseconds. What was not done is absent; where a check failed, the last part there
/// is the one it failed in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Timings {
    /// Finding the addresses.
    pub dns_us: Option<u32>,
    /// Making the connection.
    pub connect_us: Option<u32>,
    /// Shaking hands.
    pub tls_us: Option<u32>,
    /// From there to the answer's head.
    pub first_byte_us: Option<u32>,
    /// From there to the answer's end.
    pub body_us: Option<u32>,
    /// All of it.
    pub total_us: u32,
}

impl Timings {
    /// The parts with their names, in order.
    pub fn parts(&self) -> [(&'static str, Option<u32>); 5] {
        [
            ("dns", self.dns_us),
            ("connect", self.connect_us),
            ("tls", self.tls_us),
            ("first byte", self.first_byte_us),
            ("body", self.body_us),
        ]
    }
}

/// Microseconds, up to 71 minutes.
pub(crate) fn micros(d: Duration) -> u32 {
    u32::try_from(d.as_micros()).unwrap_or(u32::MAX)
}

/// What a handshake told.
#[derive(Debug, Clone, Serialize)]
pub struct TlsFacts {
    /// The version, as in `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite.
    pub cipher: String,
    /// The protocol that was agreed on.
    pub alpn: Option<String>,
    /// The certificates as shown, the server's own first.
    pub chain: Vec<Certificate>,
    /// The server's own certificate is to outlive this one of the chain, on which it depends.
    pub outlives: Option<usize>,
}

/// What an HTTP answer was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HttpFacts {
    /// The version, as in `HTTP/1.1`.
    pub version: &'static str,
    /// The status.
    pub status: u16,
    /// Bytes of the body that were read.
    pub bytes: u64,
    /// There was more than is ever read.
    pub cut: bool,
}

/// What a resolver said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DnsFacts {
    /// The code of the answer, as in `NOERROR`.
    pub rcode: String,
    /// The records, as a zone file would have them, without name and class.
    pub answers: Vec<String>,
    /// The least time to live among them, in seconds.
    pub ttl: Option<u32>,
    /// The resolver says that the answer is signed, and the signatures good (DNSSEC's AD bit).
    pub authentic: bool,
    /// The answer came from the zone's own server.
    pub authoritative: bool,
    /// The zone's serial, if a SOA record came along.
    pub serial: Option<u32>,
    /// It was too long for a datagram, and asked for again over TCP.
    pub tcp: bool,
}

impl Report {
    /// A report on what begins now.
    pub fn new(began: Wall) -> Self {
        Self {
            began,
            fault: None,
            own_trouble: None,
            reused: false,
            timings: Timings::default(),
            addresses: Vec::new(),
            remote: None,
            tls: None,
            http: None,
            dns: None,
            evm: None,
            ntp: None,
            chain: None,
            banner: None,
            steps: Vec::new(),
            failed_step: None,
        }
    }

    /// Why it failed, if it did: of a journey, in which step.
    pub fn why(&self) -> Option<String> {
        let fault = self.fault.as_ref()?;
        Some(match self.failed_step.and_then(|place| self.steps.get(place)) {
            Some(step) => format!("step `{}`: {fault}", step.name),
            None => fault.to_string(),
        })
    }

    /// What it comes to. A fault of the prober's own machine says nothing about the target.
    pub fn outcome(&self) -> Outcome {
        match &self.fault {
            None => Outcome::Up,
            Some(_) if self.own_trouble.is_some() => Outcome::Unknown,
            Some(fault) if fault.place() == Place::Own => Outcome::Unknown,
            Some(_) => Outcome::Down,
        }
    }
}
