//! "Did you mean …?"

/// How alike two texts must be (Jaro-Winkler, 0 to 1) for one to be suggested for the other.
const ALIKE: f64 = 0.78;

/// Most candidates that are looked through.
const MAX_CANDIDATES: usize = 10_000;

/// Longest text that is compared, in bytes; the measures take time in the product of the lengths.
const MAX_LENGTH: usize = 128;

/// The candidate most like `text`, the first of equals, if one is like it at all.
pub(super) fn nearest<T: AsRef<str>>(text: &str, candidates: impl IntoIterator<Item = T>) -> Option<T> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let text = text.to_lowercase();
    let short = candidates.into_iter().take(MAX_CANDIDATES).filter(|c| c.as_ref().len() <= MAX_LENGTH);
    let alike = short.filter(|c| strsim::jaro_winkler(&text, c.as_ref()) >= ALIKE);
    let scored = alike.map(|c| (overlap(&text, c.as_ref()), c));
    scored.reduce(|best, one| if one.0 > best.0 { one } else { best }).map(|best| best.1)
}

/// Share of the letters and digits of both that stand in the other in the same order. People abbreviate:
/// `use1` is `us-east-1` with parts left out, which measures of mistyping do not see.
fn overlap(a: &str, b: &str) -> f64 {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<Vec<_>>();
    let (a, b) = (letters(a), letters(b));
    // Length of the longest common subsequence, row by row.
    let mut row = vec![0_u8; b.len() + 1];
    for x in &a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    2.0 * f64::from(row[b.len()]) / (a.len() + b.len()).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Among `known`, `near` is suggested for `text`.
    fn check(text: &str, known: &[&str], near: Option<&str>) {
        assert_eq!(nearest(text, known.iter().copied()), near, "{text}");
    }

    #[test]
    fn slips_and_abbreviations_are_seen_through() {
        let regions = ["alchemy", "aws", "aws/eu-west-1", "aws/us-east-1", "aws/us-west-2", "gcp"];
        check("aws-use1", &regions, Some("aws/us-east-1"));
        check("aws/us-est-1", &regions, Some("aws/us-east-1"));
        check("AWS", &regions, Some("aws"));
        check("alchmey", &regions, Some("alchemy"));
        check("hetzner", &regions, None);
        check("gatway", &["admin", "gateway"], Some("gateway"));
        check("evn", &["http", "evm"], Some("evm"));
        check("", &["a"], None);
        check(&"x".repeat(MAX_LENGTH + 1), &["x"], None);
        check(&"x".repeat(MAX_LENGTH), &[&"x".repeat(MAX_LENGTH)], Some(&"x".repeat(MAX_LENGTH)));
    }
}
