//! TLS as a witness does it: shakes hands with whoever is there, and judges the certificates afterwards.
//!
//! A handshake that ends at the first bad certificate cannot tell which one of the chain it was. Nothing may be
//! sent over the connection before the judgement has been looked at.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::digest::{Context, SHA256};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ProtocolVersion, RootCertStore,
    SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{
    Conn, TlsError,
    tls::{cryptography, server_name},
};

/// Most different lists of protocols that are remembered.
const MAX_OFFERS: usize = 64;
/// Most certificates of a chain that are kept.
const MAX_CHAIN: usize = 16;

/// Most chains that are remembered to be trusted.
const MAX_TRUSTED: usize = 16_384;
/// How long one is: whoever is asked every few seconds shows the same each time, and to judge it takes as long as all else
/// in a check.
const TRUSTED_FOR: Duration = Duration::from_secs(60);

/// What a handshake told.
#[derive(Debug, Clone)]
pub struct Shaken {
    /// The version, as in `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite, as in `TLS13_AES_256_GCM_SHA384`.
    pub cipher: String,
    /// The protocol that was agreed on, if any was.
    pub alpn: Option<String>,
    /// The certificates as shown, the server's own first, in DER.
    pub chain: Vec<CertificateDer<'static>>,
    /// Why they are not to be trusted, if they are not.
    pub distrust: Option<Distrust>,
}

/// Why a server's certificates are not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// One of them has ended.
    Expired,
    /// One of them has not begun.
    NotYetValid,
    /// The server's own is for other names.
    Name,
    /// They lead to no authority that is trusted.
    Issuer,
    /// Anything else.
    Other(String),
}

/// What witnesses handshakes.
pub(super) struct Witness {
    judge: Arc<WebPkiServerVerifier>,
    config: ClientConfig,
    /// A configuration for each list of protocols that was offered.
    offers: Mutex<BTreeMap<Vec<Arc<str>>, TlsConnector>>,
    /// When which chains, each for a name, were found to be trusted.
    trusted: Mutex<HashMap<[u8; 32], UnixTime>>,
}

impl Witness {
    pub(super) fn new(roots: RootCertStore) -> Result<Self, TlsError> {
        let provider = Arc::new(cryptography());
        let judge = WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone())
            .build()
            .map_err(|e| TlsError::Rustls(Error::General(e.to_string())))?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Later(judge.clone())))
            .with_no_client_auth();
        // Whoever resumes is shown no certificate.
        config.resumption = Resumption::disabled();
        Ok(Self { judge, config, offers: Mutex::default(), trusted: Mutex::default() })
    }

    /// Shakes hands over a TCP connection with the server of that name. What is no TCP is left as it is.
    pub(super) async fn shake(
        &self,
        conn: Conn,
        name: &str,
        alpn: &[Arc<str>],
    ) -> io::Result<(Conn, Option<Shaken>)> {
        let stream: TcpStream = match conn {
            Conn::Tcp(stream) => stream,
            other @ (Conn::Tls(_) | Conn::TlsServer(_) | Conn::Other(_)) => return Ok((other, None)),
        };
        let name = server_name(name)?;
        let stream = self.offering(alpn).connect(name.clone(), stream).await?;
        let (_, session) = stream.get_ref();
        let chain: Vec<_> = session.peer_certificates().unwrap_or_default().to_vec();
        let shaken = Shaken {
            version: session.protocol_version().map_or("unknown", called),
            cipher: session.negotiated_cipher_suite().map(|s| format!("{:?}", s.suite())).unwrap_or_default(),
            alpn: session.alpn_protocol().map(|p| String::from_utf8_lossy(p).into_owned()),
            distrust: self.distrust(&chain, &name),
            chain: chain.into_iter().take(MAX_CHAIN).collect(),
        };
        Ok((Conn::Tls(Box::new(stream)), Some(shaken)))
    }

    fn offering(&self, alpn: &[Arc<str>]) -> TlsConnector {
        let mut offers = self.offers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = offers.get(alpn) {
            return known.clone();
        }
        let mut config = self.config.clone();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        let connector = TlsConnector::from(Arc::new(config));
        if offers.len() < MAX_OFFERS {
            offers.insert(alpn.to_vec(), connector.clone());
        }
        connector
    }

    fn is_trusted(&self, key: &[u8; 32], now: UnixTime) -> bool {
        let trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        trusted.get(key).is_some_and(|since| is_recent(*since, now))
    }

    fn trust(&self, key: [u8; 32], now: UnixTime) {
        let mut trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        if trusted.len() >= MAX_TRUSTED {
            trusted.retain(|_, since| is_recent(*since, now));
        }
        if trusted.len() < MAX_TRUSTED {
            trusted.insert(key, now);
        }
    }

    fn distrust(&self, chain: &[CertificateDer<'static>], name: &ServerName<'static>) -> Option<Distrust> {
        let Some((own, rest)) = chain.split_first() else {
            return Some(Distrust::Other("the server showed no certificate".to_owned()));
        };
        let (now, key) = (UnixTime::now(), digest(chain, name));
        if self.is_trusted(&key, now) {
            return None;
        }
        let error = match self.judge.verify_server_cert(own, rest, name, &[], now) {
            Ok(_) => {
                self.trust(key, now);
                return None;
            }
            Err(error) => error,
        };
        Some(match &error {
            Error::InvalidCertificate(why) => match why {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Distrust::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Distrust::NotYetValid
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Distrust::Name
                }
                CertificateError::UnknownIssuer => Distrust::Issuer,
                CertificateError::Other(what) => Distrust::Other(what.to_string()),
                other => Distrust::Other(other.to_string()),
            },
            other => Distrust::Other(other.to_string()),
        })
    }
}

