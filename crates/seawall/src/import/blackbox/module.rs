//! What a module does: a request, a connection, a question.

use super::super::{
    draft::Draft,
    probes::{Probe, statuses},
    source::{Source, basic},
    tree::{Field, Fields, Left},
};

/// Why what the exporter says of addresses does not carry over.
const ADDRESSES: &str = "addresses of both kinds are tried, and the first that takes a connection is used";
/// Why what the exporter says of certificates does not carry over.
const CERTIFICATES: &str =
    "certificates are always checked, against the well-known authorities, and none is shown";

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Socket,
    Tcp,
    Tls,
    Smtp,
    /// A name and a type.
    Dns(String, String),
}

impl Kind {
    /// What `prober` and what belongs to it say. `None` if it is nothing that is probed here; why has been told.
    pub(super) fn of(fields: &mut Fields<'_>, module: &Field<'_>, left: &mut Left) -> Option<Self> {
        let prober = fields.take("prober").and_then(|field| field.raw(left)).unwrap_or_default();
        let own = |key: &str| fields.peek(key);
        match prober {
            "http" => Some(Self::Http),
            "websocket" => Some(Self::Socket),
            "tcp" => {
                let text = |field: Option<Field<'_>>| {
                    field.and_then(|field| field.raw(&mut Left::default()).map(str::to_owned))
                };
                let tcp = own("tcp").map(|field| field.fields(&mut Left::default()));
                let Some(mut tcp) = tcp else { return Some(Self::Tcp) };
                let tls = text(tcp.take("tls")).as_deref() == Some("true");
                let greets = tcp.items("query_response", &mut Left::default()).iter().any(|step| {
                    let sent = text(step.fields(&mut Left::default()).take("send")).unwrap_or_default();
                    sent.starts_with("EHLO") || sent.starts_with("HELO")
                });
                Some(match (greets, tls) {
                    (true, false) => Self::Smtp,
                    (_, true) => Self::Tls,
                    (false, false) => Self::Tcp,
                })
            }
            "dns" => {
                let mut dns = own("dns").map(|field| field.fields(left));
                let mut text =
                    |key: &str| dns.as_mut()?.take(key)?.raw(&mut Left::default()).map(str::to_owned);
                let name = text("query_name").unwrap_or_default();
                let kind = text("query_type").unwrap_or_else(|| "ANY".to_owned());
                let short =
                    name.strip_suffix('.').filter(|short| !short.is_empty()).unwrap_or(&name).to_owned();
                let kind = match kind.as_str() {
                    "ANY" => {
                        module.leave(left, "records of every kind (`ANY`) are not asked for: `A` is taken");
                        "A".to_owned()
                    }
                    _ => kind,
                };
                let kind = Self::Dns(short, kind);
                if kind.example().parse::<seawall_probe::Target>().is_err() {
                    module.leave(left, "its question is none: a DNS name, and one of A, AAAA, CAA, CNAME, DNSKEY, DS, MX, NS, PTR, SOA, SRV and TXT");
                    return None;
                }
                Some(kind)
            }
            "icmp" => {
                module.leave(left, "nobody is pinged: probe a port that answers, as in `tcp://host:443`");
                None
            }
            "grpc" => {
                module.leave(
                    left,
                    "calls of gRPC are not made: see that its port answers with `tls://` or `tcp://`",
                );
                None
            }
            _ => {
                module.leave(left, "there is no such prober here: see `target` of `[probes.NAME]`");
                None
            }
        }
    }

    /// A target of the kind.
    pub(super) fn example(&self) -> String {
        match self {
            Self::Http => "https://target.invalid".to_owned(),
            Self::Socket => "wss://target.invalid".to_owned(),
            Self::Tcp => "tcp://target.invalid:1".to_owned(),
            Self::Tls => "tls://target.invalid:443".to_owned(),
            Self::Smtp => "smtp://target.invalid:25".to_owned(),
            Self::Dns(..) => self.target("192.0.2.1"),
        }
    }

    /// A target of the kind, for people.
    pub(super) fn example_shown(&self) -> &'static str {
        match self {
            Self::Http => "https://shop.example/health",
            Self::Socket => "wss://shop.example/feed",
            Self::Tcp => "tcp://db.example:5432",
            Self::Tls => "tls://mail.example:993",
            Self::Smtp => "smtp://mail.example:25",
            Self::Dns(..) => "dns://192.0.2.1/shop.example?type=A",
        }
    }

    /// The target that the exporter takes `text` for.
    pub(super) fn target(&self, text: &str) -> String {
        match self {
            Self::Http if text.contains("://") => text.to_owned(),
            Self::Http => format!("http://{text}"),
            Self::Socket if text.contains("://") => text.to_owned(),
            Self::Socket => format!("ws://{text}"),
            Self::Tcp => format!("tcp://{text}"),
            Self::Tls => format!("tls://{text}"),
            Self::Smtp => format!("smtp://{text}"),
            Self::Dns(name, kind) => format!("dns://{text}/{name}?type={kind}"),
        }
    }
}

