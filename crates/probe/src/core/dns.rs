//! Questions to a resolver, and what its answers say. The messages themselves are the `domain` crate's.

use std::{fmt::Write as _, net::IpAddr, str::FromStr};

use domain::{
    base::{Message, MessageBuilder, Name, Rtype, iana::Rcode},
    rdata::AllRecordData,
};

use super::{
    fault::Fault,
    report::DnsFacts,
    target::{Question, RecordKind},
};

/// Largest datagram that is taken (that of the DNS flag day of 2020), in bytes.
pub const MAX_DATAGRAM: u16 = 1232;
/// Most records of an answer that are looked at.
const MAX_RECORDS: usize = 64;
/// Longest record that is told, in characters.
const MAX_RECORD: usize = 300;

/// What a message that came back is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Another question's answer, or no message at all: to be passed over.
    Alien,
    /// The answer did not fit: to be asked for over TCP.
    Truncated,
    /// The answer.
    Answer(Answer),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What it said.
    pub facts: DnsFacts,
    /// Addresses in it.
    pub addresses: Vec<IpAddr>,
    /// Records of the type that was asked for.
    wanted: Vec<String>,
}

fn rtype(kind: RecordKind) -> Rtype {
    match kind {
        RecordKind::A => Rtype::A,
        RecordKind::Aaaa => Rtype::AAAA,
        RecordKind::Caa => Rtype::CAA,
        RecordKind::Cname => Rtype::CNAME,
        RecordKind::Dnskey => Rtype::DNSKEY,
        RecordKind::Ds => Rtype::DS,
        RecordKind::Mx => Rtype::MX,
        RecordKind::Ns => Rtype::NS,
        RecordKind::Ptr => Rtype::PTR,
        RecordKind::Soa => Rtype::SOA,
        RecordKind::Srv => Rtype::SRV,
        RecordKind::Txt => Rtype::TXT,
    }
}

/// The question as a message with that id; `None` if the name is none that fits into one.
///
/// It sets AD, which asks for AD in the answer without asking for signatures (RFC 6840, section 5.7).
pub fn question(id: u16, name: &str, kind: RecordKind) -> Option<Vec<u8>> {
    let name = Name::<Vec<u8>>::from_str(name).ok()?;
    let mut message = MessageBuilder::new_vec();
    let header = message.header_mut();
    header.set_id(id);
    header.set_rd(true);
    header.set_ad(true);
    let mut question = message.question();
    question.push((name, rtype(kind))).ok()?;
    let mut additional = question.additional();
    additional
        .opt(|opt| {
            opt.set_udp_payload_size(MAX_DATAGRAM);
            Ok(())
        })
        .ok()?;
    Some(additional.finish())
}

/// Reads what came back for a question.
pub fn read(asked: &[u8], bytes: &[u8], kind: RecordKind) -> Read {
    let (Ok(asked), Ok(message)) = (Message::from_octets(asked), Message::from_octets(bytes)) else {
        return Read::Alien;
    };
    let header = message.header();
    if !message.is_answer(&asked) {
        // Some servers leave the question out where they refuse.
        let bare = message.header_counts().qdcount() == 0 && header.rcode() != Rcode::NOERROR;
        if !(header.qr() && header.id() == asked.header().id() && bare) {
            return Read::Alien;
        }
    }
    if header.tc() {
        return Read::Truncated;
    }
    let facts = DnsFacts {
        rcode: header.rcode().to_string(),
        answers: Vec::new(),
        ttl: None,
        authentic: header.ad(),
        authoritative: header.aa(),
        serial: None,
        tcp: false,
    };
    let mut answer = Answer { facts, addresses: Vec::new(), wanted: Vec::new() };
    let sections = [message.answer(), message.authority()];
    for (in_answer, section) in [true, false].into_iter().zip(sections) {
        let Ok(section) = section else { return Read::Alien };
        for record in section.take(MAX_RECORDS) {
            let Ok(record) = record else { return Read::Alien };
            let Ok(record) = record.into_any_record::<AllRecordData<_, _>>() else { continue };
            answer.take(record.rtype() == rtype(kind), in_answer, record.ttl().as_secs(), record.data());
        }
    }
    Read::Answer(answer)
}

impl Answer {
    fn take<O, N>(&mut self, wanted: bool, in_answer: bool, ttl: u32, data: &AllRecordData<O, N>)
    where
        O: AsRef<[u8]> + domain::dep::octseq::Octets,
        N: std::fmt::Display + domain::base::ToName,
        AllRecordData<O, N>: std::fmt::Display,
    {
        if let AllRecordData::Soa(soa) = data {
            self.facts.serial = Some(soa.serial().into_int());
        }
        if !in_answer {
            return;
        }
        match data {
            AllRecordData::A(a) if wanted => self.addresses.push(IpAddr::V4(a.addr())),
            AllRecordData::Aaaa(aaaa) if wanted => self.addresses.push(IpAddr::V6(aaaa.addr())),
            _ => {}
        }
        let mut text = String::new();
        let _ = write!(text, "{data}");
        let text: String = text.chars().filter(|c| !c.is_control()).take(MAX_RECORD).collect();
        if wanted {
            self.wanted.push(text.clone());
        }
        self.facts.answers.push(text);
        self.facts.ttl = Some(self.facts.ttl.map_or(ttl, |least| least.min(ttl)));
    }

