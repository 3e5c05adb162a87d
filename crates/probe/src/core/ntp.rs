//! How far two clocks are apart, as NTP version 4 finds it out (RFC 5905), from one question and its answer.

use std::time::Duration;

use serde::Serialize;

use super::{answer::shown, fault::Fault};

/// Length of a message without extensions, in bytes.
const SIZE: usize = 48;
/// No leap second in sight, version 4, client.
const CLIENT: u8 = 0b00_100_011;
/// A server's mode.
const SERVER: u8 = 4;
/// Leap indicator of who is not synchronised.
const ALARM: u8 = 3;
/// From this stratum on nobody is.
const UNSYNCHRONISED: u8 = 16;
/// From NTP's epoch (1900) to Unix', in seconds.
const EPOCH: i64 = 2_208_988_800;
const MICROS: i128 = 1_000_000;

/// A question, and when it was sent.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// What the server gives back, so that nobody else can answer: a number instead of this machine's time, which
    /// is nobody's business.
    pub nonce: u64,
    /// When by this machine's clock, in microseconds since the Unix epoch.
    pub wall_us: i64,
}

/// What a message is worth.
#[derive(Debug, PartialEq)]
pub enum Read {
    /// No answer to this question.
    Alien,
    /// What the server says.
    Answer(Result<Box<NtpFacts>, Fault>),
}

/// What a time server said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NtpFacts {
    /// What this machine's clock lacks on the server's, in microseconds; below zero if it is ahead.
    pub offset_us: i64,
    /// Time on the way there and back, in microseconds. The offset is wrong by half of it at most.
    pub delay_us: i64,
    /// Servers between this one and a clock that is none's follower, and itself.
    pub stratum: u8,
    /// What such a clock is, as in `GPS`; of others an address or a part of a hash.
    pub reference: String,
    /// How far its own time may be off, as it says: half the way to that clock and the errors on it, in microseconds.
    pub distance_us: u64,
}

impl Asked {
    /// The question.
    pub fn message(&self) -> Vec<u8> {
        let mut message = vec![0; SIZE];
        message[0] = CLIENT;
        message[SIZE - 8..].copy_from_slice(&self.nonce.to_be_bytes());
        message
    }

    /// Reads a message that came so long after this question was sent.
    pub fn read(&self, message: &[u8], took: Duration) -> Read {
        let Some(message) = message.first_chunk::<SIZE>() else { return Read::Alien };
        let long = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&message[at..at + 8]);
            u64::from_be_bytes(bytes)
        };
        let (leap, mode) = (message[0] >> 6, message[0] & 7);
        if mode != SERVER || long(24) != self.nonce {
            return Read::Alien;
        }
        let (stratum, reference) = (message[1], &message[12..16]);
        let name = || shown(reference.split(|b| *b == 0).next().unwrap_or_default());
        if stratum == 0 {
            // The "kiss-o'-death" (section 7.4).
            return Read::Answer(Err(Fault::Refused { said: format!("kiss-o'-death, {}", name()) }));
        }
        let unsynchronised = |why| Read::Answer(Err(Fault::NtpUnsynchronised { why }));
        if leap == ALARM {
            return unsynchronised("leap indicator 3");
        }
        if stratum >= UNSYNCHRONISED {
            return unsynchronised("stratum 16");
        }
        let (received, sent) = (long(32), long(40));
        if received == 0 || sent == 0 {
            return Read::Answer(Err(Fault::Malformed { why: "it holds no time".to_owned() }));
        }
        let took = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        // Differences hold across the end of an era (2036), as long as the clocks are within 68 years.
        let (there, back) =
            (apart(received, self.wall_us), apart(sent, self.wall_us).saturating_sub(took.into()));
        let micros = |v: i128| i64::try_from(v).unwrap_or(if v < 0 { i64::MIN } else { i64::MAX });
        let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
        let short = |at: usize| (((u64::from(word(at)) << 16) | u64::from(word(at + 2))) * 1_000_000) >> 16;
        let reference = match (stratum, reference) {
            (1, _) => name(),
            (_, [a, b, c, d]) => format!("{a}.{b}.{c}.{d}"),
            (_, _) => String::new(),
        };
        Read::Answer(Ok(Box::new(NtpFacts {
            offset_us: micros((there + back) / 2),
            delay_us: micros((there - back).max(0)),
            stratum,
            reference,
            distance_us: short(4) / 2 + short(8),
        })))
    }
}

