//! The script of an honest chain node whose chain stands at one block.

use serde_json::{Value, json};

use crate::upstream::{Heard, Reply, Upstream};

/// The chain every node serves.
pub(crate) const CHAIN: u64 = 7;
/// Height of its head.
pub(crate) const HEAD: u64 = 100;
/// What an honest node says of any balance.
pub(crate) const BALANCE: &str = "0x64";

/// An honest node.
pub(crate) async fn node() -> Upstream {
    Upstream::new(honest).await
}

/// What an honest node says.
pub(crate) fn honest(heard: &Heard) -> Reply {
    let call = heard.call();
    Reply::json(&json!({"jsonrpc": "2.0", "id": call["id"], "result": truth(&call)}))
}

/// An answer to a call with that result.
pub(crate) fn result(heard: &Heard, result: &Value) -> Reply {
    Reply::json(&json!({"jsonrpc": "2.0", "id": heard.call()["id"], "result": result}))
}

/// An answer to a call with that error.
pub(crate) fn error(heard: &Heard, code: i64, message: &str) -> Reply {
    let error = json!({"code": code, "message": message});
    Reply::json(&json!({"jsonrpc": "2.0", "id": heard.call()["id"], "error": error}))
}

/// The script of a node that is honest but about calls of one method.
pub(crate) fn but(
    method: &'static str,
    reply: impl Fn(&Heard) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Heard) -> Reply + Send + Sync + 'static {
    move |heard| if is_poll(heard) || heard.method() != method { honest(heard) } else { reply(heard) }
}

/// Polls ask for heads without transactions, clients in these tests with them.
fn is_poll(heard: &Heard) -> bool {
    heard.method() == "eth_chainId" || heard.call()["params"][1] == false
}

/// The script of an honest node whose chain's head is at that height now.
pub(crate) fn at_head(head: u64) -> impl Fn(&Heard) -> Reply + Send + Sync + 'static {
    move |heard| match (&*heard.method(), heard.call()["params"][0].as_str()) {
        ("eth_getBlockByNumber", Some("latest")) => result(heard, &header(head)),
        _ => honest(heard),
    }
}

fn truth(call: &Value) -> Value {
    match call["method"].as_str().unwrap_or_default() {
        "eth_chainId" => format!("{CHAIN:#x}").into(),
        "eth_getBlockByNumber" => block(call["params"][0].as_str().unwrap_or_default()),
        "eth_sendRawTransaction" => {
            let raw = call["params"][0].as_str().unwrap_or_default();
            seawall_chain::tx::hash(raw).unwrap().to_string().into()
        }
        "eth_getTransactionByHash" | "eth_getTransactionReceipt" => Value::Null,
        "eth_getLogs" => json!([]),
        _ => BALANCE.into(),
    }
}

fn block(tag: &str) -> Value {
    let number = match tag {
        "latest" => HEAD,
        "safe" => HEAD - 10,
        "finalized" => HEAD - 20,
        number => u64::from_str_radix(number.trim_start_matches("0x"), 16).unwrap(),
    };
    if number > HEAD { Value::Null } else { header(number) }
}

fn header(number: u64) -> Value {
    json!({
        "number": format!("{number:#x}"),
        "hash": hash(number),
        "parentHash": hash(number - 1),
        "timestamp": "0x6553f100",
        "transactions": [],
    })
}

/// The hash of the block at that height.
pub(crate) fn hash(number: u64) -> String {
    format!("0x{:064x}", number + 0xb10c_0000)
}
