//! The demo's estate: small enough to be read, and what a user's own looks like.

use std::{net::SocketAddr, path::Path};

use super::stage::Who;

/// The pool's route.
pub(super) const ROUTE: &str = "/chain";

/// The journal's directory within the demo's.
pub(super) const JOURNAL: &str = "journal";
/// What every service of the demo is worth: 1,200 USD a minute.
const VALUE: &str = "$72k/h";

/// The text of the estate file. Beside the wallet, which goes through Seawall, there are services that use one provider
/// alone, to tell what a fault would have cost.
pub(super) fn text(
    gateway: SocketAddr,
    admin: SocketAddr,
    dir: &Path,
    at: impl Fn(Who) -> SocketAddr,
) -> String {
    let mut text = format!(
        "[estate]\nname = \"demo\"\n\n\
         [listen]\ngateway = \"{gateway}\"\nadmin = \"{admin}\"\n\n\
         [journal]\ndir = {journal}\n\n\
         [history]\ndir = {history}\n\n\
         [services.wallet]\nneeds = {{ all = [\"pool:chain\"] }}\nvalue = \"{VALUE}\"\n\n\
         [pools.chain]\nkind = \"evm\"\nchain_id = 31337\nblock_time = \"1s\"\nroute = \"{ROUTE}\"\n",
        journal = quoted(&dir.join(JOURNAL).to_string_lossy()),
        history = quoted(&dir.join("history").to_string_lossy()),
    );
    for who in Who::ALL {
        let (upstream, provider, at) = (who.upstream(), who.provider(), at(who));
        text += &format!(
            "\n[providers.{provider}]\n\n\
             [[pools.chain.upstreams]]\nname = \"{upstream}\"\nurl = \"http://{at}\"\nprovider = \"{provider}\"\n\n\
             [probes.{provider}]\ntarget = \"evm+http://{at}\"\nof = \"upstream:chain/{upstream}\"\nevery = \"1s\"\n\
             timeout = \"1s\"\n\n\
             [services.{provider}-alone]\nneeds = \"upstream:chain/{upstream}\"\nvalue = \"{VALUE}\"\n",
        );
    }
    text
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estate_reads_like_one() {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        insta::assert_snapshot!(text(at(8545), at(9545), Path::new("demo"), |who| at(9201 + who as u16)));
    }
}
