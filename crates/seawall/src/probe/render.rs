//! A report as people read it, at three in the morning: the verdict first.

use std::fmt::Write as _;

use seawall_model::{Wall, units::show_duration};
use seawall_probe::{
    Check, Outcome, Report, Timings,
    core::{
        certificate::Certificate,
        chain::ChainFacts,
        evm::{BlockFacts, EvmFacts},
        ntp::NtpFacts,
        report::{DnsFacts, TlsFacts},
    },
};

/// Width of the bars, in characters.
pub(super) const BAR: u32 = 32;
/// Fewer days than this left on a certificate are shown as a warning.
const SOON: i64 = 14;

const RED: &str = "\x1b[1;31m";
const GREEN: &str = "\x1b[1;32m";
const YELLOW: &str = "\x1b[1;33m";
const RESET: &str = "\x1b[0m";

/// The whole report; of a journey what there is to say before its steps.
pub(super) fn report(check: &Check, report: &Report, colour: bool) -> String {
    let paint = Paint(colour);
    let mut text = String::new();
    let (word, tint) = match report.outcome() {
        Outcome::Up => ("UP", GREEN),
        Outcome::Down => ("DOWN", RED),
        Outcome::Unknown => ("UNKNOWN", YELLOW),
    };
    let kind = report.fault.as_ref().map_or(String::new(), |fault| format!("  {}", fault.kind()));
    let _ = writeln!(
        text,
        "{}  {}{kind}  in {}",
        paint.of(tint, word),
        check.target,
        millis(report.timings.total_us)
    );
    if let (Some(fault), Some(why)) = (&report.fault, report.why()) {
        let _ = writeln!(text, "\n  {}\n  cure: {}", paint.of(RED, &why), fault.cure());
    }
    if let Some(trouble) = &report.own_trouble {
        let _ = writeln!(text, "  {}", paint.of(YELLOW, &trouble.to_string()));
    }
    text.push('\n');
    if !report.steps.is_empty() {
        return text;
    }
    bars(&mut text, &report.timings);
    let mut facts = String::new();
    if let Some(remote) = report.remote {
        let reused = if report.reused { ", over the connection of the last check" } else { "" };
        row(&mut facts, "address", &format!("{remote}{reused}"));
    }
    if report.addresses.len() > 1 || report.remote.is_none() && !report.addresses.is_empty() {
        let all: Vec<_> = report.addresses.iter().map(ToString::to_string).collect();
        let name = if report.remote.is_some() { "of" } else { "addresses" };
        row(&mut facts, name, &all.join(", "));
    }
    if let Some(http) = &report.http {
        let cut = if http.cut { " and more" } else { "" };
        row(&mut facts, "http", &format!("{} {}, {} bytes{cut}", http.version, http.status, http.bytes));
    }
    if let Some(banner) = &report.banner {
        row(&mut facts, "says", banner);
    }
    report.dns.iter().for_each(|dns| self::dns(&mut facts, dns));
    report.evm.iter().for_each(|evm| chain(&mut facts, evm));
    report.ntp.iter().for_each(|ntp| clock(&mut facts, ntp));
    report.chain.iter().for_each(|said| part(&mut facts, said));
    report.tls.iter().for_each(|tls| self::tls(&mut facts, tls, report.began, paint));
    if !facts.is_empty() {
        text.push('\n');
        text += &facts;
    }
    text
}

