//! The estates that the daemon is given.

use std::{env::VarError, path::Path};

use seawall::estate::{self, Estate, LoadError, Surroundings};
use seawall_runtime::disk::sim::SimDisk;

use super::{node::PORT, plan::Plan, world::JOURNAL};

/// Where the estate lies.
pub(crate) const ESTATE: &str = "/etc/seawall.toml";

/// Reads the estate.
pub(crate) fn load(disk: &SimDisk) -> Result<Estate, LoadError> {
    let with = Surroundings { disk, variable: &|_| Err(VarError::NotPresent), cores: 1 };
    estate::load(Path::new(ESTATE), &with)
}

/// Puts an estate in place of the one that is there, whatever ails the disk.
pub(crate) fn write_estate(disk: &SimDisk, text: &str) {
    disk.corrupt(Path::new(ESTATE), |bytes| *bytes = text.to_owned().into_bytes()).unwrap();
}

/// The `n`th valid estate: the same upstreams with other weights, and other limits.
pub(crate) fn estate_text(plan: &Plan, n: u64) -> String {
    let Plan { workers, block_ms, hang_ms, floor, .. } = plan;
    let mut text = format!(
        "[estate]\nname = \"simulated\"\n[listen]\nworkers = {workers}\n[journal]\ndir = \"{JOURNAL}\"\n\
         [pools.chain]\nkind = \"evm\"\nchain_id = 1\nroute = \"/\"\nblock_time = \"{block_ms}ms\"\n\
         hang = \"{hang_ms}ms\"\nbudget_floor = \"{floor}/s\"\nattempts = {}\n",
        // The default, and more: with fewer than upstreams, the last one that is well would not be found.
        plan.upstreams.len().max(4) as u64 + n % 3
    );
    for provider in 0..plan.providers {
        text += &format!("[providers.p{provider}]\n");
    }
    for (i, upstream) in plan.upstreams.iter().enumerate() {
        let (name, provider, weight) =
            (&upstream.name, upstream.provider, 100 + (n * (i as u64 + 3) * 17) % 90);
        text += &format!(
            "[[pools.chain.upstreams]]\nname = \"{name}\"\nurl = \"http://{name}:{PORT}\"\n\
             provider = \"p{provider}\"\nweight = {weight}\n"
        );
    }
    text
}
