//! Uptime Kuma: the JSON of its backup. A monitor becomes a probe, a group of them a service that needs each.

mod request;

use std::{collections::BTreeMap, time::Duration};

use super::{
    draft::Draft,
    json,
    probes::{Aim, Probe, times},
    source::Source,
    tree::{Broken, Field, Fields, Left, Value},
};

/// Time from one check to the next, where nothing is said.
const USUAL_EVERY: Duration = Duration::from_secs(60);
/// What a monitor has that is no setting, or says nothing to its type.
const PASSED_OVER: [&str; 24] = [
    "id",
    "type",
    "name",
    "url",
    "hostname",
    "port",
    "weight",
    "active",
    "forceInactive",
    "pathName",
    "path",
    "childrenIDs",
    "parent",
    "screenshot",
    "includeSensitiveData",
    "maintenance",
    "dns_last_result",
    "packetSize",
    "accepted_statuscodes",
    "dns_resolve_type",
    "dns_resolve_server",
    "resendInterval",
    "retryInterval",
    "user_id",
];
/// What only some types look at, and others hold all the same.
const OF_TYPES: [&str; 8] =
    ["mqtt", "grpc", "radius", "kafkaProducer", "rabbitmq", "snmp", "docker_", "oauth_"];

/// Reads a backup of Uptime Kuma.
pub(super) fn import(text: &str, left: &mut Left) -> Result<Draft, Broken> {
    // Nothing at all is no JSON, but says nothing either.
    if text.trim().is_empty() || text.trim_start().starts_with('#') {
        return Ok(Draft::default());
    }
    let tree = json::json(text)?;
    let mut draft = Draft::default();
    let mut root = Fields::root(&tree, left);
    let _ = root.take("version");
    let list = root.take("monitorList");
    let monitors = match list.as_ref().map(|field| &field.tree.value) {
        Some(Value::Map(_)) => {
            list.iter().flat_map(|list| list.fields(left).rest()).map(|(_, field)| field).collect()
        }
        Some(Value::List(_) | Value::Text(_) | Value::Null) | None => {
            list.map(|list| list.items(left)).unwrap_or_default()
        }
    };
    let groups = groups(&monitors);
    let mut redirects = None;
    for monitor in &monitors {
        monitor_of(monitor, &groups, &mut draft, &mut redirects, left);
    }
    if let Some((path, line)) = redirects {
        left.add(
            &path,
            line,
            "redirects are not followed, here and in all other monitors: name the URL that they lead to",
        );
    }
    root.leave(left, |key| match key {
        "notificationList" => {
            "whom to tell is no part of an estate: let Prometheus take the metrics, and its alerts tell"
        }
        "proxyList" => "targets are connected to directly",
        _ => "an estate has nothing like it",
    });
    Ok(draft)
}

/// The names of groups by their numbers.
fn groups<'a>(monitors: &[Field<'a>]) -> BTreeMap<&'a str, &'a str> {
    let mut groups = BTreeMap::new();
    for monitor in monitors {
        let mut unheard = Left::default();
        let mut fields = monitor.fields(&mut unheard);
        let mut text = |key| fields.take(key).and_then(|field| field.raw(&mut unheard));
        if let (Some("group"), Some(id), Some(name)) = (text("type"), text("id"), text("name")) {
            groups.insert(id, name);
        }
    }
    groups
}

/// Where and how a monitor looks.
struct Looked<'a> {
    /// Its type.
    kind: &'a str,
    /// Where the target stands.
    field: Field<'a>,
    aim: Aim,
}

fn monitor_of(
    monitor: &Field<'_>,
    groups: &BTreeMap<&str, &str>,
    draft: &mut Draft,
    redirects: &mut Option<(String, usize)>,
    left: &mut Left,
) {
    let mut fields = monitor.fields(left);
    let kind = fields.take("type").and_then(|field| field.raw(left)).unwrap_or("http");
    let on = fields.take("active").and_then(|field| field.raw(left));
    if kind == "group" {
        if fields.peek("parent").is_some() {
            monitor.leave(left, "groups within groups carry over as groups of their own: have the outer service need the inner one");
        }
        return;
    }
    // So is what stands in a group that is not active.
    let forced = fields.take("forceInactive").and_then(|field| field.raw(left)) == Some("true");
    if forced || on.is_some_and(|on| on == "false" || on == "0") {
        monitor.leave(left, "it is not active");
        return;
    }
    if let Some(turned) = fields.take("upsideDown").filter(|field| field.raw(left) == Some("true")) {
        turned.leave(left, "that it is down is never good: it makes no probe");
        return;
    }
    let name = fields.take("name").and_then(|field| field.raw(left)).unwrap_or(kind);
    let Some(Looked { kind, field, aim }) = looked(kind, name, monitor, &mut fields, draft, left) else {
        return;
    };
    let mut probe = Probe::new(aim, USUAL_EVERY, USUAL_EVERY);
    let every = fields.take("interval").and_then(|field| seconds(&field, left)).unwrap_or(USUAL_EVERY);
    let timeout = fields.take("timeout").and_then(|field| seconds(&field, left));
    // What Uptime Kuma takes by itself: eight tenths of the interval.
    (probe.every, probe.timeout) = times(every, timeout, every.mul_f64(0.8), monitor, left);
    if probe.is_http() {
        let follows = fields.take("maxredirects").and_then(|field| field.raw(left)).unwrap_or("10") != "0";
        if follows {
            redirects.get_or_insert((field.path.clone(), field.tree.line));
        }
        request::settings(kind, monitor, &mut fields, &mut probe, name, draft, left);
    }
    let group =
        fields.take("parent").and_then(|field| field.raw(left)).and_then(|id| groups.get(id)).copied();
    leave(fields, kind, left);
    draft.add_probe(name, group, probe, monitor, left);
}

