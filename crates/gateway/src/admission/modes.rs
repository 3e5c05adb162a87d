//! The mode of a pool now, and who set it for what.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering::Relaxed},
};

use arc_swap::ArcSwapOption;
use seawall_model::{Name, Wall};
use serde::Serialize;

use crate::core::mode::{Effect, Mode};

/// The mode of a pool. Read on every request: one load.
#[derive(Default)]
pub(crate) struct Modes {
    now: AtomicU8,
    set: ArcSwapOption<ModeSet>,
}

/// A mode, who set it when, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModeSet {
    /// The mode.
    pub mode: Mode,
    /// When it was set.
    pub since: Wall,
    /// What the operator, or the plan, gives as the reason; clients are told.
    pub reason: Option<String>,
}

impl ModeSet {
    /// What clients notice of it.
    pub(crate) fn what(&self) -> (Mode, Option<&str>) {
        (self.mode, self.reason.as_deref())
    }
}

/// A mode as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModeView {
    /// `normal`, `reduce-only`, `read-only` or `closed`.
    pub mode: &'static str,
    /// Since when, RFC 3339; `None` if since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What the operator, or the plan, gave as the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Modes {
    pub(crate) fn now(&self) -> Mode {
        Mode::ALL.get(usize::from(self.now.load(Relaxed))).copied().unwrap_or_default()
    }

    /// True if that is another mode, or another reason.
    pub(crate) fn set(&self, set: &ModeSet) -> bool {
        let before = self.set.load();
        if before.as_ref().map_or((Mode::Normal, None), |before| before.what()) == set.what() {
            return false;
        }
        let place = Mode::ALL.iter().position(|m| *m == set.mode).unwrap_or_default();
        self.set.store(Some(Arc::new(set.clone())));
        self.now.store(place as u8, Relaxed);
        true
    }

    /// The mode and what is known of it.
    pub(crate) fn view(&self) -> ModeView {
        let set = self.set.load();
        ModeView {
            mode: self.now().as_str(),
            since: set.as_ref().map(|set| set.since.to_string()),
            reason: set.as_ref().and_then(|set| set.reason.clone()),
        }
    }

    /// What a client is told whom the mode does not let through.
    pub(crate) fn sentence(&self, pool: &Name) -> String {
        let view = self.view();
        let mut text = format!("pool `{pool}` is {}", view.mode);
        if let Some(since) = view.since {
            text += &format!(" since {since}");
        }
        if let Some(reason) = view.reason {
            text += &format!(": {reason}");
        }
        text
    }

    /// Is what a request does let through?
    pub(crate) fn lets(&self, effect: impl FnOnce() -> Effect) -> bool {
        let mode = self.now();
        mode == Mode::Normal || mode.lets(effect())
    }
}
