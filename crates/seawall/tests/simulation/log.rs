//! The journal that a run leaves behind.

use std::sync::Arc;

use seawall_journal::{Entry, ReadError, Reader, SignedCheckpoint, VerifyOptions, verify};
use seawall_model::RecordKind;
use seawall_runtime::disk::{Disk, sim::SimDisk};

use super::world::JOURNAL;

/// Every record, oldest first.
fn entries(disk: &Arc<dyn Disk>) -> Result<Vec<Entry>, ReadError> {
    let mut reader = Reader::open(disk.clone(), JOURNAL)?;
    let size = reader.checkpoint()?.checkpoint().size;
    (0..size).map(|index| reader.entry(index, size)).collect()
}

/// Every record in words.
pub(crate) fn told(disk: &SimDisk) -> Vec<String> {
    let entries = entries(&(Arc::new(disk.clone()) as Arc<dyn Disk>)).unwrap_or_default();
    let line = |e: Entry| {
        let payload = e.payload().map(|p| String::from_utf8_lossy(p).into_owned());
        let component = e.envelope.component.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{} {} {component} {}", e.envelope.at, e.envelope.kind, payload.unwrap_or_default())
    };
    entries.into_iter().map(line).collect()
}

/// What is wrong with it: with what lies there, with how it ends, or with the checkpoints that were shown
/// while it was written.
pub(crate) fn check(disk: &SimDisk, shown: &[String]) -> Vec<String> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    judge(&disk, shown).unwrap_or_else(|e| vec![format!("the journal cannot be read: {e}")])
}

fn judge(disk: &Arc<dyn Disk>, shown: &[String]) -> Result<Vec<String>, ReadError> {
    let report =
        verify(disk.clone(), JOURNAL, &VerifyOptions { key: None, threads: 1, progress: &|_, _| {} })?;
    let mut wrong: Vec<_> =
        report.findings.iter().map(|f| format!("the journal is damaged: {f:?}")).collect();
    let reader = Reader::open(disk.clone(), JOURNAL)?;
    for note in shown {
        let shown = SignedCheckpoint::parse(note.as_bytes())?;
        let shown = shown.checkpoint();
        if shown.size > report.size || reader.root(shown.size)? != shown.root {
            wrong.push(format!("the journal does not go on from the checkpoint of {} records", shown.size));
        }
    }
    let last = entries(disk)?.pop().map(|e| e.envelope.kind);
    if last != Some(RecordKind::Stop) {
        wrong.push(format!("the journal ends with {last:?}"));
    }
    Ok(wrong)
}
