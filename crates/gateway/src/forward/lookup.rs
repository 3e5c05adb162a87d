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

/// Looks, where a write sent to `reached` is known, until it is clear what became of it or the time for that is over.
/// What it found comes with it.
pub(super) async fn look_up(errand: &Errand<'_>, reached: usize) -> (Shown, Option<Got>) {
    let Some((rule, onward)) = errand.lookup_rule() else { return (Shown::Nothing, None) };
    let (clock, scope) = (errand.worker.clock, errand.scope(reached));
    let start = clock.mono();
    let mut watch = Watch::new(start, rule.settle, rule.within);
    // Those that gave no answer the last time round.
    let mut mute = Set::NONE;
    loop {
        let began = clock.mono();
        if !mute.is_empty() && errand.choose(Class::Other, scope, mute).is_none() {
            // Once more round, but not to those of whom nobody has heard since.
            mute = silent(errand, mute, start);
            if errand.choose(Class::Other, scope, mute).is_none() {
                mute = Set::NONE;
            }
        }
        let (shown, got) = match errand.choose(Class::Other, scope, mute) {
            Some(i) => {
                let longest = errand.attempt_timeout.min(rule.within / 2);
                let limit = watch.patience(began, longest);
                let ended = errand.send(i, onward.clone(), limit).await;
                errand.note(&ended);
                // What was not waited for as long as any attempt may take says nothing of the upstream.
                let cut_short = limit < longest && ended.cause() == Some(Cause::Timeout);
                if !cut_short {
                    errand.pool.settle_api(&errand.worker, Class::Other, &ended);
                }
                let shown = shows(rule, &ended);
                if shown == Shown::Nothing {
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
