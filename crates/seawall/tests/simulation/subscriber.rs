//! Somebody who subscribes to new heads: each block of the chain comes once, in its order, whatever happens to providers.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use seawall_runtime::net::{Conn, Endpoint, Net};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::{chain::quantity, world::World};

/// Time from one try to connect to the next.
const AGAIN: Duration = Duration::from_millis(250);
/// The gateway answers within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Listens for as long as it is polled. Only a daemon that goes away may end the connection.
pub(crate) async fn listen(world: Arc<World>, net: Arc<dyn Net>, to: Endpoint) {
    let mut socket = loop {
        match timeout(PATIENCE, subscribe(&*net, &to)).await {
            Ok(Some(socket)) => break socket,
            Ok(None) | Err(_) => sleep(AGAIN).await,
        }
    };
    let mut last = None;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let told: Value = serde_json::from_str(text.as_str()).unwrap_or_default();
        let head = &told["params"]["result"];
        let now = world.days.now();
        let mut ledger = world.ledger();
        ledger.trace.push(format!("{now} head {head}"));
        let Some(number) = head["number"].as_str().and_then(quantity) else {
            ledger.find(now, format!("a subscriber is told no head: {text}"));
            continue;
        };
        if head["hash"] != world.chain.hash(number, None) {
            ledger.find(now, format!("a subscriber is told of block {number} of another chain"));
        }
        if last.is_some_and(|last| number != last + 1) {
            ledger.find(now, format!("a subscriber is told of block {number} after {last:?}"));
        }
        last = Some(number);
        ledger.subscribed = last;
    }
    let now = world.days.now();
    world.ledger().find(now, "a subscription ended while the daemon ran".into());
}

async fn subscribe(net: &dyn Net, to: &Endpoint) -> Option<WebSocketStream<Conn>> {
    let conn = net.connect(to).await.ok()?;
    let (mut socket, _) = client_async("ws://seawall/", conn).await.ok()?;
    let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]});
    socket.send(Message::text(ask.to_string())).await.ok()?;
    let told = socket.next().await?.ok()?;
    let told: Value = serde_json::from_str(told.to_text().ok()?).ok()?;
    told["result"].is_string().then_some(socket)
}
