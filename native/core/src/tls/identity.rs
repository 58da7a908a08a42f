//! What a client's certificate says of its client, read once and kept for the life of the
//! connection.

use super::certificate::seconds;
use boring::asn1::{Asn1IntegerRef, Asn1StringRef};
use boring::sha::sha256;
use boring::x509::{X509NameRef, X509Ref};
use boring_sys as ffi;
use foreign_types_shared::ForeignTypeRef;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

/// How names are written: as RFC 4514 has it, the last of them first, everything outside of ASCII
/// escaped byte by byte in UTF-8.
const NAME_FORM: i32 = ffi::XN_FLAG_RFC2253;

/// Names that are read of one certificate.
const MAX_NAMES: usize = 1_000;

/// Bytes of all that a certificate says of its owner: what fields, records and lines have to carry.
const MAX_TEXT: usize = 16 * 1024;

/// What was done to find out whether a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It leads to an authority that the listener trusts, and nothing speaks against it.
    Verified,
    /// Nothing was: whoever has its key may call himself what he likes.
    Unverified,
}

/// A name of a certificate beside its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlternativeName {
    /// A host, lower-case.
    Dns(Box<str>),
    /// Such as `spiffe://example.org/web`.
    Uri(Box<str>),
    /// A mail address.
    Email(Box<str>),
    /// An address.
    Ip(IpAddr),
}

impl AlternativeName {
    fn text_len(&self) -> usize {
        match self {
            AlternativeName::Dns(text) | AlternativeName::Uri(text) | AlternativeName::Email(text) => text.len(),
            // As text.
            AlternativeName::Ip(_) => 40,
        }
    }
}

/// A client's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whether what it says may be believed.
    pub verdict: Verdict,
    /// SHA-256 of its DER.
    pub fingerprint: [u8; 32],
    /// Hex, upper-case, an even number of digits.
    pub serial: Box<str>,
    /// RFC 4514, printable ASCII.
    pub subject: Box<str>,
    /// The same of who issued it.
    pub issuer: Box<str>,
    /// In their order, those of other kinds left out.
    pub names: Box<[AlternativeName]>,
    /// Seconds since 1970 at which it ends.
    pub not_after: i64,
    /// Seconds since 1970 at which it, or what it was verified by, ends.
    pub valid_until: i64,
    /// DER as the client sent it: the certificate, then what it sent to link it to an authority.
    pub chain: Box<[Box<[u8]>]>,
}

impl Identity {
    /// DER of the certificate.
    pub fn der(&self) -> &[u8] {
        self.chain.first().map_or(&[], |leaf| leaf)
    }

    /// Reads a leaf; none where it says something that no certificate may: what is not text, a NUL
    /// or another control character in a name, a serial number below zero, more than [`MAX_TEXT`].
    pub fn read(leaf: &X509Ref, chain: &[&[u8]], verdict: Verdict) -> Option<Identity> {
        let [subject, issuer] = [leaf.subject_name(), leaf.issuer_name()].map(name_text);
        let not_after = seconds(leaf.not_after()).ok()?;
        let serial = serial_text(leaf.serial_number())?;
        let names = alternative_names(leaf)?;
        let (subject, issuer) = (subject?, issuer?);
        let text = serial.len() + subject.len() + issuer.len() + names.iter().map(AlternativeName::text_len).sum::<usize>();
        if text > MAX_TEXT {
            return None;
        }
        Some(Identity {
            verdict,
            fingerprint: sha256(chain.first()?),
            serial,
            subject,
            issuer,
            names,
            not_after,
            valid_until: not_after,
            chain: chain.iter().map(|der| Box::from(*der)).collect(),
        })
    }
}

/// The bytes of a serial number without zeros before it; none below zero.
pub(super) fn serial_bytes(serial: &Asn1IntegerRef) -> Option<&[u8]> {
    let raw: *const ffi::ASN1_STRING = serial.as_ptr();
    // SAFETY: the number lives as long as the reference, and so do its bytes.
    let (kind, bytes) = unsafe {
        let length = ffi::ASN1_STRING_length(raw).max(0) as usize;
        let data = ffi::ASN1_STRING_get0_data(raw);
        (ffi::ASN1_STRING_type(raw), if length == 0 { &[][..] } else { std::slice::from_raw_parts(data, length) })
    };
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    (kind != ffi::V_ASN1_NEG_INTEGER).then_some(&bytes[zeros..])
}

