//! That unplanned attempts keep within their budget can be worked out from the metrics alone.

use crate::{
    client::{balance_of, call},
    house::{House, chain, first_preferred},
    node::{but, node},
    upstream::Reply,
};

#[tokio::test]
async fn every_unplanned_attempt_is_accounted_for_and_within_the_budget() {
    let (a, b) = (node().await, node().await);
    let mut pool = first_preferred(chain(&[&a, &b]));
    (pool.budget_share, pool.budget_floor) = (0.2, 1);
    let house = House::new(vec![pool]).await;
    let (method, params) = balance_of();
    // Broken by turns, so that no breaker puts an end to it.
    let turn = std::sync::atomic::AtomicUsize::new(0);
    a.does(but(method, move |heard| match turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 3 {
        0 => Reply::Reset,
        _ => crate::node::honest(heard),
    }));
    for _ in 0..200 {
        call(house.at, method, params.clone()).await;
    }
    let kinds = ["hedges", "retries", "splits", "resends", "widenings"].map(|kind| house.counted(kind));
    let unplanned = house.counted("unplanned_attempts");
    assert_eq!(kinds.iter().sum::<u64>(), unplanned, "{kinds:?}");
    let (share, floor) = (house.pool_gauge("budget_share"), house.pool_gauge("budget_floor_per_second"));
    assert_eq!((share, floor), (0.2, 1.0));
    // All of it lay within ten seconds, or within more of them: what the budget allows only grows with that.
    let allowed = (house.counted("requests") as f64 * share).max(floor * 10.0);
    assert!(
        unplanned > 0 && unplanned as f64 <= allowed.max(10.0) + floor * 10.0,
        "{unplanned} of {allowed}"
    );
}
