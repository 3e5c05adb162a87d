//! Paths of HTTP APIs: which ones may go on, and which rule they fall under.
//!
//! A path goes on as the client wrote it, since some APIs have it signed. So it must mean the same to everybody
//! who reads it: one that climbs (`..`, however it is written) is refused, and a rule sees through percent signs
//! that need not be there and through empty segments.

/// Most segments of a pattern.
pub const MAX_PARTS: usize = 32;

/// Times a path is decoded in the search for a climb: some servers decode twice.
const DECODINGS: usize = 3;

/// A pattern of paths: segments of plain text, `*` for any one, `{name}` for any one that is named, and `**` at the
/// end for whatever follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Vec<Part>,
    /// Anything may follow.
    open: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Plain(String),
    Any,
    Named(String),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPattern {
    /// It does not begin with a slash.
    #[error("it does not begin with `/`")]
    NoSlash,
    /// A segment holds what no segment of a pattern may.
    #[error("its part `{0}` is none: write letters, digits, `-._~:@`, or `*`, or `{{name}}`")]
    Part(String),
    /// `**` stands before the end.
    #[error("`**` may only stand at its end")]
    OpenBeforeEnd,
    /// Two segments have one name.
    #[error("two of its parts are named `{0}`")]
    Twice(String),
    /// There are too many segments.
    #[error("it has more than {MAX_PARTS} parts")]
    TooLong,
}

impl Pattern {
    /// Reads a pattern, as in `/orders/{id}`.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let rest = text.strip_prefix('/').ok_or(BadPattern::NoSlash)?;
        let mut texts: Vec<_> = rest.split('/').filter(|part| !part.is_empty()).collect();
        let open = texts.pop_if(|last| *last == "**").is_some();
        if texts.len() > MAX_PARTS {
            return Err(BadPattern::TooLong);
        }
        let mut parts = Vec::with_capacity(texts.len());
        for text in texts {
            let part = part(text)?;
            if let Part::Named(name) = &part
                && parts.contains(&part)
            {
                return Err(BadPattern::Twice(name.clone()));
            }
            parts.push(part);
        }
        Ok(Self { parts, open })
    }

    /// The named segments of a path (without its query) that the pattern covers; `None` if it does not.
    pub fn matches<'a>(&'a self, path: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let mut named = Vec::new();
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        for part in &self.parts {
            let segment = segments.next()?;
            match part {
                Part::Plain(text) if !same(text, segment) => return None,
                Part::Plain(_) | Part::Any => {}
                Part::Named(name) => named.push((name.as_str(), segment)),
            }
        }
        (self.open || segments.next().is_none()).then_some(named)
    }

    /// The names of its segments.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Named(name) => Some(name.as_str()),
            Part::Plain(_) | Part::Any => None,
        })
    }
}

