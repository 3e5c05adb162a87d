//! The failover gateway: a pure core under a thin async shell.

pub mod estate;
