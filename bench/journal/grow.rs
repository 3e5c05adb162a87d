//! Makes a log of some records, for other programs to read.
//!
//! ```sh
//! cargo run -p seawall-journal --example journal_grow DIRECTORY RECORDS
//! ```

use std::{error::Error, sync::Arc};

use seawall_journal::{Entropy, Store, StoreOptions, encode};
use seawall_model::{Record, RecordKind, Wall};
use seawall_runtime::disk::SystemDisk;

/// Records appended at a time: not a divisor of a bundle, so that partial tiles come and go.
const BATCH: u64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(records)) = (args.next(), args.next()) else {
        return Err("usage: journal_grow DIRECTORY RECORDS".into());
    };
    let mut entropy = Entropy::system();
    let options = StoreOptions {
        dir: dir.into(),
        name: "example.com/grown".into(),
        segment_bytes: 1 << 20,
        witnesses: Vec::new(),
        remembered: None,
    };
    let (mut store, _) = Store::open(Arc::new(SystemDisk), options, &mut entropy)?;
    let records: u64 = records.parse()?;
    let mut next = 0;
    while next < records {
        let end = (next + BATCH).min(records);
        let frames = (next..end).map(|n| {
            let payload = serde_json::json!({ "n": n });
            encode(&Record { kind: RecordKind::Head, component: None, at: Wall(0), payload }, &mut entropy)
        });
        store.append(frames.collect::<Result<_, _>>()?)?;
        store.integrate()?;
        next = end;
    }
    Ok(())
}
