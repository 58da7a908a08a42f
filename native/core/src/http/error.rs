//! Error codes of HTTP/3 (RFC 9114 §8.1, RFC 9204 §6) and HTTP/2 (RFC 9113 §7), and the table that
//! translates resets between them.

/// HTTP/3 and QPACK error codes, in RESET_STREAM, STOP_SENDING and CONNECTION_CLOSE.
#[rustfmt::skip]
pub mod h3 {
    /// No error; the connection or stream is done.
    pub const NO_ERROR: u64 = 0x100;
    /// The peer broke the protocol in a way no other code names.
    pub const GENERAL_PROTOCOL_ERROR: u64 = 0x101;
    /// An internal error.
    pub const INTERNAL_ERROR: u64 = 0x102;
    /// A stream was opened that is not allowed.
    pub const STREAM_CREATION_ERROR: u64 = 0x103;
    /// Control, QPACK encoder or QPACK decoder stream was closed.
    pub const CLOSED_CRITICAL_STREAM: u64 = 0x104;
    /// A frame where it is not allowed.
    pub const FRAME_UNEXPECTED: u64 = 0x105;
    /// A frame that does not fit its layout or size.
    pub const FRAME_ERROR: u64 = 0x106;
    /// The peer causes excessive load.
    pub const EXCESSIVE_LOAD: u64 = 0x107;
    /// A stream or push ID was used wrongly.
    pub const ID_ERROR: u64 = 0x108;
    /// An error in SETTINGS.
    pub const SETTINGS_ERROR: u64 = 0x109;
    /// The control stream did not begin with SETTINGS.
    pub const MISSING_SETTINGS: u64 = 0x10a;
    /// The request was not processed and may be sent again.
    pub const REQUEST_REJECTED: u64 = 0x10b;
    /// The request or its response is no longer wanted.
    pub const REQUEST_CANCELLED: u64 = 0x10c;
    /// The client ended the stream before the request was complete.
    pub const REQUEST_INCOMPLETE: u64 = 0x10d;
    /// The message is malformed (RFC 9114 §4.1.2).
    pub const MESSAGE_ERROR: u64 = 0x10e;
    /// The tunnel of a CONNECT was reset or closed abnormally.
    pub const CONNECT_ERROR: u64 = 0x10f;
    /// The peer should retry over HTTP/1.1.
    pub const VERSION_FALLBACK: u64 = 0x110;
    /// A field section cannot be decoded.
    pub const QPACK_DECOMPRESSION_FAILED: u64 = 0x200;
    /// An instruction on the QPACK encoder stream cannot be understood.
    pub const QPACK_ENCODER_STREAM_ERROR: u64 = 0x201;
    /// An instruction on the QPACK decoder stream cannot be understood.
    pub const QPACK_DECODER_STREAM_ERROR: u64 = 0x202;
}

/// HTTP/2 error codes, in RST_STREAM and GOAWAY.
#[rustfmt::skip]
pub mod h2 {
    /// No error; the connection or stream is done.
    pub const NO_ERROR: u32 = 0x0;
    /// The peer broke the protocol in a way no other code names, or sent a malformed message.
    pub const PROTOCOL_ERROR: u32 = 0x1;
    /// An internal error of the sender.
    pub const INTERNAL_ERROR: u32 = 0x2;
    /// Flow control was violated.
    pub const FLOW_CONTROL_ERROR: u32 = 0x3;
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: u32 = 0x4;
    /// A frame for a stream that was half-closed.
    pub const STREAM_CLOSED: u32 = 0x5;
    /// A frame of a wrong size.
    pub const FRAME_SIZE_ERROR: u32 = 0x6;
    /// The request was not processed and may be sent again.
    pub const REFUSED_STREAM: u32 = 0x7;
    /// The stream is no longer wanted.
    pub const CANCEL: u32 = 0x8;
    /// A field block cannot be decoded.
    pub const COMPRESSION_ERROR: u32 = 0x9;
    /// The tunnel of a CONNECT was reset or closed abnormally.
    pub const CONNECT_ERROR: u32 = 0xa;
    /// The peer causes excessive load.
    pub const ENHANCE_YOUR_CALM: u32 = 0xb;
    /// The transport's security is not sufficient.
    pub const INADEQUATE_SECURITY: u32 = 0xc;
    /// The peer should retry over HTTP/1.1.
    pub const HTTP_1_1_REQUIRED: u32 = 0xd;
}

