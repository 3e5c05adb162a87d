//! Proofs that verify offline.

use std::fs;

use seawall_journal::Proof;
use serde_json::{Value, json};

use super::{
    LogError, Scene, Target,
    args::{ProveArgs, VerifyProofArgs},
    exit, parse_key, show,
};

pub(super) fn prove(args: &ProveArgs, target: &Target, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    let proof = show::open(target, scene)?.prove(args.index, args.disclose)?.to_string();
    match &args.output {
        None => scene.out.write_all(proof.as_bytes())?,
        Some(path) => {
            fs::write(path, proof).map_err(|cause| LogError::File { path: path.clone(), cause })?;
            writeln!(scene.out, "wrote {}", path.display())?;
        }
    }
    Ok(exit::SOUND)
}

pub(super) fn verify_proof(args: &VerifyProofArgs, scene: &mut Scene<'_>) -> Result<u8, LogError> {
    let key = parse_key(&args.key)?;
    let path = &args.file;
    let bytes = fs::read(path).map_err(|cause| LogError::File { path: path.clone(), cause })?;
    let proof = Proof::parse(&bytes)?;
    let proved = proof.verify(&key)?;
    let (envelope, checkpoint) = (&proved.envelope, proof.checkpoint.checkpoint());
    let payload: Option<Value> = proved.payload.as_deref().and_then(|text| serde_json::from_str(text).ok());
    if args.json {
        let value = json!({
            "index": proof.index,
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "kind": envelope.kind,
            "component": envelope.component,
            "at": envelope.at.0,
            "payload": payload,
        });
        writeln!(scene.out, "{value:#}")?;
        return Ok(exit::SOUND);
    }
    let component = envelope.component.as_ref().map_or("the node".to_owned(), ToString::to_string);
    writeln!(scene.out, "proved: record {} of {}", proof.index, checkpoint.origin)?;
    writeln!(scene.out, "kind       {}\ncomponent  {component}\ntime       {}", envelope.kind, envelope.at)?;
    match payload {
        Some(payload) => writeln!(scene.out, "payload    {payload}")?,
        None => writeln!(scene.out, "payload    not disclosed")?,
    }
    Ok(exit::SOUND)
}
