//! Who says all this, and whether they can be believed at the moment.

use std::{collections::HashMap, sync::Arc, time::Duration};

use foldhash::fast::FixedState;
use seawall_model::Wall;

use crate::{FRESH, TROUBLE, age, deadlines::Armed};

/// Sources remembered at once. Whoever comes when all of these are alive has no say.
pub const SOURCES: usize = 1024;

/// How long the trouble of a source is remembered that is no vantage point of the plan.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Everybody who was heard, and every vantage point of the plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    places: HashMap<Arc<str>, u32, FixedState>,
    list: Vec<Source>,
}

#[derive(Debug, Clone)]
pub(crate) struct Source {
    name: Arc<str>,
    pinned: bool,
    heard: Option<Wall>,
    /// When it last said that it is in trouble itself.
    trouble: Option<Wall>,
    pub(crate) armed: Armed,
}

impl Sources {
    /// A source's place, which it keeps until [`Self::prune`].
    pub(crate) fn place(&mut self, name: &Arc<str>) -> Option<u32> {
        if let Some(place) = self.places.get(name) {
            return Some(*place);
        }
        let place = u32::try_from(self.list.len()).ok().filter(|_| self.list.len() < SOURCES)?;
        self.list.push(Source {
            name: name.clone(),
            pinned: false,
            heard: None,
            trouble: None,
            armed: Armed::default(),
        });
        self.places.insert(name.clone(), place);
        Some(place)
    }

    /// As [`Self::place`], of a vantage point, which is never forgotten.
    pub(crate) fn pin(&mut self, name: &Arc<str>) -> Option<u32> {
        let place = self.place(name)?;
        self.list[place as usize].pinned = true;
        Some(place)
    }

    /// The plan is another: nobody is a vantage point until it says so.
    pub(crate) fn unpin(&mut self) {
        self.list.iter_mut().for_each(|s| s.pinned = false);
    }

    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= SOURCES
    }

    /// Forgets who is silent and was not in trouble of late. Every place changes.
    pub(crate) fn prune(&mut self, now: Wall) {
        // Whoever was in trouble lately took back what others remember of him.
        self.list.retain(|s| s.pinned || s.is_heard(now) || s.was_troubled(now));
        self.list.iter_mut().for_each(|s| s.armed = Armed::default());
        let places = self.list.iter().enumerate().map(|(i, s)| (s.name.clone(), i as u32));
        self.places = places.collect();
    }

    pub(crate) fn get(&self, place: u32) -> &Source {
        &self.list[place as usize]
    }

    pub(crate) fn get_mut(&mut self, place: u32) -> Option<&mut Source> {
        self.list.get_mut(place as usize)
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&Source> {
        self.places.get(name).map(|place| self.get(*place))
    }

    /// True if a source was heard lately.
    pub(crate) fn is_heard(&self, name: &str, now: Wall) -> bool {
        self.by_name(name).is_some_and(|s| s.is_heard(now))
    }

    pub(crate) fn places(&self) -> std::ops::Range<u32> {
        0..self.list.len() as u32
    }
}

impl Source {
    pub(crate) fn is_heard(&self, now: Wall) -> bool {
        self.heard.is_some_and(|at| age(now, at) <= FRESH)
    }

    /// Takes note that it is alive; true if it was not before.
    pub(crate) fn hear(&mut self, now: Wall) -> bool {
        let was_silent = !self.is_heard(now);
        self.heard = Some(now);
        was_silent
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn heard(&self) -> Option<Wall> {
        self.heard
    }

    /// Takes note of its own trouble; true if that is news.
    pub(crate) fn trouble(&mut self, now: Wall) -> bool {
        let is_news = !self.is_troubled(now);
        self.trouble = Some(now);
        is_news
    }

    /// True while nothing that it reports counts.
    pub(crate) fn is_troubled(&self, now: Wall) -> bool {
        self.trouble.is_some_and(|at| age(now, at) <= TROUBLE)
    }

    /// True if what it reported at `at` was not taken back since, and is not from its time of trouble.
    pub(crate) fn stands_by(&self, at: Wall) -> bool {
        self.trouble.is_none_or(|trouble| trouble < at && age(at, trouble) > TROUBLE)
    }

    fn was_troubled(&self, now: Wall) -> bool {
        self.trouble.is_some_and(|at| age(now, at) <= REMEMBERED)
    }

    /// Forgets what the clock, set back, says is yet to come.
    pub(crate) fn forget_future(&mut self, now: Wall) {
        self.heard.take_if(|at| *at > now);
        self.trouble.take_if(|at| *at > now);
    }
}
