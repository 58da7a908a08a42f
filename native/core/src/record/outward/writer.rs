//! Words and text into a reserved record.

use crate::base::slab::Key;
use crate::record::ring::Ring;
use std::net::{IpAddr, SocketAddr};

/// A record that is being written: words by their place, text one piece after the other.
pub(super) struct Writer<'a> {
    bytes: &'a mut [u8],
    text: usize,
}

/// Size of a record whose parts take so many bytes.
pub(super) fn round(size: usize) -> usize {
    (size + 7) & !7
}

impl<'a> Writer<'a> {
    /// Begins a record about an exchange; none when the ring has no room now. Text begins at byte `text`.
    pub fn start(ring: &'a mut Ring, size: usize, kind: u32, exchange: Key, text: usize) -> Option<Writer<'a>> {
        let mut writer = Writer { bytes: ring.reserve(size)?, text };
        writer.words(0, [size as u32, kind, exchange.index, exchange.generation]);
        Some(writer)
    }

    pub fn word(&mut self, place: usize, value: u32) {
        self.bytes[place * 4..place * 4 + 4].copy_from_slice(&value.to_le_bytes());
    }

    pub fn words<const N: usize>(&mut self, place: usize, values: [u32; N]) {
        for (number, value) in values.into_iter().enumerate() {
            self.word(place + number, value);
        }
    }

    pub fn float(&mut self, place: usize, value: f64) {
        self.bytes[place * 4..place * 4 + 8].copy_from_slice(&value.to_le_bytes());
    }

    pub fn pair(&mut self, place: usize, low: usize, high: usize) {
        self.word(place, low as u32 & 0xffff | (high as u32) << 16);
    }

    pub fn peer(&mut self, place: usize, peer: SocketAddr) {
        let mut address = [0u8; 16];
        let family = match peer.ip() {
            IpAddr::V4(ip) => {
                address[..4].copy_from_slice(&ip.octets());
                4
            }
            IpAddr::V6(ip) => {
                address.copy_from_slice(&ip.octets());
                6
            }
        };
        self.pair(place, family, peer.port() as usize);
        self.bytes[place * 4 + 4..place * 4 + 20].copy_from_slice(&address);
    }

    pub fn text(&mut self, text: &[u8]) {
        self.bytes[self.text..self.text + text.len()].copy_from_slice(text);
        self.text += text.len();
    }

    pub fn pad(&mut self) {
        let end = self.bytes.len();
        self.bytes[self.text..end].fill(0);
    }
}
