//! What certificates say of themselves.

use seawall_model::Wall;
use seawall_runtime::net::{Distrust, Shaken};
use serde::Serialize;
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate, X509Name},
};

use super::{fault::Fault, report::TlsFacts};

/// Most names of a certificate that are told.
const MAX_NAMES: usize = 8;
/// Longest name that is told, in characters.
const MAX_NAME: usize = 120;
/// Milliseconds in a day.
const DAY: i64 = 86_400_000;

/// One certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Whose it is.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// Names it is for, the first of them.
    pub names: Vec<String>,
    /// From when it is valid.
    pub not_before: Wall,
    /// Until when.
    pub not_after: Wall,
}

impl Certificate {
    /// Reads one in DER; `None` if it is none.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok().flatten();
        let names = names.map_or_else(Vec::new, |san| {
            san.value.general_names.iter().filter_map(dns_name).take(MAX_NAMES).collect()
        });
        let wall = |t: x509_parser::time::ASN1Time| Wall(t.timestamp().saturating_mul(1_000));
        Some(Self {
            subject: called(certificate.subject()),
            issuer: called(certificate.issuer()),
            names,
            not_before: wall(certificate.validity().not_before),
            not_after: wall(certificate.validity().not_after),
        })
    }

    /// Whole days left, rounded down; negative once it has ended.
    pub fn days_left(&self, now: Wall) -> i64 {
        self.not_after.0.saturating_sub(now.0).div_euclid(DAY)
    }
}

/// The common name, or else all of it.
fn called(name: &X509Name<'_>) -> String {
    let common = name.iter_common_name().next().and_then(|cn| cn.as_str().ok()).filter(|cn| !cn.is_empty());
    let text = common.map_or_else(|| name.to_string(), str::to_owned);
    if text.is_empty() { "(no name)".to_owned() } else { cut(&text) }
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(cut(name)),
        GeneralName::IPAddress(octets) => match <[u8; 4]>::try_from(*octets) {
            Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_string()),
            Err(_) => <[u8; 16]>::try_from(*octets).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string()),
        },
        _ => None,
    }
}

/// Shortened, and without what a terminal would obey.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
}

/// What a handshake told, read.
pub fn facts(shaken: &Shaken) -> TlsFacts {
    let chain: Vec<_> = shaken.chain.iter().filter_map(|der| Certificate::read(der)).collect();
    let outlives = chain.first().and_then(|own| {
        let above = chain.iter().enumerate().skip(1);
        above.filter(|(_, c)| c.not_after < own.not_after).min_by_key(|(_, c)| c.not_after).map(|(i, _)| i)
    });
    let (version, cipher, alpn) = (shaken.version, shaken.cipher.clone(), shaken.alpn.clone());
    TlsFacts { version, cipher, alpn, chain, outlives }
}

/// What is wrong with the certificates, if anything is, when `wanted` was asked for.
pub fn fault(distrust: &Distrust, facts: &TlsFacts, wanted: &str, now: Wall) -> Fault {
    let chain = || facts.chain.iter().enumerate();
    // The path that was built may end in a certificate which is not shown, so that what is shown is looked at first.
    let expired = || {
        let ended = chain().find(|(_, c)| c.not_after < now)?;
        let (which, certificate) = ended;
        let days = (now.0 - certificate.not_after.0) / DAY;
        Some(Fault::TlsExpired { which, subject: certificate.subject.clone(), days })
    };
    match distrust {
        Distrust::Expired => {
            expired().unwrap_or_else(|| Fault::TlsInvalid { why: "an authority's has ended".to_owned() })
        }
        Distrust::NotYetValid => match chain().find(|(_, c)| c.not_before > now) {
            Some((which, c)) => Fault::TlsNotYetValid { which, subject: c.subject.clone() },
            None => Fault::TlsInvalid { why: "an authority's has not begun".to_owned() },
        },
        Distrust::Name => {
            let names = facts.chain.first().map(|c| c.names.join(", ")).filter(|names| !names.is_empty());
            let names = names.unwrap_or_else(|| "no name at all".to_owned());
            Fault::TlsName { wanted: wanted.to_owned(), names }
        }
        Distrust::Issuer => expired().unwrap_or_else(|| Fault::TlsUntrusted { why: stranded(facts) }),
        Distrust::Other(why) => Fault::TlsInvalid { why: why.clone() },
    }
}

/// Where a chain ends that leads nowhere.
fn stranded(facts: &TlsFacts) -> String {
    let Some(own) = facts.chain.first() else { return "none can be read".to_owned() };
    if own.subject == own.issuer {
        return "the server's own certificate is signed by itself".to_owned();
    }
    let links = facts.chain.windows(2);
    if let Some(gap) = links.into_iter().find(|pair| pair[0].issuer != pair[1].subject) {
        return format!("{} issued {}, and its certificate is not shown next", gap[0].issuer, gap[0].subject);
    }
    let last = facts.chain.last().unwrap_or(own);
    match facts.chain.len() {
        1 => format!("only the server's own certificate is shown, which {} issued", last.issuer),
        _ => format!("the last one shown was issued by {}", last.issuer),
    }
}
