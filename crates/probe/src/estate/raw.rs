//! The probes' sections as written, before they are judged.

use std::time::Duration;

use seawall_model::{
    Name, choice,
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
        /// What is checked: `https://`, `http://`, `tcp://`, `udp://`, `tls://`, `dns:`, `icmp://`, `ntp://`, `wss://`, `ws://`, `grpcs://`, `grpc://`,
        /// `evm+https://`, `evm+http://`, `heads+http://`, `op-node+http://`, `conductor+http://` (each `+https://` too), `smtp://`, `redis://`, `postgres://` or `nats://`. This, `push` or `exec` must be there.
        target: At<TargetSource>, optional;
        /// Heartbeats are waited for: `POST /v1/heartbeats/NAME` within `every` and `grace`, NAME being the probe's.
        push: At<bool>, optional;
        /// Time that a heartbeat may be late by, and that a job may take once it has said that it starts; `1m` if absent.
        grace: At<Duration>, optional;
        /// A program, by its whole path, and its arguments: run without a shell, it must end with exit code 0. Only with
        /// `exec = true` under `[watch]`.
        exec: Vec<At<String>>, default([]);
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
        /// The version of HTTP that is spoken, and no other; `"2"` without TLS as servers that know beforehand speak it.
        http: At<RawHttp>, default("1.1");
        /// The HTTP method.
        method: At<String>, optional;
        /// HTTP request headers.
        headers: At<RawHeaders>, optional;
        /// The HTTP request's body, or the datagram to a `udp://` target: `env:NAME`, `file:PATH` or the text itself.
        body: At<SecretSource>, optional;
        /// The datagram in hexadecimal, as in `"0a00ff"`.
        body_hex: At<String>, optional;
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

choice! {
    /// A version of HTTP.
    pub enum RawHttp {
        /// HTTP/1.1.
        One = "1.1",
        /// HTTP/2.
        Two = "2",
    }
}

section! {
    /// What an answer must be.
    pub struct RawExpect {
        /// Good HTTP statuses, as in `200`, `"2xx"` or `"200-204,301"`; anything below 400 if absent.
        status: At<RawStatuses>, optional;
        /// A text that the body, what a TCP server says first, a datagram that comes back, or what a program writes must hold.
        contains: At<String>, optional;
        /// A regular expression of which a match must be in it (as RE2 and Rust have them).
        matches: At<String>, optional;
        /// Bytes in hexadecimal that what a TCP server says first, or a datagram that comes back must hold.
        hex: At<String>, optional;
        /// A value that the body must have.
        json: At<RawJson>, optional;
        /// Records that must be among the answers to a DNS question.
        answers: At<Vec<String>>, optional;
        /// Oldest that the newest block of a chain may be.
        head_age: At<Duration>, optional;
        /// Farthest that a time server's clock may be from this machine's.
        max_offset: At<Duration>, optional;
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
    /// A chain that is watched: who makes its blocks, and who follows.
    pub struct RawChain {
        /// The time between its blocks, or the mean of it.
        block_time: At<Duration>, required;
        /// Blocks come at random, as where work is proved, and not at fixed times.
        random: bool, default(false);
        /// The age from which its newest block is too old; three times `block_time` if absent, or twenty times where blocks
        /// come at random.
        late: At<Duration>, optional;
        /// The age from which its newest safe block is too old; nobody minds if absent.
        safe_late: At<Duration>, optional;
        /// Time from one look at each of its parts to the next.
        every: At<Duration>, default("2s");
        /// Time a look may take in all; `every`, but 5 s at most, if absent.
        timeout: At<Duration>, optional;
        /// What makes its blocks, or stands by to.
        sequencers: Table<RawSequencer>, default({});
        /// Nodes that follow it; for a chain that no pool serves. Those of a pool's chain are its upstreams.
        followers: Table<RawFollower>, default({});
    }
}

section! {
    /// What makes a chain's blocks, or stands by to. One of the URLs must be there.
    pub struct RawSequencer {
        /// Its execution node, over JSON-RPC: heads by tag.
        execution: At<TargetSource>, optional;
        /// Its op-node: heads, and whether it makes blocks (`admin_sequencerActive`, where that is enabled).
        op_node: At<TargetSource>, optional;
        /// Its op-conductor: whether it leads, takes part, votes, and holds its sequencer to be well.
        conductor: At<TargetSource>, optional;
        /// Its id in the conductors' cluster (`--raft.server.id`); nothing is made of who votes if absent.
        server_id: At<String>, optional;
        /// Request headers for all of them.
        headers: At<RawHeaders>, optional;
    }
}

section! {
    /// A node that follows a chain.
    pub struct RawFollower {
        /// Where it answers JSON-RPC.
        url: At<TargetSource>, required;
        /// Who operates it: `provider` or `provider/region`.
        provider: At<String>, required;
        /// Request headers.
        headers: At<RawHeaders>, optional;
    }
}

section! {
    /// What holds for all probes.
    pub struct RawWatch {
        /// Targets that hardly ever fail all at once; where most of them do, the prober itself is in trouble, and says
        /// `unknown` of everything.
        anchors: Vec<At<TargetSource>>, default([]);
        /// Probes may run programs (`exec`).
        exec: bool, default(false);
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
