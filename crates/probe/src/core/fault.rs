//! What is wrong, where it went wrong, and what to do about it.

use std::{fmt, time::Duration};

use seawall_model::{Cause, Wall, units::show_duration};
use serde::{Serialize, Serializer, ser::SerializeStruct};

/// Where on its way a check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The prober itself.
    Own,
    /// Finding the host's addresses.
    Dns,
    /// Making a connection.
    Connect,
    /// Shaking hands.
    Tls,
    /// Getting an answer.
    Answer,
    /// What the answer says.
    Content,
}

impl Place {
    /// The place as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Answer => "answer",
            Self::Content => "content",
        }
    }
}

macro_rules! faults {
    ($($(#[doc = $doc:literal])* $name:ident $({ $($(#[doc = $field_doc:literal])* $field:ident: $type:ty),* })?
        = $kind:literal, $place:ident, $cause:ident, $said:literal $(, $($arg:expr),+)?; $cure:literal;)*) => {
        /// Why a check failed.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[doc = $doc])* $name $({ $($(#[doc = $field_doc])* $field: $type),* })?,)*
        }

        impl Fault {
            /// The kind as a label.
            pub fn kind(&self) -> &'static str {
                match self { $(Self::$name { .. } => $kind,)* }
            }

            /// Where it went wrong.
            pub fn place(&self) -> Place {
                match self { $(Self::$name { .. } => Place::$place,)* }
            }

            /// The same in the words of the rest of the house.
            pub fn cause(&self) -> Cause {
                match self { $(Self::$name { .. } => Cause::$cause,)* }
            }

            /// What to do about it.
            pub fn cure(&self) -> &'static str {
                match self { $(Self::$name { .. } => $cure,)* }
            }
        }

        impl fmt::Display for Fault {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Self::$name $({ $($field),* })? => write!(f, $said $(, $($arg),+)?),)* }
            }
        }
    };
}

