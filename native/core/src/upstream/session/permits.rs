//! Permits of a session's attempts, from the pool's queue until they go back to it.

use crate::upstream::client::Permit;
use crate::upstream::sink::AttemptId;

/// The permits of attempts that have not started, and of those that have ended.
#[derive(Default)]
pub struct Permits {
    reserved: Vec<(AttemptId, Permit)>,
    /// Of streams that have ended, until the pool takes them back.
    pub released: Vec<Permit>,
}

impl Permits {
    /// Attempts that have a stream reserved.
    pub fn reserved(&self) -> u32 {
        self.reserved.len() as u32
    }

    /// Reserves a stream for an attempt.
    pub fn reserve(&mut self, key: AttemptId, permit: Permit) {
        self.reserved.push((key, permit));
    }

    /// Takes an attempt's permit to start with it. Attempts mostly start soon after they reserved,
    /// so they stand at the end.
    pub fn take(&mut self, key: AttemptId) -> Option<Permit> {
        let index = self.reserved.iter().rposition(|(reserved, _)| *reserved == key)?;
        Some(self.reserved.swap_remove(index).1)
    }

    /// Gives a reserved stream up.
    pub fn release(&mut self, key: AttemptId) {
        if let Some(permit) = self.take(key) {
            self.released.push(permit);
        }
    }

    /// Takes every permit, when the session has ended.
    pub fn drain(&mut self) -> impl Iterator<Item = Permit> {
        self.released.drain(..).chain(self.reserved.drain(..).map(|(_, permit)| permit))
    }
}