/// A time in seconds.
fn seconds(field: &Field<'_>, left: &mut Left) -> Option<Duration> {
    let text = field.raw(left)?;
    let time = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = time.filter(|time| !time.is_zero() && *time <= Duration::from_secs(1 << 32));
    if time.is_none() && text != "0" {
        field.leave(left, "it is no time in seconds");
    }
    time
}

/// The target of a monitor. `None` if it has none; why has been told.
fn looked<'a>(
    kind: &'a str,
    name: &str,
    monitor: &Field<'a>,
    fields: &mut Fields<'a>,
    draft: &mut Draft,
    left: &mut Left,
) -> Option<Looked<'a>> {
    let refused = match kind {
        "ping" | "tailscale-ping" => "nobody is pinged: probe a port that answers, as in `tcp://host:443`",
        "push" => "a probe asks, and is told nothing: have what is to be watched answer",
        "docker" => "containers are not asked about: probe what they serve",
        "steam" | "gamedig" | "radius" | "snmp" => "only what answers over TCP, HTTP or DNS is probed",
        "grpc-keyword" => "calls of gRPC are not made: see that its port answers with `tls://` or `tcp://`",
        "manual" => "nobody sets a probe by hand",
        "kafka-producer" | "rabbitmq" | "system-service" | "sip-options" => {
            "it is spoken to in no way that a probe knows: see that its port answers with `tcp://`"
        }
        _ => "",
    };
    if !refused.is_empty() {
        monitor.leave(left, refused);
        return None;
    }
    let url = ["databaseConnectionString", "database_connection_string", "url"];
    let (field, text) = match kind {
        "http" | "keyword" | "json-query" | "real-browser" | "websocket-upgrade" => {
            let Some(field) = fields.take("url") else {
                monitor.leave(left, "it says nowhere what it looks at");
                return None;
            };
            let text = field.raw(left)?.to_owned();
            (field, text)
        }
        "redis" | "postgres" | "mysql" | "mongodb" | "sqlserver" => {
            let found = url.into_iter().find_map(|key| fields.take(key));
            let Some(field) = found else {
                monitor.leave(left, "it says nowhere what it looks at");
                return None;
            };
            let text = database(kind, field.raw(left)?);
            if text.is_none() {
                field.leave(left, "it does not say which host and port: probe them with `tcp://`");
            }
            (field, text?)
        }
        _ => at_port(kind, monitor, fields, left)?,
    };
    let aim = draft.target(&text, Source::Literal(text.clone()), name, &field, left)?;
    match kind {
        "real-browser" => monitor.leave(left, "the page is asked for, and nothing on it is run"),
        "redis" => field.leave(left, "no password is sent: that the server answers is checked"),
        "postgres" => field.leave(
            left,
            "that the server takes connections is checked: nobody logs in, and nothing is asked",
        ),
        "mysql" | "mongodb" | "sqlserver" | "mqtt" => {
            field.leave(left, "that its port takes connections is checked, and nothing is asked");
        }
        _ => {}
    }
    Some(Looked { kind, field, aim })
}

