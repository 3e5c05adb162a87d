//! Replaying the log: what held after a record.

use std::collections::BTreeMap;

use seawall_model::{ComponentId, RecordKind};
use serde_json::{Value, json};

use super::{LogError, Scene, Target, args::ReplayArgs, exit, show};

/// The last word on a component in one respect.
struct Held {
    index: u64,
    at: seawall_model::Wall,
    payload: Value,
}

/// True for records that say what holds from then on, until the next of their kind.
fn says_what_holds(kind: RecordKind) -> bool {
    match kind {
        RecordKind::Breaker
        | RecordKind::Head
        | RecordKind::Verdict
        | RecordKind::Cordon
        | RecordKind::Reload => true,
        RecordKind::Start
        | RecordKind::Stop
        | RecordKind::ReloadRefused
        | RecordKind::KeyRotation
        | RecordKind::Gap
        | RecordKind::Restored
        | RecordKind::Erasure
        | RecordKind::TaskFailed
        | RecordKind::Fault
        | RecordKind::Mode
        | RecordKind::Affected => false,
    }
}

pub(super) fn replay(args: &ReplayArgs, target: &Target, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    let mut reader = show::open(target, scene)?;
    let size = reader.checkpoint()?.checkpoint().size;
    let end = args.until.map_or(size, |until| until.saturating_add(1).min(size));
    let mut held: BTreeMap<(Option<ComponentId>, RecordKind, String), Held> = BTreeMap::new();
    for index in 0..end {
        let entry = reader.entry(index, size)?;
        let envelope = &entry.envelope;
        if says_what_holds(envelope.kind) {
            let payload = show::payload(&entry);
            // A breaker is one for each method class.
            let part = payload["class"].as_str().unwrap_or_default().to_owned();
            let key = (envelope.component.clone(), envelope.kind, part);
            held.insert(key, Held { index, at: envelope.at, payload });
        }
    }
    if args.json {
        let rows: Vec<_> = held
            .iter()
            .map(|((component, kind, _), held)| {
                json!({ "component": component, "kind": kind, "index": held.index, "since": held.at.0, "payload": held.payload })
            })
            .collect();
        writeln!(scene.out, "{:#}", Value::from(rows))?;
        return Ok(exit::SOUND);
    }
    writeln!(scene.out, "after {end} of {size} records")?;
    for ((component, kind, _), held) in &held {
        let component = component.as_ref().map_or("this node".to_owned(), ToString::to_string);
        writeln!(scene.out, "{component:<30}  {:<9}  since {}  {}", kind.as_str(), held.at, held.payload)?;
    }
    Ok(exit::SOUND)
}
