//! The sections that belong to the graph itself.

use serde_json::{Value, json};

use super::{At, Decode, Node, Problems, RawCost, RawNeed};
use crate::{
    Name, section,
    units::{CostRate, Percent, Rate},
};

section! {
    /// Somebody who operates upstreams: the unit of shared fate.
    pub struct RawProvider {
        /// Its regions, as in `["us-east-1"]`; an upstream then names `provider/region`.
        regions: Vec<At<Name>>, default([]);
        /// What it allows, over all its upstreams in all pools.
        budget: At<RawBudget>, optional;
    }
}

section! {
    /// What a provider allows. Less is sent than this while it refuses more, or tells in its headers that it would.
    pub struct RawBudget {
        /// Most requests.
        requests: At<Rate>, optional;
        /// Most compute units.
        compute_units: At<Rate>, optional;
        /// Most compute units in a day (UTC).
        daily: At<u64>, optional;
        /// Most compute units in a calendar month (UTC).
        monthly: At<u64>, optional;
        /// What a call costs in compute units, by method, as in `{ eth_call = 26, default = 20 }`; 1 where nothing is
        /// said.
        costs: RawCosts, default({});
    }
}

/// What calls cost: a number by each method's name, and by `default`.
#[derive(Debug, Clone)]
pub struct RawCosts(pub Vec<(At<String>, At<u32>)>);

impl Decode for RawCosts {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let entries = node.entries("a table of costs by method", problems)?;
        let mut costs = Vec::with_capacity(entries.len());
        for (method, place, cost) in entries {
            costs.push((At::new(method.to_owned(), place), At::decode(cost, problems)?));
        }
        Some(Self(costs))
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": u32::schema() })
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
        value: At<CostRate>, optional;
        /// What else is known of what an outage costs.
        cost: At<RawCost>, optional;
        /// The share of time it is to be up.
        objective: Percent, optional;
    }
}
