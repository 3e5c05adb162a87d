//! Who signed a transaction, and with which nonce.
//!
//! Legacy transactions, with and without replay protection (EIP-155), and the types of EIP-2930, EIP-1559, EIP-4844
//! and EIP-7702: all of these keep the nonce in one place and the signature at the end.

use k256::ecdsa::{RecoveryId, Signature, VerifyingKey};
use sha3::{Digest, Keccak256};

use crate::{hash::pairs, tx};

/// An account's address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, std::hash::Hash)]
pub struct Address(pub [u8; 20]);

/// Who signed a transaction, and which of theirs it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// The account that it is sent from.
    pub sender: Address,
    /// How many transactions the account has sent before it.
    pub nonce: u64,
}

/// Fields of a legacy transaction; the last three are its signature.
const LEGACY: usize = 9;
/// Most fields that a transaction of a known type has (EIP-4844).
const MOST: usize = 14;

/// Reads the raw transaction (`0x`-hex). `None` if it is none, of a type unknown here, or signed by nobody.
pub fn signed(raw: &str) -> Option<Signed> {
    let bytes = pairs(raw).ok()?;
    if bytes.len() > tx::MAX_LEN {
        return None;
    }
    let bytes = bytes.collect::<Result<Vec<u8>, _>>().ok()?;
    match bytes.split_first()? {
        (kind @ 1..=4, rlp) => {
            let outer = tx::list(rlp)?;
            // With its blobs, the transaction is the first item of a list.
            let payload = match outer.payload.first()? {
                tx::SHORT_LIST.. if *kind == tx::BLOB_TX => tx::list(outer.payload)?.payload,
                _ => outer.payload,
            };
            let fields = Fields::new(payload)?;
            // The chain's id comes first.
            let nonce = fields.number(1)?;
            let digest = digest(Some(*kind), &[payload.get(..fields.signature()?)?]);
            Some(Signed { sender: fields.signer(&digest, fields.number_nth_back(3)?)?, nonce })
        }
        (tx::SHORT_LIST.., _) => legacy(tx::list(&bytes)?.payload),
        _ => None,
    }
}

fn legacy(payload: &[u8]) -> Option<Signed> {
    let fields = Fields::new(payload).filter(|f| f.items.len() == LEGACY)?;
    let body = payload.get(..fields.signature()?)?;
    let v = fields.number_nth_back(3)?;
    let (parity, digest) = match v {
        27 | 28 => (v - 27, digest(None, &[body])),
        35.. => {
            let mut chain = Vec::with_capacity(11);
            write_number(&mut chain, (v - 35) / 2);
            chain.extend_from_slice(&[0x80, 0x80]);
            ((v - 35) % 2, digest(None, &[body, &chain]))
        }
        _ => return None,
    };
    Some(Signed { sender: fields.signer(&digest, parity)?, nonce: fields.number(0)? })
}

/// What was signed: the fields but the signature, as a list.
fn digest(kind: Option<u8>, parts: &[&[u8]]) -> [u8; 32] {
    let len = parts.iter().map(|part| part.len()).sum();
    let mut keccak = Keccak256::new();
    if let Some(kind) = kind {
        keccak.update([kind]);
    }
    keccak.update(list_header(len));
    parts.iter().for_each(|part| keccak.update(part));
    keccak.finalize().into()
}

fn list_header(len: usize) -> Vec<u8> {
    match u8::try_from(len) {
        Ok(short @ 0..=55) => vec![tx::SHORT_LIST + short],
        _ => {
            let bytes = len.to_be_bytes();
            let bytes = &bytes[(len.leading_zeros() / 8) as usize..];
            let mut header = vec![tx::LONG_LIST - 1 + bytes.len() as u8];
            header.extend_from_slice(bytes);
            header
        }
    }
}

fn write_number(out: &mut Vec<u8>, n: u64) {
    let bytes = n.to_be_bytes();
    match &bytes[(n.leading_zeros() / 8) as usize..] {
        [] => out.push(0x80),
        [small @ 0..=0x7f] => out.push(*small),
        bytes => {
            out.push(0x80 + bytes.len() as u8);
            out.extend_from_slice(bytes);
        }
    }
}

/// The items of a list: where each ends, and what it holds.
struct Fields<'a> {
    items: Vec<(usize, &'a [u8])>,
}

impl<'a> Fields<'a> {
    fn new(payload: &'a [u8]) -> Option<Self> {
        let mut items = Vec::with_capacity(MOST);
        let mut at = 0;
        while at < payload.len() {
            let rest = &payload[at..];
            let (header, len) = tx::item(rest)?;
            let end = header.checked_add(len)?;
            at += end;
            items.push((at, rest.get(header..end)?));
            if items.len() > MOST {
                return None;
            }
        }
        Some(Self { items })
    }

    /// Where the signature, the last three items, begins.
    fn signature(&self) -> Option<usize> {
        Some(self.items.get(self.items.len().checked_sub(4)?)?.0)
    }

