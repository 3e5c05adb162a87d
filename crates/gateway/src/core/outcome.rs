//! What may be done with a request to an HTTP API next, given what it may change, what has been sent of it and what
//! came back.
//!
//! Two things must never happen: that a request takes effect twice, and that the client is told that it failed when
//! it did not. Everything else gives way to these.

/// What a request may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it may be sent again, and to several.
    Read,
    /// Something: it is never sent again blindly.
    Write,
}

/// Who takes a request with an id that it has seen for the one that it has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dedupe {
    /// Nobody: every request is another.
    Never,
    /// The account it was sent to: whatever leads to the same provider.
    Account,
    /// Every upstream of the pool.
    Shared,
}

/// What the estate says of a request, and what the request itself brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What it may change.
    pub effect: Effect,
    /// Who knows it again; [`Dedupe::Never`] for one that carries no id.
    pub dedupe: Dedupe,
    /// Its outcome can be looked up.
    pub lookup: bool,
    /// Once it is proven not to have taken effect, it may be sent again, known again or not.
    pub resend: bool,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// No connection: it reached nobody.
    Unsent,
    /// No whole answer, though it may have arrived.
    Silence,
    /// An answer of this status.
    Status(u16),
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The answer is the client's.
    Give,
    /// Ask another upstream, if there is one; else give what there is.
    Elsewhere,
    /// Send it again within the account, where it is known again; else do as [`Terms::cornered`] says.
    Again,
    /// Look its outcome up.
    LookUp,
    /// Say that its outcome is unknown.
    Unknown,
}

/// What a look-up has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// It took effect.
    Found,
    /// It did not, and will not.
    Absent,
    /// Nothing certain.
    Nothing,
}

/// What follows from a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// Give what the look-up said.
    Reconciled,
    /// Give the refusal that was heard while in doubt: it has proven true.
    Refused,
    /// Send it again: it has no effect yet.
    Resend,
    /// Say that it took no effect.
    Absent,
    /// Say that its outcome is unknown.
    Unknown,
}

/// Is an upstream that answers so at fault, or unwilling? Another may do better.
pub fn is_fault(status: u16) -> bool {
    matches!(status, 401 | 403 | 407 | 429 | 500..)
}

/// Does a write that is answered so perhaps take effect all the same? A server that fails may fail after it has
/// acted; one that does not know the method or the version of HTTP (501, 505) has not.
pub fn is_uncertain(status: u16) -> bool {
    status >= 500 && status != 501 && status != 505
}

/// Does the answer to a repetition say that the first is still being carried out (409, as in
/// draft-ietf-httpapi-idempotency-key-header, or 425), or that it was not looked at (401, 403, 407, 429)?
fn is_no_answer(status: u16) -> bool {
    matches!(status, 401 | 403 | 407 | 409 | 425 | 429)
}

impl Terms {
    /// What to do after an attempt, where `doubt` says that an earlier one may have taken effect.
    pub fn next(&self, came: Came, doubt: bool) -> Next {
        match self.effect {
            Effect::Read => match came {
                Came::Status(status) if !is_fault(status) => Next::Give,
                Came::Unsent | Came::Silence | Came::Status(_) => Next::Elsewhere,
            },
            Effect::Write => self.next_write(came, doubt),
        }
    }

    fn next_write(&self, came: Came, doubt: bool) -> Next {
        match (came, doubt) {
            (Came::Unsent, false) => Next::Elsewhere,
            (Came::Status(status), false) if !is_uncertain(status) => Next::Give,
            (Came::Status(200..=399), true) => Next::Give,
            // A repetition that is turned down says nothing of the first, unless it is known again.
            (Came::Status(status), true) if !is_uncertain(status) && !is_no_answer(status) => {
                if self.lookup {
                    Next::LookUp
                } else {
                    Next::Give
                }
            }
            (Came::Unsent | Came::Silence | Came::Status(_), _) => match self.dedupe {
                Dedupe::Account | Dedupe::Shared => Next::Again,
                Dedupe::Never => self.cornered(came),
            },
        }
    }

    /// What is left of a write in doubt that cannot be sent again.
    pub fn cornered(&self, came: Came) -> Next {
        match came {
            _ if self.lookup => Next::LookUp,
            // What the upstream said is all that there is; the client is told that it is no outcome.
            Came::Status(status) if is_uncertain(status) => Next::Give,
            Came::Unsent | Came::Silence | Came::Status(_) => Next::Unknown,
        }
    }

