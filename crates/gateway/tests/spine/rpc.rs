//! gRPC by an implementation of somebody else's: upstreams that do what a test has them do, and clients.

use std::{
    future::{Ready, ready},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use bytes::{Buf, BufMut};
use futures_util::{Stream, future::BoxFuture};
use http::{HeaderMap, uri::PathAndQuery};
use hyper::{Request, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use seawall_runtime::net::{
    Conn,
    server_tls::{ClientCertificates, Pair, ServerTls},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{
    Status, Streaming,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::StreamingService,
    transport::{Channel, Endpoint},
};

use crate::{pki::Issued, port::Port};

/// Messages as they are.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plain;

impl Codec for Plain {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, dst: &mut EncodeBuf<'_>) -> Result<(), Status> {
        dst.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, src: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; src.remaining()];
        src.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}

/// Messages of an answer.
pub(crate) type Messages = Pin<Box<dyn Stream<Item = Result<Vec<u8>, Status>> + Send>>;
/// What a call comes to.
pub(crate) type Told = Result<Messages, Status>;
type Script = Arc<dyn Fn(String, Streaming<Vec<u8>>) -> BoxFuture<'static, Told> + Send + Sync>;

/// A call as it came in.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
}

struct Served {
    script: Script,
    path: String,
}

impl StreamingService<Vec<u8>> for Served {
    type Response = Vec<u8>;
    type ResponseStream = Messages;
    type Future = BoxFuture<'static, Result<tonic::Response<Messages>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Vec<u8>>>) -> Self::Future {
        let told = (self.script)(self.path.clone(), request.into_inner());
        Box::pin(async move { told.await.map(tonic::Response::new) })
    }
}

/// An upstream that speaks gRPC on a port of its own.
pub(crate) struct Peer {
    port: Arc<Port>,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: JoinHandle<()>,
}

impl Peer {
    pub(crate) fn new<F>(script: impl Fn(String, Streaming<Vec<u8>>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Told> + Send + 'static,
    {
        Self::by(script, None)
    }

    /// One that speaks TLS.
    pub(crate) fn over_tls(issued: &Issued) -> Self {
        let pair = Pair { name: "peer", chain: &issued.chain, key: &issued.key };
        Self::by(echo, Some(ServerTls::new(&[pair], ClientCertificates::NotAsked, None).unwrap()))
    }

    fn by<F>(
        script: impl Fn(String, Streaming<Vec<u8>>) -> F + Send + Sync + 'static,
        tls: Option<ServerTls>,
    ) -> Self
    where
        F: Future<Output = Told> + Send + 'static,
    {
        let port = Arc::new(Port::new());
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let script: Script = Arc::new(move |path, messages| Box::pin(script(path, messages)));
        let serving = tokio::spawn(serve(port.listen(), tls, script, asked.clone()));
        Self { port, asked, serving }
    }

    pub(crate) fn at(&self) -> SocketAddr {
        self.port.at()
    }

    /// Every call so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Closes its listener and every connection.
    pub(crate) async fn die(&mut self) {
        self.serving.abort();
        let _ = (&mut self.serving).await;
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, tls: Option<ServerTls>, script: Script, asked: Arc<Mutex<Vec<Asked>>>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (script, asked) = (script.clone(), asked.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let path = request.uri().path().to_owned();
            asked.lock().unwrap().push(Asked { path: path.clone(), headers: request.headers().clone() });
            let served = Served { script: script.clone(), path };
            async move {
                let answer = tonic::server::Grpc::new(Plain).streaming(served, request).await;
                Ok::<_, std::convert::Infallible>(answer)
            }
        });
        let tls = tls.clone();
        connections.spawn(async move {
            let conn = match tls {
                None => Conn::Tcp(stream),
                Some(tls) => tls.accept(Conn::Tcp(stream)).await.unwrap().conn,
            };
            let builder = http2::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(conn), service).await;
        });
    }
}

/// Answers with what it is sent.
pub(crate) fn echo(_: String, messages: Streaming<Vec<u8>>) -> Ready<Told> {
    ready(Ok(Box::pin(messages)))
}

/// A client.
pub(crate) async fn client(at: SocketAddr) -> tonic::client::Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{at}")).unwrap();
    let mut client = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
    client.ready().await.unwrap();
    client
}

/// One message, and the one that comes back.
pub(crate) async fn unary(at: SocketAddr, path: &'static str, message: &[u8]) -> Result<Vec<u8>, Status> {
    let request = tonic::Request::new(message.to_vec());
    let mut client = client(at).await;
    client.unary(request, PathAndQuery::from_static(path), Plain).await.map(tonic::Response::into_inner)
}
