//! Filters: held by the gateway, whoever asks on whatever connection and whichever upstream is there.

use serde_json::{Value, json};

use crate::{
    client::call,
    house::{House, limits, until},
    ledger::{Ledger, address, logs, topic},
    socket::Socket,
    subscribe::{nodes, pool},
    upstream::Reply,
};

/// Asks for changes until there are so many.
async fn changes(house: &House, filter: &Value, many: usize) -> Vec<Value> {
    let mut all = Vec::new();
    while all.len() < many {
        let answer = call(house.at, "eth_getFilterChanges", json!([filter])).await;
        all.extend(answer["result"].as_array().unwrap_or_else(|| panic!("{answer}")).clone());
    }
    assert_eq!(all.len(), many, "{all:?}");
    all
}

#[tokio::test]
async fn filters_outlive_their_upstreams_and_connections() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let house = House::new(vec![pool(&nodes.each_ref())]).await;
    let blocks = call(house.at, "eth_newBlockFilter", json!([])).await["result"].clone();
    let wanted = json!([{"address": address(1), "topics": [null, [topic(101), topic(102)]]}]);
    let some = call(house.at, "eth_newFilter", wanted).await["result"].clone();
    let (mut hashes, mut found) = (Vec::new(), Vec::new());
    for (out, node) in nodes.iter().enumerate() {
        node.does(|_| Reply::Reset);
        ledger.add(3, 0);
        ledger.add(0, 0);
        let new = ledger.from(101 + 2 * out as u64);
        hashes.extend(new.iter().map(|made| json!(made.hash)));
        found.push(logs(&new[0])[1].clone());
        assert_eq!(changes(&house, &blocks, 2).await, hashes.split_off(hashes.len() - 2));
        assert_eq!(changes(&house, &some, 1).await, found.split_off(found.len() - 1));
        node.does(ledger.script());
    }
    // A reorganisation takes back, the last one first, and gives anew.
    let gone = ledger.from(106);
    let before = ledger.from(105);
    ledger.drop(2);
    ledger.add(2, 0);
    ledger.add(0, 0);
    ledger.add(0, 0);
    let new = ledger.from(105);
    let told = changes(&house, &some, 2).await;
    assert_eq!((&told[0]["blockHash"], &told[0]["removed"]), (&json!(before[0].hash), &json!(true)));
    assert_eq!(told[1], logs(&new[0])[1]);
    assert_eq!(gone.len(), 1);
    let hashes: Vec<_> = new.iter().map(|made| json!(made.hash)).collect();
    assert_eq!(changes(&house, &blocks, 3).await, hashes);
    // The logs of a filter are those of its range.
    let range = json!([{"fromBlock": "0x65", "toBlock": "0x67", "address": address(0)}]);
    let ranged = call(house.at, "eth_newFilter", range).await["result"].clone();
    let all = call(house.at, "eth_getFilterLogs", json!([ranged])).await["result"].clone();
    assert_eq!(all.as_array().unwrap().iter().filter(|log| log["address"] == address(0)).count(), 2);
}

#[tokio::test]
async fn what_is_seen_by_reading_is_in_the_changes() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let house = House::new(vec![pool(&nodes.each_ref())]).await;
    let blocks = call(house.at, "eth_newBlockFilter", json!([])).await["result"].clone();
    for height in 101..110_u64 {
        ledger.grow(1);
        let number = json!(format!("{height:#x}"));
        while call(house.at, "eth_blockNumber", json!([])).await["result"] != number {}
        let answer = call(house.at, "eth_getFilterChanges", json!([blocks])).await;
        assert_eq!(answer["result"], json!([ledger.from(height)[0].hash]), "{height}");
    }
}

/// It is asked after so seldom that what it was to be told is not kept any more.
#[tokio::test]
async fn a_filter_that_is_far_behind_misses_nothing() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let house = House::new(vec![pool(&nodes.each_ref())]).await;
    let filter = call(house.at, "eth_newFilter", json!([{"topics": [topic(0)]}])).await["result"].clone();
    let mut socket = Socket::to(house.at).await;
    socket.subscribe(json!(["logs"])).await;
    for _ in 0..3 {
        let from = ledger.from(0).len() as u64;
        (0..700).for_each(|_| ledger.add(1, 0));
        for log in ledger.from(from).iter().flat_map(logs) {
            assert_eq!(socket.hear().await["params"]["result"], log);
        }
    }
    let all: Vec<_> = ledger.from(101).iter().flat_map(logs).collect();
    assert_eq!(changes(&house, &filter, 2_100).await, all);
    ledger.add(1, 0);
    assert_eq!(changes(&house, &filter, 1).await, logs(&ledger.from(2_201)[0]));
}

#[tokio::test]
async fn filters_are_limited_and_forgotten() {
    let ledger = Ledger::new(100);
    let nodes = nodes(&ledger).await;
    let mut limits = limits();
    limits.filters = 1;
    let house = House::with(limits, vec![pool(&nodes.each_ref())]).await;
    let code = |answer: Value| answer["error"]["data"]["code"].clone();
    let filter = call(house.at, "eth_newBlockFilter", json!([])).await["result"].clone();
    assert_eq!(code(call(house.at, "eth_newBlockFilter", json!([])).await), "SW0339");
    assert_eq!(code(call(house.at, "eth_getFilterLogs", json!([filter])).await), "SW0338");
    assert_eq!(call(house.at, "eth_uninstallFilter", json!([filter])).await["result"], true);
    assert_eq!(call(house.at, "eth_uninstallFilter", json!([filter])).await["result"], false);
    let gone = call(house.at, "eth_getFilterChanges", json!([filter])).await;
    assert_eq!((&gone["error"]["code"], code(gone.clone())), (&json!(-32000), json!("SW0338")));
    assert_eq!(code(call(house.at, "eth_newFilter", json!([{"topics": "0x"}])).await), "SW0334");
    until("nobody listens", || (house.subscriptions("newHeads") == 0.0).then_some(())).await;
}
