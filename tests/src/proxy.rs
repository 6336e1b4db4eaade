//! [`Proxy`]: a longer way to a real server on this machine, on which datagrams may get lost.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// A port of this machine that leads to another one, by threads and in real time. It ends when it is dropped.
///
/// What it is for is a comparison of two transfers in one run. Where time itself is to be right, use
/// [`Timeline`](crate::time::Timeline).
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    line: Arc<Line>,
}

/// What all its threads share.
#[derive(Debug)]
struct Line {
    delay: Duration,
    /// Of 65,536 datagrams, how many get lost.
    loss: u32,
    random: Mutex<fastrand::Rng>,
    ended: AtomicBool,
    carried: AtomicU64,
    lost: AtomicU64,
}

/// How long a thread waits before it looks whether all has ended.
const LOOK: Duration = Duration::from_millis(50);

impl Proxy {
    /// For datagrams: each takes half of `round_trip`, and in each direction so many of a hundred get lost, by chance
    /// from `seed`.
    pub fn udp(server: SocketAddr, round_trip: Duration, loss_percent: f64, seed: u64) -> io::Result<Self> {
        let line = Line::new(round_trip, loss_percent, seed);
        let front = Arc::new(listening()?);
        let port = front.local_addr()?.port();
        let shared = line.clone();
        thread::spawn(move || {
            let mut ways = HashMap::<SocketAddr, Sender<Parcel>>::new();
            let mut buf = [0; 65_536];
            while !shared.has_ended() {
                let Ok((count, client)) = front.recv_from(&mut buf) else { continue };
                let Some(parcel) = shared.take(&buf[..count]) else { continue };
                let way = match ways.entry(client) {
                    std::collections::hash_map::Entry::Occupied(way) => way.into_mut(),
                    std::collections::hash_map::Entry::Vacant(place) => {
                        let Ok(way) = way_of(&shared, &front, client, server) else { continue };
                        place.insert(way)
                    }
                };
                let _ = way.send(parcel);
            }
        });
        Ok(Self { port, line })
    }

    /// For connections: bytes take half of `round_trip` in each direction, and opening one takes no time.
    pub fn tcp(server: SocketAddr, round_trip: Duration) -> io::Result<Self> {
        let line = Line::new(round_trip, 0.0, 0);
        let front = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        front.set_nonblocking(true)?;
        let port = front.local_addr()?.port();
        let shared = line.clone();
        thread::spawn(move || {
            while !shared.has_ended() {
                let Ok((client, _)) = front.accept() else {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                let Ok(server) = TcpStream::connect(server) else { continue };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let _ = from.set_nonblocking(false);
                    let _ = from.set_nodelay(true);
                    if let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) {
                        stream(&shared, from, to);
                    }
                }
            }
        });
        Ok(Self { port, line })
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The bytes that it was given, in both directions, those that got lost among them.
    pub fn carried(&self) -> u64 {
        self.line.carried.load(Ordering::Relaxed)
    }

    /// How many datagrams got lost.
    pub fn lost(&self) -> u64 {
        self.line.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.line.ended.store(true, Ordering::Relaxed);
    }
}

/// Bytes, and when they are there.
type Parcel = (Instant, Vec<u8>);

impl Line {
    fn new(round_trip: Duration, loss_percent: f64, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            delay: round_trip / 2,
            loss: (loss_percent * 655.36) as u32,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            ended: AtomicBool::new(false),
            carried: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        })
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Takes bytes on; `None`: they get lost.
    fn take(&self, bytes: &[u8]) -> Option<Parcel> {
        self.carried.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let dice = self.random.lock().map_or(0, |mut random| random.u32(0..65_536));
        if dice < self.loss {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some((Instant::now() + self.delay, bytes.to_vec()))
    }
}

fn listening() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(LOOK))?;
    Ok(socket)
}

/// Hands parcels over when they are due.
fn deliver(parcels: Receiver<Parcel>, mut give: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static) {
    thread::spawn(move || {
        for (due, bytes) in parcels {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if give(&bytes).is_err() {
                break;
            }
        }
    });
}

/// The way of one client's datagrams to the server, and back.
fn way_of(
    line: &Arc<Line>,
    front: &Arc<UdpSocket>,
    client: SocketAddr,
    server: SocketAddr,
) -> io::Result<Sender<Parcel>> {
    let back = Arc::new(listening()?);
    back.connect(server)?;
    let ((there, to_server), (home, to_client)) = (channel(), channel());
    let socket = back.clone();
    // A server that is not there, or not any more, is a loss.
    deliver(to_server, move |bytes| socket.send(bytes).map(|_| ()).or(Ok(())));
    let socket = front.clone();
    deliver(to_client, move |bytes| socket.send_to(bytes, client).map(|_| ()).or(Ok(())));
    let line = line.clone();
    thread::spawn(move || {
        let mut buf = [0; 65_536];
        while !line.has_ended() {
            let Ok(count) = back.recv(&mut buf) else { continue };
            if let Some(parcel) = line.take(&buf[..count]) {
                let _ = home.send(parcel);
            }
        }
    });
    Ok(there)
}

/// One direction of a connection.
fn stream(line: &Arc<Line>, mut from: TcpStream, mut to: TcpStream) {
    let (parcels, due) = channel();
    deliver(due, move |bytes| if bytes.is_empty() { to.shutdown(Shutdown::Write) } else { to.write_all(bytes) });
    let line = line.clone();
    thread::spawn(move || {
        let _ = from.set_read_timeout(Some(LOOK));
        let mut buf = [0; 16_384];
        while !line.has_ended() {
            match from.read(&mut buf) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                came => {
                    let count = came.unwrap_or(0);
                    let Some(parcel) = line.take(&buf[..count]) else { continue };
                    if parcels.send(parcel).is_err() || count == 0 {
                        break;
                    }
                }
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_their_time_and_all_arrive() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::tcp(server.local_addr().unwrap(), Duration::from_millis(100)).unwrap();
        thread::spawn(move || {
            let (mut peer, _) = server.accept().unwrap();
            let mut asked = [0; 4];
            peer.read_exact(&mut asked).unwrap();
            assert_eq!(&asked, b"give");
            peer.write_all(&[7; 100_000]).unwrap();
        });
        let began = Instant::now();
        let mut client = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
        client.write_all(b"give").unwrap();
        let mut came = Vec::new();
        client.read_to_end(&mut came).unwrap();
        assert_eq!(came, [7; 100_000]);
        assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
        assert_eq!((proxy.carried(), proxy.lost()), (100_004, 0));
    }

    #[test]
    fn datagrams_take_their_time_and_some_get_lost() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::udp(server.local_addr().unwrap(), Duration::from_millis(60), 20.0, 3).unwrap();
        thread::spawn(move || {
            let mut buf = [0; 100];
            while let Ok((count, client)) = server.recv_from(&mut buf) {
                server.send_to(&buf[..count], client).unwrap();
            }
        });
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(("127.0.0.1", proxy.port())).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let began = Instant::now();
        for nth in 0..=255 {
            client.send(&[nth]).unwrap();
        }
        let mut came = Vec::<u8>::new();
        let mut buf = [0; 100];
        while let Ok(count) = client.recv(&mut buf) {
            assert!(began.elapsed() >= Duration::from_millis(60));
            came.extend(&buf[..count]);
        }
        assert!(came.is_sorted(), "one behind the other");
        // 0.8 times 0.8 of 256 are 164.
        assert!((130..200).contains(&came.len()), "{}", came.len());
        assert!(proxy.lost() > 50 && came.len() as u64 + proxy.lost() == 256, "{} {}", came.len(), proxy.lost());
    }
}
