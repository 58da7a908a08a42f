//! A client's unidirectional streams, in pieces of one to 64 bytes: they are judged alike however
//! they are cut, and what is kept of them is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lychgate_core::http::h3::PeerStreams;

/// Streams by turns, as the low bits of a piece's first byte say; its high bits say how many bytes
/// follow and whether the stream ends.
fn pieces(mut input: &[u8]) -> Vec<(u64, Vec<u8>, bool)> {
    let mut pieces = Vec::new();
    while let Some((&what, rest)) = input.split_first() {
        let (bytes, rest) = rest.split_at(rest.len().min(1 + usize::from(what >> 2 & 0x1f) * 2));
        input = rest;
        pieces.push((2 + 4 * u64::from(what & 3), bytes.to_vec(), what & 0x80 != 0));
    }
    pieces
}

fuzz_target!(|input: &[u8]| {
    let (mut whole, mut split) = (PeerStreams::default(), PeerStreams::default());
    let mut ended = [false; 4];
    for (stream, bytes, is_end) in pieces(input) {
        let place = (stream / 4) as usize;
        if ended[place] {
            continue;
        }
        ended[place] = is_end;
        let result = whole.take(stream, &bytes, is_end);
        let last = bytes.len().saturating_sub(1);
        let by_byte = match bytes.len() {
            0 => split.take(stream, &[], is_end),
            _ => bytes.iter().enumerate().try_for_each(|(at, byte)| split.take(stream, &[*byte], is_end && at == last)),
        };
        assert_eq!(result, by_byte);
        if let Err(code) = result {
            assert!((0x100..=0x110).contains(&code) || (0x200..=0x202).contains(&code));
            return;
        }
    }
});
