//! Each signature scheme on a simulated Cortex-M33, with images that imgtool signed: that it takes the true signature
//! and not one with a bit flipped, and what stack and how many instructions it takes. device.sh runs it.
#![no_std]
#![no_main]

use core::arch::asm;
use core::fmt::Write;
use core::hint::black_box;

use dfu_size::host::{Count, Host, exit};
use dfu_target::digest::SoftSha256;
use dfu_target_mcuboot::signature::{EcdsaP256, Ed25519, Ed25519Pure, Rsa2048, Rsa3072, Scheme};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../fixtures/", $name))
    };
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let engine = SoftSha256::default;
    let _ = writeln!(Host, "{:20} {:>6} {:>13} {:>12}", "scheme", "stack", "instructions", "per KiB");
    let good = row("p256", EcdsaP256, fixture!("keys/test-only-ecdsa-p256.pub.der"), fixture!("sig-ecdsa-p256.bin"))
        & row("ed25519", Ed25519, fixture!("keys/test-only-ed25519.pub.der"), fixture!("sig-ed25519.bin"))
        & row(
            "ed25519, SHA-512",
            Ed25519,
            fixture!("keys/test-only-ed25519.pub.der"),
            fixture!("sig-ed25519-sha512.bin"),
        )
        & row(
            "ed25519-pure",
            Ed25519Pure::default(),
            fixture!("keys/test-only-ed25519.pub.der"),
            fixture!("sig-ed25519-pure.bin"),
        )
        & row(
            "rsa2048",
            Rsa2048::new(engine()),
            fixture!("keys/test-only-rsa-2048.pub.der"),
            fixture!("sig-rsa-2048.bin"),
        )
        & row(
            "rsa3072",
            Rsa3072::new(engine()),
            fixture!("keys/test-only-rsa-3072.pub.der"),
            fixture!("sig-rsa-3072.bin"),
        );
    exit(if good { 0 } else { 1 })
}

/// One line about a scheme.
fn row<S: Scheme>(name: &str, mut scheme: S, key: &[u8], file: &[u8]) -> bool {
    let (true, Some((image, hash, signature))) = (S::accepts(key), parts(file, S::TLV)) else { return false };
    let mut stack = 0;
    let mut run = |signature: &[u8]| {
        let start = measure(&mut || scheme.start(key, signature).is_ok());
        let update = measure(&mut || {
            image.chunks(512).for_each(|piece| scheme.update(piece));
            true
        });
        let finish = measure(&mut || scheme.finish(key, hash, signature).is_ok());
        stack = [stack, start.stack, update.stack, finish.stack].into_iter().max().unwrap_or(0);
        (start.good && finish.good, start.instructions + finish.instructions, update.instructions)
    };
    let (mut good, instructions, hashing) = run(signature);
    let mut flipped = [0; 512];
    for at in (5..signature.len()).step_by(29) {
        for (to, from) in flipped.iter_mut().zip(signature) {
            *to = *from;
        }
        flipped[at] ^= 0x10;
        good &= !run(&flipped[..signature.len()]).0;
    }
    let per_kib = if S::PURE { hashing / (image.len() as u32 / 1024) } else { 0 };
    let verdict = if good { "" } else { "  WRONG" };
    let _ = writeln!(Host, "{name:20} {stack:6} {instructions:13} {per_kib:12}{verdict}");
    good
}

/// The hashed range, the hash and the signature of a file without protected TLVs.
fn parts(file: &[u8], tlv: u16) -> Option<(&[u8], &[u8], &[u8])> {
    let header = u16::from_le_bytes(file.get(8..10)?.try_into().ok()?);
    let payload = u32::from_le_bytes(file.get(12..16)?.try_into().ok()?);
    let (image, tlvs) = file.split_at_checked(usize::from(header) + payload as usize)?;
    let (mut hash, mut signature, mut rest) = (None, None, tlvs.get(4..)?);
    while let [low, high, short, long, entry @ ..] = rest {
        let value;
        (value, rest) = entry.split_at_checked(u16::from_le_bytes([*short, *long]).into())?;
        match u16::from_le_bytes([*low, *high]) {
            0x10..=0x12 => hash = Some(value),
            kind if kind == tlv => signature = Some(value),
            _ => {}
        }
    }
    Some((image, hash?, signature?))
}

struct Cost {
    good: bool,
    stack: usize,
    instructions: u32,
}

/// Paints the stack below, calls, and looks how far down the paint is gone.
#[inline(never)]
fn measure(call: &mut dyn FnMut() -> bool) -> Cost {
    const PAINT: u32 = 0xa5c3_965a;
    let top: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) top) };
    let stack = |at: usize| at as *mut u32;
    let bottom = top - 0x10000;
    for at in (bottom..top).step_by(4) {
        // SAFETY: RAM below the stack pointer; there are no interrupts.
        unsafe { stack(at).write_volatile(PAINT) };
    }
    let count = Count::start();
    let good = black_box(call)();
    let instructions = count.instructions();
    // SAFETY: as above.
    let used = (bottom..top).step_by(4).find(|at| unsafe { stack(*at).read_volatile() } != PAINT);
    Cost { good, stack: top - used.unwrap_or(top), instructions }
}
