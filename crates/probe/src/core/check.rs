//! One check: what to do, and what it must come to.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::{expect::Expect, target::Target};

/// Time a check may take where nothing is said.
pub const USUAL_TIMEOUT: Duration = Duration::from_secs(5);

/// What to do, and what it must come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What is checked.
    pub target: Target,
    /// Time it may take in all.
    pub timeout: Duration,
    /// Every time over a connection of its own. If not, the last one's is kept and used while it lives.
    pub fresh: bool,
    /// Who resolves its names; the system's resolver if nobody is named.
    pub resolver: Option<SocketAddr>,
    /// The method, over HTTP.
    pub method: Method,
    /// Headers, over HTTP. Values are marked sensitive, so that none is ever shown.
    pub headers: HeaderMap,
    /// The body, over HTTP.
    pub body: Bytes,
    /// Protocols to offer in a TLS handshake; those of the target's own if none are named.
    pub alpn: Vec<Arc<str>>,
    /// What the answer must be.
    pub expect: Expect,
}

impl Check {
    /// A check of the target with nothing special about it.
    pub fn new(target: Target) -> Self {
        let http =
            matches!(target, Target::Http(_) | Target::Evm(_) | Target::Chain(..) | Target::WebSocket(_));
        Self {
            target,
            timeout: USUAL_TIMEOUT,
            fresh: true,
            resolver: None,
            method: Method::GET,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            alpn: if http { vec!["http/1.1".into()] } else { Vec::new() },
            expect: Expect::default(),
        }
    }

    /// The host whose patience it uses up: checks of one host are never all made at once.
    pub fn host(&self) -> Arc<str> {
        match (self.target.endpoint(), &self.target) {
            (Some(endpoint), _) => endpoint.host.clone(),
            (None, Target::Dns(question)) => question.name.clone(),
            (None, _) => "".into(),
        }
    }
}
