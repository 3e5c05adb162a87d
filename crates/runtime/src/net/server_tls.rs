//! TLS towards clients: which certificate is shown to whom, and who a client's own certificate says it is.
//!
//! A [`ServerTls`] never changes. Whoever serves swaps the whole of it for a new one, so that a handshake sees
//! either the old certificates or the new, and a connection that stands is left alone.

use std::{collections::BTreeMap, io, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{
        ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
};
use seawall_model::Wall;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::Conn;

/// Longest name that a client's certificate may give it, in bytes.
const MAX_NAME: usize = 256;

/// A certificate to show, as PEM.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// What the operator calls it.
    pub name: &'a str,
    /// The certificate, and those that lead from it to a root.
    pub chain: &'a str,
    /// Its private key.
    pub key: &'a str,
}

/// What is asked of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates<'a> {
    /// No certificate.
    NotAsked,
    /// One by these authorities (PEM), if the client has any.
    Optional(&'a str),
    /// One by these authorities (PEM).
    Required(&'a str),
}

/// Why certificates cannot be used. Holds nothing of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerTlsError {
    /// A pair is none, or no client could use it.
    #[error("certificate `{name}`: {why}")]
    Pair {
        /// The operator's name for it.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// The authorities that clients' certificates are to be by cannot be used.
    #[error("the authorities of clients' certificates: {0}")]
    Authorities(String),
    /// There is no certificate to show.
    #[error("there is no certificate to show")]
    Nothing,
    /// TLS itself cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Rustls(String),
}

/// Everything a handshake needs.
#[derive(Debug, Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    tickets: Arc<dyn ProducesTickets>,
    /// The authorities that tickets were given out under.
    authorities: Option<String>,
    ends: Vec<(String, Wall)>,
}

/// A client's connection after its handshake.
pub struct Accepted {
    /// What it says is in the clear from here on.
    pub conn: Conn,
    /// Who its certificate says it is, if it showed one: the first URI in its alternative names, else the first
    /// DNS name, else the first address of mail, else its common name.
    pub client: Option<Arc<str>>,
}

impl ServerTls {
    /// Makes `pairs` ready to be shown; a client that names none of their hosts is shown the first. Sessions that
    /// began under `before` can be resumed, unless other authorities are trusted now.
    ///
    /// # Errors
    /// If any of it cannot be used. Dates are not looked at: clients do that, and see [`Self::ends`].
    pub fn new(
        pairs: &[Pair<'_>],
        clients: ClientCertificates<'_>,
        before: Option<&Self>,
    ) -> Result<Self, ServerTlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut shown = Shown::default();
        let mut ends = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let bad = |why| ServerTlsError::Pair { name: pair.name.to_owned(), why };
            let read = read(pair, &provider).map_err(bad)?;
            ends.push((pair.name.to_owned(), read.end));
            shown.add(read);
        }
        if ends.is_empty() {
            return Err(ServerTlsError::Nothing);
        }
        let broken = |e: rustls::Error| ServerTlsError::Rustls(e.to_string());
        let verifier = verifier(clients, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(broken)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(shown));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let authorities = match clients {
            ClientCertificates::NotAsked => None,
            ClientCertificates::Optional(pem) | ClientCertificates::Required(pem) => Some(pem.to_owned()),
        };
        // A ticket stands for the certificate that its client showed once: it is worth what that was.
        let tickets = match before.filter(|before| before.authorities == authorities) {
            Some(before) => before.tickets.clone(),
            None => aws_lc_rs::Ticketer::new().map_err(broken)?,
        };
        config.ticketer = tickets.clone();
        // What a resumed session needs is in its client's ticket; nothing is kept here.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self { config: Arc::new(config), tickets, authorities, ends })
    }

    /// Each certificate by the operator's name for it, and when it ends (the earliest end in its chain).
    pub fn ends(&self) -> impl Iterator<Item = (&str, Wall)> {
        self.ends.iter().map(|(name, end)| (name.as_str(), *end))
    }

    /// Shakes hands. The caller sets the time limit.
    ///
    /// # Errors
    /// If the client ends it, speaks no TLS or none that is spoken here, or shows no certificate that is asked.
    pub async fn accept(&self, conn: Conn) -> io::Result<Accepted> {
        let acceptor = TlsAcceptor::from(self.config.clone());
        Ok(match conn {
            Conn::Tcp(stream) => {
                let stream = acceptor.accept(stream).await?;
                let client = named(stream.get_ref().1.peer_certificates());
                Accepted { conn: Conn::TlsServer(Box::new(stream)), client }
            }
            other => {
                let stream = acceptor.accept(other).await?;
                let client = named(stream.get_ref().1.peer_certificates());
                Accepted { conn: Conn::Other(Box::new(stream)), client }
            }
        })
    }
}

