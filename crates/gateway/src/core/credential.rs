//! Where a request carries a credential.

/// Longest credential that is looked at, in bytes.
pub const MAX: usize = 8 * 1024;
/// The parameters of a query that hold a key, as providers have them.
const QUERY: [&str; 3] = ["apikey", "api_key", "key"];

/// What stands behind `Bearer` in a header's value (RFC 6750, section 2.1).
pub fn bearer(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_once(' ')?;
    let text = rest.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !text.is_empty() && text.len() <= MAX).then_some(text)
}

/// The key in a query, as in `apikey=…`. Keys are written without `%`.
pub fn in_query(query: &str) -> Option<&str> {
    let is_key = |name: &str| QUERY.iter().any(|known| name.eq_ignore_ascii_case(known));
    let keys = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| is_key(name));
    keys.map(|(_, value)| value).find(|value| !value.is_empty() && value.len() <= MAX)
}

/// A path's last part as a key, and what stands before it, as in `/ethereum/KEY`.
pub fn in_path(path: &str) -> Option<(&str, &str)> {
    let (route, key) = path.rsplit_once('/')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    // Of `//k` the route would be taken for that of `/k`.
    let fits = !route.ends_with('/') && !key.is_empty() && key.len() <= MAX && key.bytes().all(plain);
    fits.then_some((if route.is_empty() { "/" } else { route }, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_in_paths_and_queries() {
        for (path, found) in [
            ("/ethereum/k", Some(("/ethereum", "k"))),
            ("//k", None),
            ("/k", Some(("/", "k"))),
            ("/a/b/k-_1", Some(("/a/b", "k-_1"))),
            ("/ethereum/", None),
            ("/ethereum/%6b", None),
            ("", None),
        ] {
            assert_eq!(in_path(path), found, "{path}");
        }
        for (query, found) in [
            ("apikey=k", Some("k")),
            ("x=1&API_KEY=k&y", Some("k")),
            ("key=", None),
            ("keys=k", None),
            ("", None),
        ] {
            assert_eq!(in_query(query), found, "{query}");
        }
    }
}
