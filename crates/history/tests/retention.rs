//! What goes when, and what stays though the clock, or the disk, would have it otherwise.

#![expect(clippy::unwrap_used, reason = "what a test needs has to be there")]

use std::sync::Arc;

use seawall_history::{
    Batch, Change, Check, Day, Grain, History, HistoryError, Maintenance, Outcome, Policy, Tally,
};
use seawall_model::{ComponentId, Status, Wall};

/// The evening of 2026-03-28, in UTC.
const BEGIN: i64 = 1_774_728_000_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const SHORT: Policy = Policy { raw_days: 1, minute_days: 2, hour_days: 4, max_bytes: 1 << 30 };

fn components() -> [ComponentId; 1] {
    ["service:a".parse().unwrap()]
}

fn check(at: i64, seq: u64) -> Check {
    Check {
        source: Arc::from("probe"),
        seq,
        component: components()[0].clone(),
        at: Wall(at),
        vantage: Arc::from("here"),
        outcome: Outcome::Ok,
        latency_us: Some(seq % 5_000),
        cause: None,
    }
}

/// Watches from a time on for so long, with a result every two minutes.
fn watch(history: &mut History, from: i64, long: i64) -> i64 {
    watch_much(history, from, long, 1)
}

/// The same with so many results at a time.
fn watch_much(history: &mut History, from: i64, long: i64, results: u64) -> i64 {
    let mut now = from;
    while now < from + long {
        let checks = (0..results).map(|n| check(now, now as u64 + n)).collect();
        let batch = Batch { checks, ..Batch::default() };
        history.write(Wall(now), &batch).unwrap();
        now += 120_000;
        if now % HOUR == 0 {
            while history.tend(Wall(now)).unwrap().more {}
        }
    }
    now
}

fn count(history: &History, grain: Grain, from: i64, until: i64) -> u64 {
    let points = history.reader().series(&components()[0], Wall(from), Wall(until), grain).unwrap();
    points.iter().map(|p| p.tally.count()).sum()
}

#[test]
fn what_is_finer_goes_first_and_days_stay() {
    let mut history = History::in_memory(SHORT).unwrap();
    let begin = BEGIN / DAY * DAY;
    let end = watch(&mut history, begin, 7 * DAY);
    let a_day = 720;
    assert_eq!(count(&history, Grain::Day, begin, end), 7 * a_day);
    // What is to go goes once an hour here.
    let hours = count(&history, Grain::Hour, begin, end);
    let minutes = count(&history, Grain::Minute, begin, end);
    assert!((4 * a_day..4 * a_day + 60).contains(&hours), "{hours}");
    assert!((2 * a_day..2 * a_day + 60).contains(&minutes), "{minutes}");
    // What is told of a time that results are no longer kept of could be told twice.
    let late = Batch {
        checks: vec![check(end - DAY - 2 * HOUR, 1), check(end - DAY + 2 * HOUR, 1)],
        ..Batch::default()
    };
    let written = history.write(Wall(end), &late).unwrap();
    assert_eq!((written.taken, written.late), (1, 1));
    assert_eq!(history.write(Wall(end), &late).unwrap(), written);
    assert_eq!(count(&history, Grain::Day, begin, end), 7 * a_day + 1);
}

#[test]
fn a_clock_that_leaps_ahead_for_a_moment_erases_nothing() {
    let mut history = History::in_memory(SHORT).unwrap();
    let now = watch(&mut history, BEGIN, 3 * HOUR);
    let year = now + 365 * DAY;
    watch(&mut history, year, HOUR / 2);
    while history.tend(Wall(year + HOUR / 2)).unwrap().more {}
    watch(&mut history, now, HOUR);
    assert_eq!(count(&history, Grain::Minute, BEGIN, now + HOUR), 120);
}

#[test]
fn a_clock_that_fell_back_is_refused_before_it_takes_back_what_was() {
    let mut history = History::in_memory(SHORT).unwrap();
    let up = Change {
        component: components()[0].clone(),
        status: Some(Status::Up),
        since: Wall(BEGIN),
        cause: None,
    };
    history.write(Wall(BEGIN), &Batch { changes: vec![up], ..Batch::default() }).unwrap();
    watch(&mut history, BEGIN, 3 * HOUR);
    let down = Change {
        component: components()[0].clone(),
        status: Some(Status::Down),
        since: Wall(5),
        cause: None,
    };
    let refused = history.write(Wall(5), &Batch { changes: vec![down], ..Batch::default() });
    assert!(matches!(refused, Err(HistoryError::Clock { .. })));
    let page = history.reader().page(&components(), Day::of(Wall(BEGIN)), 1).unwrap();
    assert_eq!(page.rows[0].total.availability(Maintenance::Counted), Some(1.0));
}

#[test]
fn without_room_the_oldest_and_finest_goes_and_days_stay() {
    let policy = Policy { raw_days: 30, minute_days: 30, hour_days: 30, max_bytes: Policy::MIN_BYTES };
    let mut history = History::in_memory(policy).unwrap();
    let begin = BEGIN / DAY * DAY;
    let end = watch_much(&mut history, begin, 8 * DAY, 20);
    while history.tend(Wall(end)).unwrap().more {}
    assert!(history.used_bytes().unwrap() <= policy.max_bytes);
    assert_eq!(count(&history, Grain::Day, begin, end), 20 * 8 * 720);
    assert_eq!(count(&history, Grain::Hour, begin, end), 20 * 8 * 720);
    // Results go before minutes, so that all minutes are there; what is older than the results is late.
    assert_eq!(count(&history, Grain::Minute, end - 7 * DAY, end), 20 * 7 * 720);
    let told = |at| Batch { checks: vec![check(at, 1)], ..Batch::default() };
    assert_eq!(history.write(Wall(end), &told(begin)).unwrap().late, 1);
    assert_eq!(history.write(Wall(end), &told(end - HOUR)).unwrap().taken, 1);
}

#[test]
fn limits_refuse_and_policies_that_contradict_themselves_too() {
    let mut history = History::in_memory(SHORT).unwrap();
    let mut long = check(BEGIN, 1);
    long.vantage = "x".repeat(200).into();
    let early = check(BEGIN + HOUR, 2);
    let written =
        history.write(Wall(BEGIN), &Batch { checks: vec![long, early], ..Batch::default() }).unwrap();
    assert_eq!((written.taken, written.early, written.excess), (0, 1, 1));
    let many = Batch { checks: vec![check(BEGIN, 1); seawall_history::MAX_BATCH + 1], ..Batch::default() };
    assert_eq!(history.write(Wall(BEGIN), &many).unwrap_err().code(), "SW0455");
    let wrong = Policy { minute_days: 1, raw_days: 2, ..SHORT };
    assert_eq!(History::in_memory(wrong).unwrap_err().code(), "SW0456");
    let reader = history.reader();
    let id = &components()[0];
    let days = |n: i64| (Wall(BEGIN), Wall(BEGIN + n * DAY));
    assert!(reader.series(id, days(8).0, days(8).1, Grain::Minute).is_err());
    assert_eq!(reader.series(id, days(7).0, days(6).1, Grain::Minute).unwrap()[0].tally, Tally::default());
}

#[test]
fn a_later_layout_and_a_file_that_is_no_history_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.sqlite");
    drop(History::open(&path, SHORT).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 9).unwrap();
    assert_eq!(History::open(&path, SHORT).unwrap_err().code(), "SW0453");
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "no database, but as long as its header would have been".repeat(9)).unwrap();
    assert_eq!(History::open(&plain, SHORT).unwrap_err().code(), "SW0451");
}
