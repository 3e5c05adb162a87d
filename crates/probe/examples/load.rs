//! How much many checks cost: `load serve ADDRESS [CA]` answers HTTP there (on ports from the one given, each with its own
//! listener), over TLS if a file is named, to which its authority is written; `load run ADDRESS TARGETS SECONDS [reuse | CA]`
//! checks so many targets there, each every ten seconds, for so long, and tells what it cost and how late they were.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring tool")]

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use seawall_probe::{Check, Finished, Outcome, Plan, Planned, Prober, Runner, Sink, core::schedule::Bounds};
use seawall_runtime::{Machine, net::sockets::Sockets};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// Ports that are listened on.
const PORTS: u16 = 64;
/// Time from one check of a target to the next.
const EVERY: Duration = Duration::from_secs(10);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let at: SocketAddr = args[1].parse().unwrap();
    if args[0] == "serve" {
        return runtime.block_on(serve(at, args.get(2).map(|file| tls(Path::new(file)))));
    }
    let how = match args.get(4).map(String::as_str) {
        None => How::Fresh,
        Some("reuse") => How::Reused,
        Some(ca) => How::Tls(ca.into()),
    };
    runtime.block_on(run(at, args[2].parse().unwrap(), args[3].parse().unwrap(), &how));
}

/// How checks are made.
enum How {
    Fresh,
    Reused,
    /// Over fresh connections with TLS; the file holds the authority.
    Tls(PathBuf),
}

/// Shakes hands as 127.0.0.1, under an authority of its own that is written to the file.
fn tls(ca: &Path) -> TlsAcceptor {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    fs::write(ca, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let chain = vec![own.signed_by(&key, &issuer).unwrap().der().clone()];
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Answers every request on it.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut room = [0; 1024];
    while let Ok(read) = stream.read(&mut room).await {
        let closing = room[..read].windows(5).any(|w| w == b"close");
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if read == 0 || stream.write_all(answer).await.is_err() || closing {
            break;
        }
    }
}

async fn serve(at: SocketAddr, tls: Option<TlsAcceptor>) {
    let mut tasks = tokio::task::JoinSet::new();
    for port in at.port()..at.port() + PORTS {
        let listener = TcpListener::bind((at.ip(), port)).await.unwrap();
        let tls = tls.clone();
        tasks.spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                while open.try_join_next().is_some() {}
                let tls = tls.clone();
                open.spawn(async move {
                    match tls {
                        None => answer(stream).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer(stream).await;
                            }
                        }
                    }
                });
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

async fn run(at: SocketAddr, targets: usize, seconds: u64, how: &How) {
    let (scheme, ca) = match how {
        How::Fresh | How::Reused => ("http", None),
        How::Tls(ca) => ("https", Some(ca.as_path())),
    };
    let machine = Machine::system(ca, Arc::new(Sockets::default())).unwrap();
    let checks = (0..targets).map(|number| {
        let port = at.port() + u16::try_from(number % usize::from(PORTS)).unwrap();
        // Each of them a host of its own, as they would be.
        let ip: IpAddr = match at.ip() {
            IpAddr::V4(v4) if v4.is_loopback() && ca.is_none() => {
                let [a, .., d] = v4.octets();
                let [.., high, low] = (number / usize::from(PORTS)).to_be_bytes();
                [a, high, low, d].into()
            }
            other => other,
        };
        let mut check =
            Check::new(format!("{scheme}://{}/health", SocketAddr::new(ip, port)).parse().unwrap());
        check.fresh = !matches!(how, How::Reused);
        let draw = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Planned { number, check: Arc::new(check), every: EVERY, draw }
    });
    let bounds = Bounds { concurrency: 2_000, per_host: if ca.is_some() { 2_000 } else { 8 } };
    let plan = Plan { checks: checks.collect(), anchors: Vec::new(), bounds };
    let took = Arc::new(AtomicU64::new(0));
    let sum = took.clone();
    let sink: Sink = Arc::new(move |finished: Finished| {
        sum.fetch_add(u64::from(finished.report.timings.total_us), Relaxed);
    });
    let runner = Runner::new(Arc::new(Prober::new(machine.net, machine.clock)), plan, sink);
    let counters = runner.counters();
    let before = cpu();
    runner.run(tokio::time::sleep(Duration::from_secs(seconds))).await.done().await;
    let spent = cpu() - before;
    let [up, down, unknown] = [Outcome::Up, Outcome::Down, Outcome::Unknown].map(|o| counters.finished(o));
    let all = (up + down + unknown).max(1);
    println!("{up} up, {down} down, {unknown} unknown, {} missed", counters.missed());
    println!(
        "{:.3} CPU-s per 1,000 checks; mean {} us",
        spent / all as f64 * 1_000.0,
        took.load(Relaxed) / all
    );
    println!(
        "lag p50 {:?}, p99 {:?}, most {:?}",
        counters.lag(0.5, false),
        counters.lag(0.99, false),
        counters.lag(1.0, false)
    );
    println!("resident {} KiB", resident());
}

/// Seconds of processor time of this process so far (a clock tick is 10 ms on Linux).
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
