//! Whatever the write-ahead log is torn or flipped into, decoding ends and nothing but what was written
//! decodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_journal::Batch;

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while let Ok(batch) = Batch::decode(&mut rest) {
        let start = data.len() - rest.len();
        let bytes = batch.encode();
        assert!(data[..start].ends_with(&bytes), "a batch has one encoding");
    }
});
