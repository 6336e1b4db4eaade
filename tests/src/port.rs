//! [`free`]: a port for a server that a test starts.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// A port of 127.0.0.1 that nobody has, for TCP nor UDP, and that nobody got here before.
///
/// It is below those that connections get, by default, on Linux, macOS and Windows: one of these would be held for a
/// minute by a connection that has ended, and a server that is there by UDP, too, would start without TCP. What asks
/// for the port 0 itself and keeps it needs none of this.
///
/// # Panics
///
/// If all are taken.
pub fn free() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Tests of another process begin elsewhere.
    let begin = process::id().wrapping_mul(64);
    for _ in 0..20_000 {
        let nth = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let at = (Ipv4Addr::LOCALHOST, 10_000 + nth as u16);
        if TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok() {
            return at.1;
        }
    }
    panic!("all ports are taken");
}
