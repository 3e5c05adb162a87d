//! EVM chains: Ethereum's execution API.

use serde_json::value::RawValue;

use super::{Ask, Fate, Question, Rules, Told, Writes};
use crate::{
    Hash,
    envelope::Versions,
    fault,
    heads::{HeadSeen, NotABlock},
    method::Method,
    parse_quantity, tx,
};

pub(super) const RULES: Rules = Rules {
    first: &[Ask::Network, Ask::Head, Ask::Safe, Ask::Finalized],
    question,
    read,
    method: Method::lookup,
    classify: |error| fault::classify(error.code, &error.message),
    writes: Some(Writes { hash, fate, taken, look_up }),
    // `eth_blockNumber` hangs on how reads are pinned, and is answered where they are.
    at_head: |_, _| None,
    versions: Versions::Two,
    errors_by_status: false,
    irregular: false,
};

fn question(ask: Ask) -> Question {
    let block = |tag: &str| Question::new("eth_getBlockByNumber", format!("[\"{tag}\",false]"));
    match ask {
        Ask::Network => Question::new("eth_chainId", "[]"),
        Ask::Head | Ask::HeadAt(..) => block("latest"),
        Ask::Safe => block("safe").optional(),
        Ask::Finalized => block("finalized").optional(),
        Ask::At(number) => block(&format!("{number:#x}")),
    }
}

fn read(ask: Ask, result: &RawValue) -> Result<Told, NotABlock> {
    let nothing = result.get() == "null";
    match ask {
        Ask::Network => {
            let id = serde_json::from_str::<&str>(result.get()).ok().and_then(parse_quantity);
            Ok(Told::Network(id.ok_or(NotABlock)?.to_string()))
        }
        _ if nothing => Ok(Told::Nothing),
        Ask::Head | Ask::HeadAt(..) => HeadSeen::from_result(result).map(Told::Head),
        Ask::Safe | Ask::Finalized | Ask::At(_) => {
            HeadSeen::from_result(result).map(|seen| Told::Block(seen.block()))
        }
    }
}

/// Other ways to send cannot be looked up by a hash.
fn hash(method: &str, params: Option<&RawValue>) -> Option<Hash> {
    if method != "eth_sendRawTransaction" {
        return None;
    }
    let [raw] = serde_json::from_str::<[std::borrow::Cow<'_, str>; 1]>(params?.get()).ok()?;
    tx::hash(&raw).ok()
}

fn fate(result: &RawValue, hash: &Hash) -> Fate {
    match result.get().trim_matches('"').parse::<Hash>() {
        Ok(told) if told == *hash => Fate::Taken,
        Ok(_) | Err(_) => Fate::Nonsense,
    }
}

fn taken(hash: &Hash) -> String {
    format!("\"{hash}\"")
}

fn look_up(hash: &Hash) -> (&'static str, String) {
    ("eth_getTransactionByHash", format!("[\"{hash}\"]"))
}

#[cfg(test)]
mod tests {
    use super::super::{Family, Owed, Poll};
    use super::*;
    use crate::Block;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn block(number: u64) -> Box<RawValue> {
        let hash = Hash([number as u8; 32]);
        raw(&format!(
            r#"{{"number":"{number:#x}","hash":"{hash}","parentHash":"{hash}","timestamp":"0x{number:x}"}}"#
        ))
    }

    #[test]
    fn a_poll_asks_for_chain_head_and_tags() {
        let mut owed = Owed::default();
        let mut poll = Poll::new(Family::Evm, "1", &mut owed, true, Some(7));
        let mut asked = Vec::new();
        while let Some(question) = poll.question(false) {
            asked.push(format!("{} {}", question.method, question.params));
            match asked.len() {
                1 => poll.answer(&raw("\"0x1\"")).unwrap(),
                2 => poll.answer(&block(9)).unwrap(),
                3 => {} // it has no such tag
                4 => poll.answer(&raw("null")).unwrap(),
                _ => poll.answer(&block(7)).unwrap(),
            }
        }
        let seen = poll.seen().unwrap();
        assert_eq!(
            asked,
            [
                "eth_chainId []",
                "eth_getBlockByNumber [\"latest\",false]",
                "eth_getBlockByNumber [\"safe\",false]",
                "eth_getBlockByNumber [\"finalized\",false]",
                "eth_getBlockByNumber [\"0x7\",false]",
            ]
        );
        assert_eq!(seen.right_chain, Some(true));
        assert!(seen.safe.is_none() && seen.finalized.is_none());
        assert_eq!((seen.head.unwrap().number, seen.confirmed.map(|b: Block| b.number)), (9, Some(7)));
    }

    #[test]
    fn in_a_hurry_the_head_comes_first_and_the_rest_is_owed() {
        let mut owed = Owed::default();
        let mut polls = Vec::new();
        for _ in 0..6 {
            let mut poll = Poll::new(Family::Evm, "1", &mut owed, polls.is_empty(), Some(7));
            let mut asked = Vec::new();
            while let Some(Question { method, params, .. }) = poll.question(true) {
                asked.push(params.get(2..8).unwrap_or("chain").to_owned());
                let answer = if method == "eth_chainId" { raw("\"0x1\"") } else { block(7) };
                poll.answer(&answer).unwrap();
            }
            polls.push(asked.join(" "));
        }
        let all = [
            "chain latest safe\",",
            "latest finali",
            "latest 0x7\",f",
            "latest chain",
            "latest 0x7\",f",
            "latest chain",
        ];
        assert_eq!(polls, all);
    }

    #[test]
    fn another_chain_or_another_height_is_noticed() {
        let mut owed = Owed::default();
        let mut poll = Poll::new(Family::Evm, "1", &mut owed, false, Some(7));
        poll.question(false);
        poll.answer(&raw("\"0x2\"")).unwrap();
        poll.question(false);
        poll.answer(&block(9)).unwrap();
        poll.question(false);
        assert_eq!(poll.answer(&block(8)), Err(NotABlock));
        assert_eq!(poll.head(), None, "it is of another chain");
        assert_eq!(poll.seen().unwrap().right_chain, Some(false));
    }
}
