//! The dynamic table (RFC 7541 §2.3.2, §4): a queue of fields of bounded size.
//!
//! Texts are appended to one buffer of up to twice the table's capacity. At its end the live part
//! moves to the front: a byte moves at most once for each byte inserted, and every text is
//! contiguous.

use std::collections::VecDeque;

use super::super::fields::Known;

/// Size of an entry beside its name and value (RFC 7541 §4.1).
const ENTRY_OVERHEAD: usize = 32;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Position among all text ever inserted; the buffer begins at `DynamicTable::base`.
    start: u64,
    name_len: u32,
    value_len: u32,
    known: Known,
}

impl Entry {
    fn size(&self) -> usize {
        self.name_len as usize + self.value_len as usize + ENTRY_OVERHEAD
    }
}

/// An entry, borrowed: the text is the name and then the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryRef<'a> {
    pub(super) known: Known,
    pub(super) text: &'a [u8],
    pub(super) name_len: usize,
}

/// The table. It allocates nothing before the first insertion.
#[derive(Debug)]
pub(super) struct DynamicTable {
    capacity: usize,
    size: usize,
    entries: VecDeque<Entry>,
    text: Vec<u8>,
    base: u64,
    inserted: u64,
}

impl DynamicTable {
    pub(super) fn new(capacity: usize) -> DynamicTable {
        DynamicTable { capacity, size: 0, entries: VecDeque::new(), text: Vec::new(), base: 0, inserted: 0 }
    }

    /// Capacity.
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Changes the capacity and evicts what no longer fits.
    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        self.evict_down_to(capacity);
    }

    /// Number of insertions. The newest entry has the number one below.
    pub(super) fn inserted(&self) -> u64 {
        self.inserted
    }

    /// Evicts everything.
    pub(super) fn clear(&mut self) {
        self.evict_down_to(0);
    }

    /// Number of entries.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Sum of the entries' sizes.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The entry of an age: 0 is the newest.
    #[inline]
    pub(super) fn get(&self, age: usize) -> Option<EntryRef<'_>> {
        let index = self.entries.len().checked_sub(age + 1)?;
        let entry = self.entries.get(index)?;
        let start = (entry.start - self.base) as usize;
        let text = &self.text[start..start + (entry.name_len + entry.value_len) as usize];
        Some(EntryRef { known: entry.known, text, name_len: entry.name_len as usize })
    }

    /// Inserts a field and evicts the oldest for it. One that is greater than the whole table
    /// empties it and is not inserted (RFC 7541 §4.4).
    pub(super) fn insert(&mut self, known: Known, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + ENTRY_OVERHEAD;
        self.evict_down_to(self.capacity.saturating_sub(size));
        if size > self.capacity {
            return;
        }
        self.make_room(name.len() + value.len());
        let start = self.base + self.text.len() as u64;
        self.text.extend_from_slice(name);
        self.text.extend_from_slice(value);
        self.entries.push_back(Entry { start, name_len: name.len() as u32, value_len: value.len() as u32, known });
        self.size += size;
        self.inserted += 1;
    }

    fn evict_down_to(&mut self, size: usize) {
        while self.size > size {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.size -= oldest.size();
        }
    }

    /// Moves the living text to the front when the buffer has reached twice the capacity.
    fn make_room(&mut self, needed: usize) {
        if self.text.len() + needed <= 2 * self.capacity {
            return;
        }
        let end = self.base + self.text.len() as u64;
        let first_alive = self.entries.front().map_or(end, |entry| entry.start);
        self.text.drain(..(first_alive - self.base) as usize);
        self.base = first_alive;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_room_is_needed() {
        let mut table = DynamicTable::new(100);
        table.insert(Known::Other, b"a", b"1");
        table.insert(Known::Other, b"b", b"2");
        assert_eq!((table.size(), table.len()), (68, 2));
        table.insert(Known::Other, b"c", b"3");
        assert_eq!((table.size(), table.len()), (68, 2));
        assert_eq!(table.get(0).unwrap().text, b"c3");
        assert_eq!(table.get(1).unwrap().text, b"b2");
        assert_eq!(table.get(2), None);
        table.set_capacity(34);
        assert_eq!((table.get(0).unwrap().text, table.len()), (&b"c3"[..], 1));
    }

    #[test]
    fn a_field_greater_than_the_table_empties_it() {
        let mut table = DynamicTable::new(100);
        table.insert(Known::Other, b"a", b"1");
        table.insert(Known::Other, b"b", &[b'x'; 68]);
        assert_eq!((table.size(), table.len(), table.inserted()), (0, 0, 1));
    }

    #[test]
    fn the_buffer_stays_within_twice_the_capacity_and_texts_stay_whole() {
        let mut table = DynamicTable::new(300);
        for round in 0..1_000usize {
            let value = vec![round as u8; round % 200];
            table.insert(Known::Other, b"name", &value);
            assert!(table.text.len() <= 600 && table.size() <= 300);
            assert_eq!(&table.get(0).unwrap().text[4..], value);
            for age in 0..table.len() {
                assert_eq!(&table.get(age).unwrap().text[..4], b"name");
            }
        }
    }
}
