//! The demo under way: on a terminal with keys, or in plain lines with a scripted tour.

use std::{
    io,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use ratatui::{
    DefaultTerminal,
    crossterm::{
        event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
        execute,
        terminal::{Clear, ClearType},
    },
};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    DemoError, Seawall, doing,
    load::Load,
    plain, records, say,
    scene::{Attempts, Scene, Since},
    screen,
    seen::{Journal, Pool, Pools, Standing},
    stage::{Fault, Stage, Who, refusal},
    tour::{Step, Tour},
    watched::{self, Watched},
};

/// How often keys and the clock are looked at.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// Ticks from one picture to the next.
const TICKS_A_PICTURE: u64 = 5;
/// Ticks from one plain line, and from one look at the records, to the next.
const TICKS_A_SECOND: u64 = 20;
/// How long the tour waits, in all, for Seawall to take healed providers back.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long Seawall has to tell how it is; a picture does without what is late.
const TELLING: Duration = Duration::from_millis(500);

/// Runs on the terminal until the person quits, or for so long.
pub(super) async fn live(
    length: Option<Duration>,
    stage: &mut Stage,
    seawall: &mut Seawall,
    load: &Load,
) -> Result<String, DemoError> {
    // From here on a panic restores the terminal too.
    let terminal = doing("use the terminal", ratatui::try_init())?;
    let ended = Show::new(stage, seawall, load, 8).on_terminal(length, terminal).await;
    ratatui::restore();
    ended
}

/// Runs the tour and prints a line a second.
pub(super) async fn plain(
    length: Duration,
    stage: &mut Stage,
    seawall: &mut Seawall,
    load: &Load,
) -> Result<String, DemoError> {
    Show::new(stage, seawall, load, 3).in_lines(length).await
}

struct Show<'a> {
    stage: &'a mut Stage,
    seawall: &'a mut Seawall,
    load: &'a Load,
    began: Instant,
    picked: Who,
    since: Since,
    refused: Option<&'static str>,
    /// What was done and has not been printed.
    untold: Option<String>,
    records: Vec<String>,
    attempts: Attempts,
    watched: Watched,
    /// What Seawall last said of the pool.
    pool: Option<Pool>,
}

/// What a key asks for.
enum Key {
    Pick(Who),
    Break(Fault),
    Heal,
    Quit,
}

impl<'a> Show<'a> {
    fn new(stage: &'a mut Stage, seawall: &'a mut Seawall, load: &'a Load, pictures: usize) -> Self {
        let since = Since::now(&load.tally(), "All three providers are well".to_owned());
        let (began, records) = (Instant::now(), Vec::new());
        Self {
            stage,
            seawall,
            load,
            began,
            picked: Who::A,
            since,
            refused: None,
            untold: None,
            records,
            attempts: Attempts::over(pictures),
            watched: Watched::default(),
            pool: None,
        }
    }

