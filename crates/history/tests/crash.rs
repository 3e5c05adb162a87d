//! Power cuts: whatever is left of the write-ahead log, the history is the one after some batch, whole; and what is then
//! written again makes it what it would have been. And a process that is killed in the middle of its work.

#![expect(clippy::unwrap_used, reason = "what a test needs has to be there")]

mod model;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use model::{BEGIN, KEEP, Model, Observed, Op, STEP, batch, components, observe, ops, same, write_both};
use proptest::prelude::*;
use seawall_history::{Batch, Check, Grain, History, Outcome, Reader};
use seawall_model::Wall;

/// The history, as a copy of its files is, with so much of the log as a power cut left.
fn cut(path: &Path, to: &Path, kept: usize) -> usize {
    let log = fs::read(path.with_extension("sqlite-wal")).unwrap_or_default();
    let kept = kept.min(log.len());
    fs::copy(path, to).unwrap();
    fs::write(to.with_extension("sqlite-wal"), &log[..kept]).unwrap();
    let _ = fs::remove_file(to.with_extension("sqlite-shm"));
    log.len()
}

/// Tells of no component that is looked at, but of the batch that it is in: two states may look alike.
fn mark(number: usize, at: Wall) -> Check {
    let (source, component) = (Arc::from("mark"), "service:mark".parse().unwrap());
    let (vantage, outcome) = (Arc::from("here"), Outcome::Ok);
    Check { source, seq: number as u64, component, at, vantage, outcome, latency_us: None, cause: None }
}

/// How many batches a history holds.
fn marks(reader: &Reader) -> usize {
    let (component, until) = ("service:mark".parse().unwrap(), Wall(BEGIN + 90 * 86_400_000));
    let days = reader.series(&component, Wall(BEGIN), until, Grain::Day).unwrap();
    days.iter().map(|day| day.tally.ok as usize).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_power_cut_leaves_whole_batches(ops in ops(10), cuts in prop::collection::vec(0.0_f64..1.0, 3)) {
        let dir = tempfile::tempdir().unwrap();
        let (path, after) = (dir.path().join("history.sqlite"), dir.path().join("cut.sqlite"));
        drop(History::open(&path, KEEP).unwrap());
        let before = fs::read(&path).unwrap();
        let mut history = History::open(&path, KEEP).unwrap();
        let (mut model, mut now) = (Model::default(), BEGIN);
        let mut written: Vec<(Wall, Batch)> = Vec::new();
        let mut states: Vec<Observed> = vec![model.observe()];
        for op in ops {
            match op {
                Op::Write(pass, facts) => {
                    // Back no further than a batch reaches that is written again with its own time.
                    now += pass.max(0) * STEP;
                    let mut batch = batch(now, &facts);
                    batch.checks.push(mark(written.len(), Wall(now)));
                    write_both(&mut history, &mut model, Wall(now), &batch);
                    written.push((Wall(now), batch));
                    states.push(model.observe());
                }
                Op::Tend => drop(history.tend(Wall(now)).unwrap()),
                Op::Again | Op::Reopen => {}
            }
        }
        // All of it is in the log, so that any part of the log is a state there was.
        prop_assume!(fs::read(&path).unwrap() == before);
        let whole = cut(&path, &after, usize::MAX);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|c| (c * whole as f64) as usize).collect();
        cuts.extend([0, whole]);
        cuts.sort_unstable();
        let mut last = 0;
        for kept in cuts {
            cut(&path, &after, kept);
            let mut history = History::open(&after, KEEP).unwrap();
            let told = observe(history.reader());
            let found = marks(history.reader());
            prop_assert!(found >= last, "{kept} of {whole} bytes: {found} batches after {last}");
            last = found;
            same(&told, &states[found])?;
            // The last one may be written again: nobody knows whether it was acknowledged.
            for (now, batch) in &written[found.saturating_sub(1)..] {
                history.write(*now, batch).unwrap();
            }
            while history.tend(Wall(now)).unwrap().more {}
            same(&observe(history.reader()), states.last().unwrap())?;
        }
        prop_assert_eq!(last, states.len() - 1);
    }
}

/// Tells the child which file to write; without it this test is no child.
const CHILD: &str = "SEAWALL_HISTORY_TEST_CHILD";

/// The batch with a number: a result of each component, ten batches a minute.
fn numbered(n: u64) -> (Wall, Batch) {
    let now = Wall(BEGIN + n as i64 * 6_000);
    let check = |component| Check {
        source: Arc::from("probe"),
        seq: n,
        component,
        at: now,
        vantage: Arc::from("here"),
        outcome: Outcome::Ok,
        latency_us: Some(1_000 + n),
        cause: None,
    };
    (now, Batch { checks: components().map(check).into(), ..Batch::default() })
}

/// Not a test by itself: what the next one starts, and kills.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut history = History::open(Path::new(&path), KEEP).unwrap();
    for n in 0.. {
        let (now, batch) = numbered(n);
        history.write(now, &batch).unwrap();
        println!("acknowledged {n}");
        history.tend(now).unwrap();
    }
}

#[test]
fn a_killed_process_has_what_it_acknowledged_and_no_half_batch() {
    for batches in [1_u64, 7, 25, 60] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.sqlite");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut told = lines.filter_map(|line| line.rsplit_once("acknowledged ")?.1.parse::<u64>().ok());
        let acknowledged = told.by_ref().find(|n| *n + 1 >= batches).unwrap() + 1;
        child.kill().unwrap();
        child.wait().unwrap();
        // It may have written more before it was killed.
        let reader = Reader::open(&path).unwrap();
        let until = Wall(BEGIN + 10 * 86_400_000);
        let counts = components().map(|id| {
            let days = reader.series(&id, Wall(BEGIN), until, Grain::Day).unwrap();
            let hours = reader.series(&id, Wall(BEGIN), Wall(BEGIN + 86_400_000), Grain::Hour).unwrap();
            let of = |points: &[seawall_history::Point]| points.iter().map(|p| p.tally.ok).sum::<u64>();
            assert_eq!(of(&days), of(&hours));
            of(&days)
        });
        assert!(
            counts[0] >= acknowledged && counts.iter().all(|n| *n == counts[0]),
            "{counts:?} {acknowledged}"
        );
    }
}
