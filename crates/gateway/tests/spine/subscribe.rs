//! Subscriptions: every block of the agreed chain once, in order, whatever becomes of the upstreams.

use std::time::Duration;

use seawall_gateway::estate::{PoolKind, PoolSection};
use serde_json::{Value, json};

use crate::{
    client::{body, call},
    house::{House, chain, limits, until},
    ledger::{Ledger, Made, address, logs, topic},
    socket::Socket,
    upstream::{Reply, Upstream},
};

/// A pool that is polled often.
pub(crate) fn pool(upstreams: &[&Upstream]) -> PoolSection {
    let mut pool = chain(upstreams);
    let PoolKind::Evm(evm) = &mut pool.kind else { unreachable!("a chain's pool") };
    evm.poll = Duration::from_millis(50);
    pool.hang = Duration::from_secs(1);
    pool
}

pub(crate) async fn nodes(ledger: &Ledger) -> [Upstream; 3] {
    [
        Upstream::new(ledger.script()).await,
        Upstream::new(ledger.script()).await,
        Upstream::new(ledger.script()).await,
    ]
}

/// The headers that are told next are those of these blocks.
pub(crate) async fn hears(socket: &mut Socket, id: &Value, blocks: &[Made]) {
    for made in blocks {
        let note = socket.hear().await;
        assert_eq!(
            (&note["method"], &note["params"]["subscription"]),
            (&json!("eth_subscription"), id),
            "{note}"
        );
        let header = &note["params"]["result"];
        assert_eq!(header["hash"], made.hash, "{note}");
        assert!(header["parentHash"].is_string() && header["transactions"].is_null(), "{note}");
    }
}

#[tokio::test]
async fn every_block_is_told_once_through_the_failure_of_every_upstream_in_turn() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let house = House::new(vec![pool(&nodes.each_ref())]).await;
    let mut socket = Socket::to(house.at).await;
    let id = socket.subscribe(json!(["newHeads"])).await;
    let mut told = 101;
    for out in [None, Some(0), Some(1), Some(2), None] {
        for (i, node) in nodes.iter().enumerate() {
            match out == Some(i) {
                true => node.does(|_| Reply::Reset),
                false => node.does(ledger.script()),
            }
        }
        for blocks in [1, 3, 1] {
            ledger.grow(blocks);
            let new = ledger.from(told);
            told += blocks;
            hears(&mut socket, &id, &new).await;
        }
    }
}

#[tokio::test]
async fn a_gap_between_polls_is_filled() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let house = House::new(vec![pool(&nodes.each_ref())]).await;
    let mut socket = Socket::to(house.at).await;
    let id = socket.subscribe(json!(["newHeads"])).await;
    ledger.grow(50);
    hears(&mut socket, &id, &ledger.from(101)).await;
    assert!(house.counted("gap_blocks") > 0);
}

#[tokio::test]
async fn a_reorganisation_tells_the_new_chain() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let house = House::new(vec![pool(&nodes.each_ref())]).await;
    let mut socket = Socket::to(house.at).await;
    let id = socket.subscribe(json!(["newHeads"])).await;
    ledger.grow(3);
    hears(&mut socket, &id, &ledger.from(101)).await;
    ledger.drop(2);
    ledger.grow(4);
    hears(&mut socket, &id, &ledger.from(102)).await;
}

#[tokio::test]
async fn subscriptions_end_and_leave_nothing_behind() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let mut limits = limits();
    limits.sockets.subscriptions = 2;
    let house = House::with(limits, vec![pool(&nodes.each_ref())]).await;
    let there_are = |n: f64| move |house: &House| (house.subscriptions("newHeads") == n).then_some(());
    let (mut one, mut other) = (Socket::to(house.at).await, Socket::to(house.at).await);
    let first = one.subscribe(json!(["newHeads"])).await;
    let second = one.subscribe(json!(["newHeads"])).await;
    assert_ne!(first, second);
    assert_eq!(one.call("eth_subscribe", json!(["newHeads"])).await["error"]["data"]["code"], "SW0335");
    let third = other.subscribe(json!(["newHeads"])).await;
    there_are(3.0)(&house).unwrap();
    // What is another's cannot be ended.
    assert_eq!(other.call("eth_unsubscribe", json!([first])).await["result"], false);
    assert_eq!(one.call("eth_unsubscribe", json!([first])).await["result"], true);
    assert_eq!(one.call("eth_unsubscribe", json!([first])).await["result"], false);
    ledger.grow(1);
    hears(&mut one, &second, &ledger.from(101)).await;
    hears(&mut other, &third, &ledger.from(101)).await;
    drop(one);
    until("its subscriptions are gone", || there_are(1.0)(&house)).await;
    drop(other);
    until("nobody listens", || there_are(0.0)(&house)).await;
    until("the sockets are gone", || (house.gauge("sockets") == 0.0).then_some(())).await;
    // Whoever comes later begins at the head there is then.
    ledger.grow(5);
    let seen = || (house.gateway.pools()[0].head.as_ref().map(|head| head.number) == Some(106)).then_some(());
    until("the head has moved on", seen).await;
    let mut late = Socket::to(house.at).await;
    let id = late.subscribe(json!(["newHeads"])).await;
    ledger.grow(1);
    hears(&mut late, &id, &ledger.from(107)).await;
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_refused() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let house = House::new(vec![pool(&nodes.each_ref())]).await;
    let over_http = call(house.at, "eth_subscribe", json!(["newHeads"])).await;
    assert_eq!(
        (&over_http["error"]["code"], &over_http["error"]["data"]["code"]),
        (&json!(-32601), &json!("SW0333"))
    );
    let mut socket = Socket::to(house.at).await;
    for params in [json!(["syncing"]), json!([]), json!([1]), json!({}), json!(["logs", {"address": "0x1"}])]
    {
        let answer = socket.call("eth_subscribe", params).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    assert_eq!(socket.call("eth_unsubscribe", json!(["x"])).await["error"]["code"], -32602);
}

