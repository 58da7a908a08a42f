//! Text into a reserved record, behind its words and table.

use std::net::{IpAddr, SocketAddr};

/// Room for text: one piece after the other.
pub(super) struct Text<'a>(pub &'a mut [u8]);

impl Text<'_> {
    pub fn put(&mut self, text: &[u8]) {
        let (now, rest) = std::mem::take(&mut self.0).split_at_mut(text.len());
        now.copy_from_slice(text);
        self.0 = rest;
    }

    /// Fills up what is left.
    pub fn pad(self) {
        self.0.fill(0);
    }
}

/// Size of a record whose parts take so many bytes.
pub(super) fn round(size: usize) -> usize {
    (size + 7) & !7
}

/// Family, port and address as records have them.
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
