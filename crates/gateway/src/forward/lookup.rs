//! Looking up what became of a write.

use super::{
    attempt::{Ended, Got},
    errand::{Errand, text_at},
};
use crate::{
    core::{
        choose::Set,
        lookup::{Step, Watch},
        outcome::Shown,
    },
    estate::LookupRule,
};
use seawall_chain::method::Class;
use seawall_model::{Cause, Mono};

/// The first look waits for this part of the time that there is, each that comes to nothing has the next wait twice as
/// long: there is time for several, and one that takes long is waited for in the end.
const FIRST: u32 = 16;

/// Looks, where a write sent to `reached` is known, until it is clear what became of it or the time for that is over.
/// What it found comes with it.
pub(super) async fn look_up(errand: &Errand<'_>, reached: usize) -> (Shown, Option<Got>) {
    let Some((rule, onward)) = errand.lookup_rule() else { return (Shown::Nothing, None) };
    let (clock, scope) = (errand.worker.clock, errand.scope(reached));
    let start = clock.mono();
    let mut watch = Watch::new(start, rule.settle, rule.within);
    let mut patience = rule.within / FIRST;
    // Those that gave no answer the last time round.
    let mut mute = Set::NONE;
    loop {
        let began = clock.mono();
        let left = watch.end().since(began);
        if !mute.is_empty() && errand.choose(Class::Other, scope, mute).is_none() {
            // Once more round, but not to those of whom nobody has heard since.
            mute = silent(errand, mute, start);
            if errand.choose(Class::Other, scope, mute).is_none() {
                mute = Set::NONE;
            }
        }
        let (shown, got) = match errand.choose(Class::Other, scope, mute) {
            Some(i) => {
                let whole = errand.attempt_timeout.min(rule.within / 2);
                let limit = whole.min(left).min(patience);
                let ended = errand.send(i, onward.clone(), limit).await;
                errand.note(&ended);
                // What was not waited for as long as any attempt may take says nothing of the upstream.
                let cut_short = limit < whole && ended.cause() == Some(Cause::Timeout);
                if !cut_short {
                    errand.pool.settle_api(&errand.worker, Class::Other, &ended);
                }
                let shown = shows(rule, &ended);
                if shown == Shown::Nothing {
                    patience *= 2;
                    mute.insert(i);
                }
                (shown, ended.end.ok())
            }
            None => (Shown::Nothing, None),
        };
        match watch.saw(began, clock.mono(), shown) {
            Step::Done(Shown::Found) => return (Shown::Found, got),
            Step::Done(shown) => return (shown, None),
            Step::Again(at) => {
                if let Some(got) = got {
                    got.put_back(errand);
                }
                tokio::time::sleep_until(clock.instant(at)).await;
            }
        }
    }
}

/// Those of `mute` from which nothing at all has come since `start`.
fn silent(errand: &Errand<'_>, mut mute: Set, start: Mono) -> Set {
    for i in mute.iter() {
        if errand.pool.upstreams[i].state.last_answer() > start {
            mute.remove(i);
        }
    }
    mute
}

/// What a look has shown.
fn shows(rule: &LookupRule, ended: &Ended) -> Shown {
    let Ok(got) = &ended.end else { return Shown::Nothing };
    let status = got.received.status.as_u16();
    if rule.absent.contains(&status) {
        return Shown::Absent;
    }
    if !rule.found.contains(&status) {
        return Shown::Nothing;
    }
    let Some((pointer, done)) = &rule.done else { return Shown::Found };
    match text_at(&got.received.body, pointer) {
        Some(value) if done.contains(&value) => Shown::Found,
        Some(_) => Shown::Absent,
        None => Shown::Nothing,
    }
}
