use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Builder,
    time::{Instant, sleep, timeout},
};

use super::*;

const FIXED: Latency = Latency { base: Duration::from_millis(10), jitter: Duration::ZERO };

/// Two hosts, `a` and `b`, ten milliseconds apart; `b` listens on port 80.
struct Bench {
    net: SimNet,
    listener: Box<dyn Listener>,
}

impl Bench {
    fn new() -> Self {
        let net = SimNet::new(Seed::new(7));
        net.link("a", "b", FIXED);
        let listener = net.host("b").listen("0.0.0.0:80".parse().unwrap(), false).unwrap();
        Self { net, listener }
    }

    async fn connect(&self) -> io::Result<Conn> {
        self.net.host("a").connect(&endpoint("b")).await
    }

    /// A connection, as `a` and `b` have it.
    async fn pair(&mut self) -> (Conn, Conn) {
        let a = self.net.host("a");
        let b = endpoint("b");
        let (client, server) = tokio::join!(a.connect(&b), self.listener.accept());
        (client.unwrap(), server.unwrap().0)
    }
}

fn endpoint(host: &str) -> Endpoint {
    Endpoint { host: host.into(), port: 80, tls: false, credentials: None }
}

fn ms(since: Instant) -> u128 {
    since.elapsed().as_millis()
}

