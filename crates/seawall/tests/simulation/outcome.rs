//! What came of a run.

use std::{collections::BTreeMap, sync::PoisonError};

use super::{chain::digest, ledger::Ledger, log, node::Seen, plan::Spans, world::Lasting};

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) ledger: Ledger,
    pub(crate) extras: u32,
    pub(crate) floor: u32,
    pub(crate) lives: usize,
    /// What the seed made happen.
    pub(crate) told: Vec<String>,
    /// Everything that must be the same whenever the seed is.
    pub(crate) fingerprint: Vec<String>,
}

/// Runs everything that a seed makes happen.
pub(crate) fn run(seed: u64, spans: Spans) -> Outcome {
    let lasting = Lasting::new(seed, spans);
    let mut metrics = Vec::new();
    for life in lasting.plan.lives.clone() {
        metrics.push(lasting.live(life));
    }
    let extras = lasting.extras();
    let mut ledger = std::mem::take(&mut *lasting.ledger.lock().unwrap_or_else(PoisonError::into_inner));
    ledger.check_writes(&lasting.chain);
    ledger.check_budget(&lasting.plan, &extras);
    ledger.findings.extend(log::check(&lasting.disk, &ledger.checkpoints));
    let told = lasting.plan.told().into_iter().chain(log::told(&lasting.disk)).collect();
    let files = lasting.disk.contents().into_iter().map(|(path, bytes)| {
        let words: Vec<u64> = bytes.iter().map(|b| u64::from(*b)).collect();
        format!("{} {} {:x}", path.display(), bytes.len(), digest(&words))
    });
    // A family's samples come in the order of a hash map.
    let lines = metrics.iter().flat_map(|text| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    });
    let fingerprint = ledger.trace.iter().cloned().chain(lines).chain(files).collect();
    Outcome {
        ledger,
        extras: extras.values().sum(),
        floor: lasting.plan.floor,
        lives: metrics.len(),
        told,
        fingerprint,
    }
}

impl Lasting {
    /// Attempts that no plan of a call's accounts for, by the call.
    fn extras(&self) -> BTreeMap<String, u32> {
        let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
        for node in &self.nodes {
            for (id, part) in &*node.seen.lock().unwrap_or_else(PoisonError::into_inner) {
                let whole = seen.entry(id.clone()).or_default();
                whole.times += part.times;
                whole.nothing += part.nothing;
                whole.turned_away += part.turned_away;
            }
        }
        let planned = |id: &str, s: &Seen| match id.starts_with('w') {
            // Two at once; one that is turned away has reached nobody.
            true => 2 + s.turned_away,
            // An answer of nothing calls for a second opinion.
            false => 1 + s.nothing.min(1),
        };
        seen.into_iter()
            .map(|(id, s)| (s.times.saturating_sub(planned(&id, &s)), id))
            .map(|(n, id)| (id, n))
            .collect()
    }
}
