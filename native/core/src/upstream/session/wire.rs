//! The socket of a session and what waits to be written to it.

use std::io;
use std::mem;
use std::os::fd::RawFd;

use crate::tls::client::ClientTls;
use crate::upstream::outbox::Outbox;
use crate::upstream::socket::{Interest, Socket};
use crate::upstream::stats::{Stat, Stats};
use crate::upstream::transport::{Moved, Transport};

const BOTH: Interest = Interest { read: true, write: true };

/// The transport, its registration with the epoll, and the out buffer.
pub struct Wire {
    /// The byte stream.
    pub transport: Transport,
    /// Bytes to write.
    pub out: Outbox,
    epoll: RawFd,
    token: u64,
    interest: Interest,
    is_write_broken: bool,
    /// Of the out buffer, as counted in [`Stat::QueuedBytes`].
    queued: u64,
}

impl Wire {
    /// A socket that connects, watched by an epoll under a token.
    pub fn new(socket: Socket, epoll: RawFd, token: u64) -> io::Result<Wire> {
        let transport = Transport::Plain(socket);
        transport.watch(epoll, token, Interest::NONE, BOTH)?;
        Ok(Wire { transport, out: Outbox::default(), epoll, token, interest: BOTH, is_write_broken: false, queued: 0 })
    }

    /// Replaces the socket by one to the next address.
    pub fn reconnect(&mut self, socket: Socket) -> io::Result<()> {
        self.transport = Transport::Plain(socket);
        self.interest = BOTH;
        self.transport.watch(self.epoll, self.token, Interest::NONE, BOTH)
    }

    /// Puts TLS over the socket; false when it cannot be had.
    pub fn secure(&mut self, tls: Option<&ClientTls>) -> bool {
        let plain = mem::replace(&mut self.transport, Transport::Gone);
        let Some(transport) = tls.and_then(|tls| plain.secure(tls)) else { return false };
        self.transport = transport;
        true
    }

    /// Whether the socket is watched for bytes to read.
    pub fn is_reading(&self) -> bool {
        self.interest.read
    }

    /// Whether the socket was full, and is watched for room to write.
    pub fn is_writing(&self) -> bool {
        self.interest.write
    }

    /// Watches for bytes to read, or not.
    pub fn watch_read(&mut self, read: bool) {
        self.watch(Interest { read, ..self.interest });
    }

    /// Watches for room to write, or not.
    pub fn watch_write(&mut self, write: bool) {
        self.watch(Interest { write, ..self.interest });
    }

    /// Changes what the socket is watched for, if that is a change.
    pub fn watch(&mut self, interest: Interest) {
        if interest != self.interest {
            let _ = self.transport.watch(self.epoll, self.token, self.interest, interest);
            self.interest = interest;
        }
    }

    /// Whether a write failed. The socket takes nothing more, but the backend may have answered
    /// before it closed: reading goes on to the end.
    pub fn is_write_broken(&self) -> bool {
        self.is_write_broken
    }

    /// Whether a write would do anything.
    pub fn has_output(&self) -> bool {
        !self.out.is_empty() && !self.interest.write && !self.is_write_broken
    }

    /// Writes what the kernel takes.
    pub fn write(&mut self, stats: &mut Stats) {
        while !self.out.is_empty() && !self.is_write_broken {
            match self.transport.write(self.out.pending()) {
                Moved::Bytes(count) => {
                    self.out.consume(count);
                    stats[Stat::BytesOut] += count as u64;
                }
                Moved::Blocked => return self.watch_write(true),
                Moved::End | Moved::Broken(_) => self.is_write_broken = true,
            }
        }
    }

    /// Recounts the bytes that wait for the backend; those of a closed session wait no more.
    pub fn recount(&mut self, is_closed: bool, stats: &mut Stats) {
        let queued = if is_closed { 0 } else { self.out.len() as u64 };
        stats[Stat::QueuedBytes] = stats[Stat::QueuedBytes] + queued - self.queued;
        self.queued = queued;
    }
}
