//! What a client shows of itself over TLS, and whom it trusts there: for servers that ask who is calling, and those whose
//! certificates are by an authority of their own.

use std::{
    fmt,
    hash::{Hash, Hasher},
    io,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, RootCertStore,
    client::ResolvesClientCert,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
    sign::SingleCertAndKey,
};
use seawall_model::{Secret, Wall};
use tokio_rustls::TlsConnector;

use super::{
    server_tls::{Pair, read},
    tls,
};

/// Why credentials cannot be used. Holds nothing of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The certificate, or its key, is none, or they do not belong together.
    #[error("the client certificate cannot be used: {0}")]
    Pair(String),
    /// The authorities of servers' certificates cannot be used.
    #[error("the authorities of the server's certificate: {0}")]
    Authorities(String),
}

/// How to shake hands with servers that want more than the usual. Cheap to clone; the same if made of the same text.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    /// Chain and key as PEM, and the authorities; what two of them are compared by.
    text: (Option<(Secret, Secret)>, Option<Secret>),
    shown: Option<Arc<dyn ResolvesClientCert>>,
    /// Those to trust in place of the usual ones.
    roots: Option<RootCertStore>,
    end: Option<Wall>,
    connector: OnceLock<TlsConnector>,
}

impl Credentials {
    /// Shows the certificate of `pair` (a chain and its private key) where a server asks for one, and trusts `authorities` in
    /// place of the usual roots where it is given. All of it is PEM.
    ///
    /// # Errors
    /// If any of it cannot be used. Dates are not looked at: servers do that, and see [`Self::end`].
    pub fn new(
        pair: Option<(Secret, Secret)>,
        authorities: Option<Secret>,
    ) -> Result<Self, CredentialsError> {
        let (mut shown, mut end) = (None, None);
        if let Some((chain, key)) = &pair {
            let pair = Pair { name: "client", chain: chain.expose(), key: key.expose() };
            let read = read(&pair, &aws_lc_rs::default_provider()).map_err(CredentialsError::Pair)?;
            end = Some(read.end);
            shown = Some(Arc::new(SingleCertAndKey::from(read.key)) as Arc<dyn ResolvesClientCert>);
        }
        let roots = authorities.as_ref().map(|pem| roots(pem.expose())).transpose()?;
        let connector = OnceLock::new();
        Ok(Self(Arc::new(Inner { text: (pair, authorities), shown, roots, end, connector })))
    }

    /// When the earliest of the certificates shown ends.
    pub fn end(&self) -> Option<Wall> {
        self.0.end
    }

    /// Shakes hands by these credentials; trusts `usual` where they name no authorities of their own.
    pub(super) fn connector(&self, usual: &RootCertStore) -> io::Result<&TlsConnector> {
        if let Some(made) = self.0.connector.get() {
            return Ok(made);
        }
        let roots = self.0.roots.as_ref().unwrap_or(usual).clone();
        let mut config = tls::config(roots).map_err(io::Error::other)?;
        if let Some(shown) = &self.0.shown {
            config.client_auth_cert_resolver = shown.clone();
        }
        let made = TlsConnector::from(Arc::<ClientConfig>::new(config));
        Ok(self.0.connector.get_or_init(|| made))
    }

    /// The texts, in an order that two can be compared by.
    fn texts(&self) -> [Option<&str>; 3] {
        let (pair, authorities) = &self.0.text;
        let pair = pair.as_ref();
        [
            pair.map(|(chain, _)| chain.expose()),
            pair.map(|(_, key)| key.expose()),
            authorities.as_ref().map(Secret::expose),
        ]
    }
}

fn roots(pem: &str) -> Result<RootCertStore, CredentialsError> {
    let bad = |why: String| CredentialsError::Authorities(why);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| bad("the text is not PEM".to_owned()))?;
        roots.add(certificate).map_err(|e| bad(e.to_string()))?;
    }
    if roots.is_empty() { Err(bad("there is no certificate in PEM form".to_owned())) } else { Ok(roots) }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

impl PartialEq for Credentials {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.texts() == other.texts()
    }
}

impl Eq for Credentials {}

impl PartialOrd for Credentials {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Credentials {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.texts().cmp(&other.texts())
    }
}

impl Hash for Credentials {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.texts()[0].hash(state);
    }
}
