//! The serial line to the PC: the first of the two that the board's USB offers, 115,200 baud.

use core::fmt::{self, Write};
use core::str;

use embassy_nrf::gpio::AnyPin;
use embassy_nrf::uarte::{self, Uarte, UarteRxWithIdle, UarteTx};
use embassy_nrf::{Peri, bind_interrupts, peripherals};

bind_interrupts!(struct Irqs {
    SERIAL0 => uarte::InterruptHandler<peripherals::SERIAL0>;
});

/// Its parts of the chip.
pub struct Console {
    pub(crate) uart: Peri<'static, peripherals::SERIAL0>,
    pub(crate) receive: Peri<'static, AnyPin>,
    pub(crate) send: Peri<'static, AnyPin>,
    pub(crate) timer: Peri<'static, peripherals::TIMER0>,
    pub(crate) channels: (Peri<'static, peripherals::PPI_CH0>, Peri<'static, peripherals::PPI_CH1>),
}

impl Console {
    /// Both ways of it.
    pub fn open(self) -> (Lines, Says) {
        let uart = Uarte::new(self.uart, self.receive, self.send, Irqs, uarte::Config::default());
        let (send, receive) = uart.split_with_idle(self.timer, self.channels.0, self.channels.1);
        (Lines(receive), Says(send))
    }
}

/// Lines that come.
pub struct Lines(UarteRxWithIdle<'static>);

impl Lines {
    /// The next line, or as much as fits in `buf`; nothing where that is no text.
    pub async fn next<'b>(&mut self, buf: &'b mut [u8]) -> &'b str {
        let mut len = 0_usize;
        while let Some((_, space)) = buf.split_at_mut_checked(len)
            && !space.is_empty()
        {
            // What comes at once, up to a pause of two characters. Nobody waits for a line with a clock.
            let got = self.0.read_until_idle(space).await.unwrap_or(0);
            len = len.saturating_add(got);
            if matches!(buf.get(..len).and_then(<[u8]>::last), Some(b'\r' | b'\n')) {
                break;
            }
        }
        buf.get(..len).and_then(|line| str::from_utf8(line).ok()).unwrap_or_default()
    }
}

/// Lines that go. They block for as long as they take: 87 µs a character.
pub struct Says(UarteTx<'static>);

impl Says {
    /// One line.
    pub fn line(&mut self, what: fmt::Arguments<'_>) {
        // A line to nobody is no reason to stop.
        let _ = self.write_fmt(what);
        let _ = self.write_str("\r\n");
    }
}

impl Write for Says {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Through RAM, and in pieces, as the hardware takes it.
        for piece in text.as_bytes().chunks(64) {
            self.0.blocking_write(piece).map_err(|_| fmt::Error)?;
        }
        Ok(())
    }
}
