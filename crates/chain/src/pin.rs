//! Pins a read to the block its tag means now, so that every attempt at it reads the same chain.
//!
//! `latest`, `safe` and `finalized` become the agreed block's hash (EIP-1898) or number, whichever
//! upstream answers; a height that has been agreed on becomes that block's hash too, lest a fork answer for
//! it. All else in the parameters stays byte for byte as the client wrote it. Anything not
//! understood is left as it is: the upstream will judge it.

use std::{collections::BTreeMap, ops::Range};

use serde_json::value::RawValue;

use crate::{
    Block, Hash,
    method::{BlockParam, Method},
    parse_quantity, scan, write_quantity,
};

/// The blocks that tags mean now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heads {
    /// The agreed head.
    pub latest: Block,
    /// The agreed safe block, if there is one.
    pub safe: Option<Block>,
    /// The agreed finalized block, if there is one.
    pub finalized: Option<Block>,
}

/// How a tag is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By hash where the method takes one (EIP-1898), else by number.
    Hash,
    /// By number.
    Number,
    /// Not at all.
    Off,
}

/// What came of pinning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinned {
    /// True if new parameters were written; else the client's stand.
    pub rewritten: bool,
    /// What the call reads, as far as its parameters tell: an upstream must have that.
    pub reads: Option<Reads>,
}

/// The blocks a call reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// One of the agreed blocks.
    Agreed(Block),
    /// A block of the client's choice, by height.
    Number(u64),
    /// A block of the client's choice, by hash.
    Hash(Hash),
    /// Every block from the first to the second height. The first is above the second in a filter that asks
    /// for nothing.
    Range(u64, u64),
}

impl Reads {
    /// The highest block an upstream must have, where it is told by height.
    pub fn highest(&self) -> Option<u64> {
        match self {
            Self::Agreed(block) => Some(block.number),
            Self::Number(n) => Some(*n),
            Self::Hash(_) => None,
            Self::Range(from, to) => Some(*from.max(to)),
        }
    }

    /// The lowest block an upstream must have, where it is told by height.
    pub fn lowest(&self) -> Option<u64> {
        match self {
            Self::Agreed(block) => Some(block.number),
            Self::Number(n) => Some(*n),
            Self::Hash(_) => None,
            Self::Range(from, to) => Some(*from.min(to)),
        }
    }
}

/// Pins `params` of a call of `method` to `heads`, or where it names a height to the chain agreed on, as far
/// back as `history` goes. If they change, the new ones are appended to `out`.
pub fn pin(
    params: Option<&RawValue>,
    method: &Method,
    heads: &Heads,
    history: &BTreeMap<u64, Hash>,
    mode: Mode,
    out: &mut Vec<u8>,
) -> Pinned {
    let text = params.map_or("[]", RawValue::get);
    if !text.starts_with('[') {
        return Pinned { rewritten: false, reads: None };
    }
    match method.block {
        BlockParam::None => Pinned { rewritten: false, reads: None },
        BlockParam::At { index, hash_ok, default_latest } => {
            let by_hash = hash_ok && mode == Mode::Hash;
            let none = BTreeMap::new();
            let history = if by_hash { history } else { &none };
            match target(text, index, default_latest, heads, history) {
                Target::Stays(reads) => Pinned { rewritten: false, reads },
                Target::Moves(..) if mode == Mode::Off => Pinned { rewritten: false, reads: None },
                Target::Moves(place, block) => {
                    let rest = match place {
                        Place::Instead(item) => {
                            out.extend_from_slice(&text.as_bytes()[..item.start]);
                            item.end
                        }
                        Place::After(end) => {
                            out.extend_from_slice(&text.as_bytes()[..end]);
                            out.push(b',');
                            end
                        }
                    };
                    write_block(out, &block, by_hash);
                    out.extend_from_slice(&text.as_bytes()[rest..]);
                    Pinned { rewritten: true, reads: Some(Reads::Agreed(block)) }
                }
            }
        }
        BlockParam::Range { index } => pin_range(text, index, heads, mode, out),
    }
}

fn write_block(out: &mut Vec<u8>, block: &Block, by_hash: bool) {
    if by_hash {
        out.extend_from_slice(b"{\"blockHash\":\"");
        block.hash.write(out);
        out.extend_from_slice(b"\"}");
    } else {
        out.push(b'"');
        write_quantity(out, block.number);
        out.push(b'"');
    }
}

/// What is to be done with a block parameter.
enum Target {
    /// It says what it reads without a tag that moves, or is not understood.
    Stays(Option<Reads>),
    /// The block goes there.
    Moves(Place, Block),
}

enum Place {
    Instead(Range<usize>),
    After(usize),
}

fn target(
    text: &str,
    index: usize,
    default_latest: bool,
    heads: &Heads,
    history: &BTreeMap<u64, Hash>,
) -> Target {
    let mut before = None;
    for (at, item) in scan::items(text).enumerate() {
        if at == index {
            let value = &text[item.clone()];
            return match agreed(value, heads) {
                Some(block) => Target::Moves(Place::Instead(item), block),
                None if default_latest && value == "null" => {
                    Target::Moves(Place::Instead(item), heads.latest)
                }
                None => match explicit(value) {
                    Some(Reads::Number(number)) => match history.get(&number) {
                        Some(hash) => Target::Moves(Place::Instead(item), Block { number, hash: *hash }),
                        None => Target::Stays(Some(Reads::Number(number))),
                    },
                    reads => Target::Stays(reads),
                },
            };
        }
        before = Some((at, item.end));
    }
    match before {
        // Only where nothing else is missing: else the call is wrong, and the upstream will say so.
        Some((at, end)) if default_latest && at + 1 == index => {
            Target::Moves(Place::After(end), heads.latest)
        }
        Some(_) | None => Target::Stays(None),
    }
}