/// What one read gives: bytes as text, `end`, an error's kind, or `silence` after a minute of it.
async fn read(conn: &mut Conn) -> String {
    let mut buf = [0; 64];
    match timeout(Duration::from_secs(60), conn.read(&mut buf)).await {
        Ok(Ok(0)) => "end".into(),
        Ok(Ok(n)) => String::from_utf8_lossy(&buf[..n]).into(),
        Ok(Err(e)) => e.kind().to_string(),
        Err(_) => "silence".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_takes_a_round_trip_and_bytes_take_one_way() {
    let mut bench = Bench::new();
    let began = Instant::now();
    let (mut a, mut b) = bench.pair().await;
    assert_eq!(ms(began), 20);
    a.write_all(b"ping").await.unwrap();
    assert_eq!((read(&mut b).await.as_str(), ms(began)), ("ping", 30));
    b.write_all(b"pong").await.unwrap();
    b.shutdown().await.unwrap();
    assert_eq!((read(&mut a).await.as_str(), ms(began)), ("pong", 40));
    assert_eq!(read(&mut a).await, "end");
    // The other way is still open.
    a.write_all(b"more").await.unwrap();
    assert_eq!(read(&mut b).await, "more");
    assert_eq!(b.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn nobody_there() {
    let bench = Bench::new();
    let a = bench.net.host("a");
    let kind = async |to: &Endpoint| a.connect(to).await.err().unwrap().kind();
    assert_eq!(kind(&endpoint("c")).await, io::ErrorKind::NotFound);
    assert_eq!(kind(&Endpoint { port: 81, ..endpoint("b") }).await, io::ErrorKind::ConnectionRefused);
    assert_eq!(kind(&endpoint("127.0.0.1")).await, io::ErrorKind::ConnectionRefused);
    let taken = bench.net.host("b").listen("0.0.0.0:80".parse().unwrap(), true);
    assert_eq!(taken.err().unwrap().kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test(start_paused = true)]
async fn a_shared_port_spreads_connections() {
    let net = SimNet::new(Seed::new(1));
    let at = "0.0.0.0:80".parse().unwrap();
    let mut listeners = [0, 1].map(|_| net.host("b").listen(at, true).unwrap());
    let a = net.host("a");
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(a.connect(&endpoint("b")).await.unwrap());
    }
    for listener in &mut listeners {
        let mut accepted = 0;
        while timeout(Duration::from_millis(1), listener.accept()).await.is_ok() {
            accepted += 1;
        }
        assert!((5..=15).contains(&accepted), "{accepted} of 20");
    }
}

/// Breaks `b` between connecting and sending `request`, mends it a minute later: what `b` reads and `a` reads
/// meanwhile, what a new connection comes to, and what `b` reads and `a` reads once `a` has sent `again`.
async fn check(fault: Fault, wanted: [&str; 5]) {
    let mut bench = Bench::new();
    let (mut a, mut b) = bench.pair().await;
    b.write_all(b"hello").await.unwrap();
    sleep(Duration::from_secs(1)).await;
    bench.net.fault("b", Some(fault));
    a.write_all(b"request").await.unwrap();
    let mut got = vec![read(&mut b).await, read(&mut a).await];
    got.push(match timeout(Duration::from_secs(60), bench.connect()).await {
        Ok(Ok(_)) => "connected".into(),
        Ok(Err(e)) => e.kind().to_string(),
        Err(_) => "hangs".into(),
    });
    bench.net.fault("b", None);
    let _ = a.write_all(b"again").await;
    sleep(Duration::from_secs(1)).await;
    got.extend([read(&mut b).await, read(&mut a).await]);
    assert_eq!(got, wanted, "{fault:?}");
}

#[tokio::test(start_paused = true)]
async fn faults() {
    check(Fault::Down, ["request", "hello", "connection refused", "again", "silence"]).await;
    check(Fault::Blackhole, ["silence", "silence", "hangs", "requestagain", "hello"]).await;
    check(Fault::Freeze, ["silence", "silence", "connected", "requestagain", "hello"]).await;
    let drip = Fault::Drip { bytes: 2, every: Duration::from_secs(1) };
    check(drip, ["request", "he", "connected", "again", "llo"]).await;
    check(Fault::Vanish, ["silence", "hello", "hangs", "connection reset", "connection reset"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_hangs_goes_on_when_the_fault_ends() {
    let mut bench = Bench::new();
    bench.net.fault("b", Some(Fault::Blackhole));
    let net = bench.net.clone();
    let mend = async {
        sleep(Duration::from_secs(5)).await;
        net.fault("b", None);
    };
    let began = Instant::now();
    let ((mut a, mut b), ()) = tokio::join!(bench.pair(), mend);
    assert_eq!(ms(began), 5_010);
    // A reader that already waits when a fault begins, and another when it ends.
    let net = bench.net.clone();
    let freeze = async {
        a.write_all(b"late").await.unwrap();
        net.fault("b", Some(Fault::Freeze));
        sleep(Duration::from_secs(5)).await;
        net.fault("b", None);
    };
    assert_eq!(tokio::join!(read(&mut b), freeze).0, "late");
    assert_eq!(ms(began), 10_010);
}

#[tokio::test(start_paused = true)]
async fn drips_come_at_their_pace() {
    let mut bench = Bench::new();
    let (mut a, mut b) = bench.pair().await;
    bench.net.fault("b", Some(Fault::Drip { bytes: 3, every: Duration::from_secs(1) }));
    let began = Instant::now();
    b.write_all(b"0123456789").await.unwrap();
    for (part, at) in [("012", 10), ("345", 1_010), ("678", 2_010), ("9", 3_010)] {
        assert_eq!((read(&mut a).await.as_str(), ms(began)), (part, at));
    }
}

#[tokio::test(start_paused = true)]
async fn resets_reach_both_ends_at_once() {
    let mut bench = Bench::new();
    let (mut a, mut b) = bench.pair().await;
    let net = bench.net.clone();
    let reset = async move { net.reset("b") };
    let (at_a, at_b, ()) = tokio::join!(read(&mut a), read(&mut b), reset);
    assert_eq!((at_a.as_str(), at_b.as_str()), ("connection reset", "connection reset"));
    assert_eq!(a.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn closing_with_bytes_unread_resets() {
    let mut bench = Bench::new();
    let (mut a, b) = bench.pair().await;
    a.write_all(b"unread").await.unwrap();
    sleep(Duration::from_millis(50)).await;
    drop(b);
    assert_eq!(read(&mut a).await, "connection reset");
}

#[tokio::test(start_paused = true)]
async fn writing_to_the_closed_is_told_a_round_trip_later() {
    let mut bench = Bench::new();
    let (mut a, b) = bench.pair().await;
    drop(b);
    a.write_all(b"too late").await.unwrap();
    assert_eq!(read(&mut a).await, "end");
    sleep(Duration::from_millis(20)).await;
    assert_eq!(a.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    drop(a);
    assert_eq!(bench.net.lock().open_connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_holds_its_writer_up() {
    let mut bench = Bench::new();
    let (mut a, mut b) = bench.pair().await;
    let all = vec![7; 1 << 20];
    assert!(timeout(Duration::from_secs(60), a.write_all(&all)).await.is_err());
    let mut got = vec![0; 256 * 1024];
    b.read_exact(&mut got).await.unwrap();
    let (sent, received) =
        tokio::join!(a.write_all(&all), async { b.read_exact(&mut vec![0; 1 << 20]).await });
    sent.unwrap();
    received.unwrap();
}

#[tokio::test(start_paused = true)]
async fn giving_up_on_a_connection_closes_it() {
    let mut bench = Bench::new();
    assert!(timeout(Duration::from_millis(15), bench.connect()).await.is_err());
    let (mut b, _) = bench.listener.accept().await.unwrap();
    assert_eq!(read(&mut b).await, "end");
    drop(b);
    bench.connect().await.unwrap();
    drop(bench.listener);
    assert_eq!(bench.net.lock().open_connections(), 0);
}

/// Runs `work` on a runtime of its own in paused time.
fn simulate<F: Future>(work: F) -> F::Output {
    Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(work)
}

/// Clients that send and are echoed while faults come and go; every event with its time.
async fn story(seed: u64) -> Vec<String> {
    const FAULTS: [Option<Fault>; 6] = [
        None,
        Some(Fault::Down),
        Some(Fault::Blackhole),
        Some(Fault::Freeze),
        Some(Fault::Drip { bytes: 10, every: Duration::from_millis(7) }),
        Some(Fault::Vanish),
    ];
    let (seed, log) = (Seed::new(seed), Arc::new(Mutex::new(Vec::new())));
    let (net, began) = (SimNet::new(seed), Instant::now());
    let mut listener = net.host("server").listen("0.0.0.0:80".parse().unwrap(), false).unwrap();
    tokio::spawn(async move {
        while let Ok((conn, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = tokio::io::split(conn);
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    let clients: Vec<_> = (0..5)
        .map(|n| {
            let (name, log) = (format!("client-{n}"), log.clone());
            let (host, mut rng) = (net.host(&name), seed.rng(&name));
            tokio::spawn(async move {
                for _ in 0..20 {
                    let asked = async {
                        let mut conn = host.connect(&endpoint("server")).await?;
                        let bytes: Vec<u8> = (0..rng.usize(1..500)).map(|_| rng.u8(..)).collect();
                        conn.write_all(&bytes).await?;
                        let mut echo = vec![0; bytes.len()];
                        conn.read_exact(&mut echo).await?;
                        assert_eq!(echo, bytes);
                        io::Result::Ok(bytes.len())
                    };
                    let said = timeout(Duration::from_millis(100), asked).await;
                    log.lock().unwrap().push(format!("{:?} {name} {said:?}", began.elapsed()));
                }
            })
        })
        .collect();
    let mut rng = seed.rng("faults");
    while clients.iter().any(|c| !c.is_finished()) {
        sleep(Duration::from_millis(rng.u64(1..60))).await;
        match rng.usize(..7) {
            6 => net.reset("server"),
            n => net.fault("server", FAULTS[n]),
        }
    }
    for client in clients {
        client.await.unwrap();
    }
    Arc::into_inner(log).unwrap().into_inner().unwrap()
}

#[test]
fn a_run_is_its_seed() {
    let told: Vec<_> = (0..10).map(|seed| simulate(story(seed))).collect();
    for (seed, first) in told.iter().enumerate() {
        assert_eq!(&simulate(story(seed as u64)), first, "seed {seed}");
        assert!(seed == 0 || first != &told[0], "seed {seed} is like seed 0");
    }
    // The story is worth telling: some are served and some are not.
    let all = told.concat();
    assert!(
        all.iter().any(|l| l.contains("Ok(Ok(")) && all.iter().any(|l| l.contains("Elapsed")),
        "{all:#?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever the latency, the drips and the faults that end: what is read is what was written.
    #[test]
    fn streams_keep_their_bytes(
        seed in 0_u64..,
        base in 0_u64..50,
        jitter in 0_u64..50,
        writes in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..2000), 0_u64..20), 0..30),
        reads in prop::collection::vec(1_usize..3000, 1..10),
        troubles in prop::collection::vec((1_u64..40, 0_usize..4), 0..20),
    ) {
        let wanted: Vec<u8> = writes.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let got = simulate(async move {
            let mut bench = Bench::new();
            bench.net = SimNet::new(Seed::new(seed));
            bench.listener = bench.net.host("b").listen("0.0.0.0:80".parse().unwrap(), false).unwrap();
            let latency = Latency { base: Duration::from_millis(base), jitter: Duration::from_millis(jitter) };
            bench.net.link("a", "b", latency);
            let (mut a, mut b) = bench.pair().await;
            let net = bench.net.clone();
            let trouble = async move {
                let drip = Fault::Drip { bytes: 1 + base as usize, every: Duration::from_millis(1 + jitter) };
                for (wait, n) in troubles {
                    sleep(Duration::from_millis(wait)).await;
                    let fault = [None, Some(Fault::Freeze), Some(Fault::Blackhole), Some(drip)][n];
                    net.fault("a", fault);
                }
                net.fault("a", None);
            };
            let write = async move {
                for (bytes, wait) in writes {
                    a.write_all(&bytes).await.unwrap();
                    sleep(Duration::from_millis(wait)).await;
                }
                a.shutdown().await.unwrap();
                a
            };
            let read = async move {
                let mut got = Vec::new();
                for size in reads.iter().cycle() {
                    let mut buf = vec![0; *size];
                    let n = b.read(&mut buf).await.unwrap();
                    if n == 0 {
                        break;
                    }
                    got.extend_from_slice(&buf[..n]);
                }
                got
            };
            tokio::join!(write, read, trouble).1
        });
        prop_assert_eq!(got, wanted);
    }
}
