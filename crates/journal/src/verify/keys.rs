//! Checking keys and signatures: the log's, those before, and the witnesses'.

use super::audit::Audit;
use crate::{
    checkpoint::SignedCheckpoint,
    home::{Damage, DiskError},
    identity::Rotation,
    note::{NoteError, SigningKey, VerifierKey},
    reader::ReadError,
    store::{INSTANCE, KEY, NEXT_KEY, ORIGIN, WITNESSES, is_instance, parse_witnesses},
    tree::{CHECKPOINT, WITNESSED},
};

pub(super) fn check(audit: &mut Audit<'_>, live: bool) -> Result<(), ReadError> {
    follow_rotations(audit, live);
    check_checkpoint(audit);
    check_witnesses(audit)?;
    check_private_key(audit)?;
    if let Some(bytes) = audit.home.read_if_there(INSTANCE)?
        && !is_instance(&bytes)
    {
        audit.findings.push(Damage::new(INSTANCE, "does not decode"));
    }
    Ok(())
}

/// Follows the key from the first one on through the records that change it.
fn follow_rotations(audit: &mut Audit<'_>, live: bool) {
    let identity = audit.reader.identity();
    let mut keys = identity.keys().map(|(_, key)| key);
    let Some(mut current) = keys.next().cloned() else { return };
    let mut told = identity.rotations().iter();
    audit.rotations.sort();
    for (index, payload) in &audit.rotations {
        match Rotation::verified(payload, &current) {
            None => {
                let what = "the new key is not signed by the one before";
                audit.findings.push(Damage::at("payload", *index, what));
            }
            Some(next) => {
                if told.next() != Some(&(*index, next.clone())) {
                    let what = "the record changes the key, and the list of keys does not say so";
                    audit.findings.push(Damage::at(ORIGIN, *index, what));
                }
                current = next;
            }
        }
    }
    if let (Some((index, _)), false) = (told.next(), live) {
        audit.findings.push(Damage::at(ORIGIN, *index, "a key that no record brings in"));
    }
}

fn check_checkpoint(audit: &mut Audit<'_>) {
    let Some(signed) = &audit.signed else { return };
    let identity = audit.reader.identity();
    if signed.checkpoint().origin != identity.origin() {
        audit.findings.push(Damage::new(CHECKPOINT, "it is another log's"));
    } else if let Err(error) = signed.verify(identity.key_at(signed.checkpoint().size)) {
        audit.findings.push(Damage::new(CHECKPOINT, error.to_string()));
    }
}

fn check_witnesses(audit: &mut Audit<'_>) -> Result<(), ReadError> {
    let witnesses = match audit.home.read_if_there(WITNESSES)? {
        None => Vec::new(),
        Some(bytes) => parse_witnesses(&bytes).unwrap_or_else(|| {
            audit.findings.push(Damage::new(WITNESSES, "does not decode"));
            Vec::new()
        }),
    };
    let identity = audit.reader.identity();
    if let Some(signed) = &audit.signed
        && let Some(damage) = strange_signature(signed, identity.key_at(signed.checkpoint().size), &witnesses)
    {
        audit.findings.push(Damage::new(CHECKPOINT, damage));
    }
    let Some(bytes) = audit.home.read_if_there(WITNESSED)? else { return Ok(()) };
    let signed = match SignedCheckpoint::parse(&bytes) {
        Ok(signed) => signed,
        Err(error) => {
            audit.findings.push(Damage::new(WITNESSED, error.to_string()));
            return Ok(());
        }
    };
    let size = signed.checkpoint().size;
    let trouble = if signed.checkpoint().origin != identity.origin() {
        Some("it is another log's".to_owned())
    } else if let Err(error) = signed.verify(identity.key_at(size)) {
        Some(error.to_string())
    } else if audit.root_of_prefix(size) != Some(signed.checkpoint().root) {
        Some("it is not of this tree".to_owned())
    } else {
        strange_signature(&signed, identity.key_at(size), &witnesses)
    };
    match trouble {
        Some(what) => audit.findings.push(Damage::new(WITNESSED, what)),
        None => {
            audit.witnessed = size;
            let signers = witnesses.iter().filter(|key| signed.verify(key).is_ok());
            audit.witnesses = signers.map(|key| key.name().to_owned()).collect();
        }
    }
    Ok(())
}

/// What is wrong with the signatures beside the log's own. Only those of witnesses that were known when
/// they were taken are there, so one that does not verify was changed since.
fn strange_signature(
    signed: &SignedCheckpoint,
    own: &VerifierKey,
    witnesses: &[VerifierKey],
) -> Option<String> {
    let known = witnesses.iter().filter(|key| match signed.verify(key) {
        Ok(()) => true,
        Err(NoteError::NotSigned(_) | NoteError::Forged(_) | NoteError::Malformed) => false,
    });
    let expected = signed.note().signatures().len();
    let good = known.count() + usize::from(signed.verify(own).is_ok());
    (good != expected)
        .then(|| format!("{good} of its {expected} signatures are by the log or a known witness"))
}

/// Checks the private key, where this process may read it.
fn check_private_key(audit: &mut Audit<'_>) -> Result<(), DiskError> {
    for (file, current) in [(KEY, true), (NEXT_KEY, false)] {
        let bytes = match audit.home.read_if_there(file) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => continue,
            Err(error) if error.source.kind() == std::io::ErrorKind::PermissionDenied => continue,
            Err(error) => return Err(error),
        };
        let key = std::str::from_utf8(&bytes).ok().and_then(SigningKey::parse);
        let right = key.is_some_and(|key| !current || key.verifier() == audit.reader.identity().current());
        if !right {
            audit.findings.push(Damage::new(file, "not the key that the log is signed with"));
        }
    }
    Ok(())
}
