//! Gatus: YAML. An endpoint becomes a probe, a group of them a service that needs each.

mod condition;

use std::time::Duration;

use seawall_probe::Target;
use serde_json::json;

use self::condition::Conditions;
use super::{
    draft::Draft,
    probes::{Probe, times},
    source::Source,
    tree::{Broken, Field, Fields, Left},
    yaml,
};

/// Time from one check to the next, where nothing is said.
const USUAL_EVERY: Duration = Duration::from_secs(60);
/// Longest that a check takes, where nothing is said.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads Gatus' configuration.
pub(super) fn import(text: &str, left: &mut Left) -> Result<Draft, Broken> {
    let tree = yaml::yaml(text)?;
    let mut draft = Draft::default();
    let mut root = Fields::root(&tree, left);
    if let Some(checker) = root.take("connectivity").and_then(|field| field.fields(left).take("checker")) {
        anchors(&checker, &mut draft, left);
    }
    if let Some(most) = root.take("concurrency").and_then(|field| field.number(left)) {
        // None is as many as there are.
        if (1..=100_000).contains(&most) {
            draft.watch.set("concurrency", most);
        }
    }
    let mut redirects = None;
    for key in ["endpoints", "services"] {
        for endpoint in root.items(key, left) {
            endpoint_of(&endpoint, &mut draft, &mut redirects, left);
        }
    }
    if let Some((path, line)) = redirects {
        left.add(
            &path,
            line,
            "redirects are not followed, here and in all other endpoints: name the URL that they lead to",
        );
    }
    for pushed in root.items("external-endpoints", left) {
        pushed.leave(left, "a probe asks, and is told nothing: have what is to be watched answer");
    }
    for suite in root.items("suites", left) {
        suite.leave(left, "a probe is one request: make one for each step that can be asked by itself");
    }
    root.leave(left, |key| match key {
        "alerting" => {
            "whom to tell is no part of an estate: let Prometheus take the metrics, and its alerts tell"
        }
        "storage" => "a probe does not say where its results are kept",
        "web" | "ui" | "announcements" => {
            "nothing is shown to people: the admin listener (`[listen] admin`) tells programs"
        }
        "security" => "the admin listener stays at 127.0.0.1 until `[listen]` has an `admin_token`",
        "metrics" => "the admin listener always has `/metrics`",
        "maintenance" => "a probe has no windows of maintenance",
        "remote" => "each instance tells of its own probes",
        "disable-monitoring-lock" => "checks run side by side, `concurrency` of `[watch]` at once",
        "skip-invalid-config-update" => "an estate that does not pass is never taken over",
        "tunneling" => "targets are connected to directly",
        _ => "an estate has nothing like it",
    });
    Ok(draft)
}

/// `connectivity.checker`: what tells whether the prober itself is cut off.
fn anchors(checker: &Field<'_>, draft: &mut Draft, left: &mut Left) {
    let mut fields = checker.fields(left);
    if let Some(target) = fields.take("target")
        && let Some(text) = target.text(left)
    {
        let anchor = if text.contains("://") { text.to_owned() } else { format!("tcp://{text}") };
        match anchor.parse::<Target>() {
            Ok(_) => draft.watch.set("anchors", vec![anchor]),
            Err(_) => target.leave(left, "anchors are written as targets, as in `tcp://192.0.2.1:443`"),
        }
    }
    fields.leave(left, |_| "anchors are asked when a check fails, not by the clock");
}

/// The text with what a shell would make of it; `$$` is a `$`.
fn expanded(text: &str) -> Source {
    match Source::of(&text.replace("$$", "\u{0}")) {
        Source::Literal(text) => Source::Literal(text.replace('\u{0}', "$")),
        other @ (Source::Variable(_) | Source::Mixed(_)) => other,
    }
}

