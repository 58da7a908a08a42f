use super::super::fields::{Fields, Known};
use super::*;
use proptest::prelude::*;

const WIDE: FieldLimits = FieldLimits { max_size: 1 << 20, max_count: 1 << 10, max_crumbs: 1 << 10 };

type Pairs<'a> = [(&'a str, &'a str)];

fn fields(pairs: &Pairs) -> Fields {
    let mut fields = Fields::new();
    pairs.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    fields
}

fn list(fields: &Fields) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, DecodeError> {
    let mut into = Fields::new();
    decoder.decode(block, &mut into, WIDE).map(|()| into)
}

fn encode(encoder: &mut Encoder, pairs: &Pairs) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.encode(&fields(pairs), &mut out);
    out
}

/// Blocks of one connection, what they say, and the size of the table after each.
fn expect(max_table: usize, blocks: &[(&str, &Pairs, usize)]) {
    let mut decoder = Decoder::new(max_table);
    for (hex, pairs, table_size) in blocks {
        assert_eq!(list(&decode(&mut decoder, &bytes(hex)).unwrap()), list(&fields(pairs)));
        assert_eq!(decoder.table().size(), *table_size);
    }
}

const REQUEST_1: &Pairs = &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
const REQUEST_2: &Pairs =
    &[(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com"), ("cache-control", "no-cache")];
const REQUEST_3: &Pairs = &[
    (":method", "GET"),
    (":scheme", "https"),
    (":path", "/index.html"),
    (":authority", "www.example.com"),
    ("custom-key", "custom-value"),
];

#[test]
fn requests_of_rfc_7541_c_3_decode() {
    expect(
        4096,
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUEST_1, 57),
            ("8286 84be 5808 6e6f 2d63 6163 6865", REQUEST_2, 110),
            ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", REQUEST_3, 164),
        ],
    );
}

#[test]
fn requests_of_rfc_7541_c_4_decode() {
    expect(
        4096,
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUEST_1, 57),
            ("8286 84be 5886 a8eb 1064 9cbf", REQUEST_2, 110),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", REQUEST_3, 164),
        ],
    );
}

const RESPONSE_1: &Pairs =
    &[(":status", "302"), ("cache-control", "private"), ("date", "Mon, 21 Oct 2013 20:13:21 GMT"), ("location", "https://www.example.com")];
const RESPONSE_2: &Pairs =
    &[(":status", "307"), ("cache-control", "private"), ("date", "Mon, 21 Oct 2013 20:13:21 GMT"), ("location", "https://www.example.com")];
const RESPONSE_3: &Pairs = &[
    (":status", "200"),
    ("cache-control", "private"),
    ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
    ("location", "https://www.example.com"),
    ("content-encoding", "gzip"),
    ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
];

#[test]
fn responses_of_rfc_7541_c_5_decode_with_evictions() {
    let first = "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 \
        7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d";
    let third = "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 \
        444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31";
    expect(256, &[(first, RESPONSE_1, 222), ("4803 3330 37c1 c0bf", RESPONSE_2, 222), (third, RESPONSE_3, 215)]);
}

#[test]
fn responses_of_rfc_7541_c_6_decode_with_evictions() {
    let first = "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 \
        e9ae 82ae 43d3";
    let third = "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b \
        3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07";
    expect(256, &[(first, RESPONSE_1, 222), ("4883 640e ffc1 c0bf", RESPONSE_2, 222), (third, RESPONSE_3, 215)]);
}

#[test]
fn literals_of_rfc_7541_c_2_decode() {
    expect(4096, &[("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", &[("custom-key", "custom-header")], 55)]);
    expect(4096, &[("040c 2f73 616d 706c 652f 7061 7468", &[(":path", "/sample/path")], 0)]);
    expect(4096, &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &[("password", "secret")], 0)]);
    expect(4096, &[("82", &[(":method", "GET")], 0)]);
}

