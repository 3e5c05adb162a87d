//! The house rules that a compiler does not check: which way the arrows point, what things are called,
//! how long a file is, that every error code is explained. Each rule is drawn or told in ARCHITECTURE.md
//! and CONTRIBUTING.md.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its own repository has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The storeys of the house, from the ground up. A crate may depend on those below it, never on its own.
const STOREYS: [&[&str]; 7] = [
    &["model"],
    &["runtime"],
    &["journal", "history"],
    &["chain", "rules"],
    &["health", "incident", "risk"],
    &["gateway", "probe", "certs", "notify", "console", "mesh", "drill"],
    &["seawall"],
];

/// Crates that decide and never do: no clock, no IO, no async machinery, and only each other to lean on.
const PURE: [&str; 6] = ["model", "chain", "rules", "health", "incident", "risk"];

/// What a pure crate may not reach, however indirectly.
const MACHINERY: [&str; 7] =
    ["tokio", "hyper", "mio", "rustls", "rusqlite", "seawall-runtime", "seawall-journal"];

/// Lines a source file may have, and the files that may have more, each with its reason.
const LINES: usize = 800;
const LONGER: [(&str, &str); 0] = [];

/// A code that stands for any, in help texts.
const EXAMPLE: &str = "SW0123";

/// Names that say nothing.
const VAGUE: [&str; 6] = ["utils", "util", "common", "helpers", "manager", "misc"];

#[track_caller]
fn check(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(args).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The workspace's crates by short name (`model`, not `seawall-model`), each with the crates of ours that
/// it is built with; what its tests use is not counted.
fn crates() -> BTreeMap<String, BTreeSet<String>> {
    let short = |name: &Value| name.as_str().unwrap().trim_start_matches("seawall-").to_owned();
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"]))
            .unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<String> = packages.iter().map(|p| short(&p["name"])).collect();
    let built_with = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        dependencies
            .filter(|d| d["kind"] != "dev")
            .map(|d| short(&d["name"]))
            .filter(|d| ours.contains(d))
            .collect()
    };
    packages.iter().map(|p| (short(&p["name"]), built_with(p))).collect()
}

/// Every Rust file of the repository, by its path from the root.
fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            let name = entry.file_name().unwrap().to_string_lossy().into_owned();
            if entry.is_dir() && name != "target" && name != "node_modules" {
                walk(&entry, found);
            } else if name.ends_with(".rs") {
                found.push(entry);
            }
        }
    }
    let mut found = Vec::new();
    for dir in ["crates", "fuzz", "bench"].map(|dir| root().join(dir)).into_iter().filter(|dir| dir.exists())
    {
        walk(&dir, &mut found);
    }
    found.sort();
    let named = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    found.into_iter().map(named).collect()
}

/// The part of each source file that ships: not tests, benches, examples or fuzz targets.
fn shipped() -> Vec<(String, String)> {
    let ships = |name: &str| {
        let test = name.ends_with("/tests.rs")
            || ["/tests/", "/benches/", "/examples/"].iter().any(|d| name.contains(d));
        name.starts_with("crates/") && !test
    };
    let before_tests =
        |text: String| match text.find("#[cfg(test)]\nmod ").or_else(|| text.find("#[cfg(test)]\npub")) {
            Some(at) => text[..at].to_owned(),
            None => text,
        };
    sources()
        .into_iter()
        .filter(|(name, _)| ships(name))
        .map(|(name, text)| (name, before_tests(text)))
        .collect()
}

