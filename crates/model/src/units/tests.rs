use std::{fmt::Display, str::FromStr, time::Duration};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Time(Duration);

impl FromStr for Time {
    type Err = InvalidUnit;
    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        parse_duration(text).map(Self)
    }
}

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show_duration(self.0))
    }
}

/// `text` is read, and printed as `shown`, which reads as the same.
fn check<T: FromStr<Err = InvalidUnit> + Display + PartialEq + fmt::Debug>(text: &str, shown: &str) {
    let read = text.parse::<T>().unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(read.to_string(), shown, "{text}");
    assert_eq!(shown.parse::<T>().unwrap(), read, "{text}");
}

/// `text` is refused, and why.
fn refuse<T: FromStr<Err = InvalidUnit> + fmt::Debug>(text: &str, why: Unfit) {
    let error = text.parse::<T>().unwrap_err();
    assert_eq!(error.why, why, "{text}: {error}");
    assert!(error.text.chars().count() <= InvalidUnit::SHOWN);
}

#[test]
fn quantities_read_as_people_write_them() {
    check::<Time>("250ms", "250ms");
    check::<Time>("2s", "2s");
    check::<Time>("90m", "1h30m");
    check::<Time>("1.5s", "1s500ms");
    check::<Time>("0s", "0s");
    check::<Bytes>("64MiB", "64MiB");
    check::<Bytes>("1.5GiB", "1536MiB");
    check::<Bytes>("1GB", "1GB");
    check::<Bytes>("0kB", "0B");
    check::<Rate>("6000/m", "6000/m");
    check::<Percent>("99.95%", "99.95%");
    check::<Percent>("100%", "100%");
    check::<Percent>("0.0001%", "0.0001%");
    check::<Money>("$1200", "$1200");
    check::<Money>("EUR 99.5", "€99.50");
    check::<Money>("-GBP1.2M", "-£1200k");
    check::<Money>("¥5", "¥5");
    check::<Money>("$0", "$0");
    check::<CostRate>("$120k/h", "$120k/h");
    check::<CostRate>("CHF 0.07/s", "CHF 0.07/s");
}

#[test]
fn what_cannot_be_held_is_refused_with_the_reason() {
    for text in ["", "2", "s", "2 s", "2S", "30m1h", "1s1s", "1.s", ".5s", "-1s", "1s,", "2x"] {
        refuse::<Time>(text, Unfit::Form);
    }
    refuse::<Time>("0.5ns", Unfit::TooFine);
    refuse::<Time>("999999999d", Unfit::TooLarge);
    refuse::<Time>("1000000000000000000000s", Unfit::TooLarge);
    refuse::<Bytes>("64mib", Unfit::Form);
    refuse::<Bytes>("0.5B", Unfit::TooFine);
    refuse::<Bytes>("99999999TiB", Unfit::TooLarge);
    refuse::<Rate>("300", Unfit::Form);
    refuse::<Rate>("1.5/s", Unfit::TooFine);
    refuse::<Percent>("99.95", Unfit::Form);
    refuse::<Percent>("100.0001%", Unfit::TooLarge);
    refuse::<Percent>("99.99999%", Unfit::TooFine);
    refuse::<Money>("120k", Unfit::Form);
    refuse::<Money>("$1.005", Unfit::TooFine);
    refuse::<Money>("$999999999B", Unfit::TooLarge);
    refuse::<CostRate>("$120k", Unfit::Form);
    refuse::<CostRate>("-$1/h", Unfit::Form);
    refuse::<CostRate>(&"€".repeat(100), Unfit::Form);
}

#[test]
fn a_limit_is_rounded_down() {
    assert_eq!("6000/m".parse::<Rate>().unwrap().per_second(), 100);
    assert_eq!("59/m".parse::<Rate>().unwrap().per_second(), 0);
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(
        n in any::<u64>(), ppm in 0_u32..=1_000_000, minor in -i64::MAX..=i64::MAX, pick in any::<prop::sample::Index>(),
    ) {
        let time = Duration::from_nanos(n);
        prop_assert_eq!(parse_duration(&show_duration(time)).unwrap(), time);
        prop_assert_eq!(Bytes(n).to_string().parse::<Bytes>().unwrap(), Bytes(n));
        let share = format!("{}.{:04}%", ppm / 10_000, ppm % 10_000).parse::<Percent>().unwrap();
        prop_assert_eq!(share.parts_per_million(), ppm);
        prop_assert_eq!(share.to_string().parse::<Percent>().unwrap(), share);
        let money = Money { minor, currency: Currency::ALL[pick.index(Currency::ALL.len())] };
        prop_assert_eq!(money.to_string().parse::<Money>().unwrap(), money);
        let per = Per::ALL[pick.index(Per::ALL.len())];
        let cost = CostRate { money: Money { minor: minor.abs(), ..money }, per };
        prop_assert_eq!(cost.to_string().parse::<CostRate>().unwrap(), cost);
        let rate = Rate { count: n, per };
        prop_assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
    }

    #[test]
    fn no_text_makes_a_unit_panic(text in "\\PC{0,40}|[-$€0-9.]{0,24}[a-zA-Z%/]{0,4}") {
        let _ = (parse_duration(&text), text.parse::<Bytes>(), text.parse::<Rate>());
        let _ = (text.parse::<Percent>(), text.parse::<CostRate>());
    }
}