#[test]
fn fields_never_to_be_indexed_stay_so() {
    let decoded = decode(&mut Decoder::new(4096), &bytes("1008 7061 7373 776f 7264 0673 6563 7265 74")).unwrap();
    assert_eq!(decoded.at(0).known, Known::Sensitive);
    let mut encoder = Encoder::new(4096);
    for _ in 0..3 {
        let mut out = Vec::new();
        encoder.encode(&decoded, &mut out);
        assert_eq!(out[0], 0x10);
    }
    for name in ["authorization", "proxy-authorization", "set-cookie", "cookie"] {
        let block = encode(&mut encoder, &[(name, "value")]);
        assert_eq!(block[0] & 0xf0, 0x10, "{name}");
    }
    assert_eq!(encoder.table().len(), 0);
}

#[test]
fn malformed_blocks_are_refused() {
    for hex in [
        "80",
        "be",
        "ff80 0000",
        "7f",
        "40",
        "4001",
        "400161",
        "4001 6101",
        "0001 6181 18",
        "82 20",
        "3fe2 1f",
        "ffff ffff ffff ffff ffff ffff",
    ] {
        assert_eq!(decode(&mut Decoder::new(4096), &bytes(hex)).unwrap_err(), DecodeError::Malformed, "{hex}");
    }
    assert!(decode(&mut Decoder::new(4096), &bytes("20 3fe1 1f 82")).is_ok());
}

#[test]
fn repeating_fields_shrink_to_indexes() {
    let pairs: &Pairs = &[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "example.com"),
        ("user-agent", "client/1.0"),
        ("accept-language", "en"),
        ("x-custom", "same"),
    ];
    let mut encoder = Encoder::new(4096);
    let sizes: Vec<usize> = (0..3).map(|_| encode(&mut encoder, pairs).len()).collect();
    assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2]);
    assert_eq!(sizes[2], pairs.len());
}

#[test]
fn values_that_never_repeat_do_not_fill_the_table() {
    let mut encoder = Encoder::new(4096);
    for round in 0..500 {
        let value = format!("{round:x}-and-so-on");
        encode(
            &mut encoder,
            &[("etag", &value), (":path", &value), ("x-request-id", &value), ("content-length", &value), (":authority", "a")],
        );
    }
    // A memory that forgets by collision takes a value for a known one now and then.
    assert!(encoder.table().len() <= 4, "{}", encoder.table().len());
}

#[test]
fn changes_of_the_peers_table_size_begin_the_next_block() {
    let mut encoder = Encoder::new(4096);
    let mut decoder = Decoder::new(4096);
    let pairs: &Pairs = &[(":authority", "example.com")];
    decode(&mut decoder, &encode(&mut encoder, pairs)).unwrap();
    encoder.set_peer_max(0);
    encoder.set_peer_max(120);
    let block = encode(&mut encoder, pairs);
    assert_eq!(block[..3], [0x20, 0x3f, 89]);
    assert_eq!(list(&decode(&mut decoder, &block).unwrap()), list(&fields(pairs)));
    assert_eq!((encoder.table().size(), decoder.table().size(), decoder.table().capacity()), (53, 53, 120));
    encoder.set_peer_max(65_536);
    assert_eq!(encode(&mut encoder, pairs)[..3], [0x3f, 0xe1, 0x1f]);
    encoder.set_peer_max(1 << 20);
    assert_eq!(encode(&mut encoder, pairs), [0xbe]);
}

#[test]
fn an_encoder_without_a_table_says_so_and_indexes_nothing() {
    let mut encoder = Encoder::new(0);
    let mut decoder = Decoder::new(4096);
    for round in 0..3 {
        let block = encode(&mut encoder, REQUEST_3);
        assert_eq!(block[0] == 0x20, round == 0);
        assert_eq!(list(&decode(&mut decoder, &block).unwrap()), list(&fields(REQUEST_3)));
        assert_eq!(decoder.table().len(), 0);
    }
}

