//! Estates good and bad, on a simulated disk.

mod chains;
mod front;
mod paths;
mod probes;
mod schema;

use std::{collections::BTreeMap, env::VarError, path::Path, time::Duration};

use proptest::prelude::*;
use seawall_gateway::estate::{Pin, PoolKind};
use seawall_runtime::disk::{Disk, Open, sim::SimDisk};

use seawall_model::estate::Sources;

use super::*;
use crate::init::STARTER;

/// Files by name, and what the environment holds.
pub(crate) struct World {
    disk: SimDisk,
    variables: BTreeMap<&'static str, &'static str>,
}

impl World {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let disk = SimDisk::new();
        for (name, text) in files {
            let path = Path::new(name);
            disk.create_dir_all(path.parent().unwrap()).unwrap();
            disk.open(path, Open::Create).unwrap().append(text.as_bytes()).unwrap();
        }
        Self {
            disk,
            variables: BTreeMap::from([("KEY", "0123456789abcdef"), ("NODE", "https://node.example/k")]),
        }
    }

    pub(crate) fn with<T>(&self, job: impl FnOnce(&Surroundings<'_>) -> T) -> T {
        let variable =
            |name: &str| self.variables.get(name).map(|v| (*v).to_owned()).ok_or(VarError::NotPresent);
        job(&Surroundings { disk: &self.disk, variable: &variable, cores: 2 })
    }

    fn load(&self, path: &str) -> Result<Estate, LoadError> {
        self.with(|with| load(Path::new(path), with))
    }
}

/// The report of an estate that must be refused.
fn refused(world: &World, path: &str) -> Box<Report> {
    match world.load(path) {
        Err(LoadError::Invalid { report }) => report,
        Err(e @ LoadError::Unreadable { .. }) => panic!("{e}"),
        Ok(_) => panic!("`{path}` was taken"),
    }
}

/// The report of one file.
fn report(text: &str) -> Box<Report> {
    match World::new(&[("/e/seawall.toml", text)]).load("/e/seawall.toml") {
        Err(LoadError::Invalid { report }) => report,
        Err(e @ LoadError::Unreadable { .. }) => panic!("{e}"),
        Ok(estate) => Box::new(estate.report),
    }
}

/// The estate, with `more` in it, is refused (or warned of) with exactly these codes.
fn check(more: &str, codes: &[&str]) {
    let text = format!(
        "estate.name = \"t\"\nproviders = {{ a = {{ regions = [\"r1\"] }}, b = {{}}, c = {{}} }}\n{more}"
    );
    let report = report(&text);
    let found: Vec<_> =
        report.to_json().as_array().unwrap().iter().map(|p| p["code"].as_str().unwrap().to_owned()).collect();
    assert_eq!(found, codes, "{more}\n{}", report.render(false));
}

/// Three upstreams, with `more` in the pool.
fn pool(more: &str) -> String {
    let upstream = |n| format!("{{ name = \"{n}\", url = \"https://{n}.example\", provider = \"{n}\" }}");
    let all = ["a", "b", "c"].map(upstream).join(", ");
    format!("[pools.eth]\nkind = \"evm\"\nchain_id = 1\nblock_time = \"12s\"\nupstreams = [{all}]\n{more}")
}

/// A pool of three whose first upstream has these keys.
fn upstream(keys: &str) -> String {
    let rest = "{ name = \"b\", url = \"https://b.example\", provider = \"b\" }, { name = \"c\", url = \"https://c.example\", provider = \"c\" }";
    format!(
        "[pools.eth]\nkind = \"evm\"\nchain_id = 1\nblock_time = \"12s\"\nupstreams = [{{ {keys} }}, {rest}]\n"
    )
}

