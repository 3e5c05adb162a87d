use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use proptest::prelude::*;
use serde_json::json;

use std::time::Duration;

use super::*;

const NOW: Wall = Wall(1_800_000_000_000);
const SECRET: &str = "a secret of thirty-two bytes or more";

fn claims() -> Value {
    json!({"sub": "desk", "iss": "https://issuer.example", "aud": "seawall", "exp": 1_800_000_060, "nbf": 1_799_999_940})
}

fn rules() -> Rules {
    Rules {
        issuer: Some("https://issuer.example".into()),
        audience: vec!["seawall".into()],
        leeway: Duration::from_secs(30),
        claim: "sub".into(),
    }
}

type Sign<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;

fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = BASE64.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn hs256(message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message).as_ref().to_vec()
}

fn by_secret(rules: Rules) -> Verifier {
    Verifier::new(&TokenSection { jwks: None, secret: Some(Secret::new(SECRET)), rules }).unwrap()
}

fn by_keys(jwks: &Value) -> Result<Verifier, KeysError> {
    let jwks = Some(Secret::new(jwks.to_string()));
    Verifier::new(&TokenSection { jwks, secret: None, rules: rules() })
}

#[test]
fn every_way_to_sign_that_is_taken_is_taken_by_its_own_key_alone() {
    let random = SystemRandom::new();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let ec = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let public = rsa.public_key();
    let (n, e) = (
        public.modulus().big_endian_without_leading_zero(),
        public.exponent().big_endian_without_leading_zero(),
    );
    let point = ec.public_key().as_ref();
    let set = json!({"keys": [
        {"kty": "RSA", "kid": "r", "n": BASE64.encode(n), "e": BASE64.encode(e)},
        {"kty": "EC", "kid": "e", "crv": "P-256", "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..])},
        {"kty": "OKP", "kid": "o", "crv": "Ed25519", "x": BASE64.encode(ed.public_key())},
        {"kty": "RSA", "kid": "other use", "use": "enc", "n": BASE64.encode(n), "e": BASE64.encode(e)},
        {"kty": "what will be invented", "kid": "new"},
    ]});
    let verifier = by_keys(&set).unwrap();
    let rs256 = |message: &[u8]| {
        let mut out = vec![0; rsa.public_modulus_len()];
        rsa.sign(&signature::RSA_PKCS1_SHA256, &random, message, &mut out).unwrap();
        out
    };
    let es256 = |message: &[u8]| ec.sign(&random, message).unwrap().as_ref().to_vec();
    let eddsa = |message: &[u8]| ed.sign(message).as_ref().to_vec();
    let signers: [(&str, &str, Sign<'_>); 3] =
        [("RS256", "r", &rs256), ("ES256", "e", &es256), ("EdDSA", "o", &eddsa)];
    for (alg, kid, sign) in signers {
        for header in [json!({"alg": alg, "kid": kid}), json!({"alg": alg, "typ": "JWT"})] {
            let good = token(&header, &claims(), sign);
            assert_eq!(verifier.verify(&good, NOW).map(|b| b.name), Ok("desk".into()), "{header}");
            let mut other = claims();
            other["sub"] = json!("admin");
            let forged = token(&header, &other, |_| sign(b"something else"));
            assert_eq!(verifier.verify(&forged, NOW), Err(Untaken::Signature), "{header}");
        }
    }
    // A public key is not a secret, and a key is taken for its own way to sign.
    for (alg, kid) in
        [("HS256", "r"), ("HS256", "o"), ("ES256", "r"), ("RS256", "o"), ("EdDSA", "e"), ("RS512", "r")]
    {
        let confused = token(&json!({"alg": alg, "kid": kid}), &claims(), |message| {
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, n), message).as_ref().to_vec()
        });
        assert_eq!(verifier.verify(&confused, NOW), Err(Untaken::Algorithm), "{alg} {kid}");
    }
    let by = |kid: &str| token(&json!({"alg": "RS256", "kid": kid}), &claims(), rs256);
    assert_eq!(verifier.verify(&by("other use"), NOW), Err(Untaken::UnknownKey));
    let none = token(&json!({"alg": "none"}), &claims(), |_| Vec::new());
    assert_eq!(verifier.verify(&none, NOW), Err(Untaken::Malformed));
    let critical = token(&json!({"alg": "RS256", "kid": "r", "crit": ["b64"]}), &claims(), rs256);
    assert_eq!(verifier.verify(&critical, NOW), Err(Untaken::Algorithm));
}

#[test]
fn keys_that_are_none_are_refused() {
    assert_eq!(by_keys(&json!({"keys": []})).err(), Some(KeysError::NoKey));
    assert_eq!(by_keys(&json!([])).err(), Some(KeysError::NotJwks));
    let many = vec![json!({"kty": "what will be invented"}); MAX_KEYS + 1];
    assert_eq!(by_keys(&json!({"keys": many})).err(), Some(KeysError::TooMany(MAX_KEYS + 1)));
    // A secret in a set of public keys.
    let secret = json!({"keys": [{"kty": "oct", "k": BASE64.encode(SECRET)}]});
    assert_eq!(by_keys(&secret).err(), Some(KeysError::NoKey));
    let short = TokenSection { jwks: None, secret: Some(Secret::new("short")), rules: rules() };
    assert_eq!(Verifier::new(&short).err(), Some(KeysError::ShortSecret));
}

fn check(change: Value, rules: Rules, taken: Result<&str, Untaken>) {
    let mut all = claims();
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            all.as_object_mut().unwrap().remove(name);
        } else {
            all[name] = value.clone();
        }
    }
    let signed = token(&json!({"alg": "HS256"}), &all, hs256);
    let verified = by_secret(rules).verify(&signed, NOW).map(|bearer| bearer.name);
    assert_eq!(verified, taken.map(str::to_owned), "{all}");
}

