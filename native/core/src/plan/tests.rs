use super::*;
use proptest::prelude::*;

const REQUEST: [(&str, &str); 8] = [
    (":method", "POST"),
    (":scheme", "https"),
    (":authority", "a.test"),
    (":path", "/a/b?c=d"),
    ("x-tenant", "one"),
    ("cookie", "a=1"),
    ("x-tenant", "two"),
    ("cookie", "b=2"),
];

fn fields(list: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    list.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    fields
}

fn values(request: &Fields) -> Values<'_> {
    Values {
        peer: "[2001:db8::1]:99".parse().unwrap(),
        request,
        kept_path: b"",
        are_slashes_merged: true,
        request_id: b"77",
        remaining_ms: Some(1_500),
        told: None,
        given: [b"first", b"/second", b"", b"a\r\nb"],
    }
}

fn compiled(edits: &[(&str, &str, &str)]) -> Edits {
    let compile = |(operation, name, value): &(&str, &str, &str)| match *operation {
        "prefix" => Edit::compile(operation, ":path", value, name),
        _ => Edit::compile(operation, name, value, ""),
    };
    Edits::new(edits.iter().map(|edit| compile(edit).unwrap()))
}

/// Applies edits to a head, which is also the request.
fn applied_to(edits: &Edits, head: &Fields) -> Vec<String> {
    let mut out = Vec::new();
    edits.apply(head, &values(head), &mut Vec::new(), |_, name, value| {
        out.push(format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
    });
    out
}

fn applied(edits: &[(&str, &str, &str)], head: &[(&str, &str)]) -> Vec<String> {
    applied_to(&compiled(edits), &fields(head))
}

/// Evaluates a value for [`REQUEST`].
fn value(text: &str) -> Option<String> {
    let (edits, request) = (compiled(&[("set", "x-out", text)]), fields(&REQUEST));
    applied_to(&edits, &request).into_iter().find_map(|line| line.strip_prefix("x-out: ").map(str::to_owned))
}

/// Applies edits to a path.
fn path(edits: &[(&str, &str, &str)], path: &str) -> String {
    let lines = applied(edits, &[(":path", path)]);
    assert_eq!(lines.len(), 1, "one path");
    lines[0].strip_prefix(":path: ").unwrap().to_owned()
}

#[test]
fn a_set_field_replaces_the_clients_and_stands_once() {
    let edits = [("set", "X-Forwarded-For", "${client_address}"), ("set", "x-request-id", "${request_id}")];
    let head = [(":path", "/"), ("x-forwarded-for", "6.6.6.6"), ("accept", "*/*"), ("x-forwarded-for", "7.7.7.7")];
    assert_eq!(applied(&edits, &head), [":path: /", "accept: */*", "x-forwarded-for: 2001:db8::1", "x-request-id: 77"]);
}

#[test]
fn an_added_field_stands_beside_the_clients() {
    assert_eq!(applied(&[("add", "via", "edge")], &[("via", "1.1 a")]), ["via: 1.1 a", "via: edge"]);
    assert_eq!(applied(&[("add", "x", "1"), ("add", "x", "2")], &[]), ["x: 1", "x: 2"]);
}

#[test]
fn an_appended_field_keeps_what_all_lines_said() {
    let edits = [("append", "x-forwarded-for", "${client_address}:${client_port}")];
    let head = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "7.7.7.7")];
    assert_eq!(applied(&edits, &head), ["x-forwarded-for: 6.6.6.6, 7.7.7.7, 2001:db8::1:99"]);
    assert_eq!(applied(&edits, &[]), ["x-forwarded-for: 2001:db8::1:99"]);
}

#[test]
fn forwarded_nodes_of_ipv6_are_quoted() {
    let edits = [("set", "forwarded", "for=${forwarded_node};proto=${scheme};host=${authority}")];
    let head = [(":scheme", "https"), (":authority", "a.test")];
    assert_eq!(applied(&edits, &head)[2], "forwarded: for=\"[2001:db8::1]\";proto=https;host=a.test");
}

