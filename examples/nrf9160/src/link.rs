//! The modem's start, and the way into the network.

use core::fmt::Write;

use defmt::{info, warn};
use dfu_target_nrf_modem::libmodem::start;
use embassy_time::{Delay, Duration, TimeoutError, with_timeout};
use fota_connectors::nrf_modem::Net;
use nrf_modem::{ConnectionPreference, Error, LteLink, SystemMode, send_at, send_at_bytes};

use crate::config;
use crate::memory;
use crate::signs::Signs;

/// How long the network may take to let the modem in, the first time with a SIM card above all.
const ATTACH: Duration = Duration::from_secs(480);
/// How long a command may take.
const COMMAND: Duration = Duration::from_secs(30);

/// Starts the modem, which installs a delta if one waits: that blocks for minutes. Once a reset.
pub async fn start(signs: &Signs) -> Result<(), Error> {
    let mode = SystemMode {
        lte_support: true,
        lte_psm_support: false,
        nbiot_support: false,
        gnss_support: false,
        preference: ConnectionPreference::None,
    };
    signs.alive();
    let started = nrf_modem::init_with_custom_layout(mode, memory::layout()).await;
    signs.alive();
    started
}

/// Prepares the modem library instead, for the modem's bootloader: the modem stays off until the reset.
pub fn hold_back() {
    start::hold_back();
    // It says that it was held back.
    let _ = nrf_modem::init_with_custom_layout_core(memory::layout());
}

/// Registers to the network over LTE-M, with the certificate in its place before. The modem stays registered for as long
/// as the link is there.
pub async fn attach(signs: &Signs) -> Result<LteLink, Error> {
    certify().await?;
    signs.alive();
    info!("waiting for the network");
    let link = LteLink::new().await?;
    match with_timeout(ATTACH, link.wait_for_link()).await {
        Ok(result) => result?,
        Err(TimeoutError) => return Err(Error::LteRegistrationDenied),
    }
    signs.alive();
    info!("registered");
    Ok(link)
}

/// Before a reset: out of the network, and the modem keeps what it knows of it.
pub async fn close(link: LteLink) {
    if !matches!(with_timeout(COMMAND, link.deactivate()).await, Ok(Ok(()))) {
        warn!("the modem does not leave the network as it should");
    }
    let _ = with_timeout(COMMAND, send_at::<0>("AT+CFUN=0")).await;
}

/// The network, with TLS by what the security tag holds.
pub fn net() -> Net<'static, Delay> {
    Net::new(Delay).tls(&[config::TAG])
}

/// Gives the modem the certificate, where it has none in that tag. It takes one only while it is off.
async fn certify() -> Result<(), Error> {
    if config::CA.is_empty() {
        return Ok(());
    }
    let mut command = Text::<4096>::new();
    let _ = write!(command, "AT%CMNG=1,{},0", config::TAG);
    let found = send_at_bytes::<64>(command.bytes()).await?;
    if found.contains("%CMNG: ") {
        return Ok(());
    }
    command.len = 0;
    if write!(command, "AT%CMNG=0,{},0,\"{}\"", config::TAG, config::CA.trim_end()).is_err() {
        warn!("the certificate is too long");
        return Ok(());
    }
    info!("the certificate goes into security tag {}", config::TAG);
    send_at_bytes::<0>(command.bytes()).await.map(|_| ())
}

/// Text in an array.
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len.saturating_add(text.len());
        let space = self.bytes.get_mut(self.len..end).ok_or(core::fmt::Error)?;
        space.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
