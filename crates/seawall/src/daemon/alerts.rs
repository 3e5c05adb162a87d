//! Verdicts for whoever routes alerts: what is down is told to Alertmanagers (API v2, `POST /api/v2/alerts`) when it
//! comes about, again every minute while it lasts, and for a while once it is over, as Prometheus tells its own.
//!
//! `unknown` alerts nobody, and ends no alert: whether a thing that was down is well again is not known then.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use seawall_model::{ComponentId, Status, Verdict, Wall};
use seawall_runtime::{
    clock::Clock,
    metrics::{Metrics, read_counter},
    net::Net,
    tasks::{Shutdown, TaskError},
};
use serde_json::{Value, json};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::{
    board::Board,
    post::{JSON, post},
};
use crate::estate::Collector;

/// How often all that lasts is told again.
const AGAIN: Duration = Duration::from_secs(60);
/// An alert that is not told again for so long is over: four times are missed.
const LASTS_MS: i64 = 240_000;
/// How long it is told that an alert is over.
const OVER_MS: i64 = 15 * 60_000;
/// How long a change waits for others that come with it.
const GATHER: Duration = Duration::from_millis(500);
/// Alerts of one message.
const AT_ONCE: usize = 500;

/// Tells Alertmanagers.
pub(super) struct Alerts {
    pub(super) to: Vec<Collector>,
    pub(super) from: Status,
    pub(super) net: Arc<dyn Net>,
    pub(super) clock: Clock,
    pub(super) board: Arc<Board>,
    pub(super) verdicts: Receiver<Arc<Verdict>>,
    pub(super) estate: String,
    pub(super) counts: Arc<Counts>,
}

/// What became of the messages.
#[derive(Default)]
pub(super) struct Counts {
    told: AtomicU64,
    untold: AtomicU64,
}

impl Counts {
    /// Messages that were counted, for Prometheus.
    pub(super) fn register(self: &Arc<Self>, metrics: &Metrics) {
        let (told, untold) = (self.clone(), self.clone());
        metrics.within("alerts", |registry| {
            let help = "Messages that an Alertmanager took";
            registry.register_collector(read_counter("told_messages", help, move || told.told.load(Relaxed)));
            let help = "Messages that an Alertmanager did not take";
            let read = move || untold.untold.load(Relaxed);
            registry.register_collector(read_counter("untold_messages", help, read));
        });
    }
}

impl Alerts {
    /// Tells of what is wrong until told to stop. What is wrong then stays so: another process may go on.
    pub(super) async fn run(mut self, shutdown: Shutdown) -> Result<(), TaskError> {
        let mut standing = Standing::default();
        let mut again = tokio::time::interval(AGAIN);
        let mut well = vec![true; self.to.len()];
        loop {
            let changed = tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                verdict = self.verdicts.recv() => match verdict {
                    Ok(_) | Err(RecvError::Lagged(_)) => true,
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = again.tick() => false,
            };
            if changed {
                let more = async { while !matches!(self.verdicts.recv().await, Err(RecvError::Closed)) {} };
                // What is believed is read from the board.
                let _ = tokio::time::timeout(GATHER, more).await;
            }
            let now = self.clock.wall();
            let news = standing.take(self.board.verdicts(), self.from, now);
            if changed && !news {
                continue;
            }
            let alerts = standing.show(&self.estate, now);
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(()),
                () = self.tell(&alerts, &mut well) => {}
            }
        }
    }

    /// Tells each of them all.
    async fn tell(&self, alerts: &[Value], well: &mut [bool]) {
        for (to, well) in self.to.iter().zip(well) {
            for some in alerts.chunks(AT_ONCE) {
                let body = serde_json::to_vec(some).expect("a JSON value is JSON");
                let told = post(&*self.net, to, &JSON, body.into()).await;
                let count = if told.is_ok() { &self.counts.told } else { &self.counts.untold };
                count.fetch_add(1, Relaxed);
                if let Err(untold) = &told
                    && *well
                {
                    let to = to.endpoint.to_string();
                    let why = &untold.why;
                    tracing::warn!(
                        code = "SW0235",
                        to,
                        why,
                        "an Alertmanager does not take alerts; it is told again"
                    );
                }
                *well = told.is_ok();
                if told.is_err() {
                    break;
                }
            }
        }
    }
}

/// What Alertmanagers are told.
#[derive(Debug, Default)]
struct Standing(BTreeMap<(ComponentId, Status), Alert>);

#[derive(Debug)]
struct Alert {
    since: Wall,
    cause: Option<&'static str>,
    evidence: String,
    /// When it ended, if it has.
    over: Option<Wall>,
}

