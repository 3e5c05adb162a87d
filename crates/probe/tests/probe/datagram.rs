//! Datagrams: UDP and NTP against simulated servers, echoes against the machine itself where it allows them.

use std::{fs, net::SocketAddr, time::Duration};

use seawall_probe::{Outcome, core::expect::Pattern};
use tokio::net::UdpSocket;

use crate::{SOON, check, kind, perform};

/// Answers every datagram but the first `deaf` with what is made of it.
async fn server(deaf: usize, answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut room = [0; 2048];
        for heard in 0.. {
            let (length, from) = socket.recv_from(&mut room).await.unwrap();
            if heard >= deaf {
                socket.send_to(&answer(&room[..length]), from).await.unwrap();
            }
        }
    });
    at
}

#[tokio::test]
async fn what_comes_back_is_judged() {
    let at = server(0, |heard| [b"pong ", heard].concat()).await;
    let mut check = check(&format!("udp://{at}"));
    check.body = vec![1, 0xff].into();
    check.expect.contains = Some("pong".into());
    check.expect.bytes = vec![0x20, 1, 0xff];
    let report = perform(&check).await;
    assert_eq!((&report.fault, report.banner.as_deref(), report.remote), (&None, Some("7 bytes"), Some(at)));
    assert!(report.timings.first_byte_us.is_some() && report.timings.connect_us.is_none());
    check.expect.bytes = vec![2];
    assert_eq!(kind(&perform(&check).await), Some("body_bytes"));
    check.expect.bytes.clear();
    check.expect.matches = Some(Pattern::parse("^ping").unwrap());
    assert_eq!(kind(&perform(&check).await), Some("body_pattern"));
}

#[tokio::test]
async fn a_datagram_that_was_lost_is_sent_again() {
    let at = server(1, <[u8]>::to_vec).await;
    let mut lossy = check(&format!("udp://{at}"));
    lossy.body = "hello".into();
    lossy.expect.contains = Some("hello".into());
    assert_eq!(perform(&lossy).await.fault, None);
}

#[tokio::test]
async fn silence_and_a_closed_port_are_told_apart() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut check = check(&format!("udp://{}", silent.local_addr().unwrap()));
    check.timeout = SOON;
    assert_eq!(kind(&perform(&check).await), Some("no_reply"));
    drop(silent);
    assert_eq!(kind(&perform(&check).await), Some("connect_refused"));
}

/// What a server says whose clock shows so many seconds since 1900.
fn time(seconds: u32, stratum: u8, heard: &[u8]) -> Vec<u8> {
    let mut answer = vec![0; 48];
    (answer[0], answer[1]) = (0b00_100_100, stratum);
    answer[12..15].copy_from_slice(b"GPS");
    answer[24..32].copy_from_slice(&heard[40..48]);
    for at in [32, 40] {
        answer[at..at + 4].copy_from_slice(&seconds.to_be_bytes());
    }
    answer
}

#[tokio::test]
async fn clocks_are_compared() {
    // Noon of 1 January 2020, which is past.
    let at = server(0, |heard| time(3_786_868_800, 1, heard)).await;
    let mut check = check(&format!("ntp://{at}"));
    let report = perform(&check).await;
    let ntp = report.ntp.unwrap();
    assert_eq!((report.fault, ntp.stratum, ntp.reference.as_str()), (None, 1, "GPS"));
    assert!(ntp.offset_us < -100_000_000_000_000 && ntp.delay_us < 5_000_000, "{ntp:?}");
    check.expect.max_offset = Some(Duration::from_secs(1));
    assert_eq!(kind(&perform(&check).await), Some("clock_offset"));
    let lost = server(0, |heard| time(3_786_868_800, 16, heard)).await;
    assert_eq!(kind(&perform(&crate::check(&format!("ntp://{lost}"))).await), Some("ntp_unsynchronised"));
    // Whoever did not see the question cannot answer it.
    let forged = server(0, |_| time(3_786_868_800, 1, &[0; 48])).await;
    let mut forged = crate::check(&format!("ntp://{forged}"));
    forged.timeout = SOON;
    assert_eq!(kind(&perform(&forged).await), Some("no_reply"));
}

#[tokio::test]
async fn an_echo_comes_back_or_the_cure_is_told() {
    let report = perform(&check("icmp://127.0.0.1")).await;
    let range = fs::read_to_string("/proc/sys/net/ipv4/ping_group_range").unwrap();
    let range: Vec<u64> = range.split_whitespace().map(|end| end.parse().unwrap()).collect();
    let (everybody, nobody) = (range[0] == 0 && range[1] > u64::from(u16::MAX), range[0] > range[1]);
    match &report.fault {
        None => {
            assert!(!nobody && report.outcome() == Outcome::Up);
            assert!(report.banner.unwrap().starts_with("an echo after"));
        }
        Some(fault) => {
            assert!(!everybody, "{fault}");
            assert_eq!((kind(&report), report.outcome()), (Some("icmp_forbidden"), Outcome::Unknown));
            assert!(fault.cure().contains("ping_group_range"));
        }
    }
}
