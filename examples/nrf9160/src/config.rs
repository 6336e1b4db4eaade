//! What is told to a firmware as it is built, by the environment.

use dfu_target_nrf_modem::port::Uuid;

/// `FOTA_NAME`: what this build calls itself in its log, so that one can be told from the next.
pub const NAME: &str = env!("FOTA_NAME");
/// `FOTA_URL`: the file that is wanted, over `https`.
pub const URL: &str = env!("FOTA_URL");
/// Where its digest lies, as `sha256sum` prints it: beside it, with `.sha256` behind its name.
pub const DIGEST_URL: &str = concat!(env!("FOTA_URL"), ".sha256");

/// `FOTA_TAG`: the modem's security tag that holds the certificate of the server's authority; 42 without.
pub const TAG: u32 = match u32::from_str_radix(env!("FOTA_TAG"), 10) {
    Ok(tag) => tag,
    Err(_) => panic!("FOTA_TAG is a number"),
};

/// `FOTA_CA`: the path of that certificate, in PEM. Where it was given, a modem whose tag is empty gets it.
pub const CA: &str = include_str!(concat!(env!("OUT_DIR"), "/ca.pem"));

/// `FOTA_BASE`: the modem firmware that the delta is for, by its UUID; without, the modem itself says whether it is.
pub const BASE: Option<Uuid> = match option_env!("FOTA_BASE") {
    Some(text) => match text.as_bytes().as_array() {
        Some(uuid) => Some(Uuid(*uuid)),
        None => panic!("FOTA_BASE is a UUID of 36 characters"),
    },
    None => None,
};
