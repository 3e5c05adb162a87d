//! Files of each format, and files of none.

use proptest::prelude::*;

use super::*;

/// What is made of a text: the estate and what is left out, or the error.
fn import(format: Format, text: &str) -> (String, bool) {
    import_two(format, text, None)
}

/// The same, with the text of another file that names the targets.
fn import_two(format: Format, text: &str, targets: Option<&str>) -> (String, bool) {
    let dir = tempfile::tempdir().unwrap();
    let (file, second) = (dir.path().join("file"), dir.path().join("second"));
    fs::write(&file, text).unwrap();
    fs::write(&second, targets.unwrap_or_default()).unwrap();
    let args = ImportArgs {
        format,
        file: file.clone(),
        output: None,
        force: false,
        chain_id: None,
        targets: targets.map(|_| second.clone()),
        json: false,
    };
    let (code, out, err) = ran(&args);
    let shown = |text: String| {
        text.replace(&file.display().to_string(), "FILE").replace(&second.display().to_string(), "TARGETS")
    };
    (shown(format!("{out}\n--- left out ---\n{err}")), code == exit::MADE)
}

fn command(
    format: Format,
    file: &Path,
    output: Option<&Path>,
    force: bool,
    json: bool,
) -> (u8, String, String) {
    let (file, output) = (file.to_owned(), output.map(Path::to_owned));
    ran(&ImportArgs { format, file, output, force, chain_id: None, targets: None, json })
}

fn ran(args: &ImportArgs) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(args, &mut out, &mut err).unwrap();
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// The file makes this estate and leaves this out. That the estate passes `check` is part of making it.
#[track_caller]
fn check(name: &str, format: Format, text: &str) {
    let (shown, made) = import(format, text);
    assert!(made, "{shown}");
    insta::assert_snapshot!(name, shown);
}

/// The file makes no estate, by this code.
#[track_caller]
fn refuses(format: Format, text: &str, code: &str) {
    let (shown, made) = import(format, text);
    assert!(!made && shown.contains(code), "{shown}");
}

#[test]
fn erpc_files_become_estates() {
    check("erpc", Format::Erpc, include_str!("tests/erpc.yaml"));
    check("erpc_small", Format::Erpc, include_str!("tests/erpc-small.yaml"));
}

#[test]
fn proxyd_files_become_estates() {
    check("proxyd", Format::Proxyd, include_str!("tests/proxyd.toml"));
    check("proxyd_small", Format::Proxyd, include_str!("tests/proxyd-small.toml"));
}

#[test]
fn haproxy_files_become_estates() {
    check("haproxy", Format::Haproxy, include_str!("tests/haproxy.cfg"));
    check("haproxy_guard", Format::Haproxy, include_str!("tests/haproxy-guard.cfg"));
}

#[test]
fn gatus_files_become_estates() {
    check("gatus", Format::Gatus, include_str!("tests/gatus.yaml"));
    check("gatus_small", Format::Gatus, include_str!("tests/gatus-small.yaml"));
}

#[test]
fn blackbox_files_become_estates() {
    check("blackbox", Format::Blackbox, include_str!("tests/blackbox.yml"));
    check("blackbox_small", Format::Blackbox, include_str!("tests/blackbox-small.yml"));
    let targets = include_str!("tests/blackbox-prometheus.yml");
    let (shown, made) = import_two(Format::Blackbox, include_str!("tests/blackbox.yml"), Some(targets));
    assert!(made, "{shown}");
    insta::assert_snapshot!("blackbox_targets", shown);
}

#[test]
fn uptime_kuma_backups_become_estates() {
    check("uptime_kuma", Format::UptimeKuma, include_str!("tests/uptime-kuma.json"));
    check("uptime_kuma_small", Format::UptimeKuma, include_str!("tests/uptime-kuma-small.json"));
}

#[test]
fn programs_are_told_which_of_two_files_is_meant() {
    let mut left = Left::default();
    let (modules, targets) =
        (include_str!("tests/blackbox.yml"), include_str!("tests/blackbox-prometheus.yml"));
    blackbox::import(modules, Some(targets), &mut left).unwrap();
    let told = left.json();
    let of = |file: Option<&str>| {
        told.as_array().unwrap().iter().filter(|one| one["file"].as_str() == file).count()
    };
    assert!(of(None) > 0 && of(Some("targets")) > 0, "{told:#}");
}

