//! What can be asked of the history, and how it is written in a URL.

use std::fmt::Write as _;

use jiff::civil::Date;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use seawall_history::{Grain, MAX_PAGE_DAYS, parse_time};
use seawall_model::{ComponentId, ComponentKind, Wall};

/// Most components that are asked for by name.
pub const MAX_NAMED: usize = 200;
/// Longest query, in bytes.
const MAX_QUERY: usize = 32 * 1024;
/// Days of a page where nobody says.
pub const DAYS: u32 = 90;
/// What stands for itself in a query; the rest is escaped.
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b':').remove(b'/');

/// What is asked of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// The last days of components, today included, by UTC.
    Page {
        /// How many days.
        days: u32,
        /// Of which components.
        of: Selection,
    },
    /// A month of components, by UTC.
    Report {
        /// Its first day.
        month: Date,
        /// Of which components.
        of: Selection,
    },
    /// What the checks of a component say, step by step.
    Series {
        /// Of which component.
        component: ComponentId,
        /// From when until when.
        time: Time,
        /// How long a step is; as long as fits if nobody says.
        step: Option<Grain>,
    },
    /// When a component was down.
    Downtime {
        /// Which one.
        component: ComponentId,
        /// From when until when.
        time: Time,
    },
    /// What a time cost.
    Cost {
        /// Which service; all that have a cost if `None`.
        component: Option<ComponentId>,
        /// From when until when.
        time: Time,
    },
}

/// Which components: those named and those of a kind; all if nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// By name.
    pub components: Vec<ComponentId>,
    /// Of a kind.
    pub kind: Option<ComponentKind>,
}

/// A time: `until` is now if absent, and `from` as far before it as makes sense for what is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Time {
    /// From when.
    pub from: Option<Wall>,
    /// Until when, itself left out.
    pub until: Option<Wall>,
}

impl Time {
    /// Both ends. `None` if nothing lies between them.
    pub fn ends(self, now: Wall, usual_ms: i64) -> Option<(Wall, Wall)> {
        let until = self.until.unwrap_or(now);
        let from = self.from.unwrap_or(Wall(until.0.saturating_sub(usual_ms)));
        (from < until).then_some((from, until))
    }
}

impl Question {
    /// Reads `kind` (the last part of the path) and a URL's query. The error says what is wrong, in a line.
    ///
    /// # Errors
    /// If there is no such question, or a part of it cannot be read.
    pub fn parse(kind: &str, query: &str) -> Result<Self, String> {
        let mut asked = Asked::read(query)?;
        let question = match kind {
            "page" => {
                let days = asked.one("days").map_or(Ok(DAYS), |text| {
                    let days = text
                        .parse::<u32>()
                        .ok()
                        .filter(|days| (1..=MAX_PAGE_DAYS).contains(&(*days as usize)));
                    days.ok_or_else(|| format!("`days` is a number from 1 to {MAX_PAGE_DAYS}"))
                })?;
                Self::Page { days, of: asked.selection()? }
            }
            "report" => {
                let month = asked.one("month").as_deref().and_then(month);
                let month = month.ok_or("`month` is missing or no month: write it as in `month=2026-10`")?;
                Self::Report { month, of: asked.selection()? }
            }
            "series" => {
                let step = asked
                    .one("step")
                    .map(|text| step(&text).ok_or("`step` is `minute`, `hour` or `day`".to_owned()));
                Self::Series { component: asked.component()?, time: asked.time()?, step: step.transpose()? }
            }
            "downtime" => Self::Downtime { component: asked.component()?, time: asked.time()? },
            "cost" => {
                let component = asked.one("component").unwrap_or_else(|| "all".to_owned());
                let component = match component.as_str() {
                    "all" => None,
                    name => Some(self::component(name)?),
                };
                Self::Cost { component, time: asked.time()? }
            }
            _ => return Err("the history tells a page, report, series, downtime and cost".to_owned()),
        };
        match asked.0.first() {
            Some((key, _)) => Err(format!("`{key}` means nothing here, or stands here twice")),
            None => Ok(question),
        }
    }

    /// The path and query that ask for it.
    pub fn path(&self) -> String {
        let mut path = String::from("/v1/history/");
        let mut mark = '?';
        let mut add = |path: &mut String, key: &str, value: &str| {
            // Writing to a text cannot fail.
            let _ = write!(path, "{mark}{key}={}", utf8_percent_encode(value, &PLAIN));
            mark = '&';
        };
        let time = |path: &mut String, time: &Time, add: &mut dyn FnMut(&mut String, &str, &str)| {
            for (key, at) in [("from", time.from), ("until", time.until)] {
                at.iter().for_each(|at| add(path, key, &at.to_string()));
            }
        };
        match self {
            Self::Page { days, of } => {
                path += "page";
                add(&mut path, "days", &days.to_string());
                of.write(&mut path, &mut add);
            }
            Self::Report { month, of } => {
                path += "report";
                add(&mut path, "month", &format!("{:04}-{:02}", month.year(), month.month()));
                of.write(&mut path, &mut add);
            }
            Self::Series { component, time: when, step } => {
                path += "series";
                add(&mut path, "component", &component.to_string());
                time(&mut path, when, &mut add);
                step.iter().for_each(|step| add(&mut path, "step", step_word(*step)));
            }
            Self::Downtime { component, time: when } => {
                path += "downtime";
                add(&mut path, "component", &component.to_string());
                time(&mut path, when, &mut add);
            }
            Self::Cost { component, time: when } => {
                path += "cost";
                let of = component.as_ref().map_or_else(|| "all".to_owned(), ToString::to_string);
                add(&mut path, "component", &of);
                time(&mut path, when, &mut add);
            }
        }
        path
    }
}

