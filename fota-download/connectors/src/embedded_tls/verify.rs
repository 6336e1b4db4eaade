//! Whom to believe: `embedded-tls`'s own checks, and what it leaves out.

use core::marker::PhantomData;

use ::embedded_tls::pki::CertVerifier;
use ::embedded_tls::{
    Aes128GcmSha256, Certificate, CertificateEntryRef, CertificateRef, CertificateVerifyRef, CryptoProvider,
    CryptoRngCore, TlsCipherSuite, TlsClock, TlsError, TlsVerifier,
};

pub(super) struct Provider<'a, R, K: TlsClock> {
    rng: R,
    verifier: Strict<'a, K>,
}

impl<'a, R: CryptoRngCore, K: TlsClock> Provider<'a, R, K> {
    pub(super) fn new(rng: R, authority: &'a [u8]) -> Self {
        let inner = CertVerifier::new(Certificate::X509(authority));
        Self { rng, verifier: Strict { inner, authority, shown: Shown::Nothing, clock: PhantomData } }
    }

    /// Whether the server showed a certificate that is to be trusted, and that it has its key.
    pub(super) fn vouched(&self) -> bool {
        self.verifier.shown == Shown::Key
    }
}

impl<R: CryptoRngCore, K: TlsClock> CryptoProvider for Provider<'_, R, K> {
    type CipherSuite = Aes128GcmSha256;
    /// Nothing is signed: clients have no certificate here.
    type Signature = [u8; 0];

    fn rng(&mut self) -> impl CryptoRngCore {
        &mut self.rng
    }

    fn verifier(&mut self) -> Result<&mut impl TlsVerifier<Aes128GcmSha256>, TlsError> {
        Ok(&mut self.verifier)
    }
}

/// `embedded-tls` goes on where the server leaves the certificate or the proof of its key out, panics where the proof
/// comes first, and takes any certificate of the authority for one that may sign others.
struct Strict<'a, K: TlsClock> {
    inner: CertVerifier<'a, Aes128GcmSha256, K, LONGEST>,
    authority: &'a [u8],
    shown: Shown,
    clock: PhantomData<fn() -> K>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    Certificate,
    Key,
}

/// What the server may show, in bytes: its certificate, and maybe the authority's.
const LONGEST: usize = 3072;

impl<K: TlsClock> TlsVerifier<Aes128GcmSha256> for Strict<'_, K> {
    fn set_hostname_verification(&mut self, host: &str) -> Result<(), TlsError> {
        self.inner.set_hostname_verification(host)
    }

    fn verify_certificate(
        &mut self,
        transcript: &<Aes128GcmSha256 as TlsCipherSuite>::Hash,
        shown: CertificateRef<'_>,
    ) -> Result<(), TlsError> {
        if self.shown != Shown::Nothing {
            return Err(TlsError::InvalidHandshake);
        }
        match shown.entries.as_slice() {
            [_] => {}
            // The authority's own after it does no harm.
            [_, CertificateEntryRef::X509(second)] if *second == self.authority => {}
            _ => return Err(TlsError::InvalidCertificate),
        }
        self.inner.verify_certificate(transcript, shown)?;
        self.shown = Shown::Certificate;
        Ok(())
    }

    fn verify_signature(&mut self, proof: CertificateVerifyRef<'_>) -> Result<(), TlsError> {
        if self.shown != Shown::Certificate {
            return Err(TlsError::InvalidHandshake);
        }
        self.inner.verify_signature(proof)?;
        self.shown = Shown::Key;
        Ok(())
    }
}
