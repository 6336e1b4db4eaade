//! TLS by `rustls`, with the certificate authorities that the user names; and, on demand, as deaf to long records as the
//! nRF91's modem.

use std::fmt;
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use anyhow::Context as _;
use fota_download::connect::Failure;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{ClientConfig, Error as TlsError, RootCertStore};

/// A connection whose server was vouched for.
pub(super) type Secure = TlsStream<Records>;

pub(super) struct Tls {
    connector: TlsConnector,
    record: usize,
}

impl Tls {
    pub(super) fn new(ca: &Path, record: Option<u16>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        let what = || format!("no certificates to be had from {}", ca.display());
        for certificate in CertificateDer::pem_file_iter(ca).with_context(what)? {
            roots.add(certificate.with_context(what)?).with_context(what)?;
        }
        anyhow::ensure!(!roots.is_empty(), what());
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let record = record.map_or(usize::MAX, usize::from);
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), record })
    }

    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> Result<Box<Secure>, Error> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| Error::new(ErrorKind::InvalidInput, error))?;
        let records = Records { stream, limit: usize::MAX, head: [0; HEAD], came: 0, left: 0 };
        let mut stream = self.connector.connect(name, records).await?;
        // The modem is not as strict with its handshakes.
        stream.get_mut().0.limit = self.record;
        Ok(Box::new(stream))
    }
}

/// What an error is about.
pub(super) fn failure(error: &Error) -> Failure {
    match error.get_ref() {
        Some(cause) if cause.is::<TooBig>() => Failure::TooBig,
        Some(cause) if cause.is::<TlsError>() || cause.is::<InvalidDnsNameError>() || cause.is::<NoCa>() => {
            Failure::Tls
        }
        _ => Failure::Network,
    }
}

/// There is nobody to trust.
pub(super) fn no_ca() -> Error {
    Error::other(NoCa)
}

/// A TCP connection, and where in its TLS records it is.
pub(super) struct Records {
    stream: TcpStream,
    limit: usize,
    head: [u8; HEAD],
    /// How much of the head came.
    came: usize,
    /// How much of the record is to come.
    left: usize,
}

impl AsyncRead for Records {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let mut bytes = &buf.filled()[before..];
        while let [first, rest @ ..] = bytes {
            if this.left > 0 {
                let count = this.left.min(bytes.len());
                this.left -= count;
                bytes = &bytes[count..];
                continue;
            }
            this.head[this.came] = *first;
            this.came = (this.came + 1) % HEAD;
            bytes = rest;
            if this.came == 0 {
                this.left = u16::from_be_bytes([this.head[3], this.head[4]]).into();
                if this.left.saturating_sub(OVERHEAD) > this.limit {
                    return Poll::Ready(Err(Error::other(TooBig)));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Records {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Error>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Kind, version, length.
const HEAD: usize = 5;
/// What TLS 1.3 adds to what is sent: the kind and the tag.
const OVERHEAD: usize = 17;

/// As the modem says `EMSGSIZE`.
#[derive(Debug)]
struct TooBig;

impl fmt::Display for TooBig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a TLS record came that is longer than --tls-record")
    }
}

impl std::error::Error for TooBig {}

#[derive(Debug)]
struct NoCa;

impl fmt::Display for NoCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("name by --ca whom to trust")
    }
}

impl std::error::Error for NoCa {}
