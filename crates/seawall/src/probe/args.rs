//! What is asked of `seawall probe`.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use http::Method;
use seawall_model::units::parse_duration;
use seawall_probe::{
    Check, Target,
    core::{
        assert::names,
        check::HttpVersion,
        expect::{JsonValue, Pattern, Statuses, read_hex},
        target::RecordKind,
    },
    estate::{header, read_resolver},
};
use seawall_rules::Rule;
use serde_json::{Value, json};

use super::ProbeError;
use crate::estate::{self, Surroundings};

/// Where the system says who resolves names.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Checks one target now, and tells what is wrong with it and what to do
///
/// Prints what curl, dig and openssl together would: the addresses, how long each part took, the chain of certificates
/// with the days they have left, the answer, and where it failed. Every check is made over a fresh connection.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
TARGETS
  https://shop.example/health   http://127.0.0.1:8080   wss://eth.example/ws
  evm+https://eth.example/v2    (head of a chain: its age, syncing, peers, client, gas price)
  icmp://gateway.example        (ping)   ntp://time.example   (the clocks' offset)
  udp://game.example:27015      (what --body or --body-hex sends must be answered)
  heads+http://node:8545, op-node+http://node:9545, conductor+http://node:8547
                                (what a part of a rollup says: heads by tag; who leads, votes and is well)
  dns:shop.example              dns://1.1.1.1/shop.example?type=SOA
  tls://mail.example:993        tcp://db.example:5432
  grpcs://pay.example/pay.v1.Payments   (health as gRPC tells it; of the server itself without a name)
  smtp://mail.example   redis://cache.example   postgres://db.example   nats://bus.example

EXAMPLES
  seawall probe https://shop.example/health --contains ok
  seawall probe https://api.example/me --header 'authorization: env:TOKEN' --json-value /active=true
  seawall probe https://shop.example --http 2
  seawall probe ntp://time.example --max-offset 50ms
  seawall probe evm+https://eth.example --max-head-age 30s --every 5s
  seawall probe https://api.example/state --assert 'status == 200' --assert 'certificate.days_left > 14'

EXIT CODES
  0  the target does as it should    1  the check failed    2  it could not be made")]
pub struct ProbeArgs {
    /// What to check
    #[arg(value_name = "TARGET", required_unless_present = "journey")]
    pub target: Option<String>,
    /// A journey of the estate, which is made once, instead of a target
    #[arg(long, value_name = "NAME", conflicts_with_all = ["target", "every"])]
    pub journey: Option<String>,
    /// With `--journey`: the estate, a file or a directory
    #[arg(long, value_name = "PATH", default_value = "seawall.toml")]
    pub estate: PathBuf,
    /// Time the check may take in all
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub timeout: Duration,
    /// Version of HTTP to speak, and no other; `2` over plain `http` as servers that know beforehand speak it
    #[arg(long, value_name = "VERSION", default_value = "1.1", value_parser = ["1.1", "2"])]
    pub http: String,
    /// HTTP method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// HTTP header, as in `name: value`; the value may be `env:NAME`
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    pub headers: Vec<String>,
    /// HTTP body, or the datagram to `udp://`
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub body: String,
    /// The datagram to `udp://` in hexadecimal
    #[arg(long, value_name = "HEX", conflicts_with = "body")]
    pub body_hex: Option<String>,
    /// Good HTTP statuses, as in `200`, `2xx` or `200-204,301`; anything below 400 if absent
    #[arg(long, value_name = "STATUS")]
    pub status: Option<String>,
    /// A text that the answer must hold
    #[arg(long, value_name = "TEXT")]
    pub contains: Option<String>,
    /// A regular expression that must match somewhere in the answer
    #[arg(long, value_name = "PATTERN")]
    pub matches: Option<String>,
    /// Bytes in hexadecimal that what comes back from `tcp://` or `udp://` must hold
    #[arg(long, value_name = "HEX")]
    pub hex: Option<String>,
    /// A value that a JSON answer must have, as in `/status/db="up"` (what is no JSON is a text)
    #[arg(long, value_name = "POINTER=VALUE")]
    pub json_value: Option<String>,
    /// A condition in CEL that must hold, as in `status == 200` or `timings.total_ms < 500`
    #[arg(long = "assert", value_name = "RULE")]
    pub rules: Vec<String>,
    /// A record that must be among the answers to a DNS question
    #[arg(long = "answer", value_name = "RECORD")]
    pub answers: Vec<String>,
    /// Oldest that the newest block of a chain may be
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub max_head_age: Option<Duration>,
    /// Farthest that a time server's clock may be from this machine's
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub max_offset: Option<Duration>,
    /// Protocols to offer in a `tls://` handshake (ALPN)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub alpn: Vec<String>,
    /// Who resolves names, as in `1.1.1.1` or `[::1]:5353`; the system's resolver if absent
    #[arg(long, value_name = "ADDRESS")]
    pub resolver: Option<String>,
    /// PEM file of certificate authorities to trust besides the built-in ones
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Checks again and again, and sums up at the end (Ctrl-C)
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub every: Option<Duration>,
    /// With `--every`: over one connection for as long as it lives
    #[arg(long, requires = "every")]
    pub reuse: bool,
    /// Prints JSON; with `--every` one object a line
    #[arg(long)]
    pub json: bool,
}

