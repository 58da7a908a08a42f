//! Answers to a first datagram that make no connection: what every version of QUIC has in common
//! (RFC 8999) is read here, and a refusal written.

use boring::error::ErrorStack;
use boring_sys as ffi;
use quiche::ConnectionId;
use std::mem::MaybeUninit;

/// Secret of Initial packets of version 1 (RFC 9001 §5.2).
const INITIAL_SALT: [u8; 20] =
    [0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a];

/// CONNECTION_REFUSED (RFC 9000 §20.1).
pub const CONNECTION_REFUSED: u64 = 0x2;

const SECRET_BYTES: usize = 32;
const KEY_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// Greatest connection ID of version 1.
const MAX_CID_BYTES: usize = 20;

/// Room that [`refuse`] needs.
pub const REFUSAL_BYTES: usize = 1 + 4 + 2 * (1 + MAX_CID_BYTES) + 2 + 1 + FRAME.len() + TAG_BYTES;

/// CONNECTION_CLOSE of the transport: error code, type of the frame at fault (none), length of the
/// reason phrase (RFC 9000 §19.19).
const FRAME: [u8; 4] = [0x1c, CONNECTION_REFUSED as u8, 0, 0];

/// What all versions have in a long header (RFC 8999 §5.1). What stands behind it means something
/// only to who knows the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongHeader<'a> {
    /// Version; 0 in Version Negotiation.
    pub version: u32,
    /// Destination connection ID.
    pub destination: &'a [u8],
    /// Source connection ID.
    pub source: &'a [u8],
}

impl LongHeader<'_> {
    /// Reads it; none from a short header, or where the datagram ends within it.
    pub fn read(datagram: &[u8]) -> Option<LongHeader<'_>> {
        let (first, rest) = datagram.split_first()?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let (destination, rest) = connection_id(rest)?;
        let (source, _) = connection_id(rest)?;
        (first & 0x80 != 0).then_some(LongHeader { version: u32::from_be_bytes(*version), destination, source })
    }
}

fn connection_id(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked(*length as usize)
}

/// Writes an Initial packet of version 1 that closes with CONNECTION_REFUSED, protected with the
/// keys of the client's first packet; its length. None where an ID is longer than the version has
/// them, or `out` is too short.
///
/// It needs no padding: it asks for no acknowledgement (RFC 9000 §14.1).
pub fn refuse(client: LongHeader<'_>, out: &mut [u8]) -> Option<usize> {
    if client.destination.len().max(client.source.len()) > MAX_CID_BYTES || out.len() < REFUSAL_BYTES {
        return None;
    }
    let mut length = 0;
    let mut put = |bytes: &[u8]| {
        out[length..length + bytes.len()].copy_from_slice(bytes);
        length += bytes.len();
    };
    // Initial, packet number of one byte.
    put(&[0xc0]);
    put(&client.version.to_be_bytes());
    // IDs change places: the client's choice is as good a name for a connection that will not be.
    for id in [client.source, client.destination] {
        put(&[id.len() as u8]);
        put(id);
    }
    // No token; packet number and payload; packet number 0.
    put(&[0, (1 + FRAME.len() + TAG_BYTES) as u8, 0]);
    let (header, payload) = out.split_at_mut(length);
    let keys = Keys::of_server(client.destination).ok()?;
    let sealed = keys.seal(header, payload)?;
    // Protection of the header (RFC 9001 §5.4): the sample begins four bytes behind the packet
    // number's first.
    let mask = keys.mask(payload[3..3 + KEY_BYTES].first_chunk()?);
    header[0] ^= mask[0] & 0x0f;
    header[length - 1] ^= mask[1];
    Some(length + sealed)
}

/// Writes a Version Negotiation packet that names the versions we speak; its length.
pub fn negotiate(client: LongHeader<'_>, out: &mut [u8]) -> Option<usize> {
    let (source, destination) = (ConnectionId::from_ref(client.source), ConnectionId::from_ref(client.destination));
    quiche::negotiate_version(&source, &destination, out).ok()
}

/// Keys of the server's Initial packets.
struct Keys {
    key: [u8; KEY_BYTES],
    nonce: [u8; NONCE_BYTES],
    header: [u8; KEY_BYTES],
}

impl Keys {
    fn of_server(destination: &[u8]) -> Result<Keys, ErrorStack> {
        let mut initial = [0; SECRET_BYTES];
        let mut length = 0;
        // SAFETY: all ranges are valid for their lengths, and SHA-256 fills the 32 bytes.
        let done = unsafe {
            ffi::HKDF_extract(
                initial.as_mut_ptr(),
                &mut length,
                ffi::EVP_sha256(),
                destination.as_ptr(),
                destination.len(),
                INITIAL_SALT.as_ptr(),
                INITIAL_SALT.len(),
            )
        };
        if done != 1 {
            return Err(ErrorStack::get());
        }
        let mut secret = [0; SECRET_BYTES];
        expand(&initial, b"server in", &mut secret)?;
        let mut keys = Keys { key: [0; KEY_BYTES], nonce: [0; NONCE_BYTES], header: [0; KEY_BYTES] };
        expand(&secret, b"quic key", &mut keys.key)?;
        expand(&secret, b"quic iv", &mut keys.nonce)?;
        expand(&secret, b"quic hp", &mut keys.header)?;
        Ok(keys)
    }