#[test]
fn the_starter_can_be_run() {
    let estate = World::new(&[("/e/seawall.toml", STARTER)]).load("/e/seawall.toml").unwrap();
    assert_eq!(estate.report.count(), "nothing");
    let gateway = estate.gateway.unwrap();
    assert_eq!(gateway.workers, 2);
    let pool = &gateway.pools[0];
    assert_eq!((&*pool.route, pool.attempts, pool.hang), ("/ethereum", 4, Duration::from_secs(1)));
    let PoolKind::Evm(evm) = &pool.kind else { panic!("{:?}", pool.kind) };
    assert_eq!((evm.poll, evm.lag, evm.pin, evm.broadcast), (Duration::from_secs(2), 0, Pin::Hash, 2));
    assert_eq!(pool.upstreams[1].rate, Some(50));
    assert_eq!(pool.upstreams[2].region.as_ref().unwrap().as_str(), "eu-west-1");
    assert_eq!(estate.graph.components().count(), 1 + 3 + 2 + 3 + 1);
}

#[test]
fn everything_said_in_the_starter_s_comments_is_accepted() {
    let uncommented: String = STARTER
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            // Settings only: not prose, nor the second and third way to write the URL.
            Some(setting)
                if setting.contains(" = ") && !setting.contains("_URL") && !setting.contains("file:") =>
            {
                setting
            }
            Some(header) if header.starts_with('[') => header,
            _ => line,
        })
        .filter(|line| !line.starts_with("More files"))
        .map(|line| format!("{line}\n"))
        .collect();
    let prices = "[[pools.prices.upstreams]]\nname = \"x\"\nurl = \"env:NODE\"\nprovider = \"drpc\"\n\n[teams.payments]";
    let text = uncommented.replace("[teams.payments]", prices);
    let mut world = World::new(&[("/e/seawall.toml", &text)]);
    world.variables.extend([("SEAWALL_ADMIN_TOKEN", "token"), ("BLAST_AUTHORIZATION", "Bearer x")]);
    let estate = world.load("/e/seawall.toml").unwrap_or_else(|e| match e {
        LoadError::Invalid { report } => panic!("{}", report.render(false)),
        LoadError::Unreadable { .. } => panic!("{e}"),
    });
    assert_eq!(estate.graph.services.len(), 3);
    assert_eq!(estate.gateway.unwrap().pools[0].upstreams[2].headers.len(), 1);
}

#[test]
fn every_estate_that_is_shown_somewhere_can_be_run() {
    let readme = include_str!("../../../../README.md");
    let ten_lines = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    for text in [ten_lines, include_str!("../../../../bench/gateway.toml")] {
        let mut world = World::new(&[("/e/seawall.toml", text)]);
        let url = "https://node.example/v2";
        world.variables.extend([("ALCHEMY_URL", url), ("QUICKNODE_URL", url)]);
        let estate = world.load("/e/seawall.toml").unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(estate.report.count(), "nothing", "{}", estate.report.render(false));
    }
}

#[test]
fn every_fault_of_a_file_is_told_at_once() {
    let text = include_str!("tests/dozen.toml");
    let world = World::new(&[("/e/seawall.toml", text)]);
    let report = refused(&world, "/e/seawall.toml");
    insta::assert_snapshot!("dozen", report.render(false).replace("/e/", ""));
    insta::assert_snapshot!("dozen_json", format!("{:#}", report.to_json()).replace("/e/", ""));
}

#[test]
fn a_secret_is_never_shown() {
    let text = include_str!("tests/secrets.toml");
    let report = report(text);
    let shown =
        report.render(true) + &report.render(false) + &report.to_json().to_string() + &format!("{report:?}");
    assert!(!shown.contains("SECRET"), "{shown}");
    insta::assert_snapshot!("secrets", report.render(false).replace("/e/", ""));
    // Nor of a text that cannot even be parsed.
    for broken in
        ["url = \"https://SECRET", "url = https://SECRET", "x = 1\n\"SECRET", "[a]\ny = '''\nSECRET\n"]
    {
        let report = self::report(broken);
        assert!(report.errors() > 0, "{broken}");
        assert!(!report.render(false).contains("SECRET"), "{}", report.render(false));
    }
}

