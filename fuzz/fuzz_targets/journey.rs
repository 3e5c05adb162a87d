//! Any bytes as what a step of a journey is answered: nothing panics, cookies stay with their host, and what is captured
//! makes a request or none.
#![no_main]

use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use seawall_model::Wall;
use seawall_probe::core::{
    assert::Answer,
    cookies::Jar,
    journey::{Capture, Origin, Template},
};
use seawall_rules::Facts;

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|b| *b == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::SET_COOKIE, value);
        }
    }
    let mut jar = Jar::default();
    jar.take("api.venue.example", "/v1/login", &headers, Wall(0));
    assert!(jar.header("other.example", "/", true).is_none());
    let _ = jar.header("api.venue.example", "/v1/orders", false);
    let answer = Answer { headers, body: bytes.to_vec().into() };
    for from in [Origin::Json("/a/0".to_owned()), Origin::Header(header::SET_COOKIE)] {
        let _ = Capture { name: "v".to_owned(), from, secret: false }.take(&Facts::default(), &answer);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(template) = Template::parse(text)
    {
        assert!(template.names().all(|name| !name.is_empty()));
    }
});
