//! What tells the series of one family of counters apart: the cases, and what metrics call them.
//! The number of a case is the place of its series.

/// Cases with their label values; `VALUES` has the values in the order of the cases.
macro_rules! series {
    ($(#[$note:meta])* $name:ident { $($(#[$about:meta])* $case:ident = $value:literal,)* }) => {
        $(#[$note])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum $name { $($(#[$about])* $case),* }

        impl $name {
            /// Label values, in the order of the cases.
            pub const VALUES: [&'static str; [$($value),*].len()] = [$($value),*];
        }
    };
}
pub(crate) use series;

series! {
    /// Why a datagram was dropped.
    #[allow(missing_docs, reason = "the label values say what each is")]
    Dropped {
        Short = "short",
        Malformed = "malformed",
        UnknownConnection = "unknown_connection",
        NotInitial = "not_initial",
        SmallInitial = "small_initial",
        ConnectionLimit = "connection_limit",
        Draining = "draining",
        Refused = "refused",
        Undecryptable = "undecryptable",
        HandOverFull = "hand_over_full",
        VersionLimit = "version_limit",
        ClientLimit = "client_limit",
    }
}

series! {
    /// Why a connection was refused.
    #[allow(missing_docs, reason = "the label values say what each is")]
    Refused {
        ConnectionLimit = "connection_limit",
        Draining = "draining",
        ClientLimit = "client_limit",
    }
}

series! {
    /// How a handshake ended.
    #[allow(missing_docs, reason = "the label values say what each is")]
    Handshake {
        Completed = "completed",
        Resumed = "resumed",
        Failed = "failed",
        TimedOut = "timed_out",
    }
}

series! {
    /// What was found of the server name that a client asked for. From `Absent` on each may be
    /// reason to refuse the handshake.
    #[allow(missing_docs, reason = "the label values say what each is")]
    ServerName {
        Exact = "exact",
        Wildcard = "wildcard",
        Absent = "absent",
        Address = "address",
        Unknown = "unknown",
    }
}

impl ServerName {
    /// Label values of those that may be refused.
    pub const REFUSED: [&'static str; 3] = {
        let [_, _, refused @ ..] = Self::VALUES;
        refused
    };
}

series! {
    /// Why a session ticket opened no session.
    #[allow(missing_docs, reason = "the label values say what each is")]
    TicketRefused {
        UnknownKey = "unknown_key",
        Rules = "rules",
    }
}

series! {
    /// What came of asking a client for a certificate.
    #[allow(missing_docs, reason = "the label values say what each is")]
    ClientCertificate {
        Verified = "verified",
        Unverified = "unverified",
        Absent = "absent",
        Refused = "refused",
    }
}

series! {
    /// Why a client's certificate was refused.
    #[allow(missing_docs, reason = "the label values say what each is")]
    CertificateRefused {
        Missing = "missing",
        UnknownCa = "unknown_ca",
        Expired = "expired",
        Revoked = "revoked",
        RevocationUnknown = "revocation_unknown",
        Denied = "denied",
        NotAllowed = "not_allowed",
        Malformed = "malformed",
        TooLarge = "too_large",
        Purpose = "purpose",
        Invalid = "invalid",
    }
}

series! {
    /// What closed a connection.
    #[allow(missing_docs, reason = "the label values say what each is")]
    Closed {
        Peer = "peer",
        Local = "local",
        Idle = "idle",
        Protocol = "protocol",
        Panic = "panic",
        Refused = "refused",
    }
}

series! {
    /// Why a request was rejected unread.
    #[allow(missing_docs, reason = "the label values say what each is")]
    Rejected {
        Overloaded = "overloaded",
        Draining = "draining",
        NotBegun = "not_begun",
    }
}

series! {
    /// Why a trailer field did not pass.
    #[allow(missing_docs, reason = "the label values say what each is")]
    TrailerDropped {
        RequestEdit = "request_edit",
        Underscore = "underscore",
        ResponseEdit = "response_edit",
    }
}
