//! Checking one bundle of 256 records: its entries, their hashes and their payloads.

use seawall_model::RecordKind;

use super::{
    Mismatch,
    inventory::{Forms, Inventory},
};
use crate::{
    envelope::{RawEnvelope, SALT},
    frame::{Frame, LEAF_PREFIX, take_leaf, take_payload},
    home::{Damage, DiskError, Home},
    merkle::{Hash, root_of},
    tile::{Kind, Tile, WIDTH, from_bytes, to_bytes},
};

/// A bundle to be checked, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bundle<'a> {
    pub(super) home: &'a Home,
    pub(super) inventory: &'a Inventory,
    pub(super) index: u64,
    /// Records of it that the checkpoint covers.
    pub(super) covered: u64,
    /// What the write-ahead log holds of it; the first has this index.
    pub(super) logged: (u64, &'a [Frame]),
    /// True if it is being written: it may hold more than is known.
    pub(super) live: bool,
}

/// What a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Checked {
    /// The hashes of its leaves, if it is not full.
    pub(super) leaves: Vec<Hash>,
    /// The hash over it, if it is full.
    pub(super) root: Option<Hash>,
    /// Payloads of records that change the key.
    pub(super) rotations: Vec<(u64, Vec<u8>)>,
    /// Payloads of records that say what was erased.
    pub(super) erasures: Vec<(u64, Vec<u8>)>,
    /// Records whose payloads are erased.
    pub(super) erased: Vec<u64>,
    pub(super) mismatches: Vec<Mismatch>,
    pub(super) findings: Vec<Damage>,
}

