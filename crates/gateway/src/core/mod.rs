//! Decisions, as plain functions of what is known and the time: nothing in here waits, reads a clock
//! or rolls dice.

pub mod accepted;
pub mod affected;
pub mod breaker;
pub mod budget;
pub mod cache;
pub mod choose;
pub mod claims;
pub mod credential;
pub mod distinct;
pub mod fate;
pub mod feed;
pub mod flap;
pub mod flights;
pub mod glob;
pub mod left;
pub mod limit;
pub mod line;
pub mod lookup;
pub mod memo;
pub mod mode;
pub mod outcome;
pub mod owed;
pub mod pace;
pub mod path;
pub mod quorum;
pub mod quota;
pub mod rate;
pub mod seal;
pub mod throttle;
pub mod tiers;
pub mod told;
pub mod toll;
