//! Showing records.

use std::{thread::sleep, time::Duration};

use seawall_journal::{Entry, Reader};
use serde_json::{Value, json};

use super::{
    LogError, Scene, Target,
    args::{ExportArgs, ExportFormat, ShowArgs, TailArgs},
    exit,
};

/// How often `tail -f` looks for more.
const LOOK: Duration = Duration::from_millis(200);

/// The longest payload on a line of `tail`, in characters.
const PAYLOAD_WIDTH: usize = 100;

pub(super) fn open(target: &Target, scene: &Scene<'_>) -> Result<Reader, LogError> {
    Ok(Reader::open(scene.disk.clone(), target.dir())?)
}

fn size(reader: &Reader) -> Result<u64, LogError> {
    Ok(reader.checkpoint()?.checkpoint().size)
}

/// A record as JSON; its payload is `null` if it was erased.
pub(super) fn to_json(entry: &Entry) -> Value {
    let envelope = &entry.envelope;
    json!({
        "index": entry.index,
        "kind": envelope.kind,
        "component": envelope.component,
        "at": envelope.at.0,
        "time": envelope.at.to_string(),
        "commit": envelope.commit.to_string(),
        "payload": payload(entry),
        "erased": entry.salted.is_none(),
    })
}

/// The payload; `null` if it was erased.
pub(super) fn payload(entry: &Entry) -> Value {
    entry.payload().and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
}

fn line(entry: &Entry) -> String {
    let envelope = &entry.envelope;
    let component = envelope.component.as_ref().map_or("-".to_owned(), ToString::to_string);
    let text = match entry.payload() {
        None => "(erased)".to_owned(),
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    };
    let mut shown: String = text.chars().take(PAYLOAD_WIDTH).collect();
    if text.chars().count() > PAYLOAD_WIDTH {
        shown.push('…');
    }
    format!("{:>8}  {}  {:<14}  {:<28}  {shown}", entry.index, envelope.at, envelope.kind.as_str(), component)
}

pub(super) fn tail(args: &TailArgs, target: &Target, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    let mut reader = open(target, scene)?;
    let mut size = size(&reader)?;
    let mut next = size.saturating_sub(args.lines);
    loop {
        while next < size {
            let entry = reader.entry(next, size)?;
            match args.json {
                true => writeln!(scene.out, "{}", to_json(&entry))?,
                false => writeln!(scene.out, "{}", line(&entry))?,
            }
            next += 1;
        }
        if !args.follow {
            return Ok(exit::SOUND);
        }
        scene.out.flush()?;
        sleep(LOOK);
        size = self::size(&reader)?;
    }
}

pub(super) fn show(args: &ShowArgs, target: &Target, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    let mut reader = open(target, scene)?;
    let size = size(&reader)?;
    let entry = reader.entry(args.index, size)?;
    if args.json {
        writeln!(scene.out, "{:#}", to_json(&entry))?;
        return Ok(exit::SOUND);
    }
    let envelope = &entry.envelope;
    let component = envelope.component.as_ref().map_or("this node".to_owned(), ToString::to_string);
    writeln!(scene.out, "record     {} of {size}", entry.index)?;
    writeln!(scene.out, "kind       {}", envelope.kind)?;
    writeln!(scene.out, "component  {component}")?;
    writeln!(scene.out, "time       {}", envelope.at)?;
    writeln!(scene.out, "commit     {}", envelope.commit)?;
    match entry.salted {
        Some(_) => writeln!(scene.out, "payload    {:#}", payload(&entry))?,
        None => writeln!(scene.out, "payload    (erased)")?,
    }
    Ok(exit::SOUND)
}

pub(super) fn export(args: &ExportArgs, target: &Target, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    let mut reader = open(target, scene)?;
    let size = size(&reader)?;
    for index in args.from..args.to.unwrap_or(size).min(size) {
        let entry = reader.entry(index, size)?;
        match args.format {
            ExportFormat::Jsonl => writeln!(scene.out, "{}", to_json(&entry))?,
        }
    }
    Ok(exit::SOUND)
}