impl Bundle<'_> {
    fn tile(&self, kind: Kind, width: u64) -> Tile {
        Tile { kind, index: self.index, width }
    }

    fn name(&self, kind: Kind, width: u64) -> String {
        self.tile(kind, width).path().to_string_lossy().into_owned()
    }

    /// The index in the log of the record at `position`.
    fn at(&self, position: usize) -> u64 {
        self.index * WIDTH + position as u64
    }

    /// The frame of the record at `position`, if the write-ahead log holds it.
    fn frame(&self, position: usize) -> Option<&Frame> {
        let offset = self.at(position).checked_sub(self.logged.0)?;
        self.logged.1.get(usize::try_from(offset).ok()?)
    }

    /// Records that are known: those covered, and those that the write-ahead log goes on with.
    fn width(&self) -> u64 {
        let end = self.logged.0 + self.logged.1.len() as u64;
        end.saturating_sub(self.index * WIDTH).clamp(self.covered, WIDTH.max(self.covered))
    }

    pub(super) fn check(&self) -> Result<Checked, DiskError> {
        let mut checked = Checked::default();
        let (file, bytes) = self.entries(&mut checked)?;
        let leaves = self.leaves(&file, &bytes, &mut checked);
        let tile = self.forms(Kind::Level(0));
        let hashes: Vec<Hash> = match &leaves {
            Some(leaves) => leaves.iter().map(|leaf| Hash::leaf(leaf)).collect(),
            // The entries do not decode, which is found: go on with what the tile says of them.
            None => self.hashes_of_tile(&tile)?,
        };
        self.compare_hashes(&hashes, &tile, &file, &mut checked)?;
        if let Some(leaves) = &leaves {
            self.compare_entries(leaves, &file, &bytes, &mut checked)?;
            self.check_records(leaves, &hashes, &file, &mut checked)?;
        }
        if hashes.len() as u64 == WIDTH {
            checked.root = Some(root_of(&hashes));
        } else {
            checked.leaves = hashes;
        }
        Ok(checked)
    }

    fn forms(&self, kind: Kind) -> Forms {
        self.inventory.forms(kind, self.index)
    }

    /// The entry bundle that holds what the checkpoint covers: its name and bytes.
    fn entries(&self, checked: &mut Checked) -> Result<(String, Vec<u8>), DiskError> {
        let forms = self.forms(Kind::Entries);
        let widest = if forms.full { Some(WIDTH) } else { forms.partial.last().copied() };
        let exact = forms.partial.iter().copied().find(|width| *width == self.covered);
        match exact.or(widest.filter(|width| *width >= self.covered)) {
            Some(width) if self.covered > 0 => {
                let file = self.name(Kind::Entries, width);
                let bytes = self.home.read(&file)?;
                Ok((file, bytes))
            }
            _ => {
                let file = self.name(Kind::Entries, self.covered.max(1));
                if self.covered > 0 {
                    checked.findings.push(Damage::new(&file, "missing"));
                }
                Ok((file, Vec::new()))
            }
        }
    }

    /// The leaves: those covered from the bundle, the rest from the write-ahead log.
    fn leaves<'b>(&'b self, file: &str, mut bytes: &'b [u8], checked: &mut Checked) -> Option<Vec<&'b [u8]>> {
        let mut leaves = Vec::with_capacity(WIDTH as usize);
        for position in 0..self.covered as usize {
            let Some(leaf) = take_leaf(&mut bytes) else {
                if !checked.findings.iter().any(|damage| damage.file == file) {
                    checked.findings.push(Damage::at(file, self.at(position), "the bundle ends before it"));
                }
                return None;
            };
            leaves.push(leaf);
        }
        for position in leaves.len()..self.width() as usize {
            leaves.extend(self.frame(position).map(Frame::leaf));
        }
        Some(leaves)
    }

    fn hashes_of_tile(&self, forms: &Forms) -> Result<Vec<Hash>, DiskError> {
        let width = if forms.full { WIDTH } else { forms.partial.last().copied().unwrap_or(0) };
        let bytes = match width {
            0 => Vec::new(),
            width => self.home.read(self.tile(Kind::Level(0), width).path())?,
        };
        let mut hashes = from_bytes(&bytes, width).unwrap_or_default();
        hashes.truncate(self.covered as usize);
        Ok(hashes)
    }

    /// Compares every form of the tile of hashes with the hashes.
    fn compare_hashes(
        &self,
        hashes: &[Hash],
        forms: &Forms,
        file: &str,
        checked: &mut Checked,
    ) -> Result<(), DiskError> {
        let expected = to_bytes(hashes);
        let mut wide_enough = self.covered == 0;
        for width in forms.widths() {
            wide_enough |= width >= self.covered;
            let name = self.name(Kind::Level(0), width);
            let bytes = self.home.read(&name)?;
            if !self.has_length(&name, width, bytes.len() == width as usize * Hash::LEN, checked) {
                continue;
            }
            for (position, (found, hash)) in
                bytes.chunks(Hash::LEN).zip(expected.chunks(Hash::LEN)).enumerate()
            {
                if found != hash {
                    let entry = Some((self.at(position), file.to_owned()));
                    checked.mismatches.push(Mismatch { tile: name.clone(), entry });
                }
            }
        }
        if !wide_enough {
            checked.findings.push(Damage::new(self.name(Kind::Level(0), self.covered), "missing"));
        }
        Ok(())
    }

    /// Finds forms that are wider than anything known, or not of the length of their width.
    fn has_length(&self, name: &str, width: u64, right: bool, checked: &mut Checked) -> bool {
        if !right {
            checked.findings.push(Damage::new(name, "not the length of its width"));
        } else if width > self.width() && !self.live {
            checked.findings.push(Damage::new(name, "it holds records that the log does not"));
        }
        right
    }

    /// Compares every form of the entry bundle with the entries, which are from `file` as far as they are
    /// covered.
    fn compare_entries(
        &self,
        leaves: &[&[u8]],
        file: &str,
        bytes: &[u8],
        checked: &mut Checked,
    ) -> Result<(), DiskError> {
        for width in self.forms(Kind::Entries).widths() {
            let name = self.name(Kind::Entries, width);
            if name == file && width == self.covered {
                let length: usize =
                    leaves[..width as usize].iter().map(|leaf| LEAF_PREFIX + leaf.len()).sum();
                self.has_length(&name, width, bytes.len() == length, checked);
                continue;
            }
            let bytes = self.home.read(&name)?;
            let mut rest = bytes.as_slice();
            let mut position = 0;
            while let Some(leaf) = take_leaf(&mut rest) {
                if leaves.get(position).is_some_and(|known| *known != leaf) {
                    let what = "not what the other bundles or the write-ahead log say";
                    checked.findings.push(Damage::at(&name, self.at(position), what));
                }
                position += 1;
            }
            self.has_length(&name, width, rest.is_empty() && position as u64 == width, checked);
        }
        Ok(())
    }

    /// Checks every envelope and every payload against it.
    fn check_records(
        &self,
        leaves: &[&[u8]],
        hashes: &[Hash],
        file: &str,
        checked: &mut Checked,
    ) -> Result<(), DiskError> {
        let payload_file = self.name(Kind::Payload, WIDTH);
        let bytes = match self.forms(Kind::Payload).full {
            true => self.home.read(&payload_file)?,
            false => Vec::new(),
        };
        let payloads = self.payloads(&bytes, leaves.len(), &payload_file, checked);
        let mut component = None;
        for (position, (leaf, hash)) in leaves.iter().zip(hashes).enumerate() {
            let index = self.at(position);
            let logged = self.frame(position);
            if logged.is_some_and(|frame| frame.hash() != *hash) {
                checked.findings.push(Damage::at("wal", index, "not what the entry bundle says"));
            }
            let decoded = RawEnvelope::decode(leaf).and_then(|envelope| {
                // Neighbours are mostly about the same component: it is looked at once.
                if envelope.component != component {
                    envelope.component()?;
                    component = envelope.component;
                }
                Ok(envelope)
            });
            let envelope = match decoded {
                Ok(envelope) => envelope,
                Err(error) => {
                    checked.findings.push(Damage::at(file, index, error.to_string()));
                    continue;
                }
            };
            let payload = match payloads.get(position) {
                Some(None) => {
                    checked.erased.push(index);
                    None
                }
                Some(Some(salted)) => {
                    if !envelope.commits_to(salted) {
                        let what = "not the payload that the leaf commits to";
                        checked.findings.push(Damage::at(&payload_file, index, what));
                    }
                    salted.get(SALT..)
                }
                None => logged.map(Frame::payload),
            };
            let followed = match envelope.kind {
                RecordKind::KeyRotation => &mut checked.rotations,
                RecordKind::Erasure => &mut checked.erasures,
                RecordKind::Start
                | RecordKind::Stop
                | RecordKind::Reload
                | RecordKind::ReloadRefused
                | RecordKind::Breaker
                | RecordKind::Head
                | RecordKind::Verdict
                | RecordKind::Cordon
                | RecordKind::Gap
                | RecordKind::Restored
                | RecordKind::TaskFailed
                | RecordKind::Fault
                | RecordKind::Mode
                | RecordKind::Affected => continue,
            };
            followed.extend(payload.map(|payload| (index, payload.to_vec())));
        }
        Ok(())
    }

    /// The items of a bundle of payloads: at least those covered, at most as many as there are records.
    fn payloads<'b>(
        &self,
        bytes: &'b [u8],
        records: usize,
        file: &str,
        checked: &mut Checked,
    ) -> Vec<Option<&'b [u8]>> {
        let mut rest = bytes;
        let mut items = Vec::with_capacity(records);
        while items.len() < records
            && let Some(item) = take_payload(&mut rest)
        {
            items.push(item);
        }
        if (items.len() as u64) < self.covered {
            checked.findings.push(Damage::at(file, self.at(items.len()), "the bundle ends before it"));
        } else if !self.live {
            // A crash may have left a part of the item that came next.
            let next = self.frame(items.len()).map_or(&[][..], Frame::payload_item);
            if !next.starts_with(rest) {
                checked.findings.push(Damage::new(file, "it holds payloads that the log does not"));
            }
        }
        items
    }
}

impl Forms {
    /// The widths in which the tile is there.
    fn widths(&self) -> impl Iterator<Item = u64> {
        self.partial.iter().copied().chain(self.full.then_some(WIDTH))
    }
}
