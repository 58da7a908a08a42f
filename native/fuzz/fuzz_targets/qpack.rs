//! A section is refused or decoded within its limits, and what was decoded survives our own
//! encoder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lychgate_core::http::fields::Fields;
use lychgate_core::http::qpack::{self, FieldLimits};

const LIMITS: FieldLimits = FieldLimits { max_size: 4096, max_count: 32, max_crumbs: 32 };

fuzz_target!(|section: &[u8]| {
    let mut fields = Fields::new();
    let result = qpack::decode(section, &mut fields, LIMITS);
    assert!(fields.section_size() <= LIMITS.max_size && fields.len() <= LIMITS.max_count);
    if result.is_ok() {
        let (mut again, mut back) = (Vec::new(), Fields::new());
        qpack::encode(&fields, &mut again);
        qpack::decode(&again, &mut back, LIMITS).expect("our own section");
        assert!(fields.iter().eq(back.iter()));
    }
});
