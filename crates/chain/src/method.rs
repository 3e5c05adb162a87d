//! The EVM's JSON-RPC methods: what each is for, which block it reads, and what its answer may be.

/// What a method is for. Breakers, budgets and scores are kept per class, since an upstream that hangs
/// on traces may well serve balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, std::hash::Hash)]
pub enum Class {
    /// Where the chain stands: `eth_blockNumber`, `eth_chainId`, `eth_syncing`.
    Head,
    /// State at a block: balances, code, storage, calls.
    State,
    /// Blocks, transactions and receipts.
    Block,
    /// Logs over a range.
    Logs,
    /// Traces: `debug_*`, `trace_*`.
    Trace,
    /// Transactions, sent.
    Write,
    /// Prices and estimates.
    Fee,
    /// The node itself: `net_*`, `web3_*`, `txpool_*`.
    Node,
    /// Filters and subscriptions, which the gateway holds itself.
    Filter,
    /// Anything else, other chains' methods among it.
    Other,
}

impl Class {
    /// Every class, in the order of declaration.
    pub const ALL: [Self; 10] = [
        Self::Head,
        Self::State,
        Self::Block,
        Self::Logs,
        Self::Trace,
        Self::Write,
        Self::Fee,
        Self::Node,
        Self::Filter,
        Self::Other,
    ];

    /// The class as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::State => "state",
            Self::Block => "block",
            Self::Logs => "logs",
            Self::Trace => "trace",
            Self::Write => "write",
            Self::Fee => "fee",
            Self::Node => "node",
            Self::Filter => "filter",
            Self::Other => "other",
        }
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a method's parameters say which block it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockParam {
    /// Nowhere.
    None,
    /// One parameter is a number, a tag or, where `hash_ok`, an EIP-1898 object.
    At {
        /// Its position, from 0.
        index: usize,
        /// EIP-1898 applies.
        hash_ok: bool,
        /// Left out, it means `latest`.
        default_latest: bool,
    },
    /// One parameter is a filter object with `fromBlock` and `toBlock`, each `latest` if left out.
    Range {
        /// Its position, from 0.
        index: usize,
    },
}

/// Whether a method's result may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NullResult {
    /// Never; a null is a fault of the upstream.
    Never,
    /// Only if the upstream does not have the block named; a null for a block within the agreed chain is a
    /// fault of the upstream.
    NoSuchBlock,
    /// Wherever there is no such thing, which one answer alone cannot disprove.
    Possible,
}

/// What is known of a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// What it is for.
    pub class: Class,
    /// Which block it reads.
    pub block: BlockParam,
    /// Whether its result may be null.
    pub null: NullResult,
    /// An empty list may be an upstream that lags or has not indexed, rather than the truth.
    pub empty_is_suspicious: bool,
    /// Asked twice, it has the effect of once. A raw transaction is idempotent by its hash.
    pub idempotent: bool,
    /// Its first parameter is a raw signed transaction, which may be sent to several upstreams.
    pub raw_transaction: bool,
}

impl Method {
    /// What is known of the method called `name`. A name unknown here is [`Class::Other`], and counts as
    /// idempotent only if the word after its namespace begins with `get`.
    pub fn lookup(name: &str) -> Self {
        match name {
            "eth_blockNumber" | "eth_chainId" | "eth_syncing" => Self::of(Class::Head),

            "eth_getBalance" | "eth_getCode" | "eth_getTransactionCount" | "eth_call" => state(1),
            "eth_getStorageAt" | "eth_getProof" => state(2),
            "eth_createAccessList" | "eth_simulateV1" => {
                Self { block: at(1, true), ..Self::of(Class::State) }
            }

            "eth_getBlockByNumber"
            | "eth_getHeaderByNumber"
            | "eth_getBlockTransactionCountByNumber"
            | "eth_getUncleCountByBlockNumber"
            | "eth_getBlockReceipts" => Self { null: NullResult::NoSuchBlock, ..block_at(0) },
            "eth_getTransactionByBlockNumberAndIndex"
            | "eth_getUncleByBlockNumberAndIndex"
            | "eth_getRawTransactionByBlockNumberAndIndex" => block_at(0),
            "eth_getBlockByHash"
            | "eth_getHeaderByHash"
            | "eth_getBlockTransactionCountByHash"
            | "eth_getUncleCountByBlockHash" => Self { null: NullResult::NoSuchBlock, ..block_at(0) },
            "eth_getUncleByBlockHashAndIndex"
            | "eth_getTransactionByBlockHashAndIndex"
            | "eth_getRawTransactionByBlockHashAndIndex"
            | "eth_getTransactionByHash"
            | "eth_getRawTransactionByHash"
            | "eth_getTransactionBySenderAndNonce"
            | "eth_getTransactionReceipt" => Self { null: NullResult::Possible, ..Self::of(Class::Block) },

            "eth_getLogs" => Self {
                block: BlockParam::Range { index: 0 },
                empty_is_suspicious: true,
                ..Self::of(Class::Logs)
            },

            "eth_sendRawTransaction" | "eth_sendRawTransactionConditional" | "eth_sendRawTransactionSync" => {
                Self { raw_transaction: true, ..Self::of(Class::Write) }
            }
            "eth_sendTransaction"
            | "eth_sendPrivateTransaction"
            | "eth_sendPrivateRawTransaction"
            | "eth_cancelPrivateTransaction"
            | "eth_sendBundle"
            | "eth_cancelBundle"
            | "mev_sendBundle" => {
                Self { null: NullResult::Possible, idempotent: false, ..Self::of(Class::Write) }
            }

            "eth_estimateGas" => Self { block: at(1, false), ..Self::of(Class::Fee) },
            "eth_feeHistory" => Self { block: at(1, false), ..Self::of(Class::Fee) },
            "eth_gasPrice" | "eth_maxPriorityFeePerGas" | "eth_baseFee" | "eth_blobBaseFee" => {
                Self::of(Class::Fee)
            }

            "eth_accounts"
            | "eth_protocolVersion"
            | "eth_coinbase"
            | "eth_mining"
            | "eth_hashrate"
            | "rpc_modules" => Self::of(Class::Node),

            "eth_newFilter"
            | "eth_newBlockFilter"
            | "eth_newPendingTransactionFilter"
            | "eth_getFilterChanges"
            | "eth_getFilterLogs"
            | "eth_uninstallFilter"
            | "eth_subscribe"
            | "eth_unsubscribe" => Self { idempotent: false, ..Self::of(Class::Filter) },

            "debug_traceBlockByNumber"
            | "debug_getRawBlock"
            | "debug_getRawHeader"
            | "debug_getRawReceipts"
            | "trace_block"
            | "trace_replayBlockTransactions" => trace(at(0, false)),
            "debug_traceCall" => trace(at(1, true)),
            "trace_call" => trace(at(2, true)),
            "trace_callMany" => trace(at(1, true)),
            "trace_filter" => Self { empty_is_suspicious: true, ..trace(BlockParam::Range { index: 0 }) },

            _ => by_namespace(name),
        }
    }