fn part(text: &str) -> Result<Part, BadPattern> {
    let bad = || BadPattern::Part(text.to_owned());
    if text == "*" {
        return Ok(Part::Any);
    }
    if text == "**" {
        return Err(BadPattern::OpenBeforeEnd);
    }
    if let Some(name) = text.strip_prefix('{') {
        let name = name.strip_suffix('}').filter(|name| is_name(name)).ok_or_else(bad)?;
        return Ok(Part::Named(name.to_owned()));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:@".contains(&b);
    match text.bytes().all(plain) && text != "." && text != ".." {
        true => Ok(Part::Plain(text.to_owned())),
        false => Err(bad()),
    }
}

/// May a segment be called that?
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Is a segment that text, percent signs or not?
fn same(text: &str, segment: &str) -> bool {
    segment == text || (segment.contains('%') && decoded(segment.as_bytes()) == text.as_bytes())
}

/// Each `%XX` replaced by what it stands for; one that is none stays.
fn decoded(text: &[u8]) -> Vec<u8> {
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).map(|d| d as u8);
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match (text[at], digit(text.get(at + 1)), digit(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high * 16 + low);
                at += 3;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// Could somebody read a path as leading out of where it seems to lie, or cut short? It is judged as every reader
/// might see it: decoded once or more, with a backslash for a slash, and without parameters (`..;x`).
pub fn is_treacherous(path: &str) -> bool {
    let mut seen = path.as_bytes().to_vec();
    for _ in 0..DECODINGS {
        if seen.iter().any(|b| *b < 0x20 || *b == 0x7f) || climbs(&seen) {
            return true;
        }
        let next = decoded(&seen);
        if next == seen {
            return false;
        }
        seen = next;
    }
    climbs(&seen)
}

fn climbs(path: &[u8]) -> bool {
    path.split(|b| *b == b'/' || *b == b'\\').any(|segment| {
        let name = segment.split(|b| *b == b';').next().unwrap_or_default();
        name == b"." || name == b".."
    })
}

/// A text as a segment of a path: whatever is not unreserved (RFC 3986, section 2.3) is escaped.
pub fn as_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pattern: &str, path: &str, wanted: Option<&[(&str, &str)]>) {
        let pattern = Pattern::parse(pattern).unwrap();
        assert_eq!(pattern.matches(path).as_deref(), wanted, "{pattern:?} {path}");
    }

    #[test]
    fn patterns_cover_what_they_say() {
        check("/orders", "/orders", Some(&[]));
        check("/orders", "/orders/", Some(&[]));
        check("/orders", "/orders/7", None);
        check("/orders", "/", None);
        check("/", "", Some(&[]));
        check("/orders/{id}", "/orders/7", Some(&[("id", "7")]));
        check("/{a}/x/{b}", "/1/x/2", Some(&[("a", "1"), ("b", "2")]));
        check("/orders/*", "/orders/7", Some(&[]));
        check("/orders/**", "/orders/7/fills", Some(&[]));
        check("/orders/**", "/orders", Some(&[]));
        check("/**", "/anything/at/all", Some(&[]));
        check("/orders/{id}", "/orders", None);
    }

    /// Else a rule could be dodged by writing its path another way.
    #[test]
    fn a_rule_sees_through_how_a_path_is_written() {
        check("/v1/orders", "/v1/%6frders", Some(&[]));
        check("/v1/orders", "//v1///orders", Some(&[]));
        check("/v1/orders", "/v1/Orders", None);
        check("/v1/{id}", "/v1/a%2Fb", Some(&[("id", "a%2Fb")]));
    }

    #[test]
    fn bad_patterns_are_refused() {
        for (text, wanted) in [
            ("orders", BadPattern::NoSlash),
            ("/a b", BadPattern::Part("a b".into())),
            ("/{}", BadPattern::Part("{}".into())),
            ("/{a-b}", BadPattern::Part("{a-b}".into())),
            ("/..", BadPattern::Part("..".into())),
            ("/**/x", BadPattern::OpenBeforeEnd),
            ("/{a}/{a}", BadPattern::Twice("a".into())),
        ] {
            assert_eq!(Pattern::parse(text), Err(wanted), "{text}");
        }
    }

    #[test]
    fn a_path_that_climbs_is_found_out_however_it_is_written() {
        for path in [
            "/a/../b",
            "/a/..",
            "/./a",
            "/a/%2e%2e/b",
            "/a/.%2E/b",
            "/a/%2e",
            "/a/..%2fb",
            "/a\\..\\b",
            "/a/%5c../b",
            "/a/..;x=1/b",
            "/a/%252e%252e/b",
            "/a%00",
            "/a%0d%0ab",
            "/a/%2e%2e%2f",
        ] {
            assert!(is_treacherous(path), "{path}");
        }
        for path in
            ["", "/", "/a/b", "/a..b/...", "/a/.well-known", "/a//b", "/a%2Fb", "/100%", "/%zz", "/a;v=1"]
        {
            assert!(!is_treacherous(path), "{path}");
        }
    }

    proptest! {
        /// Nothing that is put into a path this way can be more, or less, than one segment of it.
        #[test]
        fn a_segment_is_one_segment(text in "\\PC+") {
            prop_assume!(text != "." && text != "..");
            let segment = as_segment(&text);
            prop_assert!(!segment.contains(['/', '?', '#', '\\', ' ']));
            prop_assert_eq!(decoded(segment.as_bytes()), text.as_bytes());
        }

        #[test]
        fn nothing_makes_it_panic(path in "[/.%2eEfF5cC;a\\\\{}*]{0,24}") {
            let _ = is_treacherous(&path);
            if let Ok(pattern) = Pattern::parse(&path) {
                let _ = pattern.matches(&path);
            }
        }

        /// Written with any of its letters escaped, a path is the same to every rule.
        #[test]
        fn escapes_change_nothing(escape in prop::collection::vec(any::<bool>(), 6)) {
            let written: String = "orders".chars().zip(escape).map(|(c, e)| match e {
                true => format!("%{:02x}", c as u32),
                false => c.to_string(),
            }).collect();
            let path = format!("/v1/{written}");
            prop_assert!(Pattern::parse("/v1/orders").unwrap().matches(&path).is_some());
        }
    }
}
