//! `[auth]` and `[pools.NAME.access]`: who may do what.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use seawall_model::{
    Name, Secret, choice,
    estate::{At, Code, Place, Problem, Problems, Resolve, SecretSource, Table},
    section,
    units::Rate,
};

use super::{
    cors::{self, CorsSection, RawCors},
    raw::RawPool,
    validate::{time, within},
};
use crate::{
    access::token::Verifier,
    core::{
        claims::Rules,
        glob::{Glob, Methods},
    },
};

/// Most clients, and most of anything that one of them lists.
const MAX_CLIENTS: usize = 10_000;
const MAX_LISTED: usize = 256;
/// Most calls a client may be allowed at once.
const MAX_CONCURRENCY: u32 = 1_000_000;
/// What a key's hash begins with.
const HASH: &str = "sha256:";
/// Longest leeway: a token that ended longer ago has ended.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

section! {
    /// Who may use what the gateway serves.
    pub struct RawAuth {
        /// What clients must show: `key`, `token`, `certificate`, any one of those listed. Nothing if empty. A pool may
        /// say otherwise.
        require: Vec<At<RawProof>>, default([]);
        /// Clients known by name.
        clients: Table<RawClient>, default({});
        /// Tokens (JWT) that are taken.
        token: At<RawToken>, optional;
    }
}

choice! {
    /// What a client may show for itself.
    pub enum RawProof {
        /// A key of one of `[auth.clients]`.
        Key = "key",
        /// A token by `[auth.token]`.
        Token = "token",
        /// A certificate by `client_ca` of `[listen.tls]`.
        Certificate = "certificate",
    }
}

section! {
    /// A client known by name.
    pub struct RawClient {
        /// Its keys' hashes, as `seawall key new` prints them: `sha256:` and 64 hexadecimal digits.
        hash: Vec<At<String>>, default([]);
        /// A key of its, where the estate has the key itself: `env:NAME` or `file:PATH`.
        key: At<SecretSource>, optional;
        /// What its tokens call it.
        subject: Vec<At<String>>, default([]);
        /// What its certificates call it, as in `spiffe://example.org/desk` or `desk.example.org`.
        certificate: Vec<At<String>>, default([]);
        /// The pools it may use; all if absent.
        pools: Vec<At<Name>>, optional;
        /// The methods it may call, as in `["eth_*", "GET /v1/*"]`; all if absent.
        allow: Vec<At<String>>, optional;
        /// Methods it may not call, whatever `allow` says.
        deny: Vec<At<String>>, default([]);
        /// Most calls it may make. Counted in whole calls a second.
        rate: At<Rate>, optional;
        /// Most calls of its that may be under way at once.
        concurrency: At<u32>, optional;
    }
}

section! {
    /// Tokens (JWT) that are taken.
    pub struct RawToken {
        /// The issuer's public keys (a JWK set, RFC 7517): `file:PATH`, `env:NAME` or the text itself.
        jwks: At<SecretSource>, optional;
        /// The secret that tokens are signed with (HS256): `env:NAME` or `file:PATH`.
        secret: At<SecretSource>, optional;
        /// Who must have issued it.
        issuer: At<String>, optional;
        /// Whom it must be for, one of these.
        audience: Vec<At<String>>, default([]);
        /// How far clocks may be apart.
        leeway: At<Duration>, default("30s");
        /// The claim that names the client.
        claim: At<String>, default("sub");
    }
}

section! {
    /// Who may use a pool, and for what.
    pub struct RawAccess {
        /// What clients must show, instead of what `[auth]` says.
        require: Vec<At<RawProof>>, optional;
        /// The methods that may be called, as in `["eth_*", "GET /v1/*"]`; all if absent.
        allow: Vec<At<String>>, optional;
        /// Methods that may not be called, whatever `allow` says.
        deny: Vec<At<String>>, default([]);
        /// Which web pages may use it.
        cors: At<RawCors>, optional;
    }
}

/// Who may use what the gateway serves.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AuthSection {
    /// Clients known by name, in name order.
    pub clients: Vec<ClientSection>,
    /// Tokens that are taken.
    pub token: Option<TokenSection>,
}

