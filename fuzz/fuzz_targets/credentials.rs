//! Any text where a credential may stand, and any claims: nothing panics, what is found stood there, and no token is
//! taken that has ended or names nobody.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use seawall_gateway::core::{
    claims::{Rules, judge},
    credential::{MAX, bearer, in_path, in_query},
    glob::Glob,
};
use seawall_model::Wall;

const NOW: Wall = Wall(1_800_000_000_000);

fuzz_target!(|text: &str| {
    for found in [bearer(text), in_query(text)].into_iter().flatten() {
        assert!(!found.is_empty() && found.len() <= MAX && text.contains(found));
    }
    if let Some((route, key)) = in_path(text) {
        let whole = if route == "/" { format!("/{key}") } else { format!("{route}/{key}") };
        assert!(whole == text && !key.contains('/'));
    }
    if let Some((pattern, name)) = text.split_once('\n')
        && let Some(glob) = Glob::new(pattern)
    {
        let _ = glob.fits(name);
        assert!(pattern.contains('*') || glob.fits(name) == (pattern == name));
    }
    if let Ok(claims) = serde_json::from_str(text) {
        let rules = Rules { leeway: Duration::from_secs(30), claim: "sub".into(), ..Rules::default() };
        if let Ok(bearer) = judge(&claims, &rules, NOW) {
            assert!(bearer.until > NOW && !bearer.name.is_empty() && !claims.contains_key("aud"));
        }
    }
});
