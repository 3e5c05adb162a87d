//! Names with stars: `eth_*`, `GET /v1/*`.

/// A pattern in which each `*` stands for any text, an empty one too. Everything else stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// Longest pattern, in bytes.
    pub const MAX: usize = 128;
    /// Most stars in one.
    pub const STARS: usize = 4;

    /// Reads a pattern; `None` if it is empty, too long, or has too many stars.
    pub fn new(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= Self::MAX && text.matches('*').count() <= Self::STARS;
        fits.then(|| Self(text.into()))
    }

    /// Does it fit all of `text`?
    pub fn fits(&self, text: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else { return *self.0 == *text };
        let Some(mut text) = text.strip_prefix(head) else { return false };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The earliest place for each part leaves the most room for those after it.
        for part in middle.split('*') {
            match text.find(part) {
                Some(at) => text = &text[at + part.len()..],
                None => return false,
            }
        }
        text.ends_with(tail)
    }
}

/// What may be called: what `allow` fits and `deny` does not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Methods {
    /// All if absent.
    pub allow: Option<Vec<Glob>>,
    /// Those of `allow` that may not be called after all.
    pub deny: Vec<Glob>,
}

impl Methods {
    /// True if it says nothing: everything may be called.
    pub fn is_open(&self) -> bool {
        self.allow.is_none() && self.deny.is_empty()
    }

    /// May it be called?
    pub fn allows(&self, name: &str) -> bool {
        let fits = |globs: &[Glob]| globs.iter().any(|glob| glob.fits(name));
        self.allow.as_deref().is_none_or(fits) && !fits(&self.deny)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a pattern means, said as plainly as can be.
    fn means(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) if means(rest, text) => true,
            (Some((b'*', _)), Some((_, after))) => means(pattern, after),
            (Some((a, rest)), Some((b, after))) => a == b && means(rest, after),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn it_fits_what_it_means(pattern in "[ab*]{1,8}", text in "[ab]{0,8}") {
            if let Some(glob) = Glob::new(&pattern) {
                prop_assert_eq!(glob.fits(&text), means(pattern.as_bytes(), text.as_bytes()));
            }
        }
    }

    fn check(allow: Option<&[&str]>, deny: &[&str], name: &str, allowed: bool) {
        let globs = |texts: &[&str]| texts.iter().map(|t| Glob::new(t).unwrap()).collect();
        let methods = Methods { allow: allow.map(globs), deny: globs(deny) };
        assert_eq!(methods.allows(name), allowed, "{methods:?} {name}");
    }

    #[test]
    fn what_is_denied_is_denied_though_allowed() {
        check(None, &[], "eth_call", true);
        check(None, &["debug_*"], "debug_traceCall", false);
        check(None, &["debug_*"], "eth_call", true);
        check(Some(&["eth_*", "net_version"]), &["eth_send*"], "eth_sendRawTransaction", false);
        check(Some(&["eth_*", "net_version"]), &["eth_send*"], "net_version", true);
        check(Some(&["eth_*", "net_version"]), &["eth_send*"], "net_peerCount", false);
        check(Some(&["GET /v1/*"]), &[], "GET /v1/orders", true);
        check(Some(&[]), &[], "eth_call", false);
        assert_eq!(Glob::new(""), None);
        assert_eq!(Glob::new("a*b*c*d*e*f"), None);
    }
}
