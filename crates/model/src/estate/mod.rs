//! The estate: what a user runs and depends on, from text to the graph of components.
//!
//! The way of a file: [`Sources`] keeps its text, [`parse`] makes a tree in which every node knows its
//! [`Place`], and [`Decode`] turns that tree into raw sections declared with [`section!`](crate::section).
//! Each capability validates its own raw section; [`Graph`] is what all of them refer to. Nothing stops at
//! the first fault: every step reports to one [`Problems`] and goes on with what is left.

mod choice;
mod code;
mod cost;
mod decode;
mod graph;
mod needs;
mod node;
mod problem;
mod raw;
mod secret;
mod section;
mod source;
mod suggest;

pub use code::{Code, Severity};
pub use cost::{Credit, Penalty, RawCost, Recovered, ServiceCost, Terms, WEEK_HOURS};
pub use decode::{At, Decode, Table, schema_of_text};
pub use graph::{Graph, Operator, Service, Team};
pub use needs::{Need, RawNeed};
pub use node::{Node, parse};
pub use problem::{Problem, Problems};
pub use raw::{RawBudget, RawCosts, RawProvider, RawService, RawTeam};
pub use secret::{Resolve, SecretSource, Unresolved};
pub use section::{Presence, SectionReader, default_value, object_schema};
pub use source::{FileId, Place, Position, Source, Sources};

/// What the macros of this module expand to.
#[doc(hidden)]
pub mod macros {
    pub use super::choice::{refuse_word, schema_of_words};
    pub use serde_json::Value;
}

#[cfg(test)]
mod tests;
