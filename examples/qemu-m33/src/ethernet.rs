//! The machine's Ethernet controller, a LAN9118, for `embassy-net`.

use core::task::Context;

use embassy_net_driver::{Capabilities, Driver, HardwareAddress, LinkState};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::waitqueue::GenericAtomicWaker;

use crate::chip::{self, ETHERNET};

/// The controller. There is one: make one of these.
pub struct Ethernet {
    received: [u8; FRAME],
    sent: [u8; FRAME],
}

impl Ethernet {
    /// Starts it.
    pub fn start() -> Self {
        chip::write(HW_CFG, 1);
        while chip::read(HW_CFG) & 1 != 0 {}
        chip::write(FIFO_INT, 0);
        chip::write(IRQ_CFG, 0x111);
        chip::write(TX_CFG, 2);
        // Full duplex, transmit, receive.
        chip::write(MAC_DATA, 0x0010_000c);
        chip::write(MAC_CMD, 0x8000_0000 | MAC_CR);
        chip::unmask(ETHERNET);
        Self { received: [0; FRAME], sent: [0; FRAME] }
    }

    /// Whether a frame is there; if not, the waker is told when one is.
    fn has_frame(&mut self, context: &mut Context<'_>) -> bool {
        if frames() > 0 {
            return true;
        }
        WAKER.register(context.waker());
        chip::write(INT_STS, RECEIVED);
        chip::write(INT_EN, RECEIVED);
        // One may have come in between.
        frames() > 0
    }
}

impl Driver for Ethernet {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, Room<'_>)> {
        if !self.has_frame(context) {
            return None;
        }
        let status = chip::read(RX_STS);
        let length = (status >> 16 & 0x3fff) as usize;
        // Every word has to be taken, also of a frame that is longer than it may be.
        for word in 0..length.div_ceil(4) {
            let bytes = chip::read(RX_DATA).to_le_bytes();
            if let Some(place) = self.received.get_mut(word * 4..word * 4 + 4) {
                place.copy_from_slice(&bytes);
            }
        }
        // The checksum is counted.
        let frame = &mut self.received[..length.saturating_sub(4).min(FRAME)];
        Some((Received(frame), Room(&mut self.sent)))
    }

    fn transmit(&mut self, _: &mut Context<'_>) -> Option<Room<'_>> {
        // QEMU sends at once.
        Some(Room(&mut self.sent))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = 1514;
        capabilities.max_burst_size = Some(1);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet([0x52, 0x54, 0x00, 0x12, 0x34, 0x56])
    }
}

/// A frame that came.
pub struct Received<'a>(&'a mut [u8]);

impl embassy_net_driver::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

/// Room for a frame to be sent.
pub struct Room<'a>(&'a mut [u8; FRAME]);

impl embassy_net_driver::TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let result = fill(&mut self.0[..length]);
        // The first and the last segment of its frame.
        chip::write(TX_DATA, 1 << 13 | 1 << 12 | length as u32);
        chip::write(TX_DATA, (length << 16 | length) as u32);
        for word in self.0[..length.next_multiple_of(4)].chunks_exact(4) {
            chip::write(TX_DATA, u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        }
        chip::read(TX_STS);
        result
    }
}

fn frames() -> u32 {
    chip::read(RX_INF) >> 16 & 0xff
}

pub(crate) unsafe extern "C" fn interrupt() {
    chip::write(INT_EN, 0);
    WAKER.wake();
}

static WAKER: GenericAtomicWaker<CriticalSectionRawMutex> = GenericAtomicWaker::new(CriticalSectionRawMutex::new());

/// The longest frame, in bytes, and room to the next word.
const FRAME: usize = 1536;

const RX_DATA: usize = BASE;
const TX_DATA: usize = BASE + 0x20;
const RX_STS: usize = BASE + 0x40;
const TX_STS: usize = BASE + 0x48;
const IRQ_CFG: usize = BASE + 0x54;
const INT_STS: usize = BASE + 0x58;
const INT_EN: usize = BASE + 0x5c;
const FIFO_INT: usize = BASE + 0x68;
const TX_CFG: usize = BASE + 0x70;
const HW_CFG: usize = BASE + 0x74;
const RX_INF: usize = BASE + 0x7c;
const MAC_CMD: usize = BASE + 0xa4;
const MAC_DATA: usize = BASE + 0xa8;
const BASE: usize = 0x5200_0000;
/// The MAC's control register.
const MAC_CR: u32 = 1;
/// Frames are there to be taken.
const RECEIVED: u32 = 8;
