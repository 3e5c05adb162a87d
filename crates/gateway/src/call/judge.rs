//! What an upstream's answer is worth.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode, header};
use seawall_chain::{
    Block, Hash,
    envelope::{Answer, NotAnAnswer, parse_answer, same_id},
    family::Rules,
    fault::Kind,
    method::{Method, NullResult},
    pin::Reads,
};
use seawall_model::Cause;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What an answer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worth {
    /// It can go to the client.
    Good,
    /// It is null (or an empty list) where that may be the truth or a gap: somebody else must say so too.
    Doubtful,
    /// It speaks of this block, which lies beyond the agreed head.
    Ahead(u64),
    /// An error of this kind, told in JSON-RPC.
    Error(Kind),
    /// The upstream is at fault.
    Fault(Cause),
}

/// What is expected of an answer.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) rules: &'static Rules,
    pub(crate) id: &'a RawValue,
    pub(crate) method: &'a Method,
    /// The method's name, where more is known of it than its class tells.
    pub(crate) name: &'a str,
    pub(crate) reads: Option<Reads>,
    /// Height of the agreed head, if there is one.
    pub(crate) agreed: Option<u64>,
    /// The agreed chain, as far back as it is remembered.
    pub(crate) history: &'a BTreeMap<u64, Hash>,
}

/// How long a 429 or 503 asks to be left alone (RFC 9110, section 10.2.3).
pub(crate) fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let at = httpdate::parse_http_date(text).ok()?;
            // Against the answer's own date, so that no clock of ours matters.
            let date =
                headers.get(header::DATE).and_then(|d| httpdate::parse_http_date(d.to_str().ok()?).ok());
            at.duration_since(date.unwrap_or(SystemTime::UNIX_EPOCH)).ok().filter(|_| date.is_some())
        }
    }
}

/// The fault that a status alone tells of.
pub(crate) fn status_fault(status: StatusCode) -> Option<Cause> {
    match status.as_u16() {
        429 => Some(Cause::RateLimited),
        401 | 403 | 407 => Some(Cause::Unauthorized),
        500.. => Some(Cause::HttpStatus),
        _ => None,
    }
}

/// Judges a whole body that came with a status that is no fault in itself.
pub(crate) fn judge(status: StatusCode, body: &[u8], expected: &Expected<'_>) -> Worth {
    let answer = match parse_answer(body) {
        Ok(answer) => answer,
        Err(_) if !status.is_success() => return Worth::Fault(Cause::HttpStatus),
        Err(NotAnAnswer::Cut) => return Worth::Fault(Cause::Truncated),
        Err(_) => return Worth::Fault(Cause::Malformed),
    };
    if let Some(error) = &answer.error {
        // A node that could not read the request says so with a null id; ours are always readable.
        let kind = (expected.rules.classify)(error);
        let ours = answer.id.is_none_or(|id| same_id(id, expected.id));
        return if ours { Worth::Error(kind) } else { Worth::Fault(Cause::WrongId) };
    }
    match answer.id {
        Some(id) if same_id(id, expected.id) => result(&answer, expected),
        None if expected.id.get() == "null" => result(&answer, expected),
        Some(_) | None => Worth::Fault(Cause::WrongId),
    }
}

fn result(answer: &Answer<'_>, expected: &Expected<'_>) -> Worth {
    let within = |n: u64| expected.agreed.is_some_and(|agreed| n <= agreed);
    if answer.is_null() {
        return match expected.method.null {
            NullResult::Never => Worth::Fault(Cause::Missing),
            NullResult::NoSuchBlock => match expected.reads {
                // It has been agreed on: whoever does not have it has been left behind, or all have left it.
                Some(Reads::Hash(hash)) if expected.history.values().any(|agreed| *agreed == hash) => {
                    Worth::Fault(Cause::Lagging)
                }
                reads => match reads.and_then(|r| r.highest()) {
                    Some(n) if within(n) => Worth::Fault(Cause::Missing),
                    Some(_) => Worth::Good,
                    None => Worth::Doubtful,
                },
            },
            NullResult::Possible => Worth::Doubtful,
        };
    }
    let text = answer.result.map_or("", RawValue::get);
    if expected.method.empty_is_suspicious && text.strip_prefix('[').is_some_and(|t| t.trim_start() == "]") {
        return Worth::Doubtful;
    }
    if strays(expected.name, expected.reads, text, expected.history) {
        return Worth::Fault(Cause::Forked);
    }
    match expected.name {
        "eth_getBlockByNumber" | "eth_getHeaderByNumber" => match expected.reads {
            Some(Reads::Agreed(block)) if !is_block(text, &block) => Worth::Fault(Cause::Forked),
            _ => Worth::Good,
        },
        "eth_getTransactionReceipt" | "eth_getTransactionByHash" => match mined_in(text) {
            Some(n) if expected.agreed.is_some() && !within(n) => Worth::Ahead(n),
            Some(_) | None => Worth::Good,
        },
        _ => Worth::Good,
    }
}

