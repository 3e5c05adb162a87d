//! Going through a journal, part by part, and keeping what was found.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use super::{
    Finding, MOST_FINDINGS, Mismatch, Report, VerifyOptions,
    bundle::{Bundle, Checked},
    inventory::Inventory,
    rewritten, torn, unsigned,
};
use crate::{
    checkpoint::{Checkpoint, SignedCheckpoint},
    erasure::Erasure,
    frame::Frame,
    home::{Damage, DiskError, Home},
    merkle::{Hash, Subtrees, range_hash, root_of},
    reader::{ReadError, Reader},
    tile::{HEIGHT, Kind, Tile, WIDTH, to_bytes},
    tree::CHECKPOINT,
    wal::{ScanError, scan},
};

/// Bundles between two reports of progress.
const PROGRESS_STEP: u64 = 64;

/// A verification under way.
pub(super) struct Audit<'a> {
    pub(super) home: &'a Home,
    pub(super) reader: &'a Reader,
    options: &'a VerifyOptions<'a>,
    live: bool,
    inventory: Inventory,
    pub(super) signed: Option<SignedCheckpoint>,
    checkpoint: Checkpoint,
    /// What the write-ahead log holds; the first has this index.
    logged: (u64, Vec<Frame>),
    /// Hashes over full bundles.
    roots: Vec<Hash>,
    /// Hashes of the leaves after them.
    leaves: Vec<Hash>,
    /// Records that change keys: index and payload.
    pub(super) rotations: Vec<(u64, Vec<u8>)>,
    erasures: BTreeMap<u64, u64>,
    erased: BTreeSet<u64>,
    mismatches: Vec<Mismatch>,
    pub(super) findings: Vec<Damage>,
    pub(super) witnesses: Vec<String>,
    pub(super) witnessed: u64,
}

impl<'a> Audit<'a> {
    pub(super) fn begin(
        reader: &'a Reader,
        options: &'a VerifyOptions<'a>,
        live: bool,
    ) -> Result<Self, ReadError> {
        let home = &reader.home;
        let mut findings = Vec::new();
        // First the checkpoint, then what it covers: a writer only ever adds.
        let signed = match SignedCheckpoint::parse(&home.read(CHECKPOINT)?) {
            Ok(signed) => Some(signed),
            Err(error) => {
                findings.push(Damage::new(CHECKPOINT, error.to_string()));
                None
            }
        };
        let mut logged = (0, Vec::new());
        match read_log(home) {
            Ok((first, frames, end)) => {
                logged = (first, frames);
                findings.extend(end.filter(|_| !live));
            }
            Err(ScanError::Damaged(damage)) => findings.push(damage),
            Err(ScanError::Disk(error)) => return Err(error.into()),
        }
        let inventory = Inventory::take(home)?;
        findings.extend(inventory.strangers.iter().cloned());
        let checkpoint = match &signed {
            Some(signed) => signed.checkpoint().clone(),
            None => Checkpoint { origin: String::new(), size: 0, root: Hash::empty() },
        };
        if logged.1.is_empty() {
            logged.0 = checkpoint.size;
        }
        let end = logged.0 + logged.1.len() as u64;
        if signed.is_some() && !live && (end < checkpoint.size || checkpoint.size < logged.0) {
            let what =
                format!("it holds records {} to {end}, the checkpoint covers {}", logged.0, checkpoint.size);
            findings.push(Damage::new("wal", what));
        }
        if checkpoint.size < logged.0 || end < checkpoint.size {
            // Nothing that follows on from the checkpoint.
            logged = (checkpoint.size, Vec::new());
        }
        Ok(Self {
            home,
            reader,
            options,
            live,
            inventory,
            signed,
            checkpoint,
            logged,
            roots: Vec::new(),
            leaves: Vec::new(),
            rotations: Vec::new(),
            erasures: BTreeMap::new(),
            erased: BTreeSet::new(),
            mismatches: Vec::new(),
            findings,
            witnesses: Vec::new(),
            witnessed: 0,
        })
    }

    /// Records that are known: covered by the checkpoint or in the write-ahead log.
    fn total(&self) -> u64 {
        self.checkpoint.size.max(self.logged.0 + self.logged.1.len() as u64)
    }

