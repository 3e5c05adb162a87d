//! What a request does and how much it matters: by its method, or by its path, as the estate names them.

use seawall_chain::{
    envelope::Call,
    method::{Class, Method},
};
use seawall_model::Mono;

use crate::{
    call::Refusal,
    core::{line::Priority, mode::Effect},
    estate::{AdmissionSection, Pattern},
    serve::Visit,
};

impl AdmissionSection {
    /// How much a call matters. A transaction is critical unless the estate says what is.
    pub(crate) fn of_call(&self, name: &str, class: Class) -> Priority {
        let critical = match &self.critical {
            None => class == Class::Write,
            Some(critical) => critical.iter().any(|p| p.is_method(name)),
        };
        self.priority(critical, |p| p.is_method(name))
    }

    /// How much a request to an HTTP API matters; `path` begins below the pool's route.
    pub(crate) fn of_request(&self, method: &http::Method, path: &str) -> Priority {
        let critical = self.critical.iter().flatten().any(|p| p.matches(method, path));
        self.priority(critical, |p| p.matches(method, path))
    }

    fn priority(&self, critical: bool, is: impl Fn(&Pattern) -> bool) -> Priority {
        if critical {
            Priority::Critical
        } else if self.bulk.iter().any(is) {
            Priority::Bulk
        } else {
            Priority::Normal
        }
    }
}

/// What a call does. What is not known to change nothing counts as a write.
fn effect_of_call(method: &Method, priority: Priority) -> Effect {
    let writes = match method.class {
        Class::Write => true,
        Class::Other => !method.idempotent,
        Class::Head
        | Class::State
        | Class::Block
        | Class::Logs
        | Class::Trace
        | Class::Fee
        | Class::Node
        | Class::Filter => false,
    };
    effect(writes, priority)
}

fn effect(writes: bool, priority: Priority) -> Effect {
    match (writes, priority) {
        (false, _) => Effect::Read,
        (true, Priority::Critical) => Effect::CriticalWrite,
        (true, Priority::Normal | Priority::Bulk) => Effect::Write,
    }
}

impl Visit {
    /// A hash of who asks: of the client's name where that is known, else of its address.
    pub(super) fn asker(&self) -> u64 {
        let admission = &self.pool.state.admission;
        match &self.client.identity {
            Some(identity) => admission.named(&identity.name),
            None => admission.client(self.client.address),
        }
    }

    /// Whether the client may ask that at all: by what its address has asked already, and by the pool's mode.
    pub(crate) fn may_ask(&self, now: Mono, call: &Call<'_>) -> Result<(), Refusal> {
        if self.is_of_the_house() {
            return Ok(());
        }
        let admission = &self.pool.state.admission;
        admission.pay(now, self.client.address).map_err(|retry| Refusal::Toll { retry })?;
        let effect = || {
            let method = (self.pool.rules().method)(&call.method);
            effect_of_call(&method, self.pool.section.admission.of_call(&call.method, method.class))
        };
        admission.lets(effect).then_some(()).ok_or(Refusal::Barred)
    }

    /// As [`Self::may_ask`], of a request to an HTTP API, which `changes` something or not.
    pub(crate) fn may_send(&self, now: Mono, changes: bool, priority: Priority) -> Result<(), Refusal> {
        let admission = &self.pool.state.admission;
        admission.pay(now, self.client.address).map_err(|retry| Refusal::Toll { retry })?;
        admission.lets(|| effect(changes, priority)).then_some(()).ok_or(Refusal::Barred)
    }
}