/// The target of a monitor that has a host and a port.
fn at_port<'a>(
    kind: &str,
    monitor: &Field<'a>,
    fields: &mut Fields<'a>,
    left: &mut Left,
) -> Option<(Field<'a>, String)> {
    let Some(field) = fields.take("hostname") else {
        let reason = match kind {
            "port" | "dns" | "mqtt" | "smtp" => "it says nowhere what it looks at",
            _ => "there is no such kind of check here: see `target` of `[probes.NAME]`",
        };
        monitor.leave(left, reason);
        return None;
    };
    let host = field.raw(left)?;
    // Some write `mqtt://host`.
    let host = host.split_once("://").map_or(host, |(_, host)| host);
    let shown =
        if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
    let port = fields.take("port").and_then(|field| field.raw(left));
    let text = match kind {
        "port" => format!("tcp://{shown}:{}", port.unwrap_or_default()),
        "mqtt" => format!("tcp://{shown}:{}", port.unwrap_or("1883")),
        "smtp" => {
            let secure = fields.take("smtpSecurity").and_then(|field| field.raw(left));
            match secure {
                Some("secure") => format!("smtps://{shown}:{}", port.unwrap_or("465")),
                _ => format!("smtp://{shown}:{}", port.unwrap_or("25")),
            }
        }
        "dns" => {
            let kind = fields.take("dns_resolve_type").and_then(|field| field.raw(left)).unwrap_or("A");
            let servers =
                fields.take("dns_resolve_server").and_then(|field| field.raw(left)).unwrap_or_default();
            let mut servers = servers.split(',').map(str::trim).filter(|server| !server.is_empty());
            let server = servers.next();
            if servers.next().is_some() {
                monitor.leave(left, "a probe asks one resolver, the first: make another probe for each");
            }
            match server {
                Some(server) => {
                    let v6 = server.contains(':') && !server.starts_with('[');
                    let server = if v6 { format!("[{server}]") } else { server.to_owned() };
                    let port = port.map_or(String::new(), |port| format!(":{port}"));
                    format!("dns://{server}{port}/{host}?type={kind}")
                }
                None => format!("dns:{host}?type={kind}"),
            }
        }
        _ => {
            monitor.leave(left, "there is no such kind of check here: see `target` of `[probes.NAME]`");
            return None;
        }
    };
    Some((field, text))
}

/// The target of a database's connection string, without the user, the password and the database.
fn database(kind: &str, text: &str) -> Option<String> {
    let (scheme, usual) = match kind {
        "redis" => (if text.starts_with("rediss:") { "rediss" } else { "redis" }, "6379"),
        "postgres" => ("postgres", "5432"),
        "mysql" => ("tcp", "3306"),
        "mongodb" => ("tcp", "27017"),
        _ => ("tcp", "1433"),
    };
    let at = match text.split_once("://") {
        Some((_, rest)) => {
            let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
            rest.rsplit_once('@').map_or(rest, |(_, at)| at).to_owned()
        }
        // As in `Server=db.example,1433;Database=…`.
        None => {
            let value = |part: &str| {
                let (key, value) = part.split_once('=')?;
                let known = ["server", "data source", "host", "hostname"];
                known.contains(&key.trim().to_ascii_lowercase().as_str()).then(|| value.trim().to_owned())
            };
            text.split(';').find_map(value)?.replace(',', ":")
        }
    };
    let ported = at.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let at = if ported { at } else { format!("{at}:{usual}") };
    (!at.starts_with(':')).then(|| format!("{scheme}://{at}"))
}

/// Tells of what is set and does not carry over. Every monitor has every setting, most of them as they are by themselves.
fn leave(mut fields: Fields<'_>, kind: &str, left: &mut Left) {
    for (key, field) in fields.rest() {
        let idle = PASSED_OVER.contains(&key) || OF_TYPES.iter().any(|prefix| key.starts_with(prefix));
        let off = matches!(&field.tree.value, Value::Text(text) if text == "false" || text == "0");
        if idle || off {
            continue;
        }
        let why = match key {
            "notificationIDList" => {
                "whom to tell is no part of an estate: let Prometheus take the metrics, and its alerts tell"
            }
            "maxretries" => "a failed check is not repeated before its turn: the verdict is over several",
            "ignoreTls" => {
                "certificates are always checked: give the server one that holds, or probe it with `tcp://`"
            }
            "expiryNotification" | "domainExpiryNotification" => {
                "each check tells how many days a certificate has left: see `seawall probe`"
            }
            "proxyId" => "targets are connected to directly",
            "tags" | "description" => {
                "a probe has its name and what it speaks of (`of`), and nothing more is shown"
            }
            "databaseQuery" => "nothing is asked of a database",
            "conditions" => "records that must be there are listed whole: `expect.answers`",
            "invertKeyword" => "a text that must not be there is not looked for",
            "ipFamily" | "cacheBust" => "an estate has nothing like it",
            // A monitor that was of another type once still holds what it said then.
            "keyword"
            | "jsonPath"
            | "expectedValue"
            | "jsonPathOperator"
            | "method"
            | "body"
            | "headers"
            | "httpBodyEncoding"
            | "maxredirects"
            | "timeout"
            | "authMethod"
            | "game"
            | "gamedigGivenPortOnly"
            | "remote_browser"
            | "smtpSecurity"
            | "pushToken"
            | "databaseConnectionString" => continue,
            _ if kind == "dns" && key == "port" => continue,
            _ => "an estate has nothing like it",
        };
        field.leave(left, why);
    }
}
