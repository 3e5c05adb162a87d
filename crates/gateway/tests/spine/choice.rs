//! Who is asked: cost tiers, and never the same shared fate twice while there is another.

use seawall_gateway::estate::PoolSection;
use seawall_model::Name;

use crate::{
    client::{balance_of, call},
    house::{House, chain, first_preferred, until},
    node::{BALANCE, but, error, honest, node, result},
    upstream::{Reply, Upstream},
};

const CALLS: usize = 40;

async fn asked(house: &House, times: usize) {
    let (method, params) = balance_of();
    for _ in 0..times {
        assert_eq!(call(house.at, method, params.clone()).await["result"], BALANCE);
    }
}

/// How many calls of clients an upstream has heard.
fn heard(upstream: &Upstream) -> usize {
    let params = balance_of().1;
    upstream.calls(balance_of().0).iter().filter(|heard| heard.call()["params"][0] == params[0]).count()
}

fn tiered(mut pool: PoolSection, tiers: &[u8]) -> PoolSection {
    pool.upstreams.iter_mut().zip(tiers).for_each(|(upstream, tier)| upstream.tier = *tier);
    pool
}

#[tokio::test]
async fn own_nodes_first_and_paid_ones_while_they_are_down() {
    let (a, b, c) = (node().await, node().await, node().await);
    let house = House::new(vec![tiered(chain(&[&a, &b, &c]), &[0, 0, 1])]).await;
    asked(&house, CALLS).await;
    assert_eq!(heard(&c), 0);
    let method = balance_of().0;
    a.does(but(method, |_| Reply::Reset));
    b.does(but(method, |_| Reply::Reset));
    asked(&house, CALLS).await;
    assert!(heard(&c) >= CALLS / 2, "{}", heard(&c));
    assert!(house.counted("spilled_attempts") >= heard(&c) as u64);
    a.does(honest);
    b.does(honest);
    // Once they have been back for a while, the paid one is left alone again.
    let began = tokio::time::Instant::now();
    loop {
        let before = heard(&c);
        asked(&house, CALLS).await;
        if heard(&c) == before {
            return;
        }
        assert!(began.elapsed() < crate::client::PATIENCE, "the paid one is asked for ever");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn only_what_is_too_much_for_the_cheap_one_goes_to_the_dear_one() {
    let (a, b) = (node().await, node().await);
    let mut pool = tiered(chain(&[&a, &b]), &[0, 1]);
    // Its polls count as well.
    pool.upstreams[0].rate = Some(20);
    let house = House::new(vec![pool]).await;
    let began = tokio::time::Instant::now();
    while heard(&a) == 0 || heard(&b) == 0 {
        asked(&house, CALLS).await;
        assert!(began.elapsed() < crate::client::PATIENCE, "{} and {}", heard(&a), heard(&b));
    }
    let most = 20.0 * (began.elapsed().as_secs_f64() + 0.1) + 1.0;
    assert!(heard(&a) as f64 <= most, "{} of {most}", heard(&a));
}

/// `a` and `b` are in one region of a provider, `c` in another of the same, `d` is of another provider. `a` is the
/// cheapest.
fn by_region(upstreams: [&Upstream; 4]) -> PoolSection {
    let mut pool = tiered(chain(&upstreams), &[0, 1, 1, 1]);
    let operators = [("x", Some("r1")), ("x", Some("r1")), ("x", Some("r2")), ("y", None)];
    for (upstream, (provider, region)) in pool.upstreams.iter_mut().zip(operators) {
        upstream.provider = Name::new(provider).unwrap();
        upstream.region = region.map(|r| Name::new(r).unwrap());
    }
    pool
}

#[tokio::test]
async fn what_failed_is_not_tried_again_on_the_same_shared_fate() {
    let (a, b, c, d) = (node().await, node().await, node().await, node().await);
    let house = House::new(vec![by_region([&a, &b, &c, &d])]).await;
    a.does(but(balance_of().0, |_| Reply::Reset));
    asked(&house, 2).await;
    assert_eq!([&a, &b, &c, &d].map(heard), [2, 0, 0, 2], "another provider while there is one");
    assert!(house.gateway.cordon("chain", "d", true).unwrap());
    asked(&house, 2).await;
    assert_eq!([&a, &b, &c, &d].map(heard), [4, 0, 2, 2], "then another region");
    assert!(house.gateway.cordon("chain", "c", true).unwrap());
    asked(&house, 1).await;
    assert_eq!([&a, &b, &c, &d].map(heard)[1], 1, "then whoever is left");
}

#[tokio::test]
async fn one_regions_upstreams_lost_cost_no_call() {
    let (mut a, mut b, c, d) = (node().await, node().await, node().await, node().await);
    let house = House::new(vec![by_region([&a, &b, &c, &d])]).await;
    asked(&house, CALLS).await;
    a.die().await;
    b.die().await;
    asked(&house, CALLS).await;
    until("both are ejected", || {
        (!house.ejections(0).is_empty() && !house.ejections(1).is_empty()).then_some(())
    })
    .await;
    asked(&house, CALLS).await;
    assert!(house.ejections(2).is_empty() && house.ejections(3).is_empty());
}

#[tokio::test]
async fn where_the_others_are_gone_one_that_cannot_says_so() {
    const WHAT: &str = "trace_replayTransaction";
    let (a, mut b) = (node().await, node().await);
    let house = House::new(vec![first_preferred(chain(&[&a, &b]))]).await;
    a.does(but(WHAT, |heard| error(heard, -32601, "the method is not there")));
    b.does(but(WHAT, |heard| result(heard, &"0x1".into())));
    let ask = async || call(house.at, WHAT, serde_json::json!(["0x01", ["trace"]])).await;
    assert_eq!(ask().await["result"], "0x1");
    // The first is known for it by now.
    assert_eq!(ask().await["result"], "0x1");
    assert_eq!(a.calls(WHAT).len(), 1);
    b.die().await;
    assert_eq!(ask().await["error"]["message"], "the method is not there");
}
