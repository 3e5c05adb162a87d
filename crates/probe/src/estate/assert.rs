//! Conditions as written.

use seawall_model::estate::{At, Code, Place, Problem, Problems};
use seawall_rules::{BadRule, Kind, Rule};

use crate::core::assert::MAX_ASSERTIONS;

/// Judges conditions that may name these. `None` if any cannot be used; each has been reported.
pub(super) fn validate(
    raw: &[At<String>],
    names: &[(&'static str, Kind)],
    problems: &mut Problems,
) -> Option<Vec<Rule>> {
    if let Some(beyond) = raw.get(MAX_ASSERTIONS) {
        let message = format!("{} assertions; at most {MAX_ASSERTIONS} are taken", raw.len());
        problems.report(Problem::new(Code::Limit, beyond.place, message));
        return None;
    }
    let rules: Vec<_> =
        raw.iter().filter_map(|at| report(Rule::condition(&at.value, names), at, problems)).collect();
    (rules.len() == raw.len()).then_some(rules)
}

/// The rule, or what is wrong with it reported where it stands.
pub(super) fn report(
    compiled: Result<Rule, BadRule>,
    at: &At<String>,
    problems: &mut Problems,
) -> Option<Rule> {
    compiled
        .map_err(|bad| {
            // Longer than text and quotes means escapes or a multi-line text: offsets would not be the file's.
            let inside = at.place.span().len() == at.value.len() + 2;
            let from = at.place.span().start + 1;
            let place = match inside && !bad.at.is_empty() {
                true => Place::new(at.place.file, from + bad.at.start..from + bad.at.end),
                false => at.place,
            };
            problems.report(Problem::new(Code::Rule, place, bad.message).help(bad.cure));
        })
        .ok()
}
