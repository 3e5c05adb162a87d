//! What the `seawall` binary is made of: one module a command.

pub mod check;
pub mod daemon;
pub mod demo;
pub mod detect;
pub mod estate;
pub mod explain;
pub mod history;
pub mod import;
pub mod init;
pub mod key;
pub mod log;
pub mod operate;
pub mod output;
pub mod probe;
pub mod run;
pub mod schema;
pub mod version;
