//! The reactor's ring as a lane may leave it, and each record in it as a decision: nothing is read
//! outside the region or a record, and reading comes to an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lychgate_core::http::fields::Fields;
use lychgate_core::record::inward::{self, Decision};
use lychgate_core::record::layout::{KIND_RESET, REACTOR_HEAD_WORD, REACTOR_RING_BYTE, REACTOR_RING_BYTES, REACTOR_TAIL_WORD};
use lychgate_core::record::ring::rings;

/// Byte of the reactor's tail, which the lane writes, and of its head.
const TAIL: usize = REACTOR_TAIL_WORD * 4;
const HEAD: usize = REACTOR_HEAD_WORD * 4;
const SMALLEST_RECORD: usize = 8;

fn judge(record: &[u8]) {
    match inward::read(record) {
        Some((_, Decision::Respond(respond))) => {
            let mut fields = Fields::new();
            respond.write_fields(&mut fields);
            let text = fields.iter().map(|field| field.name.len() + field.value.len()).sum::<usize>();
            assert!(text + respond.body().len() <= record.len());
        }
        Some((_, Decision::Forward(_, values))) => {
            assert!(values.iter().flatten().map(<[u8]>::len).sum::<usize>() <= record.len());
        }
        _ => {}
    }
}

fuzz_target!(|input: (u32, u32, &[u8])| {
    let (head, tail, bytes) = input;
    judge(bytes);
    let (ring, mut decisions) = rings();
    // The reactor moves its own cursor by whole records; the lane's may be anything.
    let head = head & !7;
    let bytes = &bytes[..bytes.len().min(REACTOR_RING_BYTES)];
    let place = head as usize & (REACTOR_RING_BYTES - 1);
    let (front, wrapped) = bytes.split_at(bytes.len().min(REACTOR_RING_BYTES - place));
    let region = ring.region();
    // SAFETY: everything lies inside the region, which nobody else uses.
    unsafe {
        let reactor = region.add(REACTOR_RING_BYTE);
        std::ptr::copy_nonoverlapping(front.as_ptr(), reactor.add(place), front.len());
        std::ptr::copy_nonoverlapping(wrapped.as_ptr(), reactor, wrapped.len());
        region.add(HEAD).cast::<u32>().write(head);
    }
    // Near its head, where records are read, and wherever it likes.
    for tail in [head.wrapping_add(bytes.len() as u32), head.wrapping_add(tail % 64), tail] {
        // SAFETY: as above.
        unsafe { region.add(TAIL).cast::<u32>().write(tail) };
        let mut read = 0;
        while let Some(record) = decisions.next_record() {
            judge(record);
            read += 1;
            assert!(read <= REACTOR_RING_BYTES / SMALLEST_RECORD);
        }
    }
    // A lane in its right mind is understood afterwards.
    let mut record = [0; 24];
    record[0] = 24;
    record[4] = KIND_RESET as u8;
    assert!(decisions.write(&record));
    assert_eq!(decisions.next_record(), Some(&record[..]));
});
