//! A connector, and connections, whose operations are written down.

use embedded_io_async::{Error, ErrorType, Read, Write};
use fota_download::connect::{Connect, Failure, Server};

use crate::event::{About, Event, length};
use crate::flash::Traced;
use crate::recorder::{Recorder, sum};
use crate::sink::Sink;
use crate::wire::DATA;

/// A connection whose operations are written down, its end among them.
#[derive(Debug)]
pub struct TracedConn<'r, T: ErrorType, S: Sink> {
    inner: T,
    recorder: &'r Recorder<S>,
    failure: fn(&T::Error) -> Failure,
}

impl<C: Connect, S: Sink> Connect for Traced<'_, C, S> {
    type Error = C::Error;
    type Conn<'c>
        = TracedConn<'c, C::Conn<'c>, S>
    where
        Self: 'c;
    const TLS: bool = C::TLS;

    async fn connect<'c>(&'c self, server: Server<'_>) -> Result<Self::Conn<'c>, C::Error> {
        let host = server.host.as_bytes();
        let host = host.get(..DATA).unwrap_or(host);
        self.recorder.put(Event::Open { tls: server.tls, port: server.port, host });
        let opened = self.inner.connect(server).await;
        self.recorder.put(opened.as_ref().map_or_else(|error| broken(error, C::failure), |_| Event::Ready));
        Ok(TracedConn { inner: opened?, recorder: self.recorder, failure: C::failure })
    }

    fn failure(error: &C::Error) -> Failure {
        C::failure(error)
    }
}

impl<T: ErrorType, S: Sink> ErrorType for TracedConn<'_, T, S> {
    type Error = T::Error;
}

impl<T: Read, S: Sink> Read for TracedConn<'_, T, S> {
    async fn read(&mut self, buf: &mut [u8]) -> Result<usize, T::Error> {
        self.recorder.put(Event::Receive { len: length(buf.len()) });
        let came = self.inner.read(buf).await;
        match &came {
            Ok(count) => {
                let bytes = buf.get(..*count).unwrap_or(&[]);
                self.recorder.put(Event::Received { len: length(*count), sum: sum(bytes) });
                self.recorder.data(self.recorder.received_bytes, bytes);
            }
            Err(error) => self.recorder.put(broken(error, self.failure)),
        }
        came
    }
}

impl<T: Write, S: Sink> Write for TracedConn<'_, T, S> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, T::Error> {
        self.recorder.put(Event::Send { len: length(bytes.len()), sum: sum(bytes) });
        self.recorder.data(self.recorder.sent_bytes, bytes);
        let sent = self.inner.write(bytes).await;
        self.recorder.put(match &sent {
            Ok(count) => Event::Sent { len: length(*count) },
            Err(error) => broken(error, self.failure),
        });
        sent
    }

    async fn flush(&mut self) -> Result<(), T::Error> {
        self.recorder.put(Event::Flush);
        let left = self.inner.flush().await;
        self.recorder.put(left.as_ref().map_or_else(|error| broken(error, self.failure), |()| Event::Ready));
        left
    }
}

impl<T: ErrorType, S: Sink> Drop for TracedConn<'_, T, S> {
    fn drop(&mut self) {
        self.recorder.put(Event::Close);
    }
}

fn broken<E: Error>(error: &E, failure: fn(&E) -> Failure) -> Event<'static> {
    let about = match failure(error) {
        Failure::Tls => About::Tls,
        Failure::TooBig => About::TooBig,
        _ => About::Network,
    };
    Event::Broken { kind: error.kind(), about }
}
