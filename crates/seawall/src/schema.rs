//! `seawall schema`: what an estate may look like, for editors.

use std::io::{self, Write};

/// Prints the JSON Schema of an estate file
///
/// Editors with TOML support complete and check an estate by it: save it as seawall.schema.json and put
/// `#:schema ./seawall.schema.json` in the first line of seawall.toml.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {}

/// Writes the schema to `out`.
pub fn run(SchemaArgs {}: &SchemaArgs, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{:#}", crate::estate::schema())
}
