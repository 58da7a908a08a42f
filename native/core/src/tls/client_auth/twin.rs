//! The other form of a certificate. Where (r, s) is a signature of ECDSA, (r, n − s) is one as
//! well, which anybody can reckon: the certificate is as good with it, and has another fingerprint.
//! Who denies one by its fingerprint means both.

use boring::bn::{BigNum, BigNumContext};
use boring::ec::EcGroup;
use boring::ecdsa::EcdsaSig;
use boring::nid::Nid;
use boring::sha::sha256;
use boring::x509::X509Ref;

/// Curves that sign certificates. Which of them it was only the issuer's key says, and there may be
/// none at hand.
const CURVES: [Nid; 3] = [Nid::X9_62_PRIME256V1, Nid::SECP384R1, Nid::SECP521R1];

/// Fingerprints of the other forms that a certificate may have; none where ECDSA did not sign it.
pub(super) fn fingerprints<'a>(certificate: &'a X509Ref, der: &'a [u8]) -> impl Iterator<Item = [u8; 32]> + 'a {
    CURVES.into_iter().filter_map(|curve| Some(sha256(&twin(der, certificate.signature().as_slice(), curve)?)))
}

/// A certificate with its signature in the other form.
pub(in crate::tls) fn twin(der: &[u8], signature: &[u8], curve: Nid) -> Option<Vec<u8>> {
    let (group, mut order, mut context) = (EcGroup::from_curve_name(curve).ok()?, BigNum::new().ok()?, BigNumContext::new().ok()?);
    group.order(&mut order, &mut context).ok()?;
    let given = EcdsaSig::from_der(signature).ok()?;
    let mut other = BigNum::new().ok()?;
    other.checked_sub(&order, given.s()).ok()?;
    if other.is_negative() || other.num_bits() == 0 {
        return None;
    }
    let other = EcdsaSig::from_private_components(given.r().to_owned().ok()?, other).ok()?.to_der().ok()?;
    let header = |tag, length| element_header(tag, length);
    // What is signed, and by which algorithm, stands before the signature.
    let of_signature = header(0x03, signature.len() + 1).len() + 1 + signature.len();
    let outer = (1..=6).find(|&outer| outer <= der.len() && header(0x30, der.len() - outer) == der[..outer])?;
    let before = der.get(outer..der.len().checked_sub(of_signature)?)?;
    let length = header(0x03, other.len() + 1).len() + 1 + other.len() + before.len();
    Some([&header(0x30, length)[..], before, &header(0x03, other.len() + 1), &[0], &other].concat())
}

/// Tag and length.
fn element_header(tag: u8, length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    match length {
        0..=0x7f => vec![tag, length as u8],
        _ => [&[tag, 0x80 | bytes.len() as u8], bytes].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_as_der_has_them() {
        assert_eq!(element_header(0x30, 0), [0x30, 0]);
        assert_eq!(element_header(0x30, 0x7f), [0x30, 0x7f]);
        assert_eq!(element_header(0x30, 0x80), [0x30, 0x81, 0x80]);
        assert_eq!(element_header(0x30, 0x1234), [0x30, 0x82, 0x12, 0x34]);
    }
}
