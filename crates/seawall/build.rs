//! Tells the binary what it is built from.

use std::{env, process::Command};

fn main() {
    let run = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().ok().filter(|o| o.status.success())?;
        String::from_utf8(output.stdout).ok().map(|s| s.trim().to_owned())
    };
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| "unknown".into());
    let revision = run("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".into());
    let rustc = run(&variable("RUSTC"), &["--version"]).unwrap_or_else(|| "unknown".into());
    for (name, value) in [
        ("REVISION", revision),
        ("RUSTC", rustc),
        ("TARGET", variable("TARGET")),
        ("PROFILE", variable("PROFILE")),
    ] {
        println!("cargo::rustc-env=SEAWALL_{name}={value}");
    }
    if let Some(head) = run("git", &["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={head}");
    }
    println!("cargo::rerun-if-changed=build.rs");
}
