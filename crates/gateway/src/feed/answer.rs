//! The calls that the feed answers: subscriptions and filters.

use seawall_chain::envelope::{self, Call, code};
use serde_json::value::RawValue;

use super::{filters, subscribe};
use crate::{call::Reply, serve::Visit};

/// JSON-RPC code of what is not there (EIP-1474).
const NOT_FOUND: i64 = -32_000;

/// Why a call is refused: the JSON-RPC code, and what is said, which begins with the operator's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused(pub(super) i64, pub(super) &'static str);

impl Refused {
    pub(super) const NOT_A_FILTER: Self = Self(
        code::INVALID_PARAMS,
        "SW0334: this is no filter: `address` is an address or a list, `topics` a list of hashes, lists of hashes and nulls",
    );
    pub(super) const NO_SUCH_FILTER: Self = Self(NOT_FOUND, "SW0338: filter not found");
    const NO_ID: Self = Self(code::INVALID_PARAMS, "SW0334: name it by its id alone, as in [\"0x1f\"]");
    const NO_SOCKET: Self =
        Self(code::METHOD_NOT_FOUND, "SW0333: subscriptions need a WebSocket: connect to this path with one");
}

/// Is it one of the calls that the feed answers?
pub(crate) fn is_ours(method: &str) -> bool {
    matches!(
        method,
        "eth_subscribe"
            | "eth_unsubscribe"
            | "eth_newFilter"
            | "eth_newBlockFilter"
            | "eth_newPendingTransactionFilter"
            | "eth_getFilterChanges"
            | "eth_getFilterLogs"
            | "eth_uninstallFilter"
    )
}

/// Answers one of these calls.
pub(crate) async fn answer(visit: &Visit, call: &Call<'_>) -> Reply {
    // Nobody would know the id.
    let Some(id) = call.id else { return Reply::Nothing };
    let spot = visit.spot.as_ref().ok_or(Refused::NO_SOCKET);
    let params = call.params;
    let told = match &*call.method {
        "eth_subscribe" => spot.and_then(|spot| subscribe::subscribe(visit, spot, params)),
        "eth_unsubscribe" => spot.and_then(|spot| Ok(subscribe::unsubscribe(spot, named(params)?))),
        "eth_newFilter" => filters::new_logs(visit, params),
        "eth_newBlockFilter" => filters::new_blocks(visit),
        "eth_newPendingTransactionFilter" => filters::new_pending(visit),
        "eth_getFilterChanges" => match named(params) {
            Ok(filter) => filters::changes(visit, filter).await,
            Err(refused) => Err(refused),
        },
        "eth_getFilterLogs" => match named(params).and_then(|filter| filters::params(visit, filter)) {
            Ok(params) => {
                let call = Call { id: Some(id), method: "eth_getLogs".into(), params: Some(&params) };
                // Let in already, and counted.
                let visit = Visit::of_the_house(visit.worker.clone(), visit.pool.clone());
                return Box::pin(crate::call::answer(&visit, &call)).await;
            }
            Err(refused) => Err(refused),
        },
        _ => named(params).map(|filter| filters::uninstall(visit, filter)),
    };
    let mut out = Vec::with_capacity(128);
    match told {
        Ok(result) => envelope::write_result(&mut out, Some(id), &result),
        Err(Refused(code, message)) => {
            let data = format!("{{\"code\":\"{}\"}}", &message[..6]);
            envelope::write_error(&mut out, Some(id), code, message, Some(&data));
        }
    }
    Reply::Whole(out.into())
}

/// The id that is the only parameter.
fn named(params: Option<&RawValue>) -> Result<u128, Refused> {
    params
        .and_then(|params| serde_json::from_str::<[&str; 1]>(params.get()).ok())
        .and_then(|[id]| u128::from_str_radix(id.strip_prefix("0x")?, 16).ok())
        .ok_or(Refused::NO_ID)
}
