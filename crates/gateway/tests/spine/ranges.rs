//! Logs over more blocks than any upstream gives at once.

use serde_json::{Value, json};

use crate::{
    client::call,
    house::{House, chain},
    node::{error, hash, honest, node, result},
    upstream::{Heard, Reply},
};

fn height(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn log(number: u64) -> Value {
    json!({"blockNumber": format!("{number:#x}"), "blockHash": hash(number), "data": "0x"})
}

/// The script of a node that gives the logs of so many blocks at once, one in every even block; asked for a
/// block in `not`, it breaks.
fn giving(blocks: u64, not: std::ops::Range<u64>) -> impl Fn(&Heard) -> Reply + Send + Sync + 'static {
    move |heard| {
        if heard.method() != "eth_getLogs" {
            return honest(heard);
        }
        let filter = &heard.call()["params"][0];
        let (from, to) = (height(&filter["fromBlock"]), height(&filter["toBlock"]));
        if to - from >= blocks {
            return error(heard, -32005, "query returned more than 10000 results");
        }
        if (from..=to).any(|n| not.contains(&n)) {
            return Reply::Reset;
        }
        let logs: Vec<_> = (from..=to).filter(|n| n.is_multiple_of(2)).map(log).collect();
        result(heard, &logs.into())
    }
}

async fn logs(house: &House, from: u64, to: u64) -> Value {
    let filter = json!([{"toBlock": format!("{to:#x}"), "fromBlock": format!("{from:#x}"), "topics": []}]);
    call(house.at, "eth_getLogs", filter).await
}

#[tokio::test]
async fn they_come_whole_and_in_order() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![chain(&[&a, &b])]).await;
    a.does(giving(5, 0..0));
    b.does(giving(7, 30..33));
    let want: Vec<_> = (0..=61).filter(|n| n % 2 == 0).map(log).collect();
    assert_eq!(logs(&house, 0, 61).await["result"], Value::from(want));
    assert!(house.counted("splits") >= 8);
}

#[tokio::test]
async fn too_much_in_one_block_is_said_in_the_nodes_own_words() {
    let (a, b) = (node().await, node().await);
    let house = House::new(vec![chain(&[&a, &b])]).await;
    for node in [&a, &b] {
        node.does(giving(0, 0..0));
    }
    let answer = logs(&house, 3, 9).await;
    assert_eq!(answer["error"]["message"], "query returned more than 10000 results");
}
