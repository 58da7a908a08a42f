use super::*;
use proptest::prelude::*;

type Pairs<'a> = [(&'a str, &'a str)];

const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "https"), (":authority", "example.com"), (":path", "/")];

fn fields(pairs: &Pairs) -> Fields {
    let mut fields = Fields::new();
    pairs.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    fields
}

fn request(pairs: &Pairs) -> Result<RequestFacts, &'static str> {
    check_request(&fields(pairs), false).map_err(|fault| {
        assert_eq!(fault.kind, FaultKind::Malformed);
        fault.reason
    })
}

fn get_with(more: &Pairs) -> Result<RequestFacts, &'static str> {
    request(&[&GET, more].concat())
}

/// GET with one pseudo-header field replaced.
fn get_but(name: &'static str, value: &'static str) -> Result<RequestFacts, &'static str> {
    request(&GET.map(|pair| if pair.0 == name { (name, value) } else { pair }))
}

/// GET without one pseudo-header field.
fn get_without(name: &str, more: &Pairs) -> Result<RequestFacts, &'static str> {
    request(&[&GET.into_iter().filter(|pair| pair.0 != name).collect::<Vec<_>>(), more].concat())
}

fn response(pairs: &Pairs) -> Result<ResponseFacts, &'static str> {
    check_response(&fields(pairs)).map_err(|fault| fault.reason)
}

fn trailers(pairs: &Pairs) -> Result<(), &'static str> {
    check_trailers(&fields(pairs)).map_err(|fault| fault.reason)
}

#[test]
fn an_ordinary_request_passes_with_its_facts() {
    let facts =
        get_with(&[("te", "trailers"), ("expect", "100-Continue"), ("content-length", "12"), ("cookie", "a=b"), ("cookie", "c")]).unwrap();
    assert_eq!(
        facts,
        RequestFacts {
            is_idempotent: true,
            accepts_trailers: true,
            expects_continue: true,
            content_length: Some(12),
            ..RequestFacts::default()
        }
    );
    assert!(get_but(":method", "HEAD").unwrap().is_head);
    assert!(get_with(&[("expect", "the unexpected")]).unwrap().has_unknown_expectation);
}

#[test]
fn methods_are_idempotent_as_rfc_9110_says() {
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert!(get_but(":method", method).unwrap().is_idempotent, "{method}");
    }
    for method in ["POST", "PATCH", "get", "PROPFIND"] {
        assert!(!get_but(":method", method).unwrap().is_idempotent, "{method}");
    }
    for method in ["", "GE T", "GET\r\n", "G(T"] {
        assert_eq!(get_but(":method", method), Err(":method is not a token"));
    }
}

#[test]
fn pseudo_header_fields_come_first_once_and_complete() {
    assert_eq!(request(&[GET[0], ("a", "b"), GET[1]]), Err("pseudo-header field after a regular field"));
    assert_eq!(get_with(&[(":path", "/")]), Err("pseudo-header field given twice"));
    assert_eq!(get_with(&[(":status", "200")]), Err("pseudo-header field that requests do not have"));
    assert_eq!(get_with(&[(":unknown", "")]), Err("pseudo-header field that requests do not have"));
    assert_eq!(get_with(&[(":Path", "/")]), Err("pseudo-header field that requests do not have"));
    assert_eq!(get_without(":method", &[]), Err("no :method"));
    assert_eq!(get_without(":scheme", &[]), Err("no :scheme"));
    assert_eq!(get_without(":path", &[]), Err("no :path"));
    assert_eq!(request(&[]), Err("no :method"));
    assert_eq!(get_with(&[(":protocol", "websocket")]), Err(":protocol without connect"));
}

#[test]
fn only_http_and_https_are_schemes() {
    assert!(get_but(":scheme", "http").is_ok());
    for scheme in ["", "ftp", "HTTPS", "https:"] {
        assert_eq!(get_but(":scheme", scheme), Err(":scheme is neither http nor https"));
    }
}

#[test]
fn paths_begin_with_a_slash_or_are_the_asterisk_of_options() {
    assert_eq!(get_but(":path", ""), Err(":path is empty"));
    for path in ["*", "a", "http://a/", "/a b", "/#", "/\x7f", "/é"] {
        assert_eq!(get_but(":path", path), Err(":path holds what a path cannot"));
    }
    assert!(request(&[(":method", "OPTIONS"), GET[1], GET[2], (":path", "*")]).is_ok());
}

#[test]
fn authority_and_host_say_the_same_if_both_are_there() {
    assert!(get_with(&[("host", "example.com")]).is_ok());
    assert!(get_with(&[("host", "Example.com")]).is_ok());
    assert_eq!(get_with(&[("host", "example.org")]), Err("host differs from :authority"));
    assert_eq!(get_with(&[("host", "example.com"), ("host", "example.com")]), Err("more than one host"));
    assert!(get_without(":authority", &[("host", "example.com:8443")]).is_ok());
    assert_eq!(get_without(":authority", &[]), Err("neither :authority nor host"));
    for authority in ["", "user@example.com", "a b", "a:99999", "[::1"] {
        assert_eq!(get_but(":authority", authority), Err("authority is not a host with an optional port"));
    }
    assert_eq!(get_without(":authority", &[("host", "")]), Err("authority is not a host with an optional port"));
}