#[test]
fn removed_names_may_be_globs_and_pseudo_header_fields_never_match() {
    let head = [(":path", "/"), ("x-internal-a", "1"), ("x-internal", "2"), ("x-b-internal", "3"), ("cookie", "4"), ("date", "5")];
    let names = |glob| -> Vec<String> {
        applied(&[("remove", glob, "")], &head).iter().map(|line| line[..line.rfind(": ").unwrap()].to_owned()).collect()
    };
    assert_eq!(names("X-Internal-*"), [":path", "x-internal", "x-b-internal", "cookie", "date"]);
    assert_eq!(names("*-internal"), [":path", "x-internal-a", "cookie", "date"]);
    assert_eq!(names("x-*-*"), [":path", "x-internal", "cookie", "date"]);
    assert_eq!(names("*o*e*"), [":path", "x-internal-a", "x-internal", "x-b-internal", "date"]);
    assert_eq!(names("*"), [":path"]);
    assert_eq!(names("*path"), [":path", "x-internal-a", "x-internal", "x-b-internal", "cookie", "date"]);
    assert_eq!(names("x-internal*internal").len(), 6);
}

#[test]
fn removed_names_may_be_a_pattern_that_takes_the_whole_name_in_any_case() {
    let head = [(":path", "/"), ("x-internal-a", "1"), ("x-internal", "2"), ("ax-debug", "3"), ("x-debug", "4"), ("cookie", "5")];
    let left = |pattern| -> Vec<String> {
        applied(&[("remove-regex", pattern, "")], &head).iter().map(|line| line[..line.rfind(": ").unwrap()].to_owned()).collect()
    };
    assert_eq!(left("X-(internal|debug)-?.*"), [":path", "ax-debug", "cookie"]);
    assert_eq!(left("x-debug"), [":path", "x-internal-a", "x-internal", "ax-debug", "cookie"]);
    assert_eq!(left("x-internal|x-debug"), [":path", "x-internal-a", "ax-debug", "cookie"], "both ends hold for every branch");
    assert_eq!(left("x-[a-z]+"), [":path", "x-internal-a", "ax-debug", "cookie"]);
    assert_eq!(left(".*"), [":path"]);
    let undone = [("set", "x-internal-b", "set"), ("remove-regex", "x-internal.*", ""), ("add", "x-internal-c", "added")];
    assert_eq!(applied(&undone, &[("x-internal-a", "came")]), ["x-internal-c: added"], "what stands before it is gone, what follows stays");
    for bad in ["(", "x)", "[", "*"] {
        assert!(Edit::compile("remove-regex", bad, "", "").is_err(), "{bad}");
    }
}

#[test]
fn neither_a_glob_nor_a_pattern_takes_what_frames_a_message() {
    let head = [(":status", "200"), ("content-length", "5"), ("te", "trailers"), ("content-type", "text/plain"), ("content-lengths", "x")];
    for edit in [("remove", "*", ""), ("remove", "*e*", ""), ("remove-regex", ".*e.*", ""), ("remove-regex", "te|content-.*", "")] {
        assert_eq!(applied(&[edit], &head), [":status: 200", "content-length: 5", "te: trailers"], "{edit:?}");
    }
    assert_eq!(applied(&[("remove", "content-length", "")], &head[..2]), [":status: 200"], "an edit by name is what its caller means");
}

#[test]
fn a_field_that_is_never_to_be_indexed_is_edited_like_any_other() {
    let mut head = fields(&[]);
    head.push_known(Known::Sensitive, b"x-internal", b"forged");
    for edit in [("remove", "x-internal", ""), ("remove", "x-int*", ""), ("remove-regex", "x-int.*", "")] {
        assert!(applied_to(&compiled(&[edit]), &head).is_empty());
    }
    assert_eq!(applied_to(&compiled(&[("set", "x-internal", "ours")]), &head), ["x-internal: ours"]);
    assert_eq!(applied_to(&compiled(&[("set", "x-copy", "${header:x-internal}")]), &head)[1], "x-copy: forged");
}

#[test]
fn a_later_edit_undoes_what_an_earlier_one_did() {
    let head = [("x", "client")];
    assert_eq!(applied(&[("set", "x", "1"), ("set", "x", "2")], &head), ["x: 2"]);
    assert_eq!(applied(&[("set", "x", "1"), ("remove", "x", "")], &head), [""; 0]);
    assert_eq!(applied(&[("add", "x-1", "1"), ("remove", "x-*", ""), ("add", "x-2", "2")], &head), ["x: client", "x-2: 2"]);
    assert_eq!(applied(&[("remove", "x", ""), ("append", "x", "1")], &head), ["x: 1"]);
    assert_eq!(applied(&[("set", "x", "1"), ("append", "x", "2")], &head), ["x: 1", "x: 2"]);
    assert_eq!(applied(&[("append", "x", "1"), ("append", "x", "2")], &head), ["x: client, 1", "x: 2"]);
}