/// A client known by name.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientSection {
    /// Its name.
    pub name: Name,
    /// SHA-256 of its keys.
    pub hashes: Vec<[u8; 32]>,
    /// What its tokens call it.
    pub subjects: Vec<String>,
    /// What its certificates call it.
    pub certificates: Vec<String>,
    /// The pools it may use; all if absent.
    pub pools: Option<BTreeSet<Name>>,
    /// What it may call.
    pub methods: Methods,
    /// Most calls a second.
    pub rate: Option<u32>,
    /// Most calls under way at once.
    pub concurrency: Option<u32>,
}

/// Tokens that are taken.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenSection {
    /// The issuer's public keys, as JSON.
    pub jwks: Option<Secret>,
    /// The secret that tokens are signed with.
    pub secret: Option<Secret>,
    /// What a token's claims must say.
    pub rules: Rules,
}

/// What clients may show for themselves; any one is enough, and nothing is needed if there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Proofs {
    /// A key.
    pub key: bool,
    /// A token.
    pub token: bool,
    /// A certificate.
    pub certificate: bool,
}

impl Proofs {
    /// True if nothing is needed.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// Who may use a pool, and for what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AccessSection {
    /// What clients must show.
    pub require: Proofs,
    /// What may be called.
    pub methods: Methods,
    /// Which web pages may use it.
    pub cors: Option<CorsSection>,
}

