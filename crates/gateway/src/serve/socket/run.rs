//! From a connection to what its socket is for.

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use seawall_runtime::tasks::Shutdown;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};

use super::{
    handshake::{Handover, Then},
    pipe::Pipe,
};
use crate::{serve::preface::Seen, worker::Worker};

/// Bytes read from a socket at once.
const READ: usize = 4 * 1024;
/// Bytes gathered before they are written.
const WRITE: usize = 16 * 1024;

/// Serves a socket until either side ends it.
pub(in crate::serve) async fn run(worker: Arc<Worker>, handover: Handover, shutdown: Shutdown) {
    let Handover { upgrade, then, open } = handover;
    let Ok(upgraded) = upgrade.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<Seen>>() else { return };
    let limit = worker.limits.request_body;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .write_buffer_size(WRITE)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    let (io, read) = (parts.io.into_inner(), parts.read_buf.to_vec());
    let taken = io.pulse();
    let socket = WebSocketStream::from_partially_read(io, read, Role::Server, Some(config)).await;
    let pipe = Pipe::new(socket, worker.limits.sockets.queue, taken);
    match then {
        Then::Calls(calls) => calls.serve(worker, pipe, &shutdown).await,
        Then::Tunnel(tunnel) => tunnel.serve(pipe, &shutdown).await,
    }
    drop(open);
}
