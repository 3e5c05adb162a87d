//! Any text as another gateway's configuration: nothing panics, and every estate that is made passes `seawall check`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall::import::{Format, ImportError, estate_of};

fuzz_target!(|text: &str| {
    for format in [Format::Erpc, Format::Proxyd, Format::Haproxy] {
        if let Err(error @ ImportError::Refused { .. }) = estate_of(format, text) {
            panic!("{error}");
        }
    }
});
