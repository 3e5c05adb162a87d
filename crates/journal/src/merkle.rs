//! The arithmetic of RFC 6962 trees: hashes, roots and inclusion proofs.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::envelope::MAX_LEAF;

/// Nodes on a path from a leaf to the root, at most: the height of a tree of 2⁶³ leaves.
pub const MAX_PROOF: usize = 63;

/// A SHA-256 hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; Hash::LEN]);

impl Hash {
    /// Length of a hash in bytes.
    pub const LEN: usize = 32;

    /// SHA-256 of `data`.
    pub fn of(data: &[u8]) -> Self {
        let mut hash = [0; Self::LEN];
        hash.copy_from_slice(digest(&SHA256, data).as_ref());
        Self(hash)
    }

    /// The hash of a leaf (RFC 6962, section 2.1).
    pub fn leaf(data: &[u8]) -> Self {
        // Leaves are short: hashing in one go from the stack takes half the time.
        let mut input = [0; 1 + MAX_LEAF];
        match input.get_mut(1..=data.len()) {
            Some(space) => {
                space.copy_from_slice(data);
                Self::of(&input[..=data.len()])
            }
            None => Self::of(&[&[0], data].concat()),
        }
    }

    /// The hash of an inner node.
    pub fn node(left: Self, right: Self) -> Self {
        let mut input = [1; 1 + 2 * Self::LEN];
        input[1..=Self::LEN].copy_from_slice(&left.0);
        input[1 + Self::LEN..].copy_from_slice(&right.0);
        Self::of(&input)
    }

    /// The root of the tree without leaves.
    pub fn empty() -> Self {
        Self::of(b"")
    }

    /// The hash in hexadecimal digits.
    pub fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The hash as standard base64.
    pub fn to_base64(self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads standard base64; `None` unless it is the one encoding of 32 bytes.
    pub fn from_base64(text: &str) -> Option<Self> {
        // The decoder asks for room for all that the text could hold, which is one byte more.
        let mut bytes = [0; Self::LEN + 1];
        let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
        let (hash, _) = bytes.split_first_chunk()?;
        (length == Self::LEN).then_some(Self(*hash))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hashes of consecutive perfect subtrees, newest last: folds them into the hash over all of them, as
/// RFC 6962 splits it. `hashes` must not be empty.
pub fn root_of(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => Hash::empty(),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(split(many.len() as u64) as usize);
            Hash::node(root_of(left), root_of(right))
        }
    }
}

/// The largest power of two below `n`, which must be at least 2.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// Where the hashes of perfect subtrees come from: `(height, index)` is the subtree over the leaves
/// `index << height .. (index + 1) << height`.
pub trait Subtrees {
    /// Why a hash cannot be had.
    type Error;

    /// The hash of a perfect subtree.
    fn subtree(&mut self, height: u32, index: u64) -> Result<Hash, Self::Error>;
}

/// The hash over the leaves `from..to`, where `from` is a multiple of the largest power of two not
/// above `to - from`.
pub fn range_hash<S: Subtrees>(subtrees: &mut S, from: u64, to: u64) -> Result<Hash, S::Error> {
    match to - from {
        0 => Ok(Hash::empty()),
        n if n.is_power_of_two() => subtrees.subtree(n.ilog2(), from >> n.ilog2()),
        n => {
            let middle = from + split(n);
            Ok(Hash::node(range_hash(subtrees, from, middle)?, range_hash(subtrees, middle, to)?))
        }
    }
}

/// The inclusion proof of leaf `index` in the tree of `size` leaves, the leaf's sibling first.
/// `index` must be below `size`.
pub fn prove_inclusion<S: Subtrees>(subtrees: &mut S, index: u64, size: u64) -> Result<Vec<Hash>, S::Error> {
    let (mut from, mut to) = (0, size);
    let mut path = Vec::new();
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(range_hash(subtrees, middle, to)?);
            to = middle;
        } else {
            path.push(range_hash(subtrees, from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// True if `proof` shows that `leaf` is the leaf `index` of the tree of `size` leaves under `root`
/// (RFC 9162, section 2.1.3.2).
pub fn verify_inclusion(leaf: Hash, index: u64, size: u64, proof: &[Hash], root: Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = Hash::node(*sibling, hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = Hash::node(hash, *sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition of RFC 6962, word for word.
    fn reference_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of(b""),
            [leaf] => *leaf,
            _ => {
                let mut k = 1;
                while k * 2 < leaves.len() {
                    k *= 2;
                }
                Hash::node(reference_root(&leaves[..k]), reference_root(&leaves[k..]))
            }
        }
    }

    fn reference_path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let mut k = 1;
        while k * 2 < leaves.len() {
            k *= 2;
        }
        let (mut path, sibling) = if m < k {
            (reference_path(m, &leaves[..k]), reference_root(&leaves[k..]))
        } else {
            (reference_path(m - k, &leaves[k..]), reference_root(&leaves[..k]))
        };
        path.push(sibling);
        path
    }

    struct Leaves<'a>(&'a [Hash]);

    impl Subtrees for Leaves<'_> {
        type Error = std::convert::Infallible;
        fn subtree(&mut self, height: u32, index: u64) -> Result<Hash, Self::Error> {
            let (from, to) = ((index << height) as usize, ((index + 1) << height) as usize);
            Ok(reference_root(&self.0[from..to]))
        }
    }

    fn leaves(n: usize) -> Vec<Hash> {
        (0..n).map(|i| Hash::leaf(&i.to_le_bytes())).collect()
    }

    proptest! {
        #[test]
        fn roots_and_proofs_agree_with_the_definition(n in 1_usize..600, pick in any::<prop::sample::Index>()) {
            let leaves = leaves(n);
            let root = reference_root(&leaves);
            prop_assert_eq!(root_of(&leaves), root);
            let Ok(range) = range_hash(&mut Leaves(&leaves), 0, n as u64);
            prop_assert_eq!(range, root);
            let index = pick.index(n);
            let Ok(proof) = prove_inclusion(&mut Leaves(&leaves), index as u64, n as u64);
            prop_assert_eq!(&proof, &reference_path(index, &leaves));
            prop_assert!(verify_inclusion(leaves[index], index as u64, n as u64, &proof, root));
        }

        #[test]
        fn a_proof_shows_nothing_but_what_it_was_made_for(
            n in 1_usize..300, pick in any::<prop::sample::Index>(), other in 0_u64..400, bit in 0_usize..256,
        ) {
            let leaves = leaves(n);
            let root = reference_root(&leaves);
            let index = pick.index(n) as u64;
            let leaf = leaves[index as usize];
            let Ok(proof) = prove_inclusion(&mut Leaves(&leaves), index, n as u64);
            prop_assert!(other == index || !verify_inclusion(leaf, other, n as u64, &proof, root));
            let mut wrong = leaf;
            wrong.0[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!verify_inclusion(wrong, index, n as u64, &proof, root));
            let mut longer = proof.clone();
            longer.push(leaf);
            prop_assert!(!verify_inclusion(leaf, index, n as u64, &longer, root));
            if !proof.is_empty() {
                prop_assert!(!verify_inclusion(leaf, index, n as u64, &proof[1..], root));
            }
        }
    }

    #[test]
    fn the_empty_tree_has_the_root_of_the_rfc() {
        assert_eq!(Hash::empty().to_base64(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
