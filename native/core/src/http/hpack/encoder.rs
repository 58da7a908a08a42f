//! Encodes field blocks.
//!
//! A field goes into the dynamic table where that pays. Fields of nearly every request of a session
//! are indexed at once. Any other field is indexed when it comes a second time before long, so
//! values that never recur (IDs, dates, validators) evict nothing. Secrets and cookies are never
//! indexed: several clients share a session, and a table they share would be an oracle (RFC 7541
//! §7.1).

use super::super::fields::{Field, Fields, Known};
use super::super::integer::write_prefixed;
use super::super::section::write_string;
use super::super::static_table::{HPACK, StaticMatch};
use super::table::DynamicTable;
use super::{DEFAULT_TABLE_SIZE, FIRST_DYNAMIC};

/// Slots of the index by hash and of the filter of fields seen. A table of 4 KiB holds 40 to 60
/// fields of usual length.
const SLOTS: usize = 256;

/// How a field may be sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Indexing {
    AtOnce,
    WhenSeenAgain,
    Without,
    Never,
}

fn indexing_of(known: Known) -> Indexing {
    match known {
        Known::Secret | Known::Sensitive | Known::Cookie => Indexing::Never,
        Known::Path | Known::ContentLength | Known::RequestId | Known::Date => Indexing::Without,
        Known::Method | Known::Scheme | Known::Authority | Known::Status | Known::Protocol => Indexing::AtOnce,
        Known::Host | Known::UserAgent | Known::Te | Known::Trailer | Known::Expect => Indexing::AtOnce,
        _ => Indexing::WhenSeenAgain,
    }
}

/// The entry with some hash. A later field in the same slot hides an earlier one, which then costs
/// a literal.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u32,
    /// Number of the entry plus one; 0 when the slot is empty.
    number: u32,
}

/// The encoder of one HTTP/2 connection.
#[derive(Debug)]
pub struct Encoder {
    table: DynamicTable,
    max_table: usize,
    /// Smallest capacity since the last block, if a size update is due (RFC 7541 §4.2).
    smallest_since: Option<usize>,
    slots: Box<[Slot; SLOTS]>,
    seen: Box<[u16; SLOTS]>,
}

impl Encoder {
    /// An encoder that uses at most `max_table` bytes of the peer's table.
    pub fn new(max_table: usize) -> Encoder {
        let capacity = max_table.min(DEFAULT_TABLE_SIZE);
        Encoder {
            table: DynamicTable::new(capacity),
            max_table,
            smallest_since: (capacity != DEFAULT_TABLE_SIZE).then_some(capacity),
            slots: Box::new([Slot::default(); SLOTS]),
            seen: Box::new([0; SLOTS]),
        }
    }

    /// Applies the peer's SETTINGS_HEADER_TABLE_SIZE, when its SETTINGS are acknowledged. The next
    /// block begins with a size update.
    pub fn set_peer_max(&mut self, size: usize) {
        let capacity = size.min(self.max_table);
        if capacity != self.table.capacity() {
            self.smallest_since = Some(self.smallest_since.unwrap_or(capacity).min(capacity));
            self.table.set_capacity(capacity);
        }
    }

    /// Appends a whole field block.
    pub fn encode(&mut self, fields: &Fields, out: &mut Vec<u8>) {
        out.reserve(fields.text_len() + 4 * fields.len() + 16);
        self.begin(out);
        for field in fields.iter() {
            self.encode_field(field, out);
        }
    }

    /// Begins a field block of [`Encoder::encode_field`]s.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        let Some(smallest) = self.smallest_since.take() else { return };
        if smallest < self.table.capacity() {
            write_prefixed(out, 0x20, 5, smallest as u64);
        }
        write_prefixed(out, 0x20, 5, self.table.capacity() as u64);
    }

    /// Appends one field.
    pub fn encode_field(&mut self, field: Field<'_>, out: &mut Vec<u8>) {
        let indexing = indexing_of(field.known);
        let name_index = match HPACK.find(field.name, field.value) {
            StaticMatch::Field(index) if indexing != Indexing::Never => return write_prefixed(out, 0x80, 7, u64::from(index) + 1),
            StaticMatch::Field(index) | StaticMatch::Name(index) => u64::from(index) + 1,
            StaticMatch::None => 0,
        };
        match indexing {
            Indexing::Never => write_literal(field, name_index, 0x10, 4, out),
            Indexing::Without => write_literal(field, name_index, 0, 4, out),
            wish => self.encode_indexed(field, name_index, wish, out),
        }
    }

    /// Appends a field that may be in the dynamic table, or is to be.
    fn encode_indexed(&mut self, field: Field<'_>, name_index: u64, wish: Indexing, out: &mut Vec<u8>) {
        let hash = hash_of(field);
        if let Some(age) = self.find(hash, field) {
            return write_prefixed(out, 0x80, 7, FIRST_DYNAMIC + age);
        }
        let was_seen = self.see(hash);
        // One field may not evict more than half of the table.
        let is_small = 2 * (field.name.len() + field.value.len() + 32) <= self.table.capacity();
        if !is_small || (wish == Indexing::WhenSeenAgain && !was_seen) {
            return write_literal(field, name_index, 0, 4, out);
        }
        write_literal(field, name_index, 0x40, 6, out);
        self.table.insert(field.known, field.name, field.value);
        self.slots[hash as usize % SLOTS] = Slot { hash, number: self.table.inserted() as u32 };
    }

    /// Age of the entry of this field, if it is found and was not evicted.
    fn find(&self, hash: u32, field: Field<'_>) -> Option<u64> {
        let slot = self.slots[hash as usize % SLOTS];
        if slot.hash != hash || slot.number == 0 {
            return None;
        }
        // The count wraps after 2^32 insertions; a wrong age then fails the comparison of texts.
        let age = (self.table.inserted() as u32).wrapping_sub(slot.number);
        let entry = self.table.get(age as usize)?;
        let (name, value) = entry.text.split_at(entry.name_len);
        (name == field.name && value == field.value).then_some(u64::from(age))
    }

    /// Adds a field to the filter; whether it was there. Collisions overwrite; a mistake only costs
    /// an entry.
    fn see(&mut self, hash: u32) -> bool {
        let mark = (hash >> 16) as u16 | 1;
        let slot = &mut self.seen[(hash >> 8) as usize % SLOTS];
        std::mem::replace(slot, mark) == mark
    }

    #[cfg(test)]
    pub(super) fn table(&self) -> &DynamicTable {
        &self.table
    }
}

#[inline]
fn write_literal(field: Field<'_>, name_index: u64, flags: u8, prefix_bits: u32, out: &mut Vec<u8>) {
    write_prefixed(out, flags, prefix_bits, name_index);
    if name_index == 0 {
        write_string(field.name, 0, 7, out);
    }
    write_string(field.value, 0, 7, out);
}

/// A hash of name and value, eight bytes at a step. Who provokes collisions wins nothing but
/// literals.
#[inline]
fn hash_of(field: Field<'_>) -> u32 {
    let hash = hash_bytes(hash_bytes(field.name.len() as u64, field.name), field.value);
    (hash ^ hash >> 32) as u32
}

#[inline]
fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, word: u64| (hash.rotate_left(29) ^ word).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(seed, |hash, word| step(hash, u64::from_le_bytes(*word)));
    let tail = rest.iter().fold(rest.len() as u64, |tail, &byte| tail << 8 | u64::from(byte));
    step(hash, tail)
}
