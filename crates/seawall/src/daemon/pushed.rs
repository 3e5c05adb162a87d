//! `POST /v1/signals`: what others saw, taken in as signals.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, StatusCode, body::Incoming};
use seawall_history::parse_time;
use seawall_model::{ComponentId, Fact, Name, Signal, Wall};
use seawall_probe::estate::{ProbesSection, WatchSection};
use serde::Deserialize;
use serde_json::json;

use super::admin::{Watching, json_answer, problem};

/// Largest body.
const BODY: usize = 1024 * 1024;
/// Most signals of one request.
const MAX_SIGNALS: usize = 1_000;

/// What is pushed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pushed {
    /// Who saw it: a place of `[watch] remote`, or any other name.
    source: Name,
    signals: Vec<Seen>,
}

#[derive(Debug, Deserialize)]
struct Seen {
    seq: u64,
    component: ComponentId,
    /// RFC 3339.
    observed: String,
    #[serde(flatten)]
    fact: Fact,
}

/// Takes in signals that somebody else saw, all of a request or none.
pub(super) async fn answer(
    request: Request<Incoming>,
    section: Option<&ProbesSection>,
    watch: &Watching,
    now: Wall,
) -> Response<Full<Bytes>> {
    let Ok(body) = Limited::new(request.into_body(), BODY).collect().await else {
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "SW0226", "the body is too large");
    };
    match read(&body.to_bytes(), section, now) {
        Ok(signals) => {
            // What nobody judges would be taken for heard, and come to nothing.
            if let Some(unknown) = signals.iter().find(|signal| !watch.board.knows(&signal.component)) {
                let why = format!("`{}` is not in the estate", unknown.component);
                return problem(StatusCode::BAD_REQUEST, "SW0234", &why);
            }
            let taken = signals.len();
            signals.into_iter().for_each(|signal| watch.bus.signal(signal));
            json_answer(StatusCode::OK, &json!({"taken": taken}))
        }
        Err(why) => problem(StatusCode::BAD_REQUEST, "SW0234", &why),
    }
}

fn read(body: &[u8], section: Option<&ProbesSection>, now: Wall) -> Result<Vec<Signal>, String> {
    let pushed: Pushed = serde_json::from_slice(body).map_err(|e| format!("these are no signals: {e}"))?;
    if pushed.signals.len() > MAX_SIGNALS {
        return Err(format!("{} signals; at most {MAX_SIGNALS} are taken at once", pushed.signals.len()));
    }
    let watch = section.map(|section| &section.watch);
    if watch.is_some_and(|watch| watch.vantage == pushed.source) {
        return Err(format!("`{}` is this place itself: name the one that saw it", pushed.source));
    }
    let remote = watch.is_some_and(|watch| watch.remote.contains(&pushed.source));
    let source: Arc<str> = match remote {
        true => WatchSection::source(&pushed.source).into(),
        false => format!("pushed/{}", pushed.source).into(),
    };
    let signal = |Seen { seq, component, observed, fact }| {
        let at = parse_time(&observed)
            .ok_or_else(|| format!("`{observed}` is no time as in `2026-01-01T00:00:00Z`"))?;
        Ok(Signal { source: source.clone(), seq, component, observed: at, received: now, fact })
    };
    pushed.signals.into_iter().map(signal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, wanted: Result<&[&str], &str>) {
        let got = read(body.as_bytes(), None, Wall(9));
        match (got, wanted) {
            (Ok(got), Ok(wanted)) => {
                let got: Vec<_> =
                    got.iter().map(|s| format!("{} {} {}", s.source, s.seq, s.component)).collect();
                assert_eq!(got, wanted);
            }
            (Err(got), Err(wanted)) => assert!(got.contains(wanted), "{got}"),
            (got, wanted) => panic!("{got:?}, not {wanted:?}"),
        }
    }

    #[test]
    fn signals_are_read_whole_or_not_at_all() {
        let seen = |more: &str| {
            format!(
                r#"{{"seq":1,"component":"service:shop","observed":"2025-08-05T06:07:12Z","fact":"check","probe":"shop","outcome":"failed","latency_us":9{more}}}"#
            )
        };
        let push = |source: &str, signals: &[String]| {
            format!(r#"{{"source":"{source}","signals":[{}]}}"#, signals.join(","))
        };
        check(&push("us-1", &[seen("")]), Ok(&["pushed/us-1 1 service:shop"]));
        check(&push("us-1", &[]), Ok(&[]));
        check(&push("Us 1", &[seen("")]), Err("no signals"));
        check(&push("us-1", &[seen(""), "{}".into()]), Err("no signals"));
        check(&push("us-1", &vec![seen(""); MAX_SIGNALS + 1]), Err("at most 1000"));
        check(&push("us-1", &[seen("").replace("2025-08", "2025-13")]), Err("no time"));
        check("[", Err("no signals"));
    }
}