/// What a module says that does not stand in its probes.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// A connection without TLS is bad.
    pub(super) tls_only: bool,
    /// Redirects are followed.
    pub(super) follows: bool,
}

/// Sets what the rest of a module says.
pub(super) fn settings(
    kind: &Kind,
    mut fields: Fields<'_>,
    probe: &mut Probe,
    owner: &str,
    draft: &mut Draft,
    left: &mut Left,
) -> Beside {
    let key = match kind {
        Kind::Http => "http",
        Kind::Socket => "websocket",
        Kind::Tcp | Kind::Tls | Kind::Smtp => "tcp",
        Kind::Dns(..) => "dns",
    };
    let own = fields.take(key);
    fields.leave(left, |_| "its prober does not look at it");
    let mut rest = own.as_ref().map(|field| field.fields(left));
    if let Some(fields) = &mut rest {
        certificates(fields, left);
    }
    let mut beside = Beside { tls_only: false, follows: *kind == Kind::Http };
    if let Some(fields) = &mut rest {
        match kind {
            Kind::Http | Kind::Socket => beside = http(fields, probe, owner, draft, left),
            Kind::Tcp | Kind::Tls | Kind::Smtp => tcp(kind, fields, probe, left),
            Kind::Dns(..) => dns(fields, left),
        }
    }
    if *kind == Kind::Http && probe.expect.status.is_none() {
        probe.expect.status = Some("2xx".to_owned());
    }
    let Some(rest) = rest else { return beside };
    rest.leave(left, |key| match key {
        "preferred_ip_protocol" | "ip_protocol_fallback" | "source_ip_address" => ADDRESSES,
        "valid_http_versions" | "enable_http2" | "enable_http3" => "the version of HTTP is no condition",
        "fail_if_body_matches_regexp"
        | "fail_if_body_json_matches_cel"
        | "fail_if_body_json_not_matches_cel" => {
            "an answer is looked at with `expect.contains` and `expect.json` only"
        }
        "fail_if_header_matches" | "fail_if_header_not_matches" => "headers of an answer are not looked at",
        "oauth2" => "no token is fetched: set `headers = { authorization = \"env:NAME\" }`",
        "proxy_url"
        | "proxy_from_environment"
        | "proxy_connect_header"
        | "no_proxy"
        | "skip_resolve_phase_with_proxy" => "targets are connected to directly",
        "compression" => {
            "bodies are taken as they come: set the header `accept-encoding` if one is to be asked for"
        }
        "body_size_limit" => "of a body only its beginning is held",
        _ => "an estate has nothing like it",
    });
    beside
}

