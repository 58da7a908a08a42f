//! A lane dies with records unread, and a successor comes, which knows nothing (docs/design/takeover.md).

use super::Lane;
use crate::record::outward;

impl Lane {
    /// Begins again for a successor: forgets both rings, keeps what is told once and the dead lane had not read.
    /// What is undecided has to be offered again, and then the backlog written.
    pub fn begin_again(&mut self) {
        let unread = std::iter::from_fn(|| self.ring.next_for_lane()).filter(|record| outward::is_told_once(record));
        let unread = unread.map(Vec::into_boxed_slice).collect();
        self.backlog.begin_again(unread);
        self.calls.begin_again(!self.backlog.is_empty());
        self.ring.reset();
    }
}
