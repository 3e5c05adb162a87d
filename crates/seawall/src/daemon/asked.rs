//! Questions to the history (`GET /v1/history/…`): answered on a thread of its own, one after the other, each within a
//! deadline, so that neither whoever writes nor the admin listener waits for them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use seawall_history::{FILE, HistoryError, Reader};
use seawall_runtime::{
    clock::Clock,
    tasks::{Shutdown, TaskError},
};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::admin::{json_answer, problem};
use crate::{
    estate::Costs,
    history::{
        answer::{self, Unanswered},
        question::Question,
    },
};

/// How long a question may take, once it is its turn.
const DEADLINE: Duration = Duration::from_secs(5);
/// Questions that wait; further ones are refused.
const MAX_WAITING: usize = 8;
/// Beyond the deadlines of all that wait, how long an answer is waited for: a disk may be stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// A question and where its answer goes.
struct Asked {
    question: Question,
    answer: oneshot::Sender<Result<Value, Unanswered>>,
}

/// Where questions are put.
#[derive(Clone)]
pub(super) struct Desk(mpsc::Sender<Asked>);

/// Who answers them.
#[derive(Clone)]
pub(super) struct Clerk {
    asked: Arc<Mutex<mpsc::Receiver<Asked>>>,
    dir: PathBuf,
    clock: Clock,
    costs: watch::Receiver<Arc<Costs>>,
}

/// A desk, and the clerk of the history in `dir`.
pub(super) fn open(dir: PathBuf, clock: Clock, costs: watch::Receiver<Arc<Costs>>) -> (Desk, Clerk) {
    let (desk, asked) = mpsc::channel(MAX_WAITING);
    (Desk(desk), Clerk { asked: Arc::new(Mutex::new(asked)), dir, clock, costs })
}

impl Clerk {
    /// Answers until told to stop. It blocks its thread while the disk does, and so needs one of its own.
    pub(super) async fn run(self, shutdown: Shutdown) -> Result<(), TaskError> {
        let (mut asked, mut reader) = (self.asked.lock().await, None);
        loop {
            // Receiving is cancel-safe; a question that is lost with the process is told so by its channel.
            let next = tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                next = asked.recv() => next,
            };
            let Some(Asked { question, answer }) = next else { return Ok(()) };
            // Whoever asked may have gone meanwhile.
            if answer.is_closed() {
                continue;
            }
            let told = self.answer(&question, &mut reader);
            if matches!(&told, Err(Unanswered::History(error)) if !error.is_stopped()) {
                // The file may have been moved away, or restored.
                reader = None;
            }
            // Nobody waits only if the connection ended.
            let _ = answer.send(told);
        }
    }

    fn answer(&self, question: &Question, kept: &mut Option<Reader>) -> Result<Value, Unanswered> {
        let reader = match kept {
            Some(reader) => reader,
            None => kept.insert(Reader::open(&self.dir.join(FILE))?),
        };
        let (clock, end) = (self.clock, self.clock.mono() + DEADLINE);
        reader.give_up_when(Some(move || clock.mono() > end))?;
        let costs = self.costs.borrow().clone();
        answer::answer(question, reader, &costs, self.clock.wall())
    }
}

/// Reads the question, has it answered, and tells the answer.
pub(super) async fn answer(desk: Option<&Desk>, kind: &str, query: Option<&str>) -> Response<Full<Bytes>> {
    let Some(desk) = desk else {
        return problem(StatusCode::NOT_FOUND, "SW0464", "the estate has no [history]");
    };
    let question = match Question::parse(kind, query.unwrap_or_default()) {
        Ok(question) => question,
        Err(why) => return problem(StatusCode::BAD_REQUEST, "SW0465", &why),
    };
    let (answer, told) = oneshot::channel();
    if desk.0.try_send(Asked { question, answer }).is_err() {
        let why = format!("{MAX_WAITING} questions wait already: ask again in a moment");
        return problem(StatusCode::TOO_MANY_REQUESTS, "SW0463", &why);
    }
    let longest = DEADLINE * (MAX_WAITING as u32 + 1) + PATIENCE;
    match tokio::time::timeout(longest, told).await {
        Ok(Ok(Ok(told))) => json_answer(StatusCode::OK, &told),
        Ok(Ok(Err(why))) => refuse(&why),
        Ok(Err(_)) => problem(StatusCode::SERVICE_UNAVAILABLE, "SW0462", "the process stops"),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "SW0462", "the history's disk does not answer"),
    }
}