    async fn on_terminal(
        mut self,
        length: Option<Duration>,
        mut terminal: DefaultTerminal,
    ) -> Result<String, DemoError> {
        // Not every terminal has a second screen that comes up empty.
        doing("clear the terminal", execute!(io::stdout(), Clear(ClearType::All)))?;
        let mut tick = tokio::time::interval(TICK);
        let mut stop = doing("wait for signals", signal(SignalKind::terminate()))?;
        for n in 0_u64.. {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stop.recv() => break,
            }
            while let Some(key) = doing("read the keyboard", pressed())? {
                match key {
                    Key::Quit => return Ok(self.bill()),
                    Key::Pick(who) => self.picked = who,
                    Key::Break(fault) => self.break_(self.picked, fault).await?,
                    Key::Heal => self.heal(self.picked).await?,
                }
            }
            if n % TICKS_A_SECOND == 0 {
                self.records = records::newest(&self.seawall.journal);
            }
            if n % TICKS_A_PICTURE == 0 {
                let scene = self.scene().await;
                doing("draw", terminal.draw(|frame| screen::draw(frame, &scene)))?;
            }
            self.check_children()?;
            if length.is_some_and(|length| self.began.elapsed() >= length) {
                break;
            }
        }
        Ok(self.bill())
    }

    async fn in_lines(mut self, length: Duration) -> Result<String, DemoError> {
        let (mut tour, mut due, mut waited) = (Tour::of(length), None, Duration::ZERO);
        let mut tick = tokio::time::interval(TICK);
        let mut stop = doing("wait for signals", signal(SignalKind::terminate()))?;
        let mut interrupt = doing("wait for signals", signal(SignalKind::interrupt()))?;
        for n in 1_u64.. {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stop.recv() => break,
                _ = interrupt.recv() => break,
            }
            due = due.or_else(|| tour.next(self.began.elapsed().saturating_sub(waited)));
            match due {
                Some(Step::Break(who, fault)) => self.break_(who, fault).await?,
                Some(Step::Heal(who)) => self.heal(who).await?,
                None => {}
            }
            match self.refused.take() {
                // The tour stands still until it may go on.
                Some(_) if waited < LONGEST_WAIT => waited += TICK,
                Some(why) => {
                    say(&format!("-- left out: {why}"));
                    due = None;
                }
                None => due = None,
            }
            if let Some(told) = self.untold.take() {
                say(&format!("-- {told}"));
            }
            if n % TICKS_A_SECOND == 0 {
                let before = self.watched.clone();
                let scene = self.scene().await;
                self.watched.changes(&before).iter().for_each(|change| say(&format!("-- {change}")));
                say(&plain::line(&scene));
            }
            self.check_children()?;
            if self.began.elapsed() >= length + waited {
                break;
            }
        }
        Ok(self.bill())
    }

    /// What all of it cost, as Seawall said last.
    fn bill(&self) -> String {
        let (through, alone) = (self.watched.cost(true), self.watched.cost(false));
        format!("cost: through Seawall {through}; on one provider alone {alone}")
    }

    async fn break_(&mut self, who: Who, fault: Fault) -> Result<(), DemoError> {
        self.refused = refusal(self.stage.deeds(), who, fault).or_else(|| self.unready(who, fault));
        if self.refused.is_none() {
            doing(format!("{} {who}", fault.verb()), self.stage.break_(who, fault).await)?;
            self.tell(format!("{who} is {}", fault.state()));
        }
        Ok(())
    }

    /// Two healthy providers outvote a third only once Seawall believes them both again.
    fn unready(&self, who: Who, fault: Fault) -> Option<&'static str> {
        let pool = self.pool.as_ref()?;
        let others = pool.upstreams.iter().filter(|upstream| upstream.name != who.upstream());
        let believed = others.filter(|upstream| upstream.standing().0 == Standing::Good).count();
        let wait = fault.contradicts() && believed + 1 < Who::ALL.len();
        wait.then_some("Seawall has not taken the others back yet: try again in a moment")
    }

    async fn heal(&mut self, who: Who) -> Result<(), DemoError> {
        self.refused = None;
        doing(format!("heal {who}"), self.stage.heal(who).await)?;
        self.tell(format!("{who} is well again"));
        Ok(())
    }

    fn tell(&mut self, what: String) {
        self.untold = Some(what.clone());
        self.since = Since::now(&self.load.tally(), what);
    }

    /// An end that nobody asked for ends the demo.
    fn check_children(&mut self) -> Result<(), DemoError> {
        if self.seawall.ended()? {
            return Err(DemoError::child("Seawall", "ended by itself", self.seawall.log.clone()));
        }
        let chain_ended = doing("look after the chain", self.stage.chain_ended())?;
        if chain_ended || self.load.ended() {
            return Err(DemoError::child(
                "the chain",
                "went away",
                self.seawall.log.with_file_name("chain.log"),
            ));
        }
        Ok(())
    }

    async fn scene(&mut self) -> Scene {
        let (pool, journal, watched) = self.told().await;
        if watched.is_told() {
            self.watched = watched;
        }
        let tally = self.load.tally();
        let news = self.refused.map_or_else(|| self.since.news(&tally), str::to_owned);
        let attempts =
            |who: Who| pool.as_ref()?.upstreams.iter().find(|u| u.name == who.upstream()).map(|u| u.attempts);
        self.pool = pool.clone();
        let shares = self.attempts.shares(Who::ALL.map(|who| attempts(who).unwrap_or(0)));
        Scene {
            elapsed: self.began.elapsed(),
            tally,
            deeds: self.stage.deeds(),
            pool,
            shares,
            watched: self.watched.clone(),
            journal,
            records: self.records.clone(),
            picked: self.picked,
            news,
        }
    }

    /// What Seawall says of itself now.
    async fn told(&self) -> (Option<Pool>, Option<Journal>, Watched) {
        let admin = &self.seawall.admin;
        // Each for itself: a disk that keeps the history from answering hides nothing else.
        let both = async { tokio::join!(admin.get("/v1/pools"), admin.get("/v1/journal")) };
        let watched = join_all(watched::PATHS.map(|path| tokio::time::timeout(TELLING, admin.get(path))));
        let (both, watched) = tokio::join!(tokio::time::timeout(TELLING, both), watched);
        let mut watched = watched.into_iter().map(|told| told.ok().and_then(Result::ok));
        let watched = Watched::read([(); 4].map(|()| watched.next().flatten()));
        let Ok((pools, journal)) = both else { return (None, None, watched) };
        let pool =
            pools.ok().and_then(|v| serde_json::from_value::<Pools>(v).ok()).and_then(|mut p| p.pools.pop());
        (pool, journal.ok().and_then(|v| serde_json::from_value(v).ok()), watched)
    }
}

/// The next key that means something, if one is waiting.
fn pressed() -> io::Result<Option<Key>> {
    while event::poll(Duration::ZERO)? {
        let Event::Key(key) = event::read()? else { continue };
        if key.kind != KeyEventKind::Press {
            continue;
        }
        match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Ok(Some(Key::Quit));
            }
            KeyCode::Char('q') | KeyCode::Esc => return Ok(Some(Key::Quit)),
            KeyCode::Char('a') => return Ok(Some(Key::Pick(Who::A))),
            KeyCode::Char('b') => return Ok(Some(Key::Pick(Who::B))),
            KeyCode::Char('c') => return Ok(Some(Key::Pick(Who::C))),
            KeyCode::Char('0') => return Ok(Some(Key::Heal)),
            KeyCode::Char(digit @ '1'..='6') => {
                return Ok(Some(Key::Break(Fault::ALL[digit as usize - '1' as usize])));
            }
            _ => {}
        }
    }
    Ok(None)
}