    /// What follows from a look-up, where `refused` says that a repetition was turned down meanwhile, and `may`
    /// that there is a further attempt to be had.
    pub fn found(&self, shown: Shown, refused: bool, may: bool) -> Finding {
        match shown {
            Shown::Found => Finding::Reconciled,
            Shown::Absent if refused => Finding::Refused,
            Shown::Absent if may && (self.resend || self.dedupe != Dedupe::Never) => Finding::Resend,
            Shown::Absent => Finding::Absent,
            Shown::Nothing => Finding::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(effect: Effect, dedupe: Dedupe, lookup: bool) -> Terms {
        Terms { effect, dedupe, lookup, resend: false }
    }

    #[test]
    fn a_read_goes_on_until_somebody_answers() {
        let read = terms(Effect::Read, Dedupe::Never, false);
        for (came, next) in [
            (Came::Status(200), Next::Give),
            (Came::Status(404), Next::Give),
            (Came::Status(429), Next::Elsewhere),
            (Came::Status(401), Next::Elsewhere),
            (Came::Status(503), Next::Elsewhere),
            (Came::Silence, Next::Elsewhere),
            (Came::Unsent, Next::Elsewhere),
        ] {
            assert_eq!(read.next(came, false), next, "{came:?}");
        }
    }

    #[test]
    fn a_plain_write_goes_out_once_unless_it_reached_nobody() {
        let write = terms(Effect::Write, Dedupe::Never, false);
        for (came, next) in [
            (Came::Unsent, Next::Elsewhere),
            (Came::Status(201), Next::Give),
            (Came::Status(429), Next::Give),
            (Came::Status(500), Next::Give),
            (Came::Silence, Next::Unknown),
        ] {
            assert_eq!(write.next(came, false), next, "{came:?}");
        }
    }

    #[test]
    fn a_write_that_is_known_again_is_sent_again() {
        for dedupe in [Dedupe::Account, Dedupe::Shared] {
            let write = terms(Effect::Write, dedupe, true);
            assert_eq!(write.next(Came::Status(502), false), Next::Again);
            assert_eq!(write.next(Came::Silence, false), Next::Again);
            assert_eq!(write.next(Came::Status(409), true), Next::Again, "the first is under way");
            assert_eq!(write.next(Came::Status(429), true), Next::Again);
            assert_eq!(write.next(Came::Status(200), true), Next::Give);
        }
    }

    /// "Duplicate order" in answer to a repetition is the success of the first.
    #[test]
    fn a_repetition_turned_down_is_looked_up() {
        let write = terms(Effect::Write, Dedupe::Account, true);
        assert_eq!(write.next(Came::Status(400), true), Next::LookUp);
        assert_eq!(write.found(Shown::Found, true, true), Finding::Reconciled);
        assert_eq!(write.found(Shown::Absent, true, true), Finding::Refused);
    }

    fn any_terms() -> impl Strategy<Value = Terms> {
        let effect = prop_oneof![Just(Effect::Read), Just(Effect::Write)];
        let dedupe = prop_oneof![Just(Dedupe::Never), Just(Dedupe::Account), Just(Dedupe::Shared)];
        (effect, dedupe, any::<bool>(), any::<bool>()).prop_map(|(effect, dedupe, lookup, resend)| Terms {
            effect,
            dedupe,
            lookup,
            resend,
        })
    }

    /// An upstream as it may behave: what reaches it takes effect or not, and what it says of that may be anything.
    /// One that dedupes takes a repetition for the first.
    #[derive(Debug, Clone, Copy)]
    struct Deed {
        came: Came,
        acts: bool,
    }

    fn any_deed() -> impl Strategy<Value = Deed> {
        prop_oneof![
            1 => Just(Deed { came: Came::Unsent, acts: false }),
            3 => any::<bool>().prop_map(|acts| Deed { came: Came::Silence, acts }),
            3 => any::<bool>().prop_map(|acts| Deed { came: Came::Status(502), acts }),
            2 => Just(Deed { came: Came::Status(200), acts: true }),
            1 => Just(Deed { came: Came::Status(400), acts: false }),
            1 => Just(Deed { came: Came::Status(429), acts: false }),
        ]
    }

    proptest! {
        /// Whatever an account does and says: no write takes effect twice there, and none that took effect is told to
        /// have failed. `deeds` are what it does of each attempt, and `looks` how good its look-ups are.
        #[test]
        fn never_twice_and_never_a_false_failure(
            terms in any_terms(),
            deeds in prop::collection::vec(any_deed(), 1..8),
            looks_work in any::<bool>(),
        ) {
            prop_assume!(terms.effect == Effect::Write);
            let (mut effects, mut doubt, mut refused) = (0, false, false);
            let mut said = None;
            let mut left = deeds.len();
            for deed in &deeds {
                left -= 1;
                let known = terms.dedupe != Dedupe::Never && effects > 0;
                // One that knows it again gives what it gave the first, or fails again.
                let came = match (known, deed.came) {
                    (true, Came::Status(400)) if !terms.lookup => Came::Status(200),
                    (_, came) => came,
                };
                effects += u32::from(deed.acts && !known);
                prop_assert!(effects <= 1, "twice");
                let mut next = terms.next(came, doubt);
                refused |= doubt && matches!(came, Came::Status(400));
                doubt |= came == Came::Silence || matches!(came, Came::Status(s) if is_uncertain(s));
                if next == Next::Again && left == 0 {
                    next = terms.cornered(came);
                }
                match next {
                    Next::Give => {
                        said = match came {
                            Came::Status(s) if is_uncertain(s) => Some("unknown"),
                            Came::Status(200..=399) => Some("done"),
                            Came::Status(_) => Some("failed"),
                            Came::Unsent | Came::Silence => unreachable!("there is nothing to give"),
                        };
                        break;
                    }
                    Next::Unknown => { said = Some("unknown"); break }
                    Next::Elsewhere => prop_assert!(!doubt, "nobody else is told of what may have happened"),
                    Next::Again => prop_assert!(terms.dedupe != Dedupe::Never),
                    Next::LookUp => {
                        let shown = match (looks_work, effects) {
                            (false, _) => Shown::Nothing,
                            (true, 0) => Shown::Absent,
                            (true, _) => Shown::Found,
                        };
                        match terms.found(shown, refused, left > 0) {
                            Finding::Reconciled => { said = Some("done"); break }
                            Finding::Refused | Finding::Absent => { said = Some("failed"); break }
                            Finding::Unknown => { said = Some("unknown"); break }
                            Finding::Resend => doubt = false,
                        }
                    }
                }
            }
            match said {
                Some("done") => prop_assert_eq!(effects, 1),
                Some("failed") => prop_assert_eq!(effects, 0),
                Some(_) | None => {}
            }
        }
    }
}
