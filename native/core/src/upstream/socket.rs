//! A non-blocking TCP socket with a read budget, watched by the reactor's epoll.

use std::io::{self, Read, Write};
use std::mem;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::base::address;

/// Bytes read ahead of a TLS record, so that its header and body cost one system call.
pub const AHEAD_BYTES: usize = 16 * 1024 + 512;

/// The socket. [`Socket::allow`] sets its read budget; beyond that, reads would block. The epoll is
/// level-triggered and reports what is left at once.
pub struct Socket {
    fd: OwnedFd,
    budget: usize,
    ahead: Option<Box<[u8]>>,
    ahead_start: usize,
    ahead_end: usize,
}

/// What the epoll watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Bytes to read.
    pub read: bool,
    /// Room to write.
    pub write: bool,
}

impl Interest {
    /// Neither.
    pub const NONE: Interest = Interest { read: false, write: false };
}

impl Socket {
    /// Begins to connect. The socket becomes writable on success and on failure.
    pub fn connect(to: &SocketAddr) -> io::Result<Socket> {
        let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: plain system call; the descriptor is checked and owned at once.
        let fd = unsafe {
            let fd = libc::socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, libc::IPPROTO_TCP);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        let one: libc::c_int = 1;
        let mut name = address::empty();
        let name_len = address::write(to, &mut name);
        // SAFETY: option and address outlive the calls and have the sizes given.
        let result = unsafe {
            libc::setsockopt(fd.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, (&raw const one).cast(), size_of_u32(&one));
            libc::connect(fd.as_raw_fd(), (&raw const name).cast(), name_len)
        };
        if result < 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EINPROGRESS) {
                return Err(error);
            }
        }
        Ok(Socket { fd, budget: 0, ahead: None, ahead_start: 0, ahead_end: 0 })
    }

    /// Result of connecting, once the socket is writable.
    pub fn connected(&self) -> io::Result<()> {
        let mut error: libc::c_int = 0;
        let mut len = size_of_u32(&error);
        // SAFETY: the kernel writes at most `len` bytes into `error`.
        let result = unsafe { libc::getsockopt(self.raw(), libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut error).cast(), &mut len) };
        match (result, error) {
            (0, 0) => Ok(()),
            (0, code) => Err(io::Error::from_raw_os_error(code)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Bytes the socket may read from the kernel until the next call.
    pub fn allow(&mut self, budget: usize) {
        self.budget = budget;
    }

    /// Lends a read-ahead buffer; for TLS, which reads in small pieces.
    pub fn lend(&mut self, buffer: Box<[u8]>) {
        if self.ahead.is_none() {
            self.ahead = Some(buffer);
        }
    }

    /// Takes the buffer back if it is empty, as it is whenever TLS would block.
    pub fn take_back(&mut self) -> Option<Box<[u8]>> {
        if self.ahead_start == self.ahead_end { self.ahead.take() } else { None }
    }

    /// Changes what the socket is watched for. With no interest it is removed from the epoll, which
    /// would go on reporting a broken connection otherwise.
    pub fn watch(&self, epoll: RawFd, token: u64, before: Interest, now: Interest) -> io::Result<()> {
        let operation = match (before, now) {
            (Interest::NONE, Interest::NONE) => return Ok(()),
            (Interest::NONE, _) => libc::EPOLL_CTL_ADD,
            (_, Interest::NONE) => libc::EPOLL_CTL_DEL,
            _ => libc::EPOLL_CTL_MOD,
        };
        let events = if now.read { libc::EPOLLIN } else { 0 } | if now.write { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: both descriptors are open, the event lives through the call.
        if unsafe { libc::epoll_ctl(epoll, operation, self.raw(), &mut event) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn receive(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.budget == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = receive(self.raw(), into)?;
        self.budget = self.budget.saturating_sub(count.max(1));
        Ok(count)
    }

    fn refill(&mut self) -> io::Result<()> {
        if self.budget == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let fd = self.fd.as_raw_fd();
        let Some(buffer) = &mut self.ahead else { return Ok(()) };
        let count = receive(fd, buffer)?;
        self.budget = self.budget.saturating_sub(count.max(1));
        (self.ahead_start, self.ahead_end) = (0, count);
        Ok(())
    }
}

fn receive(fd: RawFd, into: &mut [u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the kernel writes at most the slice's length.
        let count = unsafe { libc::recv(fd, into.as_mut_ptr().cast(), into.len(), 0) };
        if count >= 0 {
            return Ok(count as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ahead_start == self.ahead_end {
            match &self.ahead {
                Some(buffer) if into.len() < buffer.len() => self.refill()?,
                _ => return self.receive(into),
            }
        }
        let Some(buffer) = &self.ahead else { return Ok(0) };
        let count = into.len().min(self.ahead_end - self.ahead_start);
        into[..count].copy_from_slice(&buffer[self.ahead_start..self.ahead_start + count]);
        self.ahead_start += count;
        Ok(count)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            // SAFETY: the kernel reads at most the slice's length.
            let count = unsafe { libc::send(self.raw(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
            if count >= 0 {
                return Ok(count as usize);
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn size_of_u32<T>(value: &T) -> libc::socklen_t {
    mem::size_of_val(value) as libc::socklen_t
}
