//! What decodes must encode to the same bytes: the code is canonical and its padding is unique.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lychgate_core::http::huffman;

fuzz_target!(|wire: &[u8]| {
    let mut text = Vec::new();
    if huffman::decode(wire, &mut text, usize::MAX).is_ok() {
        let mut again = Vec::new();
        huffman::encode(&text, &mut again);
        assert_eq!(again, wire);
    }
});