faults! {
    /// The prober's own machine would not do it.
    Own {
        /// What the system said.
        why: String
    } = "own", Own, Connect, "the prober's own machine cannot do it: {why}";
        "look at this machine: file descriptors (`ulimit -n`), free ports, its network";
    /// The name does not exist.
    DnsNxdomain {
        /// The name.
        name: String
    } = "dns_nxdomain", Dns, Connect, "there is no such name as {name} (NXDOMAIN)";
        "correct the name, or restore it at the registrar or in the zone: a lapsed registration looks like this";
    /// The name exists and has no such record.
    DnsEmpty {
        /// The name.
        name: String
    } = "dns_empty", Dns, Connect, "the name {name} is there and has no record (NOERROR, empty)";
        "restore the record in the zone; those who still hold an old answer or a connection do not notice yet";
    /// The resolver says that it cannot tell.
    DnsFailed {
        /// What it says.
        why: String
    } = "dns_failed", Dns, Connect, "the resolver cannot tell: {why}";
        "look at the zone's name servers and its DNSSEC signatures; try another `resolver`";
    /// The resolver did not answer in time.
    DnsTimeout = "dns_timeout", Dns, Timeout, "the resolver did not answer in time";
        "look at the resolver and the way to it; try another `resolver`";
    /// What came from the resolver is no answer.
    DnsMalformed = "dns_malformed", Dns, Malformed, "what came from the resolver is no DNS answer";
        "make sure that a DNS server answers at that address";
    /// A record that must be there is not.
    DnsAnswer {
        /// The record.
        wanted: String
    } = "dns_answer", Content, Contradicted, "the resolver's answer lacks {wanted}";
        "compare with the zone: somebody changed it, or this resolver holds an old answer";
    /// The host refused.
    ConnectRefused = "connect_refused", Connect, Connect, "the connection was refused: the host is there, and nothing listens at that port";
        "start the service, or correct the port; a firewall that rejects looks the same";
    /// Nothing came back.
    ConnectTimeout = "connect_timeout", Connect, Timeout, "no connection in time: nothing came back at all";
        "look whether the host is up and the way to it open; a firewall that drops looks like this";
    /// There is no way there.
    ConnectUnreachable {
        /// What the system said.
        why: String
    } = "connect_unreachable", Connect, Connect, "there is no way to the host: {why}";
        "look at routes and at the network in between";
    /// No connection, for another reason.
    ConnectFailed {
        /// What the system said.
        why: String
    } = "connect_failed", Connect, Connect, "no connection could be made: {why}";
        "see what the system says";
    /// A datagram came to nothing.
    NoReply = "no_reply", Connect, Timeout, "nothing came back in time";
        "look whether the host is up and answers this at all; a firewall that drops looks like this, and so does a server that takes the datagram for no question";
    /// The system lets this process send no echo.
    IcmpForbidden = "icmp_forbidden", Own, Connect, "the prober's own machine lets this process send no echo";
        "allow it to its group, as in `sysctl -w net.ipv4.ping_group_range='0 2147483647'` (in a container: its own setting of the same name)";
    /// The handshake did not end in time.
    TlsTimeout = "tls_timeout", Tls, Timeout, "the TLS handshake did not end in time";
        "look whether the port speaks TLS at all, and at the server's load";
    /// The handshake failed.
    TlsHandshake {
        /// What was said.
        why: String
    } = "tls_handshake", Tls, Reset, "the TLS handshake failed: {why}";
        "make sure that the port speaks TLS, for this name, in version 1.2 or 1.3";
    /// A certificate has ended.
    TlsExpired {
        /// Which of the chain, the server's own being 0.
        which: usize,
        /// Whose.
        subject: String,
        /// How long ago, in days, rounded down.
        days: i64
    } = "tls_expired", Tls, Unwell, "{} ({subject}) ended {} ago", certificate(*which), count(*days, "day");
        "renew it, install the whole chain and reload the server";
    /// A certificate has not begun.
    TlsNotYetValid {
        /// Which of the chain, the server's own being 0.
        which: usize,
        /// Whose.
        subject: String
    } = "tls_not_yet_valid", Tls, Unwell, "{} ({subject}) is not valid yet", certificate(*which);
        "compare the clocks of this machine and of whoever issued it";
    /// The certificate is for other names.
    TlsName {
        /// The name asked for.
        wanted: String,
        /// Names it is for, the first of them.
        names: String
    } = "tls_name", Tls, Unwell, "the certificate is not for {wanted}, but for {names}";
        "install a certificate for that name, or correct the name";
    /// The chain leads nowhere.
    TlsUntrusted {
        /// Where it ends.
        why: String
    } = "tls_untrusted", Tls, Unwell, "the certificates lead to no authority that is trusted: {why}";
        "install the intermediate certificates too; for an authority of your own give its file (`--ca`)";
    /// The chain is bad otherwise.
    TlsInvalid {
        /// Why.
        why: String
    } = "tls_invalid", Tls, Unwell, "the certificates cannot be trusted: {why}";
        "have the certificate issued anew";
    /// Another protocol was agreed on than asked for.
    TlsAlpn {
        /// What was offered.
        offered: String
    } = "tls_alpn", Tls, Unwell, "the server agreed to none of the protocols offered ({offered})";
        "enable the protocol (ALPN) at the server";
    /// The connection ended before an answer.
    Closed = "closed", Answer, Reset, "the connection ended before a byte of an answer came";
        "look at the server's log: it closed or crashed";
    /// No answer in time.
    AnswerTimeout = "answer_timeout", Answer, Timeout, "connected, and no answer came in time";
        "the server accepts and does not answer: look at its load, and at what it waits for";
    /// The answer began and did not end in time.
    BodyTimeout = "body_timeout", Answer, Timeout, "the answer began, and did not end in time";
        "look at what the server waits for while it writes, and at the bandwidth";
    /// The answer ended short.
    Truncated = "truncated", Answer, Truncated, "the answer ended short of its length";
        "look at the server's and its proxy's log";
    /// The answer is none of the protocol.
    Malformed {
        /// What was wrong.
        why: String
    } = "malformed", Answer, Malformed, "the answer is not what the protocol has it be: {why}";
        "make sure that the port speaks this protocol";
    /// The server said no.
    Refused {
        /// What it said.
        said: String
    } = "refused", Answer, Unwell, "the server says: {said}";
        "see what it says; credentials and limits are the usual reasons";
    /// A bad status.
    HttpStatus {
        /// The status.
        status: u16,
        /// Those that are good.
        wanted: String
    } = "http_status", Answer, HttpStatus, "HTTP status {status}, and not {wanted}";
        "4xx: look at the request and its credentials; 5xx: look at the server and what it depends on";
    /// A text is not there.
    BodyText {
        /// The text.
        wanted: String
    } = "body_text", Content, Contradicted, "the answer does not hold the text {wanted:?}";
        "look at the answer itself: an error page with a good status looks like this";
    /// No match for a pattern.
    BodyPattern {
        /// The pattern.
        wanted: String
    } = "body_pattern", Content, Contradicted, "nothing in the answer matches {wanted}";
        "look at the answer itself: an error page with a good status looks like this";
    /// Bytes are not there.
    BodyBytes {
        /// The bytes, in hexadecimal.
        wanted: String
    } = "body_bytes", Content, Contradicted, "the answer does not hold the bytes {wanted}";
        "look at the answer itself";
    /// Not JSON.
    BodyNotJson = "body_not_json", Content, Malformed, "the answer is not JSON, or longer than is held";
        "look at the answer itself";
    /// Not what is exposed to Prometheus.
    BodyNotMetrics = "body_not_metrics", Content, Malformed, "the answer is not Prometheus's text, or longer than is held";
        "look at the answer itself: `promtool check metrics` says where it is wrong";
    /// Another value.
    BodyValue {
        /// Where.
        pointer: String,
        /// What must stand there.
        wanted: String,
        /// What does.
        found: String
    } = "body_value", Content, Contradicted, "at {pointer} the answer has {found}, and not {wanted}";
        "look at the answer itself";
    /// A server says that it does not serve.
    NotServing {
        /// Which service of it; the server itself if empty.
        service: String,
        /// What it says.
        status: &'static str
    } = "grpc_not_serving", Content, Unwell, "{} is {status}", served(service);
        "the server answers and says itself that it is not well: see its log, and what it depends on";
    /// A gRPC call ended with a status that is not good.
    GrpcStatus {
        /// The status, as in `UNIMPLEMENTED`.
        status: String,
        /// What was said.
        said: String
    } = "grpc_status", Answer, Unwell, "the call ended with {status}{}{said}", if said.is_empty() { "" } else { ": " };
        "UNIMPLEMENTED: register the health service (grpc.health.v1) at the server; NOT_FOUND: it knows no service of that name; UNAUTHENTICATED: look at `headers`";
    /// A time server that does not know the time.
    NtpUnsynchronised {
        /// What it says.
        why: &'static str
    } = "ntp_unsynchronised", Content, Unwell, "the time server says that it is not synchronised ({why})";
        "look at the servers that it follows (`chronyc sources`, `ntpq -p`)";
    /// The clocks are too far apart.
    ClockOffset {
        /// How far, in milliseconds; above zero if this machine's clock is behind.
        offset_ms: String,
        /// How far they may be.
        limit: Duration
    } = "clock_offset", Content, Contradicted, "the time server's clock is {offset_ms} ms from this machine's, and may be {}", show_duration(*limit);
        "compare with another time server: if it says the same, it is this machine's clock (`chronyc tracking`)";
    /// No heartbeat in time.
    BeatLate {
        /// Since when.
        ago: Duration,
        /// What was said with the last one.
        said: String
    } = "beat_late", Answer, Timeout, "no heartbeat for {}{said}", show_duration(*ago);
        "look at the job and at what starts it (cron, timers), and at its way to here";
    /// No heartbeat yet, and there need not have been one.
    BeatAwaited = "beat_awaited", Own, Timeout, "no heartbeat has come yet, and none is due";
        "have the job send `POST /v1/heartbeats/NAME` with the token when it is done";
    /// Never a heartbeat.
    BeatNever {
        /// Since when they are listened for.
        ago: Duration
    } = "beat_never", Answer, Timeout, "no heartbeat has come since this process listens, which is {}", show_duration(*ago);
        "have the job send `POST /v1/heartbeats/NAME` with the token when it is done";
    /// Work that was begun and not ended.
    BeatUnfinished {
        /// When it was begun.
        ago: Duration,
        /// What was said then.
        said: String
    } = "beat_unfinished", Answer, Timeout, "the job began {} ago and has not said that it ended{said}", show_duration(*ago);
        "look at the job: it hangs, crashed, or takes longer than `grace`";
    /// The job says that it failed.
    BeatFailed {
        /// When.
        at: Wall,
        /// What was said.
        said: String
    } = "beat_failed", Content, Unwell, "the job said at {at} that it failed{said}";
        "see what it says, and its log; the next `ok` ends this";
    /// A program that said no.
    ExecFailed {
        /// Its exit code.
        code: i32,
        /// Its last words.
        said: String
    } = "exec_failed", Content, Unwell, "the program ended with exit code {code}{said}";
        "see what it says; run it by hand, without environment and in `/`, as it is run here";
    /// A program that a signal ended.
    ExecKilled {
        /// The signal.
        signal: i32,
        /// Its last words.
        said: String
    } = "exec_killed", Content, Unwell, "signal {signal} ended the program{said}";
        "9 may be the kernel's, for want of memory (`dmesg`); 11 is a crash";
    /// A program that could not be run.
    ExecUnrun {
        /// Why.
        why: String
    } = "exec_unrun", Own, Connect, "the program cannot be run: {why}";
        "give its whole path, and let the user that Seawall is run it";
    /// A program that does not end.
    ExecTimeout = "exec_timeout", Content, Timeout, "the program did not end in time, and was killed with its children";
        "see what it waits for, or raise `timeout`";
    /// A condition that does not hold.
    Assertion {
        /// The condition.
        rule: String,
        /// What it read.
        read: String
    } = "assertion", Content, Contradicted, "`{rule}` does not hold: {read}";
        "look at the answer itself, and at whether the condition is still what you mean";
    /// A condition that says nothing of this answer.
    Unanswered {
        /// The condition.
        rule: String,
        /// Why.
        why: String,
        /// What it read.
        read: String
    } = "assertion_unanswered", Content, Contradicted, "`{rule}` cannot be told: {why}; {read}";
        "look at the answer itself; what need not be there is asked for first, as in `has(json.a) && json.a > 1`";
    /// A value that later steps need is not in the answer.
    NotCaptured {
        /// Its name.
        name: String,
        /// Why.
        why: String
    } = "not_captured", Content, Contradicted, "`{name}` cannot be taken from the answer: {why}";
        "look at the answer itself, and at where `capture` looks";
    /// What was captured makes no request.
    Unsent {
        /// Why.
        why: String
    } = "unsent", Content, Contradicted, "the request cannot be made: {why}";
        "look at the step that captures it";
    /// Those before it took all the time.
    NoTime = "no_time", Answer, Timeout, "the steps before it took all the time there was";
        "look at which of them was slow, or raise the journey's `timeout`";
    /// JSON-RPC said no.
    Rpc {
        /// The method.
        method: &'static str,
        /// What was said.
        said: String
    } = "rpc", Answer, Unwell, "the node answers {method} with an error: {said}";
        "see what it says; keys and limits of providers are the usual reasons";
    /// The node catches up.
    Syncing {
        /// How many blocks it lacks, if it says so.
        behind: u64
    } = "syncing", Content, Lagging, "the node is syncing, {} behind", count(i64::try_from(*behind).unwrap_or(i64::MAX), "block");
        "wait until it has caught up, and ask another one meanwhile";
    /// A conductor says that its sequencer could not take over.
    Unfit {
        /// Why.
        why: String
    } = "unfit", Content, Unfit, "it could not take over: {why}";
        "mend it before the sequencer that leads fails: until then there is nobody to hand over to";
    /// The newest block is old.
    HeadOld {
        /// How old.
        age: Duration,
        /// How old it may be.
        limit: Duration
    } = "head_old", Content, Stalled, "the newest block is {} old, and may be {}", show_duration(*age), show_duration(*limit);
        "compare with another provider: if theirs is as old, the chain itself has stopped";
}

