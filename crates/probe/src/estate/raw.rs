//! The probes' sections as written, before they are judged.

use std::time::Duration;

use seawall_model::{
    Name,
    estate::{At, SecretSource, Table},
    section,
};

pub use super::target::TargetSource;
use super::{
    expect::{RawScalar, RawStatuses},
    headers::RawHeaders,
};

section! {
    /// Something that is checked again and again.
    pub struct RawProbe {
        /// What is checked: `https://`, `http://`, `tcp://`, `tls://`, `dns:`, `wss://`, `ws://`, `evm+https://`,
        /// `evm+http://`, `smtp://`, `redis://`, `postgres://` or `nats://`.
        target: At<TargetSource>, required;
        /// The component it speaks about, as in `service:checkout`; the service of the probe's own name if absent, which
        /// then need not be declared.
        of: At<String>, optional;
        /// Time from one check to the next.
        every: At<Duration>, default("10s");
        /// Time a check may take in all.
        timeout: At<Duration>, default("5s");
        /// Failures on end after which it is taken for down.
        down_after: At<u32>, default(2);
        /// Successes on end after which it is taken for up again.
        up_after: At<u32>, default(2);
        /// Every check over a connection of its own; if false, the last one's is kept and used while it lives.
        fresh: bool, default(true);
        /// The HTTP method.
        method: At<String>, optional;
        /// HTTP request headers.
        headers: At<RawHeaders>, optional;
        /// The HTTP request's body: `env:NAME`, `file:PATH` or the text itself.
        body: At<SecretSource>, optional;
        /// Who resolves names, as in `1.1.1.1` or `[::1]:5353`; the system's resolver if absent.
        resolver: At<String>, optional;
        /// Protocols offered in a TLS handshake (ALPN), as in `["h2"]`; for `tls://` only.
        alpn: Vec<At<String>>, default([]);
        /// What the answer must be.
        expect: At<RawExpect>, optional;
        /// Conditions in CEL, each of which must hold, as in `"json.state == 'ok'"` or `"timings.total_ms < 500"`.
        assert: Vec<At<String>>, default([]);
    }
}

section! {
    /// Requests one after another, in which later ones use what earlier ones were answered.
    pub struct RawJourney {
        /// The component it speaks about; the service of the journey's own name if absent, which then need not be
        /// declared.
        of: At<String>, optional;
        /// Time from one run to the next.
        every: At<Duration>, default("60s");
        /// Time a run may take in all.
        timeout: At<Duration>, default("30s");
        /// Time at the end of it that only steps made `always` may use.
        reserve: At<Duration>, default("5s");
        /// Failures on end after which it is taken for down.
        down_after: At<u32>, default(2);
        /// Successes on end after which it is taken for up again.
        up_after: At<u32>, default(2);
        /// Keeps cookies from one step of a run to the next.
        cookies: bool, default(false);
        /// Who resolves names, as in `1.1.1.1` or `[::1]:5353`; the system's resolver if absent.
        resolver: At<String>, optional;
        /// The steps, in order.
        steps: Vec<At<RawStep>>, default([]);
    }
}

section! {
    /// A step of a journey. `{{name}}` in path, query, headers and body stands for a captured value; `{{run}}` for 16
    /// hexadecimal digits that are different in every run.
    pub struct RawStep {
        /// Its name.
        name: At<Name>, required;
        /// What is asked: `https://` or `http://`.
        url: At<TargetSource>, required;
        /// The HTTP method.
        method: At<String>, optional;
        /// HTTP request headers.
        headers: At<RawHeaders>, optional;
        /// The HTTP request's body: `env:NAME`, `file:PATH` or the text itself.
        body: At<SecretSource>, optional;
        /// Time it may take in all.
        timeout: At<Duration>, default("10s");
        /// It is made whatever happened before, so that what was begun is cleaned up.
        always: bool, default(false);
        /// What the answer must be.
        expect: At<RawExpect>, optional;
        /// Conditions in CEL, each of which must hold; `captured` holds what earlier steps captured.
        assert: Vec<At<String>>, default([]);
        /// Values taken from the answer, by name.
        capture: Table<RawCapture>, default({});
    }
}

section! {
    /// Where a value is taken from: one of `json`, `header`, `regex` and `rule`.
    pub struct RawCapture {
        /// A place in a JSON body (RFC 6901), as in `/order/id`.
        json: At<String>, optional;
        /// A header.
        header: At<String>, optional;
        /// A regular expression that is looked for in the body: its first group, or all of it.
        regex: At<String>, optional;
        /// Whatever a rule in CEL comes to.
        rule: At<String>, optional;
        /// It is never shown.
        secret: bool, default(false);
    }
}

section! {
    /// What an answer must be.
    pub struct RawExpect {
        /// Good HTTP statuses, as in `200`, `"2xx"` or `"200-204,301"`; anything below 400 if absent.
        status: At<RawStatuses>, optional;
        /// A text that the body, or what a TCP server says first, must hold.
        contains: At<String>, optional;
        /// A value that the body must have.
        json: At<RawJson>, optional;
        /// Records that must be among the answers to a DNS question.
        answers: At<Vec<String>>, optional;
        /// Oldest that the newest block of a chain may be.
        head_age: At<Duration>, optional;
    }
}

section! {
    /// A value that a JSON body must have.
    pub struct RawJson {
        /// Where (RFC 6901), as in `/status/db`.
        pointer: At<String>, required;
        /// What must stand there.
        equals: RawScalar, required;
    }
}

section! {
    /// What holds for all probes.
    pub struct RawWatch {
        /// Targets that hardly ever fail all at once; where most of them do, the prober itself is in trouble, and says
        /// `unknown` of everything.
        anchors: Vec<At<TargetSource>>, default([]);
        /// Most checks under way at once.
        concurrency: At<u32>, default(2000);
        /// Most checks of one host under way at once.
        per_host: At<u32>, default(8);
        /// What this place is called from which checks are made.
        vantage: Name, default("local");
        /// Other places from which the same checks are made, and pushed to this one by `POST /v1/signals`. A probe is down
        /// where more than half of those that have a say find it so.
        remote: Vec<At<Name>>, default([]);
    }
}