/// A time in milliseconds, with as many digits as are worth reading.
pub(super) fn millis(us: u32) -> String {
    let ms = f64::from(us) / 1_000.0;
    if ms < 100.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

fn row(text: &mut String, name: &str, what: &str) {
    let _ = writeln!(text, "  {name:<9} {what}");
}

/// Each part's bar begins where the one before it ends.
fn bars(text: &mut String, timings: &Timings) {
    let total = timings.parts().iter().filter_map(|(_, took)| *took).fold(0_u32, u32::saturating_add).max(1);
    let at = |us: u32| usize::try_from(u64::from(us) * u64::from(BAR) / u64::from(total)).unwrap_or(0);
    let mut before = 0_u32;
    for (name, took) in timings.parts() {
        let Some(took) = took else { continue };
        let end = before.saturating_add(took);
        let (from, to) = (at(before), at(end));
        let bar = format!("{}{}", " ".repeat(from), "█".repeat((to - from).max(1)));
        let _ = writeln!(text, "  {name:<10} {:>10}  {bar}", millis(took));
        before = end;
    }
}

fn dns(text: &mut String, dns: &DnsFacts) {
    let mut about = dns.rcode.clone();
    let s = if dns.answers.len() == 1 { "" } else { "s" };
    let _ = write!(about, ", {} record{s}", dns.answers.len());
    if let Some(ttl) = dns.ttl {
        let _ = write!(about, ", for {ttl} s");
    }
    if let Some(serial) = dns.serial {
        let _ = write!(about, ", serial {serial}");
    }
    for (is, word) in [
        (dns.authoritative, ", authoritative"),
        (dns.authentic, ", signed (DNSSEC)"),
        (dns.tcp, ", over TCP"),
    ] {
        about += if is { word } else { "" };
    }
    row(text, "dns", &about);
    dns.answers.iter().for_each(|answer| row(text, "", answer));
}

fn chain(text: &mut String, evm: &EvmFacts) {
    let block = |b: &BlockFacts| {
        format!("{}, {} old", b.number, show_duration(std::time::Duration::from_secs(b.age_s)))
    };
    for (name, seen) in [("latest", &evm.latest), ("safe", &evm.safe), ("finalized", &evm.finalized)] {
        seen.iter().for_each(|seen| row(text, name, &block(seen)));
    }
    evm.behind.iter().for_each(|behind| row(text, "syncing", &format!("{behind} blocks behind")));
    evm.peers.iter().for_each(|peers| row(text, "peers", &peers.to_string()));
    evm.client.iter().for_each(|client| row(text, "client", client));
    evm.gas_price.iter().for_each(|wei| row(text, "gas price", &format!("{wei} wei")));
}

fn clock(text: &mut String, ntp: &NtpFacts) {
    let ms = |us: u64| millis(u32::try_from(us).unwrap_or(u32::MAX));
    let delay = ms(ntp.delay_us.unsigned_abs());
    row(text, "offset", &format!("{} ms, after {delay} there and back", ntp.offset_ms()));
    let of = format!("stratum {}, {}, itself within {}", ntp.stratum, ntp.reference, ms(ntp.distance_us));
    row(text, "clock", &of);
}

fn part(text: &mut String, said: &ChainFacts) {
    let heads = &said.heads;
    for (name, tag) in [("unsafe", &heads.r#unsafe), ("safe", &heads.safe), ("finalized", &heads.finalized)] {
        let Some(tag) = tag else { continue };
        let age = show_duration(std::time::Duration::from_millis(tag.age_ms));
        row(text, name, &format!("{}, {age} old", tag.number));
    }
    said.behind.iter().for_each(|behind| row(text, "syncing", &format!("{behind} blocks behind")));
    said.peers.iter().for_each(|peers| row(text, "peers", &peers.to_string()));
    for (name, is) in [
        ("sequences", said.sequencing),
        ("leads", said.leader),
        ("active", said.active),
        ("healthy", said.healthy),
    ] {
        is.iter().for_each(|is| row(text, name, if *is { "yes" } else { "no" }));
    }
    for (i, server) in said.cluster.iter().enumerate() {
        let votes = if server.voter { "votes" } else { "does not vote" };
        row(text, if i == 0 { "cluster" } else { "" }, &format!("{} {votes}", server.id));
    }
}

fn tls(text: &mut String, tls: &TlsFacts, now: Wall, paint: Paint) {
    let alpn = tls.alpn.as_ref().map_or(String::new(), |alpn| format!(", {alpn}"));
    row(text, "tls", &format!("{}, {}{alpn}", tls.version, tls.cipher));
    for (i, certificate) in tls.chain.iter().enumerate() {
        let name = if i == 0 { "chain" } else { "" };
        row(text, name, &link(i, certificate, now, paint));
    }
    if let Some(first) = tls.chain.first().filter(|first| !first.names.is_empty()) {
        row(text, "names", &first.names.join(", "));
    }
    if let Some(which) = tls.outlives {
        let why = format!("the server's certificate is to outlive {} of the chain", which + 1);
        row(text, "", &paint.of(YELLOW, &why));
    }
}

fn link(i: usize, certificate: &Certificate, now: Wall, paint: Paint) -> String {
    let days = certificate.days_left(now);
    let until = certificate.not_after.to_string();
    let day = until.split('T').next().unwrap_or(&until);
    let left = match days {
        ..0 => paint.of(RED, &format!("ended {day}")),
        0..SOON => paint.of(YELLOW, &format!("{days} days left, until {day}")),
        _ => format!("{days} days left, until {day}"),
    };
    format!("{} {}, issued by {}: {left}", i + 1, certificate.subject, certificate.issuer)
}

/// Colours, or none.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn of(self, tint: &str, text: &str) -> String {
        if self.0 { format!("{tint}{text}{RESET}") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use seawall_probe::{
        Expect, Fault,
        core::{chain::Server, report::HttpFacts},
    };

    use super::*;

    /// A day in milliseconds.
    const DAY: i64 = 86_400_000;

    fn certificate(subject: &str, issuer: &str, days: i64) -> Certificate {
        Certificate {
            subject: subject.into(),
            issuer: issuer.into(),
            names: vec![subject.into()],
            not_before: Wall(0),
            not_after: Wall(1_754_374_027_250 + days * DAY),
        }
    }

    fn example() -> (Check, Report) {
        let check = Check::new("https://shop.example/health?k=1".parse().unwrap());
        let mut report = Report::new(Wall(1_754_374_027_250));
        report.timings = Timings {
            dns_us: Some(12_100),
            connect_us: Some(30_200),
            tls_us: Some(61_000),
            first_byte_us: Some(60_300),
            body_us: Some(400),
            total_us: 164_200,
        };
        report.addresses = vec!["192.0.2.7".parse().unwrap(), "192.0.2.8".parse().unwrap()];
        report.remote = Some("192.0.2.7:443".parse().unwrap());
        report.http = Some(HttpFacts { version: "HTTP/1.1", status: 200, bytes: 1_256, cut: false });
        report.tls = Some(Box::new(TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS13_AES_256_GCM_SHA384".into(),
            alpn: Some("http/1.1".into()),
            chain: vec![certificate("shop.example", "R11", 64), certificate("R11", "Root X1", 9)],
            outlives: Some(1),
        }));
        (check, report)
    }

    #[test]
    fn what_is_well_is_told() {
        let (check, report) = example();
        insta::assert_snapshot!(super::report(&check, &report, false));
    }

    #[test]
    fn a_conductor_that_could_not_hand_over_says_why() {
        let check = Check::new("conductor+http://seq-b.example:8547".parse().unwrap());
        let mut report = Report::new(Wall(1_754_374_027_250));
        report.timings.total_us = 1_200;
        let server = |id: &str, voter| Server { id: id.into(), voter };
        report.chain = Some(Box::new(ChainFacts {
            leader: Some(false),
            active: Some(true),
            healthy: Some(false),
            cluster: vec![server("seq-a", true), server("seq-b", false)],
            ..ChainFacts::default()
        }));
        report.fault = report.chain.as_ref().unwrap().judge(&Expect::default()).err();
        insta::assert_snapshot!(super::report(&check, &report, false));
    }

    #[test]
    fn what_is_wrong_comes_first() {
        let (check, mut report) = example();
        report.tls.as_mut().unwrap().chain[0].not_after = Wall(1_754_374_027_250 - 3 * DAY);
        report.timings.first_byte_us = None;
        report.timings.body_us = None;
        report.http = None;
        report.fault = Some(Fault::TlsExpired { which: 0, subject: "shop.example".into(), days: 3 });
        insta::assert_snapshot!(super::report(&check, &report, false));
        assert!(super::report(&check, &report, true).contains("\x1b[1;31mDOWN\x1b[0m"));
    }
}
