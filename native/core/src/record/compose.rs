//! Writes decisions as a lane does, for lanes in Rust: tests use them, also to check
//! [`super::inward`].

use super::inward::{Forward, NO_PLAN, Tag};
use super::words::{CommitWords, ForwardWords, ResetWords, RespondWords, WaitWords, WakeWords};
use crate::base::slab::Key;

/// A `Forward` with values for its plan's edits; none for a value that stays as it is.
pub fn forward(exchange: Key, forward: &Forward, values: &[Option<&[u8]>]) -> Vec<u8> {
    let words = ForwardWords {
        exchange,
        plan: forward.plan,
        slot: forward.backend,
        tag: forward.tag.route,
        flags: forward.flags,
        connect_timeout_ms: forward.connect_timeout_ms,
        head_timeout_ms: forward.head_timeout_ms,
        idle_timeout_ms: forward.idle_timeout_ms,
        exchange_timeout_ms: forward.exchange_timeout_ms,
        max_body_bytes: forward.max_body_bytes.map_or(-1.0, |bytes| bytes as f64),
        attempt_timeout_ms: forward.attempt_timeout_ms,
        hedge_delay_ms: forward.hedge_delay_ms,
        memo: forward.tag.memo,
        value_count: values.len() as u32,
        replay_bytes: forward.replay_bytes,
        place_timeout_ms: forward.place_timeout_ms,
        client: forward.client,
    };
    let lengths = values.iter().map(|value| value.map_or(u32::MAX, |value| value.len() as u32));
    record(ForwardWords::BYTES, lengths, values.iter().flatten().copied(), |record| words.write(record).is_some())
}

/// A `Respond` without a plan.
pub fn respond(exchange: Key, status: u32, reason: u32, fields: &[(&[u8], &[u8])], body: &[u8]) -> Vec<u8> {
    respond_with(exchange, Tag::NONE, status, reason, fields, body)
}

/// A `Respond` with a tag.
pub fn respond_with(exchange: Key, tag: Tag, status: u32, reason: u32, fields: &[(&[u8], &[u8])], body: &[u8]) -> Vec<u8> {
    let words = RespondWords {
        exchange,
        status,
        reason,
        tag: tag.route,
        field_count: fields.len() as u32,
        body_length: body.len() as u32,
        plan: NO_PLAN,
        memo: tag.memo,
    };
    let lengths = fields.iter().map(|(name, value)| name.len() as u32 | (value.len() as u32) << 16);
    let texts = fields.iter().flat_map(|(name, value)| [*name, *value]).chain([body]);
    record(RespondWords::BYTES, lengths, texts, |record| words.write(record).is_some())
}

/// A `Reset`.
pub fn reset(exchange: Key, error_code: u32, reason: u32) -> Vec<u8> {
    let words = ResetWords { exchange, error_code, reason };
    record(ResetWords::BYTES, [], [], |record| words.write(record).is_some())
}

/// A `Wait`.
pub fn wait(exchange: Key, tag: Tag, wait_ms: u32, reason: u32) -> Vec<u8> {
    let words = WaitWords { exchange, tag: tag.route, memo: tag.memo, wait_ms, reason };
    record(WaitWords::BYTES, [], [], |record| words.write(record).is_some())
}

/// A `Wake`.
pub fn wake(exchange: Key) -> Vec<u8> {
    record(WakeWords::BYTES, [], [], |record| WakeWords { exchange }.write(record).is_some())
}

/// A `Commit`.
pub fn commit(exchange: Key, tag: Tag, reason: u32) -> Vec<u8> {
    let words = CommitWords { exchange, tag: tag.route, memo: tag.memo, reason };
    record(CommitWords::BYTES, [], [], |record| words.write(record).is_some())
}

/// Builds a record: writes table and text after `words` bytes, pads them, and then writes the
/// words, which include the record's size.
fn record<'a>(
    words: usize,
    table: impl IntoIterator<Item = u32>,
    texts: impl IntoIterator<Item = &'a [u8]>,
    write: impl FnOnce(&mut [u8]) -> bool,
) -> Vec<u8> {
    let mut record = vec![0; words];
    table.into_iter().for_each(|lengths| record.extend_from_slice(&lengths.to_le_bytes()));
    texts.into_iter().for_each(|text| record.extend_from_slice(text));
    record.resize(record.len().next_multiple_of(8), 0);
    let is_written = write(&mut record);
    debug_assert!(is_written, "the record is as long as its words");
    record
}

#[cfg(test)]
mod tests {
    use super::super::inward::{self, Decision};
    use super::super::layout::MAX_VALUES;
    use super::*;
    use crate::http::fields::Fields;
    use proptest::prelude::*;

    const KEY: Key = Key { index: 3, generation: 9 };
    const TAG: Tag = Tag { route: 4, memo: [5, 6, 7] };

    #[test]
    fn a_respond_carries_fields_and_body() {
        let record = respond_with(KEY, TAG, 503, 17, &[(b"retry-after", b"1"), (b"x", b"")], b"busy");
        let Some((exchange, Decision::Respond(respond))) = inward::read(&record) else { panic!("no respond") };
        assert_eq!((exchange, respond.status, respond.reason, respond.tag), (KEY, 503, 17, TAG));
        let mut fields = Fields::new();
        respond.write_fields(&mut fields);
        assert_eq!(fields.get(b"retry-after"), Some(&b"1"[..]));
        assert_eq!(respond.body(), b"busy");
    }

    #[test]
    fn the_small_decisions_read_back() {
        let sizes = [reset(KEY, 1, 2), wait(KEY, TAG, 250, 71), wake(KEY), commit(KEY, TAG, 47)].map(|record| {
            match inward::read(&record) {
                Some((KEY, Decision::Reset { code: 1, reason: 2 })) => {}
                Some((KEY, Decision::Wait { tag: TAG, wait_ms: 250, reason: 71 })) => {}
                Some((KEY, Decision::Wake)) => {}
                Some((KEY, Decision::Commit { tag: TAG, reason: 47 })) => {}
                other => panic!("{other:?}"),
            }
            record.len()
        });
        assert_eq!(sizes, [24, 40, 16, 40]);
    }

    proptest! {
        #[test]
        fn a_forward_reads_back_as_written(
            backend: u32, place_timeout_ms: u32, attempt_timeout_ms: u32, hedge_delay_ms: u32, replay_bytes: u32, client: u64, memo: [u32; 3],
            max_body_bytes in proptest::option::of(0u64..1 << 50),
            values in proptest::collection::vec(proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)), 0..=MAX_VALUES),
        ) {
            let given = Forward {
                plan: 1, backend, tag: Tag { route: 2, memo }, flags: 3, connect_timeout_ms: 4, place_timeout_ms, head_timeout_ms: 5,
                idle_timeout_ms: 6, exchange_timeout_ms: 7, attempt_timeout_ms, hedge_delay_ms, max_body_bytes, replay_bytes, client,
            };
            let values: Vec<Option<&[u8]>> = values.iter().map(Option::as_deref).collect();
            let record = forward(KEY, &given, &values);
            prop_assert!(!values.is_empty() || record.len() == 96);
            let Some((exchange, Decision::Forward(read, brought))) = inward::read(&record) else { panic!("no forward") };
            prop_assert_eq!(exchange, KEY);
            prop_assert_eq!(read, given);
            prop_assert_eq!(brought.iter().collect::<Vec<_>>(), values);
        }
    }
}
