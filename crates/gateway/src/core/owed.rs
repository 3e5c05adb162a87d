//! Which answers are owed to a client whose messages go to an upstream over a socket.
//!
//! Each message that changes something is owed one answer, and is told one outcome: the upstream's own word, or what a
//! look-up finds once that word is late, uncertain, or cannot come any more.

use std::{collections::BTreeMap, time::Duration};

use seawall_model::Mono;

/// The messages of one socket that are owed an answer.
#[derive(Debug)]
pub struct Owed<T> {
    under_way: BTreeMap<String, Debt<T>>,
    patience: Duration,
}

#[derive(Debug)]
struct Debt<T> {
    message: T,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its answer is waited for until then.
    Sent { until: Mono },
    /// It is being looked up.
    InDoubt,
}

/// A message with that id is under way already: two answers could not be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message with this id is under way")]
pub struct Taken;

impl<T> Owed<T> {
    /// Waits so long for an answer before it doubts.
    pub fn new(patience: Duration) -> Self {
        Self { under_way: BTreeMap::new(), patience }
    }

    /// How many answers are owed.
    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Is no answer owed?
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Is a message with that id under way?
    pub fn has(&self, id: &str) -> bool {
        self.under_way.contains_key(id)
    }

    /// A message is sent.
    pub fn send(&mut self, now: Mono, id: String, message: T) -> Result<(), Taken> {
        if self.has(&id) {
            return Err(Taken);
        }
        let stage = Stage::Sent { until: now + self.patience };
        self.under_way.insert(id, Debt { message, stage });
        Ok(())
    }

    /// The upstream's word on a message, if one is owed on it: it goes on to the client.
    pub fn settle(&mut self, id: &str) -> Option<T> {
        self.under_way.remove(id).map(|debt| debt.message)
    }

    /// The upstream's word on a message leaves its outcome open: whether that is now to be looked up.
    pub fn doubt(&mut self, id: &str) -> bool {
        match self.under_way.get_mut(id) {
            Some(debt) if debt.stage != Stage::InDoubt => {
                debt.stage = Stage::InDoubt;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Those whose answers are late, which are now to be looked up.
    pub fn late(&mut self, now: Mono) -> Vec<String> {
        self.fall_into_doubt(|stage| matches!(stage, Stage::Sent { until } if *until <= now))
    }

    /// No word will come any more from where they went: all that are now to be looked up.
    pub fn lost(&mut self) -> Vec<String> {
        self.fall_into_doubt(|stage| *stage != Stage::InDoubt)
    }

    fn fall_into_doubt(&mut self, which: impl Fn(&Stage) -> bool) -> Vec<String> {
        let mut ids = Vec::new();
        for (id, debt) in self.under_way.iter_mut().filter(|(_, debt)| which(&debt.stage)) {
            debt.stage = Stage::InDoubt;
            ids.push(id.clone());
        }
        ids
    }

    /// When the first answer is late.
    pub fn due(&self) -> Option<Mono> {
        let untils = self.under_way.values().filter_map(|debt| match debt.stage {
            Stage::Sent { until } => Some(until),
            Stage::InDoubt => None,
        });
        untils.min()
    }

    /// The message under that id.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.under_way.get_mut(id).map(|debt| &mut debt.message)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Send(u8),
        Word(u8),
        Unsure(u8),
        Wait(u64),
        Lost,
        Found(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let id = 0..6_u8;
        prop_oneof![
            id.clone().prop_map(Step::Send),
            id.clone().prop_map(Step::Word),
            id.clone().prop_map(Step::Unsure),
            (1..200_u64).prop_map(Step::Wait),
            Just(Step::Lost),
            id.prop_map(Step::Found),
        ]
    }

    proptest! {
        /// Whatever happens, each message is answered at most once, is looked up at most once, and none is forgotten.
        #[test]
        fn each_message_is_answered_once(steps in prop::collection::vec(step(), 1..120)) {
            let mut owed = Owed::new(Duration::from_millis(100));
            let mut now = Mono::from_millis(1);
            let (mut sent, mut answered) = (0_usize, 0_usize);
            let mut looking: Vec<String> = Vec::new();
            for step in steps {
                match step {
                    Step::Send(id) => sent += usize::from(owed.send(now, id.to_string(), ()).is_ok()),
                    Step::Word(id) => {
                        let id = id.to_string();
                        answered += usize::from(owed.settle(&id).is_some());
                        looking.retain(|other| *other != id);
                    }
                    Step::Unsure(id) => {
                        let id = id.to_string();
                        if owed.doubt(&id) {
                            prop_assert!(!looking.contains(&id));
                            looking.push(id);
                        }
                    }
                    Step::Wait(ms) => {
                        now = now + Duration::from_millis(ms);
                        let late = owed.late(now);
                        prop_assert!(late.iter().all(|id| !looking.contains(id)));
                        looking.extend(late);
                        prop_assert!(owed.due().is_none_or(|at| at > now));
                    }
                    Step::Lost => {
                        let lost = owed.lost();
                        prop_assert!(lost.iter().all(|id| !looking.contains(id)));
                        looking.extend(lost);
                        prop_assert_eq!(looking.len(), owed.len(), "all that are owed are looked up");
                        prop_assert_eq!(owed.due(), None);
                    }
                    Step::Found(id) => {
                        let id = id.to_string();
                        if looking.contains(&id) {
                            looking.retain(|other| *other != id);
                            prop_assert!(owed.settle(&id).is_some());
                            answered += 1;
                        }
                    }
                }
                prop_assert_eq!(sent - answered, owed.len());
            }
        }
    }
}
