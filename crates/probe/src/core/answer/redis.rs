//! What a Redis server says to `PING` (RESP2).

use super::{Progress, Said, line, shown};

/// What is asked.
pub const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// Reads the answer.
pub fn answer(bytes: &[u8]) -> Progress {
    let Some((text, length)) = line(bytes) else { return Progress::More };
    let said = match text.split_first() {
        Some((b'+', rest)) => Said::Good(shown(rest)),
        // It wants a password: it is there, and answers.
        Some((b'-', rest)) if rest.starts_with(b"NOAUTH") => Said::Good(shown(rest)),
        Some((b'-', rest)) => Said::Bad(shown(rest)),
        Some(_) | None => Said::Alien("an answer to PING begins with `+` or `-`"),
    };
    Progress::Whole(length, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let check = |text: &str, wanted: Progress| assert_eq!(answer(text.as_bytes()), wanted, "{text:?}");
        check("+PONG\r\n", Progress::Whole(7, Said::Good("PONG".into())));
        check("-NOAUTH x\r\n", Progress::Whole(11, Said::Good("NOAUTH x".into())));
        check("-LOADING x\r\n", Progress::Whole(12, Said::Bad("LOADING x".into())));
        check("+PON", Progress::More);
        check(
            "HTTP/1.1 400\r\n",
            Progress::Whole(14, Said::Alien("an answer to PING begins with `+` or `-`")),
        );
    }
}
