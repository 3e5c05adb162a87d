//! The demo in plain lines, for where there is no terminal.

use super::{
    scene::{Scene, short},
    stage::Who,
};

/// The line of one second.
pub(super) fn line(scene: &Scene) -> String {
    let tally = &scene.tally;
    let upstreams: Vec<String> = Who::ALL.iter().map(|who| upstream(scene, *who)).collect();
    let journal = match &scene.journal {
        Some(journal) => format!("journal {}", journal.size),
        None => "journal ?".to_owned(),
    };
    format!(
        "{:>3}s  {:>4}/s  failed {}  wrong {}  p99 {:>7} | {} | {journal}",
        scene.elapsed.as_secs(),
        tally.last_second().requests,
        tally.failed,
        tally.wrong,
        short(tally.quantile(0.99)),
        upstreams.join(" | "),
    )
}

fn upstream(scene: &Scene, who: Who) -> String {
    let deed = scene.deeds[who as usize].map(|fault| format!(" ({})", fault.state())).unwrap_or_default();
    match scene.upstream(who) {
        Some(u) => format!("{who}{deed} {} {:.0}%", u.standing().1, scene.shares[who as usize] * 100.0),
        None => format!("{who}{deed} ?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::screen::tests::scene;

    #[test]
    fn a_second_is_one_line() {
        insta::assert_snapshot!(line(&scene()));
    }
}
