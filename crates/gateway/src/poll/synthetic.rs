//! Calls of the gateway's own that find out whether an ejected class of methods is well again, so that no
//! client's call is put at risk and a class that nobody asks for comes back too.

use seawall_chain::{Block, envelope::parse_answer, family::Family, method::Class, write_quantity};
use seawall_model::Cause;

use super::Line;
use crate::{
    call::is_block,
    core::breaker::Admission,
    pool::{Pool, Report},
};

/// The account and the contract that are asked about: nobody's.
const NOBODY: &str = "0x0000000000000000000000000000000000000000";

/// Is there a call that tells how a class does, and that every node of the family can answer at little cost?
pub(crate) fn has_call(family: Family, class: Class) -> bool {
    match class {
        _ if family != Family::Evm => false,
        Class::Head | Class::State | Class::Block | Class::Logs | Class::Fee => true,
        Class::Trace | Class::Write | Class::Node | Class::Filter | Class::Other => false,
    }
}

/// The call for a class: its method and parameters.
fn call(class: Class, agreed: Block) -> Option<(&'static str, String)> {
    let mut number = Vec::with_capacity(18);
    write_quantity(&mut number, agreed.number);
    let number = String::from_utf8(number).expect("a quantity is ASCII");
    Some(match class {
        Class::Head => ("eth_blockNumber", "[]".into()),
        Class::State => ("eth_getBalance", format!(r#"["{NOBODY}","{number}"]"#)),
        Class::Block => ("eth_getBlockByNumber", format!(r#"["{number}",false]"#)),
        Class::Logs => {
            let filter = format!(r#"{{"fromBlock":"{number}","toBlock":"{number}","address":"{NOBODY}"}}"#);
            ("eth_getLogs", format!("[{filter}]"))
        }
        Class::Fee => ("eth_gasPrice", "[]".into()),
        Class::Trace | Class::Write | Class::Node | Class::Filter | Class::Other => return None,
    })
}

/// What is wrong with an answer's body, if anything is.
fn fault(class: Class, agreed: Block, body: &[u8]) -> Option<Cause> {
    let Ok(answer) = parse_answer(body) else { return Some(Cause::Malformed) };
    let Some(result) = answer.result.filter(|_| !answer.is_null()) else { return Some(Cause::Missing) };
    let right = match class {
        Class::Block if !is_block(result.get(), &agreed) => return Some(Cause::Forked),
        Class::Block => true,
        Class::Logs => result.get().starts_with('['),
        Class::Head | Class::State | Class::Fee => result.get().starts_with("\"0x"),
        Class::Trace | Class::Write | Class::Node | Class::Filter | Class::Other => true,
    };
    (!right).then_some(Cause::Malformed)
}

/// Asks upstream `i` about every class that it is ejected for and whose time has come.
pub(super) async fn probe(line: &mut Line<'_>, pool: &Pool, i: usize) {
    let Some(chain) = pool.evm() else { return };
    for class in Class::ALL.into_iter().filter(|class| has_call(chain.family, *class)) {
        let heads = pool.state.heads.load_full();
        let Some(agreed) = heads.latest().filter(|_| heads.serving.or(heads.probation).has(i)) else {
            return;
        };
        let began = line.poller.clock.mono();
        let Some((method, params)) = call(class, agreed).filter(|_| pool.begin_probe(began, i, class)) else {
            continue;
        };
        let failure = match line.call(pool.rules(), method, &params).await {
            Ok(body) => fault(class, agreed, &body),
            Err(Cause::Incapable) => None,
            Err(cause) => {
                *line.link = None;
                Some(cause)
            }
        };
        let now = line.poller.clock.mono();
        let report = failure.map_or(Report::Answered, |cause| Report::Failed { cause, asked: None });
        pool.settle(now, i, class, now.since(began), report);
    }
}

impl Pool {
    /// If upstream `i` is ejected for `class` and its time has come, whoever asked finds out.
    fn begin_probe(&self, now: seawall_model::Mono, i: usize, class: Class) -> bool {
        let mut learned = self.upstreams[i].state.learned();
        let breaker = &mut learned.breakers[class as usize];
        if breaker.admission(now) != Admission::Probe {
            return false;
        }
        breaker.probe(now);
        drop(learned);
        self.tell_breaker(now, i, class);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_to_a_probe_must_be() {
        let agreed = Block { number: 100, hash: format!("0x{}", "ab".repeat(32)).parse().unwrap() };
        let check = |class, result: &str, want| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
            assert_eq!(fault(class, agreed, body.as_bytes()), want, "{class} {result}");
        };
        check(Class::State, "\"0x0\"", None);
        check(Class::State, "null", Some(Cause::Missing));
        check(Class::State, "{}", Some(Cause::Malformed));
        check(Class::Logs, "[]", None);
        check(Class::Logs, "\"0x0\"", Some(Cause::Malformed));
        check(Class::Block, &format!("{{\"hash\":\"{}\"}}", agreed.hash), None);
        check(Class::Block, &format!("{{\"hash\":\"0x{}\"}}", "cd".repeat(32)), Some(Cause::Forked));
        assert_eq!(fault(Class::Fee, agreed, b"<html>"), Some(Cause::Malformed));
    }

    #[test]
    fn every_class_that_says_so_has_a_call() {
        let agreed = Block { number: 1, hash: format!("0x{}", "ab".repeat(32)).parse().unwrap() };
        for class in Class::ALL {
            assert_eq!(call(class, agreed).is_some(), has_call(Family::Evm, class), "{class}");
            assert!(!has_call(Family::Bitcoin, class), "{class}");
        }
    }
}
