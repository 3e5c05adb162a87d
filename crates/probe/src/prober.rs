//! Makes a check.

use std::{sync::Arc, time::Duration};

use seawall_runtime::{
    clock::Clock,
    net::Net,
    programs::{NoPrograms, Programs},
};
use tokio::time::timeout;

use crate::{
    beats::Beats,
    core::{check::Check, fault::Fault, report::Report, target::Target},
    step::{self, Notes, Parked},
};

/// Time beyond its own that a journey is given before it is taken for stuck.
const GRACE: Duration = Duration::from_secs(1);

/// Makes checks.
pub struct Prober {
    pub(crate) net: Arc<dyn Net>,
    pub(crate) clock: Clock,
    pub(crate) beats: Arc<Beats>,
    pub(crate) programs: Arc<dyn Programs>,
}

/// The connection of a check that is not made over a fresh one each time.
#[derive(Default)]
pub struct Kept(pub(crate) Option<Parked>);

impl Prober {
    /// A prober on that network, which hears no heartbeats and runs no programs.
    pub fn new(net: Arc<dyn Net>, clock: Clock) -> Self {
        Self { net, clock, beats: Arc::new(Beats::new(clock.wall())), programs: Arc::new(NoPrograms) }
    }

    /// Hears those heartbeats.
    #[must_use]
    pub fn hearing(self, beats: Arc<Beats>) -> Self {
        Self { beats, ..self }
    }

    /// Runs programs so.
    #[must_use]
    pub fn running(self, programs: Arc<dyn Programs>) -> Self {
        Self { programs, ..self }
    }

    /// Makes the check, within its time, and tells what was found. What `kept` holds is used if the check allows it.
    ///
    /// Cancelled, it leaves `kept` empty.
    pub async fn perform(&self, check: &Check, kept: &mut Kept) -> Report {
        let mut notes = Notes::new(self.clock);
        // A journey ends by itself, after what must be done whatever happens.
        let grace = if matches!(check.target, Target::Journey(_)) { GRACE } else { Duration::ZERO };
        let limit = check.timeout + grace;
        let fault = match timeout(limit, self.steps(check, kept, &mut notes)).await {
            Ok(done) => done.err(),
            Err(_) => Some(notes.late()),
        };
        notes.close(check, fault).0
    }

    async fn steps(&self, check: &Check, kept: &mut Kept, notes: &mut Notes) -> Result<(), Fault> {
        match &check.target {
            Target::Http(url) => step::http::check(self, check, url, kept, notes).await,
            Target::Grpc(url) => Box::pin(step::grpc::check(self, check, url, kept, notes)).await,
            // The rarer ones are larger, and would make every check's task as large as they are.
            Target::Evm(url) => Box::pin(step::evm::check(self, check, url, kept, notes)).await,
            Target::Chain(part, url) => {
                Box::pin(step::chain::check(self, check, *part, url, kept, notes)).await
            }
            Target::WebSocket(url) => Box::pin(step::socket::check(self, check, url, notes)).await,
            Target::Dns(question) => Box::pin(step::dns::check(self, check, question, notes)).await,
            Target::Tcp(to) => Box::pin(step::talk::tcp(self, check, to, notes)).await,
            Target::Udp(to) => Box::pin(step::datagram::udp(self, check, to, notes)).await,
            Target::Ntp(to) => Box::pin(step::datagram::ntp(self, check, to, notes)).await,
            Target::Icmp(to) => Box::pin(step::datagram::icmp(self, check, to, notes)).await,
            Target::Push(expected) => step::push::check(self, expected, notes),
            Target::Exec(command) => Box::pin(step::exec::check(self, check, command, notes)).await,
            Target::Tls(to) => Box::pin(step::talk::tls(self, check, to, notes)).await,
            Target::Smtp(to) => Box::pin(step::talk::smtp(self, check, to, notes)).await,
            Target::Redis(to) => Box::pin(step::talk::redis(self, check, to, notes)).await,
            Target::Postgres(to) => Box::pin(step::talk::postgres(self, check, to, notes)).await,
            Target::Nats(to) => Box::pin(step::talk::nats(self, check, to, notes)).await,
            Target::Journey(journey) => Box::pin(step::journey::check(self, check, journey, notes)).await,
        }
    }
}
