//! Any text as a target, a status, a pattern, bytes and a resolver: nothing panics, and what is shown of a target can be read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_probe::{
    Check, Target,
    core::expect::{Pattern, Statuses, read_hex},
    estate::read_resolver,
};

fuzz_target!(|text: &str| {
    if let Ok(target) = text.parse::<Target>() {
        let shown = target.to_string();
        assert!(shown.contains('…') || shown.parse::<Target>().is_ok(), "{shown}");
        assert!(target.url().is_none_or(|url| url.path.expose().starts_with('/')));
        let _ = Check::new(target).host();
    }
    if let Some(statuses) = Statuses::parse(text) {
        assert_eq!(Statuses::parse(&statuses.to_string()), Some(statuses));
    }
    let _ = read_resolver(text);
    let _ = Pattern::parse(text);
    if let Some(bytes) = read_hex(text) {
        assert_eq!(bytes.len() * 2, text.len());
    }
});
