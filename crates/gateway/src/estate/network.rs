//! Which chain of its family a pool serves, and how long its blocks take.

use std::{sync::Arc, time::Duration};

use seawall_chain::family::{Family, bitcoin_network};
use seawall_model::estate::{At, Code, Problem, Problems};

use super::{
    raw::RawPool,
    validate::{time, within},
};

/// Chains whose protocol fixes the time between blocks: Ethereum and its public testnets (slots of the
/// consensus specification), Optimism and Base (OP Stack), Gnosis.
const BLOCK_TIMES: [(u64, Duration); 6] = [
    (1, Duration::from_secs(12)),
    (10, Duration::from_secs(2)),
    (100, Duration::from_secs(5)),
    (8_453, Duration::from_secs(2)),
    (560_048, Duration::from_secs(12)),
    (11_155_111, Duration::from_secs(12)),
];
/// What Bitcoin's difficulty aims at.
const BITCOIN: Duration = Duration::from_secs(600);
/// What Monero's difficulty aims at.
const MONERO: Duration = Duration::from_secs(120);

/// Longest name of a network, in bytes.
const MAX_NAME: usize = 128;

/// The network as its nodes name it. `None` if it is not told or cannot be; that has been reported.
pub(super) fn network(raw: &At<RawPool>, family: Family, problems: &mut Problems) -> Option<Arc<str>> {
    let pool = &raw.value;
    let kind = family.as_str();
    if family == Family::Evm {
        super::pool::foreign("network", pool.network.as_ref(), kind, problems);
        let Some(at) = pool.chain_id else { return missing(raw, kind, "chain_id", "1", problems) };
        let id = within(at, 1, i64::MAX.unsigned_abs(), "chain_id", u64::to_string, problems)?;
        return Some(id.to_string().into());
    }
    super::pool::foreign("chain_id", pool.chain_id.as_ref(), kind, problems);
    super::pool::foreign("pin", pool.pin.as_ref(), kind, problems);
    let Some(at) = &pool.network else {
        return missing(raw, kind, "network", example(family), problems);
    };
    let name = at.value.as_str();
    let known = match family {
        Family::Bitcoin => bitcoin_network(name).or_else(|| is_hash(name).then_some(name)),
        Family::Monero => ["mainnet", "stagenet", "testnet", "fakechain"].into_iter().find(|n| *n == name),
        Family::CometBft | Family::Evm => Some(name).filter(|n| !n.is_empty() && n.len() <= MAX_NAME),
    };
    if known.is_none() {
        let message = format!("{} is no network of kind `{kind}`", problems.quote(name, at.place));
        let help = match family {
            Family::Bitcoin => {
                "use `main`, `testnet3`, `testnet4`, `signet`, `regtest`, or the hash of the first block"
            }
            Family::Monero => "use `mainnet`, `stagenet`, `testnet` or `fakechain`",
            Family::CometBft | Family::Evm => "use the chain id, as in `cosmoshub-4`",
        };
        problems.report(Problem::new(Code::InvalidValue, at.place, message).help(help));
    }
    known.map(Into::into)
}

/// Usual time between blocks.
pub(super) fn block_time(raw: &At<RawPool>, family: Family, problems: &mut Problems) -> Option<Duration> {
    let pool = &raw.value;
    if let Some(at) = pool.block_time {
        return time(at, "block_time", problems);
    }
    let fixed = match family {
        Family::Bitcoin => Some(BITCOIN),
        Family::Monero => Some(MONERO),
        Family::CometBft => None,
        // Where the chain is not told, that is mistake enough.
        Family::Evm => BLOCK_TIMES
            .iter()
            .find(|(id, _)| pool.chain_id.is_none_or(|at| at.value == *id))
            .map(|(_, time)| *time),
    };
    match fixed {
        Some(time) => Some(time),
        None => missing(raw, family.as_str(), "block_time", "\"12s\"", problems),
    }
}

fn missing<T>(raw: &At<RawPool>, kind: &str, key: &str, example: &str, problems: &mut Problems) -> Option<T> {
    let problem = Problem::new(Code::MissingKey, raw.place, format!("`{key}` is missing"));
    problems.report(problem.help(format!("a pool of kind `{kind}` needs it, as in `{key} = {example}`")));
    None
}

fn example(family: Family) -> &'static str {
    match family {
        Family::Evm => "1",
        Family::Bitcoin => "\"main\"",
        Family::CometBft => "\"cosmoshub-4\"",
        Family::Monero => "\"mainnet\"",
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
