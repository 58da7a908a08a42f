//! What BoringSSL finds wrong with a chain, in our terms: why a client's certificate is refused and
//! what it is told, and why a backend's does not hold.

use crate::base::counters::CertificateRefused;
use crate::base::reason::Reason;
use boring::ssl::SslAlert;
use boring::x509::X509VerifyError;

/// What is wrong with a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nobody who is trusted issued it.
    Issuer,
    /// It ran out.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It is for another host.
    Name,
    /// It is for something else.
    Purpose,
    /// There are more certificates in it than are read.
    Length,
    /// It breaks a rule of RFC 5280.
    Rule,
}

impl Fault {
    /// That of a verdict, which is not `OK`.
    pub fn of(verdict: X509VerifyError) -> Fault {
        match verdict {
            X509VerifyError::UNABLE_TO_GET_ISSUER_CERT
            | X509VerifyError::UNABLE_TO_GET_ISSUER_CERT_LOCALLY
            | X509VerifyError::UNABLE_TO_VERIFY_LEAF_SIGNATURE
            | X509VerifyError::DEPTH_ZERO_SELF_SIGNED_CERT
            | X509VerifyError::SELF_SIGNED_CERT_IN_CHAIN
            | X509VerifyError::CERT_UNTRUSTED
            | X509VerifyError::AKID_SKID_MISMATCH
            // Its issuer bears the name of one that is trusted.
            | X509VerifyError::CERT_SIGNATURE_FAILURE => Fault::Issuer,
            X509VerifyError::CERT_HAS_EXPIRED => Fault::Expired,
            X509VerifyError::CERT_NOT_YET_VALID => Fault::NotYetValid,
            X509VerifyError::HOSTNAME_MISMATCH | X509VerifyError::IP_ADDRESS_MISMATCH => Fault::Name,
            X509VerifyError::INVALID_PURPOSE => Fault::Purpose,
            X509VerifyError::CERT_CHAIN_TOO_LONG => Fault::Length,
            _ => Fault::Rule,
        }
    }

    /// Why a client's certificate is refused.
    pub fn refused(self) -> CertificateRefused {
        match self {
            Fault::Issuer => CertificateRefused::UnknownCa,
            Fault::Expired | Fault::NotYetValid => CertificateRefused::Expired,
            Fault::Purpose => CertificateRefused::Purpose,
            Fault::Length => CertificateRefused::TooLarge,
            Fault::Name | Fault::Rule => CertificateRefused::Invalid,
        }
    }

    /// Why a backend's certificate does not hold.
    pub fn reason(self) -> Reason {
        match self {
            Fault::Issuer => Reason::TlsIssuerUnknown,
            Fault::Expired => Reason::TlsCertificateExpired,
            Fault::NotYetValid => Reason::TlsCertificateNotYetValid,
            Fault::Name => Reason::TlsNameMismatch,
            Fault::Purpose | Fault::Length | Fault::Rule => Reason::TlsCertificateInvalid,
        }
    }
}

/// What a client is told whose certificate is refused (RFC 8446 §6.2).
pub(super) fn alert(refused: CertificateRefused) -> SslAlert {
    match refused {
        CertificateRefused::Missing => SslAlert::CERTIFICATE_REQUIRED,
        CertificateRefused::UnknownCa => SslAlert::UNKNOWN_CA,
        CertificateRefused::Expired => SslAlert::CERTIFICATE_EXPIRED,
        CertificateRefused::Revoked => SslAlert::CERTIFICATE_REVOKED,
        CertificateRefused::RevocationUnknown => SslAlert::CERTIFICATE_UNKNOWN,
        CertificateRefused::Denied | CertificateRefused::NotAllowed => SslAlert::ACCESS_DENIED,
        CertificateRefused::Purpose => SslAlert::UNSUPPORTED_CERTIFICATE,
        CertificateRefused::Malformed | CertificateRefused::TooLarge | CertificateRefused::Invalid => SslAlert::BAD_CERTIFICATE,
    }
}
