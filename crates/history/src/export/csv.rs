//! Comma-separated values, RFC 4180.

use std::io::{self, Write};

use super::{
    Kind, Sink,
    columns::{self, Value},
};
use crate::query::Row;

/// Writes rows as lines.
pub(super) struct Csv<W: Write> {
    out: W,
}

impl<W: Write> Csv<W> {
    /// Begins with the header.
    pub(super) fn new(mut out: W, kind: Kind) -> io::Result<Self> {
        let names: Vec<&str> = columns::of(kind).iter().map(|(name, _)| *name).collect();
        write!(out, "{}\r\n", names.join(","))?;
        Ok(Self { out })
    }
}

/// Quoted where it must be. What a spreadsheet would take for a formula is quoted with an apostrophe: names come from
/// whoever sends signals.
fn field(text: &str) -> String {
    let safe = match text.as_bytes().first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r') => format!("'{text}"),
        _ => text.to_owned(),
    };
    if safe.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", safe.replace('"', "\"\"")) } else { safe }
}

impl<W: Write> Sink for Csv<W> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        for (at, value) in columns::values(row).into_iter().enumerate() {
            if at > 0 {
                self.out.write_all(b",")?;
            }
            match value {
                Value::Text(text) => write!(self.out, "{}", field(&text))?,
                Value::Number(n) => write!(self.out, "{n}")?,
                Value::Time(at) => write!(self.out, "{at}")?,
                Value::Flag(flag) => write!(self.out, "{flag}")?,
                Value::Nothing => {}
            }
        }
        self.out.write_all(b"\r\n")
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        for (text, wanted) in
            [("a-b", "a-b"), ("a,b", "\"a,b\""), ("say \"x\"", "\"say \"\"x\"\"\""), ("=1+1", "'=1+1")]
        {
            assert_eq!(field(text), wanted);
        }
    }
}
