//! An envelope has one encoding, and it is JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_journal::Envelope;

fuzz_target!(|data: &[u8]| {
    if let Ok(envelope) = Envelope::decode(data) {
        let mut again = Vec::new();
        envelope.encode(&mut again);
        assert_eq!(again, data);
        serde_json::from_slice::<serde_json::Value>(data).expect("an envelope is JSON");
    }
});
