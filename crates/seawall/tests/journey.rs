//! A journey as a person makes it by hand, at a venue where orders can be placed, seen and cancelled: whatever fails on the
//! way, no order is left behind.

#![expect(clippy::unwrap_used, reason = "what a test makes use of may fail it")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// The only token that the venue takes, and gives to whoever logs in.
const TOKEN: &str = "t0ken-0f-the-day";
/// The session that it knows its customer by.
const SESSION: &str = "sess10n-c00kie";

/// What goes wrong at the venue.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    SeeingFails,
    SeeingHangs,
    PlacingFails,
}

#[derive(Default)]
struct Book {
    /// Orders by number, and the name that whoever placed them gave them.
    orders: Vec<(u64, String)>,
    placed: u64,
    left: bool,
}

struct Venue {
    at: String,
    book: Arc<Mutex<Book>>,
}

impl Venue {
    fn open(fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, book) = (listener.local_addr().unwrap().to_string(), Arc::new(Mutex::new(Book::default())));
        let known = book.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let book = known.clone();
                thread::spawn(move || serve(stream, &book, fault));
            }
        });
        Self { at, book }
    }
}

fn serve(stream: TcpStream, book: &Mutex<Book>, fault: Fault) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let (mut head, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            if let Some(n) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = n.parse().ok()?;
            }
            head.push(line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let (status, more, answer) = answer(&head, &body, book, fault);
        let answer = answer.to_string();
        write!(writer, "HTTP/1.1 {status} x\r\n{more}content-length: {}\r\n\r\n{answer}", answer.len())
            .ok()?;
    }
}

fn answer(head: &[String], body: &[u8], book: &Mutex<Book>, fault: Fault) -> (u16, String, Value) {
    let mut request = head[0].split(' ');
    let (method, path) = (request.next().unwrap(), request.next().unwrap());
    let has = |line: String| head.iter().any(|l| l.eq_ignore_ascii_case(&line));
    if (method, path) == ("POST", "/login") {
        let cookie = format!("set-cookie: sid={SESSION}; Path=/; HttpOnly\r\n");
        return (200, cookie, json!({"session": {"token": TOKEN}}));
    }
    if !has(format!("authorization: Bearer {TOKEN}")) || !has(format!("cookie: sid={SESSION}")) {
        return (401, String::new(), json!({"error": "who are you?"}));
    }
    let mut book = book.lock().unwrap();
    let number = |path: &str| path.strip_prefix("/orders/").and_then(|n| n.parse::<u64>().ok());
    match (method, path) {
        ("POST", "/orders") if fault == Fault::PlacingFails => (503, String::new(), json!({})),
        ("POST", "/orders") => {
            let order: Value = serde_json::from_slice(body).unwrap();
            book.placed += 1;
            let number = 70 + book.placed;
            book.orders.push((number, order["name"].as_str().unwrap().to_owned()));
            (201, format!("location: /orders/{number}\r\n"), json!({"id": number}))
        }
        ("GET", _) if fault == Fault::SeeingFails => (500, String::new(), json!({"echo": TOKEN})),
        ("GET", _) if fault == Fault::SeeingHangs => {
            drop(book);
            thread::sleep(Duration::from_secs(60));
            (500, String::new(), json!({}))
        }
        ("GET", path) => match book.orders.iter().find(|(n, _)| Some(*n) == number(path)) {
            Some((n, name)) => (200, String::new(), json!({"id": n, "name": name, "state": "open"})),
            None => (404, String::new(), json!({"state": "gone", "token": TOKEN})),
        },
        ("DELETE", "/session") => {
            book.left = true;
            (204, String::new(), json!(""))
        }
        ("DELETE", path) => {
            book.orders.retain(|(n, _)| Some(*n) != number(path));
            (200, String::new(), json!({}))
        }
        _ => (405, String::new(), json!({})),
    }
}

fn estate(at: &str) -> String {
    format!(
        r#"
        [journeys.order]
        timeout = "50s"
        reserve = "40s"
        cookies = true
        every = "60s"

        [[journeys.order.steps]]
        name = "login"
        url = "http://{at}/login"
        method = "POST"
        body = "env:VENUE_LOGIN"
        capture = {{ token = {{ json = "/session/token", secret = true }} }}

        [[journeys.order.steps]]
        name = "place"
        url = "http://{at}/orders"
        method = "POST"
        headers = {{ authorization = "Bearer {{{{token}}}}" }}
        body = '{{"name": "probe-{{{{run}}}}", "price": 1}}'
        expect = {{ status = 201 }}
        capture = {{ order = {{ header = "location" }}, id = {{ rule = "json.id" }}, last = {{ regex = '"id":\d*(\d)' }} }}

        [[journeys.order.steps]]
        name = "see"
        url = "http://{at}/orders/{{{{id}}}}"
        headers = {{ authorization = "Bearer {{{{token}}}}" }}
        timeout = "500ms"
        assert = ["json.state == 'open'", "string(json.id) == captured.id", "json.name == 'probe-' + captured.run"]

        [[journeys.order.steps]]
        name = "cancel"
        url = "http://{at}/orders/{{{{id}}}}"
        method = "DELETE"
        headers = {{ authorization = "Bearer {{{{token}}}}" }}
        always = true

        [[journeys.order.steps]]
        name = "gone"
        url = "http://{at}/orders/{{{{id}}}}"
        headers = {{ authorization = "Bearer {{{{token}}}}" }}
        expect = {{ status = 404 }}
        assert = ["json.state == 'gone'"]

        [[journeys.order.steps]]
        name = "leave"
        url = "http://{at}/session"
        method = "DELETE"
        headers = {{ authorization = "Bearer {{{{token}}}}" }}
        always = true
        "#
    )
}

