//! The live view: one screen that shows what was done, what Seawall makes of it, and what the clients see.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize},
    text::{Line, Span},
    widgets::{Block, Paragraph, Row, Sparkline, Table, Wrap},
};

use super::{
    scene::{Scene, short},
    seen::Standing,
    stage::{Fault, Who},
};

/// Draws the whole screen.
pub(super) fn draw(frame: &mut Frame<'_>, scene: &Scene) {
    let [title, upstreams, costs, middle, news, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(6),
        Constraint::Length(3),
        Constraint::Min(8),
        Constraint::Length(4),
        Constraint::Length(2),
    ])
    .areas(frame.area());
    let [clients, journal] =
        Layout::horizontal([Constraint::Percentage(42), Constraint::Percentage(58)]).areas(middle);
    draw_title(frame, title, scene);
    draw_upstreams(frame, upstreams, scene);
    draw_costs(frame, costs, scene);
    draw_clients(frame, clients, scene);
    draw_journal(frame, journal, scene);
    draw_news(frame, news, scene);
    draw_keys(frame, keys);
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let seconds = scene.elapsed.as_secs();
    let head = match scene.pool.as_ref().and_then(|pool| Some((pool, pool.head.as_ref()?))) {
        Some((pool, head)) => format!("head {} · pool {}", head.number, pool.status),
        None => "Seawall does not answer".to_owned(),
    };
    let line = Line::from(vec![
        " Seawall ".bold().reversed(),
        format!(" one chain, three providers · {head} · {}:{:02}", seconds / 60, seconds % 60).into(),
    ]);
    frame.render_widget(line, area);
}

fn draw_upstreams(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let rows = Who::ALL.map(|who| upstream_row(scene, who));
    let widths = [
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Min(22),
        Constraint::Length(7),
        Constraint::Length(7),
        Constraint::Length(8),
        Constraint::Length(9),
    ];
    let header = Row::new(["provider", "you did", "Seawall says", "head", "share", "probe", "p95"]).dim();
    frame.render_widget(
        Table::new(rows, widths).header(header).block(Block::bordered().title(" upstreams ")),
        area,
    );
}

fn upstream_row(scene: &Scene, who: Who) -> Row<'static> {
    let mark = if scene.picked == who { "▸" } else { " " };
    let deed = scene.deeds[who as usize].map_or("", Fault::state);
    let name = Span::from(format!("{mark}{who} {}", who.provider()));
    let cells = match scene.upstream(who) {
        None => vec![name, deed.yellow(), "?".into()],
        Some(upstream) => {
            let (standing, words) = upstream.standing();
            vec![
                name,
                deed.yellow(),
                Span::styled(words, colour(standing)),
                upstream.head.as_ref().map_or(String::new(), |head| head.number.to_string()).into(),
                format!("{:.0} %", scene.shares[who as usize] * 100.0).into(),
                checked(scene.watched.checked(who)),
                scene.p95(who).into(),
            ]
        }
    };
    let row = Row::new(cells);
    if scene.picked == who { row.add_modifier(Modifier::BOLD) } else { row }
}

fn checked(outcome: &str) -> Span<'static> {
    let colour = match outcome {
        "up" => Color::Green,
        "down" => Color::Red,
        _ => Color::Yellow,
    };
    Span::styled(outcome.to_owned(), colour)
}

/// What a fault costs whoever has Seawall, and whoever has not; and the worst verdict.
fn draw_costs(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let (down, all) = scene.watched.alone_down();
    let lines = vec![
        Line::from(format!(" through Seawall     {}", scene.watched.cost(true))),
        Line::from(format!(" alone, {down} of {all} down  {}", scene.watched.cost(false))),
        Line::from(format!(" {}", scene.watched.worst())).dim(),
    ];
    frame.render_widget(Paragraph::new(lines), area);
}

fn colour(standing: Standing) -> Style {
    Style::new().fg(match standing {
        Standing::Good => Color::Green,
        Standing::Probing => Color::Yellow,
        Standing::Out => Color::Red,
    })
}

