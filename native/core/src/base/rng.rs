//! Random numbers: a fast generator seeded from the kernel for identifiers and jitter, and
//! BoringSSL's for secrets.

/// Fills bytes from BoringSSL's generator, for keys and connection IDs.
pub fn fill_secret(bytes: &mut [u8]) {
    boring::rand::rand_bytes(bytes).expect("the kernel gives random bytes");
}

/// xoshiro256++ (Blackman and Vigna, 2019): for request ids, jitter and choices.
pub struct Rng {
    state: [u64; 4],
}

impl Default for Rng {
    fn default() -> Self {
        let mut seed = [0u8; 32];
        fill_secret(&mut seed);
        let word = |place: usize| u64::from_le_bytes(seed[place * 8..place * 8 + 8].try_into().expect("eight bytes"));
        Rng { state: [word(0) | 1, word(1), word(2), word(3)] }
    }
}

impl Rng {
    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// 128 random bits as 32 lower-case hex digits.
    pub fn hex_id(&mut self) -> [u8; 32] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut id = [0u8; 32];
        for half in id.chunks_exact_mut(16) {
            let mut bits = self.next_u64();
            for digit in half {
                *digit = DIGITS[(bits & 15) as usize];
                bits >>= 4;
            }
        }
        id
    }
}
