//! Whatever is written, however late, twice, across restarts and with a clock that jumps: what is told is what comes out
//! when it is worked out from everything that was taken.

#![expect(clippy::unwrap_used, reason = "what a test needs has to be there")]

mod model;

use model::{BEGIN, KEEP, Model, Op, STEP, batch, observe, ops, same, write_both};
use proptest::prelude::*;
use seawall_history::{History, Reader};
use seawall_model::Wall;

/// Batches of an hour that is watched without a break.
const HOUR: i64 = 3_600_000 / STEP;

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn rollups_are_what_everything_taken_adds_up_to(ops in ops(40)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.sqlite");
        let mut history = History::open(&path, KEEP).unwrap();
        let (mut model, mut now, mut last) = (Model::default(), BEGIN, None);
        for op in ops {
            match op {
                Op::Write(0, facts) if facts.is_empty() => {
                    for _ in 0..=HOUR / 4 {
                        now += 4 * STEP;
                        write_both(&mut history, &mut model, Wall(now), &batch(now, &[]));
                    }
                }
                Op::Write(pass, facts) => {
                    now += pass * STEP;
                    let batch = batch(now, &facts);
                    write_both(&mut history, &mut model, Wall(now), &batch);
                    last = Some(batch);
                }
                Op::Again => {
                    if let Some(batch) = &last {
                        write_both(&mut history, &mut model, Wall(now), batch);
                    }
                }
                Op::Tend => {
                    history.tend(Wall(now)).unwrap();
                }
                Op::Reopen => {
                    drop(history);
                    history = History::open(&path, KEEP).unwrap();
                }
            }
        }
        let wanted = model.observe();
        same(&observe(history.reader()), &wanted)?;
        // Another reads the same, and tending changes nothing.
        same(&observe(&Reader::open(&path).unwrap()), &wanted)?;
        while history.tend(Wall(now)).unwrap().more {}
        same(&observe(history.reader()), &wanted)?;
    }
}
