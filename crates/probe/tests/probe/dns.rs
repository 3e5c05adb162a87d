//! DNS, against a simulated name server: it is made of bytes and knows nothing of the codec that reads them.

use std::net::SocketAddr;

use seawall_probe::core::report::DnsFacts;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use crate::{SOON, check, kind, perform};

/// What a name server says of everything that is asked of it.
#[derive(Debug, Clone, Copy)]
enum Says {
    Address,
    Empty,
    NxDomain,
    ServFail,
    Serial,
    /// More than fits into a datagram.
    Much,
    /// An answer to another question first, then none.
    Alien,
    Silence,
}

/// The answer (RFC 1035, section 4.1), shortened where it does not fit.
fn answer(query: &[u8], says: Says, tcp: bool) -> Option<Vec<u8>> {
    let question = 12 + query[12..].iter().position(|b| *b == 0)? + 5;
    let owner = [0xc0, 12];
    let address = |last| [&owner[..], &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, last]].concat();
    let (code, count, cut, records) = match says {
        Says::Address => (0, 1, false, address(7)),
        Says::Empty => (0, 0, false, Vec::new()),
        Says::NxDomain => (3, 0, false, Vec::new()),
        Says::ServFail => (2, 0, false, Vec::new()),
        Says::Serial => {
            let names = [&[2, b'n', b's', 0xc0, 12][..], &[4, b'r', b'o', b'o', b't', 0xc0, 12]].concat();
            let numbers = [2_026_u32, 3600, 600, 86_400, 60].map(u32::to_be_bytes).concat();
            let data = [names, numbers].concat();
            let length = u8::try_from(data.len()).ok()?;
            (0, 1, false, [&owner[..], &[0, 6, 0, 1, 0, 0, 1, 0, 0, length], &data].concat())
        }
        Says::Much if tcp => (0, 40, false, (0..40).flat_map(address).collect()),
        Says::Much => (0, 0, true, Vec::new()),
        Says::Alien => (0, 1, false, address(9)),
        Says::Silence => return None,
    };
    let mut answer = query[..2].to_vec();
    if matches!(says, Says::Alien) {
        answer[0] ^= 0xff;
    }
    answer.extend([0x81 | if cut { 2 } else { 0 }, 0xa0 | code, 0, 1, 0, count, 0, 0, 0, 0]);
    answer.extend(&query[12..question]);
    answer.extend(records);
    Some(answer)
}

async fn name_server(says: Says) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(at).await.unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        loop {
            let (length, from) = socket.recv_from(&mut query).await.unwrap();
            if let Some(answer) = answer(&query[..length], says, false) {
                socket.send_to(&answer, from).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut query).await.unwrap();
            if let Some(answer) = answer(&query, says, true) {
                stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        }
    });
    at
}

async fn asked(says: Says, kind: &str) -> (Option<&'static str>, Option<Box<DnsFacts>>) {
    let at = name_server(says).await;
    let mut check = check(&format!("dns://{at}/shop.example?type={kind}"));
    if matches!(says, Says::Silence | Says::Alien) {
        check.timeout = SOON;
    }
    let report = perform(&check).await;
    assert!(report.timings.dns_us.is_some());
    (crate::kind(&report), report.dns)
}

#[tokio::test]
async fn what_a_resolver_says_is_told_apart() {
    assert_eq!(asked(Says::Address, "A").await.0, None);
    assert_eq!(asked(Says::Empty, "A").await.0, Some("dns_empty"));
    assert_eq!(asked(Says::NxDomain, "A").await.0, Some("dns_nxdomain"));
    assert_eq!(asked(Says::ServFail, "A").await.0, Some("dns_failed"));
    assert_eq!(asked(Says::Silence, "A").await.0, Some("dns_timeout"));
    assert_eq!(asked(Says::Alien, "A").await.0, Some("dns_timeout"), "another question's answer is none");
    assert_eq!(asked(Says::Address, "AAAA").await.0, Some("dns_empty"), "there is a record, of another type");
}

#[tokio::test]
async fn an_answer_is_read() {
    let facts = asked(Says::Address, "A").await.1.unwrap();
    assert_eq!((facts.answers, facts.ttl, facts.authentic), (vec!["192.0.2.7".to_owned()], Some(60), true));
    let facts = asked(Says::Serial, "SOA").await.1.unwrap();
    assert_eq!(facts.serial, Some(2_026));
    let facts = asked(Says::Much, "A").await.1.unwrap();
    assert_eq!((facts.answers.len(), facts.tcp), (40, true), "it did not fit into a datagram");
}

#[tokio::test]
async fn records_can_be_expected() {
    let at = name_server(Says::Address).await;
    let mut check = check(&format!("dns://{at}/shop.example"));
    check.expect.answers = vec!["192.0.2.7".into()];
    assert_eq!(kind(&perform(&check).await), None);
    check.expect.answers = vec!["192.0.2.8".into()];
    assert_eq!(kind(&perform(&check).await), Some("dns_answer"));
}

#[tokio::test]
async fn a_host_can_be_looked_up_at_a_resolver() {
    for (says, wanted) in
        [(Says::Empty, "dns_empty"), (Says::NxDomain, "dns_nxdomain"), (Says::ServFail, "dns_failed")]
    {
        let mut check = check("http://shop.example/");
        check.resolver = Some(name_server(says).await);
        let report = perform(&check).await;
        assert_eq!(kind(&report), Some(wanted));
    }
}