#[test]
fn names_are_tokens_in_lower_case() {
    for name in ["", "Upper", "a b", "a:b", "a\0", "ä", "a\r"] {
        assert_eq!(get_with(&[(name, "v")]), Err("field name is not a token in lower case"), "{name}");
    }
}

#[test]
fn values_hold_no_controls_and_no_white_space_at_their_ends() {
    for value in ["", "a\tb", "a b", "é", "\"\\"] {
        assert!(get_with(&[("x", value)]).is_ok());
    }
    for value in ["a\0b", "a\rb", "a\nb", "a\x1bb", "a\x7f", " a", "a ", "\ta", "a\t"] {
        assert_eq!(get_with(&[("x", value)]), Err("field value holds what a value cannot"));
        assert!(get_with(&[("user-agent", value)]).is_err());
    }
}

#[test]
fn connection_specific_fields_are_refused_everywhere() {
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings"] {
        let fault = Err("connection-specific field");
        assert_eq!(get_with(&[(name, "x")]), fault);
        assert_eq!(response(&[(":status", "200"), (name, "x")]).map(|_| RequestFacts::default()), fault);
        assert_eq!(trailers(&[(name, "x")]).map(|()| RequestFacts::default()), fault);
    }
    assert_eq!(get_with(&[("te", "gzip")]), Err("te other than trailers"));
    assert_eq!(get_with(&[("te", "trailers, deflate")]), Err("te other than trailers"));
}

#[test]
fn content_lengths_are_one_number() {
    for (lengths, expected) in [
        (&["0"][..], Ok(Some(0))),
        (&["5", "5"], Ok(Some(5))),
        (&["5", "6"], Err("content-lengths differ")),
        (&["5, 5"], Err("content-length is not a number")),
        (&["5,5"], Err("content-length is not a number")),
        (&["+5"], Err("content-length is not a number")),
        (&["-5"], Err("content-length is not a number")),
        (&[""], Err("content-length is not a number")),
        (&["18446744073709551616"], Err("content-length is not a number")),
    ] {
        let pairs: Vec<_> = lengths.iter().map(|length| ("content-length", *length)).collect();
        assert_eq!(get_with(&pairs).map(|facts| facts.content_length), expected);
        assert_eq!(response(&[&[(":status", "200")], &pairs[..]].concat()).map(|facts| facts.content_length), expected);
    }
}

#[test]
fn one_length_is_left_and_none_where_none_may_stand() {
    let left = |status, lengths: &[&str]| {
        let pairs: Vec<_> = lengths.iter().map(|length| ("content-length", *length)).collect();
        let mut head = fields(&[&[(":status", status)], &pairs[..], &[("server", "x")]].concat());
        let facts = check_response(&head).unwrap();
        if facts.has_spare_length {
            keep_one_length(&mut head, !has_no_length(facts.status));
        }
        assert_eq!(head.get(b"server"), Some(&b"x"[..]));
        (facts.has_spare_length, head.len() - 2)
    };
    assert_eq!(left("200", &["5"]), (false, 1));
    assert_eq!(left("200", &["5", "5", "5"]), (true, 1));
    assert_eq!(left("304", &["5"]), (false, 1));
    for status in ["103", "204"] {
        assert_eq!(left(status, &["0"]), (true, 0));
        assert_eq!(left(status, &["5", "5"]), (true, 0));
        assert_eq!(left(status, &[]), (false, 0));
    }
    assert!(get_with(&[("content-length", "5"), ("content-length", "5")]).unwrap().has_spare_length);
    assert!(!get_with(&[("content-length", "5")]).unwrap().has_spare_length);
}

#[test]
fn connect_is_told_from_malformed_requests() {
    let tunnel = fields(&[(":method", "CONNECT"), (":authority", "example.com:443")]);
    assert_eq!(check_request(&tunnel, false).unwrap_err().kind, FaultKind::ConnectNotSupported);
    assert!(check_request(&tunnel, true).unwrap().is_connect);
    for bad in [
        &[(":method", "CONNECT")][..],
        &[(":method", "CONNECT"), (":authority", "example.com")],
        &[(":method", "CONNECT"), ("host", "example.com:443")],
        &[(":method", "CONNECT"), GET[1], (":authority", "example.com:443")],
        &[(":method", "CONNECT"), (":protocol", "websocket"), (":authority", "example.com:443")],
    ] {
        assert_eq!(check_request(&fields(bad), true).unwrap_err().kind, FaultKind::Malformed);
    }
    let extended = fields(&[(":method", "CONNECT"), (":protocol", "websocket"), GET[1], GET[2], GET[3]]);
    assert!(check_request(&extended, true).unwrap().is_extended_connect);
    assert_eq!(check_request(&extended, false).unwrap_err().kind, FaultKind::ConnectNotSupported);
}

