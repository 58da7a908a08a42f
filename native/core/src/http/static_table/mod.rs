//! The static tables of HPACK and QPACK, and the look-up of fields in them.
//!
//! A look-up hashes the length and three bytes of a name and nearly always makes one comparison;
//! fields of one name are chained. Everything is computed at compile time.

mod hpack_rows;
mod qpack_rows;

pub use hpack_rows::HPACK;
pub use qpack_rows::QPACK;

use super::fields::{Fields, Known};

/// One field of a static table.
#[derive(Clone, Copy, Debug)]
pub struct StaticField {
    /// Its name, if it is a known one.
    pub known: Known,
    text: &'static [u8],
    name_len: u8,
}

impl StaticField {
    /// Lower-case name.
    #[inline]
    pub fn name(&self) -> &'static [u8] {
        &self.text[..self.name_len as usize]
    }

    /// Adds it to a list.
    #[inline]
    pub fn push_to(&self, fields: &mut Fields) {
        fields.push_joined(self.known, self.text, self.name_len as usize);
    }

    /// Value, often empty.
    #[inline]
    pub fn value(&self) -> &'static [u8] {
        &self.text[self.name_len as usize..]
    }
}

/// Makes a [`StaticField`]; the value follows the name.
macro_rules! row {
    ($known:ident, $name:literal, $value:literal) => {
        $crate::http::static_table::StaticField {
            known: $crate::http::fields::Known::$known,
            text: concat!($name, $value).as_bytes(),
            name_len: $name.len() as u8,
        }
    };
}
use row;

/// Result of looking up a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaticMatch {
    /// Name and value are at this index.
    Field(u8),
    /// The name is at this index, with another value.
    Name(u8),
    /// The name is not in the table.
    None,
}

const SLOTS: usize = 256;
const EMPTY: u8 = u8::MAX;

/// A static table with its index by name. Indexes count from 0; HPACK's own count from 1.
pub struct StaticTable<const N: usize> {
    rows: [StaticField; N],
    /// First row of a name, by hash; collisions go to the next slot.
    slots: [u8; SLOTS],
    /// Next row of the same name.
    next: [u8; N],
}

impl<const N: usize> StaticTable<N> {
    const fn new(rows: [StaticField; N]) -> StaticTable<N> {
        let mut table = StaticTable { rows, slots: [EMPTY; SLOTS], next: [EMPTY; N] };
        let mut index = 0;
        while index < N {
            table.enter(index);
            index += 1;
        }
        table
    }

    const fn enter(&mut self, index: usize) {
        let mut slot = slot_of(self.rows[index].text, self.rows[index].name_len as usize);
        while self.slots[slot] != EMPTY {
            let mut row = self.slots[slot] as usize;
            if has_same_name(&self.rows[row], &self.rows[index]) {
                while self.next[row] != EMPTY {
                    row = self.next[row] as usize;
                }
                self.next[row] = index as u8;
                return;
            }
            slot = (slot + 1) % SLOTS;
        }
        self.slots[slot] = index as u8;
    }

    /// The field at an index.
    #[inline]
    pub fn get(&self, index: u64) -> Option<&StaticField> {
        self.rows.get(usize::try_from(index).ok()?)
    }

    /// Finds the best match for a field. Of several rows with the name, the first serves as the
    /// name.
    #[inline]
    pub fn find(&self, name: &[u8], value: &[u8]) -> StaticMatch {
        if name.is_empty() {
            return StaticMatch::None;
        }
        let mut slot = slot_of(name, name.len());
        loop {
            let first = self.slots[slot];
            if first == EMPTY {
                return StaticMatch::None;
            }
            if self.rows[first as usize].name() == name {
                return self.find_value(first, value);
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    #[inline]
    fn find_value(&self, first: u8, value: &[u8]) -> StaticMatch {
        let mut row = first;
        while row != EMPTY {
            if self.rows[row as usize].value() == value {
                return StaticMatch::Field(row);
            }
            row = self.next[row as usize];
        }
        StaticMatch::Name(first)
    }
}

/// The hash: length, first, middle and last byte. Of many factors tried, the fewest names collide
/// with these.
#[inline]
const fn slot_of(text: &[u8], name_len: usize) -> usize {
    let (first, middle, last) = (text[0] as usize, text[name_len / 2] as usize, text[name_len - 1] as usize);
    (name_len * 14 + first * 46 + middle * 49 + last * 51) % SLOTS
}

const fn has_same_name(one: &StaticField, other: &StaticField) -> bool {
    if one.name_len != other.name_len {
        return false;
    }
    let mut at = 0;
    while at < one.name_len as usize {
        if one.text[at] != other.text[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_row_is_found<const N: usize>(table: &StaticTable<N>) {
        for (index, row) in table.rows.iter().enumerate() {
            assert_eq!(row.known, Known::of(row.name()), "{row:?}");
            assert_eq!(table.find(row.name(), row.value()), StaticMatch::Field(index as u8));
            let first = table.rows.iter().position(|other| other.name() == row.name()).unwrap();
            assert_eq!(table.find(row.name(), b"no such value"), StaticMatch::Name(first as u8));
        }
        for name in [&b""[..], b"x", b":", b"x-request-id", b"content-lengtH", b"\xff\xff"] {
            assert_eq!(table.find(name, b""), StaticMatch::None);
        }
    }

    #[test]
    fn every_row_of_both_tables_is_found_by_name_and_value() {
        each_row_is_found(&HPACK);
        each_row_is_found(&QPACK);
    }

    fn strangers<const N: usize>(table: &StaticTable<N>) -> usize {
        let homeless = |slot: usize, row: &StaticField| slot_of(row.text, row.name_len as usize) != slot;
        (0..SLOTS).filter(|&slot| table.slots[slot] != EMPTY && homeless(slot, &table.rows[table.slots[slot] as usize])).count()
    }

    #[test]
    fn nearly_every_name_is_where_its_hash_says() {
        assert!(strangers(&HPACK) + strangers(&QPACK) <= 1);
    }

    #[test]
    fn indexes_outside_are_refused() {
        assert!(HPACK.get(60).is_some() && HPACK.get(61).is_none());
        assert!(QPACK.get(98).is_some() && QPACK.get(99).is_none() && QPACK.get(u64::MAX).is_none());
    }
}
