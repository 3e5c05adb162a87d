//! The gateway's sections as written, before they are judged.

use std::{net::SocketAddr, time::Duration};

use seawall_model::{
    Name, choice,
    estate::{At, Decode, Node, Problems, RawProvider, SecretSource, Table},
    section,
    units::{Bytes, Percent, Rate},
};
use serde_json::{Value, json};

use super::{
    access::RawAccess, admission::RawAdmission, affected::RawAffected, headers::RawHeaders, paths::RawPath,
    sockets::RawSockets, tell::RawTell, url::UrlSource,
};
pub use super::{access::RawAuth, tls::RawTls};

/// Everything that [`validate`](super::validate()) looks at.
#[derive(Debug, Clone)]
pub struct RawGateway {
    /// Where clients connect.
    pub listen: Vec<At<SocketAddr>>,
    /// `[listen.tls]`.
    pub tls: Option<At<RawTls>>,
    /// Data-path threads.
    pub workers: usize,
    /// `[auth]`.
    pub auth: Option<At<RawAuth>>,
    /// `[limits]`.
    pub limits: RawLimits,
    /// `[providers]`, for what each allows.
    pub providers: Table<RawProvider>,
    /// `[pools]`.
    pub pools: Table<RawPool>,
}

section! {
    /// Limits on what clients may send and on what is kept for them.
    pub struct RawLimits {
        /// Largest request body.
        request_body: At<Bytes>, default("1MiB");
        /// Answers up to this size are verified before the first byte goes out; larger ones stream.
        verified_answer: At<Bytes>, default("4MiB");
        /// Most calls in one batch.
        batch: At<u32>, default(100);
        /// Most client connections at once.
        connections: At<u32>, default(10000);
        /// How long a client may take over a request's head, and an idle connection lives.
        idle: At<Duration>, default("60s");
        /// How long a drain waits for requests in flight.
        drain: At<Duration>, default("30s");
        /// Most filters (`eth_newFilter` and its kin) of one pool.
        filters: At<u32>, default(10000);
        /// Limits on WebSockets.
        sockets: RawSockets, default({});
    }
}

choice! {
    /// What the upstreams of a pool speak.
    pub enum RawKind {
        /// An EVM chain over JSON-RPC.
        Evm = "evm",
        /// Bitcoin, or a chain whose nodes speak like Bitcoin Core, over JSON-RPC.
        Bitcoin = "bitcoin",
        /// A CometBFT (Tendermint) chain over JSON-RPC.
        CometBft = "cometbft",
        /// Monero over the JSON-RPC of `monerod`.
        Monero = "monero",
        /// An HTTP API.
        Http = "http",
        /// gRPC services, over HTTP/2.
        Grpc = "grpc",
    }
}

choice! {
    /// How block tags in reads are pinned.
    pub enum RawPin {
        /// By hash where the method takes one, else by number.
        Hash = "hash",
        /// By number.
        Number = "number",
        /// Not at all.
        Off = "off",
    }
}

choice! {
    /// What becomes of transactions while the chain as a whole stands still.
    pub enum RawHalted {
        /// They are sent all the same.
        Pass = "pass",
        /// They are refused at once.
        Refuse = "refuse",
        /// They wait for the chain to move, up to `halted_wait`.
        Queue = "queue",
    }
}

choice! {
    /// What a pool does with requests.
    pub enum RawPoolMode {
        /// It answers them.
        Serve = "serve",
        /// It decides what it would do with them, which are copies of what another gateway serves, and asks nobody.
        Observe = "observe",
    }
}

