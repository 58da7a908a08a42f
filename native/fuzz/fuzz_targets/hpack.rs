//! Blocks of one connection, each preceded by its length: refused or decoded within their limits,
//! and what was decoded survives our own encoder with its dynamic table.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lychgate_core::http::fields::Fields;
use lychgate_core::http::hpack::{DecodeError, Decoder, Encoder, FieldLimits};

const LIMITS: FieldLimits = FieldLimits { max_size: 4096, max_count: 32, max_crumbs: 32 };

fuzz_target!(|input: &[u8]| {
    let mut theirs = Decoder::new(512);
    let (mut encoder, mut ours) = (Encoder::new(512), Decoder::new(4096));
    let mut rest = input;
    while let Some((&length, tail)) = rest.split_first() {
        let (block, tail) = tail.split_at(tail.len().min(usize::from(length)));
        rest = tail;
        let mut fields = Fields::new();
        let result = theirs.decode(block, &mut fields, LIMITS);
        assert!(fields.section_size() <= LIMITS.max_size && fields.len() <= LIMITS.max_count);
        if result == Err(DecodeError::Malformed) {
            return;
        }
        if length & 7 == 0 {
            encoder.set_peer_max(usize::from(length) * 4);
        }
        let (mut again, mut back) = (Vec::new(), Fields::new());
        encoder.encode(&fields, &mut again);
        ours.decode(&again, &mut back, LIMITS).expect("our own block");
        assert!(fields.iter().eq(back.iter()));
    }
});
