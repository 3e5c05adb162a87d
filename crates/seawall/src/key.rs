//! `seawall key`: keys for clients of the gateway.

use std::io::{self, Write};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};
use seawall_journal::Entropy;
use seawall_model::Name;

/// What a key begins with, so that who finds one knows what it opens.
const PREFIX: &str = "sw_";
/// Random bytes of a key: nothing to guess.
const BYTES: usize = 24;

/// Makes keys for clients of the gateway
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// What to do
    #[command(subcommand)]
    pub command: KeyCommand,
}

/// What to do about keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Makes a key, prints it once, and the lines of the estate that it opens by
    #[command(after_help = "\
EXAMPLE
  seawall key new desk

The key itself is kept nowhere: give it to the client. The estate holds its hash alone.")]
    New {
        /// What the estate calls the client
        name: Name,
    },
}

/// Runs the command.
///
/// # Errors
/// If `out` cannot be written.
pub fn run(args: &KeyArgs, entropy: &mut Entropy, out: &mut dyn Write) -> io::Result<()> {
    match &args.command {
        KeyCommand::New { name } => {
            // As it may stand in a path.
            let key = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(entropy.bytes::<BYTES>()));
            let hash = digest::digest(&digest::SHA256, key.as_bytes());
            let hash: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
            writeln!(out, "{key}\n\n[auth.clients.{name}]\nhash = [\"sha256:{hash}\"]")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_its_hash_are_printed() {
        let args = KeyArgs { command: KeyCommand::New { name: Name::new("desk").unwrap() } };
        let mut out = Vec::new();
        run(&args, &mut Entropy::seeded(1), &mut out).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
