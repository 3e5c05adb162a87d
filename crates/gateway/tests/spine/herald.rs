//! A scripted upstream's WebSocket: hears what is subscribed to and tells what the test says.

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use seawall_gateway::estate::Socket;
use seawall_model::Secret;
use seawall_runtime::net::Endpoint;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::{JoinHandle, JoinSet},
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use crate::port::Port;

pub(crate) struct Herald {
    port: Port,
    say: broadcast::Sender<String>,
    subscribed: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Herald {
    pub(crate) fn new() -> Self {
        let (port, say, subscribed) = (Port::new(), broadcast::Sender::new(64), Arc::default());
        let serving = tokio::spawn(serve(port.listen(), say.clone(), Arc::clone(&subscribed)));
        Self { port, say, subscribed, serving }
    }

    /// Where it is, for the estate.
    pub(crate) fn socket(&self) -> Socket {
        let endpoint =
            Endpoint { host: "127.0.0.1".into(), port: self.port.at().port(), tls: false, credentials: None };
        Socket { endpoint, path: Secret::new("/ws?key=1"), host: "herald.test".into() }
    }

    /// How often that has been subscribed to.
    pub(crate) fn subscribed(&self, what: &str) -> usize {
        self.subscribed.lock().unwrap().iter().filter(|s| *s == what).count()
    }

    /// Tells everybody who is connected.
    pub(crate) fn tell(&self, result: &Value) {
        let note = json!({"jsonrpc": "2.0", "method": "eth_subscription",
            "params": {"subscription": "0x1", "result": result}});
        let _ = self.say.send(note.to_string());
    }
}

impl Drop for Herald {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, say: broadcast::Sender<String>, subscribed: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, say.subscribe(), subscribed.clone()));
    }
}

async fn connection(
    stream: TcpStream,
    mut say: broadcast::Receiver<String>,
    subscribed: Arc<Mutex<Vec<String>>>,
) {
    let mut socket = accept_async(stream).await.unwrap();
    loop {
        tokio::select! {
            Ok(note) = say.recv() => if socket.send(Message::Text(note.into())).await.is_err() { return },
            heard = socket.next() => match heard {
                Some(Ok(Message::Text(text))) => {
                    let call: Value = serde_json::from_str(&text).unwrap();
                    subscribed.lock().unwrap().push(call["params"][0].as_str().unwrap().to_owned());
                    let answer = json!({"jsonrpc": "2.0", "id": call["id"], "result": "0x1"}).to_string();
                    if socket.send(Message::Text(answer.into())).await.is_err() { return }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}
