//! Reads that several providers must answer alike.

use seawall_gateway::estate::{PoolKind, Quorum};
use seawall_model::Cause;
use serde_json::{Value, json};

use crate::{
    client::{balance_of, call},
    house::{House, chain},
    node::{BALANCE, but, node, result},
    upstream::{Heard, Reply, Upstream},
};

async fn house(upstreams: &[&Upstream], of: u32, agree: u32) -> House {
    let mut pool = chain(upstreams);
    let PoolKind::Evm(evm) = &mut pool.kind else { unreachable!("a chain's pool") };
    evm.quorum = Some(Quorum { methods: vec![balance_of().0.to_owned()], of, agree });
    House::new(vec![pool]).await
}

fn says(balance: &'static str) -> impl Fn(&Heard) -> Reply + Send + Sync + 'static {
    but(balance_of().0, move |heard| result(heard, &balance.into()))
}

async fn balance(house: &House) -> Value {
    let (method, params) = balance_of();
    call(house.at, method, params).await
}

#[tokio::test]
async fn one_that_lies_is_outvoted_and_held_to_account() {
    let (a, b, c) = (node().await, node().await, node().await);
    let house = house(&[&a, &b, &c], 3, 2).await;
    b.does(says("0xbad"));
    for _ in 0..50 {
        assert_eq!(balance(&house).await["result"], BALANCE);
    }
    // Whether it was heard before the others had agreed is a matter of luck, but not fifty times.
    assert!(house.ejections(1).contains(&Cause::Contradicted));
    assert!(house.ejections(0).is_empty() && house.ejections(2).is_empty());
}

#[tokio::test]
async fn another_is_asked_in_the_place_of_one_that_fails() {
    let (a, b, c, d) = (node().await, node().await, node().await, node().await);
    let house = house(&[&a, &b, &c, &d], 3, 3).await;
    c.does(but(balance_of().0, |_| Reply::Reset));
    for _ in 0..5 {
        assert_eq!(balance(&house).await["result"], BALANCE);
    }
}

#[tokio::test]
async fn where_too_few_agree_nobody_is_believed() {
    let (a, b) = (node().await, node().await);
    let house = house(&[&a, &b], 2, 2).await;
    b.does(says("0xbad"));
    let error = balance(&house).await["error"].clone();
    assert_eq!(error["data"]["code"], "SW0309");
    let causes: Vec<_> =
        error["data"]["tried"].as_array().unwrap().iter().map(|t| t["cause"].clone()).collect();
    assert_eq!(causes, [json!("contradicted"), json!("contradicted")]);
    assert!(house.ejections(0).is_empty() && house.ejections(1).is_empty());
}
