//! Asking the writer of a running journal for a change.
//!
//! There is one writer, so whoever else wants a change (an erasure, a new key, cosignatures) leaves a
//! file in `requests/` and waits for the answer beside it. Without a running writer the change is made
//! directly, under the lock.

use std::{io, path::Path, path::PathBuf, sync::Arc, thread::sleep, time::Duration};

use seawall_model::Wall;
use seawall_runtime::disk::Disk;
use serde::{Deserialize, Serialize};

use crate::{
    entropy::Entropy,
    home::{DiskError, Durability, Home},
    reader::{ReadError, Reader},
    store::{ChangeError, OpenError, Store, StoreOptions},
};

const DIR: &str = "requests";

/// Most requests answered at one time; others wait for the next.
const AT_ONCE: usize = 16;

/// How long an answer of the running writer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// A change to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Erase the salt and payload of a record.
    Erase {
        /// The record.
        index: u64,
        /// Why.
        reason: String,
    },
    /// Sign with a new key from now on.
    RotateKey,
    /// Take the witnesses' cosignatures off a checkpoint.
    Cosign {
        /// The cosigned checkpoint.
        note: String,
    },
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The payload is erased; the record of that index says so.
    Erased(u64),
    /// The new verifier key.
    Rotated(String),
    /// How many witnesses cosigned.
    Cosigned(usize),
    /// It was refused.
    Refused {
        /// The code an operator looks up.
        code: String,
        /// Why.
        cause: String,
    },
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// No writer runs, and the log cannot be opened for the change either.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no log to change.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The writer did not answer in time; it may do so later.
    #[error("the running journal did not answer within {} s", PATIENCE.as_secs())]
    NoAnswer,
}

/// Asks for a change and waits for the answer: of the running writer if there is one, else made here.
/// `id` tells this request's files from others'. Blocks.
pub fn ask(
    disk: Arc<dyn Disk>,
    options: StoreOptions,
    request: &Request,
    id: u64,
    at: Wall,
    entropy: &mut Entropy,
) -> Result<Answer, AskError> {
    Reader::open(disk.clone(), &options.dir)?;
    let home = Home::new(disk.clone(), &options.dir);
    match Store::open(disk, options, entropy) {
        Ok((mut store, _)) => Ok(answer_of(request.perform(&mut store, at, entropy))),
        Err(OpenError::Locked(_)) => ask_writer(&home, request, id),
        Err(error) => Err(error.into()),
    }
}

fn ask_writer(home: &Home, request: &Request, id: u64) -> Result<Answer, AskError> {
    let text = serde_json::to_vec(request).map_err(|e| malformed(home, e.into()))?;
    home.put(&PathBuf::from(format!("{DIR}/{id:016x}.request")), &text, Durability::Later)?;
    let reply = PathBuf::from(format!("{DIR}/{id:016x}.answer"));
    for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
        if let Some(bytes) = home.read_if_there(&reply)? {
            home.remove(&reply)?;
            return serde_json::from_slice(&bytes).map_err(|e| malformed(home, e.into()).into());
        }
        sleep(LOOK);
    }
    Err(AskError::NoAnswer)
}

fn malformed(home: &Home, source: io::Error) -> DiskError {
    DiskError { action: "read the answer in", path: home.dir().join(DIR), source }
}

/// True if requests wait.
pub(crate) fn are_pending(home: &Home) -> Result<bool, DiskError> {
    Ok(home.list(DIR)?.iter().any(|entry| entry.name.ends_with(".request")))
}

/// Removes answers that nobody waited for.
pub(crate) fn forget_answers(home: &Home) -> Result<(), DiskError> {
    let entries = home.list(DIR)?;
    let answers = entries.iter().filter(|entry| entry.name.ends_with(".answer"));
    answers.into_iter().try_for_each(|entry| home.remove(Path::new(DIR).join(&entry.name)))
}

/// Answers the requests that wait. Only an error after which the store must be opened anew is one.
pub(crate) fn answer(store: &mut Store, at: Wall, entropy: &mut Entropy) -> Result<(), ChangeError> {
    let home = store.home.clone();
    let entries = home.list(DIR)?;
    for name in entries.iter().filter_map(|entry| entry.name.strip_suffix(".request")).take(AT_ONCE) {
        let path = Path::new(DIR).join(format!("{name}.request"));
        let request: Option<Request> = serde_json::from_slice(&home.read(&path)?).ok();
        // Taken before it is done: an erasure that fails half way is not tried for ever.
        home.remove(&path)?;
        let result = match request {
            Some(request) => request.perform(store, at, entropy),
            None => continue,
        };
        let broken = matches!(result, Err(ChangeError::Disk(_)));
        let text = match &result {
            Err(error) => serde_json::to_vec(&refusal(error)),
            Ok(answer) => serde_json::to_vec(answer),
        };
        let reply = Path::new(DIR).join(format!("{name}.answer"));
        home.put(&reply, &text.unwrap_or_default(), Durability::Later)?;
        if broken {
            return result.map(|_| ());
        }
    }
    Ok(())
}

fn answer_of(result: Result<Answer, ChangeError>) -> Answer {
    result.unwrap_or_else(|error| refusal(&error))
}

fn refusal(error: &ChangeError) -> Answer {
    Answer::Refused { code: error.code().to_owned(), cause: error.to_string() }
}

impl Request {
    fn perform(&self, store: &mut Store, at: Wall, entropy: &mut Entropy) -> Result<Answer, ChangeError> {
        match self {
            Self::Erase { index, reason } => store.erase(*index, reason, at, entropy).map(Answer::Erased),
            Self::RotateKey => store.rotate_key(at, entropy).map(|key| Answer::Rotated(key.to_string())),
            Self::Cosign { note } => store.cosign(note.as_bytes()).map(Answer::Cosigned),
        }
    }
}