fn refuse(why: &Unanswered) -> Response<Full<Bytes>> {
    let (status, message) = match why {
        Unanswered::Question(_) | Unanswered::History(HistoryError::TooMuch { .. }) => {
            (StatusCode::BAD_REQUEST, why.to_string())
        }
        Unanswered::Unknown(_) => (StatusCode::NOT_FOUND, why.to_string()),
        Unanswered::History(error) if error.is_stopped() => {
            let message = format!("it took longer than {} s: ask for less", DEADLINE.as_secs());
            (StatusCode::SERVICE_UNAVAILABLE, message)
        }
        Unanswered::History(_) => (StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
    };
    problem(status, why.code(), &message)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::BodyExt;
    use seawall_history::{Batch, Change, History, Policy};
    use seawall_model::{Status, Wall};
    use seawall_runtime::tasks::{Backoff, Kind, OnFailure, Stage, Supervisor};

    use super::*;

    const NOON: Wall = Wall(1_774_785_600_000);

    async fn told(desk: Option<&Desk>, kind: &str, query: &str) -> (u16, Value) {
        let answer = super::answer(desk, kind, Some(query)).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), serde_json::from_slice(&body).unwrap())
    }

    fn desk(dir: &std::path::Path) -> (Desk, Clerk) {
        let costs = watch::Sender::new(Arc::<Costs>::default());
        open(dir.to_owned(), Clock::system(), costs.subscribe())
    }

    #[tokio::test]
    async fn questions_are_answered_or_told_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let (desk, clerk) = desk(dir.path());
        let supervisor = Supervisor::new(Clock::system(), &Default::default());
        let kind = Kind { on_failure: OnFailure::Restart(Backoff::FOR_EVER), stage: Stage::Background };
        supervisor.spawn("clerk", kind, move |shutdown| clerk.clone().run(shutdown));
        // There is none yet: told, and looked for again.
        let (status, body) = told(Some(&desk), "page", "").await;
        assert_eq!((status, &body["code"]), (503, &"SW0451".into()));
        let mut history = History::open(&dir.path().join(FILE), Policy::default()).unwrap();
        let component = "service:pay".parse().unwrap();
        let change = Change { component, status: Some(Status::Up), since: NOON, cause: None };
        history.write(NOON, &Batch { changes: vec![change], ..Batch::default() }).unwrap();
        let (status, body) = told(Some(&desk), "downtime", "component=service:pay").await;
        assert_eq!((status, &body["downtimes_in_all"]), (200, &0.into()));
        let check = async |kind: &str, query: &str, status: u16, code: &str| {
            let (got, body) = told(Some(&desk), kind, query).await;
            assert_eq!((got, &body["code"]), (status, &code.into()), "{body}");
        };
        check("page", "days=no", 400, "SW0465").await;
        check("downtime", "component=service:nobody", 404, "SW0466").await;
        check("downtime", "component=service:pay&from=2020-01-01", 400, "SW0465").await;
        check("series", "component=service:pay&from=2026-01-01&until=2026-07-01&step=minute", 400, "SW0465")
            .await;
        check("cost", "component=service:pay", 404, "SW0466").await;
        assert_eq!(told(None, "page", "").await.0, 404);
    }

    #[tokio::test]
    async fn more_questions_than_may_wait_are_refused() {
        let (desk, _clerk) = desk(std::path::Path::new("nowhere"));
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(told(Some(&desk), "page", ""))).collect();
        for one in &mut waiting {
            assert!(one.as_mut().now_or_never().is_none());
        }
        let (status, body) = told(Some(&desk), "page", "").await;
        assert_eq!((status, &body["code"]), (429, &"SW0463".into()));
    }
}
