//! The system's network against real sockets on the loopback interface.

#![expect(clippy::unwrap_used, reason = "what a test makes use of may fail it")]

use std::{io, path::Path, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use seawall_runtime::{
    Machine,
    net::{Conn, Endpoint, Listener, system::TlsError},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

fn listen(machine: &Machine, at: &str, shared: bool) -> io::Result<Box<dyn Listener>> {
    machine.net.listen(at.parse().unwrap(), shared)
}

async fn ask(machine: &Machine, host: &str, port: u16, tls: bool) -> io::Result<Vec<u8>> {
    let mut conn = machine.net.connect(&Endpoint { host: host.into(), port, tls, credentials: None }).await?;
    conn.write_all(b"question").await?;
    conn.flush().await?;
    let mut answer = vec![0; 6];
    conn.read_exact(&mut answer).await?;
    Ok(answer)
}

async fn answer(conn: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> io::Result<()> {
    conn.read_exact(&mut [0; 8]).await?;
    conn.write_all(b"answer").await?;
    conn.flush().await
}

#[tokio::test]
async fn names_and_literals_are_dialled() {
    let machine = Machine::system(None, Arc::default()).unwrap();
    let mut listener = listen(&machine, "127.0.0.1:0", false).unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost"] {
        let (answered, ()) = tokio::join!(ask(&machine, host, port, false), async {
            let (mut conn, _) = listener.accept().await.unwrap();
            assert!(matches!(&conn, Conn::Tcp(s) if s.nodelay().unwrap()));
            answer(&mut conn).await.unwrap();
        });
        assert_eq!(answered.unwrap(), b"answer");
    }
    drop(listener);
    let refused = ask(&machine, "127.0.0.1", port, false).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert!(refused.to_string().contains(&port.to_string()), "{refused}");
    let unknown = ask(&machine, "no-such-host.invalid", port, false).await.unwrap_err();
    assert_eq!(unknown.kind(), io::ErrorKind::NotFound, "{unknown}");
    assert!(machine.metrics.encode().contains(r#"seawall_net_lookups_total{outcome="failed"} 1"#));
}

#[tokio::test]
async fn only_shared_listeners_share_a_port() {
    let machine = Machine::system(None, Arc::default()).unwrap();
    for (first, second, both) in [(true, true, true), (false, true, false), (true, false, false)] {
        let listener = listen(&machine, "127.0.0.1:0", first).unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let other = listen(&machine, &at, second);
        assert_eq!(other.is_ok(), both, "{first} then {second}");
        if let Err(e) = other {
            assert_eq!(e.kind(), io::ErrorKind::AddrInUse);
            assert!(e.to_string().contains(&at), "{e}");
        }
    }
}

/// A CA's certificate as PEM, and a server for `localhost` whose certificate it signed.
fn authority() -> (String, TlsAcceptor) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(vec![]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])
        .unwrap()
        .signed_by(&key, &Issuer::new(ca, ca_key))
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (root, Arc::new(config).into())
}

#[tokio::test]
async fn a_server_must_prove_its_name_to_a_root_of_trust() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("ca.pem");
    let (root, acceptor) = authority();
    std::fs::write(&bundle, root).unwrap();
    for (bundle, host, wanted) in [
        (Some(&*bundle), "localhost", Ok(b"answer".to_vec())),
        (Some(&*bundle), "127.0.0.1", Err("not valid for name")),
        (None, "localhost", Err("UnknownIssuer")),
    ] {
        let machine = Machine::system(bundle, Arc::default()).unwrap();
        let mut listener = listen(&machine, "127.0.0.1:0", false).unwrap();
        let port = listener.local_addr().unwrap().port();
        let serve = async {
            let (conn, _) = listener.accept().await.unwrap();
            let mut conn = acceptor.accept(conn).await?;
            assert_eq!(conn.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
            answer(&mut conn).await
        };
        let (got, served) = tokio::join!(ask(&machine, host, port, true), serve);
        assert_eq!(served.is_ok(), wanted.is_ok(), "{served:?}");
        match (got, wanted) {
            (Ok(got), Ok(wanted)) => assert_eq!(got, wanted),
            (Err(e), Err(why)) => assert!(e.to_string().contains(why), "{e}"),
            (got, wanted) => panic!("{got:?}, not {wanted:?}"),
        }
    }
}

#[test]
fn a_bundle_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: &Path| Machine::system(Some(path), Arc::default()).err().unwrap();
    let missing = dir.path().join("missing.pem");
    assert!(matches!(refused(&missing), TlsError::Read { path, .. } if path == missing));
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    assert!(matches!(refused(&empty), TlsError::Empty { path } if path == empty));
    let bad = dir.path().join("bad.pem");
    std::fs::write(&bad, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    assert!(matches!(refused(&bad), TlsError::Rustls(_)));
}
