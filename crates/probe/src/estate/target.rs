//! A target as written in the estate.

use std::{
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use seawall_model::{
    Secret,
    estate::{At, Code, Decode, Node, Place, Problem, Problems, Resolve, SecretSource},
};

use crate::core::target::Target;

/// A target as written. Of one that stands in the file, reports show scheme and host and hide the rest.
#[derive(Debug, Clone)]
pub struct TargetSource(SecretSource);

impl Decode for TargetSource {
    fn decode(node: Node<'_>, problems: &mut Problems) -> Option<Self> {
        let Some(text) = node.text() else {
            node.hide(problems);
            node.mismatch("a target in quotes, as in `https://shop.example/health`", problems);
            return None;
        };
        let source = SecretSource::new(text);
        if matches!(source, SecretSource::Literal(_)) {
            secret_parts(text, node.place).into_iter().for_each(|place| problems.hide(place));
        }
        Some(Self(source))
    }

    fn schema() -> serde_json::Value {
        SecretSource::schema()
    }
}

/// The stretches of a literal target that may hold a secret: what stands before and after the host.
fn secret_parts(text: &str, place: Place) -> Vec<Place> {
    let span = place.span();
    let Some(after_scheme) = text.find("://").map(|at| at + 3) else { return Vec::new() };
    // Longer than text and quotes means escapes or a multi-line text: offsets would not be the file's.
    if span.len() != text.len() + 2 {
        return vec![place];
    }
    let rest = &text[after_scheme..];
    let end = after_scheme + rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let user_end = text[after_scheme..end].rfind('@').map_or(after_scheme, |at| after_scheme + at);
    let at = |r: Range<usize>| Place::new(place.file, span.start + 1 + r.start..span.start + 1 + r.end);
    // A resolver's question holds no secret, and an error in it is to be seen.
    if text.starts_with("dns:") { Vec::new() } else { vec![at(after_scheme..user_end), at(end..text.len())] }
}

/// The text of a target. `None` if it cannot be had; why has been reported.
pub(super) fn text(at: &At<TargetSource>, resolve: &Resolve<'_>, problems: &mut Problems) -> Option<Secret> {
    At::new(at.value.0.clone(), at.place).resolve(resolve, problems)
}

/// Judges a target. `None` if it cannot be checked; why has been reported.
pub(super) fn target(
    at: &At<TargetSource>,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<Target> {
    let text = text(at, resolve, problems)?;
    let target = match text.expose().parse::<Target>() {
        Ok(target) => target,
        Err(e) => {
            problems.report(Problem::new(Code::Url, at.place, e.to_string()).help(e.cure()));
            return None;
        }
    };
    if matches!(at.value.0, SecretSource::Literal(_)) && target.holds_key() {
        let message = "the target seems to hold a key";
        problems.report(Problem::new(Code::LiteralSecret, at.place, message));
    }
    Some(target)
}

/// Reads who resolves names: an address, perhaps with a port.
pub(super) fn resolver(at: &At<String>, problems: &mut Problems) -> Option<SocketAddr> {
    let read = read_resolver(&at.value);
    if read.is_none() {
        let message = format!("{} is no address of a resolver", problems.quote(&at.value, at.place));
        let help = "write an IP address, as in `1.1.1.1`, `127.0.0.1:5353` or `[::1]:53`";
        problems.report(Problem::new(Code::InvalidValue, at.place, message).help(help));
    }
    read
}

/// Reads `1.1.1.1`, `127.0.0.1:5353`, `::1` or `[::1]:53`.
pub fn read_resolver(text: &str) -> Option<SocketAddr> {
    let address = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53));
    text.parse().ok().or_else(address).filter(|at: &SocketAddr| at.port() != 0)
}