    pub(super) fn bundle(&self, index: u64) -> Bundle<'_> {
        Bundle {
            home: self.home,
            inventory: &self.inventory,
            index,
            covered: self.checkpoint.size.saturating_sub(index * WIDTH).min(WIDTH),
            logged: (self.logged.0, &self.logged.1),
            live: self.live,
        }
    }

    /// Checks every bundle.
    pub(super) fn bundles(&mut self) -> Result<(), DiskError> {
        let bundles = self.total().div_ceil(WIDTH);
        for checked in self.check_bundles(bundles)? {
            self.take(checked);
        }
        for kind in [Kind::Entries, Kind::Level(0), Kind::Payload] {
            self.nothing_beyond(kind, bundles);
        }
        Ok(())
    }

    pub(super) fn check_bundles(&self, bundles: u64) -> Result<Vec<Checked>, DiskError> {
        let threads = self.options.threads.max(1) as u64;
        let done = AtomicU64::new(0);
        let check = |range: std::ops::Range<u64>| -> Result<Vec<Checked>, DiskError> {
            let mut results = Vec::with_capacity((range.end - range.start) as usize);
            for index in range {
                results.push(self.bundle(index).check()?);
                let count = done.fetch_add(1, Ordering::Relaxed) + 1;
                if count.is_multiple_of(PROGRESS_STEP) {
                    (self.options.progress)(count * WIDTH, bundles * WIDTH);
                }
            }
            Ok(results)
        };
        let part = bundles.div_ceil(threads).max(1);
        let mut results = Vec::with_capacity(bundles as usize);
        thread::scope(|scope| {
            let check = &check;
            let parts: Vec<_> = (0..threads)
                .map(|n| scope.spawn(move || check((n * part).min(bundles)..((n + 1) * part).min(bundles))))
                .collect();
            for part in parts {
                results.extend(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(results)
        })
    }

    fn take(&mut self, checked: Checked) {
        let Checked { leaves, root, rotations, erasures, erased, mismatches, findings } = checked;
        self.leaves.extend(leaves);
        self.roots.extend(root);
        self.erased.extend(erased);
        self.mismatches.extend(mismatches.into_iter().take(MOST_FINDINGS));
        self.findings.extend(findings);
        self.rotations.extend(rotations);
        for (index, payload) in erasures {
            match Erasure::parse(&payload) {
                Some(erasure) => {
                    self.erasures.insert(erasure.index, index);
                }
                None => self.findings.push(Damage::at("payload", index, "not an erasure's payload")),
            }
        }
    }

    fn nothing_beyond(&mut self, kind: Kind, index: u64) {
        if !self.live {
            let what = "it holds records that the log does not";
            let beyond = self.inventory.beyond(kind, index);
            self.findings.extend(beyond.map(|tile| Damage::new(tile.path().to_string_lossy(), what)));
        }
    }

    /// Compares every tile above level 0 with what the one below says.
    pub(super) fn levels(&mut self) -> Result<(), DiskError> {
        let mut below = self.roots.clone();
        let mut level = 1;
        while !below.is_empty() || level <= self.inventory.top_level() {
            for (index, hashes) in (0..).zip(below.chunks(WIDTH as usize)) {
                self.compare_tile(
                    Tile { kind: Kind::Level(level), index, width: hashes.len() as u64 },
                    hashes,
                )?;
            }
            self.nothing_beyond(Kind::Level(level), below.len().div_ceil(WIDTH as usize) as u64);
            below = below.chunks_exact(WIDTH as usize).map(root_of).collect();
            level += 1;
        }
        Ok(())
    }

    fn compare_tile(&mut self, tile: Tile, hashes: &[Hash]) -> Result<(), DiskError> {
        let forms = self.inventory.forms(tile.kind, tile.index);
        let covered =
            (self.checkpoint.size >> (HEIGHT * tile.level())).saturating_sub(tile.index * WIDTH).min(WIDTH);
        let expected = to_bytes(hashes);
        let widths = forms.partial.iter().copied().chain(forms.full.then_some(WIDTH));
        let mut widest = 0;
        for width in widths {
            widest = widest.max(width);
            let name = Tile { width, ..tile }.path().to_string_lossy().into_owned();
            let bytes = self.home.read(&name)?;
            if bytes.len() != width as usize * Hash::LEN {
                self.findings.push(Damage::new(name, "not the length of its width"));
            } else if width > tile.width && !self.live {
                self.findings.push(Damage::new(name, "it holds records that the log does not"));
            } else if bytes.iter().zip(&expected).any(|(found, built)| found != built) {
                self.mismatches.push(Mismatch { tile: name, entry: None });
            }
        }
        if widest < covered {
            let name = Tile { width: covered, ..tile }.path().to_string_lossy().into_owned();
            self.findings.push(Damage::new(name, "missing"));
        }
        Ok(())
    }

    /// The root that the entries have at `size`.
    fn root_at(&self, size: u64) -> Hash {
        let Ok(root) = range_hash(&mut Built { roots: &self.roots, leaves: &self.leaves }, 0, size);
        root
    }

    /// The root at `size`, if that is a prefix whose leaves are at hand.
    pub(super) fn root_of_prefix(&self, size: u64) -> Option<Hash> {
        if size > self.checkpoint.size {
            return None;
        }
        let whole = size - size % WIDTH;
        if whole == self.roots.len() as u64 * WIDTH || size == whole {
            return Some(self.root_at(size));
        }
        // Within a full bundle: its tile has been compared with the entries.
        self.reader.root(size).ok()
    }

    /// Compares the root with the one signed, which tells what the mismatches mean.
    pub(super) fn root(&mut self) -> Result<(), DiskError> {
        let known = self.roots.len() as u64 * WIDTH + self.leaves.len() as u64;
        let mismatches = std::mem::take(&mut self.mismatches);
        if known < self.checkpoint.size {
            // Entries are missing, which has been found: nothing can be said of the root.
            return Ok(());
        }
        if self.signed.is_some() && self.root_at(self.checkpoint.size) == self.checkpoint.root {
            let what = "not what the entries hash to";
            self.findings.extend(mismatches.into_iter().map(|m| match m.entry {
                Some((index, _)) => Damage::at(m.tile, index, what),
                None => Damage::new(m.tile, what),
            }));
            return Ok(());
        }
        let what = "the entry is not what its hash says";
        let changed: Vec<_> = mismatches
            .into_iter()
            .filter_map(|m| m.entry.map(|(index, file)| Damage::at(file, index, what)))
            .collect();
        if changed.is_empty() && self.signed.is_some() && self.findings.is_empty() {
            self.findings.push(rewritten(self.checkpoint.size, self.root_at(self.checkpoint.size)));
        }
        self.findings.extend(changed);
        Ok(())
    }

    /// Checks keys and signatures.
    pub(super) fn keys(&mut self) -> Result<(), ReadError> {
        if let Some(key) = &self.options.key
            && !self.reader.identity().keys().any(|(_, known)| known == key)
        {
            self.findings.push(unsigned(self.reader.identity(), key));
        }
        super::keys::check(self, self.live)
    }

    /// Compares what was erased with what records say of it.
    pub(super) fn erasures(&mut self) {
        let name = |index: &u64| {
            Tile { kind: Kind::Payload, index: index / WIDTH, width: WIDTH }
                .path()
                .to_string_lossy()
                .into_owned()
        };
        for index in &self.erased {
            if !self.erasures.contains_key(index) {
                self.findings.push(Damage::at(
                    name(index),
                    *index,
                    "the payload is gone, and no record says why",
                ));
            }
        }
        for (index, said) in &self.erasures {
            if !self.erased.contains(index) && !self.live {
                let what = format!("record {said} says that the payload was erased, and it is still there");
                self.findings.push(Damage::at(name(index), *index, what));
            }
        }
    }

    pub(super) fn report(self) -> Report {
        let mut findings: Vec<Finding> = self.findings.iter().cloned().map(Into::into).collect();
        findings.sort();
        findings.dedup();
        let more = findings.len().saturating_sub(MOST_FINDINGS) as u64;
        findings.truncate(MOST_FINDINGS);
        let identity = self.reader.identity();
        let size = self.checkpoint.size;
        Report {
            origin: identity.origin().to_owned(),
            key: identity.key_at(size).to_string(),
            size,
            root: self.checkpoint.root.to_string(),
            beyond: self.total() - size,
            erased: self.erased.len() as u64,
            rotations: identity.rotations().iter().filter(|(index, _)| *index < size).count() as u64,
            witnesses: self.witnesses,
            witnessed: self.witnessed,
            live: self.live,
            findings,
            more,
        }
    }
}

#[cfg(test)]
impl<'a> Audit<'a> {
    /// An audit that knows the same entries and has found nothing yet.
    pub(super) fn like(&self) -> Self {
        Self {
            inventory: self.inventory.clone(),
            signed: self.signed.clone(),
            checkpoint: self.checkpoint.clone(),
            logged: self.logged.clone(),
            roots: self.roots.clone(),
            leaves: self.leaves.clone(),
            rotations: Vec::new(),
            erasures: BTreeMap::new(),
            erased: BTreeSet::new(),
            mismatches: Vec::new(),
            findings: Vec::new(),
            witnesses: Vec::new(),
            ..*self
        }
    }

    pub(super) fn has_found(&self) -> bool {
        !self.findings.is_empty() || !self.mismatches.is_empty()
    }

    /// True if these are the records of the write-ahead log.
    pub(super) fn logs(&self, first: u64, frames: &[Frame]) -> bool {
        (first, frames) == (self.logged.0, &self.logged.1)
    }
}

/// What the write-ahead log holds: the first index, the records, and its torn end.
pub(super) fn read_log(home: &Home) -> Result<(u64, Vec<Frame>, Option<Damage>), ScanError> {
    let mut frames = Vec::new();
    let scanned = scan(home, |_, frame| {
        frames.push(frame);
        Ok(())
    })?;
    Ok(match scanned {
        Some(scanned) => (scanned.first(), frames, scanned.torn.as_ref().map(torn)),
        None => (0, frames, None),
    })
}

/// The tree as it was built from the entries.
struct Built<'a> {
    roots: &'a [Hash],
    leaves: &'a [Hash],
}

impl Subtrees for Built<'_> {
    type Error = std::convert::Infallible;

    fn subtree(&mut self, height: u32, index: u64) -> Result<Hash, Self::Error> {
        let from = index << height;
        let below = self.roots.len() as u64 * WIDTH;
        let hashes = match height.checked_sub(HEIGHT) {
            Some(above) => {
                let from = (index << above) as usize;
                &self.roots[from..from + (1 << above)]
            }
            None => {
                let from = (from - below) as usize;
                &self.leaves[from..from + (1 << height)]
            }
        };
        Ok(root_of(hashes))
    }
}
