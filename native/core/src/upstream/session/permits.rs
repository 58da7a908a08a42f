//! Permits of a session's attempts, from the pool's queue until they go back to it.

use crate::upstream::client::Permit;
use crate::upstream::sink::Key;

/// The permits of attempts that have not started, and of those that have ended.
#[derive(Default)]
pub struct Permits {
    reserved: Vec<(Key, Permit)>,
    /// Of streams that have ended, until the pool takes them back.
    pub released: Vec<Permit>,
}

impl Permits {
    /// Attempts that have a stream reserved.
    pub fn reserved(&self) -> u32 {
        self.reserved.len() as u32
    }

    /// Reserves a stream for an attempt.
    pub fn reserve(&mut self, key: Key, permit: Permit) {
        self.reserved.push((key, permit));
    }

    /// Takes an attempt's permit to start with it. Attempts mostly start soon after they reserved, so
    /// they stand at the end.
    pub fn take(&mut self, key: Key) -> Option<Permit> {
        let place = self.reserved.iter().rposition(|(reserved, _)| *reserved == key)?;
        Some(self.reserved.swap_remove(place).1)
    }

    /// Gives a reserved stream up.
    pub fn release(&mut self, key: Key) {
        if let Some(permit) = self.take(key) {
            self.released.push(permit);
        }
    }

    /// Takes every permit, when the session has ended.
    pub fn drain(&mut self) -> impl Iterator<Item = Permit> {
        self.released.drain(..).chain(self.reserved.drain(..).map(|(_, permit)| permit))
    }
}
