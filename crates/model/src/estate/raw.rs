//! The sections that belong to the graph itself.

use super::{At, RawNeed};
use crate::{
    Name, section,
    units::{CostRate, Percent},
};

section! {
    /// Somebody who operates upstreams: the unit of shared fate.
    pub struct RawProvider {
        /// Its regions, as in `["us-east-1"]`; an upstream then names `provider/region`.
        regions: Vec<At<Name>>, default([]);
    }
}

section! {
    /// People who own services.
    pub struct RawTeam {
        /// How to reach them, as in a chat channel or an address.
        contact: String, optional;
    }
}

section! {
    /// Something users depend on.
    pub struct RawService {
        /// What it needs: a component as in `"pool:ethereum"`, `{ all = [...] }`, `{ any = [...] }` or
        /// `{ k = 2, of = [...] }`.
        needs: RawNeed, required;
        /// The team that owns it.
        owner: At<Name>, optional;
        /// What an outage costs.
        value: CostRate, optional;
        /// The share of time it is to be up.
        objective: Percent, optional;
    }
}
