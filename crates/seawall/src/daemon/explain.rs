//! `POST /v1/explain`: what would be done with a request now. It changes nothing and needs no token.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, StatusCode, body::Incoming};
use seawall_gateway::{ExplainError, ExplainRequest, Gateway};
use serde_json::json;

use super::admin::{json_answer, problem};

/// Largest request that is explained.
const BODY: usize = 1024 * 1024;

/// Answers `{"pool": "…", "request": …}`.
pub(super) async fn answer(gateway: Option<&Gateway>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Ok(body) = Limited::new(request.into_body(), BODY).collect().await else {
        return problem(StatusCode::PAYLOAD_TOO_LARGE, "SW0226", "the body is too large");
    };
    let body = body.to_bytes();
    let asked: ExplainRequest<'_> = match serde_json::from_slice(&body) {
        Ok(asked) => asked,
        Err(_) => {
            return problem(StatusCode::BAD_REQUEST, "SW0227", r#"send {"pool": "…", "request": …}"#);
        }
    };
    let Some(gateway) = gateway else {
        return problem(StatusCode::NOT_FOUND, "SW0228", "the estate has no pools");
    };
    match gateway.explain(asked.pool.as_deref(), asked.request.get().as_bytes()) {
        Ok(explanation) => json_answer(StatusCode::OK, &json!(explanation)),
        Err(e @ ExplainError::WhichPool(_)) => problem(StatusCode::NOT_FOUND, "SW0228", &e.to_string()),
        Err(e) => problem(StatusCode::BAD_REQUEST, "SW0241", &e.to_string()),
    }
}
