//! What people see on their terminal.

use std::io::{self, IsTerminal, Write};

/// True if standard output takes colours: a terminal, and `NO_COLOR` is not set.
pub fn colour_stdout() -> bool {
    wants_colour() && io::stdout().is_terminal()
}

/// True if standard error takes colours.
pub fn colour_stderr() -> bool {
    wants_colour() && io::stderr().is_terminal()
}

/// See <https://no-color.org>.
fn wants_colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Tells of an error on standard error. If nobody reads it, there is nobody to tell.
pub fn error(message: &str) {
    let _ = writeln!(io::stderr(), "error: {message}");
}

/// Rows in columns, the last column ragged.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let line: String = row.iter().zip(widths).map(|(cell, w)| format!("{cell:w$}  ")).collect();
        text += line.trim_end();
        text.push('\n');
    }
    text
}
