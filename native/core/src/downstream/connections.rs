//! The clients' connections of a shard, and lists of those that something is to be done with.

use super::cause::Cause;
use super::connection::Connection;
use crate::base::slab::{Key, Slab};

/// Clients' connections by key.
#[derive(Default)]
pub struct Connections {
    slab: Slab<Box<Connection>>,
    /// Those with something to send, or to be looked at.
    dirty: Vec<Key>,
    /// Those in whose exchanges something panicked, to be ended.
    condemned: Vec<Key>,
    /// Those with request streams that were passed over.
    gapped: Vec<Key>,
}

impl Connections {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slab.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// The connection of a key.
    pub fn get(&self, key: Key) -> Option<&Connection> {
        self.slab.get(key).map(Box::as_ref)
    }

    /// The same, to change.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Connection> {
        self.slab.get_mut(key).map(Box::as_mut)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Connection)> {
        self.slab.iter().map(|(key, connection)| (key, &**connection))
    }

    /// Their keys.
    pub fn keys(&self) -> Vec<Key> {
        self.slab.keys()
    }

    /// The key of who lives at a place.
    pub fn key_at(&self, place: u32) -> Option<Key> {
        self.slab.key_at(place)
    }

    /// Places that were ever taken.
    pub fn slots(&self) -> u32 {
        self.slab.slots()
    }

    /// Enters one.
    pub fn insert(&mut self, connection: Connection) -> Key {
        self.slab.insert_with(|_| Box::new(connection))
    }

    /// Takes one out.
    pub fn remove(&mut self, key: Key) -> Option<Box<Connection>> {
        self.slab.remove(key)
    }

    /// Takes all of them out, and forgets the lists. Keys are never given twice.
    pub fn start_over(&mut self) -> Vec<Box<Connection>> {
        (self.dirty, self.condemned, self.gapped) = (Vec::new(), Vec::new(), Vec::new());
        self.slab.drain()
    }

    /// Closes a connection for a fault of its client.
    pub fn close(&mut self, key: Key, cause: Cause) {
        if let Some(connection) = self.get_mut(key) {
            connection.close(cause);
        }
        self.mark(key);
    }

    /// Lists a connection to be flushed: it has something to say.
    pub fn mark(&mut self, key: Key) {
        if let Some(connection) = self.slab.get_mut(key) {
            connection.has_output = true;
            list_dirty(&mut self.dirty, connection, key);
        }
    }

    /// Lists a connection that packets came for: it has an acknowledgement to send at most, which
    /// may wait a little.
    pub fn touch(&mut self, key: Key) {
        if let Some(connection) = self.slab.get_mut(key) {
            list_dirty(&mut self.dirty, connection, key);
        }
    }

    /// Whether any is listed to be flushed.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// The next one after so many places of the list that got bytes since it was last looked at.
    pub fn next_arrival(&mut self, place: &mut usize) -> Option<Key> {
        while let Some(key) = self.dirty.get(*place).copied() {
            *place += 1;
            if let Some(connection) = self.slab.get_mut(key)
                && std::mem::take(&mut connection.has_arrivals)
            {
                return Some(key);
            }
        }
        None
    }

    /// Exchanges the list of those to be flushed for an empty one, which lends its room.
    pub fn take_dirty(&mut self, empty: &mut Vec<Key>) {
        std::mem::swap(&mut self.dirty, empty);
    }

    /// Lists connections to be ended.
    pub fn condemn(&mut self, keys: impl IntoIterator<Item = Key>) {
        self.condemned.extend(keys);
    }

    /// The next one to be ended.
    pub fn next_condemned(&mut self) -> Option<Key> {
        self.condemned.pop()
    }

    /// Lists a connection of whose streams some have not begun.
    pub fn note_gaps(&mut self, key: Key) {
        if let Some(connection) = self.slab.get_mut(key)
            && !connection.listed.is_gapped
        {
            connection.listed.is_gapped = true;
            self.gapped.push(key);
        }
    }

    /// Whether streams are waited for that have not begun.
    pub fn has_gaps(&self) -> bool {
        !self.gapped.is_empty()
    }

    /// Looks at connections whose streams are waited for; they stay listed where `look` says that
    /// some still are.
    pub fn look_at_gaps(&mut self, mut look: impl FnMut(&mut Connections, Key) -> bool) {
        let mut gapped = std::mem::take(&mut self.gapped);
        gapped.retain(|key| look(self, *key));
        self.gapped = gapped;
    }

    /// The connection of an exchange, where nothing else says which it is.
    pub fn find(&self, exchange: Key) -> Option<Key> {
        let is_its = |connection: &Connection| connection.exchanges.values().any(|own| *own == exchange);
        self.iter().find(|(_, connection)| is_its(connection)).map(|(key, _)| key)
    }
}

fn list_dirty(dirty: &mut Vec<Key>, connection: &mut Connection, key: Key) {
    if !std::mem::replace(&mut connection.listed.is_dirty, true) {
        dirty.push(key);
    }
}