section! {
    /// Interchangeable upstreams behind one route.
    pub struct RawPool {
        /// What the upstreams speak.
        kind: At<RawKind>, required;
        /// The path it is served at; `/` and the pool's name if absent.
        route: At<String>, optional;
        /// What is done with requests: `serve` answers them; `observe` decides on copies of another gateway's, answers with
        /// the decision, counts it, and asks nobody.
        mode: RawPoolMode, default("serve");
        /// EIP-155 chain id. Required for `evm`.
        chain_id: At<u64>, optional;
        /// Which network it is. Required for `bitcoin` (`main`, `testnet3`, `testnet4`, `signet`, `regtest`, or the
        /// hash of the first block), `cometbft` (the chain id, as in `cosmoshub-4`) and `monero` (`mainnet`,
        /// `stagenet`, `testnet` or `fakechain`).
        network: At<String>, optional;
        /// Usual time between blocks. Required for `evm` and `cometbft`, unless the chain's protocol fixes it.
        block_time: At<Duration>, optional;
        /// How often each upstream's head is asked for (chains); half of `block_time`, from `250ms` to `2s`, if
        /// absent.
        poll: At<Duration>, optional;
        /// Blocks an upstream may be behind the agreed head and still be served from (chains); 0 if absent.
        lag: At<u32>, optional;
        /// How `latest`, `safe` and `finalized` are pinned in reads (`evm`); `hash` if absent.
        pin: At<RawPin>, optional;
        /// How many upstreams a transaction is sent to at once (chains); 2 if absent.
        broadcast: At<u32>, optional;
        /// What becomes of transactions while the chain as a whole stands still (chains): `pass`, `refuse`, or
        /// `queue` until it moves; `pass` if absent.
        when_halted: At<RawHalted>, optional;
        /// How long a transaction waits for a halted chain before it is refused (`when_halted = "queue"`);
        /// 30s if absent.
        halted_wait: At<Duration>, optional;
        /// Most transactions that wait for a halted chain at once (`when_halted = "queue"`); 1000 if absent.
        halted_queue: At<u32>, optional;
        /// Reads that several providers must answer alike (chains).
        quorum: At<RawQuorum>, optional;
        /// Answers that are kept and shared (`evm`); none if absent.
        cache: At<RawCache>, optional;
        /// Who may use it, and for what.
        access: At<RawAccess>, optional;
        /// Methods that may be sent again after a failure: of HTTP (`http`; GET, HEAD and OPTIONS if absent), or by their full
        /// names, as in `/package.Service/Get` (`grpc`; `*` stands for any text, none if absent).
        retry_methods: Vec<At<String>>, optional;
        /// What is particular to some paths (`http`); the first rule that covers a request holds.
        paths: Vec<At<RawPath>>, default([]);
        /// Time a client's call may take in all.
        deadline: At<Duration>, default("10s");
        /// Time one attempt may take; `5s`, or `deadline` if shorter, if absent.
        attempt_timeout: At<Duration>, optional;
        /// Time a connection may take to be made; `1s`, or `attempt_timeout` if shorter, if absent.
        connect_timeout: At<Duration>, optional;
        /// An upstream from which nothing has come for this long, with calls outstanding, hangs; `1s`, or
        /// `attempt_timeout` if shorter, if absent.
        hang: At<Duration>, optional;
        /// Most attempts for one call; 4, or one for each upstream if there are more, if absent.
        attempts: At<u32>, optional;
        /// Unplanned attempts (retries, hedges) allowed, as a share of requests over ten seconds.
        budget_share: Percent, default("20%");
        /// Unplanned attempts that are allowed whatever the share says.
        budget_floor: At<Rate>, default("10/s");
        /// What answers tell of how they came about, in headers: any of `upstream`, `head`, `age`, `attempts` and
        /// `cached`, or `all`. The head's age is told in any case while the chain stands still.
        headers: Vec<At<RawTell>>, default([]);
        /// Who goes first where not everybody can.
        admission: At<RawAdmission>, optional;
        /// What tells who makes requests, so that it is known afterwards who was affected; not counted if absent.
        affected: At<RawAffected>, optional;
        /// A dearer tier is asked as well while nine in ten answers of the cheaper ones take longer than this; only
        /// when the cheaper ones cannot be asked, if absent.
        tier_latency: At<Duration>, optional;
        /// The upstreams.
        upstreams: Vec<At<RawUpstream>>, default([]);
    }
}

section! {
    /// Answers that are kept, and calls that are shared by those who ask the same at once.
    pub struct RawCache {
        /// Most memory that the kept answers take; with `0B` none are kept, and calls are still shared.
        size: At<Bytes>, default("64MiB");
    }
}

section! {
    /// Reads that several providers must answer alike.
    pub struct RawQuorum {
        /// The methods, as in `["eth_call", "eth_getBalance"]`.
        methods: Vec<At<String>>, default([]);
        /// How many providers are asked at once.
        of: At<u32>, default(3);
        /// How many of them must say the same.
        agree: At<u32>, default(2);
    }
}

section! {
    /// One endpoint in a pool.
    pub struct RawUpstream {
        /// Its name, unique in the pool.
        name: At<Name>, required;
        /// Its URL: `env:NAME`, `file:PATH`, or the URL itself.
        url: At<UrlSource>, required;
        /// URL of its WebSocket, in the same ways; it is listened to for new heads and pending transactions (`evm`).
        ws_url: At<UrlSource>, optional;
        /// Who operates it, as in `alchemy` or `aws/us-east-1`.
        provider: At<String>, required;
        /// Cost tier: those of the lowest are asked first, the others on demand.
        tier: At<u32>, default(0);
        /// Share of traffic relative to its peers; 0 takes none while another lives.
        weight: At<u32>, default(100);
        /// Most requests it may be sent; no limit if absent. Counted in whole requests a second.
        rate: At<Rate>, optional;
        /// Extra request headers; values are `env:NAME`, `file:PATH`, or the text itself.
        headers: RawHeaders, default({});
        /// The certificate to show where it asks who is calling (`https`).
        certificate: At<RawShown>, optional;
        /// The authorities that its own certificate must be by, in place of the usual ones: `file:PATH` or `env:NAME`, as PEM.
        ca: At<SecretSource>, optional;
        /// The upstream that it is a second path to (`http`): it takes critical requests while no first path is well.
        path_of: At<Name>, optional;
    }
}

section! {
    /// A certificate to show to an upstream.
    pub struct RawShown {
        /// The certificate and those that lead to its root: `file:PATH` or `env:NAME`, as PEM.
        chain: At<SecretSource>, required;
        /// Its private key: `file:PATH` or `env:NAME`, as PEM.
        key: At<SecretSource>, required;
    }
}

impl UrlSource {
    /// The source of the URL's text.
    pub(super) fn source(at: &At<Self>) -> At<SecretSource> {
        At::new(at.value.0.clone(), at.place)
    }
}

/// One address or several.
#[derive(Debug, Clone)]
pub struct Addresses(pub Vec<At<SocketAddr>>);

impl Decode for Addresses {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        match node.value.is_array() {
            true => Vec::decode(node, problems).map(Self),
            false => At::decode(node, problems).map(|one| Self(vec![one])),
        }
    }

    fn schema() -> Value {
        let list = json!({ "type": "array", "items": SocketAddr::schema() });
        json!({ "anyOf": [SocketAddr::schema(), list] })
    }
}