/// A block as answers name it.
struct Named<'a> {
    number: Option<&'a str>,
    hash: Option<&'a str>,
}

impl Named<'_> {
    fn number(&self) -> Option<u64> {
        seawall_chain::parse_quantity(self.number?)
    }

    /// True if another block has been agreed on at its height.
    fn strays(&self, history: &BTreeMap<u64, Hash>) -> bool {
        let agreed = self.number().and_then(|n| history.get(&n));
        agreed.is_some_and(|agreed| self.hash.is_some_and(|hash| hash.parse() != Ok(*agreed)))
    }
}

/// The block that a header is of.
fn header(text: &str) -> Option<Named<'_>> {
    #[derive(Deserialize)]
    struct Header<'a> {
        #[serde(borrow)]
        number: Option<&'a str>,
        #[serde(borrow)]
        hash: Option<&'a str>,
    }
    serde_json::from_str(text).ok().map(|Header { number, hash }| Named { number, hash })
}

/// Where a transaction, a receipt or a log says it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place<'a> {
    #[serde(borrow)]
    block_number: Option<&'a str>,
    #[serde(borrow)]
    block_hash: Option<&'a str>,
}

impl<'a> From<Place<'a>> for Named<'a> {
    fn from(place: Place<'a>) -> Self {
        Self { number: place.block_number, hash: place.block_hash }
    }
}

fn place(text: &str) -> Option<Named<'_>> {
    serde_json::from_str::<Place<'_>>(text).ok().map(Into::into)
}

/// Does the result speak of a block other than the agreed one at its height? Where the call names a height or
/// a transaction, nothing in it has bound the upstream to the agreed chain.
fn strays(name: &str, reads: Option<Reads>, text: &str, history: &BTreeMap<u64, Hash>) -> bool {
    if let Some(Reads::Hash(_)) = reads {
        return false; // that very block was asked for, agreed or not
    }
    let strays = |named: Named<'_>| named.strays(history);
    match name {
        "eth_getBlockByNumber" | "eth_getHeaderByNumber" => header(text).is_some_and(strays),
        "eth_getTransactionReceipt"
        | "eth_getTransactionByHash"
        | "eth_getTransactionByBlockNumberAndIndex" => place(text).is_some_and(strays),
        "eth_getLogs" | "eth_getBlockReceipts" => serde_json::from_str::<Vec<Place<'_>>>(text)
            .is_ok_and(|places| places.into_iter().any(|p| strays(p.into()))),
        _ => false,
    }
}

/// Does an answer that was ahead of the agreed head tell of the block that was agreed on then?
pub(crate) fn borne_out(name: &str, body: &[u8], history: &BTreeMap<u64, Hash>) -> bool {
    let answer = parse_answer(body).ok();
    answer.and_then(|a| a.result).is_some_and(|result| !strays(name, None, result.get(), history))
}

/// Is `text` the block named? Anything that tells no hash is not.
pub(crate) fn is_block(text: &str, block: &Block) -> bool {
    header(text).and_then(|h| h.hash?.parse().ok()) == Some(block.hash)
}

/// Does `body`, which has what others said was not there, tell of something so far back in the agreed
/// chain that nobody has an excuse?
pub(crate) fn settled(name: &str, reads: Option<Reads>, agreed: Option<u64>, body: &[u8]) -> bool {
    /// Blocks by which a node may be behind the agreed head and still be sound.
    const EXCUSE: u64 = 2;
    let Some(agreed) = agreed else { return false };
    match name {
        "eth_getTransactionReceipt" | "eth_getTransactionByHash" => parse_answer(body)
            .ok()
            .and_then(|answer| mined_in(answer.result?.get()))
            .is_some_and(|n| n + EXCUSE <= agreed),
        // Whoever answers a range has shown that it has the range's last block.
        _ => reads.and_then(|r| r.highest()).is_some_and(|n| n <= agreed),
    }
}

/// The height of the block that a transaction or receipt says it is in.
fn mined_in(text: &str) -> Option<u64> {
    place(text)?.number()
}

#[cfg(test)]
mod tests {
    use seawall_chain::family::Family;

    use super::*;

    fn hash(byte: &str) -> Hash {
        format!("0x{}", byte.repeat(32)).parse().unwrap()
    }

