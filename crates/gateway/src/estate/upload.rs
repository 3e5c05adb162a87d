//! Bodies of requests that go on as they come.

use seawall_model::{
    choice,
    estate::{Code, Place, Problem, Problems},
    units::Bytes,
};

use super::{
    paths::{IdAt, LookupRule, RawDedupe, RawPath},
    validate::within,
};

/// Largest body, where the estate does not say.
const LIMIT: Bytes = Bytes(1 << 30);
/// Least and most that the limit may be.
const LIMITS: (Bytes, Bytes) = (Bytes(1 << 10), Bytes(1 << 40));

choice! {
    /// What is done with a request's body.
    pub enum RawUpload {
        /// It is read whole before it is sent on.
        Hold = "hold",
        /// It goes on as it comes, to one upstream.
        Stream = "stream",
    }
}

/// How large a body of the rule's may be that goes on as it comes: `Some(None)` if they are held, `None` if the rule is
/// bad. What has gone on cannot be sent again, so that whatever needs that contradicts it.
pub(super) fn validate(
    raw: &RawPath,
    id: Option<&IdAt>,
    lookup: Option<&LookupRule>,
    problems: &mut Problems,
) -> Option<Option<u64>> {
    let mut contradict = |place: Option<Place>, message: &str, help: &str| {
        problems.report(Problem::new(Code::Contradiction, place, message).help(help));
        None
    };
    let Some(at) = raw.upload.filter(|at| at.value == RawUpload::Stream) else {
        return match raw.upload_limit {
            None => Some(None),
            Some(at) => {
                let message = "`upload_limit` means nothing unless `upload` is `stream`";
                contradict(Some(at.place), message, "remove it, or set `upload = \"stream\"`")
            }
        };
    };
    let known = raw.dedupe.is_some_and(|at| at.value != RawDedupe::Never);
    if known || raw.hedge || lookup.is_some_and(|lookup| lookup.resend) {
        let message = "a body that goes on as it comes cannot be sent twice";
        return contradict(
            Some(at.place),
            message,
            "remove `dedupe`, `hedge` and `lookup.resend`, or `upload`",
        );
    }
    if matches!(id, Some(IdAt::Body(_))) {
        let message = "in a body that goes on as it comes nobody looks for an id";
        return contradict(Some(at.place), message, "have the id in a header or in the path");
    }
    match raw.upload_limit {
        None => Some(Some(LIMIT.0)),
        Some(at) => within(at, LIMITS.0, LIMITS.1, "upload_limit", Bytes::to_string, problems)
            .map(|limit| Some(limit.0)),
    }
}
