//! A simulated network with hosts that serve HTTP, and a runner in it. Time is paused: a simulated minute takes no time.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use seawall_model::Wall;
use seawall_probe::{Check, Finished, Outcome, Plan, Planned, Prober, Runner, Sink, core::schedule::Bounds};
use seawall_runtime::{
    clock::Clock,
    net::{Conn, sim::SimNet},
    random::Seed,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// When a simulated day begins.
const DAWN: Wall = Wall(1_754_374_000_000);

/// A network, and what a runner at the host `here` found.
pub(crate) struct World {
    pub(crate) net: SimNet,
    pub(crate) clock: Clock,
    pub(crate) found: Arc<Mutex<Vec<Finished>>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { net: SimNet::new(Seed::new(7)), clock: Clock::simulated(DAWN), found: Arc::default() }
    }

    /// A host that answers every request with 200.
    pub(crate) fn serve(&self, host: &str) {
        let mut listener = self.net.host(host).listen("10.0.0.1:80".parse().unwrap(), false).unwrap();
        tokio::spawn(async move {
            loop {
                let (conn, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(conn));
            }
        });
    }

    pub(crate) fn check(host: &str) -> Check {
        let mut check = Check::new(format!("http://{host}/").parse().unwrap());
        check.timeout = Duration::from_secs(2);
        check
    }

    /// Runs the checks of those hosts, each every ten seconds, for so long.
    pub(crate) async fn run(&self, hosts: &[&str], anchors: &[&str], time: Duration) {
        self.make(hosts.iter().map(|host| Self::check(host)).collect(), anchors, time).await;
    }

    /// As [`Self::run`], of those checks.
    pub(crate) async fn make(&self, checks: Vec<Check>, anchors: &[&str], time: Duration) {
        let planned = |(number, check): (usize, Check)| Planned {
            number,
            check: Arc::new(check),
            every: Duration::from_secs(10),
            draw: 1_000_000_000 * number as u64,
        };
        let plan = Plan {
            checks: checks.into_iter().enumerate().map(planned).collect(),
            anchors: anchors.iter().map(|host| Self::check(host)).collect(),
            bounds: Bounds { concurrency: 100, per_host: 4 },
        };
        let prober = Arc::new(Prober::new(self.net.host("here"), self.clock));
        let found = self.found.clone();
        let sink: Sink = Arc::new(move |finished| found.lock().unwrap().push(finished));
        Runner::new(prober, plan, sink).run(tokio::time::sleep(time)).await.done().await;
    }

    /// How many reports came to this, of those found since the last time.
    pub(crate) fn outcomes(&self) -> [usize; 3] {
        let found = std::mem::take(&mut *self.found.lock().unwrap());
        [Outcome::Up, Outcome::Down, Outcome::Unknown]
            .map(|outcome| found.iter().filter(|f| f.report.outcome() == outcome).count())
    }
}

async fn answer(mut conn: Conn) {
    while conn.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
        let _ = conn.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    }
}