/// The logs that are told next are these.
async fn hears_logs(socket: &mut Socket, id: &Value, wanted: &[Value]) {
    for log in wanted {
        let note = socket.hear().await;
        assert_eq!((&note["params"]["subscription"], &note["params"]["result"]), (id, log), "{note}");
    }
}

#[tokio::test]
async fn logs_are_told_once_and_taken_back_in_reverse() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let house = House::new(vec![pool(&nodes.each_ref())]).await;
    let (mut all, mut some) = (Socket::to(house.at).await, Socket::to(house.at).await);
    let every = all.subscribe(json!(["logs"])).await;
    let filter = json!({"address": [address(0), address(2)], "topics": [[topic(2), topic(1)]]});
    let third = some.subscribe(json!(["logs", filter])).await;
    let told = |from: u64| ledger.from(from).iter().flat_map(logs).collect::<Vec<_>>();
    for (i, node) in nodes.iter().enumerate() {
        node.does(|_| Reply::Reset);
        ledger.add(3, 0);
        ledger.add(0, 0);
        ledger.add(3, 0);
        let new = told(101 + 3 * i as u64);
        hears_logs(&mut all, &every, &new).await;
        hears_logs(&mut some, &third, &[new[2].clone(), new[5].clone()]).await;
        node.does(ledger.script());
    }
    let mut gone = told(107);
    gone.reverse();
    gone.iter_mut().for_each(|log| log["removed"] = true.into());
    ledger.drop(3);
    (0..4).for_each(|_| ledger.add(3, 0));
    let new = told(107);
    hears_logs(&mut all, &every, &gone).await;
    hears_logs(&mut all, &every, &new).await;
    let third_of =
        |logs: &[Value]| logs.iter().filter(|l| l["address"] == address(2)).cloned().collect::<Vec<_>>();
    hears_logs(&mut some, &third, &third_of(&gone)).await;
    hears_logs(&mut some, &third, &third_of(&new)).await;
}

#[tokio::test]
async fn a_client_that_does_not_keep_up_is_closed_and_slows_nobody() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let mut limits = limits();
    limits.sockets.queue = 16 * 1024;
    let house = House::with(limits, vec![pool(&nodes.each_ref())]).await;
    let (mut slow, mut quick) = (Socket::to(house.at).await, Socket::to(house.at).await);
    slow.subscribe(json!(["newHeads"])).await;
    let id = quick.subscribe(json!(["newHeads"])).await;
    let mut height = 101;
    let slow_ones = || house.counted("slow_clients");
    while slow_ones() == 0 {
        ledger.add(0, 1 << 20);
        hears(&mut quick, &id, &ledger.from(height)).await;
        height += 1;
        assert!(height < 1_000, "it is never found out");
    }
    // It may still read what had gone out, and then is told why, if its buffers could take that.
    until("it is gone", || (house.gauge("sockets") == 1.0).then_some(())).await;
    ledger.grow(1);
    hears(&mut quick, &id, &ledger.from(height)).await;
}

#[tokio::test]
async fn a_gap_too_wide_is_said_to_be_one() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let house = House::new(vec![pool(&nodes.each_ref())]).await;
    let mut socket = Socket::to(house.at).await;
    socket.subscribe(json!(["newHeads"])).await;
    ledger.grow(2_000);
    let (code, reason) = socket.end().await;
    assert!(code == 1013 && reason.starts_with("SW0337"), "{code} {reason}");
    assert_eq!(house.counted("feed_losses"), 1);
    let mut again = Socket::to(house.at).await;
    let id = again.subscribe(json!(["newHeads"])).await;
    ledger.grow(1);
    hears(&mut again, &id, &ledger.from(2_101)).await;
}

#[tokio::test]
async fn a_reload_disturbs_no_subscription_but_those_of_pools_that_go() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let house = House::new(vec![pool(&nodes.each_ref())]).await;
    let mut socket = Socket::to(house.at).await;
    let id = socket.subscribe(json!(["newHeads"])).await;
    ledger.grow(2);
    hears(&mut socket, &id, &ledger.from(101)).await;
    let mut section = house.section.clone();
    section.pools[0].upstreams.remove(0);
    house.gateway.reload(section.clone()).unwrap();
    ledger.grow(2);
    hears(&mut socket, &id, &ledger.from(103)).await;
    section.pools.clear();
    house.gateway.reload(section).unwrap();
    socket.say(body(1, "eth_chainId", &json!([]))).await;
    assert_eq!(socket.end().await.0, 1001);
    drop(socket);
    until("it is gone", || (house.gauge("sockets") == 0.0).then_some(())).await;
}
