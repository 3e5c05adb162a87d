//! Replies of a mail server (RFC 5321, section 4.2).

use super::{Progress, Said, line, shown};

/// Reads a reply, of one line or several.
pub fn reply(bytes: &[u8]) -> Progress {
    let (mut at, mut first) = (0, None);
    while let Some((text, length)) = line(&bytes[at..]) {
        at += length;
        let code = text.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit));
        let Some(code) = code else { return Progress::Whole(at, Said::Alien("a reply begins with a code")) };
        let first = first.get_or_insert_with(|| shown(text));
        match text.get(3) {
            Some(b'-') => {}
            Some(b' ') | None if code[0] == b'2' => return Progress::Whole(at, Said::Good(first.clone())),
            Some(b' ') | None => return Progress::Whole(at, Said::Bad(first.clone())),
            Some(_) => return Progress::Whole(at, Said::Alien("a code is followed by a space")),
        }
    }
    Progress::More
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read() {
        let check = |text: &str, wanted: Progress| assert_eq!(reply(text.as_bytes()), wanted, "{text:?}");
        check("220 mail ESMTP\r\n", Progress::Whole(16, Said::Good("220 mail ESMTP".into())));
        check("250-mail\r\n250-SIZE 1\r\n250 OK\r\n", Progress::Whole(30, Said::Good("250-mail".into())));
        check("554 no\r\n", Progress::Whole(8, Said::Bad("554 no".into())));
        check("250-mail\r\n", Progress::More);
        check("220", Progress::More);
        check("SSH-2.0-x\r\n", Progress::Whole(11, Said::Alien("a reply begins with a code")));
    }
}
