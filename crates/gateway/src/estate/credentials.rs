//! What is shown to an upstream that asks who is calling, and whom its own certificate must be by.

use seawall_model::{
    Secret,
    estate::{At, Code, Problem, Problems, Resolve, SecretSource},
};
use seawall_runtime::net::credentials::{Credentials, CredentialsError};

use super::raw::{RawShown, RawUpstream};

/// Judges them, made ready once to see whether they can be; `Some(None)` where there are none. `tls` says whether the
/// upstream is spoken to over TLS at all.
pub(super) fn validate(
    raw: &RawUpstream,
    tls: bool,
    resolve: &Resolve<'_>,
    problems: &mut Problems,
) -> Option<Option<Credentials>> {
    let places = [raw.certificate.as_ref().map(|at| at.place), raw.ca.as_ref().map(|at| at.place)];
    let Some(place) = places.into_iter().flatten().next() else { return Some(None) };
    if !tls {
        let message = "`certificate` and `ca` mean nothing to an upstream that is not spoken to over TLS";
        let problem = Problem::new(Code::Contradiction, place, message);
        problems.report(problem.help("make its `url` one of `https`, or remove them"));
        return None;
    }
    let shown = match &raw.certificate {
        Some(at) => Some(pair(at, resolve, problems)?),
        None => None,
    };
    let authorities = match &raw.ca {
        Some(at) => Some(at.resolve(resolve, problems)?),
        None => None,
    };
    match Credentials::new(shown, authorities) {
        Ok(credentials) => Some(Some(credentials)),
        Err(error) => {
            let at = match &error {
                CredentialsError::Authorities(_) => places[1],
                _ => places[0],
            };
            problems.report(Problem::new(Code::Certificate, at.unwrap_or(place), error.to_string()));
            None
        }
    }
}

fn pair(at: &At<RawShown>, resolve: &Resolve<'_>, problems: &mut Problems) -> Option<(Secret, Secret)> {
    let RawShown { chain, key } = &at.value;
    if let Some(at) = key.as_ref().filter(|at| matches!(at.value, SecretSource::Literal(_))) {
        let message = "a private key stands in the file";
        problems.report(Problem::new(Code::LiteralSecret, at.place, message));
    }
    let chain = chain.as_ref().and_then(|at| at.resolve(resolve, problems));
    let key = key.as_ref().and_then(|at| at.resolve(resolve, problems));
    chain.zip(key)
}
