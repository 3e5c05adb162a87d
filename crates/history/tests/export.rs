//! What is written out is what is there, and others can read it.

#![expect(clippy::unwrap_used, reason = "what a test needs has to be there")]

use std::{collections::BTreeMap, fs::File, path::Path, sync::Arc};

use parquet::file::reader::{FileReader, SerializedFileReader};
use seawall_history::{
    Batch, Change, Check, History, Outcome, Policy, Stretched, Window,
    export::{Export, ExportError, Format, Kind},
};
use seawall_model::{Affected, AffectedSum, Cause, Status, Wall};

/// 2026-03-28T20:00:00Z.
const BEGIN: i64 = 1_774_728_000_000;

fn history() -> History {
    let mut history = History::in_memory(Policy::default()).unwrap();
    let component: seawall_model::ComponentId = "upstream:eth/a".parse().unwrap();
    for n in 0..120 {
        let now = Wall(BEGIN + n * 30_000);
        let failed = n % 10 == 0;
        let check = Check {
            source: Arc::from("probe, \"eu\""),
            seq: n as u64,
            component: component.clone(),
            at: now,
            vantage: Arc::from("eu"),
            outcome: if failed { Outcome::Failed } else { Outcome::Ok },
            latency_us: (!failed).then_some(1_000 + n as u64),
            cause: failed.then_some(Cause::Timeout),
        };
        let mut batch = Batch { checks: vec![check], ..Batch::default() };
        if n == 0 || n == 60 {
            let status = Some(if n == 0 { Status::Up } else { Status::Down });
            let change = Change { component: component.clone(), status, since: now, cause: None };
            batch.changes.push(change);
            let sum = |requests| AffectedSum {
                requests,
                customers: 1,
                value: [("USD".to_owned(), "0.5".to_owned())].into(),
                ..AffectedSum::default()
            };
            let affected = Affected {
                since: now,
                until: Wall(now.0 + 60_000),
                attempted: sum(9),
                failed: sum(2),
                unknown: AffectedSum::default(),
            };
            let source = Arc::from("gateway");
            batch.affected.push(Stretched { source, seq: n as u64, component: component.clone(), affected });
        }
        if n == 90 {
            let (since, until) = (now, Wall(now.0 + 10 * 60_000));
            batch.windows.push(Window { component: component.clone(), since, until, withdrawn: false });
        }
        history.write(now, &batch).unwrap();
    }
    history.tend(Wall(BEGIN + 3_600_000)).unwrap();
    history
}

fn export(into: &Path, format: Format) -> Export<'_> {
    Export { into, format, from: Wall(BEGIN - 86_400_000), until: Wall(BEGIN + 86_400_000), force: false }
}

/// A CSV file as rows of fields; of its quoting only what is written here.
fn csv(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut rows = Vec::new();
    for line in text.split_terminator("\r\n") {
        let (mut fields, mut quoted) = (vec![String::new()], false);
        let mut letters = line.chars().peekable();
        while let Some(c) = letters.next() {
            match c {
                '"' if quoted && letters.peek() == Some(&'"') => {
                    fields.last_mut().unwrap().push(letters.next().unwrap())
                }
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(String::new()),
                c => fields.last_mut().unwrap().push(c),
            }
        }
        rows.push(fields);
    }
    rows
}

/// A Parquet file as columns by name, each value as text.
fn parquet(path: &Path) -> BTreeMap<String, Vec<String>> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in reader.get_row_iter(None).unwrap() {
        for (name, field) in row.unwrap().get_column_iter() {
            columns.entry(name.clone()).or_default().push(field.to_string());
        }
    }
    columns
}

#[test]
fn both_forms_hold_the_same_rows() {
    let (history, dir) = (history(), tempfile::tempdir().unwrap());
    let wanted =
        [(Kind::Days, 1), (Kind::Hours, 1), (Kind::Statuses, 4), (Kind::Affected, 1), (Kind::Results, 120)];
    for (kind, rows) in wanted {
        for format in [Format::Csv, Format::Parquet] {
            let written = export(dir.path(), format).write(history.reader(), kind, &mut |_, _| {}).unwrap();
            assert_eq!(written.rows, rows, "{kind:?} {format:?}");
        }
        let lines = csv(&export(dir.path(), Format::Csv).path(kind));
        let columns = parquet(&export(dir.path(), Format::Parquet).path(kind));
        assert_eq!(lines.len() as u64, rows + 1);
        for (at, name) in lines[0].iter().enumerate() {
            let told: Vec<&str> = lines[1..].iter().map(|line| line[at].as_str()).collect();
            let same = columns[name].iter().zip(&told).all(|(p, c)| {
                let p = p.strip_prefix('"').and_then(|p| p.strip_suffix('"')).unwrap_or(p);
                // Times are printed otherwise by the reader; they are looked at below.
                p == *c || (p == "null" && c.is_empty()) || (["at", "from", "until"].contains(&name.as_str()))
            });
            assert!(
                same && columns[name].len() == told.len(),
                "{kind:?} {name}: {:?} {told:?}",
                columns[name]
            );
        }
    }
    let day = &csv(&export(dir.path(), Format::Csv).path(Kind::Days))[1];
    assert_eq!(
        day[..8],
        ["upstream:eth/a", "2026-03-28", "1800000", "0", "1770000", "0", "600000", "600000"]
    );
    assert_eq!(day[8..11], ["108", "12", "0"]);
    let result = &csv(&export(dir.path(), Format::Csv).path(Kind::Results))[1];
    assert_eq!(result[1..4], ["2026-03-28T20:00:00.000Z", "eu", "probe, \"eu\""]);
    assert_eq!(result[4..], ["0", "failed", "", "timeout"]);
    let affected = &csv(&export(dir.path(), Format::Csv).path(Kind::Affected))[1];
    assert_eq!(affected[2..], ["18", "4", "0", "1", "2", "1", "2", "USD=1", "USD=1", "", ""]);
    let times = &parquet(&export(dir.path(), Format::Parquet).path(Kind::Results))["at"];
    assert!(times[0].starts_with("2026-03-28 20:00:00"), "{}", times[0]);
}

#[test]
fn a_file_that_is_there_stays_unless_it_is_to_go() {
    let (history, dir) = (history(), tempfile::tempdir().unwrap());
    let once = export(dir.path(), Format::Csv);
    let mut progress = Vec::new();
    once.write(history.reader(), Kind::Results, &mut |done, of| progress.push((done, of))).unwrap();
    assert!(progress.len() > 1 && progress.iter().all(|(done, of)| done < of));
    let again = once.write(history.reader(), Kind::Results, &mut |_, _| {});
    assert!(matches!(again, Err(ExportError::Exists(_))));
    let forced = Export { force: true, ..once };
    assert_eq!(forced.write(history.reader(), Kind::Results, &mut |_, _| {}).unwrap().rows, 120);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let nowhere = dir.path().join("nowhere");
    let failed = export(&nowhere, Format::Csv).write(history.reader(), Kind::Days, &mut |_, _| {});
    assert_eq!(failed.unwrap_err().code(), "SW0458");
}
