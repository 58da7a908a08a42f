//! epoll, level-triggered, with a token for each descriptor. The worker's event loop waits for its
//! own descriptor.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// What a descriptor is ready for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Data, an error or the end can be read.
    pub is_readable: bool,
    /// Bytes can be written.
    pub is_writable: bool,
}

/// An epoll instance and room for one call's events.
pub struct Poll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// Events of one call; more come with the next.
const BATCH: usize = 64;

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

impl Poll {
    /// A new instance.
    pub fn new() -> io::Result<Poll> {
        // SAFETY: plain system call, the descriptor is checked and owned at once.
        let fd = unsafe { OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC))?) };
        Ok(Poll { fd, events: vec![libc::epoll_event { events: 0, u64: 0 }; BATCH] })
    }

    /// The epoll descriptor itself: readable when any event waits.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Watches a descriptor for reading, and for writing if asked.
    pub fn add(&self, fd: RawFd, token: u64, is_writing: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, is_writing)
    }

    /// Changes what a descriptor is watched for.
    pub fn modify(&self, fd: RawFd, token: u64, is_writing: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, is_writing)
    }

    /// Stops watching a descriptor.
    pub fn remove(&self, fd: RawFd) {
        // It fails only for a descriptor that is not watched.
        let _ = self.control(libc::EPOLL_CTL_DEL, fd, 0, false);
    }

    fn control(&self, operation: libc::c_int, fd: RawFd, token: u64, is_writing: bool) -> io::Result<()> {
        let events = libc::EPOLLIN | if is_writing { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: both descriptors are open, the event lives through the call.
        checked(unsafe { libc::epoll_ctl(self.fd(), operation, fd, &mut event) }).map(|_| ())
    }

    /// Waits for events, up to `timeout_ms`. Returns their number, for [`Poll::event`].
    pub fn wait(&mut self, timeout_ms: i32) -> usize {
        // SAFETY: the buffer holds BATCH events.
        let count = unsafe { libc::epoll_wait(self.fd(), self.events.as_mut_ptr(), BATCH as i32, timeout_ms) };
        count.max(0) as usize
    }

    /// One of the events of the last [`Poll::wait`].
    pub fn event(&self, index: usize) -> (u64, Readiness) {
        let event = self.events[index];
        let bits = event.events as i32;
        let is_broken = bits & (libc::EPOLLERR | libc::EPOLLHUP) != 0;
        let readiness =
            Readiness { is_readable: bits & libc::EPOLLIN != 0 || is_broken, is_writable: bits & libc::EPOLLOUT != 0 || is_broken };
        (event.u64, readiness)
    }
}

/// An eventfd, by which another thread wakes this one.
pub struct Wake {
    fd: OwnedFd,
}

impl Wake {
    /// A new eventfd.
    pub fn new() -> io::Result<Wake> {
        // SAFETY: plain system call, the descriptor is checked and owned at once.
        let fd = unsafe { OwnedFd::from_raw_fd(checked(libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC))?) };
        Ok(Wake { fd })
    }

    /// Descriptor to watch.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Wakes the watcher. From any thread.
    pub fn wake(&self) {
        let one = 1u64;
        // SAFETY: writes eight bytes of a u64.
        unsafe { libc::write(self.fd(), (&raw const one).cast(), 8) };
    }

    /// Resets it.
    pub fn acknowledge(&self) {
        let mut count = 0u64;
        // SAFETY: reads eight bytes into a u64.
        unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
    }
}
