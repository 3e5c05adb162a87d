//! Upstreams that tell of their own accord: heads as hints, and pending transactions.

use std::time::Duration;

use seawall_gateway::estate::{PoolKind, PoolSection};
use serde_json::json;

use crate::{
    client::call,
    herald::Herald,
    house::{House, chain, until},
    ledger::{Ledger, header, topic},
    socket::Socket,
    subscribe::{hears, nodes},
    upstream::Upstream,
};

/// A pool that is hardly ever polled, whose upstreams have sockets.
fn pool(upstreams: &[&Upstream], heralds: &[Herald]) -> PoolSection {
    let mut pool = chain(upstreams);
    let PoolKind::Evm(evm) = &mut pool.kind else { unreachable!("a chain's pool") };
    evm.poll = Duration::from_secs(3_600);
    for (upstream, herald) in pool.upstreams.iter_mut().zip(heralds) {
        upstream.socket = Some(herald.socket());
    }
    pool
}

#[tokio::test]
async fn a_head_is_known_as_soon_as_one_tells_of_it() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let heralds = [Herald::new(), Herald::new()];
    let house = House::new(vec![pool(&nodes.each_ref(), &heralds)]).await;
    until("they are listened to", || {
        heralds.iter().all(|herald| herald.subscribed("newHeads") == 1).then_some(())
    })
    .await;
    let mut socket = Socket::to(house.at).await;
    let id = socket.subscribe(json!(["newHeads"])).await;
    for (height, herald) in [(101, &heralds[0]), (102, &heralds[1]), (103, &heralds[0])] {
        ledger.grow(1);
        let new = ledger.from(height);
        herald.tell(&header(&new[0]));
        hears(&mut socket, &id, &new).await;
    }
    // What one tells is not believed for its own sake.
    let ahead = Ledger::new(110).from(110);
    heralds[0].tell(&header(&ahead[0]));
    ledger.grow(1);
    let new = ledger.from(104);
    heralds[1].tell(&header(&new[0]));
    hears(&mut socket, &id, &new).await;
}

#[tokio::test]
async fn pending_transactions_are_told_once_whoever_tells_of_them() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let heralds = [Herald::new(), Herald::new(), Herald::new()];
    let house = House::new(vec![pool(&nodes.each_ref(), &heralds)]).await;
    assert!(
        heralds.iter().all(|herald| herald.subscribed("newPendingTransactions") == 0),
        "nobody wants them"
    );
    let mut socket = Socket::to(house.at).await;
    let hashes = socket.subscribe(json!(["newPendingTransactions"])).await;
    let whole = socket.subscribe(json!(["newPendingTransactions", true])).await;
    let filter = call(house.at, "eth_newPendingTransactionFilter", json!([])).await["result"].clone();
    until("all are asked", || {
        heralds.iter().all(|herald| herald.subscribed("newPendingTransactions") == 1).then_some(())
    })
    .await;
    for herald in &heralds {
        herald.tell(&json!(topic(1)));
    }
    heralds[1].tell(&json!(topic(2)));
    let (mut told, mut told_whole) = (Vec::new(), Vec::new());
    while told.len() < 2 || told_whole.len() < 2 {
        let note = socket.hear().await["params"].clone();
        match note["subscription"] == hashes {
            true => told.push(note["result"].clone()),
            false => {
                assert_eq!(note["subscription"], whole);
                told_whole.push(note["result"]["hash"].clone());
            }
        }
    }
    for told in [&mut told, &mut told_whole] {
        told.sort_by_key(ToString::to_string);
        assert_eq!(*told, [topic(1), topic(2)]);
    }
    let mut changes = call(house.at, "eth_getFilterChanges", json!([filter])).await["result"].clone();
    changes.as_array_mut().unwrap().sort_by_key(ToString::to_string);
    assert_eq!(changes, json!([topic(1), topic(2)]));
}

#[tokio::test]
async fn without_sockets_upstreams_are_asked_for_pending_transactions() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let house = House::new(vec![pool(&nodes.each_ref(), &[])]).await;
    let mut socket = Socket::to(house.at).await;
    let id = socket.subscribe(json!(["newPendingTransactions"])).await;
    let mut told = Vec::new();
    while told.len() < 2 {
        let note = socket.hear().await["params"].clone();
        assert_eq!(note["subscription"], id);
        told.push(note["result"].clone());
    }
    assert_eq!(told, [topic(1), topic(2)]);
}
