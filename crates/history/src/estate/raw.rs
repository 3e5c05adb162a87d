//! The history's section as written.

use std::{path::PathBuf, time::Duration};

use seawall_model::{
    estate::{At, Code, Place, Problem, Problems},
    section,
    units::Bytes,
};

use super::HistorySection;
use crate::Policy;

section! {
    /// The history of results, verdicts and affected customers. Not kept if this is absent.
    pub struct RawHistory {
        /// The directory it lives in; made if need be. A relative path starts from the working directory.
        dir: At<String>, required;
        /// How long every single result is kept, in whole days.
        results: At<Duration>, default("3d");
        /// How long minutes are kept.
        minutes: At<Duration>, default("14d");
        /// How long hours are kept. Days are kept for ever.
        hours: At<Duration>, default("731d");
        /// Most bytes; beyond it results, then minutes, then hours go before their time.
        max_size: At<Bytes>, default("20GiB");
    }
}

const DAY: u64 = 86_400;

impl RawHistory {
    /// Judges the section. `None` if it cannot be used; why has been reported.
    pub fn validate(&self, place: Place, problems: &mut Problems) -> Option<HistorySection> {
        let dir = self.dir.as_ref()?;
        if dir.value.is_empty() || dir.value.contains('\0') {
            problems.report(Problem::new(Code::InvalidValue, dir.place, "`dir` is not a path".to_owned()));
            return None;
        }
        let [raw_days, minute_days, hour_days] =
            [("results", self.results), ("minutes", self.minutes), ("hours", self.hours)]
                .map(|(key, at)| days(key, at, problems));
        let policy = Policy {
            raw_days: raw_days?,
            minute_days: minute_days?,
            hour_days: hour_days?,
            max_bytes: self.max_size.value.0,
        };
        if let Err(error) = policy.check() {
            problems.report(Problem::new(Code::Contradiction, place, error.to_string()));
            return None;
        }
        Some(HistorySection { dir: PathBuf::from(&dir.value), policy })
    }
}

fn days(key: &str, at: At<Duration>, problems: &mut Problems) -> Option<u32> {
    let days = u32::try_from(at.value.as_secs() / DAY).ok().filter(|days| *days <= Policy::MAX_DAYS);
    let whole = at.value.as_secs().is_multiple_of(DAY) && at.value.subsec_nanos() == 0;
    let good = days.filter(|days| whole && *days >= 1);
    if good.is_none() {
        let message = format!("`{key}` must be whole days, from `1d` to `{}d`", Policy::MAX_DAYS);
        problems.report(Problem::new(Code::InvalidValue, at.place, message));
    }
    good
}