fn verifier(
    clients: ClientCertificates<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, ServerTlsError> {
    let bad = |why: String| ServerTlsError::Authorities(why);
    let (pem, required) = match clients {
        ClientCertificates::NotAsked => return Ok(WebPkiClientVerifier::no_client_auth()),
        ClientCertificates::Optional(pem) => (pem, false),
        ClientCertificates::Required(pem) => (pem, true),
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| bad("the text is not PEM".to_owned()))?;
        roots.add(certificate).map_err(|e| bad(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("there is no certificate in PEM form".to_owned()));
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = if required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|e| bad(e.to_string()))
}

/// A pair that has been read.
pub(super) struct Read {
    pub(super) key: Arc<CertifiedKey>,
    /// The hosts it is for, in lower case.
    hosts: Vec<String>,
    pub(super) end: Wall,
}

/// Reads a pair, and sees whether key and certificate belong together.
pub(super) fn read(pair: &Pair<'_>, provider: &CryptoProvider) -> Result<Read, String> {
    let chain = CertificateDer::pem_slice_iter(pair.chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "the chain is not PEM".to_owned())?;
    // What the parser says of a key may quote it.
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())
        .map_err(|_| "there is no private key in PEM form".to_owned())?;
    let mut parsed = Vec::with_capacity(chain.len());
    for der in &chain {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|_| "a certificate of the chain is damaged".to_owned())?;
        parsed.push(certificate);
    }
    let leaf = parsed.first().ok_or("there is no certificate in PEM form")?;
    let names = leaf.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    let hosts = names.filter_map(|name| match name {
        GeneralName::DNSName(host) => Some(host.to_ascii_lowercase()),
        _ => None,
    });
    let hosts: Vec<_> = hosts.collect();
    let end = parsed.iter().map(|c| c.validity().not_after.timestamp()).min().unwrap_or(i64::MAX);
    drop(parsed);
    // It says so itself if the key is another's.
    let key = CertifiedKey::from_der(chain, key, provider).map_err(|e| e.to_string())?;
    Ok(Read { key: Arc::new(key), hosts, end: Wall(end.saturating_mul(1_000)) })
}

/// Which certificate is shown to whom.
#[derive(Debug, Default)]
struct Shown {
    /// In the order of the estate: more than one to a host if they differ in the kind of key.
    by_host: BTreeMap<String, Vec<Arc<CertifiedKey>>>,
    all: Vec<Arc<CertifiedKey>>,
}

impl Shown {
    fn add(&mut self, read: Read) {
        for host in read.hosts {
            self.by_host.entry(host).or_default().push(read.key.clone());
        }
        self.all.push(read.key);
    }

    /// The certificates for a host: by its very name, else by the wildcard one label up (RFC 6125, section
    /// 6.4.3), else all.
    fn of(&self, host: Option<&str>) -> &[Arc<CertifiedKey>] {
        let host = host.map(str::to_ascii_lowercase);
        let exact = host.as_ref().and_then(|host| self.by_host.get(host));
        let wild = || {
            let (_, above) = host.as_ref()?.split_once('.')?;
            self.by_host.get(&format!("*.{above}"))
        };
        exact.or_else(wild).unwrap_or(&self.all)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        let of = self.of(hello.server_name());
        of.iter().find(fits).or_else(|| self.all.iter().find(fits)).cloned()
    }
}

/// Who a client's certificate says it is.
fn named(chain: Option<&[CertificateDer<'_>]>) -> Option<Arc<str>> {
    let (_, certificate) = X509Certificate::from_der(chain?.first()?).ok()?;
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let names = || alternative.iter().flat_map(|names| &names.value.general_names);
    let uri = names().find_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
    let dns =
        || names().find_map(|name| if let GeneralName::DNSName(dns) = name { Some(*dns) } else { None });
    let mail =
        || names().find_map(|name| if let GeneralName::RFC822Name(m) = name { Some(*m) } else { None });
    let common = || certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let name = uri.or_else(dns).or_else(mail).or_else(common)?;
    let fits = !name.is_empty() && name.len() <= MAX_NAME && !name.chars().any(char::is_control);
    fits.then(|| name.into())
}