fn endpoint_of(
    endpoint: &Field<'_>,
    draft: &mut Draft,
    redirects: &mut Option<(String, usize)>,
    left: &mut Left,
) {
    let mut fields = endpoint.fields(left);
    if fields.take("enabled").and_then(|field| field.flag(left)) == Some(false) {
        endpoint.leave(left, "it is not enabled");
        return;
    }
    let name = fields.take("name").and_then(|field| field.text(left)).unwrap_or("endpoint");
    let group = fields.take("group").and_then(|field| field.text(left));
    let owner = group.map_or_else(|| name.to_owned(), |group| format!("{group}-{name}"));
    let Some(url) = fields.take("url") else {
        endpoint.leave(left, "it has no URL");
        return;
    };
    let dns = fields.take("dns");
    let grpc = fields.take("grpc");
    let Some(Asked { target, says }) = asked(&url, dns.as_ref(), grpc.as_ref(), left) else { return };
    let Some(aim) = draft.target(&target, expanded(&target), &owner, &url, left) else { return };
    let mut probe = Probe::new(aim, USUAL_EVERY, USUAL_TIMEOUT);
    if let Some(says) = says {
        probe.set_contains(says, &url, left);
    }
    let client = fields.take("client").map(|field| client(&field, &mut probe, left)).unwrap_or_default();
    if probe.is_http() && !client.stays {
        redirects.get_or_insert((url.path.clone(), url.tree.line));
    }
    request(&mut fields, &mut probe, &owner, draft, left);
    let every = fields.take("interval");
    let told = every.as_ref().and_then(|field| field.duration(left)).filter(|time| !time.is_zero());
    let mut conditions = Conditions::default();
    for condition in fields.items("conditions", left) {
        conditions.add(&condition, &mut probe, left);
    }
    conditions.settle(&mut probe, endpoint, left);
    let timeout = client.timeout.into_iter().chain(conditions.fastest).min();
    (probe.every, probe.timeout) =
        times(told.unwrap_or(USUAL_EVERY), timeout, USUAL_TIMEOUT, every.as_ref().unwrap_or(endpoint), left);
    fields.leave(left, |key| match key {
        "alerts" => {
            "whom to tell is no part of an estate: let Prometheus take the metrics, and its alerts tell"
        }
        "maintenance-windows" => "a probe has no windows of maintenance",
        "ui" | "extra-labels" | "labels" => {
            "a probe has its name and what it speaks of (`of`), and nothing more is shown"
        }
        "ssh" => "nobody logs in: that the server greets is checked",
        "store" | "always-run" | "depends-on" => "a probe is by itself: values are not handed on",
        _ => "an estate has nothing like it",
    });
    draft.add_probe(&owner, group, probe, endpoint, left);
}

/// What is asked.
struct Asked {
    target: String,
    /// What the server says first, if that is known.
    says: Option<&'static str>,
}