#[test]
fn edits_see_what_the_client_sent_and_not_each_other() {
    let edits = [("set", ":path", "/new"), ("remove", "x-tenant", ""), ("set", "x-was", "${path} ${header:x-tenant}")];
    assert!(applied(&edits, &REQUEST).contains(&"x-was: /a/b?c=d one, two".to_owned()));
}

#[test]
fn an_authority_is_edited_in_its_place_and_other_pseudo_fields_are_not() {
    let edits = [("set", ":authority", "b.test"), ("remove", "cookie", "")];
    let head = [(":method", "GET"), (":authority", "a.test"), (":path", "/"), ("cookie", "a=b")];
    assert_eq!(applied(&edits, &head), [":method: GET", ":authority: b.test", ":path: /"]);
}

#[test]
fn what_cannot_stand_in_a_pseudo_header_field_leaves_the_clients() {
    for text in ["", "no slash", "/a b", "/#", "/\u{e9}", "${value_2}", "${value_3}", "/${value_3}", "*", "${header:x-none}"] {
        assert_eq!(path(&[("set", ":path", text)], "/old"), "/old", "{text}");
    }
    for text in ["", "user@b.test", "b test", "b.test/", "${value_3}"] {
        assert_eq!(applied(&[("set", ":authority", text)], &[(":authority", "a.test")]), [":authority: a.test"], "{text}");
    }
    assert_eq!(path(&[("set", ":path", "/kept"), ("set", ":path", "none")], "/old"), "/kept");
}

#[test]
fn prefixes_are_taken_off_at_the_borders_of_segments() {
    let cases = [
        ("/a", "", "/a/b", "/b"),
        ("/a", "", "/a", "/"),
        ("/a", "", "/a/", "/"),
        ("/a", "", "/a?x", "/?x"),
        ("/a/", "", "/a/b?x=/a", "/b?x=/a"),
        ("/a", "", "/ab", "/ab"),
        ("/a", "", "/b/a", "/b/a"),
        ("/a", "/x", "/a/b", "/x/b"),
        ("/a", "/x/", "/a/b", "/x/b"),
        ("/a/", "/x", "/a/b", "/x/b"),
        ("/a", "/x", "/a", "/x"),
        ("/a", "/x/", "/a", "/x/"),
        ("/a", "/x", "/a?y", "/x?y"),
        ("/a", "/x", "/a/", "/x/"),
        ("/", "/x", "/a", "/x/a"),
        ("/", "/x", "/", "/x/"),
        ("/", "/", "/a", "/a"),
        ("/", "/x", "*", "*"),
        ("/a", "/${value_0}${value_1}", "/a/b", "/first/second/b"),
        ("/a", "x", "/a/b", "/a/b"),
        ("/a/b", "/c", "/a/b/c", "/c/c"),
    ];
    for (prefix, replacement, before, after) in cases {
        assert_eq!(path(&[("prefix", prefix, replacement)], before), after, "{prefix} {replacement} {before}");
    }
}

#[test]
fn the_last_edit_of_a_path_that_concerns_it_counts() {
    let edits = [("set", ":path", "/default"), ("prefix", "/a", "/x"), ("prefix", "/b", "/y")];
    assert_eq!(path(&edits, "/a/1"), "/x/1");
    assert_eq!(path(&edits, "/b/1"), "/y/1");
    assert_eq!(path(&edits, "/c"), "/default");
}

#[test]
fn variables_stand_for_what_the_page_says() {
    let cases = [
        ("${client_address}", "2001:db8::1"),
        ("${client_port}", "99"),
        ("${scheme}://${authority}${path}", "https://a.test/a/b?c=d"),
        ("${method}", "POST"),
        ("${request_id}", "77"),
        ("${forwarded_node}", "\"[2001:db8::1]\""),
        ("${header:X-Tenant}", "one, two"),
        ("${header:cookie}", "a=1; b=2"),
        ("${remaining_ms}", "1500"),
        ("${remaining_grpc}", "1500m"),
        ("<${value_0}${value_1}>", "<first/second>"),
        ("$ {} ${value_0}$", "$ {} first$"),
        ("${header:x-none} ${value_0} ${value_2}", "first"),
    ];
    for (text, expected) in cases {
        assert_eq!(value(text).as_deref(), Some(expected), "{text}");
    }
    for text in ["", "${value_2}", "${header:x-none}", " ${value_2}\t"] {
        assert_eq!(value(text), None, "{text}");
    }
}

