//! "Did you mean …?"

/// How alike two texts must be (Jaro-Winkler, 0 to 1) for one to be suggested for the other.
const ALIKE: f64 = 0.78;

/// Most candidates that are looked through.
const MAX_CANDIDATES: usize = 10_000;

/// Longest text that is compared, in bytes; the measure takes time in the product of the lengths.
const MAX_LENGTH: usize = 128;

/// The candidate most like `text`, the first of equals, if one is like it at all.
pub(super) fn nearest<T: AsRef<str>>(text: &str, candidates: impl IntoIterator<Item = T>) -> Option<T> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let text = text.to_lowercase();
    let short = candidates.into_iter().take(MAX_CANDIDATES).filter(|c| c.as_ref().len() <= MAX_LENGTH);
    let scored = short.map(|c| (strsim::jaro_winkler(&text, c.as_ref()), c));
    let best = scored.reduce(|best, one| if one.0 > best.0 { one } else { best });
    best.filter(|b| b.0 >= ALIKE).map(|b| b.1)
}