impl NtpFacts {
    /// Judges the offset.
    ///
    /// # Errors
    /// If it is beyond the limit.
    pub fn judge(&self, limit: Option<Duration>) -> Result<(), Fault> {
        match limit {
            Some(limit) if u128::from(self.offset_us.unsigned_abs()) > limit.as_micros() => {
                Err(Fault::ClockOffset { offset_ms: self.offset_ms(), limit })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The offset in milliseconds, with its sign.
    pub fn offset_ms(&self) -> String {
        format!("{:+.3}", self.offset_us as f64 / 1_000.0)
    }
}

/// How far a timestamp is after a time of this machine's, in microseconds.
fn apart(timestamp: u64, wall_us: i64) -> i128 {
    let since_1900 = i128::from(wall_us) + i128::from(EPOCH) * MICROS;
    // Seconds above, their fraction below; whole eras fall away.
    let own = (since_1900 << 32) / MICROS;
    let difference = timestamp.wrapping_sub(own as u64).cast_signed();
    (i128::from(difference) * MICROS) >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A moment of 2025, in microseconds.
    const NOW: i64 = 1_754_374_000_123_456;
    const ASKED: Asked = Asked { nonce: 7, wall_us: NOW };

    fn timestamp(wall_us: i64) -> u64 {
        let since_1900 = i128::from(wall_us) + i128::from(EPOCH) * MICROS;
        ((since_1900 << 32) / MICROS) as u64
    }

    /// What a server answers that got the question and sent the answer at those times of its own.
    fn answer(received: i64, sent: i64) -> Vec<u8> {
        let mut message = vec![0; SIZE];
        (message[0], message[1]) = (0b00_100_100, 1);
        message[6..8].copy_from_slice(&0x8000_u16.to_be_bytes());
        message[12..15].copy_from_slice(b"GPS");
        message[24..32].copy_from_slice(&7_u64.to_be_bytes());
        message[32..40].copy_from_slice(&timestamp(received).to_be_bytes());
        message[40..48].copy_from_slice(&timestamp(sent).to_be_bytes());
        message
    }

    fn facts(asked: Asked, message: &[u8], took_us: u64) -> NtpFacts {
        match asked.read(message, Duration::from_micros(took_us)) {
            Read::Answer(Ok(facts)) => *facts,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_clock_s_offset_is_found() {
        // A second ahead of us, 10 ms away, and 2 ms at work.
        let message = answer(NOW + 1_010_000, NOW + 1_012_000);
        let found = facts(ASKED, &message, 22_000);
        assert!(
            (found.offset_us - 1_000_000).abs() <= 1 && (found.delay_us - 20_000).abs() <= 2,
            "{found:?}"
        );
        assert_eq!((found.stratum, found.reference.as_str(), found.distance_us), (1, "GPS", 250_000));
        assert_eq!(found.judge(None), Ok(()));
        assert_eq!(found.judge(Some(Duration::from_secs(2))), Ok(()));
        let fault = found.judge(Some(Duration::from_millis(50))).unwrap_err().to_string();
        assert!(fault.starts_with("the time server's clock is +"), "{fault}");
    }

    #[test]
    fn eras_end_without_notice() {
        // The last second of the first era: 7 February 2036, 06:28:15.
        let last = 2_085_978_495_000_000;
        let found = facts(Asked { nonce: 7, wall_us: last }, &answer(last + 2_000_000, last + 2_000_000), 0);
        assert!((found.offset_us - 2_000_000).abs() <= 1, "{found:?}");
    }

    #[test]
    fn what_is_no_good_answer_is_told_apart() {
        let good = answer(NOW, NOW);
        let read = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut message = good.clone();
            change(&mut message);
            ASKED.read(&message, Duration::ZERO)
        };
        let kind = |read: Read| match read {
            Read::Alien => "alien",
            Read::Answer(Ok(_)) => "good",
            Read::Answer(Err(fault)) => fault.kind(),
        };
        assert_eq!(kind(read(&|_| {})), "good");
        assert_eq!(kind(read(&|m| m.extend([0; 20]))), "good");
        assert_eq!(kind(read(&|m| m.truncate(47))), "alien");
        assert_eq!(kind(read(&|m| m[31] = 8)), "alien");
        assert_eq!(kind(read(&|m| m[0] = CLIENT)), "alien");
        assert_eq!(kind(read(&|m| m[0] |= 0b1100_0000)), "ntp_unsynchronised");
        assert_eq!(kind(read(&|m| m[1] = 16)), "ntp_unsynchronised");
        assert_eq!(kind(read(&|m| m[32..40].fill(0))), "malformed");
        assert_eq!(kind(read(&|m| m[1] = 0)), "refused");
    }

    proptest! {
        #[test]
        fn any_offset_is_found_however_long_the_way(offset in -1_000_000_000_i64..1_000_000_000, way in 0_i64..5_000_000) {
            let message = answer(NOW + way + offset, NOW + way + offset);
            let found = facts(ASKED, &message, 2 * way as u64);
            prop_assert!((found.offset_us - offset).abs() <= 1 && (found.delay_us - 2 * way).abs() <= 2);
        }
    }
}
