//! The CoAP source over TCP alone, read to its end.
#![no_std]
#![no_main]

use core::hint::black_box;

use dfu_size::Net;
use fota_download::coap::tcp::Settings;
use fota_download::source::Call;
use fota_download::{CoapTcp, Meta, Source};

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    dfu_size::run(async {
        black_box(source().await);
    })
}

async fn source() -> Option<()> {
    let (head, chunk) = dfu_size::buffers();
    let url = black_box("coap+tcp://firmware.example.com/app.bin");
    let settings = Settings::new(black_box(1)).window(black_box(8)).message(black_box(8_320));
    let mut source = CoapTcp::new(&Net, url, settings, head).ok()?;
    let (mut meta, mut count, mut open) = (Meta::default(), 0, true);
    loop {
        let call = if open { Call::Open(black_box(0), &mut meta) } else { Call::Read(chunk, &mut count) };
        source.call(call).await.ok()?;
        open = black_box(false);
        black_box(&*chunk);
        if black_box(count) == 0 {
            return Some(());
        }
    }
}