#[test]
fn claims_must_say_what_the_rules_ask() {
    let now = NOW.0 / 1_000;
    check(json!({}), rules(), Ok("desk"));
    check(json!({"exp": now - 29}), rules(), Ok("desk"));
    check(json!({"exp": now - 30}), rules(), Err(Untaken::Ended));
    check(json!({"exp": (now as f64) + 0.5}), rules(), Ok("desk"));
    check(json!({"exp": null}), rules(), Err(Untaken::Endless));
    check(json!({"exp": "tomorrow"}), rules(), Err(Untaken::Endless));
    check(json!({"exp": 1e300}), rules(), Ok("desk"));
    check(json!({"exp": -1e300}), rules(), Err(Untaken::Ended));
    check(json!({"nbf": now + 30}), rules(), Ok("desk"));
    check(json!({"nbf": now + 31}), rules(), Err(Untaken::Early));
    check(json!({"nbf": null}), rules(), Ok("desk"));
    check(json!({"nbf": "soon"}), rules(), Err(Untaken::Early));
    check(json!({"iss": "https://other.example"}), rules(), Err(Untaken::Issuer));
    check(json!({"iss": ["https://issuer.example"]}), rules(), Err(Untaken::Issuer));
    check(json!({"iss": null}), rules(), Err(Untaken::Issuer));
    check(json!({"aud": ["other", "seawall"]}), rules(), Ok("desk"));
    check(json!({"aud": ["other"]}), rules(), Err(Untaken::Audience));
    check(json!({"aud": null}), rules(), Err(Untaken::Audience));
    // For somebody, and nobody said that it is us.
    check(json!({}), Rules { audience: Vec::new(), ..rules() }, Err(Untaken::Audience));
    check(json!({"aud": null}), Rules { audience: Vec::new(), ..rules() }, Ok("desk"));
    check(json!({"iss": null}), Rules { issuer: None, ..rules() }, Ok("desk"));
    check(json!({"sub": null}), rules(), Err(Untaken::Nameless));
    check(json!({"sub": 7}), rules(), Err(Untaken::Nameless));
    check(json!({"sub": ""}), rules(), Err(Untaken::Nameless));
    check(json!({"sub": "a\nb"}), rules(), Err(Untaken::Nameless));
    check(json!({"sub": "x".repeat(257)}), rules(), Err(Untaken::Nameless));
    check(json!({"client_id": "app"}), Rules { claim: "client_id".into(), ..rules() }, Ok("app"));
}

proptest! {
    /// A token with one character changed is nobody's.
    #[test]
    fn a_changed_token_is_not_taken(at in 0usize..400, to in "[A-Za-z0-9._-]") {
        let good = token(&json!({"alg": "HS256"}), &claims(), hs256);
        let at = at % good.len();
        let mut changed = good.clone();
        changed.replace_range(at..at + 1, &to);
        // The last character of a part holds bits that count for nothing; the same bytes may be written two ways.
        let bytes = |token: &str| token.split('.').map(|p| BASE64.decode(p)).collect::<Vec<_>>();
        if bytes(&changed) != bytes(&good) {
            prop_assert!(by_secret(rules()).verify(&changed, NOW).is_err());
        }
    }

    /// Nothing is taken for a token that is none, and nothing panics.
    #[test]
    fn what_is_no_token_is_not_taken(text in ".{0,200}") {
        prop_assert!(by_secret(rules()).verify(&text, NOW).is_err());
    }
}
