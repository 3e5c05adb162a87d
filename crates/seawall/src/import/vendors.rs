//! What chains are like, and where providers serve them: as their own documentation says.

use std::time::Duration;

/// Chains whose blocks come at another time than the estate knows, in milliseconds.
const BLOCK_TIMES: [(u64, u64); 14] = [
    (56, 750),
    (137, 2_000),
    (250, 1_000),
    (324, 1_000),
    (5_000, 2_000),
    (42_161, 250),
    (42_220, 1_000),
    (43_114, 2_000),
    (59_144, 2_000),
    (80_002, 2_000),
    (84_532, 2_000),
    (421_614, 250),
    (534_352, 3_000),
    (11_155_420, 2_000),
];

/// Chains that the estate knows the time of blocks of.
const KNOWN: [u64; 6] = [1, 10, 100, 8_453, 560_048, 11_155_111];

/// What is assumed where nobody says.
pub(super) const ASSUMED: Duration = Duration::from_secs(2);

/// The time between a chain's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockTime {
    /// The estate knows it.
    Known,
    /// It is this.
    Told(Duration),
    /// Nobody says.
    Unknown,
}

/// The time between the chain's blocks.
pub(super) fn block_time(chain: u64) -> BlockTime {
    if KNOWN.contains(&chain) {
        return BlockTime::Known;
    }
    let told = BLOCK_TIMES.iter().find(|(id, _)| *id == chain);
    told.map_or(BlockTime::Unknown, |(_, ms)| BlockTime::Told(Duration::from_millis(*ms)))
}

/// A provider's URLs: `{}` stands for its name of the chain, `{key}` for the key.
struct Vendor {
    name: &'static str,
    url: &'static str,
    chains: &'static [(u64, &'static str)],
}

const VENDORS: [Vendor; 6] = [
    Vendor {
        name: "alchemy",
        url: "https://{}.g.alchemy.com/v2/{key}",
        chains: &[
            (1, "eth-mainnet"),
            (10, "opt-mainnet"),
            (137, "polygon-mainnet"),
            (8_453, "base-mainnet"),
            (42_161, "arb-mainnet"),
            (84_532, "base-sepolia"),
            (421_614, "arb-sepolia"),
            (11_155_111, "eth-sepolia"),
            (11_155_420, "opt-sepolia"),
        ],
    },
    Vendor {
        name: "blastapi",
        url: "https://{}.blastapi.io/{key}",
        chains: &[
            (1, "eth-mainnet"),
            (10, "optimism-mainnet"),
            (137, "polygon-mainnet"),
            (8_453, "base-mainnet"),
            (42_161, "arbitrum-one"),
            (11_155_111, "eth-sepolia"),
        ],
    },
    Vendor {
        name: "drpc",
        url: "https://lb.drpc.org/ogrpc?network={}&dkey={key}",
        chains: &[
            (1, "ethereum"),
            (10, "optimism"),
            (56, "bsc"),
            (100, "gnosis"),
            (137, "polygon"),
            (8_453, "base"),
            (42_161, "arbitrum"),
            (43_114, "avalanche"),
            (11_155_111, "sepolia"),
        ],
    },
    Vendor {
        name: "infura",
        url: "https://{}.infura.io/v3/{key}",
        chains: &[
            (1, "mainnet"),
            (10, "optimism-mainnet"),
            (56, "bsc-mainnet"),
            (137, "polygon-mainnet"),
            (8_453, "base-mainnet"),
            (42_161, "arbitrum-mainnet"),
            (43_114, "avalanche-mainnet"),
            (59_144, "linea-mainnet"),
            (421_614, "arbitrum-sepolia"),
            (11_155_111, "sepolia"),
        ],
    },
    Vendor {
        name: "onfinality",
        url: "https://{}.api.onfinality.io/rpc?apikey={key}",
        chains: &[
            (1, "eth"),
            (10, "optimism"),
            (137, "polygon"),
            (8_453, "base"),
            (42_161, "arbitrum"),
            (11_155_111, "eth-sepolia"),
        ],
    },
    Vendor {
        name: "tenderly",
        url: "https://{}.gateway.tenderly.co/{key}",
        chains: &[
            (1, "mainnet"),
            (10, "optimism"),
            (137, "polygon"),
            (8_453, "base"),
            (42_161, "arbitrum"),
            (11_155_111, "sepolia"),
        ],
    },
];

/// Providers that eRPC has a shorthand for, as in `alchemy://KEY`.
const SHORTHANDS: [&str; 24] = [
    "alchemy",
    "ankr",
    "blastapi",
    "blockdaemon",
    "blockpi",
    "chainstack",
    "conduit",
    "drpc",
    "dwellir",
    "envio",
    "erpc",
    "etherspot",
    "goldsky",
    "infura",
    "llama",
    "onfinality",
    "pimlico",
    "quicknode",
    "repository",
    "routemesh",
    "sqd",
    "superchain",
    "tenderly",
    "thirdweb",
];

/// True if a URL of this scheme is a provider's shorthand.
pub(super) fn is_shorthand(scheme: &str) -> bool {
    SHORTHANDS.contains(&scheme)
}

/// Where the provider serves the chain, with `key` put in; `None` if that is not known here.
pub(super) fn url(vendor: &str, chain: u64, key: &str) -> Option<String> {
    let vendor = VENDORS.iter().find(|v| v.name == vendor)?;
    let (_, name) = vendor.chains.iter().find(|(id, _)| *id == chain)?;
    Some(vendor.url.replace("{}", name).replace("{key}", key))
}
