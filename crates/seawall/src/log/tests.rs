use std::{path::Path, time::Duration};

use seawall_journal::{Journal, JournalMetrics, OpenOptions, Store, StoreOptions, encode};
use seawall_model::{Record, RecordKind};
use seawall_runtime::disk::SystemDisk;
use serde_json::json;

use super::*;

const AT: Wall = Wall(1_754_374_027_250);

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    log: LogArgs,
}

/// A journal in a directory of its own, and the command line over it.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    /// A log of a few records.
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        let mut store = world.store(1);
        let records = [
            (RecordKind::Start, None, json!({ "version": "0.1.0" })),
            (
                RecordKind::Breaker,
                Some("upstream:ethereum/alpha"),
                json!({ "class": "read", "state": "ejected", "cause": "hang" }),
            ),
            (RecordKind::Verdict, Some("pool:ethereum"), json!({ "status": "degraded" })),
            (
                RecordKind::Breaker,
                Some("upstream:ethereum/alpha"),
                json!({ "class": "read", "state": "admitting" }),
            ),
        ];
        let mut entropy = Entropy::seeded(2);
        let frames = records
            .into_iter()
            .map(|(kind, component, payload)| {
                let component = component.map(|id| id.parse().unwrap());
                encode(&Record { kind, component, at: AT, payload }, &mut entropy).unwrap()
            })
            .collect();
        store.append(frames).unwrap();
        store.flush().unwrap();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn store(&self, seed: u64) -> Store {
        let options = StoreOptions {
            dir: self.path("journal"),
            name: "example.com/test".into(),
            segment_bytes: 1 << 20,
            witnesses: Vec::new(),
            remembered: None,
        };
        Store::open(Arc::new(SystemDisk), options, &mut Entropy::seeded(seed)).unwrap().0
    }

    /// What a command prints, to standard output and to standard error, and its exit code. Paths are shown
    /// without the temporary directory's.
    fn run(&self, line: &str) -> (String, u8) {
        let dir = self.path("journal");
        let args = ["log", "--dir", dir.to_str().unwrap()].into_iter().map(String::from);
        let args = args.chain(line.split(' ').map(|arg| match arg.strip_prefix("@") {
            Some(file) => self.path(file).to_str().unwrap().to_owned(),
            None => arg.replace('_', " "),
        }));
        let cli = <Cli as clap::Parser>::parse_from(args);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut scene = Scene {
            disk: Arc::new(SystemDisk),
            now: AT,
            entropy: Entropy::seeded(3),
            out: &mut out,
            err: &mut err,
            terminal: false,
            threads: 1,
        };
        let with =
            Surroundings { disk: &SystemDisk, variable: &|_| Err(std::env::VarError::NotPresent), cores: 1 };
        let code = run(&cli.log, &with, &mut scene).unwrap();
        out.extend(err);
        let text = String::from_utf8(out).unwrap();
        (text.replace(self.dir.path().to_str().unwrap(), "…"), code)
    }

    /// The commands one after the other, as a person would see them.
    fn session(&self, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            let (shown, code) = self.run(line);
            text += &format!("$ seawall log {line}\n{shown}[{code}]\n\n");
        }
        text
    }
}

#[test]
fn records_are_shown() {
    let world = World::new();
    insta::assert_snapshot!(world.session(&[
        "tail -n 3",
        "show 1",
        "show 1 --json",
        "replay",
        "replay --until 1",
        "export --from 2 --to 3",
        "show 9"
    ]));
}

#[test]
fn a_journal_is_verified_and_damage_named() {
    let world = World::new();
    let sound = world.session(&["verify"]);
    let tile = world.path("journal/tile/entries/000.p/4");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&tile, bytes).unwrap();
    insta::assert_snapshot!(sound + &world.session(&["verify", "verify --json"]));
}

#[test]
fn a_proof_convinces_with_the_right_key_only() {
    let world = World::new();
    let (key, _) = world.run("key");
    std::fs::write(world.path("key.txt"), &key).unwrap();
    let other =
        seawall_journal::SigningKey::from_seed([9; 32], |_| key.split('+').next().unwrap().to_owned());
    std::fs::write(world.path("other.txt"), other.verifier().to_string()).unwrap();
    insta::assert_snapshot!(world.session(&[
        "prove 1 -o @1.tlog-proof",
        "verify-proof @1.tlog-proof --key @key.txt",
        "prove 1 --disclose -o @2.tlog-proof",
        "verify-proof @2.tlog-proof --key @key.txt",
        "verify-proof @1.tlog-proof --key @other.txt",
        "verify-proof @1.tlog-proof --key nonsense",
    ]));
}

#[test]
fn a_payload_is_erased_once_and_the_log_stays_sound() {
    let world = World::new();
    insta::assert_snapshot!(world.session(&[
        "erase 2 --reason asked_to_forget",
        "erase 2 --reason again",
        "erase 4 --reason the_erasure_itself",
        "show 2",
        "tail -n 2",
        "verify",
    ]));
}

#[test]
fn a_running_writer_is_asked() {
    let world = World::new();
    let section = JournalSection {
        checkpoint_every: Duration::from_millis(20),
        ..JournalSection::in_dir(world.path("journal"))
    };
    let options = OpenOptions {
        section,
        name: "example.com/test".into(),
        remembered: None,
        clock: Clock::system(),
        entropy: Entropy::seeded(5),
        metrics: JournalMetrics::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let journal = runtime.block_on(async {
        let (journal, writer) = Journal::open(Arc::new(SystemDisk), options).unwrap();
        tokio::spawn(writer.run());
        journal
    });
    let (new, code) = world.run("key --rotate");
    assert_eq!(code, exit::SOUND, "{new}");
    assert_eq!(world.run("key").0, new);
    let (erased, code) = world.run("erase 1 --reason asked_to");
    assert_eq!(code, exit::SOUND, "{erased}");
    assert_eq!(world.run("verify").1, exit::SOUND);
    runtime.block_on(journal.close());
    assert_eq!(world.run("verify").1, exit::SOUND);
}

#[test]
fn a_back_up_restores_into_a_new_log() {
    let world = World::new();
    let session = world.session(&[
        "backup @saved",
        "backup @saved",
        "verify --dir @saved",
        "restore @saved --dir @new",
        "verify --dir @new",
    ]);
    assert!(Path::new(&world.path("new/archive")).is_dir());
    insta::assert_snapshot!(session);
}

#[test]
fn what_is_not_there_is_told() {
    let world = World { dir: tempfile::tempdir().unwrap() };
    insta::assert_snapshot!(world.session(&["verify", "tail", "erase 1 --reason x"]));
}
