//! What a PostgreSQL server says to one who wants in (protocol 3.0): it wants credentials, or says why it takes nobody.

use super::{Progress, Said, shown};

/// Longest message that is read; those of a start are short.
const MAX_MESSAGE: usize = 8 * 1024;
/// Codes of errors that tell of a server which takes connections, and refuses only this user or database.
const WELL: [&[u8]; 3] = [b"28000", b"28P01", b"3D000"];

/// What is sent: a start as user `seawall_probe`, to whom nobody should give a password.
pub fn startup() -> Vec<u8> {
    const PARAMETERS: &[u8] = b"user\0seawall_probe\0database\0postgres\0application_name\0seawall\0\0";
    let length = u32::try_from(8 + PARAMETERS.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], &[0, 3, 0, 0], PARAMETERS].concat()
}

/// Reads the answer.
pub fn answer(bytes: &[u8]) -> Progress {
    let [kind, a, b, c, d, rest @ ..] = bytes else { return Progress::More };
    let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    let kinds = matches!(kind, b'R' | b'E' | b'v' | b'N');
    if !kinds || !(4..=MAX_MESSAGE).contains(&length) {
        return Progress::Whole(bytes.len(), Said::Alien("no message of PostgreSQL's protocol"));
    }
    let Some(body) = rest.get(..length - 4) else { return Progress::More };
    let whole = 1 + length;
    match kind {
        b'R' => Progress::Whole(whole, Said::Good("takes connections".to_owned())),
        b'E' => Progress::Whole(whole, error(body)),
        // A notice, or another minor version: what counts comes after it.
        _ => match answer(&bytes[whole..]) {
            Progress::Whole(more, said) => Progress::Whole(whole + more, said),
            Progress::More => Progress::More,
        },
    }
}

/// An error's fields: each a letter and a text, with a zero after it.
fn error(body: &[u8]) -> Said {
    let field = |letter: u8| {
        let mut fields = body.split(|b| *b == 0);
        fields.find_map(|f| f.split_first().filter(|(l, _)| **l == letter).map(|(_, text)| text))
    };
    let text = shown(field(b'M').unwrap_or(b"no reason"));
    let code = field(b'C').unwrap_or_default();
    if WELL.contains(&code) { Said::Good(text) } else { Said::Bad(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        [&[kind][..], &length, body].concat()
    }

    #[test]
    fn answers_are_read() {
        let said = |bytes: &[u8]| match answer(bytes) {
            Progress::Whole(_, said) => Some(said),
            Progress::More => None,
        };
        assert_eq!(said(&message(b'R', &[0, 0, 0, 10])), Some(Said::Good("takes connections".into())));
        let starting = message(b'E', b"SFATAL\0C57P03\0Mthe database system is starting up\0\0");
        assert_eq!(said(&starting), Some(Said::Bad("the database system is starting up".into())));
        let role = message(b'E', b"C28000\0Mno such role\0\0");
        assert_eq!(said(&role), Some(Said::Good("no such role".into())));
        assert_eq!(
            said(&[message(b'N', b"\0"), role.clone()].concat()),
            Some(Said::Good("no such role".into()))
        );
        assert_eq!(said(&starting[..9]), None);
        assert!(matches!(said(b"HTTP/1.1 400 Bad"), Some(Said::Alien(_))));
        assert!(matches!(said(b"R\0\0\0\0"), Some(Said::Alien(_))));
    }
}
