//! The demo's estate: small enough to be read, and what a user's own looks like.

use std::{net::SocketAddr, path::Path};

use super::stage::Who;

/// The pool's route.
pub(super) const ROUTE: &str = "/chain";

/// The text of the estate file.
pub(super) fn text(
    gateway: SocketAddr,
    admin: SocketAddr,
    journal: &Path,
    at: impl Fn(Who) -> SocketAddr,
) -> String {
    let mut text = format!(
        "[estate]\nname = \"demo\"\n\n\
         [listen]\ngateway = \"{gateway}\"\nadmin = \"{admin}\"\n\n\
         [journal]\ndir = {journal}\n\n\
         [services.wallet]\nneeds = {{ all = [\"pool:chain\"] }}\n\n\
         [pools.chain]\nkind = \"evm\"\nchain_id = 31337\nblock_time = \"1s\"\nroute = \"{ROUTE}\"\n",
        journal = quoted(&journal.to_string_lossy()),
    );
    for who in Who::ALL {
        let (upstream, provider) = (who.upstream(), who.provider());
        text += &format!(
            "\n[providers.{provider}]\n\n\
             [[pools.chain.upstreams]]\nname = \"{upstream}\"\nurl = \"http://{}\"\nprovider = \"{provider}\"\n",
            at(who)
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
        insta::assert_snapshot!(text(at(8545), at(9545), Path::new("journal"), |who| at(9201 + who as u16)));
    }
}
