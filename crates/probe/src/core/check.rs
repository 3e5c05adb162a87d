//! One check: what to do, and what it must come to.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::{expect::Expect, target::Target};

/// Time a check may take where nothing is said.
pub const USUAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A version of HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1 (RFC 9112).
    #[default]
    One,
    /// HTTP/2 (RFC 9113): agreed on in the TLS handshake; without TLS both sides must know beforehand.
    Two,
}

impl HttpVersion {
    /// The version as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::One => "1.1",
            Self::Two => "2",
        }
    }

    /// As it is called in a TLS handshake (RFC 7301).
    pub fn alpn(self) -> &'static str {
        match self {
            Self::One => "http/1.1",
            Self::Two => "h2",
        }
    }
}

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
    /// The version of HTTP; nothing but this one is spoken.
    pub http: HttpVersion,
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
        let second = matches!(target, Target::Grpc(_));
        let version = if second { HttpVersion::Two } else { HttpVersion::One };
        let alpn = target.url().map(|_| version.alpn().into());
        Self {
            target,
            timeout: USUAL_TIMEOUT,
            fresh: true,
            resolver: None,
            http: version,
            method: Method::GET,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            alpn: alpn.into_iter().collect(),
            expect: Expect::default(),
        }
    }

    /// Speaks that version of HTTP.
    pub fn speak(&mut self, version: HttpVersion) {
        self.http = version;
        self.alpn = vec![version.alpn().into()];
    }

    /// The host whose patience it uses up: checks of one host are never all made at once.
    pub fn host(&self) -> Arc<str> {
        match (self.target.endpoint(), &self.target) {
            (Some(endpoint), _) => endpoint.host.clone(),
            (None, Target::Dns(question)) => question.name.clone(),
            (None, Target::Exec(command)) => command.first().cloned().unwrap_or_default(),
            (None, _) => "".into(),
        }
    }
}