/// What of the prober's own would make a fault mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing: somebody answered, and said this.
    Nothing,
    /// Its network: nobody answered.
    Network,
    /// Its clock: by another time of day it would be none.
    Clock,
}

impl Fault {
    /// True if it says nothing about the target, and nothing about the prober's other checks either.
    pub fn is_of_one_check(&self) -> bool {
        matches!(self, Self::BeatAwaited | Self::IcmpForbidden | Self::ExecUnrun { .. })
    }

    /// What of the prober's own would make it mean nothing.
    pub fn doubt(&self) -> Doubt {
        if matches!(self, Self::TlsExpired { .. } | Self::TlsNotYetValid { .. } | Self::HeadOld { .. }) {
            return Doubt::Clock;
        }
        if self.is_of_one_check() {
            return Doubt::Nothing;
        }
        match self.place() {
            Place::Own | Place::Dns | Place::Connect => Doubt::Network,
            Place::Tls | Place::Answer if matches!(self.cause(), Cause::Timeout | Cause::Reset) => {
                Doubt::Network
            }
            Place::Tls | Place::Answer | Place::Content => Doubt::Nothing,
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fault = to.serialize_struct("Fault", 4)?;
        fault.serialize_field("kind", self.kind())?;
        fault.serialize_field("place", self.place().as_str())?;
        fault.serialize_field("message", &self.to_string())?;
        fault.serialize_field("cure", self.cure())?;
        fault.end()
    }
}

fn served(service: &str) -> String {
    if service.is_empty() { "the server".to_owned() } else { format!("the service {service}") }
}

fn certificate(which: usize) -> String {
    match which {
        0 => "the server's certificate".to_owned(),
        n => format!("certificate {} of the chain", n + 1),
    }
}

fn count(n: i64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
