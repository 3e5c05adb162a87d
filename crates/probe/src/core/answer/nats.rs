//! What a NATS server says: its greeting (`INFO {…}`), then `PONG` to a `PING`.

use serde_json::Value;

use super::{Progress, Said, line, shown};

/// What is sent after the greeting.
pub const PING: &[u8] =
    b"CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"seawall\",\"version\":\"0\"}\r\nPING\r\n";

/// Reads the greeting.
pub fn greeting(bytes: &[u8]) -> Progress {
    let Some((text, length)) = line(bytes) else { return Progress::More };
    let info = text.strip_prefix(b"INFO ").and_then(|json| serde_json::from_slice::<Value>(json).ok());
    let said = match info {
        Some(info) => {
            let of = |key| info.get(key).and_then(Value::as_str).unwrap_or("?").as_bytes();
            Said::Good(format!("nats-server {} ({})", shown(of("version")), shown(of("server_name"))))
        }
        None => Said::Alien("a greeting begins with INFO"),
    };
    Progress::Whole(length, said)
}

/// Reads what comes after `PING`.
pub fn pong(bytes: &[u8]) -> Progress {
    let mut at = 0;
    while let Some((text, length)) = line(&bytes[at..]) {
        at += length;
        match text {
            b"PONG" => return Progress::Whole(at, Said::Good("PONG".to_owned())),
            b"PING" | b"+OK" => {}
            _ if text.starts_with(b"INFO ") => {}
            // It wants credentials: it is there, and answers.
            _ if text.starts_with(b"-ERR") && text.windows(13).any(|w| w == b"Authorization") => {
                return Progress::Whole(at, Said::Good(shown(text)));
            }
            _ if text.starts_with(b"-ERR") => return Progress::Whole(at, Said::Bad(shown(text))),
            _ => return Progress::Whole(at, Said::Alien("no message of NATS")),
        }
    }
    Progress::More
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read() {
        let greeted = greeting(b"INFO {\"server_name\":\"n1\",\"version\":\"2.10\"}\r\n");
        assert_eq!(greeted, Progress::Whole(44, Said::Good("nats-server 2.10 (n1)".into())));
        assert!(matches!(greeting(b"220 hi\r\n"), Progress::Whole(8, Said::Alien(_))));
        assert_eq!(greeting(b"INFO {"), Progress::More);
        assert_eq!(pong(b"PING\r\nPONG\r\n"), Progress::Whole(12, Said::Good("PONG".into())));
        assert!(matches!(pong(b"-ERR 'Authorization Violation'\r\n"), Progress::Whole(_, Said::Good(_))));
        assert!(matches!(pong(b"-ERR 'Stale'\r\n"), Progress::Whole(_, Said::Bad(_))));
        assert_eq!(pong(b"PON"), Progress::More);
    }
}