/// What is told of the journey, and the exit code.
fn travel(text: &str, args: &[&str]) -> (String, i32) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("seawall.toml");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_seawall"));
    command.env("VENUE_LOGIN", r#"{"user":"probe","password":"c0rrect-h0rse"}"#);
    command.args(["probe", "--journey", "order", "--estate"]).arg(&file).args(args);
    let output = command.output().unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = String::from_utf8(output.stdout).unwrap();
    for secret in [TOKEN, SESSION, "c0rrect-h0rse"] {
        assert!(!told.contains(secret), "{told}");
    }
    (told, output.status.code().unwrap())
}

/// The names of the steps that failed, and of those that were not made.
fn steps(told: &str) -> (Vec<String>, Vec<String>) {
    let told: Value = serde_json::from_str(told).unwrap();
    let of = |key: &str| {
        let steps = told["steps"].as_array().unwrap().iter().filter(|step| !step[key].is_null());
        steps.map(|step| step["name"].as_str().unwrap().to_owned()).collect()
    };
    (of("fault"), of("skipped"))
}

#[test]
fn an_order_is_placed_seen_cancelled_and_gone() {
    let venue = Venue::open(Fault::Nothing);
    let (told, code) = travel(&estate(&venue.at), &[]);
    assert_eq!(code, 0, "{told}");
    assert!(told.starts_with("UP  journey://127.0.0.1:"), "{told}");
    for name in ["login", "place", "see", "cancel", "gone", "leave"] {
        assert!(told.contains(&format!("✓ {name}")), "{told}");
    }
    let book = venue.book.lock().unwrap();
    assert_eq!((book.placed, book.orders.len(), book.left), (1, 0, true));
}

#[test]
fn what_was_begun_is_cleaned_up_whatever_fails() {
    for fault in [Fault::SeeingFails, Fault::SeeingHangs] {
        let venue = Venue::open(fault);
        let (told, code) = travel(&estate(&venue.at), &["--json"]);
        assert_eq!(code, 1, "{fault:?}: {told}");
        assert_eq!(steps(&told), (vec!["see".to_owned()], vec!["gone".to_owned()]), "{fault:?}: {told}");
        let book = venue.book.lock().unwrap();
        assert_eq!((book.placed, book.orders.len(), book.left), (1, 0, true), "{fault:?}");
    }
    let venue = Venue::open(Fault::SeeingFails);
    let (told, _) = travel(&estate(&venue.at), &[]);
    assert!(told.contains("step `see`: HTTP status 500"), "{told}");
}

#[test]
fn what_was_begun_is_cleaned_up_when_the_daemon_stops() {
    let venue = Venue::open(Fault::SeeingHangs);
    let quick = [("timeout = \"50s\"", "timeout = \"30s\""), ("reserve = \"40s\"", "reserve = \"25s\"")];
    let quick = quick.iter().fold(estate(&venue.at), |text, (slow, fast)| text.replace(slow, fast));
    let text = quick.replace("every = \"60s\"", "every = \"30s\"");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("seawall.toml");
    std::fs::write(&file, format!("[listen]\nadmin = \"127.0.0.1:0\"\n{text}")).unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_seawall"));
    daemon.env("VENUE_LOGIN", "x").env("SEAWALL_LOG", "warn").arg("run").arg(&file);
    let mut daemon = daemon.spawn().unwrap();
    let began = Instant::now();
    while venue.book.lock().unwrap().orders.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(90), "no order was placed");
        thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert!(daemon.wait().unwrap().success());
    let book = venue.book.lock().unwrap();
    assert_eq!((book.placed, book.orders.len(), book.left), (1, 0, true));
}

#[test]
fn where_nothing_was_made_there_is_nothing_to_clean_up() {
    let venue = Venue::open(Fault::PlacingFails);
    let (told, code) = travel(&estate(&venue.at), &["--json"]);
    assert_eq!(code, 1, "{told}");
    let skipped = ["see", "cancel", "gone"].map(str::to_owned).to_vec();
    assert_eq!(steps(&told), (vec!["place".to_owned()], skipped), "{told}");
    assert!(venue.book.lock().unwrap().left, "it logs out all the same");
}

#[test]
fn a_journey_that_is_none_of_the_estate_s_is_told() {
    let text = estate("127.0.0.1:1").replace("journeys.order", "journeys.other");
    let (told, code) = travel(&text, &[]);
    assert_eq!(code, 2);
    assert!(told.contains("SW0262") && told.contains("`order` is none of the estate's journeys"), "{told}");
}
