//! `[listen.tls]`: where clients connect over TLS, and with what certificates.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use seawall_model::{
    Name, Secret, choice,
    estate::{At, Code, Place, Problem, Problems, Resolve, SecretSource},
    section,
};
use seawall_runtime::net::server_tls::{ClientCertificates, Pair, ServerTls, ServerTlsError};

use super::{
    raw::Addresses,
    validate::{time, within},
};

/// Most certificates.
const MAX_CERTIFICATES: usize = 256;

section! {
    /// Where clients connect over TLS.
    pub struct RawTls {
        /// An address and port, or a list of them.
        at: Addresses, required;
        /// The certificates to show, by the host that a client names; the first where it names none of theirs.
        certificates: Vec<At<RawCertificate>>, default([]);
        /// Whether clients show certificates of their own.
        client_auth: At<RawClientAuth>, optional;
        /// The authorities that clients' certificates are to be by: `file:PATH` or `env:NAME`, as PEM.
        client_ca: At<SecretSource>, optional;
        /// Time a client may take to shake hands, waiting for its turn included.
        handshake: At<Duration>, default("5s");
        /// Most handshakes under way at once; others wait.
        handshakes: At<u32>, default(256);
    }
}

section! {
    /// A certificate to show.
    pub struct RawCertificate {
        /// What it is called in metrics and messages.
        name: At<Name>, required;
        /// The certificate and those that lead to its root: `file:PATH` or `env:NAME`, as PEM.
        chain: At<SecretSource>, required;
        /// Its private key: `file:PATH` or `env:NAME`, as PEM.
        key: At<SecretSource>, required;
    }
}

choice! {
    /// Whether clients show certificates of their own.
    pub enum RawClientAuth {
        /// They are not asked to.
        Off = "off",
        /// They may: what they show must be by `client_ca`.
        Optional = "optional",
        /// They must.
        Required = "required",
    }
}

/// Where clients connect over TLS.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsSection {
    /// The addresses.
    pub listen: Vec<SocketAddr>,
    /// The certificates, the one for clients that name no host of theirs first.
    pub certificates: Vec<CertificateSection>,
    /// What is asked of clients.
    pub clients: ClientAuth,
    /// Time a client may take to shake hands.
    pub handshake: Duration,
    /// Most handshakes under way at once, over all workers.
    pub handshakes: usize,
}

/// A certificate to show, as PEM.
#[derive(Debug, Clone, PartialEq)]
pub struct CertificateSection {
    /// What it is called.
    pub name: Name,
    /// The chain.
    pub chain: Secret,
    /// The private key.
    pub key: Secret,
}

/// What is asked of clients; with the authorities (PEM) that vouch for them.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientAuth {
    /// Nothing.
    Off,
    /// A certificate, if the client has one.
    Optional(Secret),
    /// A certificate.
    Required(Secret),
}

impl TlsSection {
    /// What cannot change while running: where it listens, and how many shake hands at once.
    pub(crate) fn bound(&self) -> (&[SocketAddr], usize) {
        (&self.listen, self.handshakes)
    }

    /// Makes the certificates ready; sessions that began under `before` can go on.
    ///
    /// # Errors
    /// If any of them cannot be used.
    pub fn server(&self, before: Option<&ServerTls>) -> Result<ServerTls, ServerTlsError> {
        let pairs = self.certificates.iter().map(|c| Pair {
            name: c.name.as_str(),
            chain: c.chain.expose(),
            key: c.key.expose(),
        });
        let clients = match &self.clients {
            ClientAuth::Off => ClientCertificates::NotAsked,
            ClientAuth::Optional(authorities) => ClientCertificates::Optional(authorities.expose()),
            ClientAuth::Required(authorities) => ClientCertificates::Required(authorities.expose()),
        };
        ServerTls::new(&pairs.collect::<Vec<_>>(), clients, before)
    }
}

