//! What happens to the providers and to the daemon.

use std::{sync::Arc, time::Duration};

use seawall_runtime::{disk::sim::SimDisk, net::sim::Fault, signals::Event};
use tokio::{sync::mpsc, time::sleep};

use super::{
    estate::{estate_text, write_estate},
    plan::{Change, Trouble},
    world::World,
};

/// A bad estate lies there for long enough to be read and refused.
const REFUSED: Duration = Duration::from_secs(1);

/// Makes the plan's troubles come and go.
pub(crate) async fn trouble(world: Arc<World>) {
    let mut turns = world.plan.turns();
    turns.insert(0, world.days.now());
    for at in turns.into_iter().filter(|t| *t >= world.days.before) {
        world.days.until(at).await;
        for (i, node) in world.nodes.iter().enumerate() {
            let episode = world.plan.now(at).find(|e| e.upstreams.contains(&i));
            let begins = episode.is_some_and(|e| e.from == at);
            let (fault, lie) = match episode.map(|e| e.trouble) {
                None | Some(Trouble::Reset) => (None, None),
                Some(Trouble::Kill) => (Some(Fault::Down), None),
                Some(Trouble::Net(fault)) => (Some(fault), None),
                Some(Trouble::Lie(lie)) => (None, Some((lie, episode.map_or(0, |e| e.from)))),
            };
            world.net.fault(&node.name, fault);
            node.tell(lie);
            if begins && matches!(episode.map(|e| e.trouble), Some(Trouble::Reset | Trouble::Kill)) {
                world.net.reset(&node.name);
            }
        }
    }
}

/// Does to the daemon what the plan says, besides ending it.
pub(crate) async fn change(world: Arc<World>, disk: SimDisk, tell: mpsc::Sender<Event>) {
    for (at, change) in &world.plan.changes {
        if *at < world.days.before
            && matches!(change, Change::Estate(_) | Change::BadEstate | Change::Fails(_))
        {
            continue; // it happened to a daemon before this one, or to none
        }
        world.days.until(*at).await;
        let text = match change {
            Change::Estate(n) => estate_text(&world.plan, *n),
            Change::BadEstate => "[estate]\nname = \"simulated\"\n[listen]\nworkers = \"many\"\n".into(),
            Change::Full(full) => {
                disk.set_full(*full);
                continue;
            }
            Change::Stalled(stalled) => {
                disk.set_stalled(*stalled);
                continue;
            }
            Change::Fails(after) => {
                disk.fail_after(*after);
                continue;
            }
        };
        write_estate(&disk, &text);
        if tell.send(Event::Reload).await.is_err() {
            return; // it has ended
        }
        if matches!(change, Change::BadEstate) {
            sleep(REFUSED).await;
            write_estate(&disk, &estate_text(&world.plan, 0));
        }
    }
}
