//! Where an estate listens, as eRPC and proxyd both say it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{
    draft::Draft,
    tree::{Field, Left},
};

/// The least that is worth a log line.
pub(super) fn log_level(field: &Field<'_>, left: &mut Left) -> Option<&'static str> {
    let text = field.text(left)?.to_ascii_lowercase();
    let known = ["trace", "debug", "info", "warn", "error"].into_iter().find(|level| *level == text);
    if known.is_none() {
        field.leave(left, "levels are `trace`, `debug`, `info`, `warn` and `error`");
    }
    known
}

/// Listens at the host and port that are told, or at the other gateway's own.
pub(super) fn listen(
    host: Option<&Field<'_>>,
    port: Option<&Field<'_>>,
    usual: (Ipv4Addr, u16),
    draft: &mut Draft,
    left: &mut Left,
) {
    let address = match host {
        Some(field) => match field.text(left).map(str::parse::<IpAddr>) {
            Some(Ok(address)) => address,
            Some(Err(_)) => {
                field.leave(left, "listeners are addresses, not names: 127.0.0.1 is taken");
                Ipv4Addr::LOCALHOST.into()
            }
            None => Ipv4Addr::LOCALHOST.into(),
        },
        None => usual.0.into(),
    };
    let told = port.and_then(|field| match field.number(left).map(u16::try_from) {
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => {
            field.leave(left, "it is no port");
            None
        }
        None => None,
    });
    draft.listen = vec![SocketAddr::new(address, told.unwrap_or(usual.1))];
}

/// Metrics: a port of the admin listener.
pub(super) fn admin(metrics: &Field<'_>, draft: &mut Draft, left: &mut Left) {
    let mut fields = metrics.fields(left);
    if fields.take("enabled").and_then(|field| field.flag(left)) == Some(false) {
        metrics.leave(left, "the admin listener always has `/metrics`");
        return;
    }
    let host = ["hostV4", "host"].into_iter().find_map(|key| fields.take(key));
    if let Some(host) = host.filter(|host| host.raw(left).is_some_and(|text| text != "127.0.0.1")) {
        let reason = "metrics are at the admin listener, which also changes things: it stays at 127.0.0.1 until \
                      `[listen]` has an `admin_token`";
        host.leave(left, reason);
    }
    let port = fields.take("port").and_then(|field| field.number(left));
    if let Some(port) = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0) {
        let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        // One port cannot be both.
        if draft.listen.iter().all(|listen| listen.port() != port) {
            draft.admin = Some(at);
        }
    }
    fields.leave(left, |_| "the admin listener has one address, and its histograms their own bounds");
}