    fn check(name: &str, reads: Option<Reads>, body: &str, want: Worth) {
        let id: Box<RawValue> = RawValue::from_string("7".into()).unwrap();
        let method = Method::lookup(name);
        let history = BTreeMap::from([(100, hash("ab"))]);
        let expected = Expected {
            rules: Family::Evm.rules(),
            id: &id,
            method: &method,
            name,
            reads,
            agreed: Some(100),
            history: &history,
        };
        assert_eq!(judge(StatusCode::OK, body.as_bytes(), &expected), want, "{name} {body}");
    }

    #[test]
    fn answers_are_taken_for_what_they_are() {
        let get = "eth_getBalance";
        check(get, None, r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#, Worth::Good);
        check(get, None, r#"{"jsonrpc":"2.0","id":8,"result":"0x1"}"#, Worth::Fault(Cause::WrongId));
        check(get, None, r#"{"jsonrpc":"2.0","id":7,"result":null}"#, Worth::Fault(Cause::Missing));
        check(get, None, r#"{"jsonrpc":"2.0","id":7,"resu"#, Worth::Fault(Cause::Truncated));
        check(get, None, "<html>bad gateway</html>", Worth::Fault(Cause::Malformed));
        check(get, None, "", Worth::Fault(Cause::Malformed));
        check(
            get,
            None,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":3,"message":"execution reverted"}}"#,
            Worth::Error(Kind::Caller),
        );
    }

    #[test]
    fn a_null_within_the_agreed_chain_is_a_gap() {
        let null = r#"{"id":7,"result":null}"#;
        check("eth_getBlockByNumber", Some(Reads::Number(100)), null, Worth::Fault(Cause::Missing));
        check("eth_getBlockByNumber", Some(Reads::Number(101)), null, Worth::Good);
        check("eth_getBlockByHash", Some(Reads::Hash(hash("ab"))), null, Worth::Fault(Cause::Lagging));
        check("eth_getBlockByHash", Some(Reads::Hash(hash("cd"))), null, Worth::Doubtful);
        check("eth_getTransactionReceipt", None, null, Worth::Doubtful);
        check("eth_getLogs", Some(Reads::Range(1, 2)), r#"{"id":7,"result":[ ]}"#, Worth::Doubtful);
        check("eth_getLogs", Some(Reads::Range(1, 2)), r#"{"id":7,"result":[{}]}"#, Worth::Good);
    }

    #[test]
    fn another_block_at_the_agreed_height_is_a_fork() {
        let block = Block { number: 100, hash: hash("ab") };
        let body =
            |h: &str| format!(r#"{{"id":7,"result":{{"number":"0x64","hash":"0x{}"}}}}"#, h.repeat(32));
        check("eth_getBlockByNumber", Some(Reads::Agreed(block)), &body("ab"), Worth::Good);
        check("eth_getBlockByNumber", Some(Reads::Agreed(block)), &body("cd"), Worth::Fault(Cause::Forked));
    }

    #[test]
    fn whatever_tells_of_a_block_must_tell_of_the_agreed_one() {
        let told = |n: u64, h: &str| format!(r#""blockNumber":"{n:#x}","blockHash":"{}""#, hash(h));
        let one = |place: String| format!(r#"{{"id":7,"result":{{{place}}}}}"#);
        let list = |place: String| format!(r#"{{"id":7,"result":[{{{place}}}]}}"#);
        let stray = Worth::Fault(Cause::Forked);
        check("eth_getTransactionReceipt", None, &one(told(100, "ab")), Worth::Good);
        check("eth_getTransactionReceipt", None, &one(told(100, "cd")), stray);
        check("eth_getTransactionReceipt", None, &one(told(40, "cd")), Worth::Good);
        check("eth_getTransactionByHash", None, &one(r#""blockHash":null"#.into()), Worth::Good);
        let range = Some(Reads::Range(90, 100));
        check("eth_getLogs", range, &list(told(100, "ab")), Worth::Good);
        check("eth_getLogs", range, &list(told(100, "cd")), stray);
        check("eth_getLogs", Some(Reads::Hash(hash("cd"))), &list(told(100, "cd")), Worth::Good);
    }

    #[test]
    fn what_is_mined_beyond_the_agreed_head_waits() {
        let body = |n: &str| format!(r#"{{"id":7,"result":{{"blockNumber":{n}}}}}"#);
        check("eth_getTransactionReceipt", None, &body("\"0x64\""), Worth::Good);
        check("eth_getTransactionReceipt", None, &body("\"0x65\""), Worth::Ahead(101));
        check("eth_getTransactionByHash", None, &body("null"), Worth::Good);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
            asked_wait(&headers)
        };
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        let date = ("date", "Wed, 21 Oct 2015 07:28:00 GMT");
        let later = ("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT");
        assert_eq!(wait(&[date, later]), Some(Duration::from_secs(30)));
        assert_eq!(wait(&[later]), None);
        assert_eq!(wait(&[("retry-after", "soon")]), None);
    }
}