    /// Something that must not be done twice.
    pub(crate) const fn once(class: Class) -> Self {
        Self { null: NullResult::Possible, idempotent: false, ..Self::of(class) }
    }

    /// A read that names no block and never gives null.
    pub(crate) const fn of(class: Class) -> Self {
        Self {
            class,
            block: BlockParam::None,
            null: NullResult::Never,
            empty_is_suspicious: false,
            idempotent: true,
            raw_transaction: false,
        }
    }
}

fn by_namespace(name: &str) -> Method {
    let (namespace, verb) = name.split_once('_').unwrap_or(("", name));
    let class = match namespace {
        // `debug_setHead` and its like change the node.
        "debug"
            if ["trace", "get", "storage", "account", "print", "dump"]
                .iter()
                .any(|v| verb.starts_with(v)) =>
        {
            Class::Trace
        }
        "trace" => Class::Trace,
        "net" | "web3" | "txpool" => Class::Node,
        _ => Class::Other,
    };
    match class {
        Class::Trace => trace(BlockParam::None),
        Class::Node => Method::of(Class::Node),
        Class::Head
        | Class::State
        | Class::Block
        | Class::Logs
        | Class::Write
        | Class::Fee
        | Class::Filter
        | Class::Other => Method {
            null: NullResult::Possible,
            idempotent: verb.starts_with("get"),
            ..Method::of(Class::Other)
        },
    }
}

/// One of the six of EIP-1898.
const fn state(index: usize) -> Method {
    let block = BlockParam::At { index, hash_ok: true, default_latest: true };
    Method { block, ..Method::of(Class::State) }
}

const fn block_at(index: usize) -> Method {
    let block = BlockParam::At { index, hash_ok: false, default_latest: false };
    Method { block, null: NullResult::Possible, ..Method::of(Class::Block) }
}

const fn trace(block: BlockParam) -> Method {
    Method { block, null: NullResult::Possible, ..Method::of(Class::Trace) }
}

/// A block parameter that no EIP says takes a hash, so it is pinned by number.
const fn at(index: usize, default_latest: bool) -> BlockParam {
    BlockParam::At { index, hash_ok: false, default_latest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_for_what_they_are() {
        let check = |name: &str, class, null, idempotent| {
            let m = Method::lookup(name);
            assert_eq!((m.class, m.null, m.idempotent), (class, null, idempotent), "{name}");
        };
        check("eth_blockNumber", Class::Head, NullResult::Never, true);
        check("eth_getBalance", Class::State, NullResult::Never, true);
        check("eth_getBlockByNumber", Class::Block, NullResult::NoSuchBlock, true);
        check("eth_getTransactionReceipt", Class::Block, NullResult::Possible, true);
        check("eth_getLogs", Class::Logs, NullResult::Never, true);
        check("debug_traceTransaction", Class::Trace, NullResult::Possible, true);
        check("debug_setHead", Class::Other, NullResult::Possible, false);
        check("trace_block", Class::Trace, NullResult::Possible, true);
        check("eth_sendRawTransaction", Class::Write, NullResult::Never, true);
        check("eth_sendBundle", Class::Write, NullResult::Possible, false);
        check("eth_gasPrice", Class::Fee, NullResult::Never, true);
        check("net_version", Class::Node, NullResult::Never, true);
        check("eth_getFilterChanges", Class::Filter, NullResult::Never, false);
        check("zks_getBlockDetails", Class::Other, NullResult::Possible, true);
        check("getBalance", Class::Other, NullResult::Possible, true);
        check("sendTransaction", Class::Other, NullResult::Possible, false);
        check("anvil_mine", Class::Other, NullResult::Possible, false);
        check("", Class::Other, NullResult::Possible, false);
    }

    #[test]
    fn a_raw_transaction_is_the_only_write_that_may_go_to_several() {
        for name in ["eth_sendRawTransaction", "eth_sendRawTransactionSync"] {
            assert!(Method::lookup(name).raw_transaction, "{name}");
        }
        for name in ["eth_sendTransaction", "eth_sendPrivateRawTransaction", "eth_call"] {
            assert!(!Method::lookup(name).raw_transaction, "{name}");
        }
    }

    #[test]
    fn every_class_has_its_own_label() {
        let labels: std::collections::BTreeSet<_> = Class::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(labels.len(), Class::ALL.len());
    }
}
