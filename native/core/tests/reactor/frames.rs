//! Frames and streams out of place close the connection with the code RFC 9114 and RFC 9204 name;
//! what they call unknown is ignored.

use crate::support::wire::{DATA, GET, SETTINGS, data, frame, head, headers};
use crate::support::{Bed, Kind};
use lychgate_core::base::counters::{Closed, Id};
use lychgate_core::http::error::h3;

/// Expects that a request stream with these bytes closes the connection.
fn request_closes(bytes: &[u8], is_fin: bool, code: u64) {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    bed.clients[client].open(bytes, is_fin);
    assert_eq!(bed.close_code(client), code);
    bed.until("the connection to be forgotten", |bed| bed.shard().reactor.relay.connections.is_empty());
    assert_eq!(bed.shard().count_of(Id::ConnectionsClosed, Closed::Protocol as usize), 1);
}

/// Expects that unidirectional streams with these bytes close the connection.
fn streams_close(streams: &[&[u8]], code: u64) {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Bare);
    for (place, bytes) in streams.iter().enumerate() {
        bed.clients[client].write(2 + 4 * place as u64, bytes, false);
    }
    assert_eq!(bed.close_code(client), code);
}

#[test]
fn data_before_headers_closes_the_connection() {
    request_closes(&data(b"early"), false, h3::FRAME_UNEXPECTED);
}

#[test]
fn control_frames_on_a_request_stream_close_the_connection() {
    request_closes(&frame(SETTINGS, &[]), false, h3::FRAME_UNEXPECTED);
    request_closes(&[headers(&head("POST", "/hold", &[])), frame(SETTINGS, &[])].concat(), false, h3::FRAME_UNEXPECTED);
}

#[test]
fn frames_after_trailers_close_the_connection() {
    let bytes = [headers(&head("POST", "/hold", &[])), data(b"x"), headers(&[("x-trailer", "1")]), data(b"y")].concat();
    request_closes(&bytes, false, h3::FRAME_UNEXPECTED);
}

#[test]
fn a_frame_cut_short_by_the_end_of_the_stream_closes_the_connection() {
    let whole = headers(&GET);
    request_closes(&whole[..whole.len() - 1], true, h3::FRAME_ERROR);
    request_closes(&whole[..1], true, h3::FRAME_ERROR);
    request_closes(&[headers(&head("POST", "/hold", &[])), vec![DATA as u8, 10, 1, 2, 3]].concat(), true, h3::FRAME_ERROR);
    request_closes(&[headers(&head("POST", "/hold", &[])), vec![DATA as u8]].concat(), true, h3::FRAME_ERROR);
    request_closes(&[headers(&head("POST", "/hold", &[])), vec![0x21, 5, 1]].concat(), true, h3::FRAME_ERROR);
}

#[test]
fn a_stream_that_ends_without_a_head_is_reset_as_incomplete() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    assert_eq!(bed.send(client, &[]).reset, Some(h3::REQUEST_INCOMPLETE));
    assert_eq!(bed.send(client, &frame(0x21, b"grease")).reset, Some(h3::REQUEST_INCOMPLETE));
    assert_eq!(bed.send(client, &headers(&GET)).status, 200);
}

#[test]
fn unknown_frames_are_skipped_wherever_they_stand() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    let grease = || frame(0x21 + 0x1f * 7, &[9; 700]);
    let empty = || frame(0x21, &[]);
    let post = headers(&head("POST", "/echo", &[]));
    let bytes = [grease(), post, empty(), data(b"one "), grease(), data(b""), data(b"two"), empty()].concat();
    let answer = bed.send(client, &bytes);
    assert_eq!((answer.status, &answer.body[..]), (200, &b"one two"[..]));
    let bytes = [headers(&GET), grease()].concat();
    assert_eq!(bed.send(client, &bytes).status, 200);
}

#[test]
fn a_request_that_comes_byte_by_byte_is_read_like_any_other() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    let bytes = [headers(&head("POST", "/echo", &[])), data(b"slowly"), frame(0x21, b"skip"), headers(&[("x-trailer", "t")])].concat();
    let stream = bed.clients[client].open(&bytes[..1], false);
    for place in 1..bytes.len() {
        bed.clients[client].drive();
        bed.rest(std::time::Duration::from_millis(1));
        bed.clients[client].write(stream, &bytes[place..place + 1], place + 1 == bytes.len());
    }
    let answer = bed.finish(client, stream);
    assert_eq!((answer.status, &answer.body[..]), (200, &b"slowly"[..]));
}

#[test]
fn the_control_stream_begins_with_settings_and_has_them_once() {
    streams_close(&[&[0, 4, 0, 4, 0]], h3::FRAME_UNEXPECTED);
    streams_close(&[&[0, 7, 1, 0]], h3::MISSING_SETTINGS);
    streams_close(&[&[0, 4, 2, 2, 0]], h3::SETTINGS_ERROR);
}

#[test]
fn critical_streams_come_once_and_pushes_not_at_all() {
    streams_close(&[&[0, 4, 0], &[0, 4, 0]], h3::STREAM_CREATION_ERROR);
    streams_close(&[&[2], &[2]], h3::STREAM_CREATION_ERROR);
    streams_close(&[&[1, 0]], h3::STREAM_CREATION_ERROR);
}

#[test]
fn an_end_or_a_reset_of_the_control_stream_closes_the_connection() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    bed.clients[client].write(2, &frame(0x21, &[]), true);
    assert_eq!(bed.close_code(client), h3::CLOSED_CRITICAL_STREAM);
    let client = bed.connect(Kind::Raw);
    bed.rest(std::time::Duration::from_millis(20));
    bed.clients[client].reset(2, h3::NO_ERROR);
    assert_eq!(bed.close_code(client), h3::CLOSED_CRITICAL_STREAM);
}

#[test]
fn unknown_streams_are_ignored() {
    let mut bed = Bed::new();
    let client = bed.connect(Kind::Raw);
    bed.clients[client].write(6, &[0x21, 1, 2, 3], true);
    bed.clients[client].write(10, &[0x40], true);
    assert_eq!(bed.send(client, &headers(&GET)).status, 200);
}

#[test]
fn references_to_a_dynamic_table_close_the_connection() {
    request_closes(&frame(1, &[2, 0, 0x80]), true, h3::QPACK_DECOMPRESSION_FAILED);
    request_closes(&frame(1, &[]), true, h3::QPACK_DECOMPRESSION_FAILED);
    streams_close(&[&[0, 4, 0], &[2, 0x3f, 0x10]], h3::QPACK_ENCODER_STREAM_ERROR);
    streams_close(&[&[0, 4, 0], &[3, 0x80]], h3::QPACK_DECODER_STREAM_ERROR);
}
