//! The flash beside the chip: MX25R6435F, on boards of version 0.14.0 and later, where the board controller routes it.

use dfu_apps::nor::{Nor, NorError};
use embassy_nrf::gpio::{AnyPin, Level, Output, OutputDrive};
use embassy_nrf::spim::{self, Spim};
use embassy_nrf::{Peri, bind_interrupts, peripherals};
use embassy_time::Delay;
use embedded_hal_bus::spi::{DeviceError, ExclusiveDevice};

use crate::map::MAP;

bind_interrupts!(struct Irqs {
    SERIAL3 => spim::InterruptHandler<peripherals::SERIAL3>;
});

const SIZE: u32 = match MAP.device("external") {
    Ok(device) => device.size(),
    Err(error) => error.stop(),
};
/// Macronix, of the MX25R family, 64 Mbit.
const ID: [u8; 3] = [0xc2, 0x28, 0x17];

type Bus = ExclusiveDevice<Spim<'static>, Output<'static>, Delay>;
/// The flash beside the chip.
pub type ExternalFlash = Nor<Bus, Delay, SIZE>;
/// Why it cannot be had, or failed.
pub type ExternalError = NorError<DeviceError<spim::Error, core::convert::Infallible>>;

/// Its bus and its pins.
pub struct External {
    pub(crate) bus: Peri<'static, peripherals::SERIAL3>,
    pub(crate) clock: Peri<'static, AnyPin>,
    pub(crate) from_flash: Peri<'static, AnyPin>,
    pub(crate) to_flash: Peri<'static, AnyPin>,
    pub(crate) select: Peri<'static, AnyPin>,
}

impl External {
    /// Finds the flash, or says within a second that it is not there.
    pub async fn open(self) -> Result<ExternalFlash, ExternalError> {
        // 8 MHz and mode 0, as nothing else is said: the chip's low power mode takes that.
        let mut config = spim::Config::default();
        config.frequency = spim::Frequency::M8;
        let spi = Spim::new(self.bus, Irqs, self.clock, self.from_flash, self.to_flash, config);
        let Ok(device) = ExclusiveDevice::new(spi, Output::new(self.select, Level::High, OutputDrive::Standard), Delay);
        Nor::new(device, Delay, ID).await
    }
}
