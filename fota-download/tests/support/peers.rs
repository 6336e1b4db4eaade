//! Real servers, each with a folder of its own, and the connections to them.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::cell::Cell;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use dfu_testkit::port;
use embedded_io_async::{Read, Write};
use fota_download::Connect;
use fota_download::connect::Server;

/// Says that a test is left out for want of this; a failure where `DFU_PEERS=required`.
pub fn skip<T>(what: &str) -> Option<T> {
    assert!(std::env::var("DFU_PEERS").as_deref() != Ok("required"), "{what} is not installed, and DFU_PEERS=required");
    println!("skipped: {what} is not installed");
    None
}

/// Where a program is; `None`, with the reason printed, where it is not.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.exists()).or_else(|| skip(name))
}

/// A folder with `www` in it, and the process that serves that. Both end with it.
pub struct Peer {
    pub child: Child,
    pub folder: PathBuf,
}

impl Peer {
    /// With a process that has ended already.
    pub fn new() -> Self {
        static NTH: AtomicU32 = AtomicU32::new(0);
        let nth = NTH.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("fota-peer-{}-{nth}", std::process::id()));
        fs::create_dir_all(folder.join("www")).unwrap();
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        Self { child, folder }
    }

    /// A web server of the folder on this port, once it serves.
    pub fn http(program: &Path, arguments: impl Fn(&Path, u16) -> Vec<String>) -> (Self, u16) {
        // Another process may take the port first.
        for _ in 0..5 {
            let mut peer = Self::new();
            let port = port::free();
            let mut command = Command::new(program);
            command.args(arguments(&peer.folder, port)).current_dir(&peer.folder);
            // Where caddy keeps its own files.
            command.env("HOME", &peer.folder).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
            peer.run(&mut command);
            let name = peer.folder.display().to_string();
            fs::write(peer.folder.join("www/ready"), &name).unwrap();
            let until = Instant::now() + Duration::from_secs(20);
            while peer.child.try_wait().unwrap().is_none() && Instant::now() < until {
                if get(port, "/ready").is_ok_and(|answer| answer.ends_with(&name)) {
                    return (peer, port);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        panic!("{} does not start", program.display());
    }

    /// Starts the process.
    pub fn run(&mut self, command: &mut Command) {
        self.child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    }

    /// Puts a file there in one go, as a careful operator does.
    ///
    /// Each is a minute younger than the one before: most servers name a version by length and second, so that two of
    /// the same length in the same second have the same name, and only the image's digest tells them apart.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        static AGE: AtomicU32 = AtomicU32::new(100_000);
        let age = Duration::from_secs(60) * AGE.fetch_sub(1, Ordering::Relaxed);
        self.put_at(name, bytes, SystemTime::now() - age);
    }

    /// The same for a file that was changed at this time.
    pub fn put_at(&self, name: &str, bytes: &[u8], modified: SystemTime) {
        let new = self.folder.join("new");
        fs::write(&new, bytes).unwrap();
        fs::File::options().write(true).open(&new).unwrap().set_modified(modified).unwrap();
        fs::rename(new, self.folder.join("www").join(name)).unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A whole answer, by no code of ours.
fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map(|_| answer)
}

/// TCP of the standard library, whose connections break: after so many bytes each, or when the test says so.
pub struct Tcp {
    breaks: Box<dyn Fn() -> usize>,
    pub opened: Cell<usize>,
    /// The open connection breaks at the next read.
    pub cut: Cell<bool>,
}

impl Tcp {
    pub fn new() -> Self {
        Self::breaking(|| usize::MAX)
    }

    pub fn breaking(breaks: impl Fn() -> usize + 'static) -> Self {
        Self { breaks: Box::new(breaks), opened: Cell::new(0), cut: Cell::new(false) }
    }
}

pub struct Conn<'t>(TcpStream, usize, &'t Tcp);

impl Connect for Tcp {
    type Error = std::io::Error;
    type Conn<'c> = Conn<'c>;

    async fn connect<'c>(&'c self, server: Server<'_>) -> std::io::Result<Conn<'c>> {
        self.opened.set(self.opened.get() + 1);
        let stream = TcpStream::connect((server.host, server.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Conn(stream, (self.breaks)(), self))
    }
}

impl embedded_io_async::ErrorType for Conn<'_> {
    type Error = std::io::Error;
}

impl Read for Conn<'_> {
    async fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let count = buf.len().min(self.1);
        if self.2.cut.take() || count == 0 {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        let count = self.0.read(&mut buf[..count])?;
        self.1 -= count;
        Ok(count)
    }
}

impl Write for Conn<'_> {
    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}
