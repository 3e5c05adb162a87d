use std::fmt::Write as _;

use super::*;

/// What a person sees: both outputs and the exit code.
fn detect(input: &[u8], json: bool) -> (String, u8) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut scene = Scene { input: &mut &input[..], out: &mut out, err: &mut err, terminal: false };
    let code = run(&DetectArgs { file: "-".into(), json }, &mut scene).unwrap();
    out.extend(err);
    (String::from_utf8(out).unwrap(), code)
}

/// Fifty points a minute apart that say nothing, and these.
fn after_warm_up(lines: &str) -> String {
    let mut text = "timestamp,value\n".to_owned();
    for i in 0..50 {
        let _ = writeln!(text, "2025-08-05 05:{i:02}:00,{}", 20 + i * i % 7);
    }
    text + lines
}

/// The last lines of what is shown.
fn last(shown: &str, lines: usize) -> String {
    let all: Vec<&str> = shown.lines().collect();
    all[all.len() - lines..].join("\n")
}

#[track_caller]
fn check(input: &[u8], expected: &str) {
    let (shown, code) = detect(input, false);
    assert_eq!((shown.as_str(), code), (expected, exit::SCORED));
}

#[test]
fn points_are_scored_as_they_were_written() {
    let text = after_warm_up(
        "2025-08-05 05:50:00,21.50\n2025-08-05 05:51:00,\n2025-08-05 05:52:00,90\n2025-08-05 09:00:00,22\n",
    );
    let (shown, code) = detect(text.as_bytes(), false);
    assert_eq!((shown.lines().count(), code), (55, exit::SCORED));
    let (json, _) = detect(text.as_bytes(), true);
    insta::assert_snapshot!(format!(
        "{}\n…\n{}\n\n{}",
        shown.lines().take(3).collect::<Vec<_>>().join("\n"),
        last(&shown, 4),
        last(&json, 4)
    ));
}

#[test]
fn csv_is_read_as_others_write_it() {
    let scored = "timestamp,value,anomaly_score\n17,1,0.000000\n18,-2.5e3,0.000000\n";
    for text in [
        "17,1\n18,-2.5e3\n",
        "17,1\r\n18,-2.5e3",
        "\u{feff}timestamp,value\n17,1\n18,-2.5e3\n",
        "\u{feff}17,1\n18,-2.5e3\n",
        "note,Value,is_anomaly, Timestamp \n\"a, \"\"b\"\"\nc\",1,0,17\n,\"-2.5e3\",1,18\n",
        "timestamps,value,x\n\n17,1,\n\n18,-2.5e3,é\n",
    ] {
        check(text.as_bytes(), scored);
    }
    check(b"", "timestamp,value,anomaly_score\n");
    check(b"timestamp,value\n", "timestamp,value,anomaly_score\n");
    check(b"timestamp,value\n\" 17\", 3\n", "timestamp,value,anomaly_score\n 17, 3,0.000000\n");
}

#[test]
fn what_makes_no_sense_is_told() {
    let long = format!("timestamp,value\n17,1\n18,\"{}", "x\n".repeat(200_000));
    let wide = format!("timestamp,value,note\n17,1,{}\n", "y".repeat(70_000));
    let cases: [&[u8]; 14] = [
        b"time,count\n17,1\n",
        b"timestamp,count\n17,1\n",
        b"value,x\n1,17\n",
        b"17\n18\n",
        b"17,1,0\n",
        b"17,1\n18,1,0\n",
        b"yesterday,1\n",
        b"timestamp,value\n2025-02-30 00:00:00,1\n",
        b"timestamp,value\n17,1\n18,1.2.3\n",
        b"timestamp,value\n17\n",
        b"timestamp,value\n17,\xff\xfe\n",
        long.as_bytes(),
        wide.as_bytes(),
        b"\x00\x01\x02",
    ];
    let mut session = String::new();
    for case in cases {
        let (shown, code) = detect(case, false);
        assert_eq!(code, exit::UNREADABLE, "{shown}");
        let named: String = String::from_utf8_lossy(case).chars().take(30).collect();
        let _ = write!(session, "{:?}\n{shown}\n", named);
    }
    insta::assert_snapshot!(session);
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut scene = Scene { input: &mut io::empty(), out: &mut out, err: &mut err, terminal: false };
    let code = run(&DetectArgs { file: "/none/such.csv".into(), json: false }, &mut scene).unwrap();
    assert_eq!((code, out.len()), (exit::UNREADABLE, 0));
    insta::assert_snapshot!(String::from_utf8(err).unwrap());
}

/// A source that gives one line, and expects it scored before it is asked for the next.
struct Live<'a> {
    lines: Vec<&'static str>,
    seen: &'a RefCell<Vec<u8>>,
    given: usize,
}

impl Read for Live<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let shown = self.seen.borrow().iter().filter(|b| **b == b'\n').count();
        assert!(self.given == 0 || shown == self.given, "{shown} lines of {}", self.given);
        if self.lines.is_empty() {
            return Ok(0);
        }
        let line = self.lines.remove(0);
        buffer[..line.len()].copy_from_slice(line.as_bytes());
        self.given += 1;
        Ok(line.len())
    }
}

struct Shared<'a>(&'a RefCell<Vec<u8>>);

impl Write for Shared<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_live_source_is_scored_line_by_line() {
    let seen = RefCell::new(Vec::new());
    let lines = vec!["timestamp,value\n", "17,1\n", "18,2\n", "19,3\n"];
    let mut input = Live { lines, seen: &seen, given: 0 };
    let mut scene =
        Scene { input: &mut input, out: &mut Shared(&seen), err: &mut io::sink(), terminal: false };
    assert_eq!(run(&DetectArgs { file: "-".into(), json: false }, &mut scene).unwrap(), exit::SCORED);
    assert_eq!(seen.borrow().iter().filter(|b| **b == b'\n').count(), 4);
}

/// A pipe that nobody reads any more.
struct Gone;

impl Write for Gone {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_is_gone_ends_it() {
    let endless = io::repeat(b'7');
    let mut input = io::Cursor::new("timestamp,value\n17,1\n").chain(endless);
    let mut scene = Scene { input: &mut input, out: &mut Gone, err: &mut io::sink(), terminal: false };
    let error = run(&DetectArgs { file: "-".into(), json: false }, &mut scene).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
}