fn serial_text(serial: &Asn1IntegerRef) -> Option<Box<str>> {
    let bytes = serial_bytes(serial)?;
    let text = if bytes.is_empty() { "00".to_owned() } else { bytes.iter().map(|byte| format!("{byte:02X}")).collect() };
    Some(text.into())
}

/// A name as text; none where one of its parts is not clean.
fn name_text(name: &X509NameRef) -> Option<Box<str>> {
    if !name.entries().all(|entry| is_clean(entry.data())) {
        return None;
    }
    name.print_ex(NAME_FORM).map(String::into_boxed_str)
}

/// Whether a string is text without control characters.
fn is_clean(string: &Asn1StringRef) -> bool {
    let mut utf8 = ptr::null_mut();
    // SAFETY: the string lives; what is made of it is read as long as it says it is, and freed.
    unsafe {
        let length = ffi::ASN1_STRING_to_UTF8(&mut utf8, string.as_ptr());
        if length < 0 {
            ffi::ERR_clear_error();
            return false;
        }
        let bytes = if length == 0 { &[][..] } else { std::slice::from_raw_parts(utf8, length as usize) };
        let is_clean = std::str::from_utf8(bytes).is_ok_and(|text| !text.chars().any(char::is_control));
        ffi::OPENSSL_free(utf8.cast());
        is_clean
    }
}

/// The stack of a certificate's alternative names, freed at the end.
struct Names(*mut ffi::GENERAL_NAMES);

impl Drop for Names {
    fn drop(&mut self) {
        // SAFETY: it is ours, or null, which is allowed.
        unsafe { ffi::GENERAL_NAMES_free(self.0) }
    }
}

fn alternative_names(leaf: &X509Ref) -> Option<Box<[AlternativeName]>> {
    let mut found = -1;
    // SAFETY: the certificate lives; what is made of its extension is ours.
    let names = Names(unsafe { ffi::X509_get_ext_d2i(leaf.as_ptr(), ffi::NID_subject_alt_name, &mut found, ptr::null_mut()).cast() });
    if names.0.is_null() {
        // SAFETY: no preconditions.
        unsafe { ffi::ERR_clear_error() };
        // -1: there is none. Otherwise there are two, or it cannot be read.
        return (found == -1).then(Box::default);
    }
    // SAFETY: the stack lives to the end of this function.
    let count = unsafe { ffi::OPENSSL_sk_num(names.0.cast()) };
    let mut read = Vec::with_capacity(count.min(MAX_NAMES));
    for place in 0..count {
        // SAFETY: as above, and so do the names in it.
        let name = unsafe { &*ffi::OPENSSL_sk_value(names.0.cast(), place).cast::<ffi::GENERAL_NAME>() };
        let one = match name.type_ {
            ffi::GEN_DNS | ffi::GEN_URI | ffi::GEN_EMAIL | ffi::GEN_IPADD => alternative_name(name)?,
            _ => continue,
        };
        if read.len() == MAX_NAMES {
            return None;
        }
        read.push(one);
    }
    Some(read.into())
}

fn alternative_name(name: &ffi::GENERAL_NAME) -> Option<AlternativeName> {
    // SAFETY: all these kinds are strings, which live as long as the name.
    let bytes = unsafe {
        let string: *const ffi::ASN1_STRING = name.d.ia5;
        let length = ffi::ASN1_STRING_length(string).max(0) as usize;
        if length == 0 { &[][..] } else { std::slice::from_raw_parts(ffi::ASN1_STRING_get0_data(string), length) }
    };
    if name.type_ == ffi::GEN_IPADD {
        let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::from(Ipv4Addr::from(bytes)));
        return v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::from(Ipv6Addr::from(bytes)))).ok().map(AlternativeName::Ip);
    }
    // ASCII without spaces (RFC 5280 §4.2.1.6): nothing that could end a field or a line.
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))?;
    Some(match name.type_ {
        ffi::GEN_DNS => AlternativeName::Dns(text.to_ascii_lowercase().into()),
        ffi::GEN_URI => AlternativeName::Uri(text.into()),
        _ => AlternativeName::Email(text.into()),
    })
}
