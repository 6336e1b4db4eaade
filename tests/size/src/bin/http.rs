//! The same with the download: HTTP source, retries, session, progress log, MCUboot target.
#![no_std]
#![no_main]

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(http())
}

async fn http() {}