/// Pairs of codes that mean the same. In either direction the first row with the code counts.
const TABLE: &[(u64, u32)] = &[
    (h3::REQUEST_CANCELLED, h2::CANCEL),
    // A client that resets a stream with "no error" cancels. NO_ERROR to the backend could pass for
    // a complete request.
    (h3::NO_ERROR, h2::CANCEL),
    // A backend that responds early resets the rest of the upload with NO_ERROR (RFC 9113 §8.1),
    // and so do we (RFC 9114 §4.1).
    (h3::NO_ERROR, h2::NO_ERROR),
    (h3::REQUEST_REJECTED, h2::REFUSED_STREAM),
    (h3::INTERNAL_ERROR, h2::INTERNAL_ERROR),
    (h3::EXCESSIVE_LOAD, h2::ENHANCE_YOUR_CALM),
    (h3::CONNECT_ERROR, h2::CONNECT_ERROR),
    (h3::VERSION_FALLBACK, h2::HTTP_1_1_REQUIRED),
    (h3::GENERAL_PROTOCOL_ERROR, h2::PROTOCOL_ERROR),
    (h3::MESSAGE_ERROR, h2::PROTOCOL_ERROR),
    (h3::FRAME_ERROR, h2::FRAME_SIZE_ERROR),
    (h3::REQUEST_INCOMPLETE, h2::CANCEL),
    (h3::QPACK_DECOMPRESSION_FAILED, h2::COMPRESSION_ERROR),
    // The codes below concern the connection of one side; the other side only learns that its
    // exchange ends.
    (h3::STREAM_CREATION_ERROR, h2::PROTOCOL_ERROR),
    (h3::CLOSED_CRITICAL_STREAM, h2::PROTOCOL_ERROR),
    (h3::FRAME_UNEXPECTED, h2::PROTOCOL_ERROR),
    (h3::ID_ERROR, h2::PROTOCOL_ERROR),
    (h3::SETTINGS_ERROR, h2::PROTOCOL_ERROR),
    (h3::MISSING_SETTINGS, h2::PROTOCOL_ERROR),
    (h3::QPACK_ENCODER_STREAM_ERROR, h2::COMPRESSION_ERROR),
    (h3::QPACK_DECODER_STREAM_ERROR, h2::COMPRESSION_ERROR),
    (h3::GENERAL_PROTOCOL_ERROR, h2::FLOW_CONTROL_ERROR),
    (h3::GENERAL_PROTOCOL_ERROR, h2::SETTINGS_TIMEOUT),
    (h3::GENERAL_PROTOCOL_ERROR, h2::STREAM_CLOSED),
    (h3::GENERAL_PROTOCOL_ERROR, h2::INADEQUATE_SECURITY),
];

/// The HTTP/2 code for a reset with an HTTP/3 code. An unknown code, such as a greased one, counts
/// as NO_ERROR (RFC 9114 §9) and becomes CANCEL.
pub fn h3_to_h2(code: u64) -> u32 {
    TABLE.iter().find(|row| row.0 == code).map_or(h2::CANCEL, |row| row.1)
}

/// The HTTP/3 code for a reset with an HTTP/2 code. An unknown code counts as INTERNAL_ERROR (RFC
/// 9113 §7).
pub fn h2_to_h3(code: u32) -> u64 {
    TABLE.iter().find(|row| row.1 == code).map_or(h3::INTERNAL_ERROR, |row| row.0)
}

