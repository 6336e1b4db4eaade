//! `coaps://` and `coaps+tcp://` with a pre-shared key: OpenSSL's DTLS and TLS, as connectors that block.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use embedded_io_async as eio;
use fota_download::coap::{Datagram, Datagrams, Security};
use fota_download::connect::{Connect, Failure, Server};
use openssl::ssl::{ErrorCode, HandshakeError, Ssl, SslContext, SslMethod, SslStream, SslVersion};

/// Opens DTLS sockets, and no others.
pub struct Dtls {
    context: SslContext,
    began: Instant,
    patience: Duration,
}

impl Dtls {
    /// With this identity and key; a handshake may take so long.
    pub fn new(identity: &str, key: &[u8], patience: Duration) -> Result<Self, Error> {
        let context = context(SslMethod::dtls_client(), None, identity, key)?;
        Ok(Self { context, began: Instant::now(), patience })
    }
}

/// With an identity and a key, and nothing else to trust in.
fn context(method: SslMethod, latest: Option<SslVersion>, identity: &str, key: &[u8]) -> Result<SslContext, Error> {
    let mut builder = SslContext::builder(method)?;
    builder.set_cipher_list("PSK")?;
    builder.set_max_proto_version(latest)?;
    let (identity, key) = (format!("{identity}\0"), key.to_vec());
    builder.set_psk_client_callback(move |_, _, name, psk| {
        let (Some(name), Some(psk)) = (name.get_mut(..identity.len()), psk.get_mut(..key.len())) else {
            return Ok(0);
        };
        name.copy_from_slice(identity.as_bytes());
        psk.copy_from_slice(&key);
        Ok(key.len())
    });
    Ok(builder.build())
}

/// Opens TLS connections, and no others.
pub struct Tls {
    context: SslContext,
    patience: Duration,
}

impl Tls {
    /// With this identity and key; a connection may say nothing for so long.
    pub fn new(identity: &str, key: &[u8], patience: Duration) -> Result<Self, Error> {
        // TLS 1.3 has keys of another kind.
        let context = context(SslMethod::tls_client(), Some(SslVersion::TLS1_2), identity, key)?;
        Ok(Self { context, patience })
    }
}

impl Connect for Tls {
    type Error = Error;
    type Conn<'c> = Conn;

    const TLS: bool = true;

    async fn connect(&self, server: Server<'_>) -> Result<Conn, Error> {
        if !server.tls {
            return Err(Error::Io(ErrorKind::Unsupported.into()));
        }
        let tcp = TcpStream::connect((server.host, server.port))?;
        tcp.set_read_timeout(Some(self.patience))?;
        tcp.set_nodelay(true)?;
        match Ssl::new(&self.context)?.connect(tcp) {
            Ok(stream) => Ok(Conn(stream)),
            Err(HandshakeError::WouldBlock(_)) => Err(Error::Io(ErrorKind::TimedOut.into())),
            Err(HandshakeError::SetupFailure(error)) => Err(error.into()),
            Err(HandshakeError::Failure(stream)) => Err(Error::Handshake(stream.error().to_string())),
        }
    }

    fn failure(error: &Error) -> Failure {
        match error {
            Error::Handshake(_) => Failure::Tls,
            _ => Failure::Network,
        }
    }
}

/// A connection to one server.
pub struct Conn(SslStream<TcpStream>);

impl eio::ErrorType for Conn {
    type Error = Error;
}

impl eio::Read for Conn {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        Ok(self.0.read(buf)?)
    }
}

impl eio::Write for Conn {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        Ok(self.0.write(bytes)?)
    }
    async fn flush(&mut self) -> Result<(), Error> {
        Ok(self.0.flush()?)
    }
}

/// A connected socket, a datagram each time.
#[derive(Debug)]
struct Wire(UdpSocket);

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buf)
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.0.send(datagram)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A session with one server.
pub struct Socket {
    stream: SslStream<Wire>,
    began: Instant,
}

impl Datagrams for Dtls {
    type Error = Error;
    type Socket<'c> = Socket;

    async fn connect(&self, security: Security, host: &str, port: u16) -> Result<Socket, Error> {
        if security != Security::Dtls {
            return Err(Error::Io(ErrorKind::Unsupported.into()));
        }
        let wire = UdpSocket::bind("127.0.0.1:0")?;
        wire.connect((host, port))?;
        wire.set_read_timeout(Some(Duration::from_millis(100)))?;
        let mut ssl = Ssl::new(&self.context)?;
        ssl.set_mtu(1400)?;
        let until = Instant::now() + self.patience;
        let mut result = ssl.connect(Wire(wire));
        loop {
            result = match result {
                Ok(stream) => return Ok(Socket { stream, began: self.began }),
                Err(HandshakeError::WouldBlock(stream)) if Instant::now() < until => stream.handshake(),
                Err(HandshakeError::WouldBlock(_)) => return Err(Error::Io(ErrorKind::TimedOut.into())),
                Err(HandshakeError::SetupFailure(error)) => return Err(error.into()),
                Err(HandshakeError::Failure(stream)) => return Err(Error::Handshake(stream.error().to_string())),
            };
        }
    }
}

impl Datagram for Socket {
    type Error = Error;

    async fn send(&mut self, datagram: &[u8]) -> Result<(), Error> {
        self.stream.ssl_write(datagram)?;
        Ok(())
    }

    async fn receive(&mut self, buf: &mut [u8], timeout_ms: u32) -> Result<Option<usize>, Error> {
        let timeout = Duration::from_millis(timeout_ms.max(1).into());
        self.stream.get_ref().0.set_read_timeout(Some(timeout))?;
        match self.stream.ssl_read(buf) {
            Ok(count) => Ok(Some(count)),
            Err(error) if error.code() == ErrorCode::WANT_READ => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn now_ms(&self) -> u32 {
        self.began.elapsed().as_millis() as u32
    }
}

/// Why a socket could not be opened, or failed.
#[derive(Debug)]
pub enum Error {
    /// The network.
    Io(io::Error),
    /// The two did not agree on a session.
    Handshake(String),
    /// The session.
    Dtls(openssl::ssl::Error),
    /// OpenSSL could not be set up.
    Setup(openssl::error::ErrorStack),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<openssl::ssl::Error> for Error {
    fn from(error: openssl::ssl::Error) -> Self {
        Self::Dtls(error)
    }
}

impl From<openssl::error::ErrorStack> for Error {
    fn from(error: openssl::error::ErrorStack) -> Self {
        Self::Setup(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Handshake(error) => write!(f, "no session: {error}"),
            Self::Dtls(error) => error.fmt(f),
            Self::Setup(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl eio::Error for Error {
    fn kind(&self) -> eio::ErrorKind {
        match self {
            Self::Io(error) => error.kind().into(),
            _ => eio::ErrorKind::Other,
        }
    }
}