fn http(
    fields: &mut Fields<'_>,
    probe: &mut Probe,
    owner: &str,
    draft: &mut Draft,
    left: &mut Left,
) -> Beside {
    if fields.take("accept_any_response").and_then(|field| field.flag(left)) == Some(true) {
        probe.expect.status = statuses(|_| true);
    }
    let good = fields.items("valid_status_codes", left);
    if !good.is_empty() && probe.is_http() {
        let numbers: Vec<u16> = good.iter().filter_map(|field| field.number(left)?.try_into().ok()).collect();
        probe.expect.status = statuses(|status| numbers.contains(&status));
        if probe.expect.status.is_none() {
            good[0].leave(
                left,
                "they come to no status, or to too many ranges: set `expect.status`, as in `\"200-204,301\"`",
            );
        }
    }
    if let Some(method) = fields.take("method")
        && let Some(text) = method.raw(left)
    {
        probe.set_method(text, &method, left);
    }
    let headers = fields.take("headers").map(|field| field.fields(left).rest()).unwrap_or_default();
    for (name, field) in headers {
        let Some(text) = field.raw(left) else { continue };
        let source = Source::Literal(text.to_owned());
        if let Some(value) = draft.secret(source, ("a header", name), owner, &field, left) {
            probe.set_header(name, value, &field, left);
        }
    }
    authorization(fields, probe, owner, draft, left);
    if let Some(body) = fields.take("body")
        && let Some(text) = body.raw(left)
        && let Some(text) =
            draft.secret(Source::Literal(text.to_owned()), ("a body", "BODY"), owner, &body, left)
    {
        probe.set_body(text, &body, left);
    }
    if let Some(file) = fields.take("body_file") {
        file.leave(left, "the body is left out: set `body = \"file:PATH\"`, from the estate's directory on");
    }
    for field in fields.items("fail_if_body_not_matches_regexp", left) {
        looked_for(&field, probe, left);
    }
    if let Some(plain) = fields.take("fail_if_ssl").filter(|field| field.flag(left) == Some(true)) {
        plain.leave(left, "name the target with `http://`");
    }
    let mut flag = |key: &str| fields.take(key).and_then(|field| field.flag(left));
    let stays = flag("follow_redirects") == Some(false) || flag("no_follow_redirects") == Some(true);
    Beside { tls_only: flag("fail_if_not_ssl") == Some(true), follows: probe.is_http() && !stays }
}

/// `tls_config`.
fn certificates(fields: &mut Fields<'_>, left: &mut Left) {
    let Some(field) = fields.take("tls_config") else { return };
    let mut parts = field.fields(left);
    if let Some(skip) = parts.take("insecure_skip_verify").filter(|field| field.flag(left) == Some(true)) {
        skip.leave(
            left,
            "certificates are always checked: give the server one that holds, or probe it with `tcp://`",
        );
    }
    parts.leave(left, |_| CERTIFICATES);
}

/// `authorization`, however it is told.
fn authorization(
    fields: &mut Fields<'_>,
    probe: &mut Probe,
    owner: &str,
    draft: &mut Draft,
    left: &mut Left,
) {
    let set = |probe: &mut Probe, value: String, field: &Field<'_>, left: &mut Left| {
        probe.set_header("authorization", value, field, left);
    };
    if let Some(field) = fields.take("basic_auth") {
        let mut parts = field.fields(left);
        let user = parts.take("username").and_then(|field| field.raw(left));
        let password = parts.take("password").and_then(|field| field.raw(left));
        let value = match (user, password) {
            (Some(user), Some(password)) => basic(user, password),
            _ => draft.unknown_header(owner, "`Basic ` and the Base64 of `USER:PASSWORD`", &field, left),
        };
        set(probe, value, &field, left);
    }
    if let Some(field) = fields.take("bearer_token")
        && let Some(token) = field.raw(left)
    {
        set(probe, format!("Bearer {token}"), &field, left);
    }
    if let Some(field) = fields.take("bearer_token_file") {
        let value = draft.unknown_header(owner, "`Bearer ` and the text of that file", &field, left);
        set(probe, value, &field, left);
    }
    if let Some(field) = fields.take("authorization") {
        let mut parts = field.fields(left);
        let scheme = parts.take("type").and_then(|field| field.raw(left)).unwrap_or("Bearer");
        let value = match parts.take("credentials").and_then(|field| field.raw(left)) {
            Some(token) => format!("{scheme} {token}"),
            None => draft.unknown_header(owner, "the scheme, a space and the text of the file", &field, left),
        };
        set(probe, value, &field, left);
    }
}