/// The lines of shipped code, comments left out, that contain one of `needles`, in files that `skip` does
/// not hold.
fn lines_with(needles: &[&str], skip: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in shipped().into_iter().filter(|(name, _)| !skip(name)) {
        for (number, line) in text.lines().enumerate() {
            if !line.trim_start().starts_with("//") && needles.iter().any(|needle| line.contains(needle)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

fn storey(name: &str) -> Option<usize> {
    STOREYS.iter().position(|storey| storey.contains(&name))
}

#[test]
fn arrows_point_down() {
    let mut wrong = Vec::new();
    for (name, uses) in crates() {
        let Some(height) = storey(&name) else {
            wrong.push(format!("{name} has no place in the house"));
            continue;
        };
        for used in uses {
            if storey(&used).is_none_or(|below| below >= height) {
                wrong.push(format!("{name} -> {used}"));
            } else if PURE.contains(&&*name) && !PURE.contains(&&*used) {
                wrong.push(format!("{name} is pure and {used} is not"));
            }
        }
    }
    check("a crate depends only on crates below it, a pure one only on pure ones", &wrong);
}

#[test]
fn pure_crates_reach_no_machinery() {
    let mut wrong = Vec::new();
    for name in crates().keys().filter(|name| PURE.contains(&name.as_str())) {
        let package = format!("seawall-{name}");
        let tree = cargo(&[
            "tree",
            "--locked",
            "-p",
            &package,
            "-e",
            "normal,build",
            "--prefix",
            "none",
            "-f",
            "{p}",
        ]);
        let reached: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(reached.contains(&*package), "cargo tree told nothing of {package}");
        wrong
            .extend(MACHINERY.iter().filter(|m| reached.contains(*m)).map(|m| format!("{name} reaches {m}")));
    }
    check("pure crates never depend on async machinery, TLS, storage or our own IO", &wrong);
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    let manifests = crates().into_keys().map(|name| format!("crates/{name}/Cargo.toml"));
    let lints = |manifest: &String| {
        !fs::read_to_string(root().join(manifest)).unwrap().contains("[lints]\nworkspace = true\n")
    };
    check(
        "`[lints] workspace = true` stands in every manifest",
        &manifests.filter(lints).collect::<Vec<_>>(),
    );
}

#[test]
fn files_are_short_and_named_by_what_they_are() {
    let (mut long, mut vague) = (Vec::new(), Vec::new());
    for (name, text) in sources() {
        let lines = text.lines().count();
        if lines > LINES && !LONGER.iter().any(|(longer, _)| *longer == name) {
            long.push(format!("{name}: {lines} lines"));
        }
        if name.split(['/', '.']).any(|part| VAGUE.contains(&part)) {
            vague.push(name);
        }
    }
    check("files of more than 800 lines need a reason, in this test", &long);
    check("a name says what is inside", &vague);
}

#[test]
fn every_task_has_a_supervisor() {
    let bare = lines_with(&["tokio::spawn(", "task::spawn("], |name| name.starts_with("crates/runtime/"));
    check("long-lived work is started through seawall_runtime's tasks", &bare);
}

#[test]
fn only_the_binary_reads_its_surroundings() {
    let reads =
        lines_with(&["std::env::", "env::var", "env::args"], |name| name.starts_with("crates/seawall/"));
    check("the environment and the arguments are read in crates/seawall alone", &reads);
}

#[test]
fn every_error_code_is_explained_once() {
    let codes = |text: &str| -> Vec<String> {
        let digits = |at: usize| text.get(at + 2..at + 6).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        text.match_indices("SW").filter_map(|(at, _)| Some(format!("SW{}", digits(at)?))).collect()
    };
    let used: BTreeSet<String> = shipped()
        .iter()
        .flat_map(|(_, text)| {
            text.lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .flat_map(codes)
                .collect::<Vec<_>>()
        })
        .collect();
    let page = fs::read_to_string(root().join("docs/errors.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| SW"));
    let mut explained = BTreeMap::<String, usize>::new();
    for code in rows.filter_map(|row| codes(row).into_iter().next()) {
        *explained.entry(code).or_default() += 1;
    }
    let missing = used
        .iter()
        .filter(|code| *code != EXAMPLE && !explained.contains_key(*code))
        .map(|code| format!("{code} is not there"));
    let stale =
        explained.keys().filter(|code| !used.contains(*code)).map(|code| format!("{code} is used nowhere"));
    let twice =
        explained.iter().filter(|(_, n)| **n > 1).map(|(code, n)| format!("{code} is there {n} times"));
    check("docs/errors.md explains every code once", &missing.chain(stale).chain(twice).collect::<Vec<_>>());
}

#[test]
fn the_readme_shows_an_estate_that_passes() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let block = readme.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("seawall.toml");
    fs::write(&file, block).unwrap();
    let mut check = Command::new(env!("CARGO_BIN_EXE_seawall"));
    for variable in block.split("\"env:").skip(1).filter_map(|rest| rest.split('"').next()) {
        check.env(variable, "https://node.example/key");
    }
    let output = check.arg("check").arg(&file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}
