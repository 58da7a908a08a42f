//! Takeover: a lane dies with records unread, and its successor knows nothing
//! (docs/design/takeover.md).

use super::Lane;
use crate::record::outward;

impl Lane {
    /// Begins again for a successor: clears both rings and keeps unread records that are told once.
    /// The caller must offer undecided exchanges again, and then write the backlog.
    pub fn begin_again(&mut self) {
        let unread = std::iter::from_fn(|| self.ring.next_for_lane()).filter(|record| outward::is_told_once(record));
        let unread = unread.map(Vec::into_boxed_slice).collect();
        self.backlog.begin_again(unread);
        self.calls.begin_again(!self.backlog.is_empty());
        self.ring.reset();
    }
}
