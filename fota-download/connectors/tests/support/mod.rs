//! Servers on this PC's loopback, one thread each.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

#[path = "../../../tests/support/datagrams.rs"]
pub mod coap;

use std::future::Future;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use fota_download::{Connect, Http, Source};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, version};

/// So long is the silence in which a connection ends, in these tests.
pub const IDLE: Duration = Duration::from_millis(120);

pub fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The same bytes each time, no two blocks alike.
pub fn file(length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..length).map(|_| random.u8(..)).collect()
}

/// Each connection is given to `serve`, in a thread of its own.
pub fn tcp(at: &str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind(at).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (serve, stream) = (serve.clone(), stream.unwrap());
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Answers requests with a file, or the range of it that is asked for, until the client closes.
pub fn http(mut conn: impl Read + Write, file: &[u8]) {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while conn.read(&mut byte).is_ok_and(|count| count > 0) {
        request.push(byte[0]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut request)).unwrap().to_lowercase();
        let range = text.lines().find_map(|line| line.strip_prefix("range: bytes=")).map(|range| {
            let (from, to) = range.split_once('-').unwrap();
            let from: usize = from.parse().unwrap();
            (from, to.parse().map_or(file.len(), |to: usize| file.len().min(to + 1)))
        });
        let size = file.len();
        let (from, to) = range.unwrap_or((0, size));
        let mut answer = match range {
            Some(_) => format!("HTTP/1.1 206 P\r\nContent-Range: bytes {from}-{}/{size}\r\n", to - 1),
            None => "HTTP/1.1 200 OK\r\n".to_owned(),
        };
        answer += &format!("ETag: \"v1\"\r\nContent-Length: {}\r\n\r\n", to - from);
        let answer = [answer.as_bytes(), &file[from..to]].concat();
        if conn.write_all(&answer).and_then(|()| conn.flush()).is_err() {
            return;
        }
    }
}

/// Takes what is sent, and sends nothing, until the client closes.
pub fn silent(mut conn: impl Read) {
    while conn.read(&mut [0; 100]).is_ok_and(|count| count > 0) {}
}

/// Nobody listens there.
pub fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A server that answers to CoAP with a file.
pub fn coap(at: &str, file: &[u8]) -> SocketAddr {
    let socket = UdpSocket::bind(at).unwrap();
    let address = socket.local_addr().unwrap();
    let file = file.to_vec();
    thread::spawn(move || {
        let mut buf = [0; 2_000];
        loop {
            let Ok((count, client)) = socket.recv_from(&mut buf) else { continue };
            let request = coap::Msg::parse(&buf[..count]);
            if request.code == 1 {
                socket.send_to(&coap::serve(&request, &file, b"\x01\x02\x03\x04", 6).bytes(), client).unwrap();
            }
        }
    });
    address
}

/// A UDP server that does what it is told.
pub fn udp(at: &str, serve: impl FnOnce(UdpSocket) + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind(at).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || serve(socket));
    address
}

/// An authority, and a server that it vouches for.
pub struct Authority {
    pub ca: CertificateDer<'static>,
    pub config: Arc<ServerConfig>,
}

/// For `host`, with TLS 1.3 and nothing else.
pub fn authority(host: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap().der().clone();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder_with_protocol_versions(&[&version::TLS13]);
    let config = config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key);
    Authority { ca, config: Arc::new(config.unwrap()) }
}

/// TLS over it.
pub fn secure(config: &Arc<ServerConfig>, conn: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), conn)
}

/// All of a file, or why not.
pub async fn fetch<C: Connect>(net: &C, url: &str) -> Result<Vec<u8>, fota_download::http::Error<C::Error>> {
    let mut header = [0; 1_024];
    let mut source = Http::new(net, url, &mut header).unwrap();
    read(&mut source).await
}

pub async fn read<S: Source>(source: &mut S) -> Result<Vec<u8>, S::Error> {
    let size = source.open(0).await?.size.unwrap() as usize;
    let (mut all, mut buf) = (Vec::new(), [0; 500]);
    while all.len() < size {
        let count = source.read(&mut buf).await?;
        if count == 0 {
            // The end of a stretch.
            source.open(all.len() as u32).await?;
        }
        all.extend(&buf[..count]);
    }
    Ok(all)
}

/// That it takes about as long as the silence that is allowed.
pub async fn idles<T>(future: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let result = future.await;
    let took = began.elapsed();
    assert!(took >= IDLE && took < IDLE + Duration::from_secs(5), "{took:?}");
    result
}

/// A server's thread tells that its client closed the connection.
pub fn closing() -> (impl Fn(TcpStream) + Send + Sync + 'static, Receiver<()>) {
    let (closed, is_closed) = channel();
    let serve = move |conn| {
        silent(conn);
        _ = closed.send(());
    };
    (serve, is_closed)
}
