//! Whose fault a failure is, and when checks are made.

use std::time::Duration;

use seawall_probe::Outcome;
use seawall_runtime::net::sim::Fault;

use crate::simulated::World;

const MINUTE: Duration = Duration::from_secs(60);
const HOSTS: [&str; 5] = ["a.example", "b.example", "c.example", "d.example", "e.example"];
const ANCHORS: [&str; 3] = ["x.example", "y.example", "z.example"];

fn world() -> World {
    let world = World::new();
    HOSTS.iter().chain(&ANCHORS).for_each(|host| world.serve(host));
    world
}

#[tokio::test(start_paused = true)]
async fn every_turn_is_taken_when_it_is_due() {
    let world = world();
    world.run(&HOSTS, &[], MINUTE).await;
    let found = world.found.lock().unwrap();
    for (number, host) in HOSTS.iter().enumerate() {
        let turns: Vec<_> = found.iter().filter(|f| f.number == number).map(|f| f.turn).collect();
        assert_eq!(turns.len(), 6, "{host}");
        assert!(turns.windows(2).all(|two| two[1].due.since(two[0].due) == Duration::from_secs(10)));
        assert!(
            turns.iter().all(|turn| turn.missed == 0 && turn.lag <= Duration::from_millis(1)),
            "{turns:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_gone_is_down() {
    let world = world();
    for fault in [Fault::Down, Fault::Blackhole, Fault::Freeze] {
        world.net.fault("b.example", Some(fault));
        world.run(&HOSTS, &ANCHORS, MINUTE).await;
        assert_eq!(world.outcomes(), [24, 6, 0], "{fault:?}");
    }
}

/// October 2025: whoever has a connection notices nothing; the first check that makes one does.
#[tokio::test(start_paused = true)]
async fn that_new_connections_fail_is_seen_though_old_ones_work() {
    let world = world();
    let (fresh, mut kept) = (World::check("b.example"), World::check("b.example"));
    kept.fresh = false;
    let outage = async {
        tokio::time::sleep(Duration::from_millis(29_999)).await;
        world.net.fault("b.example", Some(Fault::Down));
    };
    tokio::join!(world.make(vec![fresh, kept], &ANCHORS, MINUTE), outage);
    let found = world.found.lock().unwrap();
    let outcomes = |number| -> Vec<_> {
        found.iter().filter(|f| f.number == number).map(|f| (f.report.outcome(), f.report.reused)).collect()
    };
    let (up, down) = ((Outcome::Up, false), (Outcome::Down, false));
    assert_eq!(outcomes(0), [up, up, up, down, down, down]);
    assert_eq!(outcomes(1)[..3], [up, (Outcome::Up, true), (Outcome::Up, true)]);
    assert_eq!(outcomes(1)[3..], [(Outcome::Up, true); 3]);
}

#[tokio::test(start_paused = true)]
async fn a_prober_without_a_network_calls_nobody_down() {
    for fault in [Fault::Blackhole, Fault::Vanish] {
        let world = world();
        world.run(&HOSTS, &ANCHORS, MINUTE).await;
        assert_eq!(world.outcomes(), [30, 0, 0]);
        // Cut in the midst of it: some checks have begun before and fail after.
        let cut = async {
            tokio::time::sleep(Duration::from_millis(21_003)).await;
            world.net.fault("here", Some(fault));
        };
        tokio::join!(world.run(&HOSTS, &ANCHORS, MINUTE), cut);
        let [up, down, unknown] = world.outcomes();
        assert_eq!(down, 0, "{fault:?}");
        assert!(up >= 10 && unknown >= 15, "{fault:?}: {up} up, {unknown} unknown");
        world.net.fault("here", None);
        world.run(&HOSTS, &ANCHORS, MINUTE).await;
        let [up, down, unknown] = world.outcomes();
        assert_eq!((up, down + unknown), (30, 0), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_anchor_that_is_gone_proves_nothing() {
    let world = world();
    world.net.fault("x.example", Some(Fault::Blackhole));
    world.net.fault("b.example", Some(Fault::Down));
    world.run(&HOSTS, &ANCHORS, MINUTE).await;
    assert_eq!(world.outcomes(), [24, 6, 0]);
}
