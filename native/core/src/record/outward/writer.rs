//! Writes text into a reserved record, after its words and table.

use std::net::{IpAddr, SocketAddr};

/// The room for text, filled piece by piece.
pub(super) struct Text<'a>(pub &'a mut [u8]);

impl Text<'_> {
    pub fn put(&mut self, text: &[u8]) {
        let (now, rest) = std::mem::take(&mut self.0).split_at_mut(text.len());
        now.copy_from_slice(text);
        self.0 = rest;
    }

    /// Fills the rest with zeros.
    pub fn pad(self) {
        self.0.fill(0);
    }
}

/// Rounds the size of a record up to 8 bytes.
pub(super) fn round(size: usize) -> usize {
    (size + 7) & !7
}

/// Family, port and address in the form that records use.
pub(super) fn peer_words(peer: SocketAddr) -> (u16, u16, [u8; 16]) {
    let mut address = [0u8; 16];
    let family = match peer.ip() {
        IpAddr::V4(ip) => {
            address[..4].copy_from_slice(&ip.octets());
            4
        }
        IpAddr::V6(ip) => {
            address = ip.octets();
            6
        }
    };
    (family, peer.port(), address)
}
