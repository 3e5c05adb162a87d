//! What a client's request brings with it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use arc_swap::ArcSwapOption;
use http::{HeaderMap, Response, StatusCode};

use super::{Floor, ReplyBody, sheet::Sheet, told};
use crate::{
    access::{Identity, Remembered},
    admission::Who,
    call::Trail,
    feed::Spot,
    pool::Pool,
    trace::Context,
    worker::Worker,
};

/// Who is at the other end of a connection.
#[derive(Clone)]
pub(crate) struct Client {
    /// Where it connects from.
    pub(crate) address: IpAddr,
    /// Who its certificate says it is, if it showed one.
    pub(crate) certificate: Option<Arc<str>>,
    /// The last of its tokens that was taken.
    pub(crate) token: Arc<ArcSwapOption<Remembered>>,
    /// Who sends this request, where that is known.
    pub(crate) identity: Option<Identity>,
}

impl Client {
    pub(crate) fn new(from: SocketAddr, certificate: Option<Arc<str>>) -> Self {
        Self { address: from.ip(), certificate, token: Arc::default(), identity: None }
    }
}

/// One request, or one message of a socket: the worker that serves it, the pool that it asks, who sent it.
pub(crate) struct Visit {
    pub(crate) worker: Arc<Worker>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) client: Client,
    /// Where it came in on a WebSocket, if it did.
    pub(crate) spot: Option<Spot>,
    /// The way that its calls have gone.
    pub(crate) trail: Trail,
    /// Its account, if anybody wants one. Boxed, since a visit is moved about.
    pub(crate) sheet: Option<Box<Sheet>>,
    /// What the client has seen already, where it asks to be held to that.
    pub(crate) floor: Option<Floor>,
    /// Who is counted as affected by what becomes of it, where the estate has that counted.
    pub(crate) who: Option<Arc<Who>>,
}

impl Visit {
    /// Begins with a request that has these headers.
    pub(crate) fn new(worker: Arc<Worker>, pool: Arc<Pool>, client: Client, headers: &HeaderMap) -> Self {
        let accounts = worker.accounts.as_ref();
        let sheet = accounts.and_then(|to| Sheet::open(to, worker.clock, &pool, client.address, headers));
        let traced = sheet.as_ref().and_then(Sheet::trace).is_some_and(|trace| trace.sampled);
        let sheet = sheet.map(Box::new);
        let affected = pool.section.affected.as_ref();
        let who = affected.map(|section| Who::of(section, &worker.customer_key, headers));
        Self { worker, pool, client, spot: None, trail: Trail::new(traced), sheet, floor: None, who }
    }

    /// One of the gateway's own.
    pub(crate) fn of_the_house(worker: Arc<Worker>, pool: Arc<Pool>) -> Self {
        let client = Client::new((Ipv4Addr::UNSPECIFIED, 0).into(), None);
        Self {
            worker,
            pool,
            client,
            spot: None,
            trail: Trail::default(),
            sheet: None,
            floor: None,
            who: None,
        }
    }

    /// Is it one of the gateway's own? No client has that address.
    pub(crate) fn is_of_the_house(&self) -> bool {
        self.client.address.is_unspecified()
    }

    /// Where in which trace it is, if that is of interest.
    pub(crate) fn trace(&self) -> Option<Context> {
        self.sheet.as_ref()?.trace()
    }

    /// Ends with an answer of that length to a message of a socket.
    pub(crate) fn end(&self, sent: usize) {
        if let Some(sheet) = &self.sheet {
            sheet.answer(&self.pool, &self.trail, StatusCode::OK);
            sheet.sent(sent);
        }
    }

    /// Ends with this answer, which is told how it came about. Its account is closed once it has gone out.
    pub(crate) fn close(self, mut response: Response<ReplyBody>) -> Response<ReplyBody> {
        let age_ms = || {
            let moved = self.pool.state.heads.load().moved;
            self.worker.clock.mono().since(moved).as_millis() as u64
        };
        told::tell(&self.pool, &self.trail, age_ms, response.headers_mut());
        if let Some(floor) = &self.floor {
            floor.tell(&self.pool, response.headers_mut());
        }
        if let Some(sheet) = self.sheet {
            sheet.answer(&self.pool, &self.trail, response.status());
            response.body_mut().account(sheet);
        }
        response
    }
}
