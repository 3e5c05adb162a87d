//! TLS, against rustls' server with certificates good and bad.

use std::io::Write as _;

use seawall_probe::{Fault, Kept, Report};

use crate::{
    check, kind,
    pki::{Ca, FAR, LONG_AGO, serve},
    prober,
};

const NOW: i32 = 2020;

/// What is found of a server by a prober that trusts `root`.
async fn seen(root: &Ca, target: &str) -> Report {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(root.pem.as_bytes()).unwrap();
    prober(Some(file.path())).perform(&check(target), &mut Kept::default()).await
}

#[tokio::test]
async fn a_good_chain_is_shown() {
    let root = Ca::root("Root");
    let middle = root.under("Middle", FAR - 1);
    let (own, key) = middle.issue("localhost", NOW, FAR);
    let at = serve(vec![own, middle.der.clone()], key, &["http/1.1"]).await;
    let report = seen(&root, &format!("https://localhost:{}/", at.port())).await;
    assert_eq!(report.fault, None);
    let tls = report.tls.unwrap();
    assert_eq!((tls.version, tls.alpn.as_deref()), ("TLSv1.3", Some("http/1.1")));
    let chain: Vec<_> = tls.chain.iter().map(|c| (c.subject.as_str(), c.issuer.as_str())).collect();
    assert_eq!(chain, [("localhost", "Middle"), ("Middle", "Root")]);
    assert_eq!(tls.outlives, Some(1), "the authority ends before what it issued");
    assert!(report.timings.dns_us.is_some() && report.timings.tls_us.is_some());
}

#[tokio::test]
async fn each_bad_chain_is_told_apart() {
    let root = Ca::root("Root");
    let middle = root.under("Middle", FAR);
    let ended = root.under("Old middle", LONG_AGO);
    let chains = [
        (&middle, "localhost", LONG_AGO - 1, LONG_AGO, true, "tls_expired"),
        (&middle, "localhost", FAR - 1, FAR, true, "tls_not_yet_valid"),
        (&middle, "shop.example", NOW, FAR, true, "tls_name"),
        (&middle, "localhost", NOW, FAR, false, "tls_untrusted"),
        (&ended, "localhost", NOW, FAR, true, "tls_expired"),
    ];
    for (issuer, name, from, until, whole, wanted) in chains {
        let (own, key) = issuer.issue(name, from, until);
        let chain = if whole { vec![own, issuer.der.clone()] } else { vec![own] };
        let at = serve(chain, key, &[]).await;
        let report = seen(&root, &format!("tls://localhost:{}", at.port())).await;
        assert_eq!(kind(&report), Some(wanted), "{name} {from}-{until}: {:?}", report.fault);
        assert!(report.tls.is_some_and(|tls| !tls.chain.is_empty()), "the chain is shown all the same");
        if let Some(Fault::TlsExpired { which, subject, .. }) = report.fault {
            let old = until == LONG_AGO;
            assert_eq!((which, subject.as_str()), if old { (0, "localhost") } else { (1, "Old middle") });
        }
    }
    let stranger = Ca::root("Stranger");
    let (own, key) = stranger.issue("localhost", NOW, FAR);
    let at = serve(vec![own], key, &[]).await;
    let report = seen(&root, &format!("https://localhost:{}/", at.port())).await;
    assert_eq!(kind(&report), Some("tls_untrusted"));
    assert!(report.http.is_none(), "nothing is sent to whom nobody trusts");
}

#[tokio::test]
async fn protocols_are_agreed_on_or_not() {
    let root = Ca::root("Root");
    let (own, key) = root.issue("localhost", NOW, FAR);
    let at = serve(vec![own], key, &["h2"]).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(root.pem.as_bytes()).unwrap();
    let prober = prober(Some(file.path()));
    let mut check = check(&format!("tls://localhost:{}", at.port()));
    check.alpn = vec!["h2".into()];
    assert_eq!(kind(&prober.perform(&check, &mut Kept::default()).await), None);
    check.alpn = vec!["http/1.1".into()];
    assert_eq!(kind(&prober.perform(&check, &mut Kept::default()).await), Some("tls_alpn"));
}

#[tokio::test]
async fn what_speaks_no_tls_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 mail ESMTP\r\n").await;
        }
    });
    let report = seen(&Ca::root("Root"), &format!("tls://localhost:{}", at.port())).await;
    assert_eq!(kind(&report), Some("tls_handshake"));
}
