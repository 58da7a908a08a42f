//! Resets in a row: a session on which stream after stream is reset serves nobody.

/// Resets that make a session fail.
const MAX_RESETS: u32 = 5;

/// Streams reset before a response head, since the last head. REFUSED_STREAM does not count: a
/// backend that refuses is full, not broken.
#[derive(Default)]
pub struct Streak {
    count: u32,
    connection: u64,
    is_of_several: bool,
}

impl Streak {
    /// Counts a reset of a stream opened for a client's connection.
    pub fn extend(&mut self, connection: u64) {
        match self.count {
            0 => self.connection = connection,
            _ => self.is_of_several |= connection != self.connection,
        }
        self.count = self.count.saturating_add(1);
    }

    /// Starts over.
    pub fn end(&mut self) {
        *self = Streak::default();
    }

    /// Whether the session should be replaced. Requests of a single connection do not suffice: it
    /// may ask for what no session can answer.
    pub fn is_failing(&self) -> bool {
        self.count >= MAX_RESETS && self.is_of_several
    }
}
