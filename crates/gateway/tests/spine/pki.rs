//! A certificate authority for tests, and clients that speak TLS.

use std::{net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use seawall_gateway::estate::{CertificateSection, ClientAuth, TlsSection};
use seawall_model::{Name, Secret};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::client::PATIENCE;

/// A certificate authority.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
    der: CertificateDer<'static>,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    /// A certificate for these names; one with `://` in it is a URI.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names
            .iter()
            .map(|name| match name.contains("://") {
                true => SanType::URI((*name).try_into().unwrap()),
                false => SanType::DnsName((*name).try_into().unwrap()),
            })
            .collect();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued { chain: certificate.pem(), key: key.serialize_pem() }
    }
}

/// A TLS listener's section.
pub(crate) fn tls(at: SocketAddr, certificates: &[&Issued]) -> TlsSection {
    let named = certificates.iter().enumerate().map(|(i, issued)| CertificateSection {
        name: Name::new(&format!("c{i}")).unwrap(),
        chain: Secret::new(issued.chain.as_str()),
        key: Secret::new(issued.key.as_str()),
    });
    TlsSection {
        listen: vec![at],
        certificates: named.collect(),
        clients: ClientAuth::Off,
        handshake: PATIENCE,
        handshakes: 256,
    }
}

/// A client that trusts `ca`, with a certificate of its own perhaps.
pub(crate) struct Trusting {
    config: Arc<ClientConfig>,
}

impl Trusting {
    pub(crate) fn new(ca: &Ca, own: Option<&Issued>, alpn: &str) -> Self {
        Self::speaking(ca, own, alpn, rustls::ALL_VERSIONS)
    }

    pub(crate) fn speaking(
        ca: &Ca,
        own: Option<&Issued>,
        alpn: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(ca.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            Some(own) => {
                let chain = CertificateDer::pem_slice_iter(own.chain.as_bytes()).collect::<Result<_, _>>();
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain.unwrap(), key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        Self { config: Arc::new(config) }
    }

    /// Shakes hands, as one that wants to speak to `host`.
    pub(crate) async fn shake(&self, at: SocketAddr, host: &str) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(at).await?;
        let host = ServerName::try_from(host.to_owned()).unwrap();
        let shaking = TlsConnector::from(self.config.clone()).connect(host, stream);
        timeout(PATIENCE, shaking).await.expect("an end to the handshake")
    }
}

/// The certificate that the server showed.
pub(crate) fn shown(connection: &ClientConnection) -> CertificateDer<'static> {
    connection.peer_certificates().unwrap()[0].clone().into_owned()
}

/// A certificate as it is shown.
pub(crate) fn der(issued: &Issued) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(issued.chain.as_bytes()).unwrap()
}
