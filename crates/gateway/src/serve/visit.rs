//! What a client's request brings with it.

use std::{net::IpAddr, sync::Arc};

use crate::{pool::Pool, worker::Worker};

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
    #[expect(dead_code, reason = "what a client may do hangs on it")]
    pub(crate) client: Client,
}
