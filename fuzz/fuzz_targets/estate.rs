//! An estate's text, whatever it is, is taken or refused; every problem lies in its file, and its report
//! can be drawn.
#![no_main]

use std::{env::VarError, path::Path};

use libfuzzer_sys::fuzz_target;
use seawall::estate::{LoadError, Surroundings, load};
use seawall_runtime::disk::{Disk, Open, sim::SimDisk};

const PATH: &str = "seawall.toml";

fuzz_target!(|text: &str| {
    let disk = SimDisk::new();
    disk.open(Path::new(PATH), Open::Create)
        .and_then(|mut file| file.append(text.as_bytes()))
        .expect("an empty disk takes a file");
    let variable = |_: &str| Err(VarError::NotPresent);
    let with = Surroundings { disk: &disk, variable: &variable, cores: 1 };
    let report = match load(Path::new(PATH), &with) {
        Ok(estate) => estate.report,
        Err(LoadError::Invalid { report }) => *report,
        Err(LoadError::Unreadable { .. }) => return,
        Err(other) => panic!("{other}"),
    };
    report.render(true);
    let lines: Vec<_> = text.split('\n').collect();
    for problem in report.to_json().as_array().expect("a list") {
        let (Some(line), Some(column)) = (problem["line"].as_u64(), problem["column"].as_u64()) else {
            continue;
        };
        let line = lines[usize::try_from(line).expect("a line's number") - 1];
        assert!(column <= line.chars().count() as u64 + 1, "{problem}");
    }
});
