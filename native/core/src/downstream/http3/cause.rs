//! HTTP/3's numbers of causes (RFC 9114 §8.1).

use crate::downstream::cause::Cause;
use crate::http::error::{h3, h3_to_h2};

/// The code that says a cause.
pub(super) fn code_of(cause: Cause) -> u64 {
    match cause {
        Cause::Done => h3::NO_ERROR,
        Cause::Cancelled => h3::REQUEST_CANCELLED,
        Cause::Rejected => h3::REQUEST_REJECTED,
        Cause::Internal => h3::INTERNAL_ERROR,
        Cause::Load => h3::EXCESSIVE_LOAD,
        Cause::Malformed => h3::MESSAGE_ERROR,
        Cause::Incomplete => h3::REQUEST_INCOMPLETE,
        Cause::Protocol => h3::GENERAL_PROTOCOL_ERROR,
        Cause::Frame => h3::FRAME_ERROR,
        Cause::Compression => h3::QPACK_DECOMPRESSION_FAILED,
        Cause::Tunnel => h3::CONNECT_ERROR,
        Cause::Fallback => h3::VERSION_FALLBACK,
        Cause::Code(code) => code,
    }
}

/// What a client means by a code it resets a stream with.
pub(super) fn cause_of(code: u64) -> Cause {
    Cause::of_h2(h3_to_h2(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::{h2_to_h3, h3_to_h2};

    #[test]
    fn a_cause_crosses_from_client_to_backend_and_back_as_the_table_of_codes_has_it() {
        for code in (0..0x400).chain([u64::MAX]) {
            assert_eq!(cause_of(code).to_h2(), h3_to_h2(code), "{code:#x}");
        }
        for code in (0..0x20).chain([u32::MAX]) {
            assert_eq!(code_of(Cause::of_h2(code)), h2_to_h3(code), "{code:#x}");
        }
        assert_eq!(code_of(Cause::Code(0x1234)), 0x1234);
    }
}
