//! What Seawall says of itself, read from its own API: `/v1/pools` and `/v1/journal`.

use serde::Deserialize;

/// The answer of `/v1/pools`, as far as the demo shows it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pools {
    pub(super) pools: Vec<Pool>,
}

/// One pool.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pool {
    pub(super) status: String,
    pub(super) head: Option<Head>,
    pub(super) budget: Budget,
    pub(super) upstreams: Vec<Upstream>,
}

/// A head, agreed or admitted to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Head {
    pub(super) number: u64,
    pub(super) age_ms: u64,
}

/// Unplanned attempts over the last ten seconds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Budget {
    pub(super) extra: u64,
    pub(super) allowed: u64,
}

/// One upstream.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Upstream {
    pub(super) name: String,
    pub(super) cordoned: bool,
    pub(super) fault: Option<String>,
    pub(super) fresh: Option<bool>,
    pub(super) head: Option<Head>,
    pub(super) breakers: Vec<Breaker>,
    pub(super) attempts: u64,
}

/// The breaker of one upstream and method class.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Breaker {
    pub(super) class: String,
    pub(super) state: String,
    pub(super) cause: Option<String>,
}

/// The answer of `/v1/journal`, as far as the demo shows it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Journal {
    pub(super) state: String,
    pub(super) size: u64,
    pub(super) lost: u64,
}

/// The method classes that the demo's questions belong to. Only traffic brings a breaker back, so one of
/// another class may stay as an outage left it.
const ASKED: [&str; 2] = ["block", "state"];

/// How an upstream stands, in one word for a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Serves.
    Good,
    /// Is being tried again.
    Probing,
    /// Gets no traffic.
    Out,
}

impl Upstream {
    /// How it stands, and in words: the worst of its breakers for what the demo asks, or what is wrong with
    /// its chain.
    pub(super) fn standing(&self) -> (Standing, String) {
        let asked = || self.breakers.iter().filter(|b| ASKED.contains(&&*b.class));
        let breaker = |state: &str| asked().find(|b| b.state == state);
        if self.cordoned {
            (Standing::Out, "cordoned".to_owned())
        } else if let Some(fault) = &self.fault {
            (Standing::Out, format!("not believed: {fault}"))
        } else if let Some(b) = breaker("ejected") {
            (Standing::Out, with_cause("ejected", b))
        } else if let Some(b) = breaker("probing") {
            (Standing::Probing, with_cause("probing", b))
        } else if self.fresh == Some(false) {
            (Standing::Probing, "its head is not known".to_owned())
        } else {
            (Standing::Good, "admitting".to_owned())
        }
    }
}

fn with_cause(state: &str, breaker: &Breaker) -> String {
    match &breaker.cause {
        Some(cause) => format!("{state}: {cause}"),
        None => state.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(upstream: serde_json::Value, expected: &str) {
        let upstream: Upstream = serde_json::from_value(upstream).unwrap();
        assert_eq!(upstream.standing().1, expected);
    }

    #[test]
    fn the_worst_news_of_an_upstream_is_told() {
        let b = |state: &str, cause: Option<&str>| json!({"class": "state", "state": state, "cause": cause});
        check(json!({"breakers": [b("admitting", None)]}), "admitting");
        check(json!({"breakers": [b("admitting", None), b("ejected", Some("hang"))]}), "ejected: hang");
        check(json!({"breakers": [b("probing", None)]}), "probing");
        check(json!({"breakers": [json!({"class": "trace", "state": "ejected"})]}), "admitting");
        check(json!({"fault": "lagging", "breakers": [b("ejected", Some("hang"))]}), "not believed: lagging");
        check(json!({"fresh": false}), "its head is not known");
        check(json!({"cordoned": true, "fault": "lagging"}), "cordoned");
    }
}