fn tcp(kind: &Kind, fields: &mut Fields<'_>, probe: &mut Probe, left: &mut Left) {
    let _ = fields.take("tls");
    let steps = fields.items("query_response", left);
    if *kind == Kind::Smtp {
        if let Some(first) = steps.first() {
            first.leave(
                left,
                "the server's greeting and its answer to `EHLO` are looked at, and nothing else is said",
            );
        }
        return;
    }
    for (number, step) in steps.iter().enumerate() {
        let mut parts = step.fields(left);
        // What is said unasked can be looked at; nothing is sent.
        match parts.take("expect") {
            Some(field) if number == 0 && *kind == Kind::Tcp => looked_for(&field, probe, left),
            Some(field) => field.leave(
                left,
                "of what a server says, only the beginning is looked at, and that over plain TCP",
            ),
            None => {}
        }
        parts.leave(left, |key| match key {
            "send" => "nothing is sent: a target of `smtp`, `redis`, `postgres` or `nats` speaks the server's language",
            "starttls" => "TLS is not begun in the midst: probe the `tls://` port",
            _ => "an estate has nothing like it",
        });
    }
}

fn dns(fields: &mut Fields<'_>, left: &mut Left) {
    let _ = (fields.take("query_name"), fields.take("query_type"));
    let rcodes = fields.items("valid_rcodes", left);
    let other = rcodes.iter().find(|field| field.raw(&mut Left::default()) != Some("NOERROR"));
    if let Some(other) = other {
        other.leave(left, "an answer without an error, and with a record, is good, and no other");
    }
    if let Some(field) = fields.take("transport_protocol")
        && field.raw(left) == Some("tcp")
    {
        field.leave(left, "resolvers are asked over UDP, and over TCP where an answer is too long for that");
    }
    for key in ["validate_answer_rrs", "validate_authority_rrs", "validate_additional_rrs"] {
        if let Some(field) = fields.take(key) {
            field.leave(left, "records that must be there are listed whole: `expect.answers`");
        }
    }
    if let Some(field) = fields.take("recursion_desired").filter(|field| field.flag(left) == Some(false)) {
        field.leave(left, "recursion is always asked for");
    }
}

/// Looks for what a pattern stands for, if that is one text.
fn looked_for(field: &Field<'_>, probe: &mut Probe, left: &mut Left) {
    let Some(pattern) = field.raw(left) else { return };
    match plain(pattern) {
        Some((text, loose)) => {
            if loose {
                field.leave(left, "it is looked for wherever it stands, and `.` stands for itself");
            }
            probe.set_contains(&text, field, left);
        }
        None => field.leave(left, "`expect.contains` takes one text without patterns: choose a part of it"),
    }
}

/// The one text that a regular expression stands for, and whether the expression says more: that it stands at the beginning
/// or end, or that there may be something else in the place of a `.`.
fn plain(pattern: &str) -> Option<(String, bool)> {
    let inner = pattern.strip_prefix('^').unwrap_or(pattern);
    let inner = inner.strip_suffix('$').filter(|rest| !rest.ends_with('\\')).unwrap_or(inner);
    let mut loose = inner.len() < pattern.len();
    let inner = inner.strip_prefix(".*").unwrap_or(inner);
    let inner = inner.strip_suffix(".*").filter(|rest| !rest.ends_with('\\')).unwrap_or(inner);
    let mut text = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(char::is_ascii_punctuation)?),
            '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => return None,
            '.' => {
                loose = true;
                text.push('.');
            }
            c => text.push(c),
        }
    }
    (!text.is_empty()).then_some((text, loose))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_stand_for_one_text_are_found() {
        let check = |pattern: &str, wanted: Option<(&str, bool)>| {
            let found = plain(pattern);
            assert_eq!(found.as_ref().map(|(text, loose)| (text.as_str(), *loose)), wanted, "{pattern}");
        };
        check("all good", Some(("all good", false)));
        check(".*all good.*", Some(("all good", false)));
        check("^SSH-2.0-", Some(("SSH-2.0-", true)));
        check(r"^\+OK$", Some(("+OK", true)));
        check(r"5\$", Some(("5$", false)));
        check(r"a\.b", Some(("a.b", false)));
        for none in ["", "^$", ".*", r"\d", "a|b", "a+", "(a)", "[a]", "a{2}", r"a\", "colou?r"] {
            check(none, None);
        }
    }
}