fn draw_clients(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let block = Block::bordered().title(" clients ");
    let [text, spark] =
        Layout::vertical([Constraint::Length(5), Constraint::Min(1)]).areas(block.inner(area));
    frame.render_widget(block, area);
    let tally = &scene.tally;
    let verdict = |n: u64| if n == 0 { n.to_string().green().bold() } else { n.to_string().red().bold() };
    let extra = scene.pool.as_ref().map_or(String::new(), |pool| {
        format!("extra attempts {} of {} allowed", pool.budget.extra, pool.budget.allowed)
    });
    let lines = vec![
        Line::from(format!("requests {}  {}/s", tally.requests, tally.last_second().requests)),
        Line::from(vec!["failed ".into(), verdict(tally.failed), "  wrong ".into(), verdict(tally.wrong)]),
        Line::from(format!("p50 {}  p99 {}", short(tally.quantile(0.5)), short(tally.quantile(0.99)))),
        Line::from(format!("slowest {}; by the second:", short(tally.slowest()))),
        Line::from(extra),
    ];
    frame.render_widget(Paragraph::new(lines), text);
    let fits = usize::from(spark.width);
    let slowest: Vec<u64> = tally.seconds.iter().map(|s| s.slowest_us).collect();
    let shown = &slowest[slowest.len().saturating_sub(fits)..];
    frame.render_widget(Sparkline::default().data(shown).style(Color::Cyan), spark);
}

fn draw_journal(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let title = match &scene.journal {
        Some(journal) if journal.lost == 0 => {
            format!(" journal · {} · {} records ", journal.state, journal.size)
        }
        Some(journal) => {
            format!(" journal · {} · {} records, {} lost ", journal.state, journal.size, journal.lost)
        }
        None => " journal ".to_owned(),
    };
    let block = Block::bordered().title(title);
    let fits = usize::from(block.inner(area).height);
    let newest = &scene.records[scene.records.len().saturating_sub(fits)..];
    let lines: Vec<Line<'_>> = newest.iter().map(|record| Line::from(record.as_str())).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn draw_news(frame: &mut Frame<'_>, area: Rect, scene: &Scene) {
    let lines = vec![Line::from(scene.news.as_str()).bold(), Line::from(scene.hint()).dim()];
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }).block(Block::bordered()), area);
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect) {
    let faults: Vec<String> =
        Fault::ALL.iter().zip(1..).map(|(fault, key)| format!("{key} {}", fault.verb())).collect();
    let lines = vec![
        Line::from(" a b c  pick a provider      q  quit"),
        Line::from(format!(" {}   0 heal", faults.join("   "))),
    ];
    frame.render_widget(Paragraph::new(lines).dim(), area);
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use ratatui::{Terminal, backend::TestBackend};
    use serde_json::json;

    use super::*;
    use crate::demo::{
        tally::{Ending, Tally},
        watched::{Watched, tests::watched},
    };

    /// A frozen A in the middle of a run.
    pub(in crate::demo) fn scene() -> Scene {
        let mut tally = Tally::default();
        for second in 0..20_u64 {
            tally.tick();
            for n in 0..200 {
                tally.count(0, Duration::from_micros(700 + n * second), Ending::Right);
            }
        }
        let upstream = |name: &str, state: &str, cause: Option<&str>| {
            json!({"name": name, "attempts": 1500, "failures": 3, "latency_us": {"mean": 810},
                "head": {"number": 42, "age_ms": 300}, "breakers": [{"class": "state", "state": state, "cause": cause}]})
        };
        let pool = json!({"status": "degraded", "head": {"number": 42}, "budget": {"extra": 14, "allowed": 400},
            "upstreams": [upstream("a", "ejected", Some("hang")), upstream("b", "admitting", None),
                upstream("c", "admitting", None)]});
        Scene {
            elapsed: Duration::from_secs(83),
            tally,
            deeds: [Some(Fault::Freeze), None, None],
            shares: [0.0, 0.52, 0.48],
            pool: serde_json::from_value(pool).unwrap(),
            watched: watched(),
            journal: serde_json::from_value(json!({"state": "healthy", "size": 12})).unwrap(),
            records: vec!["10 start".into(), "11 breaker upstream:chain/a ejected, hang".into()],
            picked: Who::A,
            news: "A is frozen: of 612 requests since, 0 failed or got a wrong answer.".into(),
        }
    }

    #[test]
    fn the_screen_fits_eighty_columns() {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, &scene())).unwrap();
        insta::assert_snapshot!(terminal.backend());
    }

    #[test]
    fn a_tiny_terminal_and_a_silent_seawall_are_no_reason_to_panic() {
        let bare =
            Scene { pool: None, journal: None, records: Vec::new(), watched: Watched::default(), ..scene() };
        for (width, height) in [(1, 1), (20, 5), (200, 60)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(frame, &bare)).unwrap();
        }
    }
}
