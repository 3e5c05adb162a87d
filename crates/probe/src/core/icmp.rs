//! Echoes: ICMP (RFC 792) and ICMPv6 (RFC 4443, section 4). Identifier and checksum are the system's.

use std::net::IpAddr;

/// Before the data: type, code, checksum, identifier, number.
const HEAD: usize = 8;
/// The data, as much as `ping` sends, in bytes.
const DATA: usize = 56;
/// Types of messages.
const REQUEST: u8 = 8;
const REPLY: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;

/// An echo, which is told from others by a number that nobody guesses.
#[derive(Debug, Clone, Copy)]
pub struct Echo {
    to: IpAddr,
    nonce: u64,
}

impl Echo {
    /// To that address.
    pub fn new(to: IpAddr, nonce: u64) -> Self {
        Self { to, nonce }
    }

    /// The request, sent for the `number`th time.
    pub fn message(&self, number: u16) -> Vec<u8> {
        let mut message = vec![0; HEAD + DATA];
        message[0] = if self.to.is_ipv6() { REQUEST_V6 } else { REQUEST };
        message[6..HEAD].copy_from_slice(&number.to_be_bytes());
        message[HEAD..HEAD + 8].copy_from_slice(&self.nonce.to_be_bytes());
        message
    }

    /// Which request the message is the reply to; `None` if it is another's.
    pub fn read(&self, message: &[u8]) -> Option<u16> {
        let (head, data) = message.split_first_chunk::<HEAD>()?;
        let [kind, code, .., high, low] = *head;
        let reply = if self.to.is_ipv6() { REPLY_V6 } else { REPLY };
        let whole = data.len() == DATA && data.starts_with(&self.nonce.to_be_bytes());
        (kind == reply && code == 0 && whole).then(|| u16::from_be_bytes([high, low]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_from_what_they_are_not() {
        for (to, reply) in [("192.0.2.1", REPLY), ("2001:db8::1", REPLY_V6)] {
            let echo = Echo::new(to.parse().unwrap(), 77);
            let asked = echo.message(3);
            assert_eq!(echo.read(&asked), None, "a request is no reply");
            let mut answer = asked.clone();
            answer[0] = reply;
            // The system puts in its own checksum and identifier.
            answer[2..6].fill(9);
            assert_eq!(echo.read(&answer), Some(3));
            assert_eq!(echo.read(&answer[..20]), None);
            assert_eq!(Echo::new(to.parse().unwrap(), 78).read(&answer), None);
            answer[1] = 1;
            assert_eq!(echo.read(&answer), None);
        }
    }
}
