//! Checks against real servers over real sockets, and a runner in a simulated network.

#![expect(clippy::unwrap_used, reason = "what a test makes use of may fail it")]

mod datagram;
mod dns;
mod grpc;
mod http;
mod http2;
mod jobs;
mod own;
mod pki;
mod simulated;
mod small;
mod tls;

use std::{path::Path, sync::Arc, time::Duration};

use seawall_probe::{Check, Kept, Prober, Report};
use seawall_runtime::{Machine, net::sockets::Sockets};

/// Longer than any check here takes, unless it is to run into it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time after which what never answers is given up.
const SOON: Duration = Duration::from_millis(300);

/// A prober on the machine's network, which also trusts the authorities in that file.
fn prober(ca: Option<&Path>) -> Prober {
    let machine = Machine::system(ca, Arc::new(Sockets::default())).unwrap();
    Prober::new(machine.net, machine.clock)
}

fn check(target: &str) -> Check {
    let mut check = Check::new(target.parse().unwrap_or_else(|e| panic!("{target}: {e}")));
    check.timeout = PATIENCE;
    check
}

async fn perform(check: &Check) -> Report {
    prober(None).perform(check, &mut Kept::default()).await
}

/// The kind of a report's fault.
fn kind(report: &Report) -> Option<&'static str> {
    report.fault.as_ref().map(|fault| fault.kind())
}
