//! Thirty-two days of a component in one row, so that ninety days are four rows at most.

use super::{
    coding::{Damaged, put, take},
    standing::StatusTime,
};

/// Days of a sheet.
pub(crate) const DAYS: i64 = 32;

/// Milliseconds of a day.
const WHOLE: u64 = 86_400_000;

/// What stands before a day's numbers.
mod tag {
    /// Nothing is known of the day.
    pub(super) const NOTHING: u8 = 0;
    /// Up all day, as most days are.
    pub(super) const UP: u8 = 1;
    /// A byte says which numbers are not zero, and they follow.
    pub(super) const NUMBERS: u8 = 2;
}

/// The days of a sheet. Sheet `n` begins with day `32 n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sheet(pub(crate) [StatusTime; DAYS as usize]);

impl Default for Sheet {
    fn default() -> Self {
        Self([StatusTime::default(); DAYS as usize])
    }
}

impl Sheet {
    /// Which sheet a day is on, and where.
    pub(crate) fn place(day: i64) -> (i64, usize) {
        (day.div_euclid(DAYS), day.rem_euclid(DAYS) as usize)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(DAYS as usize);
        let up = StatusTime { ordinary: [WHOLE, 0, 0, 0], maintenance: [0; 4] };
        // Days to come take no room.
        let used = self.0.iter().rposition(|t| *t != StatusTime::default()).map_or(0, |last| last + 1);
        for time in &self.0[..used] {
            if *time == StatusTime::default() {
                out.push(tag::NOTHING);
            } else if *time == up {
                out.push(tag::UP);
            } else {
                let numbers = time.ordinary.iter().chain(&time.maintenance);
                let mask = numbers.clone().enumerate().fold(0, |m, (i, n)| m | (u8::from(*n > 0) << i));
                out.extend([tag::NUMBERS, mask]);
                numbers.filter(|n| **n > 0).for_each(|n| put(&mut out, *n));
            }
        }
        out
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Result<Self, Damaged> {
        let mut sheet = Self::default();
        let mut days = sheet.0.iter_mut();
        while let Some((kind, rest)) = bytes.split_first() {
            let day = days.next().ok_or(Damaged("sheet"))?;
            bytes = rest;
            match *kind {
                tag::NOTHING => {}
                tag::UP => day.ordinary[0] = WHOLE,
                tag::NUMBERS => {
                    let (mask, rest) = bytes.split_first().ok_or(Damaged("sheet"))?;
                    bytes = rest;
                    for (i, n) in day.ordinary.iter_mut().chain(&mut day.maintenance).enumerate() {
                        if mask & (1 << i) != 0 {
                            *n = take(&mut bytes).ok_or(Damaged("sheet"))?;
                        }
                    }
                }
                _ => return Err(Damaged("sheet")),
            }
        }
        Ok(sheet)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn time() -> impl Strategy<Value = StatusTime> {
        let number = prop_oneof![3 => Just(0), 1 => 1..=WHOLE];
        prop_oneof![
            Just(StatusTime::default()),
            Just(StatusTime { ordinary: [WHOLE, 0, 0, 0], maintenance: [0; 4] }),
            (prop::array::uniform4(number.clone()), prop::array::uniform4(number))
                .prop_map(|(ordinary, maintenance)| StatusTime { ordinary, maintenance }),
        ]
    }

    proptest! {
        #[test]
        fn a_sheet_survives_the_round_trip(days in prop::collection::vec(time(), DAYS as usize)) {
            let mut sheet = Sheet::default();
            sheet.0.copy_from_slice(&days);
            prop_assert_eq!(Sheet::decode(&sheet.encode()).unwrap(), sheet);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Sheet::decode(&bytes);
        }
    }

    #[test]
    fn days_before_the_epoch_have_their_place() {
        assert_eq!((Sheet::place(-1), Sheet::place(0), Sheet::place(33)), ((-1, 31), (0, 0), (1, 1)));
    }
}
