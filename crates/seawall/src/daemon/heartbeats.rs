//! `POST /v1/heartbeats/NAME`: a job says that it starts, is done or failed. What was said outlives a restart.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, StatusCode, body::Incoming};
use seawall_model::{Name, Wall};
use seawall_probe::{
    Beats, Target,
    core::beat::{Beat, Expected, Heart, State as Said},
    estate::ProbesSection,
};
use seawall_runtime::seam::{State, StateError};
use serde_json::json;

use super::admin::{json_answer, problem};

/// The bucket that heartbeats are kept in; a key is a probe's name.
const BUCKET: &str = "heartbeats";
/// Largest message, in bytes. Only its beginning is kept.
const BODY: usize = 64 * 1024;

/// A heartbeat that was taken in.
pub(super) struct Taken {
    expected: Expected,
    said: Said,
    heart: Heart,
    due: Wall,
}

/// Takes in a heartbeat; else the refusal.
pub(super) async fn take(
    name: &str,
    request: Request<Incoming>,
    section: Option<&ProbesSection>,
    beats: &Beats,
    now: Wall,
) -> Result<Taken, Box<Response<Full<Bytes>>>> {
    let said = read(request.uri().query());
    let Some(said) = said else {
        let why = "send `?state=start`, `?state=ok` or `?state=fail`, or nothing, which is `ok`";
        return Err(problem(StatusCode::BAD_REQUEST, "SW0258", why).into());
    };
    let Some(expected) = expected(name, section) else {
        let why = format!("the estate has no probe `{name}` with `push = true`");
        return Err(problem(StatusCode::NOT_FOUND, "SW0259", &why).into());
    };
    let Ok(body) = Limited::new(request.into_body(), BODY).collect().await else {
        return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, "SW0226", "the body is too large").into());
    };
    let heart = beats.take(&expected.name, Beat::new(said, now, &body.to_bytes()));
    let due = heart.due(expected, beats.since());
    Ok(Taken { expected: expected.clone(), said, heart, due })
}

impl Taken {
    /// Stores what there is to be remembered.
    pub(super) fn remember(&self) -> impl FnOnce(&dyn State) -> Result<(), StateError> + Send + use<> {
        let (name, heart) = (self.expected.name.clone(), self.heart.clone());
        move |state| {
            let revision = state.get(BUCKET, name.as_str())?.map_or(0, |(revision, _)| revision);
            let value = json!(heart).to_string();
            state.swap(BUCKET, name.as_str(), revision, Some(value.as_bytes())).map(|_| ())
        }
    }

    /// What the job is answered.
    pub(super) fn answer(&self, stored: bool) -> Response<Full<Bytes>> {
        let body = json!({
            "heartbeat": self.expected.name,
            "state": self.said.as_str(),
            "due": self.due.to_string(),
            "stored": stored,
        });
        json_answer(StatusCode::OK, &body)
    }
}

/// What is said; `None` if it is nothing that can be said.
fn read(query: Option<&str>) -> Option<Said> {
    match query {
        None | Some("") => Some(Said::Ok),
        Some(query) => query.strip_prefix("state=")?.parse().ok(),
    }
}

/// The heartbeats of that name that are waited for.
fn expected<'a>(name: &str, section: Option<&'a ProbesSection>) -> Option<&'a Expected> {
    let probe = section?.probes.iter().find(|probe| probe.name.as_str() == name)?;
    if let Target::Push(expected) = &probe.check.target { Some(expected) } else { None }
}

/// What was remembered before this process began.
pub(super) fn recall(state: &dyn State, beats: &Beats) -> Result<(), StateError> {
    for (key, _, value) in state.list(BUCKET)? {
        match (key.parse::<Name>(), serde_json::from_slice::<Heart>(&value)) {
            (Ok(name), Ok(heart)) => beats.recall(name, heart),
            (Err(_), _) | (_, Err(_)) => {
                tracing::warn!(key, "a heartbeat that was kept cannot be read and is passed over");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read() {
        assert_eq!(read(None), Some(Said::Ok));
        assert_eq!(read(Some("state=start")), Some(Said::Start));
        assert_eq!(read(Some("state=fail")), Some(Said::Fail));
        for bad in ["state=", "state=good", "fail", "state=ok&x=1"] {
            assert_eq!(read(Some(bad)), None, "{bad}");
        }
    }
}
