//! Decodes field blocks.

use super::super::fields::{Fields, Known};
use super::super::integer::read_prefixed;
use super::super::section::{mark_sensitive, read_string};
use super::super::static_table::HPACK;
use super::table::DynamicTable;
use super::{DecodeError, FIRST_DYNAMIC, FieldLimits};

/// Largest table of which [`Fields`] can hold any entry.
const MAX_TABLE: usize = u16::MAX as usize;

/// The decoder of one HTTP/2 connection.
#[derive(Debug)]
pub struct Decoder {
    table: DynamicTable,
    max_table: usize,
    /// Takes one field at a time once the block exceeds its limits.
    dropped: Fields,
}

impl Decoder {
    /// A decoder with the SETTINGS_HEADER_TABLE_SIZE that we announce, at most 65,535. A peer may
    /// use the default of 4,096 before it has read our SETTINGS, so less is only for a peer that
    /// sends second.
    pub fn new(max_table: usize) -> Decoder {
        let max_table = max_table.min(MAX_TABLE);
        Decoder { table: DynamicTable::new(max_table), max_table, dropped: Fields::new() }
    }

    /// Decodes a whole field block and adds its fields to `into`.
    ///
    /// [`DecodeError::Malformed`] is the connection error COMPRESSION_ERROR (RFC 9113 §4.3). After
    /// [`DecodeError::TooLarge`] the connection may go on: the rest of the block was decoded for
    /// the dynamic table, and `into` has the fields before the limit.
    pub fn decode(&mut self, block: &[u8], into: &mut Fields, limits: FieldLimits) -> Result<(), DecodeError> {
        let mut at = self.read_size_updates(block)?;
        while at < block.len() {
            let start = at;
            match limits.room(into).and_then(|room| self.read_field(block, &mut at, into, room)) {
                Err(DecodeError::TooLarge) => {
                    self.drop_fields(block, start)?;
                    return Err(DecodeError::TooLarge);
                }
                result => result?,
            }
        }
        Ok(())
    }

    /// Size updates may come only at the beginning of a block (RFC 7541 §4.2).
    fn read_size_updates(&mut self, block: &[u8]) -> Result<usize, DecodeError> {
        let mut at = 0;
        while block.get(at).is_some_and(|byte| byte & 0xe0 == 0x20) {
            let size = read_prefixed(block, &mut at, 5).ok_or(DecodeError::Malformed)?;
            if size > self.max_table as u64 {
                return Err(DecodeError::Malformed);
            }
            self.table.set_capacity(size as usize);
        }
        Ok(at)
    }

    /// Reads one field of at most `room` bytes. On [`DecodeError::TooLarge`] neither `into` nor the
    /// table changes.
    #[inline]
    fn read_field(&mut self, block: &[u8], at: &mut usize, into: &mut Fields, room: usize) -> Result<(), DecodeError> {
        let first = block[*at];
        if first & 0x80 != 0 {
            let index = read_prefixed(block, at, 7).ok_or(DecodeError::Malformed)?;
            return self.read_indexed(index, into, room);
        }
        if first & 0xe0 == 0x20 {
            return Err(DecodeError::Malformed);
        }
        let is_inserted = first & 0x40 != 0;
        let start = into.text_len();
        let prefix_bits = if is_inserted { 6 } else { 4 };
        let (known, name_len) = self.read_literal(block, at, prefix_bits, into, room).inspect_err(|_| into.text_mut().truncate(start))?;
        let is_sensitive = first & 0xf0 == 0x10;
        into.finish_known(if is_sensitive { mark_sensitive(known) } else { known }, start, name_len);
        if is_inserted {
            let field = into.at(into.len() - 1);
            self.table.insert(known, field.name, field.value);
        }
        Ok(())
    }

    /// Name and value of an index (RFC 7541 §6.1).
    #[inline]
    fn read_indexed(&self, index: u64, into: &mut Fields, room: usize) -> Result<(), DecodeError> {
        if index < FIRST_DYNAMIC {
            let row = HPACK.get(index.wrapping_sub(1)).ok_or(DecodeError::Malformed)?;
            if row.name().len() + row.value().len() > room {
                return Err(DecodeError::TooLarge);
            }
            row.push_to(into);
            return Ok(());
        }
        let entry = self.table.get((index - FIRST_DYNAMIC) as usize).ok_or(DecodeError::Malformed)?;
        if entry.text.len() > room {
            return Err(DecodeError::TooLarge);
        }
        into.push_joined(entry.known, entry.text, entry.name_len);
        Ok(())
    }

    /// Appends the text of a literal (RFC 7541 §6.2) and returns its name and the name's length. If
    /// it is too large, both strings are skipped.
    fn read_literal(
        &self,
        block: &[u8],
        at: &mut usize,
        prefix_bits: u32,
        into: &mut Fields,
        room: usize,
    ) -> Result<(Known, usize), DecodeError> {
        let index = read_prefixed(block, at, prefix_bits).ok_or(DecodeError::Malformed)?;
        let start = into.text_len();
        let name = if index == 0 {
            read_string(block, at, 7, into.text_mut(), room).map(|name_len| (None, name_len))
        } else {
            self.append_name(index, into, room).map(|(known, name_len)| (Some(known), name_len))
        };
        let (known, name_len) = match name {
            Ok(name) => name,
            Err(DecodeError::Malformed) => return Err(DecodeError::Malformed),
            Err(DecodeError::TooLarge) => {
                read_string(block, at, 7, into.text_mut(), usize::MAX)?;
                return Err(DecodeError::TooLarge);
            }
        };
        read_string(block, at, 7, into.text_mut(), room - name_len)?;
        let known = known.unwrap_or_else(|| Known::of(&into.text_mut()[start..start + name_len]));
        Ok((known, name_len))
    }

    fn append_name(&self, index: u64, into: &mut Fields, room: usize) -> Result<(Known, usize), DecodeError> {
        let (known, name) = if index < FIRST_DYNAMIC {
            HPACK.get(index - 1).map(|row| (row.known, row.name())).ok_or(DecodeError::Malformed)?
        } else {
            let entry = self.table.get((index - FIRST_DYNAMIC) as usize).ok_or(DecodeError::Malformed)?;
            (entry.known, &entry.text[..entry.name_len])
        };
        if name.len() > room {
            return Err(DecodeError::TooLarge);
        }
        into.text_mut().extend_from_slice(name);
        Ok((known, name.len()))
    }

    /// Decodes the fields from `at` on for the dynamic table only, one at a time into the same
    /// buffer.
    fn drop_fields(&mut self, block: &[u8], mut at: usize) -> Result<(), DecodeError> {
        let mut dropped = std::mem::take(&mut self.dropped);
        while at < block.len() {
            dropped.clear();
            let is_inserted = block[at] & 0xc0 == 0x40;
            match self.read_field(block, &mut at, &mut dropped, usize::MAX) {
                // Too large for any field, and so for the table.
                Err(DecodeError::TooLarge) if is_inserted => self.table.clear(),
                Err(DecodeError::TooLarge) => {}
                result => result?,
            }
        }
        self.dropped = dropped;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn table(&self) -> &DynamicTable {
        &self.table
    }
}
