//! Path rules and second paths of HTTP APIs.

use super::check;

/// A pool of an HTTP API, with `more` in it.
fn api(more: &str) -> String {
    let upstream =
        |n, rest| format!("{{ name = \"{n}\", url = \"https://{n}.example\", provider = \"{n}\"{rest} }}");
    let all = [upstream("a", ""), upstream("b", ""), upstream("c", ", path_of = \"a\"")].join(", ");
    format!("[pools.venue]\nkind = \"http\"\nupstreams = [{all}]\n{more}")
}

/// One rule, with those keys.
fn rule(keys: &str) -> String {
    api(&format!("[[pools.venue.paths]]\n{keys}\n"))
}

#[test]
fn rules_are_taken() {
    for keys in [
        "path = \"/orders\"",
        "path = \"/**\"\neffect = \"read\"\nhedge = true",
        "path = \"/files/**\"\nupload = \"stream\"\nupload_limit = \"10GiB\"\nid = \"header:x-id\"\nlookup = { path = \"/by/{id}\" }",
        "path = \"/orders\"\nmethods = [\"POST\"]\nid = \"/clientOrderId\"\ndedupe = \"account\"",
        "path = \"/orders\"\nid = \"header:idempotency-key\"\ndedupe = \"shared\"\ncritical = true",
        "path = \"/orders/{order}\"\nlookup = { path = \"/orders/{order}?full=1\", settle = \"1s\" }",
        "path = \"/orders\"\nid = \"/id\"\nlookup = { path = \"/by/{id}\", field = \"/s\", done = [\"x\"], status = 201 }",
    ] {
        check(&rule(keys), &[]);
    }
}

#[test]
fn rules_are_judged() {
    for (keys, code) in [
        ("effect = \"write\"", "SW0104"),
        ("path = \"orders\"", "SW0106"),
        ("path = \"/a/**/b\"", "SW0106"),
        ("path = \"/a\"\nmethods = [\"post\"]", "SW0106"),
        ("path = \"/a\"\nid = \"orderId\"", "SW0106"),
        ("path = \"/a\"\nid = \"path:id\"", "SW0106"),
        ("path = \"/a\"\ndedupe = \"account\"", "SW0113"),
        ("path = \"/a\"\nupload = \"stream\"\nid = \"header:x-id\"\ndedupe = \"account\"", "SW0113"),
        ("path = \"/a\"\nupload = \"stream\"\nhedge = true", "SW0113"),
        ("path = \"/a\"\nupload = \"stream\"\nid = \"/id\"", "SW0113"),
        ("path = \"/a\"\nupload_limit = \"2GiB\"", "SW0113"),
        ("path = \"/a\"\neffect = \"read\"\nid = \"/id\"\ndedupe = \"account\"", "SW0113"),
        ("path = \"/a\"\nlookup = { path = \"/by/{id}\" }", "SW0106"),
        ("path = \"/a\"\nid = \"/id\"\nlookup = { path = \"by/{id}\" }", "SW0106"),
        ("path = \"/a\"\nid = \"/id\"\nlookup = { path = \"/by/{id}\", settle = \"9s\" }", "SW0113"),
        ("path = \"/a\"\nid = \"/id\"\nlookup = { path = \"/by/{id}\", field = \"/s\" }", "SW0113"),
        ("path = \"/a\"\nid = \"/id\"\nlookup = { path = \"/by/{id}\", found = [20] }", "SW0106"),
        ("path = \"/a\"\nupload = \"keep\"", "SW0106"),
    ] {
        check(&rule(keys), &[code]);
    }
}

#[test]
fn second_paths_are_judged() {
    check(&api("").replace("path_of = \"a\"", "path_of = \"d\""), &["SW0108"]);
    check(&api("").replace("path_of = \"a\"", "path_of = \"c\""), &["SW0113"]);
    check(&super::pool("[[pools.eth.paths]]\npath = \"/a\""), &["SW0113"]);
}

#[test]
fn pools_of_grpc_are_judged() {
    let grpc = |more: &str| api(more).replace("\"http\"", "\"grpc\"").replace(", path_of = \"a\"", "");
    check(&grpc("route = \"/\"\nretry_methods = [\"/a.B/Get*\", \"*\"]"), &[]);
    check(&grpc("retry_methods = [\"GET\"]"), &["SW0106"]);
    check(&grpc("chain_id = 1"), &["SW0113"]);
    check(&grpc("[[pools.venue.paths]]\npath = \"/a\""), &["SW0113"]);
    check(&api("").replace("\"http\"", "\"grpc\""), &["SW0113"]);
}
