//! The server: hyper on a loopback port, with ranges and validators by `http-serve`.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::pin::Pin;
use std::rc::Rc;

use dfu_target::Digest;
use futures_util::Stream;
use http_serve::{BoxError, Entity};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A server that gives one file, for as long as the program runs.
pub(crate) struct Server {
    port: u16,
    answers: Rc<RefCell<Vec<u16>>>,
}

impl Server {
    /// Starts on a free port, as a task of this thread.
    pub(crate) async fn start(file: Bytes, digest: Digest) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let answers = Rc::<RefCell<Vec<u16>>>::default();
        let file = File { bytes: file, digest };
        let log = answers.clone();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (file, log) = (file.clone(), log.clone());
                let service = service_fn(move |request| {
                    let answer = http_serve::serve(file.clone(), &request);
                    log.borrow_mut().push(answer.status().as_u16());
                    async { Ok::<_, Infallible>(answer) }
                });
                // A device that loses power drops its connection: no news here.
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::task::spawn_local(async { connection.await.ok() });
            }
        });
        Ok(Self { port, answers })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The status codes of its answers so far.
    pub(crate) fn answers(&self) -> Vec<u16> {
        self.answers.borrow().clone()
    }
}

/// A file in memory. Its strong validator is its digest, so it is the same on another port and another day.
#[derive(Clone)]
struct File {
    bytes: Bytes,
    digest: Digest,
}

impl Entity for File {
    type Error = BoxError;
    type Data = Bytes;

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn get_range(&self, range: Range<u64>) -> Pin<Box<dyn Stream<Item = Result<Bytes, BoxError>> + Send + Sync>> {
        let part = self.bytes.slice(range.start as usize..range.end as usize);
        Box::pin(futures_util::stream::iter([Ok(part)]))
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    }

    fn etag(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("\"{:.16}\"", self.digest.to_string())).ok()
    }

    fn last_modified(&self) -> Option<std::time::SystemTime> {
        None
    }
}
