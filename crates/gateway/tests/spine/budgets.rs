//! What a provider allows is kept to, and what it turns out to allow is learned.

use std::time::Duration;

use seawall_gateway::estate::{Costs, PoolSection, ProviderBudget};
use seawall_model::Name;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    client::{balance_of, call},
    house::{House, chain, first_preferred},
    node::{BALANCE, but, node},
    upstream::{Heard, Reply},
};

const CALLS: usize = 60;

fn budget(provider: &str) -> ProviderBudget {
    ProviderBudget {
        provider: Name::new(provider).unwrap(),
        requests: None,
        units: None,
        daily: None,
        monthly: None,
        costs: Costs::default(),
    }
}

/// A gateway of one pool, and what one of its providers allows.
async fn under(budget: ProviderBudget, pool: PoolSection) -> House {
    House::set(|section| (section.budgets, section.pools) = (vec![budget], vec![pool])).await
}

async fn asked(house: &House, times: usize) {
    let (method, params) = balance_of();
    for _ in 0..times {
        assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    }
}

fn answer(heard: &Heard, headers: &str) -> Reply {
    let body = json!({"jsonrpc": "2.0", "id": heard.call()["id"], "result": BALANCE});
    Reply::Whole(200, headers.into(), body.to_string().into_bytes())
}

#[tokio::test]
async fn no_more_than_its_compute_units_are_sent() {
    let (a, b) = (node().await, node().await);
    let units = 100;
    let mut costs = Costs::default();
    costs.methods.insert(balance_of().0.into(), 20);
    let budget = ProviderBudget { units: Some(f64::from(units)), costs, ..budget("a") };
    let began = Instant::now();
    let house = under(budget, first_preferred(chain(&[&a, &b]))).await;
    asked(&house, CALLS).await;
    let most = f64::from(units) * (began.elapsed().as_secs_f64() + 0.1) + 20.0;
    let sent = a.calls(balance_of().0).len() * 20;
    assert!(sent > 0 && sent as f64 <= most, "{sent} of {most}");
    assert_eq!(a.calls(balance_of().0).len() + b.calls(balance_of().0).len(), CALLS);
}

#[tokio::test]
async fn a_spent_quota_is_not_overdrawn() {
    let (a, b) = (node().await, node().await);
    let mut costs = Costs { usual: 1, ..Costs::default() };
    costs.methods.insert(balance_of().0.into(), 1_000_000);
    // Its polls cost little.
    let budget = ProviderBudget { daily: Some(5_000_000), costs, ..budget("a") };
    let house = under(budget, first_preferred(chain(&[&a, &b]))).await;
    asked(&house, 20).await;
    assert_eq!(a.calls(balance_of().0).len(), 5);
    let view = &house.gateway.allowances()[0];
    assert_eq!((view.day_left, view.held), (Some(0), Some("its quota is spent")));
}

#[tokio::test]
async fn one_that_refuses_is_slowed_and_not_ejected() {
    let (a, b) = (node().await, node().await);
    let house = under(budget("a"), first_preferred(chain(&[&a, &b]))).await;
    // What is being sent is measured by the second.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_500) {
        asked(&house, 5).await;
    }
    a.does(but(balance_of().0, |_| Reply::Whole(429, "retry-after: 60\r\n".into(), Vec::new())));
    asked(&house, CALLS).await;
    assert!(house.ejections(0).is_empty(), "slowing was enough");
    let view = &house.gateway.allowances()[0];
    assert_eq!(view.refusals, 1, "it was left alone");
    assert!(view.learned_units_per_second.is_some() && view.paused_ms > 30_000, "{view:?}");
    // Better than nothing it is still: with the other gone it is asked.
    assert!(house.gateway.cordon("chain", "b", true).unwrap());
    a.does(crate::node::honest);
    asked(&house, 3).await;
}

#[tokio::test]
async fn what_headers_tell_is_heeded_before_a_refusal_comes() {
    let (a, b) = (node().await, node().await);
    let house = under(budget("a"), first_preferred(chain(&[&a, &b]))).await;
    a.does(but(balance_of().0, |heard| answer(heard, "ratelimit: \"default\";r=0;t=60\r\n")));
    asked(&house, CALLS).await;
    assert_eq!(a.calls(balance_of().0).len(), 1);
    assert!(house.ejections(0).is_empty());
}
