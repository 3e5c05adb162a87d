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

/// A header as [`crate::node`] has it, with a bloom in which everything, or nothing, may be.
fn with_bloom(heard: &Heard, byte: &str) -> Reply {
    let Reply::Whole(status, headers, body) = honest(heard) else {
        unreachable!("an honest answer is whole")
    };
    let mut answer: Value = serde_json::from_slice(&body).unwrap();
    if answer["result"]["hash"].is_string() {
        answer["result"]["logsBloom"] = format!("0x{}", byte.repeat(256)).into();
    }
    Reply::Whole(status, headers, answer.to_string().into_bytes())
}

/// Of the head's header nothing can be in it; of the one ten below everything.
fn blooms(heard: &Heard) -> Reply {
    match heard.call()["params"][0].as_str() {
        Some("safe") => with_bloom(heard, "ff"),
        _ => with_bloom(heard, "00"),
    }
}

async fn emptied(from: u64, nodes: &[&crate::upstream::Upstream]) -> usize {
    let mut pool = chain(nodes);
    // No hedges, then; an opinion is asked for all the same.
    pool.attempts = 1;
    let house = House::new(vec![pool]).await;
    let asked = || nodes.iter().map(|node| node.calls("eth_getLogs").len()).sum::<usize>();
    let polled = || nodes.iter().all(|node| node.heard().len() >= 12).then_some(());
    crate::house::until("everybody has been polled twice", polled).await;
    let before = asked();
    assert_eq!(logs(&house, from, from).await["result"], json!([]));
    asked() - before
}

#[tokio::test]
async fn nothing_is_believed_at_once_where_the_header_says_so() {
    let (a, b, c) = (node().await, node().await, node().await);
    [&a, &b, &c].iter().for_each(|node| node.does(blooms));
    assert_eq!(emptied(crate::node::HEAD, &[&a, &b, &c]).await, 1);
}

#[tokio::test]
async fn nothing_needs_a_third_opinion_where_the_header_says_otherwise() {
    let (a, b, c) = (node().await, node().await, node().await);
    [&a, &b, &c].iter().for_each(|node| node.does(|heard| with_bloom(heard, "ff")));
    assert_eq!(emptied(crate::node::HEAD, &[&a, &b, &c]).await, 3);
}

/// Logs of the head and the block before it, where the headers of both say that there are some, from a pool whose first
/// node gives those of `first`, and the others those of `rest`.
async fn of_two(first: &'static [u64], rest: &'static [u64]) -> Value {
    let (a, b, c) = (node().await, node().await, node().await);
    let giving = |blocks: &'static [u64]| {
        move |heard: &Heard| match heard.method() == "eth_getLogs" {
            true => result(heard, &blocks.iter().map(|n| log(*n)).collect::<Vec<_>>().into()),
            false => with_bloom(heard, "01"),
        }
    };
    a.does(giving(first));
    [&b, &c].iter().for_each(|node| node.does(giving(rest)));
    let mut pool = crate::house::first_preferred(chain(&[&a, &b, &c]));
    // Whoever else is asked is asked for an opinion.
    pool.attempts = 1;
    let house = House::new(vec![pool]).await;
    let polled = || [&a, &b, &c].iter().all(|node| node.heard().len() >= 12).then_some(());
    crate::house::until("everybody has been polled twice", polled).await;
    logs(&house, crate::node::HEAD, crate::node::HEAD).await
}

#[tokio::test]
async fn a_list_that_leaves_out_what_headers_tell_of_is_not_given() {
    const WHOLE: &[u64] = &[crate::node::HEAD];
    let want: Vec<_> = WHOLE.iter().copied().map(log).collect();
    let answer = of_two(&[crate::node::HEAD - 1], WHOLE).await;
    assert_eq!(answer["result"], Value::from(want.clone()));
    assert_eq!(of_two(&[], WHOLE).await["result"], Value::from(want));
    // Where all leave it out they are believed.
    assert_eq!(of_two(&[], &[]).await["result"], json!([]));
}
