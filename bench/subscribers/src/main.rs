//! newHeads to many subscribers: the gateway beside a bare loop that writes the same frames.

mod bare;
mod chain;
mod clients;
mod cpu;

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use chain::Chain;
use clients::Clients;

/// Time for everything to come to rest between two measurements.
const REST: Duration = Duration::from_millis(60);

fn number(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn main() {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some("bare"), Some(sockets)) => bare::run(sockets.parse().expect("a number of sockets")),
        (Some(seawall), None) => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
            .block_on(compare(seawall)),
        _ => eprintln!("usage: subscribers PATH/TO/seawall"),
    }
}

/// CPU time and time until the last client had it, of one block.
#[derive(Default)]
struct Measured {
    cpu: Vec<Duration>,
    wall: Vec<Duration>,
}

impl Measured {
    fn tell(&mut self, name: &str) -> Duration {
        self.cpu.sort();
        self.wall.sort();
        let (cpu, wall) = (self.cpu[self.cpu.len() / 2], self.wall[self.wall.len() / 2]);
        println!("{name:8} median CPU {cpu:9.2?} a block, median {wall:9.2?} until the last had it");
        cpu
    }
}

async fn compare(seawall: &str) {
    let (sockets, blocks) = (number("SOCKETS", 2_000), number("BLOCKS", 50));
    let chain = Chain::start().await;
    let dir = std::env::temp_dir().join(format!("subscribers-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let (estate, listen) = chain.estate();
    let file = dir.join("seawall.toml");
    std::fs::write(&file, estate).expect("the estate can be written");
    // It runs in a directory of its own.
    let seawall = std::fs::canonicalize(seawall).expect("the binary is there");
    let mut gateway = Command::new(seawall)
        .arg("run")
        .arg(&file)
        .current_dir(&dir)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(dir.join("log")).expect("a log"))
        .spawn()
        .expect("seawall starts");
    let me = std::env::current_exe().expect("a path");
    let mut bare = bare::Loop::start(&me, sockets);

    let mut subscribed = Clients::subscribe(&listen, sockets).await;
    let mut plain = Clients::connect(&bare.listen(), sockets).await;
    bare.accepted();
    println!("{sockets} subscribers, {blocks} blocks, frames of {} bytes", chain.frame().len());
    let (mut by_gateway, mut by_loop) = (Measured::default(), Measured::default());
    for _ in 0..blocks {
        tokio::time::sleep(REST).await;
        let (began, before) = (Instant::now(), cpu::of(gateway.id()));
        chain.grow();
        subscribed.all_have(1).await;
        by_gateway.wall.push(began.elapsed());
        tokio::time::sleep(REST).await;
        by_gateway.cpu.push(cpu::of(gateway.id()) - before);

        let frame = chain.frame();
        let (began, before) = (Instant::now(), cpu::of(bare.id()));
        bare.write(&frame);
        plain.all_have(1).await;
        by_loop.wall.push(began.elapsed());
        tokio::time::sleep(REST).await;
        by_loop.cpu.push(cpu::of(bare.id()) - before);
    }
    let ratio = by_gateway.tell("gateway").as_secs_f64() / by_loop.tell("bare").as_secs_f64();
    println!("CPU gateway/bare: {ratio:.2}");
    let _ = gateway.kill();
    let _ = gateway.wait();
    let _ = std::fs::remove_dir_all(&dir);
}
