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
        "{:>3}s  {:>4}/s  failed {}  wrong {}  p99 {:>7} | {} | {journal} | through Seawall {} | alone {}",
        scene.elapsed.as_secs(),
        tally.last_second().requests,
        tally.failed,
        tally.wrong,
        short(tally.quantile(0.99)),
        upstreams.join(" | "),
        scene.watched.cost(true),
        scene.watched.cost(false),
    )
}

fn upstream(scene: &Scene, who: Who) -> String {
    let deed = scene.deeds[who as usize].map(|fault| format!(" ({})", fault.state())).unwrap_or_default();
    let (checked, p95) = (scene.watched.checked(who), scene.p95(who));
    match scene.upstream(who) {
        Some(u) => {
            let share = scene.shares[who as usize] * 100.0;
            format!("{who}{deed} {} {share:.0}% probe {checked} p95 {p95}", u.standing().1)
        }
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
