//! Happy eyeballs, the light form: addresses in order, each a short while after the one before
//! (RFC 8305 §5), and the first to connect wins.

use std::{collections::VecDeque, io, net::IpAddr, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};

/// Time given to an address before the next is tried beside it (RFC 8305 §8).
const STAGGER: Duration = Duration::from_millis(250);

/// Most addresses tried for one connection.
const MAX_TRIES: usize = 8;

/// Dials `addresses` until one answers. The error is the last one's.
pub(super) async fn race<T, F>(addresses: &[IpAddr], mut dial: impl FnMut(IpAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut waiting = alternate(addresses);
    let mut under_way = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no address to dial");
    loop {
        if let Some(next) = waiting.pop_front() {
            under_way.push(dial(next));
        } else if under_way.is_empty() {
            return Err(last);
        }
        // A cancelled arm loses nothing: the dials stay in `under_way`, the stagger starts anew.
        tokio::select! {
            biased;
            Some(done) = under_way.next() => match done {
                Ok(connection) => return Ok(connection),
                Err(e) => last = e,
            },
            () = tokio::time::sleep(STAGGER), if !waiting.is_empty() => {}
        }
    }
}

/// The addresses with the families taking turns, that of the first one first (RFC 8305 §4).
fn alternate(addresses: &[IpAddr]) -> VecDeque<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let (leading, other): (VecDeque<IpAddr>, VecDeque<IpAddr>) =
        addresses.iter().partition(|a| a.is_ipv6() == first_is_v6);
    let mut other = other.into_iter();
    let mut order = VecDeque::with_capacity(addresses.len());
    for address in leading {
        order.push_back(address);
        order.extend(other.next());
    }
    order.extend(other);
    order.truncate(MAX_TRIES);
    order
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Each address with when it answers, and whether it connects; then who won and when.
    async fn check(dials: &[(&str, u64, bool)], wanted: (Option<&str>, u64)) {
        let addresses: Vec<IpAddr> = dials.iter().map(|d| d.0.parse().unwrap()).collect();
        let began = Instant::now();
        let won = race(&addresses, |address| {
            let (_, ms, ok) = *dials.iter().find(|d| d.0.parse() == Ok(address)).unwrap();
            async move {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                if ok { Ok(address) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
            }
        })
        .await;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap();
        assert_eq!((won.ok().map(|a| a.to_string()).as_deref(), took), wanted, "{dials:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_connect_wins() {
        check(&[("1.1.1.1", 10, true), ("2.2.2.2", 1, true)], (Some("1.1.1.1"), 10)).await;
        check(&[("1.1.1.1", 5_000, true), ("2.2.2.2", 10, true)], (Some("2.2.2.2"), 260)).await;
        check(&[("1.1.1.1", 400, true), ("2.2.2.2", 900, true)], (Some("1.1.1.1"), 400)).await;
        check(&[("1.1.1.1", 10, false), ("2.2.2.2", 10, true)], (Some("2.2.2.2"), 20)).await;
        check(&[("1.1.1.1", 10, false), ("2.2.2.2", 10, false)], (None, 20)).await;
        check(&[], (None, 0)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn families_take_turns() {
        let dials =
            [("::1", 9_000, true), ("::2", 9_000, true), ("1.1.1.1", 10, true), ("2.2.2.2", 9_000, true)];
        check(&dials, (Some("1.1.1.1"), 260)).await;
    }
}
