//! How much many checks cost: `load serve ADDRESS [CA]` answers HTTP there (on ports from the one given, each with its own
//! listener), over TLS if a file is named, to which its authority is written; `load run ADDRESS TARGETS SECONDS [reuse | CA]`
//! checks so many targets there, each every ten seconds, for so long, and tells what it cost and how late they were.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring tool")]

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use seawall_probe::{Check, Finished, Outcome, Plan, Planned, Prober, Runner, Sink, core::schedule::Bounds};
use seawall_runtime::{Machine, net::sockets::Sockets};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Ports that are listened on.
const PORTS: u16 = 64;
/// Time from one check of a target to the next.
const EVERY: Duration = Duration::from_secs(10);

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let at: SocketAddr = args[1].parse().unwrap();
    match args[0].as_str() {
        "serve" => runtime.block_on(serve(at)),
        _ => runtime.block_on(run(
            at,
            args[2].parse().unwrap(),
            args[3].parse().unwrap(),
            args.get(4).is_some(),
        )),
    }
}

async fn serve(at: SocketAddr) {
    let mut tasks = tokio::task::JoinSet::new();
    for port in at.port()..at.port() + PORTS {
        let listener = TcpListener::bind((at.ip(), port)).await.unwrap();
        tasks.spawn(async move {
            let mut open = tokio::task::JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                while open.try_join_next().is_some() {}
                open.spawn(async move {
                    let mut room = [0; 1024];
                    while let Ok(read) = stream.read(&mut room).await {
                        let closing = room[..read].windows(5).any(|w| w == b"close");
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        if read == 0 || stream.write_all(answer).await.is_err() || closing {
                            break;
                        }
                    }
                });
            }
        });
    }
    while tasks.join_next().await.is_some() {}
}

async fn run(at: SocketAddr, targets: usize, seconds: u64, reuse: bool) {
    let machine = Machine::system(None, Arc::new(Sockets::default())).unwrap();
    let checks = (0..targets).map(|number| {
        let port = at.port() + u16::try_from(number % usize::from(PORTS)).unwrap();
        // Each of them a host of its own, as they would be.
        let ip: IpAddr = match at.ip() {
            IpAddr::V4(v4) if v4.is_loopback() => {
                let [a, .., d] = v4.octets();
                let [.., high, low] = (number / usize::from(PORTS)).to_be_bytes();
                [a, high, low, d].into()
            }
            other => other,
        };
        let mut check = Check::new(format!("http://{}/health", SocketAddr::new(ip, port)).parse().unwrap());
        check.fresh = !reuse;
        let draw = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Planned { number, check: Arc::new(check), every: EVERY, draw }
    });
    let bounds = Bounds { concurrency: 2_000, per_host: 8 };
    let plan = Plan { checks: checks.collect(), anchors: Vec::new(), bounds };
    let took = Arc::new(AtomicU64::new(0));
    let sum = took.clone();
    let sink: Sink = Arc::new(move |finished: Finished| {
        sum.fetch_add(u64::from(finished.report.timings.total_us), Relaxed);
    });
    let runner = Runner::new(Arc::new(Prober::new(machine.net, machine.clock)), plan, sink);
    let counters = runner.counters();
    let before = cpu();
    runner.run(tokio::time::sleep(Duration::from_secs(seconds))).await;
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
