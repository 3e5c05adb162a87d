//! Checkpoints, keys, identities and proofs have one form each; proofs verify without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_journal::{Identity, Proof, SignedCheckpoint, VerifierKey};

fuzz_target!(|data: &[u8]| {
    if let Ok(checkpoint) = SignedCheckpoint::parse(data) {
        assert_eq!(checkpoint.to_string().as_bytes(), data);
    }
    if let Some(identity) = Identity::parse(data) {
        assert_eq!(identity.to_string().as_bytes(), data);
    }
    if let Ok(proof) = Proof::parse(data) {
        assert_eq!(proof.to_string().as_bytes(), data);
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let key: VerifierKey = key.parse().expect("a key of Go's note package");
        assert!(proof.verify(&key).is_err());
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(key) = text.parse::<VerifierKey>()
    {
        assert_eq!(key.to_string(), text);
    }
});
