//! Conditions in CEL (the Common Expression Language), compiled once and judged within bounds.
//!
//! A [`Rule`] sees the variables of its [`Facts`] and nothing else: no clock, no file, no network, no environment. What it
//! may name is told when it is compiled ([`Kind`]), so that a slip of the pen is found then and not at night. CEL always
//! ends, but may take long; so a rule is short, its depth is bounded, and before it is evaluated the most work
//! that it could be with facts of that size is worked out, and refused if that is too much.

mod bad;
mod cost;
mod facts;
mod judge;
mod kind;
mod reads;
mod rule;
#[cfg(test)]
mod tests;

pub use bad::{BadRule, CODE, Unanswered};
pub use cost::MAX_WORK;
pub use facts::Facts;
pub use kind::Kind;
pub use reads::{MAX_READS, Reading};
pub use rule::{MAX_BRACKETS, MAX_DEPTH, MAX_NODES, MAX_RULE, Rule};
