//! The gateway's section of the estate, validated: listeners, pools, upstreams and limits.

mod access;
mod admission;
mod affected;
mod cache;
mod cors;
mod credentials;
mod grpc;
mod headers;
mod messages;
mod network;
mod paths;
mod pool;
mod provider;
pub mod raw;
mod sockets;
pub mod tell;
mod tls;
mod upload;
mod upstream;
mod url;
mod validate;

pub use access::{AccessSection, AuthSection, ClientSection, Proofs, TokenSection};
pub use admission::{AdmissionSection, Pattern};
pub use affected::{AffectedSection, CurrencySource, CustomerSource, ValueSource};
pub use cors::{CorsSection, Origin};
pub use grpc::GrpcSection;
pub use headers::may_be_header;
pub use messages::{MessageRule, Sign, SocketRule};
pub use paths::{ID, IdAt, LookupRule, Named, PathRule, Piece};
pub use provider::{Costs, ProviderBudget};
pub use sockets::SocketLimits;
pub use tell::Tell;
pub use tls::{CertificateSection, ClientAuth, TlsSection};
pub use url::url_fault;
pub use validate::{MAX_UPSTREAMS, validate};

use std::{net::SocketAddr, sync::Arc, time::Duration};

use seawall_chain::{ChainId, family::Family, heads};
use seawall_model::{ComponentId, Name, Secret};
use seawall_runtime::net::Endpoint;

/// Everything the gateway needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewaySection {
    /// Where clients connect.
    pub listen: Vec<SocketAddr>,
    /// Where they connect over TLS.
    pub tls: Option<TlsSection>,
    /// Data-path threads.
    pub workers: usize,
    /// Limits that hold for every pool.
    pub limits: Limits,
    /// Who may use them.
    pub auth: AuthSection,
    /// What providers allow, where the estate says so, in name order.
    pub budgets: Vec<ProviderBudget>,
    /// The pools, in name order.
    pub pools: Vec<PoolSection>,
}

/// Limits on what clients may send and on what is kept for them.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Largest request body, in bytes.
    pub request_body: usize,
    /// Answers up to this many bytes are verified before the first byte goes out; larger ones stream.
    pub verified_answer: usize,
    /// Most calls in one batch.
    pub batch: usize,
    /// Most client connections at once, over all workers.
    pub connections: usize,
    /// How long a client may take over a request's head, and an idle connection lives.
    pub idle: Duration,
    /// How long a drain waits for requests in flight.
    pub drain: Duration,
    /// Most filters of one pool.
    pub filters: usize,
    /// Limits on WebSockets.
    pub sockets: SocketLimits,
}

/// Interchangeable upstreams behind one route.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolSection {
    /// The pool's name.
    pub name: Name,
    /// The path it is served at, as in `/ethereum`.
    pub route: Arc<str>,
    /// What kind of thing the upstreams are.
    pub kind: PoolKind,
    /// Who may use it, and for what.
    pub access: AccessSection,
    /// The upstreams, in the order of the estate.
    pub upstreams: Vec<UpstreamSection>,
    /// Time a client's call may take in all, every attempt included.
    pub deadline: Duration,
    /// Time one attempt may take.
    pub attempt_timeout: Duration,
    /// Time a connection may take to be made.
    pub connect_timeout: Duration,
    /// An upstream from which nothing at all has come for this long, with calls outstanding, hangs.
    pub hang: Duration,
    /// Most attempts for one call, planned and unplanned.
    pub attempts: u32,
    /// Unplanned attempts allowed, as a share of requests over ten seconds (0.2 is 20 %).
    pub budget_share: f64,
    /// Unplanned attempts a second that are allowed whatever the share says.
    pub budget_floor: u32,
    /// The headers that tell of how its answers came about.
    pub tell: Tell,
    /// Who goes first where not everybody can.
    pub admission: AdmissionSection,
    /// What tells who makes requests, if they are to be counted.
    pub affected: Option<Arc<AffectedSection>>,
    /// A cost tier whose answers take longer than this spills over into the next.
    pub tier_latency: Option<Duration>,
    /// It decides on copies of what another gateway serves, and asks nobody.
    pub observes: bool,
}

/// What the upstreams of a pool speak.
#[derive(Debug, Clone, PartialEq)]
pub enum PoolKind {
    /// A chain over JSON-RPC.
    Evm(EvmSection),
    /// An HTTP API.
    Http(HttpSection),
    /// gRPC services.
    Grpc(GrpcSection),
}

impl PoolKind {
    /// True for a chain over JSON-RPC.
    pub fn is_chain(&self) -> bool {
        match self {
            Self::Evm(_) => true,
            Self::Http(_) | Self::Grpc(_) => false,
        }
    }
}

