//! What a provider's answers tell of its limit: `RateLimit` of draft-ietf-httpapi-ratelimit-headers (all of
//! its forms so far) and the older `x-ratelimit-*`.

use std::time::Duration;

/// The longest window that is heeded.
const LONGEST: Duration = Duration::from_secs(120);
/// A larger `x-ratelimit-reset` is no number of seconds but a point in time.
const EPOCH: u64 = 1_000_000_000;

/// What is left of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Requests that may still go out,
    pub remaining: u64,
    /// in this time.
    pub reset: Duration,
}

impl Told {
    /// Reads an answer's headers, each got by its name in lower case. If several windows are told of, the one
    /// that allows least.
    pub fn read<'a>(header: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let told = match header("ratelimit") {
            Some(text) => text.split(',').fold(Items::default(), Items::take).tightest(),
            None => None,
        };
        let number = |name: &str| header(name)?.split([',', ';']).next()?.trim().parse::<u64>().ok();
        let pair = |remaining: &str, reset: &str| Self::new(number(remaining)?, number(reset)?);
        told.or_else(|| pair("ratelimit-remaining", "ratelimit-reset"))
            .or_else(|| pair("x-ratelimit-remaining", "x-ratelimit-reset"))
    }

    fn new(remaining: u64, reset: u64) -> Option<Self> {
        let reset = Duration::from_secs(reset);
        (reset > Duration::ZERO && reset.as_secs() < EPOCH && reset <= LONGEST)
            .then_some(Self { remaining, reset })
    }

    /// Requests a second until the reset.
    pub fn per_second(&self) -> f64 {
        self.remaining as f64 / self.reset.as_secs_f64()
    }
}

/// The windows of a `RateLimit` header: of the newer form each list item is one (`"default";r=50;t=30`), of the
/// older form all of them are (`limit=100, remaining=50, reset=30`).
#[derive(Default)]
struct Items {
    windows: Vec<Told>,
    remaining: Option<u64>,
    reset: Option<u64>,
}

/// Most windows of one header that are looked at.
const WINDOWS: usize = 8;

impl Items {
    fn take(mut self, item: &str) -> Self {
        let (mut r, mut t) = (None, None);
        for part in item.split(';') {
            let Some((key, value)) = part.split_once('=') else { continue };
            let value = value.trim().parse().ok();
            match key.trim() {
                "r" => r = value,
                "t" => t = value,
                "remaining" => self.remaining = value,
                "reset" => self.reset = value,
                _ => {}
            }
        }
        if let (Some(r), Some(t)) = (r, t)
            && self.windows.len() < WINDOWS
        {
            self.windows.extend(Told::new(r, t));
        }
        self
    }

    fn tightest(self) -> Option<Told> {
        let older = self.remaining.zip(self.reset).and_then(|(r, t)| Told::new(r, t));
        let all = self.windows.into_iter().chain(older);
        all.min_by(|a, b| a.per_second().total_cmp(&b.per_second()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let check = |headers: &[(&str, &'static str)], want: Option<(u64, u64)>| {
            let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
            let told = Told::read(header);
            assert_eq!(told.map(|t| (t.remaining, t.reset.as_secs())), want, "{headers:?}");
        };
        check(&[("ratelimit", "\"default\";r=50;t=30")], Some((50, 30)));
        check(&[("ratelimit", "\"burst\";r=90;t=1, \"day\";r=10;t=60")], Some((10, 60)));
        check(&[("ratelimit", "limit=100, remaining=7, reset=5")], Some((7, 5)));
        check(&[("ratelimit-remaining", "3"), ("ratelimit-reset", "2")], Some((3, 2)));
        check(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "9")], Some((0, 9)));
        check(&[("x-ratelimit-remaining", "5, 5;w=1"), ("x-ratelimit-reset", "1")], Some((5, 1)));
        check(&[("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "1764000000")], None);
        check(&[("x-ratelimit-remaining", "5")], None);
        check(&[("ratelimit", "soon")], None);
        check(&[("ratelimit", "\"default\";r=50;t=0")], None);
        check(&[("ratelimit", "\"month\";r=50;t=86400")], None);
        check(&[], None);
    }
}