#[test]
fn the_host_is_the_authority_where_there_is_no_other() {
    assert_eq!(applied(&[("set", "x", "${authority}")], &[("host", "b.test")])[1], "x: b.test");
}

#[test]
fn times_left_have_at_most_eight_digits_for_grpc() {
    let request = fields(&[]);
    let edits = compiled(&[("set", "grpc-timeout", "${remaining_grpc}")]);
    let written = |remaining_ms| {
        let mut out = Vec::new();
        let values = Values { remaining_ms, ..values(&request) };
        edits.apply(&request, &values, &mut Vec::new(), |_, _, value| out.extend_from_slice(value));
        String::from_utf8(out).unwrap()
    };
    assert_eq!(written(None), "");
    assert_eq!(written(Some(0)), "1m");
    assert_eq!(written(Some(99_999_999)), "99999999m");
    assert_eq!(written(Some(100_000_000)), "100000S");
    assert_eq!(written(Some(u64::MAX)), "99999999S");
}

#[test]
fn edits_that_could_break_a_message_do_not_compile() {
    for (operation, name) in [
        ("set", ":method"),
        ("set", ":status"),
        ("add", ":path"),
        ("append", ":authority"),
        ("remove", ":path"),
        ("remove", ":*"),
        ("set", ":unknown"),
        ("set", "host"),
        ("set", "connection"),
        ("add", "transfer-encoding"),
        ("set", "content-length"),
        ("append", "te"),
        ("set", "upgrade"),
        ("set", ""),
        ("set", "a b"),
        ("remove", "a:b"),
        ("prefix", "x"),
        ("prefix", ":authority"),
        ("replace", "x"),
    ] {
        assert!(Edit::compile(operation, name, "v", "/").is_err(), "{operation} {name}");
    }
    for text in ["${unknown}", "${", "a ${value_4}", "${header:}", "${header:a b}", "${header:\u{e9}}", "a\nb", "\u{7f}", "${VALUE_0}"] {
        assert!(Edit::compile("set", "x", text, "").is_err(), "{text}");
    }
    assert!(Edit::compile("prefix", ":path", "/x", "a").is_err());
}

#[test]
fn statuses_are_held_that_are_listed() {
    let plan = Plan::new(Edits::default(), Edits::default(), &[502, 503, 200, 999], &[14, 0, 31]).unwrap();
    let held: Vec<u16> = (0..=u16::MAX).filter(|status| plan.holds(*status)).collect();
    assert_eq!(held, [200, 502, 503, 999]);
    let held: Vec<u32> = (0..100).chain([u32::MAX]).filter(|status| plan.holds_grpc(*status)).collect();
    assert_eq!(held, [0, 14, 31]);
    assert!(!Plan::default().holds(503) && !Plan::default().holds_grpc(0) && !Plan::default().holds.has_grpc());
    assert!(plan.holds.has_grpc());
    for status in [0, 99, 1_000, u32::MAX] {
        assert!(Plan::new(Edits::default(), Edits::default(), &[status], &[]).is_err());
    }
    assert!(Plan::new(Edits::default(), Edits::default(), &[], &[32]).is_err());
}

#[test]
fn trailers_lose_what_the_head_would_have_lost() {
    let request = compiled(&[
        ("remove", "x-real-ip", ""),
        ("remove", "x-internal-*", ""),
        ("set", "x-user", "${header:x-none}"),
        ("add", "x-added", "1"),
        ("append", "x-list", "1"),
    ]);
    let names = ["x-real-ip", "x-internal-id", "x-user", "x-added", "x-list", "x_sum", "x_user", "_", "x-sum"];
    let trailers = || fields(&names.map(|name| (name, "v_v")));
    let named =
        |trailers: &Fields| trailers.iter().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect::<Vec<_>>().join(" ");
    for (policy, left, underscores) in
        [("pass", Some("x-added x-list x_sum x_user _ x-sum"), 0), ("drop", Some("x-added x-list x_user x-sum"), 2), ("refuse", None, 0)]
    {
        let underscores_of = Underscores::compile(policy, &["x_user".to_owned()]).unwrap();
        let plan = Plan { request: request.clone(), underscores: underscores_of, ..Plan::default() };
        let mut trailers = trailers();
        let stripped = plan.strip_request_trailers(&mut trailers);
        assert_eq!(stripped, left.map(|_| Stripped { edited: 3, underscores }), "{policy}");
        if let Some(left) = left {
            assert_eq!(named(&trailers), left, "{policy}");
        }
        let mut spared = fields(&[("x_user", "1"), ("x-sum", "2")]);
        assert_eq!(plan.strip_request_trailers(&mut spared), Some(Stripped::default()), "{policy}");
        assert_eq!(spared.len(), 2);
    }
    assert!(Underscores::compile("keep", &[]).is_err());
}