/// What `check` tells of the estate that a file makes, its variables set to these and no others.
#[track_caller]
fn passes(format: Format, text: &str, targets: Option<&str>, variables: &[(&str, &str)]) {
    let estate = estate_of_two(format, text, targets).unwrap();
    let disk = SimDisk::new();
    let path = Path::new("/seawall.toml");
    disk.open(path, Open::Create).unwrap().append(estate.as_bytes()).unwrap();
    let variable = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned()).ok_or(VarError::NotPresent)
    };
    let loaded = estate::load(path, &Surroundings { disk: &disk, variable: &variable, cores: 1 });
    let estate = loaded.unwrap_or_else(|e| match e {
        LoadError::Invalid { report } => panic!("{:#}\n{estate}", report.to_json()),
        LoadError::Unreadable { .. } => panic!("{e}"),
    });
    assert!(estate.gateway.is_none() && estate.probes.is_some_and(|probes| !probes.probes.is_empty()));
}

#[test]
fn what_probes_pass_once_their_variables_are_set() {
    let of_gatus = [
        ("SEAWALL_SHOP_ORDERS_TARGET", "https://orders.example/graphql"),
        ("SEAWALL_SHOP_ORDERS_X_TENANT", "t-1"),
        ("ORDERS_TOKEN", "Bearer x"),
        ("TARGET_URL", "https://shop.example"),
    ];
    passes(Format::Gatus, include_str!("tests/gatus.yaml"), None, &of_gatus);
    passes(Format::Gatus, include_str!("tests/gatus-small.yaml"), None, &[]);
    let of_blackbox = [
        ("SEAWALL_HTTP_2XX_TARGET", "http://shop.example"),
        ("SEAWALL_HTTP_API_TARGET", "https://api.example"),
        ("SEAWALL_HTTP_TOKEN_TARGET", "https://api.example"),
        ("SEAWALL_HTTP_TOKEN_AUTHORIZATION", "Bearer x"),
        ("SEAWALL_TCP_PLAIN_TARGET", "tcp://db.example:5432"),
        ("SEAWALL_SSH_BANNER_TARGET", "tcp://host.example:22"),
        ("SEAWALL_GREETING_TARGET", "tcp://mail.example:110"),
        ("SEAWALL_IMAPS_TARGET", "tls://mail.example:993"),
        ("SEAWALL_SMTP_TARGET", "smtp://mail.example"),
        ("SEAWALL_ZONE_TARGET", "dns://192.0.2.1/shop.example?type=SOA"),
        ("SEAWALL_ANY_TARGET", "dns://192.0.2.1/shop.example"),
    ];
    let blackbox = include_str!("tests/blackbox.yml");
    passes(Format::Blackbox, blackbox, None, &of_blackbox);
    passes(Format::Blackbox, blackbox, Some(include_str!("tests/blackbox-prometheus.yml")), &[]);
    passes(Format::UptimeKuma, include_str!("tests/uptime-kuma.json"), None, &[]);
}

#[test]
fn the_broken_one_of_two_files_is_named() {
    let (shown, made) = import_two(Format::Blackbox, "modules: {}", Some("a: ["));
    assert!(!made && shown.contains("SW0244: TARGETS:") && shown.contains("Prometheus"), "{shown}");
    let (shown, made) = import_two(Format::Blackbox, "modules: [", Some("a: 1"));
    assert!(!made && shown.contains("SW0244: FILE:"), "{shown}");
    let small = include_str!("tests/gatus-small.yaml");
    let (shown, made) = import_two(Format::Gatus, small, Some("a: 1"));
    assert!(made && shown.contains("--targets"), "{shown}");
}

#[test]
fn an_estate_takes_no_more_probes_than_fit_into_a_file() {
    let monitor = |number: usize| format!("{{\"type\":\"http\",\"name\":\"{number}\",\"url\":\"http://a\"}}");
    let monitors = (0..20_000).map(monitor).collect::<Vec<_>>().join(",");
    let (shown, made) = import(Format::UptimeKuma, &format!("{{\"monitorList\":[{monitors}]}}"));
    assert!(made && shown.contains("split this one"), "{}", &shown[..1_000]);
}

#[test]
fn deep_json_is_refused() {
    refuses(Format::UptimeKuma, &"[".repeat(200), "SW0244");
    let deep = format!("{{\"monitorList\": {}{}}}", "[".repeat(60), "]".repeat(60));
    refuses(Format::UptimeKuma, &deep, "32 levels");
    refuses(Format::UptimeKuma, "{\"monitorList\": [}", "SW0244");
}

