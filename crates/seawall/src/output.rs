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

/// An amount of `minor` units, of which `of` are one of the currency, as in `1,200 USD`; with its minor units where it
/// is small.
pub(crate) fn amount(minor: i64, of: u64, code: &str) -> String {
    let (units, of) = (minor.unsigned_abs(), of.max(1));
    let sign = if minor < 0 { "-" } else { "" };
    if of > 1 && units < 100 * of {
        return format!("{sign}{}.{:02} {code}", units / of, units % of);
    }
    let digits = (units / of + u64::from(of > 1 && units % of * 2 >= of)).to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    format!("{sign}{} {code}", groups.join(","))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_grouped_and_rounded() {
        let check = |minor, of, code, wanted| assert_eq!(amount(minor, of, code), wanted);
        check(0, 100, "USD", "0.00 USD");
        check(9_999, 100, "EUR", "99.99 EUR");
        check(120_049, 100, "USD", "1,200 USD");
        check(-123_456_750, 100, "USD", "-1,234,568 USD");
        check(1_234, 1, "JPY", "1,234 JPY");
    }
}
