//! Any text as another gateway's or prober's configuration: nothing panics, and every estate that is made passes `seawall check`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::import::{Format, ImportError, estate_of, estate_of_two};

fuzz_target!(|text: &str| {
    let gateways = [Format::Erpc, Format::Proxyd, Format::Haproxy];
    let probers = [Format::Gatus, Format::Blackbox, Format::UptimeKuma];
    for format in gateways.into_iter().chain(probers) {
        judge(estate_of(format, text));
    }
    // Two texts, as a prober's modules and the file that names its targets.
    if let Some((modules, targets)) = text.split_once("\n---\n") {
        judge(estate_of_two(Format::Blackbox, modules, Some(targets)));
    }
});

fn judge(made: Result<String, ImportError>) {
    if let Err(error @ ImportError::Refused { .. }) = made {
        panic!("{error}");
    }
}
