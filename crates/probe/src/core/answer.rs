//! What servers of small protocols say, read.

pub mod nats;
pub mod postgres;
pub mod redis;
pub mod smtp;

/// Longest text of a server that is told, in characters.
const MAX_TEXT: usize = 160;

/// How far an answer has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// There is more to come.
    More,
    /// This is all of it: so many bytes, and what is worth telling of it.
    Whole(usize, Said),
}

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Yes, and what it said of itself.
    Good(String),
    /// No, and why.
    Bad(String),
    /// What is not of this protocol.
    Alien(&'static str),
}

/// A line without its end, and the bytes it takes with it; `None` if its end has not come.
fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}

/// A text of a server: shortened, and without what a terminal would obey.
pub(crate) fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect()
}