    /// Judges it: what was asked for is there, and so is every record that must be.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn judge(&self, name: &str, wanted: &[String]) -> Result<(), Fault> {
        match self.facts.rcode.as_str() {
            "NOERROR" if self.wanted.is_empty() => return Err(Fault::DnsEmpty { name: name.to_owned() }),
            "NOERROR" => {}
            "NXDOMAIN" => return Err(Fault::DnsNxdomain { name: name.to_owned() }),
            rcode => return Err(Fault::DnsFailed { why: format!("it answers {rcode}") }),
        }
        lacks(&self.facts.answers, wanted)
    }
}

/// An error if one of the records is not among the answers.
pub(crate) fn lacks(answers: &[String], wanted: &[String]) -> Result<(), Fault> {
    let plain = |text: &str| text.trim_end_matches('.').trim_matches('"').to_ascii_lowercase();
    let missing = wanted.iter().find(|wanted| !answers.iter().any(|a| plain(a) == plain(wanted)));
    missing.map_or(Ok(()), |wanted| Err(Fault::DnsAnswer { wanted: wanted.clone() }))
}

impl Question {
    /// The question as a message; `None` if the name fits into none.
    pub fn message(&self, id: u16) -> Option<Vec<u8>> {
        question(id, &self.name, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer to `asked` with that code, and the records' bytes after the question.
    fn answer(asked: &[u8], flags: [u8; 2], counts: [u8; 2], records: &[u8]) -> Vec<u8> {
        let end = 12 + asked[12..].iter().position(|b| *b == 0).unwrap() + 5;
        let mut bytes = asked[..2].to_vec();
        bytes.extend(flags);
        bytes.extend([0, 1, 0, counts[0], 0, counts[1], 0, 0]);
        bytes.extend(&asked[12..end]);
        bytes.extend(records);
        bytes
    }

    /// `127.0.0.1`, for a minute, under the name asked for.
    const ADDRESS: [u8; 16] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1];

    #[test]
    fn answers_are_told_apart() {
        let asked = question(7, "shop.example", RecordKind::A).unwrap();
        let judged = |flags, counts, records: &[u8], wanted: &[String]| match read(
            &asked,
            &answer(&asked, flags, counts, records),
            RecordKind::A,
        ) {
            Read::Answer(answer) => answer.judge("shop.example", wanted).err().map(|f| f.kind()),
            other @ (Read::Alien | Read::Truncated) => panic!("{other:?}"),
        };
        assert_eq!(judged([0x81, 0x80], [1, 0], &ADDRESS, &["127.0.0.1".into()]), None);
        assert_eq!(judged([0x81, 0x80], [1, 0], &ADDRESS, &["127.0.0.2".into()]), Some("dns_answer"));
        assert_eq!(judged([0x81, 0x80], [0, 0], &[], &[]), Some("dns_empty"));
        assert_eq!(judged([0x81, 0x83], [0, 0], &[], &[]), Some("dns_nxdomain"));
        assert_eq!(judged([0x81, 0x82], [0, 0], &[], &[]), Some("dns_failed"));
    }

    #[test]
    fn what_an_answer_says_is_told() {
        let asked = question(7, "shop.example", RecordKind::A).unwrap();
        let bytes = answer(&asked, [0x85, 0xa0], [1, 0], &ADDRESS);
        let Read::Answer(answer) = read(&asked, &bytes, RecordKind::A) else { panic!() };
        assert_eq!(answer.addresses, ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        let DnsFacts { ttl, authentic, authoritative, .. } = answer.facts;
        assert_eq!((ttl, authentic, authoritative), (Some(60), true, true));
    }

    #[test]
    fn what_is_no_answer_is_passed_over() {
        let asked = question(7, "shop.example", RecordKind::A).unwrap();
        let other = question(8, "shop.example", RecordKind::A).unwrap();
        let bytes = answer(&other, [0x81, 0x80], [1, 0], &ADDRESS);
        assert_eq!(read(&asked, &bytes, RecordKind::A), Read::Alien);
        assert_eq!(read(&asked, &[0; 5], RecordKind::A), Read::Alien);
        assert_eq!(read(&asked, &asked, RecordKind::A), Read::Alien);
        let cut = answer(&asked, [0x83, 0x80], [0, 0], &[]);
        assert_eq!(read(&asked, &cut, RecordKind::A), Read::Truncated);
        assert!(question(1, &"a.".repeat(200), RecordKind::A).is_none());
    }
}
