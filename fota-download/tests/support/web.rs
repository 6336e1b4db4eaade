//! Files over HTTP, from a real server.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::io;

use fota_download::http::{Error, Fault};
use fota_download::{Http, Meta, Source};

use crate::peers::{Peer, Tcp};
use crate::support::block_on;
use crate::versions::Way;

/// The way to a file, whose name is the last part of its path.
pub struct Web<'p> {
    peer: &'p Peer,
    url: String,
    tcp: Tcp,
}

impl<'p> Web<'p> {
    pub fn new(peer: &'p Peer, port: u16, path: &str) -> Self {
        Self { peer, url: format!("http://127.0.0.1:{port}/{path}"), tcp: Tcp::new() }
    }
}

impl Way for Web<'_> {
    type Source<'a>
        = Http<'a, 'a, Tcp>
    where
        Self: 'a;

    fn source<'a>(&'a self, buf: &'a mut [u8]) -> Self::Source<'a> {
        Http::new(&self.tcp, &self.url, buf).unwrap()
    }

    fn cut(&self) {
        self.tcp.cut.set(true);
    }

    fn put(&self, bytes: &[u8]) {
        self.peer.put(self.url.rsplit('/').next().unwrap(), bytes);
    }
}

pub fn read_all(
    source: &mut impl Source<Error = Error<io::Error>>,
    from: u32,
) -> Result<(Meta, Vec<u8>), Error<io::Error>> {
    block_on(async {
        let meta = source.open(from).await?;
        let (mut all, mut buf) = (Vec::new(), [0; 1_000]);
        loop {
            match source.read(&mut buf).await? {
                0 => return Ok((meta, all)),
                count => all.extend(&buf[..count]),
            }
        }
    })
}

pub fn fetch(url: &str, from: u32) -> Result<(Meta, Vec<u8>), Error<io::Error>> {
    read_all(&mut Http::new(&Tcp::new(), url, &mut [0; 1_024]).unwrap(), from)
}

pub fn fault(url: &str) -> Fault {
    match fetch(url, 0) {
        Err(Error::Answer(fault)) => fault,
        other => panic!("{url} gives {other:?}"),
    }
}
