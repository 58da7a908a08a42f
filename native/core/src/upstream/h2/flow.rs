//! Flow control of the receiving side (RFC 9113 §5.2, §6.9): one window for each stream and one for
//! the session.

use crate::base::budget::{SMALL_SHARED_WINDOW, SMALL_WINDOW};
use crate::upstream::config::SessionLimits;
use crate::upstream::stats::{Stat, Stats};

/// No window may grow beyond this (RFC 9113 §6.9.1).
pub const MAX_WINDOW: i64 = 0x7fff_ffff;

/// Every window before SETTINGS or WINDOW_UPDATE (RFC 9113 §6.9.2).
pub const DEFAULT_WINDOW: i64 = 65_535;

/// A window of ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecvWindow {
    /// Bytes the peer may still send.
    left: i64,
    /// Size of the window: what is left, held or uncredited.
    size: u32,
    /// Bytes consumed for which no WINDOW_UPDATE was sent yet.
    uncredited: u32,
}

impl RecvWindow {
    /// A window with nothing received.
    pub fn new(size: u32) -> RecvWindow {
        RecvWindow { left: i64::from(size), size, uncredited: 0 }
    }

    /// Bytes the peer may still send.
    pub fn left(&self) -> i64 {
        self.left
    }

    /// Takes received bytes off; false when they exceed the window.
    #[must_use]
    pub fn receive(&mut self, bytes: usize) -> bool {
        self.left -= bytes as i64;
        self.left >= 0
    }

    /// Counts consumed bytes towards the next WINDOW_UPDATE.
    pub fn consume(&mut self, bytes: u32) {
        self.uncredited += bytes;
    }

    /// Whether half of the window was consumed.
    pub fn is_due(&self) -> bool {
        self.uncredited >= self.size.div_ceil(2)
    }

    /// Gives the consumed bytes back in a window of a new size. Returns the increment to send; 0
    /// for none.
    pub fn update(&mut self, size: u32) -> u32 {
        let more = (self.uncredited + size).saturating_sub(self.size);
        self.left += i64::from(more);
        (self.size, self.uncredited) = (size, 0);
        more
    }

    /// The size after the next update: four times as large up to `max`. Under memory pressure it
    /// shrinks as far as the consumed bytes allow.
    pub fn next_size(&self, max: u32, is_tight: bool) -> u32 {
        let small = SMALL_WINDOW.min(max);
        if is_tight { self.size.saturating_sub(self.uncredited).max(small).min(self.size) } else { self.size.saturating_mul(4).min(max) }
    }
}

/// Windows of the session as a whole, and the largest size of those of its streams.
pub struct Flow {
    /// Bytes of DATA we may send on all streams.
    pub send: i64,
    recv: RecvWindow,
    max_size: u32,
    max_stream_size: u32,
    /// As counted in [`Stat::GrantedBytes`].
    granted: u64,
}

impl Flow {
    /// Windows before the first frame.
    pub fn new(limits: &SessionLimits) -> Flow {
        let size = |max| limits.session_window_bytes.clamp(DEFAULT_WINDOW as u32, max);
        Flow {
            send: DEFAULT_WINDOW,
            recv: RecvWindow { left: DEFAULT_WINDOW, size: size(SMALL_SHARED_WINDOW), uncredited: 0 },
            max_size: size(MAX_WINDOW as u32),
            max_stream_size: limits.stream_window_bytes.clamp(1, MAX_WINDOW as u32),
            granted: 0,
        }
    }

    /// Opens the session's window to its first size. Returns the increment to send; 0 for none.
    pub fn open(&mut self) -> u32 {
        self.recv.left = i64::from(self.recv.size);
        self.recv.size - DEFAULT_WINDOW as u32
    }

    /// Size that windows of streams begin with.
    pub fn first_stream_size(&self) -> u32 {
        self.max_stream_size.min(SMALL_WINDOW)
    }

    /// Size that windows of streams may grow to.
    pub fn max_stream_size(&self) -> u32 {
        self.max_stream_size
    }

    /// Takes received bytes off; false when they exceed the session's window.
    #[must_use]
    pub fn receive(&mut self, bytes: usize) -> bool {
        self.recv.receive(bytes)
    }

    /// Credits bytes as soon as they have arrived, in portions of half a window. Returns the
    /// increment to send; 0 for none. Bytes that a client has not taken count against their stream
    /// alone: counted here, a few slow clients would stop the session for everybody.
    pub fn credit(&mut self, bytes: u32, is_tight: bool) -> u32 {
        self.recv.consume(bytes);
        if self.recv.uncredited < self.recv.size / 2 {
            return 0;
        }
        let size = if is_tight { self.recv.size } else { self.recv.size.saturating_mul(2).min(self.max_size) };
        self.recv.update(size)
    }

    /// Recounts the bytes that may arrive: `promised` by the windows of streams, within the
    /// session's.
    pub fn recount(&mut self, promised: u64, stats: &mut Stats) {
        let granted = promised.min(self.recv.left.max(0) as u64);
        stats[Stat::GrantedBytes] = stats[Stat::GrantedBytes] + granted - self.granted;
        self.granted = granted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_grows_while_there_is_room_and_shrinks_by_what_is_given_back_where_there_is_none() {
        let at = |size, uncredited| RecvWindow { left: 0, size, uncredited };
        assert_eq!(at(65_536, 40_000).next_size(2 << 20, false), 262_144);
        assert_eq!(at(1 << 20, 1 << 19).next_size(2 << 20, false), 2 << 20);
        assert_eq!(at(2 << 20, 1 << 20).next_size(2 << 20, true), 1 << 20);
        assert_eq!(at(80_000, 40_000).next_size(2 << 20, true), 65_536);
        assert_eq!(at(65_536, 40_000).next_size(2 << 20, true), 65_536);
        assert_eq!((at(1_000, 500).next_size(1_000, true), at(1_000, 500).next_size(1_000, false)), (1_000, 1_000));
    }

    #[test]
    fn an_update_gives_back_what_was_consumed_and_what_the_window_grew_by() {
        let mut window = RecvWindow::new(100);
        assert!(window.receive(60) && !window.is_due());
        window.consume(50);
        assert!(window.is_due());
        assert_eq!((window.update(400), window.left(), window.is_due()), (350, 390, false));
        assert!(window.receive(390) && !window.receive(1), "no byte more than the window");
    }

    #[test]
    fn an_update_that_shrinks_a_window_sends_less_than_was_consumed() {
        let mut window = RecvWindow::new(100);
        assert!(window.receive(60));
        window.consume(60);
        assert_eq!((window.update(40), window.left()), (0, 40));
    }
}
