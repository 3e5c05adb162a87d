//! What a pool keeps of answers.

use seawall_model::{
    estate::{At, Problems},
    units::Bytes,
};

use super::{CacheSection, raw::RawCache, validate::within};

/// Most memory that a pool's kept answers may take.
const MAX_SIZE: Bytes = Bytes(64 << 30);

pub(super) fn validate(raw: &At<RawCache>, problems: &mut Problems) -> Option<CacheSection> {
    let size = within(raw.value.size, Bytes(0), MAX_SIZE, "size", Bytes::to_string, problems)?;
    Some(CacheSection { size: size.0 })
}
