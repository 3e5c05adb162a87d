//! What is particular to a pool of gRPC services.

use seawall_model::estate::{At, Code, Problem, Problems};

use super::{pool::foreign, raw::RawPool};
use crate::core::glob::Glob;

/// Most methods that are listed.
const MAX_METHODS: usize = 256;

/// What is particular to gRPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcSection {
    /// Methods that may be sent again after a failure, by their full names.
    pub retry_methods: Vec<Glob>,
}

/// Judges it. `None` if anything is bad; each fault has been reported.
pub(super) fn validate(pool: &RawPool, problems: &mut Problems) -> Option<GrpcSection> {
    foreign("paths", pool.paths.first(), "grpc", problems);
    for upstream in &pool.upstreams {
        foreign("path_of", upstream.value.path_of.as_ref(), "grpc", problems);
    }
    let listed = pool.retry_methods.as_deref().unwrap_or_default();
    if let Some(at) = listed.get(MAX_METHODS) {
        let message = format!("{} methods; at most {MAX_METHODS} are taken", listed.len());
        problems.report(Problem::new(Code::Limit, at.place, message));
        return None;
    }
    let globs: Option<Vec<_>> = listed.iter().map(|at| glob(at, problems)).collect();
    Some(GrpcSection { retry_methods: globs? })
}

fn glob(at: &At<String>, problems: &mut Problems) -> Option<Glob> {
    let glob = Glob::new(&at.value).filter(|_| at.value.starts_with(['/', '*']));
    if glob.is_none() {
        let message = format!("{} is no method of gRPC", problems.quote(&at.value, at.place));
        let help = "write its full name, as in `/package.Service/Get`; `*` stands for any text";
        problems.report(Problem::new(Code::InvalidValue, at.place, message).help(help));
    }
    glob
}
