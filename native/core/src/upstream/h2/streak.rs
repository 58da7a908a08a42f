//! Resets in a row: a session on which stream after stream is reset serves nobody, whatever else the backend may be.

/// So many make a session sick.
const SICK_RESETS: u32 = 5;

/// The streams that were reset before a response head since the last head came. Refused streams are none of them: who refuses is full, not broken.
#[derive(Default)]
pub struct Streak {
    count: u32,
    connection: u64,
    is_of_several: bool,
}

impl Streak {
    /// Another one, asked for by a client's connection.
    pub fn extend(&mut self, connection: u64) {
        match self.count {
            0 => self.connection = connection,
            _ => self.is_of_several |= connection != self.connection,
        }
        self.count = self.count.saturating_add(1);
    }

    /// A response head came, or the session is to be tried further.
    pub fn end(&mut self) {
        *self = Streak::default();
    }

    /// Whether the session should be replaced. The requests of one client's connection are not enough: it may ask for what cannot be answered.
    pub fn is_sick(&self) -> bool {
        self.count >= SICK_RESETS && self.is_of_several
    }
}
