//! Any message of a neighbour: nothing panics, and what is read as a signal is written and read the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_runtime::neighbours::{read, write};

fuzz_target!(|message: &[u8]| {
    if let Some(signal) = read(message)
        && let Some(text) = write(&signal)
    {
        assert_eq!(read(&text).as_ref(), Some(&signal));
    }
});
