//! TLS towards upstreams.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CipherSuite, ClientConfig, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, pem, pem::PemObject},
};

/// HTTP/2, as it is offered (RFC 7301).
pub(super) const H2: &[u8] = b"h2";

/// Why the roots of trust could not be made ready.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The bundle cannot be read, or a certificate in it is damaged.
    #[error("cannot read the CA bundle {}: {source}", path.display())]
    Read {
        /// The bundle.
        path: PathBuf,
        /// What went wrong.
        source: pem::Error,
    },
    /// The bundle holds no certificate.
    #[error("the CA bundle {} holds no certificate", path.display())]
    Empty {
        /// The bundle.
        path: PathBuf,
    },
    /// A certificate in the bundle cannot be a root of trust, or TLS itself cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

/// The Mozilla roots and those of `bundle`.
pub(super) fn roots(bundle: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = bundle {
        let read = |source| TlsError::Read { path: path.to_owned(), source };
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(read)? {
            roots.add(certificate.map_err(read)?)?;
        }
        if roots.len() == before {
            return Err(TlsError::Empty { path: path.to_owned() });
        }
    }
    Ok(roots)
}

/// The cryptography of a client: what rustls has, AES-128 before AES-256. Servers that leave the choice to their client
/// would take the latter otherwise, and with it SHA-384, which few processors have instructions for and every handshake
/// hashes with. Whoever prefers it may still choose it.
pub(super) fn cryptography() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let first = [
        CipherSuite::TLS13_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ];
    provider.cipher_suites.sort_by_key(|suite| (suite.tls13().is_none(), !first.contains(&suite.suite())));
    provider
}

/// Trusts those roots, shows no certificate, and offers HTTP/1.1 alone.
pub(super) fn config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(cryptography());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The name a server must prove to be, from a host of the estate.
pub(super) fn server_name(host: &str) -> io::Result<rustls::pki_types::ServerName<'static>> {
    rustls::pki_types::ServerName::try_from(host.to_owned())
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, format!("`{host}` is no server name: {e}")))
}
