//! What a client's request brings with it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use crate::{feed::Spot, pool::Pool, worker::Worker};

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Where it connects from.
    #[expect(dead_code, reason = "limits by address and the access log read it")]
    pub(crate) address: IpAddr,
}

/// One request, or one message of a socket: the worker that serves it, the pool that it asks, who sent it.
pub(crate) struct Visit {
    pub(crate) worker: Arc<Worker>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) client: Client,
    /// Where it came in on a WebSocket, if it did.
    pub(crate) spot: Option<Spot>,
}

impl Visit {
    /// One of the gateway's own.
    pub(crate) fn of_the_house(worker: Arc<Worker>, pool: Arc<Pool>) -> Self {
        let client = Client { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        Self { worker, pool, client, spot: None }
    }
}