/// The target of a URL; `None` if there is none, and why has been told.
fn asked(
    url: &Field<'_>,
    dns: Option<&Field<'_>>,
    grpc: Option<&Field<'_>>,
    left: &mut Left,
) -> Option<Asked> {
    let text = url.raw(left)?;
    let plain = |target: String| Some(Asked { target, says: None });
    if let Some(dns) = dns {
        let mut fields = dns.fields(left);
        let name = fields.take("query-name").and_then(|field| field.raw(left));
        let kind = fields.take("query-type").and_then(|field| field.raw(left)).unwrap_or("A");
        fields.leave(left, |_| "a question has a name and a type");
        let server = text.split_once("://").map_or(text, |(_, server)| server);
        let name = name.filter(|name| !name.is_empty());
        if name.is_none() {
            dns.leave(left, "it names nothing to ask for");
        }
        let name = name?;
        let name = name.strip_suffix('.').filter(|short| !short.is_empty()).unwrap_or(name);
        return plain(format!("dns://{server}/{name}?type={kind}"));
    }
    if let Some(grpc) = grpc {
        grpc.leave(left, "calls of gRPC are not made: see that its port answers with `tls://` or `tcp://`");
        return None;
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let host = rest.split('/').next().unwrap_or(rest);
    match scheme.to_ascii_lowercase().as_str() {
        "starttls" => {
            url.leave(left, "the server's greeting and its answer to `EHLO` are looked at, and TLS is not begun: add a probe of its `smtps://` or `tls://` port for the certificate");
            plain(format!("smtp://{host}"))
        }
        "ssh" => {
            url.leave(left, "nobody logs in: that the server greets is checked");
            // What follows the last colon of an IPv6 address in brackets is no port.
            let bare = host.rsplit_once(':').is_none_or(|(_, port)| port.ends_with(']'));
            let host = if bare { format!("{host}:22") } else { host.to_owned() };
            Some(Asked { target: format!("tcp://{host}"), says: Some("SSH-") })
        }
        "icmp" => {
            url.leave(left, "nobody is pinged: name a port that answers, as in `tcp://host:443`");
            None
        }
        "udp" | "sctp" => {
            url.leave(left, "only what answers over TCP, HTTP or DNS is probed");
            None
        }
        "domain" => {
            url.leave(left, "when a registration ends is not looked up");
            None
        }
        _ => plain(text.to_owned()),
    }
}

/// What the client does.
#[derive(Debug, Default)]
struct Client {
    timeout: Option<Duration>,
    /// True if it follows no redirects.
    stays: bool,
}

fn client(client: &Field<'_>, probe: &mut Probe, left: &mut Left) -> Client {
    let mut fields = client.fields(left);
    let timeout =
        fields.take("timeout").and_then(|field| field.duration(left)).filter(|time| !time.is_zero());
    let stays = fields.take("ignore-redirect").and_then(|field| field.flag(left)) == Some(true);
    if let Some(resolver) = fields.take("dns-resolver")
        && let Some(text) = resolver.text(left)
    {
        let (scheme, at) = text.split_once("://").unwrap_or(("udp", text));
        if scheme != "udp" {
            resolver.leave(
                left,
                "resolvers are asked over UDP, and over TCP where an answer is too long for that",
            );
        }
        probe.set_resolver(at, &resolver, left);
    }
    if let Some(insecure) = fields.take("insecure")
        && insecure.flag(left) == Some(true)
    {
        insecure.leave(
            left,
            "certificates are always checked: give the server one that holds, or probe it with `tcp://`",
        );
    }
    fields.leave(left, |key| match key {
        "oauth2" | "identity-aware-proxy" => {
            "a token is a header: `headers = { authorization = \"env:NAME\" }`"
        }
        "tls" => "no certificate is shown to servers",
        "proxy-url" | "tunnel" => "targets are connected to directly",
        _ => "an estate has nothing like it",
    });
    Client { timeout, stays }
}

/// Method, headers and body.
fn request(fields: &mut Fields<'_>, probe: &mut Probe, owner: &str, draft: &mut Draft, left: &mut Left) {
    if let Some(method) = fields.take("method")
        && let Some(text) = method.text(left)
    {
        probe.set_method(text, &method, left);
    }
    let headers = fields.take("headers").map(|field| field.fields(left).rest()).unwrap_or_default();
    for (name, field) in headers {
        let source = field.raw(left).map(expanded);
        let value = source.and_then(|source| draft.secret(source, ("a header", name), owner, &field, left));
        if let Some(value) = value {
            probe.set_header(name, value, &field, left);
        }
    }
    let graphql = fields.take("graphql").and_then(|field| field.flag(left)) == Some(true);
    let Some(body) = fields.take("body") else { return };
    let source = match body.raw(left).map(expanded) {
        // A question in GraphQL is wrapped in JSON.
        Some(Source::Literal(text)) if graphql => {
            if probe.headers.iter().all(|(name, _)| name != "content-type") {
                probe.set_header("content-type", "application/json".to_owned(), &body, left);
            }
            Source::Literal(json!({ "query": text }).to_string())
        }
        Some(Source::Variable(_) | Source::Mixed(_)) if graphql => {
            body.leave(left, "a body comes whole from the environment: set `body` to a variable that holds `{\"query\": …}`");
            return;
        }
        Some(source) => source,
        None => return,
    };
    if let Some(text) = draft.secret(source, ("a body", "BODY"), owner, &body, left) {
        probe.set_body(text, &body, left);
    }
}
