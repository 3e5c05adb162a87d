//! Days and figures as a strip of marks.

use seawall_model::Status;

/// Marks of rising height.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The mark of a day: told apart without colours too. `None` where there was nothing.
pub(super) fn mark(status: Option<Status>, colour: bool) -> String {
    let (mark, tint) = match status {
        Some(Status::Up) => ('▁', "32"),
        Some(Status::Degraded) => ('▄', "33"),
        Some(Status::Down) => ('█', "31"),
        Some(Status::Unknown) => ('?', "90"),
        None => return " ".to_owned(),
    };
    if colour { format!("\x1b[{tint}m{mark}\x1b[0m") } else { mark.to_string() }
}

/// Figures as bars against the largest of them, in `width` columns: the largest of those that share a column. A gap is
/// where there is none.
pub(super) fn bars(figures: &[Option<u64>], width: usize) -> String {
    let width = width.clamp(1, figures.len().max(1));
    let top = figures.iter().flatten().max().copied().unwrap_or(0).max(1);
    let bar = |figure: u64| {
        let height = u128::from(figure) * (BARS.len() as u128 - 1) / u128::from(top);
        BARS[usize::try_from(height).unwrap_or(0).min(BARS.len() - 1)]
    };
    let column = |n: usize| {
        let within = &figures[n * figures.len() / width..(n + 1) * figures.len() / width];
        within.iter().flatten().max().map_or(' ', |figure| bar(*figure))
    };
    (0..width).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_fit_the_width_and_peaks_are_kept() {
        assert_eq!(bars(&[Some(0), Some(50), None, Some(100)], 10), "▁▄ █");
        assert_eq!(bars(&[Some(1), Some(9), Some(1), None], 2), "█▁");
        assert_eq!(bars(&[], 10), " ");
        assert_eq!(bars(&[Some(u64::MAX), Some(0)], 2), "█▁");
    }

    #[test]
    fn a_status_has_a_mark_of_its_own() {
        let all = [Status::Up, Status::Degraded, Status::Down, Status::Unknown].map(Some);
        let plain: String = all.iter().chain([&None]).map(|status| mark(*status, false)).collect();
        assert_eq!(plain, "▁▄█? ");
        assert_eq!(mark(Some(Status::Down), true), "\x1b[31m█\x1b[0m");
    }
}