#[test]
fn what_is_no_configuration_is_refused() {
    refuses(Format::Erpc, "projects: [", "SW0244");
    refuses(Format::Erpc, "a: 1\na: 2\n", "SW0244");
    refuses(Format::Erpc, &"[".repeat(5_000), "SW0244");
    refuses(Format::Proxyd, "[server", "SW0244");
    refuses(Format::Haproxy, "server a 1.2.3.4:80", "SW0244");
    refuses(Format::Haproxy, "global\n  log \"x", "SW0244");
    for format in Format::value_variants() {
        refuses(*format, "", "SW0245");
        refuses(*format, &"#".repeat(1 << 21), "SW0243");
    }
}

#[test]
fn a_file_that_says_ever_more_is_refused() {
    let mut text = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n".to_owned();
    for i in 1..12 {
        let one = format!("*a{}", i - 1);
        text += &format!("a{i}: &a{i} [{}]\n", vec![one; 9].join(","));
    }
    refuses(Format::Erpc, &text, "more than 20000 values");
    let mut text = "a0: &a0 [1]\n".to_owned();
    for i in 1..500 {
        text += &format!("a{i}: &a{i} [*a{}]\n", i - 1);
    }
    refuses(Format::Erpc, &text, "levels deep");
}

#[test]
fn what_is_there_is_overwritten_only_by_force() {
    let dir = tempfile::tempdir().unwrap();
    let (file, output) = (dir.path().join("p.toml"), dir.path().join("seawall.toml"));
    fs::write(&file, include_str!("tests/proxyd-small.toml")).unwrap();
    fs::write(&output, "mine").unwrap();
    let (code, _, err) = command(Format::Proxyd, &file, Some(&output), false, false);
    assert!(code == exit::NONE && err.contains("SW0246"), "{err}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "mine");
    let (code, out, _) = command(Format::Proxyd, &file, Some(&output), true, false);
    assert!(code == exit::MADE && out.contains("seawall check"), "{out}");
    assert!(fs::read_to_string(&output).unwrap().contains("[pools.main]"));
    let (code, _, err) = command(Format::Proxyd, &file, Some(&dir.path().join("no/x.toml")), false, false);
    assert!(code == exit::NONE && err.contains("SW0247"), "{err}");
}

#[test]
fn programs_are_told_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("haproxy.cfg");
    fs::write(&file, include_str!("tests/haproxy.cfg")).unwrap();
    let (_, estate, _) = command(Format::Haproxy, &file, None, false, false);
    let (code, out, err) = command(Format::Haproxy, &file, None, false, true);
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.as_str(), told["estate"].as_str()), (exit::MADE, "", Some(estate.as_str())));
    let first = &told["left_out"][0];
    assert_eq!((first["path"].as_str(), first["line"].as_u64()), (Some("global.log"), Some(4)));
    assert!(first["reason"].is_string());
}

#[test]
fn no_secret_is_told_of_where_it_is_left_out() {
    let erpc =
        "projects: [{id: a, upstreams: [{id: x, endpoint: 'https://h/hidden word', evm: {chainId: 1}}]}]";
    let proxyd =
        "[authentication]\n\"env:hidden\" = \"a\"\n[backends.hidden2]\n[rpc_method_mappings]\nx = \"hidden\"";
    let gatus = "endpoints: [{name: a, url: 'https://h/hidden word', conditions: ['[BODY] == any(hidden)']}]";
    let kuma = r#"{"monitorList":[{"type":"mysql","databaseConnectionString":"hidden"},{"type":"http","url":"x:hidden"}]}"#;
    let blackbox =
        "modules: {a: {prober: http, http: {headers: {te: hidden}, oauth2: {client_secret: hidden}}}}";
    let all = [
        (Format::Erpc, erpc),
        (Format::Proxyd, proxyd),
        (Format::Gatus, gatus),
        (Format::UptimeKuma, kuma),
        (Format::Blackbox, blackbox),
    ];
    for (format, text) in all {
        let (shown, _) = import(format, text);
        assert!(!shown.replace("hidden2", "").contains("hidden"), "{shown}");
    }
}