#[test]
fn a_block_beyond_the_limits_keeps_both_tables_in_step() {
    let mut encoder = Encoder::new(4096);
    let mut decoder = Decoder::new(4096);
    let first: &Pairs = &[(":method", "GET"), (":authority", "one.example"), ("user-agent", "client"), ("te", "trailers")];
    let block = encode(&mut encoder, first);
    let mut into = Fields::new();
    let narrow = FieldLimits { max_size: 1 << 10, max_count: 1, max_crumbs: 1 };
    assert_eq!(decoder.decode(&block, &mut into, narrow), Err(DecodeError::TooLarge));
    assert_eq!(list(&into), [(b":method".to_vec(), b"GET".to_vec())]);
    into.clear();
    let small = FieldLimits { max_size: 100, max_count: 100, max_crumbs: 100 };
    assert_eq!(
        decoder.decode(&encode(&mut encoder, &[("host", &"h".repeat(500)), ("host", "x")]), &mut into, small),
        Err(DecodeError::TooLarge)
    );
    assert!(into.is_empty() && into.text_len() == 0);
    assert_eq!(decoder.table().size(), encoder.table().size());
    let block = encode(&mut encoder, first);
    assert_eq!(block.len(), first.len());
    assert_eq!(list(&decode(&mut decoder, &block).unwrap()), list(&fields(first)));
}

#[test]
fn a_literal_beyond_64_kib_empties_the_table_as_its_sender_expects() {
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &bytes("400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572")).unwrap();
    let mut block = vec![0x40];
    crate::http::integer::write_prefixed(&mut block, 0, 7, 70_000);
    block.extend_from_slice(&[b'n'; 70_000]);
    block.extend_from_slice(&[1, b'v', 0x82]);
    assert_eq!(decode(&mut decoder, &block).unwrap_err(), DecodeError::TooLarge);
    assert_eq!(decoder.table().len(), 0);
}

fn any_pairs() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = prop_oneof![
        "[a-z-]{1,20}",
        Just(":authority".to_owned()),
        Just("user-agent".to_owned()),
        Just("authorization".to_owned()),
        Just("x-a".to_owned())
    ];
    let value =
        prop_oneof![proptest::collection::vec(any::<u8>(), 0..150), Just(b"same".to_vec()), "[0-9a-f]{2}".prop_map(String::into_bytes)];
    proptest::collection::vec((name, value), 0..16)
}

proptest! {
    #[test]
    fn any_blocks_of_a_connection_come_back(
        blocks in proptest::collection::vec((any_pairs(), proptest::option::of(0usize..600), 1usize..40), 1..24), max_table in 0usize..5000
    ) {
        let mut encoder = Encoder::new(max_table);
        let mut decoder = Decoder::new(4096);
        for (pairs, peer_max, max_count) in blocks {
            if let Some(size) = peer_max {
                encoder.set_peer_max(size);
            }
            let mut head = Fields::new();
            pairs.iter().for_each(|(name, value)| head.push(name.as_bytes(), value));
            let mut block = Vec::new();
            encoder.encode(&head, &mut block);
            let mut back = Fields::new();
            let result = decoder.decode(&block, &mut back, FieldLimits { max_size: 1 << 20, max_count, max_crumbs: max_count });
            prop_assert_eq!(result.is_ok(), head.len() <= max_count);
            prop_assert_eq!(&list(&back)[..], &list(&head)[..head.len().min(max_count)]);
            prop_assert!(back.iter().zip(head.iter()).all(|(one, other)| one.known == other.known));
            prop_assert_eq!(decoder.table().size(), encoder.table().size());
        }
    }

    #[test]
    fn arbitrary_bytes_stay_within_limits_and_capacity(
        blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 1..6), max_size in 0usize..600, max_table in 0usize..300
    ) {
        let mut decoder = Decoder::new(max_table);
        for block in blocks {
            let mut into = Fields::new();
            let _ = decoder.decode(&block, &mut into, FieldLimits { max_size, max_count: 8, max_crumbs: 8 });
            prop_assert!(into.section_size() <= max_size && into.len() <= 8);
            prop_assert!(decoder.table().size() <= max_table);
        }
    }
}
