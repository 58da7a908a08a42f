//! The timers of a reactor: a heap of deadlines, corrected lazily, over one timerfd.
//!
//! Deadlines of QUIC connections and exchanges move later with nearly every packet, so that costs
//! nothing: the owner's entry stays, and when it is due the owner is asked for its real deadline
//! and entered again. Only a deadline earlier than the owner's entry adds one. The timerfd follows
//! the same rule, so most turns make no system call for it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Instant;

/// Nanoseconds of the reactor's clock.
pub type Nanos = u64;

/// Microseconds between two times, saturating.
pub fn micros(from: Nanos, to: Nanos) -> u32 {
    (to.saturating_sub(from) / 1_000).min(u32::MAX as u64) as u32
}

/// No deadline.
pub const NEVER: Nanos = u64::MAX;

/// Monotonic time as a number; the only clock of a reactor.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        // It began a second ago, so that zero is always past and a little less than `now` cannot
        // wrap.
        let now = Instant::now();
        Clock { origin: now.checked_sub(std::time::Duration::from_secs(1)).unwrap_or(now) }
    }
}

impl Clock {
    /// Now.
    pub fn now(&self) -> Nanos {
        self.origin.elapsed().as_nanos() as Nanos
    }

    /// An instant as a number.
    pub fn nanos(&self, instant: Instant) -> Nanos {
        instant.saturating_duration_since(self.origin).as_nanos() as Nanos
    }

    /// A number as an instant.
    pub fn instant(&self, nanos: Nanos) -> Instant {
        self.origin + std::time::Duration::from_nanos(nanos)
    }
}

/// Entries that an owner keeps track of.
const KNOWN: usize = 3;

/// An owner's entries in the heap: when they are due, earliest first. Beyond its size it forgets
/// the latest.
#[derive(Clone, Copy, Debug)]
pub struct Armed([Nanos; KNOWN]);

impl Default for Armed {
    fn default() -> Self {
        Armed([NEVER; KNOWN])
    }
}

/// Deadlines are rounded up to this, QUIC's timer granularity (RFC 9002 §6.1.2): deadlines that
/// creep make fewer entries, and one wake-up serves several.
const GRAIN: Nanos = 1_000_000;

/// The heap and its timerfd.
pub struct Timers {
    heap: BinaryHeap<Reverse<(Nanos, u64)>>,
    fd: OwnedFd,
    set_for: Nanos,
}

impl Timers {
    /// An empty heap with a new timerfd.
    pub fn new() -> io::Result<Timers> {
        // SAFETY: plain system call; the descriptor is checked and owned at once.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` is a new descriptor that has no other owner.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Timers { heap: BinaryHeap::new(), fd, set_for: NEVER })
    }

    /// Descriptor that becomes readable when the earliest entry is due.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Ensures that `owner` is asked at `deadline` or earlier.
    pub fn arm(&mut self, armed: &mut Armed, deadline: Nanos, owner: u64) {
        if deadline == NEVER {
            return;
        }
        let deadline = deadline.next_multiple_of(GRAIN);
        if deadline >= armed.0[0] {
            return;
        }
        armed.0.copy_within(..KNOWN - 1, 1);
        armed.0[0] = deadline;
        self.heap.push(Reverse((deadline, owner)));
    }

    /// The next owner whose entry is due, with the entry's time, which [`Timers::is_current`]
    /// checks.
    pub fn pop_due(&mut self, now: Nanos) -> Option<(Nanos, u64)> {
        match self.heap.peek() {
            Some(Reverse((due, _))) if *due <= now => self.heap.pop().map(|Reverse(entry)| entry),
            _ => None,
        }
    }

    /// Whether an entry that is due is the owner's earliest. If so it is removed, and a later one
    /// in the heap serves again, so a deadline that moves to and fro does not add one each time.
    pub fn is_current(armed: &mut Armed, due: Nanos) -> bool {
        let is_current = armed.0[0] == due;
        if is_current {
            armed.0.copy_within(1.., 0);
            armed.0[KNOWN - 1] = NEVER;
        }
        is_current
    }