/// Name of an HTTP/3 code for logs and metrics; a closed set.
pub fn h3_name(code: u64) -> &'static str {
    const NAMES: [&str; 17] = [
        "H3_NO_ERROR",
        "H3_GENERAL_PROTOCOL_ERROR",
        "H3_INTERNAL_ERROR",
        "H3_STREAM_CREATION_ERROR",
        "H3_CLOSED_CRITICAL_STREAM",
        "H3_FRAME_UNEXPECTED",
        "H3_FRAME_ERROR",
        "H3_EXCESSIVE_LOAD",
        "H3_ID_ERROR",
        "H3_SETTINGS_ERROR",
        "H3_MISSING_SETTINGS",
        "H3_REQUEST_REJECTED",
        "H3_REQUEST_CANCELLED",
        "H3_REQUEST_INCOMPLETE",
        "H3_MESSAGE_ERROR",
        "H3_CONNECT_ERROR",
        "H3_VERSION_FALLBACK",
    ];
    match code {
        h3::NO_ERROR..=h3::VERSION_FALLBACK => NAMES[(code - h3::NO_ERROR) as usize],
        h3::QPACK_DECOMPRESSION_FAILED => "QPACK_DECOMPRESSION_FAILED",
        h3::QPACK_ENCODER_STREAM_ERROR => "QPACK_ENCODER_STREAM_ERROR",
        h3::QPACK_DECODER_STREAM_ERROR => "QPACK_DECODER_STREAM_ERROR",
        _ => "unknown",
    }
}

/// Name of an HTTP/2 code for logs and metrics; a closed set.
pub fn h2_name(code: u32) -> &'static str {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    NAMES.get(code as usize).copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_mean_the_same_cross_both_ways() {
        for (three, two) in [
            (h3::REQUEST_CANCELLED, h2::CANCEL),
            (h3::REQUEST_REJECTED, h2::REFUSED_STREAM),
            (h3::INTERNAL_ERROR, h2::INTERNAL_ERROR),
            (h3::EXCESSIVE_LOAD, h2::ENHANCE_YOUR_CALM),
            (h3::CONNECT_ERROR, h2::CONNECT_ERROR),
            (h3::VERSION_FALLBACK, h2::HTTP_1_1_REQUIRED),
            (h3::GENERAL_PROTOCOL_ERROR, h2::PROTOCOL_ERROR),
        ] {
            assert_eq!((h3_to_h2(three), h2_to_h3(two)), (two, three));
        }
    }

    #[test]
    fn no_error_is_a_cancellation_towards_the_backend_only() {
        assert_eq!(h3_to_h2(h3::NO_ERROR), h2::CANCEL);
        assert_eq!(h2_to_h3(h2::NO_ERROR), h3::NO_ERROR);
    }

    #[test]
    fn every_known_code_has_a_row_and_a_name() {
        for three in (h3::NO_ERROR..=h3::VERSION_FALLBACK).chain(h3::QPACK_DECOMPRESSION_FAILED..=h3::QPACK_DECODER_STREAM_ERROR) {
            assert!(TABLE.iter().any(|row| row.0 == three), "{three:#x}");
            assert_ne!(h3_name(three), "unknown");
        }
        for two in h2::NO_ERROR..=h2::HTTP_1_1_REQUIRED {
            assert!(TABLE.iter().any(|row| row.1 == two), "{two:#x}");
            assert_ne!(h2_name(two), "unknown");
        }
    }

    #[test]
    fn unknown_codes_are_translated_as_the_rfcs_say() {
        for grease in [0, 0x21, 0x40, 0xff, 0x111, u64::MAX] {
            assert_eq!((h3_to_h2(grease), h3_name(grease)), (h2::CANCEL, "unknown"));
        }
        assert_eq!((h2_to_h3(0xe), h2_name(0xe)), (h3::INTERNAL_ERROR, "unknown"));
    }
}
