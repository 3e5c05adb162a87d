//! The end: what is in flight is answered, and nothing new is taken.

use tokio::net::TcpStream;

use crate::{
    client::{PATIENCE, Wire, balance_of, body, call, on_the_wire},
    house::{House, chain, until},
    node::{BALANCE, but, honest, node},
    upstream::{Gate, Reply},
};

#[tokio::test]
async fn a_request_in_flight_is_answered_and_new_connections_are_refused() {
    let gate = Gate::shut();
    let a = node().await;
    let (method, params) = balance_of();
    let shut = gate.clone();
    a.does(but(method, move |heard| Reply::Behind(shut.clone(), Box::new(honest(heard)))));
    let house = House::new(vec![chain(&[&a])]).await;
    let asked = tokio::spawn(call(house.at, method, params.clone()));
    until("it is in flight", || (!a.calls(method).is_empty()).then_some(())).await;
    // One that lies idle after an answer is let go.
    let mut idle = Wire::to(house.at).await;
    idle.say(on_the_wire(&body(1, "eth_chainId", &serde_json::json!([])))).await.unwrap();
    idle.hear("\"0x7\"}").await;
    let drained = house.drain();
    let began = std::time::Instant::now();
    while TcpStream::connect(house.at).await.is_ok() {
        assert!(began.elapsed() < PATIENCE, "new connections are refused");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(idle.hear_to_the_end().await, "");
    assert!(!asked.is_finished() && !drained.is_finished(), "it waits for what is in flight");
    gate.open();
    assert_eq!(asked.await.unwrap()["result"], BALANCE);
    assert!(drained.await.unwrap().is_empty(), "nothing had to be cut off");
}

#[tokio::test]
async fn what_does_not_end_in_its_time_is_cut_off() {
    let a = node().await;
    let (method, params) = balance_of();
    a.does(but(method, |_| Reply::Silence));
    let mut limits = crate::house::limits();
    limits.drain = std::time::Duration::from_millis(100);
    let mut pool = chain(&[&a]);
    pool.deadline = 10 * PATIENCE;
    pool.attempt_timeout = 10 * PATIENCE;
    let house = House::with(limits, vec![pool]).await;
    let mut wire = Wire::to(house.at).await;
    wire.say(on_the_wire(&body(1, method, &params))).await.unwrap();
    until("it is in flight", || (!a.calls(method).is_empty()).then_some(())).await;
    let cut = house.drain().await.unwrap();
    assert_eq!(cut.len(), 1, "{cut:?}");
    assert_eq!(wire.hear_to_the_end().await, "");
}