impl ProbeArgs {
    /// The check that is asked for.
    pub(super) fn check(&self, with: &Surroundings<'_>) -> Result<Check, ProbeError> {
        if let Some(name) = &self.journey {
            return journey(&self.estate, name, with);
        }
        let target = self.target.as_deref().unwrap_or_default();
        let mut check = Check::new(target.parse().map_err(ProbeError::Target)?);
        let bad = |option, why: &str| ProbeError::Option { option, why: why.to_owned() };
        check.timeout = self.timeout;
        check.fresh = !self.reuse;
        if self.http == HttpVersion::Two.as_str() {
            check.speak(HttpVersion::Two);
        }
        let method = Method::from_bytes(self.method.as_bytes());
        check.method = method.map_err(|_| bad("--method", "is none that a request can have"))?;
        let hex = |option, text: &str| {
            let read = read_hex(text).filter(|bytes| !bytes.is_empty());
            read.ok_or_else(|| bad(option, "is not written in hexadecimal, two digits a byte"))
        };
        check.body = match &self.body_hex {
            Some(text) => hex("--body-hex", text)?.into(),
            None => self.body.clone().into(),
        };
        for text in &self.headers {
            let (name, value) = named(text, with)?;
            let malformed = "is no header that can be set; write `name: value`";
            let (name, value) = header(&name, &value).ok_or_else(|| bad("--header", malformed))?;
            check.headers.insert(name, value);
        }
        if let Some(text) = &self.status {
            let read = Statuses::parse(text);
            check.expect.status =
                read.ok_or_else(|| bad("--status", "is no HTTP status; write `200` or `2xx`"))?;
        }
        check.expect.contains.clone_from(&self.contains);
        if let Some(text) = &self.matches {
            let why = |why: String| bad("--matches", &format!("is no regular expression: {why}"));
            check.expect.matches = Some(Pattern::parse(text).map_err(why)?);
        }
        if let Some(text) = &self.hex {
            check.expect.bytes = hex("--hex", text)?;
        }
        check.expect.max_offset = self.max_offset;
        check.expect.json = match &self.json_value {
            Some(text) => {
                let read =
                    value(text).ok_or_else(|| bad("--json-value", "is not written as `/pointer=value`"))?;
                Some(read)
            }
            None => None,
        };
        check.expect.answers.clone_from(&self.answers);
        check.expect.head_age = self.max_head_age;
        if !self.alpn.is_empty() {
            check.alpn = self.alpn.iter().map(|name| name.as_str().into()).collect();
        }
        check.resolver = match &self.resolver {
            Some(text) => {
                let why = "is no address; write `1.1.1.1` or `[::1]:5353`";
                Some(read_resolver(text).ok_or_else(|| bad("--resolver", why))?)
            }
            None => None,
        };
        let names = names(&check.target, check.fresh);
        for text in &self.rules {
            let rule = Rule::condition(text, &names);
            check.expect.rules.push(rule.map_err(|error| ProbeError::Rule { rule: text.clone(), error })?);
        }
        self.name_resolver(&mut check)?;
        Ok(check)
    }

    /// What the system's library cannot ask for is asked of the resolver that the system names.
    fn name_resolver(&self, check: &mut Check) -> Result<(), ProbeError> {
        let Target::Dns(question) = &check.target else { return Ok(()) };
        let nobody = question.resolver.is_none() && check.resolver.is_none();
        if !nobody || matches!(question.kind, RecordKind::A | RecordKind::Aaaa) {
            return Ok(());
        }
        let named = fs::read_to_string(RESOLV_CONF).ok().and_then(|text| {
            text.lines().find_map(|line| read_resolver(line.strip_prefix("nameserver")?.trim()))
        });
        let why = format!(
            "must be given: {RESOLV_CONF} names nobody to ask for {} records",
            question.kind.as_str()
        );
        check.resolver = Some(named.ok_or(ProbeError::Option { option: "--resolver", why })?);
        Ok(())
    }
}

/// The journey of that name.
fn journey(estate: &Path, name: &str, with: &Surroundings<'_>) -> Result<Check, ProbeError> {
    let estate = estate::load(estate, with)?;
    let probes = estate.probes.iter().flat_map(|section| &section.probes);
    let mut journeys = probes.filter(|probe| matches!(probe.check.target, Target::Journey(_)));
    let found = journeys.find(|probe| probe.name.as_str() == name).map(|probe| (*probe.check).clone());
    let why = || format!("`{name}` is none of the estate's journeys");
    found.ok_or_else(|| ProbeError::Option { option: "--journey", why: why() })
}

/// A header's name and value, fetched from the environment if it says so.
fn named(text: &str, with: &Surroundings<'_>) -> Result<(String, String), ProbeError> {
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    let value = value.trim();
    let value = match value.strip_prefix("env:") {
        Some(variable) => {
            let unset = |_| ProbeError::Option {
                option: "--header",
                why: format!("names `{variable}`, which is not set"),
            };
            (with.variable)(variable).map_err(unset)?
        }
        None => value.to_owned(),
    };
    Ok((name.trim().to_owned(), value))
}

fn value(text: &str) -> Option<JsonValue> {
    let (pointer, value) = text.split_once('=')?;
    let good = pointer.is_empty() || pointer.starts_with('/');
    let equals = serde_json::from_str::<Value>(value).unwrap_or_else(|_| json!(value));
    good.then(|| JsonValue { pointer: pointer.to_owned(), equals })
}