/// Texts that are nearly of a format: lines of files that are, mixed, with other characters in them.
fn nearly() -> impl Strategy<Value = String> {
    let all = [
        include_str!("tests/erpc.yaml"),
        include_str!("tests/proxyd.toml"),
        include_str!("tests/haproxy.cfg"),
        include_str!("tests/gatus.yaml"),
        include_str!("tests/blackbox.yml"),
        include_str!("tests/uptime-kuma.json"),
        "a: &a [*a]\n? {b: c}\n: |\n  x\n--- !!str\n<<: [*a, {}]\n%TAG ! x\nkey: >-\n\t- \"\\x\"\n",
    ];
    let lines: Vec<&str> = all.iter().flat_map(|text| text.lines()).collect();
    let noise = "[\\PC\\n\\t\"'\\\\${}:#&*!|>\\[\\],-]{0,6}";
    let line = (prop::sample::select(lines), noise, any::<bool>(), 0..80_usize);
    let line = line.prop_map(|(line, noise, before, at)| {
        let at = line.char_indices().map(|(i, _)| i).nth(at).unwrap_or(line.len());
        let (head, tail) = line.split_at(at);
        if before { format!("{head}{noise}{tail}\n") } else { format!("{line}\n") }
    });
    prop::collection::vec(line, 0..40).prop_map(|lines| lines.concat())
}

/// Jobs of Prometheus whose targets are anything, each for any module.
fn targets() -> impl Strategy<Value = String> {
    let module = "http_2xx|http_api|http_token|tcp_plain|ssh_banner|imaps|smtp|zone|any|gone";
    let target = "((https?|tcp|dns|wss|redis|evm\\+http)://)?[a-z@:/?#.%$\\[\\]0-9-]{0,12}";
    let time = "[0-9]{1,6}(ns|us|ms|s|m|h|d)";
    prop::collection::vec((module, target, time), 0..6).prop_map(|all| {
        let job = |(module, target, time): (String, String, String)| {
            format!(
                "- {{job_name: a, metrics_path: /probe, scrape_interval: {time}, params: {{module: [{module}]}}, \
                 static_configs: [{{targets: [\"{target}\"]}}]}}\n"
            )
        };
        format!("scrape_configs:\n{}", all.into_iter().map(job).collect::<String>())
    })
}

/// A whole file with one line of it changed, left out or there twice.
fn changed() -> impl Strategy<Value = (Format, String)> {
    let all = vec![
        (Format::Erpc, include_str!("tests/erpc.yaml")),
        (Format::Proxyd, include_str!("tests/proxyd.toml")),
        (Format::Haproxy, include_str!("tests/haproxy.cfg")),
        (Format::Gatus, include_str!("tests/gatus.yaml")),
        (Format::Blackbox, include_str!("tests/blackbox.yml")),
        (Format::UptimeKuma, include_str!("tests/uptime-kuma.json")),
    ];
    let change =
        (any::<prop::sample::Index>(), 0..4_u8, "[\\PC\\n\"'\\\\${}:#&*!|>\\[\\],-]{0,8}|[0-9]{1,20}");
    (prop::sample::select(all), prop::collection::vec(change, 1..4)).prop_map(|((format, text), changes)| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (at, how, noise) in changes {
            let at = at.index(lines.len());
            match how {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[at].clone()),
                2 => lines[at] += &noise,
                _ => {
                    let head = lines[at].find([':', '=', ' ']).map_or(0, |i| i + 1);
                    let value = format!("{} {noise}", &lines[at][..head]);
                    lines[at] = value;
                }
            }
        }
        (format, lines.join("\n"))
    })
}

/// Whatever the text is, it makes an estate that passes or is refused for what it is.
fn holds(format: Format, text: &str) -> Result<(), TestCaseError> {
    holds_two(format, text, None)
}

fn holds_two(format: Format, text: &str, targets: Option<&str>) -> Result<(), TestCaseError> {
    match estate_of_two(format, text, targets) {
        Err(error @ ImportError::Refused { .. }) => Err(TestCaseError::fail(error.to_string())),
        Ok(_) | Err(_) => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        for format in Format::value_variants() {
            holds(*format, &text)?;
        }
    }

    #[test]
    fn no_text_makes_an_estate_that_does_not_pass(text in nearly()) {
        for format in Format::value_variants() {
            holds(*format, &text)?;
        }
        holds_two(Format::Blackbox, include_str!("tests/blackbox.yml"), Some(&text))?;
    }

    #[test]
    fn no_change_makes_an_estate_that_does_not_pass((format, text) in changed()) {
        holds(format, &text)?;
        if format == Format::Blackbox {
            holds_two(format, &text, Some(include_str!("tests/blackbox-prometheus.yml")))?;
        }
    }

    #[test]
    fn no_targets_make_an_estate_that_does_not_pass(text in targets()) {
        holds_two(Format::Blackbox, include_str!("tests/blackbox.yml"), Some(&text))?;
    }
}
