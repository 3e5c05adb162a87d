//! Fresh connections, opened now and then beside the one that the polls keep.
//!
//! When a provider's front door breaks, connections made before may go on working for a long time (as in
//! October 2025), and nothing that uses only those can tell. Such an upstream is asked last: what serves now
//! is gone with its last connection.

use std::time::Duration;

use seawall_model::Mono;

use super::Line;
use crate::{client::Link, pool::Pool};

/// How often a fresh connection is opened to an upstream.
const EVERY: Duration = Duration::from_secs(10);
/// How often, while the last one could not be.
const AGAIN: Duration = Duration::from_secs(1);

/// When an upstream is next to be sent a fresh connection.
#[derive(Debug, Default)]
pub(super) struct Due(Mono);

impl Due {
    /// If it is time, puts a fresh connection in the place of the one that the polls use; if none can be had,
    /// they go on with the old one. Without an old one the poll itself dials, and nothing needs to be done here.
    pub(super) async fn renew(&mut self, line: &mut Line<'_>, pool: &Pool, i: usize) {
        let now = line.poller.clock.mono();
        if line.link.is_none() || now < self.0 {
            return;
        }
        let dial = async {
            let conn = line.poller.net.connect(&line.upstream.section.endpoint).await.ok()?;
            Link::start(conn, 0).await.ok()
        };
        let dialled = tokio::time::timeout(pool.section.connect_timeout, dial).await.ok().flatten();
        let came = dialled.is_some();
        if came {
            *line.link = dialled;
        }
        let now = line.poller.clock.mono();
        self.0 = now
            + if came { EVERY + EVERY.mul_f64(pool.random() as f64 / u64::MAX as f64 / 4.0) } else { AGAIN };
        pool.dialled(now, i, came);
    }
}
