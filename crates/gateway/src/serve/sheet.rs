//! One request's account while it is being answered. Dropped before it is closed, it tells of a client that
//! went away.

use std::{
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use http::{HeaderMap, StatusCode, Uri};
use seawall_chain::{
    envelope::{Invalid, Request},
    method::Method,
};
use seawall_model::Mono;
use seawall_runtime::clock::Clock;

use crate::{
    account::{Account, Accounts, Ended, Tried, cut, is_drawn},
    call::{By, Trail},
    pool::Pool,
    trace::Context,
};

/// The number of the refusal that tells of an unknown outcome (SW0305).
const UNKNOWN: u32 = 305;

/// The account of one request.
pub(crate) struct Sheet {
    accounts: Accounts,
    clock: Clock,
    began: Mono,
    /// Taken when it is handed in. Only the task that answers locks it.
    account: Mutex<Option<Account>>,
}

impl Sheet {
    /// Opens an account of a request to `pool`, if anybody wants one of it.
    pub(crate) fn open(
        accounts: &Accounts,
        clock: Clock,
        pool: &Pool,
        client: IpAddr,
        headers: &HeaderMap,
    ) -> Option<Self> {
        let (wanted, id) = (accounts.wanted, accounts.draw());
        let logged = is_drawn(id, wanted.logged);
        let sampled = is_drawn(accounts.draw(), wanted.traced);
        let taken_up = wanted.context.then(|| Context::of(headers, || accounts.draw(), sampled)).flatten();
        let begun = sampled.then(|| Context::begin(|| accounts.draw(), sampled));
        let trace = taken_up.or(begun);
        if !logged && trace.is_none() {
            return None;
        }
        let began = clock.mono();
        let account = Account {
            id,
            logged,
            trace,
            began: clock.wall(),
            took: std::time::Duration::ZERO,
            client,
            pool: Some(pool.section.name.clone()),
            method: "".into(),
            path: None,
            calls: 0,
            class: None,
            status: 0,
            end: Ended::Gone,
            refusal: None,
            by: "nobody".into(),
            attempts: 0,
            head: None,
            received: 0,
            sent: 0,
            tries: Vec::new(),
        };
        Some(Self { accounts: accounts.clone(), clock, began, account: Mutex::new(Some(account)) })
    }

    /// Where in which trace it is, if that is of interest.
    pub(crate) fn trace(&self) -> Option<Context> {
        self.account().as_ref()?.trace
    }

    /// It is this, and as long as that.
    pub(crate) fn asked(&self, request: &Result<Request<'_>, Invalid<'_>>, received: usize) {
        self.note(|a| {
            a.received = received as u64;
            match request {
                Ok(Request::Single(call)) => {
                    let class = Method::lookup(&call.method).class;
                    (a.method, a.class, a.calls) = (cut(&call.method), Some(class), 1);
                }
                Ok(Request::Batch(calls)) => {
                    (a.method, a.calls) = ("batch".into(), u32::try_from(calls.len()).unwrap_or(u32::MAX));
                }
                Err(_) => {}
            }
        });
    }

    /// It is a request to an HTTP API. Its query stays out: that is where keys are.
    pub(crate) fn http(&self, method: &http::Method, uri: &Uri) {
        self.note(|a| (a.method, a.path, a.calls) = (cut(method.as_str()), Some(cut(uri.path())), 1));
    }

    /// Its body has come.
    pub(crate) fn received(&self, bytes: usize) {
        self.note(|a| a.received = bytes as u64);
    }

    /// It is answered; what is still to be sent is told by [`Self::sent`].
    pub(crate) fn answer(&self, pool: &Pool, trail: &Trail, status: StatusCode) {
        let (told, began) = (trail.told(), self.began);
        self.note(|a| {
            a.status = status.as_u16();
            (a.attempts, a.head, a.refusal) = (told.attempts, told.head, told.refusal);
            a.by = match told.by {
                By::Upstream(i) => pool.upstreams.get(i).map_or("upstream", |u| u.section.name.as_str()),
                by => by.as_str(),
            }
            .into();
            a.end = match told.refusal {
                Some(UNKNOWN) => Ended::Unknown,
                Some(_) => Ended::Refused,
                // What never came to a call: a body that is none, a method that is not taken.
                None if told.by == By::Nobody => Ended::Refused,
                None => Ended::Answered,
            };
            let trace = a.trace;
            let tried = trail.tries().into_iter().filter_map(|t| {
                Some(Tried {
                    span: trace?.attempt(t.upstream, t.began),
                    upstream: pool.upstreams.get(t.upstream)?.section.name.clone(),
                    after: t.began.since(began),
                    took: t.ended.map(|(ended, _)| ended.since(t.began)),
                    fault: t.ended.and_then(|(_, fault)| fault),
                })
            });
            a.tries = tried.collect();
        });
    }

    /// A piece of the answer has gone out.
    pub(crate) fn sent(&self, bytes: usize) {
        self.note(|a| a.sent += bytes as u64);
    }

    /// It is over, in another way than it looked.
    pub(crate) fn end(&self, end: Ended) {
        self.note(|a| a.end = end);
    }

    fn note(&self, change: impl FnOnce(&mut Account)) {
        if let Some(account) = self.account().as_mut() {
            change(account);
        }
    }

    fn account(&self) -> MutexGuard<'_, Option<Account>> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        let account = self.account().take();
        if let Some(mut account) = account.filter(|a| a.logged || a.trace.is_some_and(|t| t.sampled)) {
            account.took = self.clock.mono().since(self.began);
            self.accounts.send(account);
        }
    }
}
