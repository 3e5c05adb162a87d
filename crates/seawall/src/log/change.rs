//! Changing the log: what an operator may do to it.

use std::fs;

use seawall_journal::{Answer, Request, ask};
use serde_json::json;

use super::{
    LogError, Scene, Target,
    args::{BackupArgs, CosignArgs, EraseArgs, KeyArgs, RestoreArgs},
    exit, show, verify,
};

/// Has the change made, by the running writer if there is one.
fn change(request: &Request, target: &Target, scene: &mut Scene<'_>) -> Result<Answer, LogError> {
    let id = u64::from_be_bytes(scene.entropy.bytes());
    let options = target.store_options()?;
    match ask(scene.disk.clone(), options, request, id, scene.now, &mut scene.entropy)
        .map_err(LogError::Ask)?
    {
        Answer::Refused { code, cause } => Err(LogError::Refused { code, cause }),
        answer @ (Answer::Erased(_) | Answer::Rotated(_) | Answer::Cosigned(_)) => Ok(answer),
    }
}

fn write(answer: &Answer, json: bool, text: String, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    match json {
        true => writeln!(scene.out, "{}", json!(answer))?,
        false => writeln!(scene.out, "{text}")?,
    }
    Ok(exit::SOUND)
}

pub(super) fn erase(args: &EraseArgs, target: &Target, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    let request = Request::Erase { index: args.index, reason: args.reason.clone() };
    let answer = change(&request, target, scene)?;
    let said = match &answer {
        Answer::Erased(said) => *said,
        Answer::Rotated(_) | Answer::Cosigned(_) | Answer::Refused { .. } => return Ok(exit::FOUND),
    };
    let text = format!("the payload of record {} is erased; record {said} says so", args.index);
    write(&answer, args.json, text, scene)
}

pub(super) fn key(args: &KeyArgs, target: &Target, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    if args.rotate {
        return match change(&Request::RotateKey, target, scene)? {
            Answer::Rotated(key) => {
                writeln!(scene.out, "{key}")?;
                Ok(exit::SOUND)
            }
            Answer::Erased(_) | Answer::Cosigned(_) | Answer::Refused { .. } => Ok(exit::FOUND),
        };
    }
    let reader = show::open(target, scene)?;
    let identity = reader.identity();
    if args.json {
        let keys: Vec<_> =
            identity.keys().map(|(from, key)| json!({ "from": from, "key": key.to_string() })).collect();
        writeln!(scene.out, "{:#}", json!(keys))?;
    } else {
        writeln!(scene.out, "{}", identity.current())?;
    }
    Ok(exit::SOUND)
}

pub(super) fn cosign(args: &CosignArgs, target: &Target, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    let path = &args.file;
    let note = fs::read_to_string(path).map_err(|cause| LogError::File { path: path.clone(), cause })?;
    let answer = change(&Request::Cosign { note }, target, scene)?;
    let count = match &answer {
        Answer::Cosigned(count) => *count,
        Answer::Erased(_) | Answer::Rotated(_) | Answer::Refused { .. } => return Ok(exit::FOUND),
    };
    write(&answer, args.json, format!("the checkpoint is cosigned by {count} witnesses"), scene)
}

pub(super) fn backup(args: &BackupArgs, target: &Target, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    let signed = verify::with_progress(scene, None, |options| {
        seawall_journal::backup(&scene.disk, target.dir(), &args.dest, options)
    })
    .map_err(LogError::Backup)?;
    let (size, dest) = (signed.checkpoint().size, args.dest.display());
    match args.json {
        true => writeln!(scene.out, "{}", json!({ "size": size, "checkpoint": signed.to_string() }))?,
        false => writeln!(scene.out, "{size} records are in {dest}, verified; the private key is not")?,
    }
    Ok(exit::SOUND)
}

pub(super) fn restore(args: &RestoreArgs, target: &Target, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    let options = target.store_options()?;
    let mut entropy = scene.entropy.fork();
    let (origin, cited) = verify::with_progress(scene, None, |verify| {
        seawall_journal::restore(&scene.disk, &args.from, options, scene.now, &mut entropy, verify)
    })
    .map_err(LogError::Backup)?;
    let cited = cited.checkpoint();
    match args.json {
        true => {
            let old = json!({ "origin": cited.origin, "size": cited.size });
            writeln!(scene.out, "{}", json!({ "origin": origin, "restored": old }))?;
        }
        false => {
            writeln!(
                scene.out,
                "the new log {origin} begins with the last checkpoint of {} ({} records)",
                cited.origin, cited.size
            )?;
        }
    }
    Ok(exit::SOUND)
}
