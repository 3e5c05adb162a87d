//! What a client has seen of a chain already: no read of its goes below that.
//!
//! Within one process the agreed head goes backwards only by a reorganisation, whichever worker or upstream
//! answers. Over restarts, and between gateways, the client carries what it has seen itself: it sends [`SEEN`],
//! empty to begin with, and is given the new value with every answer.
//!
//! The value is not signed: one that is made up makes whoever made it up wait, and nobody else. It waits for what
//! the polls bring by themselves, and causes no call.

use http::{HeaderMap, HeaderName, HeaderValue};
use seawall_chain::Block;

use crate::{heads::Heads, pool::Pool};

/// The newest block a client has seen, as in `21000000:0x…`.
pub(crate) const SEEN: HeaderName = HeaderName::from_static("x-seawall-seen");
/// The block that stands where the one that the client has seen stood: there was a reorganisation.
const REORGED: HeaderName = HeaderName::from_static("x-seawall-reorg");
/// Polls that a read waits for the agreed head to come to what its client has seen.
const POLLS: u32 = 3;

/// What a client asks to be held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Floor {
    /// The newest block that it has seen; none yet.
    seen: Option<Block>,
}

/// The header's value is none that was ever given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

impl Floor {
    /// What the request asks to be held to, if anything.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Unreadable> {
        let Some(value) = headers.get(SEEN) else { return Ok(None) };
        match value.to_str().map_err(|_| Unreadable)?.trim() {
            "" => Ok(Some(Self { seen: None })),
            text => {
                let (number, hash) = text.split_once(':').ok_or(Unreadable)?;
                let digits = number.bytes().all(|b| b.is_ascii_digit());
                let number = number.parse().ok().filter(|_| digits).ok_or(Unreadable)?;
                let hash = hash.parse().map_err(|_| Unreadable)?;
                Ok(Some(Self { seen: Some(Block { number, hash }) }))
            }
        }
    }

    /// Waits for the agreed chain to reach what the client has seen, or to be known to have left it; the height
    /// that it has not reached in time.
    pub(crate) async fn reached(&self, pool: &Pool) -> Result<(), u64> {
        let (Some(seen), Some(evm)) = (self.seen, pool.evm()) else { return Ok(()) };
        let reaching = async {
            loop {
                let moved = pool.state.moved.notified();
                if holds(&pool.state.heads.load(), seen) {
                    return;
                }
                moved.await;
            }
        };
        let wait = (evm.poll * POLLS).min(pool.section.deadline / 2);
        tokio::time::timeout(wait, reaching).await.map_err(|_| seen.number)
    }

    /// Tells the client what it has seen now, and whether what it had seen is no more.
    pub(crate) fn tell(&self, pool: &Pool, headers: &mut HeaderMap) {
        let heads = pool.state.heads.load();
        let Some(latest) = heads.latest() else { return };
        headers.insert(SEEN, written(latest));
        if let Some(instead) = self.seen.and_then(|seen| instead(&heads, seen, latest)) {
            headers.insert(REORGED, written(instead));
        }
    }
}

/// Does a read from this chain show nothing older than `seen`?
fn holds(heads: &Heads, seen: Block) -> bool {
    heads.latest().is_some_and(|latest| latest.number >= seen.number) || heads.left.contains(&seen)
}

/// The block that stands where `seen` stood, if it is known that another does.
fn instead(heads: &Heads, seen: Block, latest: Block) -> Option<Block> {
    match heads.agreed(seen.number) {
        Some(agreed) => (agreed != seen).then_some(agreed),
        None => heads.left.contains(&seen).then_some(latest),
    }
}

fn written(block: Block) -> HeaderValue {
    let mut text = Vec::with_capacity(90);
    text.extend_from_slice(block.number.to_string().as_bytes());
    text.push(b':');
    block.hash.write(&mut text);
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).expect("digits, a colon and hex")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &'static str) -> Result<Option<Floor>, Unreadable> {
        Floor::of(&HeaderMap::from_iter([(SEEN, HeaderValue::from_static(value))]))
    }

    #[test]
    fn what_was_given_out_is_read_again() {
        let seen = Block { number: 21_000_000, hash: seawall_chain::Hash([0xab; 32]) };
        let mut headers = HeaderMap::new();
        assert_eq!(Floor::of(&headers), Ok(None));
        headers.insert(SEEN, written(seen));
        assert_eq!(Floor::of(&headers), Ok(Some(Floor { seen: Some(seen) })));
        assert_eq!(of(""), Ok(Some(Floor { seen: None })));
    }

    #[test]
    fn what_was_never_given_out_is_refused() {
        for bad in [
            "1",
            "1:",
            "1:0x12",
            ":",
            "-1:0x",
            "latest",
            "+1:0xabababababababababababababababababababababababababababababababab",
        ] {
            assert_eq!(of(bad), Err(Unreadable), "{bad}");
        }
    }
}
