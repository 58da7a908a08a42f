//! Connection IDs that find their way: eight bytes that carry the shard and the process generation
//! in sealed form.
//!
//! Six bytes are random; the first two hold shard and generation, exclusive-ored with sixteen bits
//! mixed from four of the random bytes and the process's key. The mix uses only 32-bit
//! multiplications, shifts and exclusive-ors, because the kernel's classic BPF has to undo it
//! (`steer`). It hides which shard serves whom from an observer who does not work at it; it is no
//! cipher and guards nothing: a forged ID reaches a shard and finds no connection there.

use crate::base::rng;

/// Length of our connection IDs.
pub const CID_BYTES: usize = 8;

/// The constants of the mix, drawn from the endpoint's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CidKey {
    pub(super) whiten: u32,
    pub(super) first: u32,
    pub(super) second: u32,
    secret: [u8; 32],
}

/// A connection ID of ours as one number.
pub type Cid = u64;

impl CidKey {
    /// Draws the constants from 32 bytes; multipliers are made odd so that they lose nothing.
    pub fn new(key: &[u8; 32]) -> CidKey {
        let word = |at: usize| u32::from_le_bytes([key[at], key[at + 1], key[at + 2], key[at + 3]]);
        CidKey { whiten: word(0), first: word(4) | 1, second: word(8) | 1, secret: *key }
    }

    fn mix(&self, nonce: u32) -> u32 {
        let mut bits = (nonce ^ self.whiten).wrapping_mul(self.first);
        bits ^= bits >> 15;
        bits.wrapping_mul(self.second) >> 16
    }

    /// A new ID for a shard.
    pub fn mint(&self, shard: u8, generation: u8) -> Cid {
        let mut bytes = [0u8; CID_BYTES];
        rng::fill_secret(&mut bytes[2..]);
        let mask = self.mix(u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]));
        bytes[0] = shard ^ mask as u8;
        bytes[1] = generation ^ (mask >> 8) as u8;
        u64::from_be_bytes(bytes)
    }

    /// A new ID for a shard that is not taken.
    pub fn mint_free(&self, shard: u8, generation: u8, is_taken: impl Fn(Cid) -> bool) -> Cid {
        loop {
            let id = self.mint(shard, generation);
            if !is_taken(id) {
                return id;
            }
        }
    }

    /// Shard and generation of an ID, if it is one of ours; else noise.
    pub fn open(&self, cid: Cid) -> (u8, u8) {
        let bytes = cid.to_be_bytes();
        let mask = self.mix(cid as u32);
        (bytes[0] ^ mask as u8, bytes[1] ^ (mask >> 8) as u8)
    }

    /// Stateless-reset token of an ID (RFC 9000 §10.3.2): HMAC-SHA-256 under the key, cut.
    pub fn reset_token(&self, cid: Cid) -> u128 {
        let mut input = *b"stateless reset ........";
        input[16..].copy_from_slice(&cid.to_be_bytes());
        self.derive(&input)
    }

    /// 16 bytes for a purpose, the same in every shard.
    pub fn derive(&self, purpose: &[u8]) -> u128 {
        let mac = boring::hash::hmac_sha256(&self.secret, purpose).expect("HMAC of fixed inputs");
        u128::from_be_bytes(mac[..16].try_into().expect("sixteen bytes"))
    }
}

/// Reads the ID of ours at the front of some bytes.
pub fn read(bytes: &[u8]) -> Option<Cid> {
    bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_opens_to_the_shard_and_generation_it_was_minted_for(key: [u8; 32], shard: u8, generation: u8) {
            let key = CidKey::new(&key);
            prop_assert_eq!(key.open(key.mint(shard, generation)), (shard, generation));
        }
    }

    #[test]
    fn ids_of_one_shard_look_alike_in_no_byte() {
        let key = CidKey::new(&[0x5a; 32]);
        let mut seen = [[false; 256]; CID_BYTES];
        for _ in 0..4_000 {
            for (place, byte) in key.mint(1, 0).to_be_bytes().into_iter().enumerate() {
                seen[place][byte as usize] = true;
            }
        }
        for place in seen {
            assert!(place.iter().filter(|seen| **seen).count() > 200);
        }
    }

    #[test]
    fn reset_tokens_differ_by_id_and_key() {
        let (one, other) = (CidKey::new(&[1; 32]), CidKey::new(&[2; 32]));
        assert_ne!(one.reset_token(1), one.reset_token(2));
        assert_ne!(one.reset_token(1), other.reset_token(1));
        assert_eq!(one.reset_token(1), one.reset_token(1));
    }
}
