//! TLS as a witness does it: shakes hands with whoever is there, and judges the certificates afterwards.
//!
//! A handshake that ends at the first bad certificate cannot tell which one of the chain it was. Nothing may be
//! sent over the connection before the judgement has been looked at.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

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

use super::{Conn, TlsError, tls::server_name};

/// Most different lists of protocols that are remembered.
const MAX_OFFERS: usize = 64;
/// Most certificates of a chain that are kept.
const MAX_CHAIN: usize = 16;

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
}

impl Witness {
    pub(super) fn new(roots: RootCertStore) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
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
        Ok(Self { judge, config, offers: Mutex::default() })
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

    fn distrust(&self, chain: &[CertificateDer<'static>], name: &ServerName<'static>) -> Option<Distrust> {
        let Some((own, rest)) = chain.split_first() else {
            return Some(Distrust::Other("the server showed no certificate".to_owned()));
        };
        let judged = self.judge.verify_server_cert(own, rest, name, &[], UnixTime::now());
        let error = judged.err()?;
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
                other => Distrust::Other(other.to_string()),
            },
            other => Distrust::Other(other.to_string()),
        })
    }
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
