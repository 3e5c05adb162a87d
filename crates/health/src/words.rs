//! Evidence, worded only where somebody wants it.

use std::fmt::{self, Write};

use seawall_model::Wall;

/// Where evidence goes. Judging a signal words nothing; a verdict that changes, or is asked for, does.
pub(crate) struct Words<'a>(Option<&'a mut String>);

impl<'a> Words<'a> {
    /// Nobody wants to know why.
    pub(crate) fn unwanted() -> Words<'static> {
        Words(None)
    }

    pub(crate) fn to(text: &'a mut String) -> Self {
        Self(Some(text))
    }

    pub(crate) fn say(&mut self, what: fmt::Arguments<'_>) {
        if let Some(text) = &mut self.0 {
            text.write_fmt(what).expect("a String takes all that is written to it");
        }
    }

    /// True if somebody listens, so that it is worth while to find out what to say.
    pub(crate) fn wanted(&self) -> bool {
        self.0.is_some()
    }
}

/// The time of day in UTC, to the second; a verdict's `since` tells the day.
pub(crate) fn time_of_day(at: Wall) -> String {
    let whole = at.to_string();
    whole.get(11..19).filter(|_| whole.ends_with('Z')).map(str::to_owned).unwrap_or(whole)
}