/// What is particular to an HTTP API.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSection {
    /// Methods that may be sent again after a failure, or to several upstreams.
    pub retry_methods: Vec<http::Method>,
    /// What is particular to some paths; the first rule that covers a request holds.
    pub paths: Vec<PathRule>,
}

/// What is particular to a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct EvmSection {
    /// What its nodes speak.
    pub family: Family,
    /// Which chain of its family it is, in its nodes' own words: the EIP-155 chain id in decimal, the hash of
    /// the first block, the network's name. An upstream that serves another is not served from.
    pub network: Arc<str>,
    /// Usual time between blocks.
    pub block_time: Duration,
    /// How often each upstream's head is asked for.
    pub poll: Duration,
    /// Blocks an upstream may be behind the agreed head and still be served from.
    pub lag: u64,
    /// How `latest`, `safe` and `finalized` are pinned in reads.
    pub pin: Pin,
    /// How many upstreams a transaction is sent to at once.
    pub broadcast: u32,
    /// What becomes of transactions while the chain as a whole stands still.
    pub when_halted: WhenHalted,
    /// Reads that several providers must answer alike.
    pub quorum: Option<Quorum>,
    /// Answers that are kept and shared, if any are.
    pub cache: Option<CacheSection>,
}

/// What a pool keeps of answers. Calls in flight are shared besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSection {
    /// Most bytes that the kept answers take; none are kept if 0.
    pub size: u64,
}

/// Reads that several providers must answer alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// The methods.
    pub methods: Vec<String>,
    /// How many providers are asked at once.
    pub of: u32,
    /// How many of them must say the same.
    pub agree: u32,
}

/// What becomes of transactions while the chain as a whole stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenHalted {
    /// They are sent all the same: nodes keep them until the chain moves, or forget them.
    Pass,
    /// They are refused at once, unsent.
    Refuse,
    /// They wait, unsent, until the chain moves.
    Queue {
        /// Most that wait at once; further ones are refused.
        limit: u32,
        /// How long one waits before it is refused.
        wait: Duration,
    },
}

/// How a block tag in a read is replaced by the block it means now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// By hash where the method takes one (EIP-1898), else by number.
    Hash,
    /// By number.
    Number,
    /// Tags go through as they are.
    Off,
}

/// One endpoint in a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamSection {
    /// Its name, unique in the pool.
    pub name: Name,
    /// Where to dial.
    pub endpoint: Endpoint,
    /// Path and query of the URL. May hold a key, hence secret.
    pub path: Secret,
    /// Value of the `host` header.
    pub host: Arc<str>,
    /// Where its WebSocket is, if it is to be listened to.
    pub socket: Option<Socket>,
    /// Extra request headers, in lower case.
    pub headers: Vec<(http::HeaderName, Secret)>,
    /// Who operates it.
    pub provider: Name,
    /// Where, if told.
    pub region: Option<Name>,
    /// Cost tier: those of the lowest are asked first, the others on demand.
    pub tier: u8,
    /// Share of traffic relative to its peers (100 is usual; 0 takes none while another lives).
    pub weight: u32,
    /// Most requests a second it may be sent, if limited.
    pub rate: Option<u32>,
    /// The upstream that it is a second path to: it takes critical requests while no first path is well.
    pub path_of: Option<Name>,
}

impl GatewaySection {
    /// Everywhere that clients connect, over TLS or not.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let tls = self.tls.iter().flat_map(|tls| &tls.listen);
        self.listen.iter().chain(tls).copied().collect()
    }
}

impl EvmSection {
    /// How its heads are followed.
    pub fn heads(&self) -> heads::Config {
        let irregular = self.family.rules().irregular;
        heads::Config { block_time: self.block_time, poll: self.poll, lag: self.lag, irregular }
    }

    /// The EIP-155 chain id, of an EVM chain.
    pub fn chain_id(&self) -> Option<ChainId> {
        match self.family {
            Family::Evm => self.network.parse().ok().map(ChainId),
            Family::Bitcoin | Family::CometBft | Family::Monero => None,
        }
    }
}

/// An upstream's WebSocket.
#[derive(Debug, Clone, PartialEq)]
pub struct Socket {
    /// Where to dial.
    pub endpoint: Endpoint,
    /// Path and query of the URL. May hold a key, hence secret.
    pub path: Secret,
    /// Value of the `host` header.
    pub host: Arc<str>,
}

impl Quorum {
    /// Is `method` one of its methods?
    pub fn covers(&self, method: &str) -> bool {
        self.methods.iter().any(|m| m == method)
    }
}

impl PoolSection {
    /// The pool as a component.
    pub fn component(&self) -> ComponentId {
        ComponentId::new(seawall_model::ComponentKind::Pool, &self.name)
    }

    /// One of its upstreams as a component.
    pub fn upstream_component(&self, upstream: &UpstreamSection) -> ComponentId {
        ComponentId::within(seawall_model::ComponentKind::Upstream, &self.name, &upstream.name)
    }
}
