//! The device's network, which is this PC's: whom to trust, and a meter.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use fota_connectors::tokio::Net;
use fota_download::source::{Call, Meta};
use fota_download::{Remote, Source};
use std::time::Duration;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A file at a URL.
pub(crate) type File<'n, 'b> = Remote<'n, 'b, Net, Net>;

/// TCP, UDP, and TLS where a PEM file names who vouches for servers; records of TLS may have so many bytes.
pub(crate) fn net(ca: Option<&Path>, record: Option<u16>) -> anyhow::Result<Net> {
    let mut net = Net::new().connect_limit(PATIENCE).idle_limit(PATIENCE);
    if let Some(ca) = ca {
        let mut roots = RootCertStore::empty();
        let what = || format!("no certificates to be had from {}", ca.display());
        for certificate in CertificateDer::pem_file_iter(ca).with_context(what)? {
            roots.add(certificate.with_context(what)?).with_context(what)?;
        }
        anyhow::ensure!(!roots.is_empty(), what());
        net = net.tls(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()));
    }
    Ok(match record {
        Some(bytes) => net.record_limit(bytes),
        None => net,
    })
}

const PATIENCE: Duration = Duration::from_secs(10);

/// What was fetched and paid, over all of the device's lives.
#[derive(Default)]
pub(crate) struct Traffic {
    /// Bytes of the file.
    pub(crate) fetched: Cell<u64>,
    /// All that went to and came from servers.
    pub(crate) paid: Cell<u64>,
    /// Why the last call failed, if it did: the events of a download do not say it.
    pub(crate) failure: RefCell<Option<String>>,
}

/// A source whose bytes are counted.
pub(crate) struct Metered<'t, S: Source> {
    source: S,
    traffic: &'t Traffic,
    paid: u32,
}

impl<'t, S: Source> Metered<'t, S> {
    pub(crate) fn new(source: S, traffic: &'t Traffic) -> Self {
        Self { source, traffic, paid: 0 }
    }

    fn note<T>(&self, result: Result<T, S::Error>) -> Result<T, S::Error> {
        *self.traffic.failure.borrow_mut() = result.as_ref().err().map(ToString::to_string);
        result
    }

    fn settle(&mut self) {
        let paid = self.source.paid();
        self.traffic.paid.set(self.traffic.paid.get() + u64::from(paid - self.paid));
        self.paid = paid;
    }
}

/// Power may fail at any time.
impl<S: Source> Drop for Metered<'_, S> {
    fn drop(&mut self) {
        self.settle();
    }
}

impl<S: Source> Source for Metered<'_, S> {
    type Error = S::Error;

    async fn open(&mut self, from: u32) -> Result<Meta, S::Error> {
        let opened = self.source.open(from).await;
        self.note(opened)
    }

    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, S::Error> {
        let read = self.source.read(buf).await;
        let count = self.note(read)?;
        self.traffic.fetched.set(self.traffic.fetched.get() + count as u64);
        Ok(count)
    }

    fn paid(&self) -> u32 {
        self.source.paid()
    }

    fn close(&mut self) {
        self.source.close();
    }

    async fn call(&mut self, call: Call<'_>) -> Result<(), S::Error> {
        match call {
            Call::Open(from, meta) => *meta = self.open(from).await?,
            Call::Read(buf, count) => *count = self.read(buf).await?,
        }
        Ok(())
    }
}