    /// Seals the frame as packet 0, whose nonce is the secret's own; bytes written.
    fn seal(&self, header: &[u8], out: &mut [u8]) -> Option<usize> {
        let mut written = 0;
        // SAFETY: the context is initialised before it is used and cleaned up after; all ranges are
        // valid for their lengths.
        let done = unsafe {
            let mut context = MaybeUninit::zeroed();
            ffi::EVP_AEAD_CTX_zero(context.as_mut_ptr());
            let aead = ffi::EVP_aead_aes_128_gcm();
            let is_ready =
                ffi::EVP_AEAD_CTX_init(context.as_mut_ptr(), aead, self.key.as_ptr(), KEY_BYTES, TAG_BYTES, std::ptr::null_mut()) == 1;
            let is_sealed = is_ready
                && ffi::EVP_AEAD_CTX_seal(
                    context.as_ptr(),
                    out.as_mut_ptr(),
                    &mut written,
                    out.len(),
                    self.nonce.as_ptr(),
                    NONCE_BYTES,
                    FRAME.as_ptr(),
                    FRAME.len(),
                    header.as_ptr(),
                    header.len(),
                ) == 1;
            ffi::EVP_AEAD_CTX_cleanup(context.as_mut_ptr());
            is_sealed
        };
        done.then_some(written)
    }

    fn mask(&self, sample: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
        let mut mask = [0; KEY_BYTES];
        // SAFETY: the schedule is set before it is used; a key of 128 bits cannot be refused.
        unsafe {
            let mut schedule = MaybeUninit::zeroed();
            ffi::AES_set_encrypt_key(self.header.as_ptr(), 8 * KEY_BYTES as u32, schedule.as_mut_ptr());
            ffi::AES_encrypt(sample.as_ptr(), mask.as_mut_ptr(), schedule.as_ptr());
        }
        mask
    }
}

/// HKDF-Expand-Label of TLS 1.3 with an empty context (RFC 8446 §7.1).
fn expand(secret: &[u8; SECRET_BYTES], label: &[u8], out: &mut [u8]) -> Result<(), ErrorStack> {
    const PREFIX: &[u8] = b"tls13 ";
    let mut info = [0; 2 + 1 + PREFIX.len() + 9 + 1];
    let labelled = PREFIX.len() + label.len();
    info[1] = out.len() as u8;
    info[2] = labelled as u8;
    info[3..3 + PREFIX.len()].copy_from_slice(PREFIX);
    info[3 + PREFIX.len()..3 + labelled].copy_from_slice(label);
    // SAFETY: all ranges are valid for their lengths; the byte behind the label is the empty
    // context's length.
    let done = unsafe {
        ffi::HKDF_expand(out.as_mut_ptr(), out.len(), ffi::EVP_sha256(), secret.as_ptr(), SECRET_BYTES, info.as_ptr(), 3 + labelled + 1)
    };
    if done == 1 { Ok(()) } else { Err(ErrorStack::get()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 9001 appendix A.1.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let keys = Keys::of_server(&[0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08]).unwrap();
        assert_eq!(u128::from_be_bytes(keys.key), 0xcf3a_5331_653c_364c_88f0_f379_b606_7e37);
        assert_eq!(keys.nonce, [0x0a, 0xc1, 0x49, 0x3c, 0xa1, 0x90, 0x58, 0x53, 0xb0, 0xbb, 0xa0, 0x3e]);
        assert_eq!(u128::from_be_bytes(keys.header), 0xc206_b8d9_b9f0_f376_4443_0b49_0eea_a314);
    }

    #[test]
    fn a_refusal_is_far_smaller_than_what_asks_for_it_whatever_the_ids() {
        for length in 0..=MAX_CID_BYTES {
            let id = [7; MAX_CID_BYTES];
            let client = LongHeader { version: 1, destination: &id[..length], source: &id };
            let mut out = [0; REFUSAL_BYTES];
            assert_eq!(refuse(client, &mut out), Some(REFUSAL_BYTES - MAX_CID_BYTES + length));
            assert_eq!(refuse(client, &mut out[1..]), None);
        }
        let id = [7; MAX_CID_BYTES + 1];
        assert_eq!(refuse(LongHeader { version: 1, destination: &id, source: &id }, &mut [0; 200]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_long_header_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Some(header) = LongHeader::read(&bytes) {
                prop_assert!(bytes[0] >= 0x80 && 7 + header.destination.len() + header.source.len() <= bytes.len());
            }
        }
    }
}
