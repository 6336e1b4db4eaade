//! Which file is wanted: its digest lies beside it.

use defmt::{info, warn};
use dfu_apps::order;
use dfu_target::Digest;
use embassy_time::{Duration, Timer, with_timeout};
use fota_connectors::nrf_modem::RECORD_LIMIT;
use fota_download::http::UrlError;
use fota_download::{Backoff, Connect, Http, Job, Source};

use crate::config;
use crate::signs::Signs;

/// How often the digest is asked for, and how long that may take.
const ATTEMPTS: u32 = 5;
const LIMIT: Duration = Duration::from_secs(120);

/// A file over the modem's TLS, which takes short records only.
pub fn file<'c, 'b, C: Connect>(net: &'c C, url: &'b str, buf: &'b mut [u8]) -> Result<Http<'c, 'b, C>, UrlError> {
    Ok(Http::new(net, url, buf)?.record_limit(RECORD_LIMIT))
}

/// The digest of the file that is wanted. The server's certificate vouches for it.
pub async fn digest<C: Connect>(net: &C, signs: &Signs) -> Option<Digest> {
    for attempt in 1..=ATTEMPTS {
        let mut buf = [0; 2048];
        let mut file = file(net, config::DIGEST_URL, &mut buf).ok()?;
        match with_timeout(LIMIT, sum(&mut file)).await {
            Ok(Ok(Some(digest))) => {
                info!("wanted: {=[u8; 32]:02x}", digest.0);
                return Some(digest);
            }
            Ok(Ok(None)) => warn!("what lies at {} is no digest", config::DIGEST_URL),
            Ok(Err(_)) | Err(_) => warn!("{} could not be had", config::DIGEST_URL),
        }
        signs.alive();
        Timer::after_secs(u64::from(attempt).saturating_mul(10)).await;
    }
    None
}

/// Its first 64 characters.
async fn sum<S: Source>(file: &mut S) -> Result<Option<Digest>, S::Error> {
    file.open(0).await?;
    let (mut text, mut len) = ([0; 64], 0_usize);
    while let Some(space) = text.get_mut(len..).filter(|space| !space.is_empty()) {
        match file.read(space).await? {
            0 => break,
            got => len = len.saturating_add(got),
        }
    }
    file.close();
    Ok(core::str::from_utf8(&text).ok().and_then(order::sum))
}

/// The file with this digest; no wait within is longer than the watchdog bears, and an hour is the end of it.
pub fn job(digest: Digest) -> Job {
    Job::of(digest).backoff(Backoff::new().longest_ms(120_000)).silence(120_000).deadline(3_600_000)
}
