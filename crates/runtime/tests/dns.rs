//! The system's resolver against a name server that goes wrong. It needs a name server's port and the machine's
//! own resolver pointed at it, so it runs in a network of its own: `make test-lab`.

#![expect(clippy::unwrap_used, reason = "what a test makes use of may fail it")]

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use seawall_runtime::{
    metrics::Metrics,
    net::{Endpoint, Net, system::SystemNet},
};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::watch,
};

/// What the name server says.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Says {
    /// The address.
    Truth,
    /// There is such a name, and no address of it.
    Empty,
    /// There is no such name.
    NxDomain,
    /// That it cannot say.
    ServFail,
    /// Nothing at all.
    Silence,
}

/// The answer to a query (RFC 1035, section 4.1): its question, and one address if there is one to be told.
fn answer(query: &[u8], says: Says) -> Vec<u8> {
    let question = 12 + query[12..].iter().position(|b| *b == 0).unwrap() + 5;
    let wants_a = query[question - 4..question - 2] == [0, 1];
    let told = says == Says::Truth && wants_a;
    let code = match says {
        Says::Truth | Says::Empty | Says::Silence => 0,
        Says::ServFail => 2,
        Says::NxDomain => 3,
    };
    let mut answer = query[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(told), 0, 0, 0, 0]);
    answer.extend(&query[12..question]);
    if told {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
        answer.extend(Ipv4Addr::LOCALHOST.octets());
    }
    answer
}

async fn serve(says: watch::Receiver<Says>, asked: Arc<AtomicUsize>) {
    let socket = UdpSocket::bind("127.0.0.1:53").await.unwrap();
    let mut query = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut query).await.unwrap();
        asked.fetch_add(1, Relaxed);
        let says = *says.borrow();
        if says != Says::Silence {
            socket.send_to(&answer(&query[..length], says), from).await.unwrap();
        }
    }
}

/// Ten minutes of everything that a broken name server may say, in steps of ten seconds, as long as an answer is
/// good for: every connection is made, by the last good address.
#[tokio::test]
#[ignore = "needs a network of its own: make test-lab"]
async fn ten_minutes_of_a_broken_name_server_cost_no_connection() {
    let (told, says) = watch::channel(Says::NxDomain);
    let asked = Arc::new(AtomicUsize::new(0));
    tokio::spawn(serve(says, asked.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let net = SystemNet::new(None, Arc::default(), &Metrics::default()).unwrap();
    let connect = async |host: &str| {
        let to = Endpoint { host: host.into(), port, tls: false, credentials: None };
        net.connect(&to).await.is_ok()
    };
    assert!(!connect("node.example").await, "a name that never was is not made up");
    told.send_replace(Says::Truth);
    pass(Duration::from_secs(10)).await;
    assert!(connect("node.example").await);
    for broken in [Says::Empty, Says::NxDomain, Says::ServFail, Says::Silence] {
        told.send_replace(broken);
        let (before, steps) = (asked.load(Relaxed), if broken == Says::Silence { 6 } else { 60 });
        for step in 0..steps {
            pass(Duration::from_secs(10)).await;
            assert!(connect("node.example").await, "{broken:?}, step {step}");
        }
        assert!(asked.load(Relaxed) >= before + steps, "it goes on asking");
    }
    // Names of the hosts file need no name server.
    assert!(connect("localhost").await);
}

/// Lets simulated time pass: the sockets are real, and need the clock to run while they are waited for.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