/// The agreed block that a tag means.
fn agreed(value: &str, heads: &Heads) -> Option<Block> {
    match value {
        "\"latest\"" => Some(heads.latest),
        "\"safe\"" => heads.safe,
        "\"finalized\"" => heads.finalized,
        _ => None,
    }
}

/// The block that a value names without a tag that moves.
fn explicit(value: &str) -> Option<Reads> {
    if let Some(text) = unquote(value) {
        return match text {
            "earliest" => Some(Reads::Number(0)),
            text if text.len() == Hash::TEXT_LEN => text.parse().ok().map(Reads::Hash),
            text => parse_quantity(text).map(Reads::Number),
        };
    }
    scan::members(value).find_map(|(key, member)| match &value[key] {
        "blockHash" => unquote(&value[member])?.parse().ok().map(Reads::Hash),
        "blockNumber" => parse_quantity(unquote(&value[member])?).map(Reads::Number),
        _ => None,
    })
}

fn unquote(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

/// One end of a range: where its value stands, and the block it means.
#[derive(Clone, Default)]
struct End {
    value: Option<Range<usize>>,
    /// Its value is a tag to be replaced.
    moves: bool,
    number: Option<u64>,
}

impl End {
    fn of(text: &str, value: Option<Range<usize>>, heads: &Heads) -> Self {
        let written = value.clone().map_or("null", |v| &text[v]);
        let block = if written == "null" { Some(heads.latest) } else { agreed(written, heads) };
        match block {
            Some(block) => Self { value, moves: true, number: Some(block.number) },
            None => {
                let number = explicit(written).and_then(|reads| reads.highest());
                Self { value, moves: false, number }
            }
        }
    }
}

fn pin_range(text: &str, index: usize, heads: &Heads, mode: Mode, out: &mut Vec<u8>) -> Pinned {
    let unchanged = |reads| Pinned { rewritten: false, reads };
    let Some(filter) = scan::items(text).nth(index) else { return unchanged(None) };
    let Some(Filter { from, to, block_hash }) = Filter::find(text, filter.clone()) else {
        return unchanged(None);
    };
    if let Some(hash) = block_hash {
        return unchanged(unquote(&text[hash]).and_then(|t| t.parse().ok()).map(Reads::Hash));
    }
    let (from, to) = (End::of(text, from, heads), End::of(text, to, heads));
    let moves = from.moves || to.moves;
    if moves && mode == Mode::Off {
        return unchanged(None);
    }
    let reads = from.number.zip(to.number).map(|(from, to)| Reads::Range(from, to));
    if !moves {
        return unchanged(reads);
    }
    rewrite_range(text, filter.start + 1, [("fromBlock", from), ("toBlock", to)], out);
    Pinned { rewritten: true, reads }
}

/// Appends the parameters of `eth_getLogs` with the filter's range set to `from` and `to`; false, with nothing
/// appended, if there is no such filter, or it names its block by hash.
pub fn with_range(params: &str, from: u64, to: u64, out: &mut Vec<u8>) -> bool {
    let Some(filter) = scan::items(params).next() else { return false };
    let Some(found) = Filter::find(params, filter.clone()).filter(|f| f.block_hash.is_none()) else {
        return false;
    };
    let end = |value, number| End { value, moves: true, number: Some(number) };
    let ends = [("fromBlock", end(found.from, from)), ("toBlock", end(found.to, to))];
    rewrite_range(params, filter.start + 1, ends, out);
    true
}

/// Writes `text` with the ends that move as numbers; those left out go in at `open`, just inside the brace.
fn rewrite_range(text: &str, open: usize, mut ends: [(&str, End); 2], out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.extend_from_slice(&bytes[..open]);
    let lone = scan::members(&text[open - 1..]).next().is_none();
    let mut first = true;
    for (name, end) in ends.iter().filter(|(_, end)| end.value.is_none()) {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        write_number(out, end);
    }
    if !first && !lone {
        out.push(b',');
    }
    let mut at = open;
    ends.sort_by_key(|(_, end)| end.value.as_ref().map(|v| v.start));
    for (_, end) in ends.iter().filter(|(_, end)| end.moves) {
        let Some(value) = &end.value else { continue };
        out.extend_from_slice(&bytes[at..value.start]);
        write_number(out, end);
        at = value.end;
    }
    out.extend_from_slice(&bytes[at..]);
}

fn write_number(out: &mut Vec<u8>, end: &End) {
    out.push(b'"');
    write_quantity(out, end.number.unwrap_or_default());
    out.push(b'"');
}

#[derive(Default)]
struct Filter {
    from: Option<Range<usize>>,
    to: Option<Range<usize>>,
    block_hash: Option<Range<usize>>,
}

impl Filter {
    /// The members of the filter object at `filter`. `None` if it is none, or if nodes may read it
    /// differently: a name twice, escaped, or in another case (some match names without regard to case).
    fn find(text: &str, filter: Range<usize>) -> Option<Self> {
        let object = &text[filter.clone()];
        if !object.starts_with('{') {
            return None;
        }
        let mut found = Self::default();
        for (key, value) in scan::members(object) {
            let key = &object[key];
            let slot = match key {
                "fromBlock" => &mut found.from,
                "toBlock" => &mut found.to,
                "blockHash" => &mut found.block_hash,
                _ if key.contains('\\') => return None,
                _ if ["fromBlock", "toBlock", "blockHash"].iter().any(|k| k.eq_ignore_ascii_case(key)) => {
                    return None;
                }
                _ => continue,
            };
            if slot.replace(filter.start + value.start..filter.start + value.end).is_some() {
                return None;
            }
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests;
