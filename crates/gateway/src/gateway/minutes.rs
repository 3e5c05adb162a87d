//! Who was affected, told once a minute.

use std::sync::PoisonError;

use seawall_model::{ComponentId, Fact, Wall};

use super::Gateway;

/// A minute, in milliseconds.
const MINUTE: i64 = 60_000;

impl Gateway {
    /// What customers' names are hashed with before they are counted. To be given before [`Self::start`]; false if
    /// it was given before.
    pub fn set_customer_key(&self, key: [u8; 16]) -> bool {
        self.customer_key.set(key)
    }

    /// Who was affected in the minute that has ended, if one has since this was last asked.
    pub(super) fn affected_by_the_minute(&self) -> Vec<(ComponentId, Fact)> {
        let now = self.machine.clock.wall();
        let turned = {
            let began = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
            began.is_some_and(|began| began.0.div_euclid(MINUTE) != now.0.div_euclid(MINUTE))
        };
        if turned { self.affected() } else { self.begin_minute(now) }
    }

    fn begin_minute(&self, now: Wall) -> Vec<(ComponentId, Fact)> {
        self.minute.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now);
        Vec::new()
    }

    /// Who was affected since the last full minute, or since this was last asked: what would be lost at the end.
    pub fn affected(&self) -> Vec<(ComponentId, Fact)> {
        let until = self.machine.clock.wall();
        let since = self.minute.lock().unwrap_or_else(PoisonError::into_inner).replace(until);
        let since = since.unwrap_or(until);
        let routes = self.routes.load();
        let told = routes.pools().filter_map(|pool| {
            let affected = pool.state.admission.affected.take(since, until)?;
            Some((pool.component.clone(), Fact::Affected(affected)))
        });
        told.collect()
    }
}
