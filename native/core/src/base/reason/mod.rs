//! Why an exchange or an attempt ended as it did: the numbers that stand in records, as
//! `docs/design/records.md` lists them.
//!
//! The registry itself is [`table`], made of `reasons.yaml`; `src/base/reasons.ts` has the same for
//! the lane.

mod table;

pub use table::{ALL, Entry, Reason, Retry, Side};

/// Why a TLS handshake with a backend failed, in the order of the counter's series; the first
/// stands for all that has no reason of its own.
pub const OF_TLS: [Reason; 12] = [
    Reason::TlsFailed,
    Reason::TlsIssuerUnknown,
    Reason::TlsNameMismatch,
    Reason::TlsCertificateExpired,
    Reason::TlsCertificateNotYetValid,
    Reason::TlsCertificateInvalid,
    Reason::TlsPlainText,
    Reason::TlsNotAgreed,
    Reason::TlsAlert,
    Reason::TlsClosed,
    Reason::TlsPinMismatch,
    Reason::TlsCertificateRequired,
];

/// Place in [`ALL`] of each number, so that a look-up is one load; 0 for numbers nobody has.
const PLACES: [u8; 128] = {
    let mut places = [0; 128];
    let mut place = 0;
    while place < ALL.len() {
        places[ALL[place].reason as usize] = place as u8;
        place += 1;
    }
    places
};

impl Reason {
    /// Number in records.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The registry's row.
    pub const fn entry(self) -> &'static Entry {
        &ALL[PLACES[self as usize] as usize]
    }

    /// Place in [`OF_TLS`], if it is there.
    pub fn of_tls(self) -> Option<usize> {
        OF_TLS.iter().position(|reason| *reason == self)
    }

    /// What a client is told in its place: what is wrong with a backend's certificate is none of
    /// its business.
    pub fn told(self) -> Reason {
        if self.of_tls().is_some() { Reason::TlsFailed } else { self }
    }

    /// Stable name.
    pub const fn code(self) -> &'static str {
        self.entry().code
    }

    /// Status a client gets, 0 for none.
    pub const fn status(self) -> u16 {
        self.entry().status
    }

    /// Status in the gRPC protocol: that of a deadline where one has passed, else what a gRPC
    /// client would make of the HTTP status by itself.
    pub const fn grpc_status(self) -> u32 {
        self.entry().grpc_status
    }

    /// The reason of a number; none for numbers nobody has.
    pub fn from_number(number: u32) -> Option<Reason> {
        let entry = &ALL[*PLACES.get(number as usize)? as usize];
        (entry.reason as u32 == number).then_some(entry.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_reason() {
        for entry in ALL {
            assert_eq!(Reason::from_number(entry.reason.number()), Some(entry.reason));
            assert_eq!(entry.reason.entry(), entry);
        }
        assert_eq!(Reason::from_number(15), None);
        assert_eq!(Reason::from_number(4_000_000_000), None);
    }

    #[test]
    fn every_reason_of_a_failed_handshake_has_a_cause_of_its_own() {
        let named: Vec<Reason> = ALL.iter().filter(|entry| entry.code.starts_with("tls_")).map(|entry| entry.reason).collect();
        assert_eq!(named, OF_TLS);
    }
}