    fn nth_back(&self, back: usize) -> Option<&'a [u8]> {
        Some(self.items.get(self.items.len().checked_sub(back)?)?.1)
    }

    fn number(&self, index: usize) -> Option<u64> {
        number(self.items.get(index)?.1)
    }

    fn number_nth_back(&self, back: usize) -> Option<u64> {
        number(self.nth_back(back)?)
    }

    fn signer(&self, digest: &[u8; 32], parity: u64) -> Option<Address> {
        let scalar = |bytes: &[u8]| {
            let mut whole = [0; 32];
            whole[32usize.checked_sub(bytes.len())?..].copy_from_slice(bytes);
            Some(whole)
        };
        let signature =
            Signature::from_scalars(scalar(self.nth_back(2)?)?, scalar(self.nth_back(1)?)?).ok()?;
        let parity = RecoveryId::from_byte(u8::try_from(parity).ok().filter(|p| *p <= 1)?)?;
        Some(address(&VerifyingKey::recover_from_prehash(digest, &signature, parity).ok()?))
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    let fits = bytes.len() <= size_of::<u64>();
    fits.then(|| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)))
}

fn address(key: &VerifyingKey) -> Address {
    let point = key.to_sec1_point(false);
    let hash: [u8; 32] = Keccak256::digest(&point.as_bytes()[1..]).into();
    let mut address = [0; 20];
    address.copy_from_slice(&hash[12..]);
    Address(address)
}

impl std::str::FromStr for Address {
    type Err = crate::NotHex;

    fn from_str(text: &str) -> Result<Self, crate::NotHex> {
        let bytes = pairs(text)?;
        let mut address = [0; 20];
        if bytes.len() != address.len() {
            return Err(crate::NotHex::Length);
        }
        for (byte, pair) in address.iter_mut().zip(bytes) {
            *byte = pair?;
        }
        Ok(Self(address))
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::SigningKey;
    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold("0x".into(), |s, b| format!("{s}{b:02x}"))
    }

    fn list(parts: &[&[u8]]) -> Vec<u8> {
        let payload = parts.concat();
        [list_header(payload.len()), payload].concat()
    }

    fn bytes(value: &[u8]) -> Vec<u8> {
        match value {
            [small @ 0..=0x7f] => vec![*small],
            _ if value.len() <= 55 => [&[0x80 + value.len() as u8], value].concat(),
            _ => {
                let mut header = list_header(value.len());
                header[0] -= 0x40;
                [header, value.to_vec()].concat()
            }
        }
    }

    fn of(n: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write_number(&mut out, n);
        out
    }

    fn scalar(value: &[u8]) -> Vec<u8> {
        bytes(&value[value.iter().take_while(|b| **b == 0).count()..])
    }

    #[test]
    fn the_sender_of_the_worked_example_of_eip_155() {
        let raw = "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
        let sender = "0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f".parse().unwrap();
        assert_eq!(signed(raw), Some(Signed { sender, nonce: 9 }));
    }

    #[test]
    fn what_is_not_known_to_be_signed_has_no_sender() {
        for raw in
            ["", "0x", "0x02c0ffee", "0x7ec0", "0xc0", "0x05c3010203", "0x02c3010203", "0xf8", "0x03c2c5"]
        {
            assert_eq!(signed(raw), None, "{raw}");
        }
    }

    /// The fields before the signature, for each kind of transaction that is known.
    fn unsigned(kind: u8, nonce: u64, data: &[u8]) -> Vec<u8> {
        let (chain, price, to) = (of(7), of(1_000_000_007), bytes(&[0x35; 20]));
        let (data, access) = (bytes(data), list(&[&list(&[&to, &list(&[&bytes(&[1; 32])])])]));
        match kind {
            0 => [of(nonce), price, of(21_000), to, of(1), data].concat(),
            1 => [chain, of(nonce), price, of(21_000), to, of(1), data, access].concat(),
            2 => [chain, of(nonce), of(1), price, of(21_000), to, of(1), data, access].concat(),
            3 => [
                chain,
                of(nonce),
                of(1),
                price,
                of(21_000),
                to,
                of(1),
                data,
                access,
                of(9),
                list(&[&bytes(&[1; 32])]),
            ]
            .concat(),
            _ => [chain, of(nonce), of(1), price, of(21_000), to, of(1), data, access, list(&[])].concat(),
        }
    }

    proptest! {
        #[test]
        fn whoever_signs_is_found(
            kind in 0u8..5, protected: bool, blobs: bool, nonce: u64, data in prop::collection::vec(any::<u8>(), 0..300),
            key in prop::collection::vec(1u8..0xff, 32),
        ) {
            let key = SigningKey::from_slice(&key).unwrap();
            let fields = unsigned(kind, nonce, &data);
            let suffix = if kind == 0 && protected { [of(7), vec![0x80, 0x80]].concat() } else { Vec::new() };
            let digest = digest((kind > 0).then_some(kind), &[&fields, &suffix]);
            let (signature, parity) = key.sign_prehash_recoverable(&digest);
            let parity = u64::from(parity.to_byte());
            let v = match (kind, protected) {
                (0, true) => 35 + 2 * 7 + parity,
                (0, false) => 27 + parity,
                _ => parity,
            };
            let (r, s) = signature.split_bytes();
            let whole = list(&[&fields, &of(v), &scalar(&r), &scalar(&s)]);
            let raw = match kind {
                0 => whole,
                3 if blobs => [vec![3], list(&[&whole, &list(&[&bytes(&data)])])].concat(),
                kind => [vec![kind], whole].concat(),
            };
            let want = Signed { sender: address(key.verifying_key()), nonce };
            prop_assert_eq!(signed(&hex(&raw)), Some(want));
        }

        #[test]
        fn no_text_makes_it_panic(bytes: Vec<u8>, kind in 0u8..6) {
            let _ = signed(&hex(&bytes));
            let _ = signed(&hex(&[&[kind], &bytes[..]].concat()));
        }
    }
}