#[test]
fn references_choices_and_circles_are_judged() {
    check(&pool(""), &[]);
    check(&upstream("name = 'x', url = 'https://x', provider = 'aa'"), &["SW0108"]);
    check(&upstream("name = 'x', url = 'https://x', provider = 'a/r2'"), &["SW0108"]);
    check(&upstream("name = 'b', url = 'https://x', provider = 'a'"), &["SW0107"]);
    check(&upstream("name = 'x', url = 'https://x', provider = 'a', weight = 0"), &[]);
    check("[pools.eth]\nkind = 'http'\n", &["SW0112"]);
    check(
        "[pools.eth]\nkind = 'http'\nupstreams = [{ name = 'x', url = 'https://x', provider = 'a', weight = 0 }]",
        &["SW0112", "SW0151"],
    );
    check("[services.s]\nneeds = 'provider:a'\nowner = 'nobody'", &["SW0108"]);
    check("[services.s]\nneeds = { k = 0, of = ['provider:a'] }", &["SW0112"]);
    check("[services.s]\nneeds = { k = 2, of = ['provider:a'] }", &["SW0112"]);
    check("[services.s]\nneeds = { any = [] }", &["SW0112"]);
    check("[services.s]\nneeds = { all = [] }", &[]);
    check("[services.s]\nneeds = { all = [], any = [] }", &["SW0113"]);
    check("[services.s]\nneeds = {}", &["SW0104"]);
    check("[services.s]\nneeds = 'service:s'", &["SW0111"]);
    let circles = "[services]\na.needs = 'service:b'\nb.needs = { any = ['service:c', 'provider:a'] }\nc.needs = 'service:a'\n\
                   d.needs = 'service:a'\ne.needs = 'service:f'\nf.needs = 'service:e'";
    check(circles, &["SW0111", "SW0111"]);
}

#[test]
fn pools_and_upstreams_are_judged() {
    check(&pool("route = '/'\n[pools.x]\nkind = 'evm'"), &["SW0104", "SW0112"]);
    check(&pool("").replace("block_time", "# block_time"), &[]);
    check(
        &pool("").replace("block_time", "# block_time").replace("chain_id = 1", "chain_id = 56"),
        &["SW0104"],
    );
    check(&(pool("") + &pool("").replace("pools.eth", "pools.x") + "route = '/eth'"), &["SW0107"]);
    for route in ["eth", "/eth/", "//", "/a b", "/a?b", "/../x"] {
        check(&pool(&format!("route = '{route}'")), &["SW0106"]);
    }
    check(&pool("deadline = '2s'"), &[]);
    check(&pool("deadline = '2s'\nattempt_timeout = '3s'"), &["SW0113"]);
    check(&pool("attempts = 0"), &["SW0106"]);
    check(&pool("retry_methods = ['GET']"), &["SW0113"]);
    check(&upstream("name = 'x', url = 'ftp://x', provider = 'a'"), &["SW0114"]);
    check(&upstream("name = 'x', url = 'http://x', provider = 'a'"), &["SW0153"]);
    check(&upstream("name = 'x', url = 'http://[::1]:1', provider = 'a'"), &[]);
    check(&upstream("name = 'x', url = 'env:NONE', provider = 'a'"), &["SW0116"]);
    check(&upstream("name = 'x', url = 'file:none', provider = 'a'"), &["SW0116"]);
    check(&upstream("name = 'x', url = 'env:NODE', provider = 'a', rate = '59/m'"), &["SW0106"]);
    for (header, codes) in [
        ("authorization = 'env:KEY'", &[][..]),
        ("authorization = 'Bearer x'", &["SW0154"]),
        ("x-client = 'acme'", &[]),
        ("Host = 'x'", &["SW0115"]),
        ("Transfer-Encoding = 'x'", &["SW0115"]),
        ("'a b' = 'x'", &["SW0115"]),
        ("x = \"a\\r\\ny: b\"", &["SW0115"]),
        ("x = ''", &["SW0116"]),
        ("x = 'a', X = 'b'", &["SW0107"]),
    ] {
        check(
            &upstream(&format!("name = 'x', url = 'env:NODE', provider = 'a', headers = {{ {header} }}")),
            codes,
        );
    }
    let same = upstream("name = 'x', url = 'https://x', provider = 'a'")
        .replace("provider = \"b\"", "provider = 'a'");
    check(&same.replace("provider = \"c\"", "provider = 'a'"), &["SW0152"]);
}