/// Judges `[auth]`; `pools` are those there are, and `certificates` says whether clients are asked for any.
pub(super) fn validate(
    raw: Option<&At<RawAuth>>,
    pools: &Table<RawPool>,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<AuthSection> {
    let Some(raw) = raw else { return Some(AuthSection::default()) };
    if raw.value.clients.len() > MAX_CLIENTS {
        let message = format!("{} clients; at most {MAX_CLIENTS} are taken", raw.value.clients.len());
        problems.report(Problem::new(Code::Limit, raw.place, message));
        return None;
    }
    let mut taken = Taken::default();
    let mut clients = Vec::with_capacity(raw.value.clients.len());
    for (name, at) in &raw.value.clients {
        clients.extend(client(name, at, pools, &mut taken, resolve, problems));
    }
    let token = match &raw.value.token {
        Some(at) => Some(token(at, resolve, problems)?),
        None => None,
    };
    (clients.len() == raw.value.clients.len()).then_some(AuthSection { clients, token })
}

/// What has been given to one client and cannot be another's as well.
#[derive(Default)]
struct Taken(BTreeMap<(&'static str, Vec<u8>), Place>);

impl Taken {
    fn take(&mut self, kind: &'static str, what: &[u8], place: Place, problems: &mut Problems) -> bool {
        let Some(first) = self.0.insert((kind, what.to_owned()), place) else { return true };
        let problem = Problem::new(Code::DeclaredTwice, place, format!("this {kind} is given twice"));
        problems.report(problem.other(first, "the other").help("give it to one client, once"));
        false
    }
}

fn client(
    name: &Name,
    at: &At<RawClient>,
    pools: &Table<RawPool>,
    taken: &mut Taken,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<ClientSection> {
    let raw = &at.value;
    if raw.hash.is_empty() && raw.key.is_none() && raw.subject.is_empty() && raw.certificate.is_empty() {
        let message = format!("client `{name}` has nothing to show");
        let problem = Problem::new(Code::MissingKey, at.place, message);
        problems.report(
            problem.help("give it a `hash` (`seawall key new` makes one), a `subject` or a `certificate`"),
        );
        return None;
    }
    let listed = [raw.hash.len(), raw.subject.len(), raw.certificate.len(), raw.deny.len()];
    let optional = [raw.pools.as_ref().map_or(0, Vec::len), raw.allow.as_ref().map_or(0, Vec::len)];
    if let Some(n) = listed.into_iter().chain(optional).find(|n| *n > MAX_LISTED) {
        let message = format!("client `{name}` lists {n} of one thing; at most {MAX_LISTED} are taken");
        problems.report(Problem::new(Code::Limit, at.place, message));
        return None;
    }
    let hashes = hashes(raw, taken, resolve, problems);
    let mut names = |list: &[At<String>], kind| {
        let mut good = true;
        for at in list {
            good &= taken.take(kind, at.value.as_bytes(), at.place, problems);
        }
        good.then(|| list.iter().map(|at| at.value.clone()).collect::<Vec<_>>())
    };
    let subjects = names(&raw.subject, "subject");
    let certificates = names(&raw.certificate, "certificate");
    let mut missing = false;
    for pool in raw.pools.iter().flatten().filter(|pool| !pools.contains_key(&pool.value)) {
        missing = true;
        let problem =
            Problem::new(Code::UnknownReference, pool.place, format!("unknown pool `{}`", pool.value));
        problems.report_unlike(problem, pool.value.as_str(), pools.keys().map(Name::as_str));
    }
    let methods = methods(raw.allow.as_deref(), &raw.deny, problems);
    let rate = match &raw.rate {
        Some(at) => match u32::try_from(at.value.per_second()).ok().filter(|rate| *rate > 0) {
            Some(rate) => Some(Some(rate)),
            None => {
                let message = format!("`rate` is `{}`, but must be a call a second or more", at.value);
                problems.report(Problem::new(Code::InvalidValue, at.place, message));
                None
            }
        },
        None => Some(None),
    };
    let concurrency = match raw.concurrency {
        Some(at) => within(at, 1, MAX_CONCURRENCY, "concurrency", u32::to_string, problems).map(Some),
        None => Some(None),
    };
    let pools = raw.pools.as_ref().map(|pools| pools.iter().map(|pool| pool.value.clone()).collect());
    Some(ClientSection {
        name: name.clone(),
        hashes: hashes?,
        subjects: subjects?,
        certificates: certificates?,
        pools: if missing { return None } else { pools },
        methods: methods?,
        rate: rate?,
        concurrency: concurrency?,
    })
}

fn hashes(
    raw: &RawClient,
    taken: &mut Taken,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<Vec<[u8; 32]>> {
    let mut hashes = Vec::new();
    let mut good = true;
    for at in &raw.hash {
        let Some(hash) = at.value.strip_prefix(HASH).and_then(digest) else {
            // It may be the key itself.
            problems.hide(at.place);
            let problem = Problem::new(Code::InvalidValue, at.place, "this is no hash of a key");
            problems
                .report(problem.help("write `sha256:` and 64 hexadecimal digits, as `seawall key new` does"));
            good = false;
            continue;
        };
        good &= taken.take("key", &hash, at.place, problems);
        hashes.push(hash);
    }
    if let Some(at) = &raw.key {
        if matches!(at.value, SecretSource::Literal(_)) {
            problems.report(Problem::new(Code::LiteralSecret, at.place, "a client's key stands in the file"));
        }
        let hash = crate::access::key::hash(at.resolve(resolve, problems)?.expose().as_bytes());
        good &= taken.take("key", &hash, at.place, problems);
        hashes.push(hash);
    }
    good.then_some(hashes)
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

pub(super) fn methods(
    allow: Option<&[At<String>]>,
    deny: &[At<String>],
    problems: &mut Problems,
) -> Option<Methods> {
    let mut globs = |list: &[At<String>]| {
        if let Some(at) = list.get(MAX_LISTED) {
            let message = format!("{} patterns; at most {MAX_LISTED} are taken", list.len());
            problems.report(Problem::new(Code::Limit, at.place, message));
            return None;
        }
        let mut good = Vec::with_capacity(list.len());
        for at in list {
            let Some(glob) = Glob::new(&at.value) else {
                let message = format!("{} is no pattern", problems.quote(&at.value, at.place));
                let (most, stars) = (Glob::MAX, Glob::STARS);
                let help = format!(
                    "write a method, with up to {stars} `*` for any text, in {most} characters at most"
                );
                problems.report(Problem::new(Code::InvalidValue, at.place, message).help(help));
                continue;
            };
            good.push(glob);
        }
        (good.len() == list.len()).then_some(good)
    };
    let denied = globs(deny);
    let allowed = match allow {
        Some(list) => Some(globs(list)?),
        None => None,
    };
    Some(Methods { allow: allowed, deny: denied? })
}

fn token(at: &At<RawToken>, resolve: &Resolve<'_>, problems: &mut Problems) -> Option<TokenSection> {
    let raw = &at.value;
    let leeway = time(raw.leeway, "leeway", problems).filter(|leeway| *leeway <= MAX_LEEWAY);
    if leeway.is_none() && raw.leeway.value > MAX_LEEWAY {
        problems.report(Problem::new(
            Code::InvalidValue,
            raw.leeway.place,
            "`leeway` is more than five minutes",
        ));
    }
    let place = match (&raw.jwks, &raw.secret) {
        (Some(jwks), None) => jwks.place,
        (None, Some(secret)) => secret.place,
        (Some(_), Some(secret)) => {
            let problem = Problem::new(Code::Contradiction, secret.place, "there is `jwks` and `secret`");
            problems.report(problem.help("tokens are signed one way or the other: remove one of them"));
            return None;
        }
        (None, None) => {
            let problem = Problem::new(Code::MissingKey, at.place, "nothing says how tokens are signed");
            problems.report(problem.help("name the issuer's keys, as in `jwks = \"file:jwks.json\"`"));
            return None;
        }
    };
    if let Some(at) = raw.secret.as_ref().filter(|at| matches!(at.value, SecretSource::Literal(_))) {
        problems.report(Problem::new(
            Code::LiteralSecret,
            at.place,
            "the secret of tokens stands in the file",
        ));
    }
    let mut fetch = |source: &Option<At<SecretSource>>| match source {
        Some(at) => at.resolve(resolve, problems).map(Some),
        None => Some(None),
    };
    let (jwks, secret) = (fetch(&raw.jwks)?, fetch(&raw.secret)?);
    let rules = Rules {
        issuer: raw.issuer.as_ref().map(|at| at.value.clone()),
        audience: raw.audience.iter().map(|at| at.value.clone()).collect(),
        leeway: leeway?,
        claim: raw.claim.value.clone(),
    };
    let section = TokenSection { jwks, secret, rules };
    if let Err(why) = Verifier::new(&section) {
        problems.report(Problem::new(Code::TokenKeys, place, why.to_string()));
        return None;
    }
    Some(section)
}

/// What there is for clients to show.
pub(super) struct Showable<'a> {
    pub(super) auth: Option<&'a RawAuth>,
    /// Clients are asked for certificates.
    pub(super) certificates: bool,
}

/// Judges a pool's `access`.
pub(super) fn of_pool(
    pool: &At<RawPool>,
    there_is: &Showable<'_>,
    problems: &mut Problems,
) -> Option<AccessSection> {
    let raw = pool.value.access.as_ref();
    let own = raw.and_then(|at| at.value.require.as_ref());
    let listed = own.or(there_is.auth.map(|auth| &auth.require));
    let mut require = Proofs::default();
    let mut good = true;
    for at in listed.into_iter().flatten() {
        let (wanted, there, cure) = match at.value {
            RawProof::Key => {
                let keys = there_is.auth.is_some_and(|auth| {
                    auth.clients.values().any(|c| !c.value.hash.is_empty() || c.value.key.is_some())
                });
                (&mut require.key, keys, "give a client in `[auth.clients]` one, with `seawall key new`")
            }
            RawProof::Token => {
                let tokens = there_is.auth.is_some_and(|auth| auth.token.is_some());
                (&mut require.token, tokens, "say in `[auth.token]` which are taken")
            }
            RawProof::Certificate => {
                let cure = "set `client_auth` and `client_ca` in `[listen.tls]`";
                (&mut require.certificate, there_is.certificates, cure)
            }
        };
        *wanted = true;
        if !there {
            let message = "clients are to show what none of them can have";
            problems.report(Problem::new(Code::NoChoice, at.place, message).help(cure));
            good = false;
        }
    }
    let Some(raw) = raw else { return good.then(|| AccessSection { require, ..AccessSection::default() }) };
    let methods = methods(raw.value.allow.as_deref(), &raw.value.deny, problems);
    let cors = match &raw.value.cors {
        Some(at) => cors::validate(at, problems).map(Some),
        None => Some(None),
    };
    let section = AccessSection { require, methods: methods?, cors: cors? };
    good.then_some(section)
}