/// Is it so short a time since then? A clock that was set back makes nothing recent.
fn is_recent(since: UnixTime, now: UnixTime) -> bool {
    now.as_secs().checked_sub(since.as_secs()).is_some_and(|age| age < TRUSTED_FOR.as_secs())
}

/// Stands for a chain that is shown by a server of that name.
fn digest(chain: &[CertificateDer<'static>], name: &ServerName<'static>) -> [u8; 32] {
    let mut all = Context::new(&SHA256);
    let mut part = |bytes: &[u8]| {
        all.update(&(bytes.len() as u64).to_be_bytes());
        all.update(bytes);
    };
    part(name.to_str().as_bytes());
    chain.iter().for_each(|certificate| part(certificate));
    let mut out = [0; 32];
    out.copy_from_slice(all.finish().as_ref());
    out
}

/// A version as people write it.
fn called(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        // None other is spoken.
        other => other.as_str().unwrap_or("unknown"),
    }
}

/// Takes any certificate for now. That the server holds its key is still made sure of.
#[derive(Debug)]
struct Later(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Later {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots() -> RootCertStore {
        RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
    }

    fn seconds(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn trust_lasts_a_minute_and_no_clock_that_was_set_back() {
        let witness = Witness::new(roots()).unwrap();
        let key = [7; 32];
        assert!(!witness.is_trusted(&key, seconds(1_000)));
        witness.trust(key, seconds(1_000));
        assert!(witness.is_trusted(&key, seconds(1_059)));
        assert!(!witness.is_trusted(&key, seconds(1_060)));
        assert!(!witness.is_trusted(&key, seconds(999)));
        assert!(!witness.is_trusted(&[8; 32], seconds(1_000)));
    }

    #[test]
    fn no_more_chains_are_remembered_than_there_is_room_for() {
        let witness = Witness::new(roots()).unwrap();
        let key = |n: usize| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&(n as u64).to_be_bytes());
            key
        };
        (0..=MAX_TRUSTED).for_each(|n| witness.trust(key(n), seconds(1_000)));
        assert!(!witness.is_trusted(&key(MAX_TRUSTED), seconds(1_000)));
        witness.trust(key(MAX_TRUSTED), seconds(1_060));
        assert!(witness.is_trusted(&key(MAX_TRUSTED), seconds(1_060)));
        assert_eq!(witness.trusted.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_chain_is_trusted_for_one_name_and_as_it_is_cut() {
        let certificate = |bytes: &[u8]| CertificateDer::from(bytes.to_vec());
        let name = |text: &str| ServerName::try_from(text.to_owned()).unwrap();
        let (one, other) = (name("a.example"), name("b.example"));
        let whole = digest(&[certificate(b"abcd"), certificate(b"ef")], &one);
        assert_eq!(whole, digest(&[certificate(b"abcd"), certificate(b"ef")], &one));
        assert_ne!(whole, digest(&[certificate(b"abcd"), certificate(b"ef")], &other));
        assert_ne!(whole, digest(&[certificate(b"abc"), certificate(b"def")], &one));
        assert_ne!(whole, digest(&[certificate(b"abcdef")], &one));
    }
}
