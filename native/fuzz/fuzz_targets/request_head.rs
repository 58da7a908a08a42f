//! A section decoded and checked as a request, a response and trailers: what passes holds nothing
//! that could be read differently further on.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lychgate_core::http::check::{check_request, check_response, check_trailers};
use lychgate_core::http::fields::{Fields, Known};
use lychgate_core::http::qpack::{self, FieldLimits};

const LIMITS: FieldLimits = FieldLimits { max_size: 16_384, max_count: 64, max_crumbs: 64 };

fuzz_target!(|section: &[u8]| {
    let mut fields = Fields::new();
    if qpack::decode(section, &mut fields, LIMITS).is_err() {
        return;
    }
    let _ = check_request(&fields, true);
    let _ = check_response(&fields);
    let _ = check_trailers(&fields);
    let Ok(facts) = check_request(&fields, false) else { return };
    for name in [Known::Method, Known::Scheme, Known::Path] {
        assert_eq!(fields.iter().filter(|field| field.known == name).count(), 1);
    }
    for field in fields.iter() {
        assert!(!field.value.iter().any(|byte| [0, b'\r', b'\n', 0x7f].contains(byte)));
        assert!(!field.name.iter().any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_whitespace()));
        assert!(!matches!(field.known, Known::Connection | Known::TransferEncoding | Known::Upgrade));
        if field.known == Known::ContentLength {
            assert_eq!(std::str::from_utf8(field.value).unwrap().parse().ok(), facts.content_length);
        }
    }
});