impl Standing {
    /// Takes in what is believed now; whether there is anything new to tell.
    fn take(&mut self, verdicts: Vec<Verdict>, from: Status, now: Wall) -> bool {
        let mut news = false;
        let mut holds = BTreeMap::new();
        for verdict in verdicts {
            holds.insert(verdict.component.clone(), verdict.status);
            if verdict.status == Status::Unknown || verdict.status < from {
                continue;
            }
            let key = (verdict.component, verdict.status);
            let goes_on = self.0.get(&key).is_some_and(|alert| alert.over.is_none());
            news |= !goes_on;
            let since = if goes_on { self.0[&key].since } else { verdict.since };
            let cause = verdict.cause.map(|cause| cause.as_str());
            self.0.insert(key, Alert { since, cause, evidence: verdict.evidence, over: None });
        }
        self.0.retain(|(component, status), alert| {
            match holds.get(component) {
                Some(now) if now == status || *now == Status::Unknown => {}
                _ if alert.over.is_none() => {
                    alert.over = Some(now);
                    news = true;
                }
                _ => {}
            }
            alert.over.is_none_or(|over| now.0 - over.0 < OVER_MS)
        });
        news
    }

    /// The alerts, as Alertmanager's API has them. Labels are what an alert is known by: they stay the same while it lasts.
    fn show(&self, estate: &str, now: Wall) -> Vec<Value> {
        let show = |((component, status), alert): (&(ComponentId, Status), &Alert)| {
            let (name, severity) = match status {
                Status::Down => ("SeawallDown", "critical"),
                _ => ("SeawallDegraded", "warning"),
            };
            let mut annotations =
                json!({"summary": format!("{component} is {status}"), "description": alert.evidence});
            if let Some(cause) = alert.cause {
                annotations["cause"] = cause.into();
            }
            json!({
                "labels": {
                    "alertname": name,
                    "severity": severity,
                    "component": component,
                    "kind": component.kind().as_str(),
                    "estate": estate,
                },
                "annotations": annotations,
                "startsAt": alert.since.to_string(),
                "endsAt": alert.over.unwrap_or(Wall(now.0 + LASTS_MS)).to_string(),
            })
        };
        self.0.iter().map(show).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(component: &str, status: Status, since: i64) -> Verdict {
        let component = component.parse().unwrap();
        Verdict { component, status, since: Wall(since), cause: None, evidence: format!("seen at {since}") }
    }

    /// The alerts in short: name, component, from, until.
    fn told(standing: &Standing, now: i64) -> Vec<String> {
        let alerts = standing.show("test", Wall(now));
        let short = |alert: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let (labels, from, until) = (&alert["labels"], &alert["startsAt"], &alert["endsAt"]);
            let [name, of, from, until] = [&labels["alertname"], &labels["component"], from, until].map(text);
            format!("{name} {of} {} {}", &from[14..19], &until[14..19])
        };
        alerts.iter().map(short).collect()
    }

    #[test]
    fn an_alert_lasts_until_the_thing_is_known_to_be_well() {
        let mut standing = Standing::default();
        let take = |standing: &mut Standing, status, now| {
            standing.take(vec![verdict("service:shop", status, now)], Status::Down, Wall(now))
        };
        assert!(!take(&mut standing, Status::Up, 0));
        assert!(!take(&mut standing, Status::Degraded, 1_000));
        assert!(take(&mut standing, Status::Down, 2_000));
        assert_eq!(told(&standing, 2_000), ["SeawallDown service:shop 00:02 04:02"]);
        assert!(!take(&mut standing, Status::Unknown, 60_000));
        assert_eq!(told(&standing, 60_000), ["SeawallDown service:shop 00:02 05:00"]);
        assert!(!take(&mut standing, Status::Down, 120_000), "it is the same that went on");
        assert_eq!(told(&standing, 120_000), ["SeawallDown service:shop 00:02 06:00"]);
        assert!(take(&mut standing, Status::Up, 180_000));
        assert_eq!(told(&standing, 240_000), ["SeawallDown service:shop 00:02 03:00"]);
        assert!(!take(&mut standing, Status::Up, 180_000 + OVER_MS));
        assert_eq!(told(&standing, 180_000 + OVER_MS), [""; 0]);
    }

    #[test]
    fn what_gets_worse_is_another_alert_and_what_left_the_estate_is_over() {
        let mut standing = Standing::default();
        let two =
            |first, second| vec![verdict("service:a", first, 1_000), verdict("service:b", second, 1_000)];
        assert!(standing.take(two(Status::Degraded, Status::Unknown), Status::Degraded, Wall(1_000)));
        assert!(standing.take(two(Status::Down, Status::Unknown), Status::Degraded, Wall(5_000)));
        let (milder, worse) = ("SeawallDegraded service:a 00:01 00:05", "SeawallDown service:a 00:01 04:05");
        assert_eq!(told(&standing, 5_000), [milder, worse]);
        assert!(standing.take(Vec::new(), Status::Degraded, Wall(9_000)));
        assert_eq!(told(&standing, 9_000), [milder, "SeawallDown service:a 00:01 00:09"]);
    }
}
