//! A block as nodes show it, cut down to the header that subscribers are told.

use serde_json::value::RawValue;

use crate::{
    heads::{HeadSeen, NotABlock},
    scan,
};

/// What a block object has besides its header.
const NOT_OF_THE_HEADER: [&str; 5] = ["transactions", "uncles", "withdrawals", "size", "totalDifficulty"];

/// A header: its place in the chain, and the JSON that `newHeads` tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Where it is.
    pub seen: HeadSeen,
    /// The header's members, as the node wrote them.
    pub json: String,
}

impl Header {
    /// Reads a block, or a header, as `eth_getBlockBy…` and `newHeads` give it.
    pub fn from_block(block: &RawValue) -> Result<Self, NotABlock> {
        let seen = HeadSeen::from_result(block)?;
        let text = block.get();
        let mut json = String::with_capacity(1_024);
        json.push('{');
        for (key, value) in scan::members(text) {
            if NOT_OF_THE_HEADER.contains(&&text[key.clone()]) {
                continue;
            }
            if json.len() > 1 {
                json.push(',');
            }
            json.push('"');
            json.push_str(&text[key]);
            json.push_str("\":");
            json.push_str(&text[value]);
        }
        json.push('}');
        Ok(Self { seen, json })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_the_block_without_its_body() {
        let hash = |byte: &str| format!("0x{}", byte.repeat(32));
        let text = format!(
            r#"{{"number": "0x2","hash":"{}","parentHash":"{}", "timestamp":"0x5","size":"0x9",
                "transactions":[{{"hash":"0x"}}],"uncles":[],"extraData":"0x\"}}"}}"#,
            hash("aa"),
            hash("bb")
        );
        let header = Header::from_block(&RawValue::from_string(text).unwrap()).unwrap();
        let want = format!(
            r#"{{"number":"0x2","hash":"{}","parentHash":"{}","timestamp":"0x5","extraData":"0x\"}}"}}"#,
            hash("aa"),
            hash("bb")
        );
        assert_eq!(header.json, want);
        assert_eq!((header.seen.number, header.seen.parent.to_string()), (2, hash("bb")));
        let nothing = RawValue::from_string("{}".into()).unwrap();
        assert_eq!(Header::from_block(&nothing), Err(NotABlock));
    }
}