#[test]
fn listeners_and_limits_are_judged() {
    check("listen.admin = '0.0.0.0:9545'", &["SW0117"]);
    check("listen = { admin = '0.0.0.0:9545', admin_token = 'env:KEY' }", &[]);
    check("listen.admin = '127.0.0.1:8545'", &["SW0113"]);
    check("listen.gateway = ['127.0.0.1:1', '127.0.0.1:1']", &["SW0107"]);
    check("listen.gateway = []", &["SW0112"]);
    check("listen.gateway = 'localhost:8545'", &["SW0106"]);
    check("limits.request_body = '1TB'", &["SW0106"]);
    check("limits.idle = '0s'", &["SW0106"]);
    check("journal.dir = ''", &["SW0106"]);
    check("journal = {}", &["SW0104"]);
    let key = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    check(&format!("journal = {{ dir = 'j', witnesses = ['{key}'] }}"), &[]);
    check("journal = { dir = 'j', witnesses = ['x', 'a+b+c'] }", &["SW0106"; 2]);
    check("journal = { dir = 'j', segment = '1kB', queue = 1, checkpoint_every = '1h' }", &["SW0106"; 3]);
    check("log.level = 'loud'", &["SW0106"]);
}

#[test]
fn files_are_read_together() {
    let world = World::new(&[
        ("/e/main.toml", "include = ['conf.d/*.toml', 'teams.toml']\n[estate]\nname = 'x'\n"),
        ("/e/conf.d/pool.toml", &pool("")),
        ("/e/conf.d/providers.toml", "providers = { a = {}, b = {}, c = {} }"),
        ("/e/conf.d/.hidden.toml", "nonsense"),
        ("/e/conf.d/readme.md", "nonsense"),
        ("/e/teams.toml", "[teams.t]"),
    ]);
    let estate = world.load("/e/main.toml").unwrap();
    let files: Vec<_> = estate.files.iter().map(|f| f.to_str().unwrap()).collect();
    let expected =
        ["/e/conf.d", "/e/conf.d/pool.toml", "/e/conf.d/providers.toml", "/e/main.toml", "/e/teams.toml"];
    assert_eq!(files, expected);
    assert_eq!(estate.graph.teams.len(), 1);
    let whole = world.load("/e").unwrap_err();
    assert!(whole.to_string().contains("1 error"), "main.toml includes what the directory holds: {whole}");
}

#[test]
fn what_stands_in_two_files_is_shown_in_both() {
    let world = World::new(&[
        ("/e/a.toml", "[estate]\nname = 'x'\n[providers.p]\n"),
        ("/e/b.toml", "[estate]\nname = 'y'\n[providers.p]\nregions = ['r']\n"),
    ]);
    insta::assert_snapshot!(refused(&world, "/e").render(false));
}

#[test]
fn includes_that_cannot_be_followed_are_told() {
    let world = World::new(&[
        (
            "/e/main.toml",
            "include = ['./a.toml', 'none.toml', '*/x.toml', 'a*b*.toml', 'none*.toml', 'none/*.toml']\nestate.name = 'x'\n",
        ),
        ("/e/a.toml", "include = ['../e/main.toml']"),
    ]);
    insta::assert_snapshot!(refused(&world, "/e/main.toml").render(false));
    let deep: Vec<_> =
        (0..12).map(|i| (format!("/d/{i}.toml"), format!("include = ['{}.toml']", i + 1))).collect();
    let deep: Vec<_> = deep.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    let report = refused(&World::new(&deep), "/d/0.toml").render(false);
    assert!(report.contains("SW0110") && !report.contains("10.toml"), "{report}");
}

