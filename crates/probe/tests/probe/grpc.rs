//! Health over gRPC, against hyper's server saying what grpc.health.v1 says.

use std::{convert::Infallible, net::SocketAddr};

use ::http::{HeaderMap, Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::{check, http2 as second, kind, perform};

type Answer = Response<BoxBody<Bytes, Infallible>>;

async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let builder = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service_fn(health)));
        }
    });
    at
}

/// `pay.v1` is well, `slow.v1` is not, of others nothing is known.
async fn health(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!((head.uri.path(), &head.method), ("/grpc.health.v1.Health/Check", &::http::Method::POST));
    assert_eq!(head.headers["te"], "trailers");
    let status = match &body[..] {
        b"\0\0\0\0\0" | b"\0\0\0\0\x08\x0a\x06pay.v1" => 1,
        b"\0\0\0\0\x09\x0a\x07slow.v1" => 2,
        _ => 0,
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", if status == 0 { "5" } else { "0" }.parse().unwrap());
    let answer = Response::builder().header("content-type", "application/grpc");
    if status == 0 {
        trailers.insert("grpc-message", "unknown service".parse().unwrap());
        let mut answer = answer.body(Full::default().boxed()).unwrap();
        // There is no message, so that all stands in the one block of headers.
        answer.headers_mut().extend(trailers);
        return Ok(answer);
    }
    let message = Full::new(Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]));
    Ok(answer.body(message.with_trailers(async { Some(Ok(trailers)) }).boxed()).unwrap())
}

#[tokio::test]
async fn a_service_s_health_is_told() {
    let at = server().await;
    for (path, wanted, said) in [
        ("", None, Some("SERVING")),
        ("/pay.v1", None, Some("SERVING")),
        ("/slow.v1", Some("grpc_not_serving"), None),
        ("/gone.v1", Some("grpc_status"), None),
    ] {
        let report = perform(&check(&format!("grpc://{at}{path}"))).await;
        assert_eq!((kind(&report), report.banner.as_deref()), (wanted, said), "{path}: {:?}", report.fault);
        assert!(report.timings.first_byte_us.is_some() && report.timings.body_us.is_some());
    }
}

#[tokio::test]
async fn what_is_no_grpc_is_told() {
    let (at, _) = second::server(None).await;
    let report = perform(&check(&format!("grpc://{at}"))).await;
    assert_eq!(kind(&report), Some("malformed"));
    assert!(report.fault.unwrap().to_string().contains("no gRPC"));
}
