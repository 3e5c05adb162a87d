//! How a demo provider behaves, as set by `POST /_mode`.

use std::{fmt, str::FromStr, time::Duration};

/// What a provider does with the requests it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Passes everything on as it is.
    Honest,
    /// Is so many blocks behind the chain.
    Lag(u64),
    /// Serves a chain of its own making.
    Lie,
    /// Answers everything with HTTP 503.
    Error,
    /// Answers honestly, so much later.
    Slow(Duration),
}

/// The text is no [`Behaviour`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown behaviour `{0}`: use ok, lag:BLOCKS, lie, error or slow:MILLISECONDS")]
pub(crate) struct UnknownBehaviour(String);

impl FromStr for Behaviour {
    type Err = UnknownBehaviour;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownBehaviour(text.chars().take(40).collect());
        let (word, argument) = match text.split_once(':') {
            Some((word, n)) => (word, Some(n.parse::<u32>().map_err(|_| unknown())?)),
            None => (text, None),
        };
        match (word, argument) {
            ("ok", None) => Ok(Self::Honest),
            ("lag", Some(blocks)) => Ok(Self::Lag(blocks.into())),
            ("lie", None) => Ok(Self::Lie),
            ("error", None) => Ok(Self::Error),
            ("slow", Some(ms)) => Ok(Self::Slow(Duration::from_millis(ms.into()))),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Honest => f.write_str("ok"),
            Self::Lag(blocks) => write!(f, "lag:{blocks}"),
            Self::Lie => f.write_str("lie"),
            Self::Error => f.write_str("error"),
            Self::Slow(by) => write!(f, "slow:{}", by.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviours_are_read_as_they_are_written() {
        for text in ["ok", "lag:5", "lie", "error", "slow:400"] {
            assert_eq!(text.parse::<Behaviour>().unwrap().to_string(), text);
        }
        for bad in ["", "lag", "lag:", "lag:-1", "lie:1", "slow:x", "hang"] {
            assert!(bad.parse::<Behaviour>().is_err(), "{bad:?}");
        }
    }
}