#[test]
fn too_much_is_refused() {
    let large = "#".repeat(usize::try_from(files::MAX_FILE).unwrap() + 1);
    let world = World::new(&[("/e/large.toml", &large), ("/none/x", "")]);
    for path in ["/e/large.toml", "/e/none.toml", "/none"] {
        assert!(matches!(world.load(path), Err(LoadError::Unreadable { .. })), "{path}");
    }
    let many: Vec<_> = (0..=Sources::MAX_FILES).map(|i| (format!("/m/{i}.toml"), String::new())).collect();
    let many: Vec<_> = many.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    assert!(refused(&World::new(&many), "/m").render(false).contains("SW0110"));
    let keys: String = (0..500).map(|i| format!("key{i} = 1\n")).collect();
    let report = report(&keys);
    assert_eq!((report.errors(), report.to_json().as_array().unwrap().len()), (500, 100));
    assert!(report.render(false).ends_with("400 more not shown\n\n"));
}

#[test]
fn secrets_come_from_files_beside_the_estate() {
    let pool =
        upstream("name = 'x', url = 'file:secrets/url', provider = 'a', headers = { x-key = 'file:/k' }");
    let text = format!("estate.name = 't'\nproviders = {{ a = {{}}, b = {{}}, c = {{}} }}\n{pool}");
    let world = World::new(&[
        ("/e/seawall.toml", &text),
        ("/e/secrets/url", "https://node.example/v2/SECRET\n"),
        ("/k", "SECRET\r\n"),
    ]);
    let estate = world.load("/e/seawall.toml").unwrap();
    let upstream = &estate.gateway.as_ref().unwrap().pools[0].upstreams[0];
    assert_eq!(upstream.path.expose(), "/v2/SECRET");
    assert_eq!(upstream.headers[0].1.expose(), "SECRET");
    assert!(estate.files.contains(&"/e/secrets/url".into()) && estate.files.contains(&"/k".into()));
    assert!(!format!("{estate:?}").contains("SECRET"), "{estate:?}");
}

#[test]
fn columns_count_characters() {
    let json = report("estate = { name = \"é\" }\nü = 1\n").to_json();
    assert_eq!((&json[0]["line"], &json[0]["column"]), (&1.into(), &19.into()));
    let json = report("log = { \"é\" = 1, y = 2 }").to_json();
    assert_eq!((&json[0]["column"], &json[1]["column"]), (&9.into(), &18.into()));
    // Where a secret was masked as well.
    let report = report("log = { \"ü\" = 'é€😀', y = 2 }\n");
    assert_eq!(report.to_json()[1]["column"], 22);
    let shown = report.render(false);
    assert!(shown.contains("seawall.toml:1:22") && shown.contains("\"ü\" = *·•🞄*, y = *"), "{shown}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_it_panic_and_every_place_is_in_its_file(text in estate_like()) {
        let report = report(&text);
        let lines: Vec<_> = text.split('\n').collect();
        for problem in report.to_json().as_array().unwrap() {
            let Some(line) = problem["line"].as_u64() else { continue };
            let line = lines.get(usize::try_from(line).unwrap() - 1);
            let column = usize::try_from(problem["column"].as_u64().unwrap()).unwrap();
            prop_assert!(line.is_some_and(|l| column <= l.chars().count() + 1), "{problem}");
        }
        report.render(true);
    }
}

/// The starter and the file of a dozen faults with lines dropped, doubled, swapped and overwritten.
fn estate_like() -> impl Strategy<Value = String> {
    let junk = prop_oneof![
        "\\PC{0,20}",
        "[a-z]{1,6} = [\\[{\"'0-9a-z]{0,6}",
        "\\[{1,2}[a-z.]{0,12}\\]{0,2}",
        "(needs|url|headers|include|upstreams|route|regions) = (1|true|\\[\\]|\\{\\}|\\[1\\]|'é€'|\"\\\\u0000\\\\r\\\\n\"|1979-05-27)",
    ];
    let edit = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::option::of(junk));
    let base = prop_oneof![Just(STARTER), Just(include_str!("tests/dozen.toml"))];
    (base, prop::collection::vec(edit, 0..8)).prop_map(|(base, edits)| {
        let mut lines: Vec<_> = base.lines().map(str::to_owned).collect();
        for (at, other, junk) in edits {
            let (at, other) = (at.index(lines.len()), other.index(lines.len()));
            match junk {
                Some(junk) => lines[at] = junk,
                None => lines.swap(at, other),
            }
        }
        lines.join("\n")
    })
}
