//! What was built, from what, with what.

/// The commit built from, or `unknown` outside a checkout.
pub const REVISION: &str = env!("SEAWALL_REVISION");
/// The compiler.
pub const RUSTC: &str = env!("SEAWALL_RUSTC");
/// What `--version` prints after the name.
pub const LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\nrevision ",
    env!("SEAWALL_REVISION"),
    "\ntarget   ",
    env!("SEAWALL_TARGET"),
    "\nprofile  ",
    env!("SEAWALL_PROFILE"),
    "\ncompiler ",
    env!("SEAWALL_RUSTC"),
);