/// Judges the section, with every certificate made ready once to see whether it can be.
pub(super) fn validate(
    raw: &At<RawTls>,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<TlsSection> {
    let tls = &raw.value;
    let listen = tls.at.as_ref().map(|at| at.0.clone());
    if listen.as_ref().is_some_and(Vec::is_empty) {
        let problem = Problem::new(Code::NoChoice, raw.place, "`at` lists no address");
        problems.report(problem.help("list one, as in `at = \"0.0.0.0:8443\"`"));
    }
    let certificates = certificates(raw, resolve, problems);
    let clients = clients(raw, resolve, problems);
    let handshake = time(tls.handshake, "handshake", problems);
    let handshakes = within(tls.handshakes, 1, 100_000, "handshakes", u32::to_string, problems);
    let section = TlsSection {
        listen: listen?.iter().map(|at| at.value).collect(),
        certificates: certificates?,
        clients: clients?,
        handshake: handshake?,
        handshakes: usize::try_from(handshakes?).ok()?,
    };
    if let Err(error) = section.server(None) {
        let named = tls.certificates.iter().find(|c| match &error {
            ServerTlsError::Pair { name, .. } => {
                c.value.name.as_ref().is_some_and(|n| n.value.as_str() == name)
            }
            _ => false,
        });
        let authorities = tls.client_ca.as_ref().filter(|_| matches!(error, ServerTlsError::Authorities(_)));
        let place = named.map(|c| c.place).or(authorities.map(|a| a.place)).unwrap_or(raw.place);
        problems.report(Problem::new(Code::Certificate, place, error.to_string()));
        return None;
    }
    Some(section)
}

fn certificates(
    raw: &At<RawTls>,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<Vec<CertificateSection>> {
    let certificates = &raw.value.certificates;
    if certificates.is_empty() {
        let problem = Problem::new(Code::NoChoice, raw.place, "there is no certificate to show");
        let help = "add one: `certificates = [{ name = \"main\", chain = \"file:chain.pem\", key = \"file:key.pem\" }]`";
        problems.report(problem.help(help));
        return None;
    }
    if certificates.len() > MAX_CERTIFICATES {
        let message = format!("{} certificates; at most {MAX_CERTIFICATES} are taken", certificates.len());
        problems.report(Problem::new(Code::Limit, raw.place, message));
        return None;
    }
    let mut names = BTreeMap::<&Name, Place>::new();
    let mut good = Vec::with_capacity(certificates.len());
    for at in certificates {
        let RawCertificate { name, chain, key } = &at.value;
        if let Some(name) = name
            && let Some(first) = names.insert(&name.value, name.place)
        {
            let message = format!("two certificates are called `{}`", name.value);
            let problem = Problem::new(Code::DeclaredTwice, name.place, message);
            problems.report(problem.other(first, "the other"));
        }
        if let Some(at) = key.as_ref().filter(|at| matches!(at.value, SecretSource::Literal(_))) {
            let message = "a private key stands in the file";
            problems.report(Problem::new(Code::LiteralSecret, at.place, message));
        }
        let chain = chain.as_ref().and_then(|at| at.resolve(resolve, problems));
        let key = key.as_ref().and_then(|at| at.resolve(resolve, problems));
        let (Some(name), Some(chain), Some(key)) = (name, chain, key) else { continue };
        good.push(CertificateSection { name: name.value.clone(), chain, key });
    }
    (good.len() == certificates.len()).then_some(good)
}

fn clients(raw: &At<RawTls>, resolve: &Resolve<'_>, problems: &mut Problems) -> Option<ClientAuth> {
    let asked = raw.value.client_auth.map_or(RawClientAuth::Off, |at| at.value);
    let Some(authorities) = &raw.value.client_ca else {
        if asked == RawClientAuth::Off {
            return Some(ClientAuth::Off);
        }
        let message = "clients are to show certificates, and `client_ca` does not say by whom";
        let problem = Problem::new(Code::MissingKey, raw.place, message);
        problems.report(problem.help("name the authorities, as in `client_ca = \"file:clients-ca.pem\"`"));
        return None;
    };
    let place = authorities.place;
    let authorities = authorities.resolve(resolve, problems)?;
    match asked {
        RawClientAuth::Optional => Some(ClientAuth::Optional(authorities)),
        RawClientAuth::Required => Some(ClientAuth::Required(authorities)),
        RawClientAuth::Off => {
            let message = "`client_ca` means nothing unless `client_auth` is `optional` or `required`";
            problems.report(Problem::new(Code::Contradiction, place, message).help("remove it, or set that"));
            None
        }
    }
}