#[test]
fn responses_have_one_status_of_three_digits() {
    let facts = response(&[(":status", "204"), ("server", "x")]).unwrap();
    let has_connection_challenge = false;
    assert_eq!(
        facts,
        ResponseFacts { status: 204, is_interim: false, content_length: None, has_spare_length: false, has_connection_challenge }
    );
    assert!(response(&[(":status", "103")]).unwrap().is_interim);
    assert_eq!(response(&[(":status", "999")]).unwrap().status, 999);
    assert_eq!(response(&[(":status", "101")]), Err(":status 101"));
    for status in ["", "20", "2000", "099", "20x", "+20"] {
        assert_eq!(response(&[(":status", status)]), Err(":status is not three digits"));
    }
    assert_eq!(response(&[("server", "x")]), Err("no :status"));
    assert_eq!(response(&[(":status", "200"), (":status", "200")]), Err("pseudo-header field given twice"));
    assert_eq!(response(&[("a", "b"), (":status", "200")]), Err("pseudo-header field after a regular field"));
    assert_eq!(response(&[(":status", "200"), (":path", "/")]), Err("pseudo-header field that responses do not have"));
    assert_eq!(response(&[(":status", "200"), ("te", "trailers")]), Err("te in a response"));
}

#[test]
fn trailers_frame_route_and_authenticate_nothing() {
    assert!(trailers(&[("grpc-status", "0"), ("etag", "x"), ("x-request-id", "1")]).is_ok());
    assert_eq!(trailers(&[(":status", "200")]), Err("pseudo-header field in trailers"));
    for name in
        ["host", "content-length", "te", "trailer", "expect", "cookie", "authorization", "set-cookie", "forwarded", "x-forwarded-for"]
    {
        assert_eq!(trailers(&[(name, "1")]), Err("field that trailers cannot have"));
    }
}

#[test]
fn max_forwards_is_one_number_and_is_looked_at_in_two_methods() {
    let asked = |method: &'static str, values: &[&'static str]| {
        let mut pairs = GET.map(|pair| if pair.0 == ":method" { (":method", method) } else { pair }).to_vec();
        pairs.extend(values.iter().map(|value| ("max-forwards", *value)));
        request(&pairs).map(|facts| (facts.max_forwards, facts.is_trace))
    };
    for (method, is_trace) in [("OPTIONS", false), ("TRACE", true)] {
        assert_eq!(asked(method, &[]), Ok((None, is_trace)));
        assert_eq!(asked(method, &["0"]), Ok((Some(0), is_trace)));
        assert_eq!(asked(method, &["00012"]), Ok((Some(12), is_trace)));
        assert_eq!(asked(method, &["18446744073709551616"]), Ok((Some(u64::MAX), is_trace)));
        for values in [&[""][..], &["-1"], &["1 "], &["1,1"], &["1", "1"], &["x"]] {
            assert!(asked(method, values).is_err(), "{method} {values:?}");
        }
    }
    assert_eq!(asked("GET", &["x", "y"]), Ok((None, false)));
    for (value, left) in [(1, "0"), (10, "9"), (1 << 32, "4294967295"), (u64::MAX, "4294967295")] {
        let mut head = fields(&[("max-forwards", "10"), ("x", "1")]);
        decrement_max_forwards(&mut head, value);
        assert_eq!((head.get(b"max-forwards"), head.get(b"x")), (Some(left.as_bytes()), Some(&b"1"[..])));
    }
}

proptest! {
    #[test]
    fn what_passes_holds_no_line_breaks_and_no_framing(
        pairs in proptest::collection::vec(("[:a-z-]{0,12}|content-length|host|te", proptest::collection::vec(prop_oneof![any::<u8>(), 48u8..58], 0..12)), 0..6)
    ) {
        let mut head = fields(&GET);
        pairs.iter().for_each(|(name, value)| head.push(name.as_bytes(), value));
        if check_request(&head, false).is_ok() {
            for field in head.iter() {
                prop_assert!(!field.value.iter().any(|byte| [0, b'\r', b'\n'].contains(byte)));
                prop_assert!(field.known != Known::TransferEncoding && field.known != Known::Connection);
            }
        }
        let _ = (check_response(&head), check_trailers(&head));
    }
}

#[test]
fn an_underscore_in_a_name_is_noticed_and_one_in_a_value_is_not() {
    let facts = |name: &str, value: &str| get_with(&[(name, value)]).unwrap();
    assert!(facts("x_forwarded_for", "a").has_underscore);
    assert!(!facts("x-forwarded-for", "a_b").has_underscore);
    assert!(!facts("x-other", "a_b").has_underscore);
}