impl Selection {
    fn write(&self, path: &mut String, add: &mut dyn FnMut(&mut String, &str, &str)) {
        self.components.iter().for_each(|id| add(path, "component", &id.to_string()));
        self.kind.iter().for_each(|kind| add(path, "kind", kind.as_str()));
    }

    /// True of what was asked for.
    pub fn holds(&self, id: &ComponentId) -> bool {
        let named = self.components.is_empty() || self.components.contains(id);
        named && self.kind.is_none_or(|kind| kind == id.kind())
    }
}

/// A month as in `2026-10`: its first day.
pub fn month(text: &str) -> Option<Date> {
    let (year, month) = text.split_once('-').filter(|(year, month)| year.len() == 4 && month.len() == 2)?;
    Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()
}

/// A step by its word.
pub fn step(text: &str) -> Option<Grain> {
    [Grain::Minute, Grain::Hour, Grain::Day].into_iter().find(|grain| step_word(*grain) == text)
}

/// The word for a step.
pub fn step_word(step: Grain) -> &'static str {
    match step {
        Grain::Minute => "minute",
        Grain::Hour => "hour",
        Grain::Day => "day",
    }
}

/// A component by its name; the error says what is wrong.
pub fn component(text: &str) -> Result<ComponentId, String> {
    let shown: String = text.chars().take(80).collect();
    text.parse().map_err(|_| format!("`{shown}` is no component as in `service:deposits`"))
}

/// The keys and values of a query that have not been looked at.
struct Asked(Vec<(String, String)>);

impl Asked {
    fn read(query: &str) -> Result<Self, String> {
        if query.len() > MAX_QUERY {
            return Err(format!("the query is longer than {MAX_QUERY} bytes"));
        }
        let plain = |text: &str| match percent_decode_str(text).decode_utf8() {
            Ok(text) => Ok(text.into_owned()),
            Err(_) => Err("the query is not UTF-8".to_owned()),
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((plain(key)?, plain(value)?))
        });
        pairs.collect::<Result<_, String>>().map(Self)
    }

    /// The first value of a key.
    fn one(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1)
    }

    fn component(&mut self) -> Result<ComponentId, String> {
        let text =
            self.one("component").ok_or("`component` is missing, as in `component=service:deposits`")?;
        component(&text)
    }

    fn time(&mut self) -> Result<Time, String> {
        let mut at = |key: &str| {
            let read = self.one(key).map(|text| {
                let at = parse_time(&text);
                at.ok_or_else(|| format!("`{key}` is a day (2026-07-01) or a time (2026-07-01T12:00:00Z)"))
            });
            read.transpose()
        };
        Ok(Time { from: at("from")?, until: at("until")? })
    }

    fn selection(&mut self) -> Result<Selection, String> {
        let mut of = Selection::default();
        while let Some(text) = self.one("component") {
            of.components.push(component(&text)?);
        }
        if of.components.len() > MAX_NAMED {
            return Err(format!("more than {MAX_NAMED} components are named: ask for a `kind`, or for all"));
        }
        if let Some(text) = self.one("kind") {
            let kind = ComponentKind::ALL.into_iter().find(|kind| kind.as_str() == text);
            of.kind = Some(kind.ok_or("`kind` is the word before the colon, as in `service`")?);
        }
        Ok(of)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(kind: &str, query: &str, wanted: &str) {
        match Question::parse(kind, query) {
            Ok(question) => assert_eq!(question.path(), wanted),
            Err(why) => assert!(why.contains(wanted), "{why}"),
        }
    }

    #[test]
    fn a_question_is_read_as_it_is_written() {
        check("page", "", "/v1/history/page?days=90");
        check(
            "page",
            "days=30&kind=service&component=service:a",
            "/v1/history/page?days=30&component=service:a&kind=service",
        );
        check("report", "month=2026-10", "/v1/history/report?month=2026-10");
        check(
            "series",
            "component=upstream%3Aeth/a&from=2026-07-01T02:00:00%2B02:00&step=hour",
            "/v1/history/series?component=upstream:eth/a&from=2026-07-01T00:00:00.000Z&step=hour",
        );
        check(
            "downtime",
            "component=pool:eth&until=2026-07-01",
            "/v1/history/downtime?component=pool:eth&until=2026-07-01T00:00:00.000Z",
        );
        check("cost", "", "/v1/history/cost?component=all");
        check("cost", "component=service:pay", "/v1/history/cost?component=service:pay");
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        check("tea", "", "a page, report, series");
        check("page", "days=0", "`days` is a number");
        check("page", "days=733", "`days` is a number");
        check("page", "dais=3", "`dais` means nothing");
        check("page", "days=3&days=4", "stands here twice");
        check("page", "kind=house", "`kind` is the word");
        check("page", &"component=service:a&".repeat(MAX_NAMED + 1), "more than 200");
        check("page", &"x".repeat(MAX_QUERY + 1), "longer than");
        check("report", "month=2026-13", "no month");
        check("series", "", "`component` is missing");
        check("series", "component=service:a&step=2h", "`step` is");
        check("series", "component=service:a&from=now", "`from` is a day");
        check("downtime", "component=eth", "no component");
        check("page", "%ff=1", "not UTF-8");
    }

    proptest! {
        #[test]
        fn no_query_is_a_reason_to_panic_and_what_is_read_reads_the_same_again(
            kind in "(page|report|series|downtime|cost)",
            query in "((component|from|until|step|days|kind|month)=[a-z0-9:/%+.TZ-]{0,24}&?){0,4}",
        ) {
            if let Ok(question) = Question::parse(&kind, &query) {
                let path = question.path();
                let (_, query) = path.split_once('?').unwrap();
                prop_assert_eq!(Question::parse(&kind, query), Ok(question));
            }
        }
    }
}