    /// Forgets every entry.
    pub fn clear(&mut self) {
        self.heap.clear();
        self.set_for = NEVER;
    }

    /// Sets the timerfd for the earliest entry, unless it is set for that time or earlier.
    pub fn set(&mut self, now: Nanos) {
        let Some(Reverse((due, _))) = self.heap.peek() else { return };
        if self.set_for <= *due && self.set_for > now {
            return;
        }
        self.set_for = *due;
        let wait = due.saturating_sub(now).max(1);
        let spec = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: libc::timespec { tv_sec: (wait / 1_000_000_000) as i64, tv_nsec: (wait % 1_000_000_000) as i64 },
        };
        // SAFETY: valid descriptor and pointer; setting also clears a pending expiry, so the fd
        // need not be read.
        unsafe { libc::timerfd_settime(self.fd(), 0, &spec, std::ptr::null_mut()) };
    }

    /// Resets the timerfd after it fired.
    pub fn acknowledge(&mut self) {
        let mut count = 0u64;
        // SAFETY: reads eight bytes into a u64.
        unsafe { libc::read(self.fd(), (&raw mut count).cast(), 8) };
        self.set_for = NEVER;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_that_moves_later_adds_no_entry() {
        let mut timers = Timers::new().unwrap();
        let mut armed = Armed::default();
        timers.arm(&mut armed, 10_000_000, 7);
        timers.arm(&mut armed, 20_000_000, 7);
        assert_eq!(timers.heap.len(), 1);
        assert_eq!(timers.pop_due(9_999_999), None);
        let (due, owner) = timers.pop_due(10_000_000).unwrap();
        assert_eq!(owner, 7);
        assert!(Timers::is_current(&mut armed, due));
    }

    #[test]
    fn an_earlier_deadline_is_asked_for_first_and_the_later_entry_is_used_again() {
        let mut timers = Timers::new().unwrap();
        let mut armed = Armed::default();
        timers.arm(&mut armed, 20_000_000, 7);
        timers.arm(&mut armed, 10_000_000, 7);
        let (due, _) = timers.pop_due(10_000_000).unwrap();
        assert!(Timers::is_current(&mut armed, due));
        timers.arm(&mut armed, 40_000_000, 7);
        assert_eq!(timers.heap.len(), 1);
        let (due, _) = timers.pop_due(30_000_000).unwrap();
        assert_eq!(due, 20_000_000);
        assert!(Timers::is_current(&mut armed, due));
        timers.arm(&mut armed, 40_000_000, 7);
        assert_eq!(timers.pop_due(50_000_000), Some((40_000_000, 7)));
    }

    #[test]
    fn deadlines_that_move_to_and_fro_leave_few_entries() {
        let mut timers = Timers::new().unwrap();
        let mut armed = Armed::default();
        // An idle timeout of thirty seconds that moves with every packet, a keep-alive, and a loss
        // timer beside them that strikes a thousand times before that.
        for round in 0..1_000 {
            let now = round * 30_000_000;
            for deadline in [now + 30_000_000_000, now + 5_000_000_000, now + 25_000_000] {
                timers.arm(&mut armed, deadline, 7);
            }
            while let Some((due, _)) = timers.pop_due(now + 30_000_000) {
                Timers::is_current(&mut armed, due);
            }
        }
        assert!(timers.heap.len() <= KNOWN, "{} entries", timers.heap.len());
    }

    #[test]
    fn an_entry_that_its_owner_has_forgotten_is_passed_over() {
        let mut timers = Timers::new().unwrap();
        let mut armed = Armed::default();
        for deadline in [50_000_000, 40_000_000, 30_000_000, 20_000_000] {
            timers.arm(&mut armed, deadline, 7);
        }
        let mut current = Vec::new();
        while let Some((due, _)) = timers.pop_due(60_000_000) {
            if Timers::is_current(&mut armed, due) {
                current.push(due);
            }
        }
        assert_eq!(current, [20_000_000, 30_000_000, 40_000_000]);
    }
}
