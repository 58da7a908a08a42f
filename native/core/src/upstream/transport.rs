//! The byte stream of a session: plain TCP, or TLS over it. Nothing blocks.

use std::io::{self, Read, Write};
use std::os::fd::RawFd;

use boring::ssl::{ErrorCode, SslStream};

use super::socket::{Interest, Socket};
use crate::tls::client::{self, ClientTls, Failure};

/// Result of a read or a write.
#[derive(Debug, PartialEq, Eq)]
pub enum Moved {
    /// Bytes moved, at least one.
    Bytes(usize),
    /// It would block.
    Blocked,
    /// The peer ended its side in order (FIN; with TLS, close_notify).
    End,
    /// The connection is broken; the TLS alert received, if any.
    Broken(&'static str),
}

/// Result of a step of the handshake.
#[derive(Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Done; whether ALPN chose HTTP/2.
    Done { is_h2: bool },
    /// It would block, on reading or on writing.
    Blocked { is_writing: bool },
    /// It failed.
    Failed(Failure),
}

/// The stream.
pub enum Transport {
    /// TCP.
    Plain(Socket),
    /// TLS over TCP.
    Tls(Box<SslStream<Socket>>),
    /// None: the session is over.
    Gone,
}

impl Transport {
    /// Puts TLS over a connected socket.
    pub fn secure(self, tls: &ClientTls) -> Option<Transport> {
        match self {
            Transport::Plain(socket) => tls.begin(socket).ok().map(|stream| Transport::Tls(Box::new(stream))),
            Transport::Tls(_) => Some(self),
            Transport::Gone => None,
        }
    }

    /// Whether the stream is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Transport::Tls(_))
    }

    /// Advances the handshake.
    pub fn handshake(&mut self) -> Handshake {
        let Transport::Tls(stream) = self else { return Handshake::Done { is_h2: true } };
        stream.get_mut().allow(usize::MAX);
        match stream.connect() {
            Ok(()) => Handshake::Done { is_h2: stream.ssl().selected_alpn_protocol() == Some(b"h2") },
            Err(error) if error.code() == ErrorCode::WANT_READ => Handshake::Blocked { is_writing: false },
            Err(error) if error.code() == ErrorCode::WANT_WRITE => Handshake::Blocked { is_writing: true },
            Err(error) => Handshake::Failed(Failure::of_handshake(&error, stream.ssl())),
        }
    }

    /// Sets the stream's read budget for the turn and lends it the read-ahead buffer.
    pub fn begin_reading(&mut self, budget: usize, ahead: &mut Option<Box<[u8]>>) {
        match self {
            Transport::Plain(socket) => socket.allow(budget),
            Transport::Tls(stream) => {
                let socket = stream.get_mut();
                socket.allow(budget);
                if let Some(buffer) = ahead.take() {
                    socket.lend(buffer);
                }
            }
            Transport::Gone => {}
        }
    }

    /// Ends what [`Transport::begin_reading`] began.
    pub fn end_reading(&mut self, ahead: &mut Option<Box<[u8]>>) {
        if let Transport::Tls(stream) = self
            && let Some(buffer) = stream.get_mut().take_back()
        {
            *ahead = Some(buffer);
        }
    }

    /// Reads what is there.
    pub fn read(&mut self, into: &mut [u8]) -> Moved {
        match self {
            Transport::Plain(socket) => match socket.read(into) {
                Ok(0) => Moved::End,
                other => plain(other),
            },
            Transport::Tls(stream) => secure(stream.ssl_read(into)),
            Transport::Gone => Moved::Broken(""),
        }
    }

    /// Writes what fits.
    pub fn write(&mut self, bytes: &[u8]) -> Moved {
        match self {
            Transport::Plain(socket) => plain(socket.write(bytes)),
            Transport::Tls(stream) => secure(stream.ssl_write(bytes)),
            Transport::Gone => Moved::Broken(""),
        }
    }

    /// Sends close_notify, as far as it fits.
    pub fn close(&mut self) {
        if let Transport::Tls(stream) = self {
            let _ = stream.shutdown();
        }
    }

    /// Result of connecting.
    pub fn connected(&self) -> io::Result<()> {
        self.socket().map_or_else(|| Err(io::ErrorKind::NotConnected.into()), Socket::connected)
    }

    /// Changes what the socket is watched for.
    pub fn watch(&self, epoll: RawFd, token: u64, before: Interest, now: Interest) -> io::Result<()> {
        self.socket().map_or(Ok(()), |socket| socket.watch(epoll, token, before, now))
    }

    fn socket(&self) -> Option<&Socket> {
        match self {
            Transport::Plain(socket) => Some(socket),
            Transport::Tls(stream) => Some(stream.get_ref()),
            Transport::Gone => None,
        }
    }
}

fn plain(result: io::Result<usize>) -> Moved {
    match result {
        Ok(count) => Moved::Bytes(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Moved::Blocked,
        Err(_) => Moved::Broken(""),
    }
}

fn secure(result: Result<usize, boring::ssl::Error>) -> Moved {
    match result {
        Ok(0) => Moved::End,
        Ok(count) => Moved::Bytes(count),
        Err(error) => match error.code() {
            ErrorCode::WANT_READ | ErrorCode::WANT_WRITE => Moved::Blocked,
            ErrorCode::ZERO_RETURN => Moved::End,
            _ => Moved::Broken(client::alert_of(&error)),
        },
    }
}