/// Reference implementation: tries every length for the first star.
fn matches_by_definition(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|skip| matches_by_definition(rest, &name[skip..])),
        Some((byte, rest)) => name.first() == Some(byte) && matches_by_definition(rest, &name[1..]),
    }
}

proptest! {
    #[test]
    fn globs_match_as_the_definition_says(pattern in "[ab*]{1,8}", name in "[ab]{1,10}") {
        let edits = compiled(&[("remove", &pattern, "")]);
        let is_removed = applied_to(&edits, &fields(&[(&name, "v")])).is_empty();
        prop_assert_eq!(is_removed, matches_by_definition(pattern.as_bytes(), name.as_bytes()), "{} {}", pattern, name);
    }

    #[test]
    fn no_text_of_a_client_or_a_rule_breaks_a_field(
        texts in prop::collection::vec(prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\r'), Just(b'\n'), Just(b' ')], 0..12), 4),
        header in prop::collection::vec(any::<u8>(), 0..12),
        value in "[a-z ,]{0,4}",
    ) {
        let mut request = fields(&[(":path", "/p"), (":authority", "a.test")]);
        request.push(b"x-client", &header);
        let text = format!("${{value_0}}{value}${{value_1}}${{header:x-client}}");
        let names = [("set", "x-set"), ("add", "x-add"), ("append", "x-client"), ("set", ":path"), ("set", ":authority"), ("prefix", "/p")];
        let edits: Vec<_> = names.iter().map(|(operation, name)| (*operation, *name, &text[..])).collect();
        let given = [&texts[0][..], &texts[1], &texts[2], &texts[3]];
        let (mut paths, mut authorities) = (0, 0);
        compiled(&edits).apply(&request, &Values { given, ..values(&request) }, &mut Vec::new(), |known, _, value| {
            assert!(is_value(value) && !value.is_empty());
            match known {
                Known::Path => { paths += 1; assert!(is_path(value)); }
                Known::Authority => { authorities += 1; assert!(is_authority(value)); }
                _ => {}
            }
        });
        prop_assert_eq!((paths, authorities), (1, 1));
    }
}

/// Run with `--ignored --nocapture` on a quiet machine: nanoseconds a head.
#[test]
#[ignore = "prints a measurement"]
fn what_the_usual_plan_costs() {
    let usual = [
        ("remove", "forwarded", ""),
        ("remove", "x-forwarded-for", ""),
        ("remove", "x-forwarded-proto", ""),
        ("remove", "x-forwarded-host", ""),
        ("remove", "x-forwarded-port", ""),
        ("set", "x-forwarded-for", "${client_address}"),
        ("set", "x-forwarded-proto", "${scheme}"),
        ("set", "x-forwarded-host", "${authority}"),
        ("set", "x-request-id", "${request_id}"),
    ];
    let mut request = fields(&REQUEST);
    for (name, value) in [("accept", "*/*"), ("user-agent", "a browser"), ("referer", "https://a.test/")] {
        request.push(name.as_bytes(), value.as_bytes());
    }
    let values = Values { peer: "192.0.2.7:50000".parse().unwrap(), ..values(&request) };
    for (what, more) in [
        ("usual", None),
        ("with a glob", Some(("remove", "x-internal-*", ""))),
        ("with a pattern", Some(("remove-regex", "x-(internal|debug)-.*", ""))),
    ] {
        let edits = compiled(&usual.into_iter().chain(more).collect::<Vec<_>>());
        let (mut scratch, mut head) = (Vec::new(), Fields::new());
        let mut best = f64::INFINITY;
        for _ in 0..20 {
            let began = std::time::Instant::now();
            for _ in 0..50_000 {
                head.clear();
                edits
                    .apply(std::hint::black_box(&request), &values, &mut scratch, |known, name, value| head.push_known(known, name, value));
            }
            best = best.min(began.elapsed().as_nanos() as f64 / 50_000.0);
        }
        println!("{what}: {best:.1} ns a head");
    }
}
