//! How an upstream is found well again, and how one is found out whose front door is shut.

use crate::{
    client::{balance_of, call},
    house::{House, chain, first_preferred, until},
    node::{BALANCE, but, honest, node},
    upstream::{Reply, Upstream},
};

async fn asked(house: &House, times: usize) {
    let (method, params) = balance_of();
    for _ in 0..times {
        assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    }
}

/// Calls of clients that an upstream has heard; the gateway's own ask about another account.
fn heard(upstream: &Upstream) -> usize {
    let params = balance_of().1;
    upstream.calls(balance_of().0).iter().filter(|heard| heard.call()["params"][0] == params[0]).count()
}

#[tokio::test]
async fn a_class_that_nobody_asks_for_is_found_well_by_the_gateways_own_calls() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![first_preferred(chain(&[&a, &b]))]).await;
    a.does(but(balance_of().0, |_| Reply::Reset));
    asked(&house, 10).await;
    house.ejected(0).await;
    let put_at_risk = heard(&a);
    let probed = || (a.calls(balance_of().0).len() > put_at_risk + 1).then_some(());
    until("the gateway has asked by itself, and again", probed).await;
    a.does(honest);
    let admits = || house.view(0, 0).breakers.iter().all(|b| b.state == "admitting").then_some(());
    until("it is admitted again", admits).await;
    assert_eq!(heard(&a), put_at_risk, "no client's call was needed");
    asked(&house, 1).await;
    assert_eq!(heard(&a), put_at_risk + 1);
}

#[tokio::test]
async fn one_that_takes_no_new_connections_is_asked_last() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![first_preferred(chain(&[&a, &b]))]).await;
    a.set_door(false);
    until("its door is found shut", || house.view(0, 0).stranded.then_some(())).await;
    assert!(house.view(0, 0).fresh, "its polls go on over the old connection");
    asked(&house, 20).await;
    assert_eq!((heard(&a), heard(&b)), (0, 20));
    assert!(house.ejections(0).is_empty());
    a.set_door(true);
    until("its door is found open", || (!house.view(0, 0).stranded).then_some(())).await;
    asked(&house, 1).await;
    assert_eq!(heard(&a), 1);
}
