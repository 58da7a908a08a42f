use super::*;
use crate::http::check::check_request;
use proptest::prelude::*;

const KEEP: Rules = Rules { are_slashes_merged: true, are_escaped_slashes_kept: true };
const PLAIN: Rules = Rules { are_slashes_merged: false, are_escaped_slashes_kept: true };
const STRICT: Rules = Rules { are_slashes_merged: true, are_escaped_slashes_kept: false };

/// The page that says what the rules are; its tables are tested row by row.
const PAGE: &str = include_str!("../../../../../docs/design/normalisation.md");

fn path_of(text: &str, rules: Rules) -> Result<String, Complaint> {
    let mut out = b"left from before".to_vec();
    let is_changed = path(text.as_bytes(), rules, &mut out)?;
    Ok(if is_changed { String::from_utf8(out).unwrap() } else { text.to_owned() })
}

fn authority_of(text: &str, scheme: &str) -> Result<String, Complaint> {
    let mut out = b"left from before".to_vec();
    let is_changed = authority(text.as_bytes(), DefaultPort::of(scheme.as_bytes()), &mut out)?;
    Ok(if is_changed { String::from_utf8(out).unwrap() } else { text.to_owned() })
}

/// Rows of the table under a heading: a text, and its canonical form if it has one.
fn rows(heading: &str) -> Vec<(String, Option<String>)> {
    let chapter = PAGE.split("\n## ").find(|chapter| chapter.starts_with(heading)).expect("the chapter");
    let code = |cell: &str| cell.trim().strip_prefix('`')?.strip_suffix('`').map(|code| code.replace(r"\|", "|"));
    let rows = chapter.lines().filter(|line| line.starts_with("| `")).map(|line| {
        let line = line.replace(r"\|", "\u{1}");
        let mut cells = line.split('|').skip(1).map(|cell| cell.replace('\u{1}', "|"));
        let (text, form) = (cells.next().unwrap(), cells.next().unwrap());
        assert!(form.trim() == "400" || code(&form).is_some(), "{line}");
        (code(&text).unwrap(), code(&form))
    });
    rows.collect()
}

#[test]
fn paths_become_what_the_page_says() {
    let rows = rows("Paths");
    assert!(rows.len() > 35);
    for (text, form) in rows {
        assert_eq!(path_of(&text, KEEP).ok(), form, "{text}");
    }
    assert_eq!(path_of("", KEEP).unwrap(), "/");
    assert_eq!(path_of("?q", KEEP).unwrap(), "/?q");
}

#[test]
fn authorities_become_what_the_page_says() {
    let rows = rows("Authorities");
    assert!(rows.len() > 30);
    for (text, form) in rows {
        assert_eq!(authority_of(&text, "https").ok(), form, "{text}");
    }
    assert!(authority_of("", "https").is_err());
    assert_eq!(authority_of("a.test:80", "http").unwrap(), "a.test");
    assert_eq!(authority_of("a.test:443", "http").unwrap(), "a.test:443");
    assert_eq!(authority_of("a.test:443", "").unwrap(), "a.test:443");
    assert!(authority_of(&"a".repeat(254), "https").is_err());
}

#[test]
fn empty_segments_stay_where_they_are_not_merged() {
    for (text, form) in [("//a", "//a"), ("/a//..", "/a/"), ("//..", "/"), ("/a//../../b", "/b"), ("///", "///"), ("/a//%2e/b", "/a//b")] {
        assert_eq!(path_of(text, PLAIN).unwrap(), form);
    }
    assert!(path_of("//../..", PLAIN).is_err());
}

#[test]
fn escaped_slashes_are_refused_where_they_are_not_kept() {
    for text in ["/a%2Fb", "/a%2fb", "/%5c", "/a%5Cb"] {
        assert!(path_of(text, STRICT).is_err(), "{text}");
    }
    assert_eq!(path_of("/a%252Fb?c=%2f", STRICT).unwrap(), "/a%252Fb?c=%2F");
}

#[test]
fn a_canonical_form_is_no_longer_than_a_field_can_be() {
    let text = format!("/{}", "|".repeat(30_000));
    assert_eq!(path_of(&text, KEEP), Err("the canonical form is too long"));
    assert_eq!(path_of(&text[..20_000], KEEP).unwrap().len(), 1 + 3 * 19_999);
}

fn request(pairs: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    pairs.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    fields
}

#[test]
fn a_head_is_made_canonical_in_place() {
    let pairs = [
        (":method", "GET"),
        (":authority", "A.test:443"),
        (":path", "/%61/|/b/../c"),
        (":scheme", "https"),
        ("x", "y"),
        ("host", "a.test."),
    ];
    let mut fields = request(&pairs);
    head(&mut fields, KEEP, &mut Vec::new(), &mut Vec::new()).unwrap();
    let values: Vec<_> = fields.iter().map(|field| std::str::from_utf8(field.value).unwrap()).collect();
    assert_eq!(values, ["GET", "a.test", "/a/%7C/c", "https", "y", "a.test"]);
    assert_eq!(fields.get(b":path"), Some(&b"/a/%7C/c"[..]));
    assert!(check_request(&fields, false).is_ok());
}

#[test]
fn a_longer_value_keeps_its_name_and_its_neighbours() {
    let mut fields = request(&[(":path", "/|"), ("x", "y")]);
    head(&mut fields, KEEP, &mut Vec::new(), &mut Vec::new()).unwrap();
    assert_eq!((fields.at(0).name, fields.at(0).value), (&b":path"[..], &b"/%7C"[..]));
    assert_eq!((fields.at(1).name, fields.at(1).value), (&b"x"[..], &b"y"[..]));
}

#[test]
fn what_is_malformed_stays_malformed() {
    let get = [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")];
    for (name, value) in [(":path", ""), (":path", "*"), (":authority", ""), (":authority", "u@a"), (":path", "/a b"), (":path", "/#")] {
        let mut fields = request(&get.map(|pair| if pair.0 == name { (name, value) } else { pair }));
        let _ = head(&mut fields, KEEP, &mut Vec::new(), &mut Vec::new());
        assert!(check_request(&fields, false).is_err(), "{name} {value:?}");
    }
    let mut fields = request(&[get[0], get[1], get[2], get[3], ("host", "b.test")]);
    head(&mut fields, KEEP, &mut Vec::new(), &mut Vec::new()).unwrap();
    assert!(check_request(&fields, false).is_err());
}

/// Spellings that proxies and their backends have read differently. None may come out naming what
/// it hides.
#[test]
fn no_spelling_of_a_guarded_path_gets_past_its_name() {
    let spellings = [
        "/admin",
        "//admin",
        "/./admin",
        "/%2e/admin",
        "/x/../admin",
        "/x/%2e%2e/admin",
        "/x/.%2E/admin",
        "/x/%2e./admin",
        "/%61%64%6d%69%6e",
        "/%61dmin",
        "/x//..//admin",
        "/x/y/../../admin",
        "/admin/",
        "/admin//",
        "/admin/.",
        "/admin/x/..",
        "/admin;v=1",
        "/admin?x",
        "/;/admin",
        "/x/..;/admin",
        "/.;/admin",
        "/..;/admin",
        "/x/..%2fadmin",
        "/x/..%5cadmin",
        "/x\\..\\admin",
        "\\admin",
        "/\\admin",
        "/x/%c0%ae%c0%ae/admin",
        "/x/%e0%80%ae%e0%80%ae/admin",
        "/x/%u002e%u002e/admin",
        "/admin%00",
        "/admin%00.png",
        "/admin%20",
        "/admin%09",
        "/admin%0a",
        "/adm%69n%23",
        "/%2561dmin",
        "/x/%252e%252e/admin",
        "/../admin",
        "/x/../../admin",
        "/admin#",
        "admin",
        "http://a.test/admin",
        "/%%32%65%%32%65/admin",
    ];
    for text in spellings {
        for rules in [KEEP, STRICT] {
            let Ok(form) = path_of(text, rules) else { continue };
            assert_canonical(form.as_bytes(), rules);
            // What a decoding, merging, resolving backend sees in the form must begin as the form
            // itself does.
            let is_admin = seen_by_backend(&form).starts_with("/admin");
            assert_eq!(is_admin, form.starts_with("/admin"), "{text} became {form}");
        }
    }
}

/// A backend that decodes once, splits at slashes of either kind, and resolves dots.
fn seen_by_backend(form: &str) -> String {
    let path = form.split('?').next().unwrap();
    let mut text = String::new();
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        text.push(u8::from_str_radix(&rest[at + 1..at + 3], 16).unwrap() as char);
        rest = &rest[at + 3..];
    }
    text.push_str(rest);
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split(['/', '\\']).filter(|segment| !segment.is_empty() && *segment != ".") {
        if segment == ".." {
            segments.pop();
        } else {
            segments.push(segment);
        }
    }
    format!("/{}", segments.join("/"))
}

fn assert_canonical(form: &[u8], rules: Rules) {
    let text = std::str::from_utf8(form).unwrap();
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{text}");
    assert!(path.starts_with('/') && !path.contains('\\'), "{text}");
    assert!(!rules.are_slashes_merged || !path.contains("//"), "{text}");
    assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "{text}");
    assert!(!query.contains("%00"), "{text}");
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let digits = &rest[at + 1..at + 3];
        assert!(digits.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)), "{text}");
        let octet = u8::from_str_radix(digits, 16).unwrap();
        assert!(!octet.is_ascii_alphanumeric() && !b"-._~".contains(&octet) && !octet.is_ascii_control(), "{text}");
        rest = &rest[at + 3..];
    }
}

#[test]
fn a_backend_gets_the_clients_own_spelling_without_dot_segments() {
    let merging = Rules { are_slashes_merged: true, are_escaped_slashes_kept: true };
    for (text, expected) in [
        ("//a///b//", "//a///b//"),
        ("/bucket//key|\"name\"?sig=%2f|", "/bucket//key|\"name\"?sig=%2f|"),
        ("/%61/./b/%2e%2E/c%3a", "/%61/c%3a"),
        ("/a//../b", "/b"),
        ("/a/b//%2e%2e/", "/a/"),
        ("/a//.", "/a//"),
        ("/a/b/..", "/a/"),
    ] {
        let (mut canonical, mut kept) = (Vec::new(), Vec::new());
        assert_eq!(path_and_kept(text.as_bytes(), merging, &mut canonical, &mut kept), Ok(true));
        assert_eq!(String::from_utf8(kept).unwrap(), expected, "{text}");
    }
    assert_eq!(behind_segments(b"//a//b//c?d/e", 1, true), b"//b//c?d/e");
    assert_eq!(behind_segments(b"//a//b//c?d/e", 1, false), b"/a//b//c?d/e");
    assert_eq!(behind_segments(b"//a?d/e", 1, true), b"?d/e");
    assert_eq!(behind_segments(b"/a", 0, true), b"/a");
}

/// Paths in which much happens.
fn any_path() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => Just(b"/".to_vec()),
        4 => prop::sample::select(vec!["%2e", "%2E", ".", "..", "%2f", "%5C", "%25", "%41", "%c0%ae", "%00", "%", "%7", ";", "?", "|", "a", "\\", "#"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..3),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| [b"/".to_vec(), pieces.concat()].concat())
}

fn any_rules() -> impl Strategy<Value = Rules> {
    any::<(bool, bool)>().prop_map(|(are_slashes_merged, are_escaped_slashes_kept)| Rules { are_slashes_merged, are_escaped_slashes_kept })
}

fn any_authority() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "a",
        "B",
        ".",
        "..",
        "-",
        "_",
        ":",
        ":443",
        ":80",
        ":0",
        "1",
        "127.0.0.1",
        "0x7f",
        "[::1]",
        "[",
        "]",
        "[1::FFFF:0]",
        "[::ffff:1.2.3.4]",
        "@",
        "%41",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn a_canonical_path_is_its_own_canonical_form(text in any_path(), rules in any_rules()) {
        let mut once = Vec::new();
        if let Ok(is_changed) = path(&text, rules, &mut once) {
            let once = if is_changed { once } else { text.clone() };
            prop_assert!(once.len() <= 3 * text.len().max(1));
            prop_assert_eq!(path(&once, rules, &mut Vec::new()), Ok(false), "{:?}", once);
            assert_canonical(&once, rules);
        }
    }

    #[test]
    fn a_path_that_needs_no_second_look_is_canonical(text in any_path(), rules in any_rules()) {
        // The quick look and the thorough one must agree: append what defeats the quick one and
        // changes nothing.
        if path(&text, rules, &mut Vec::new()) == Ok(false) && text != b"*" && !text.contains(&b'?') {
            let slow = [&text[..], b"?%4a"].concat();
            let mut out = Vec::new();
            prop_assert_eq!(path(&slow, rules, &mut out), Ok(true));
            prop_assert_eq!(out, [&text[..], b"?%4A"].concat());
        }
    }

    #[test]
    fn what_a_backend_gets_has_the_canonical_form_that_was_judged(text in any_path(), rules in any_rules()) {
        let (mut canonical, mut kept, mut again) = (Vec::new(), Vec::new(), Vec::new());
        if path_and_kept(&text, rules, &mut canonical, &mut kept) == Ok(true) {
            let is_changed = path(&kept, rules, &mut again).unwrap();
            prop_assert_eq!(if is_changed { &again } else { &kept }, &canonical, "{:?}", String::from_utf8_lossy(&kept));
            prop_assert!(kept.len() <= text.len() + 1);
            prop_assert!(!kept.split(|&byte| byte == b'?').next().unwrap().split(|&byte| byte == b'/').any(|segment| {
                matches!(&String::from_utf8_lossy(segment).to_lowercase().replace("%2e", ".")[..], "." | "..")
            }), "no dot segment is left to the backend");
        }
    }

    #[test]
    fn what_follows_a_prefix_is_the_same_in_both_spellings(text in any_path(), rules in any_rules(), segments in 0usize..4) {
        let (mut canonical, mut kept) = (Vec::new(), Vec::new());
        if path_and_kept(&text, rules, &mut canonical, &mut kept) == Ok(true) {
            let path_end = canonical.iter().position(|&byte| byte == b'?').unwrap_or(canonical.len());
            let starts: Vec<usize> = (0..path_end).filter(|&at| canonical[at] == b'/').chain([path_end]).collect();
            if let Some(&start) = starts.get(segments).filter(|_| segments == 0 || starts[segments] > starts[segments - 1] + 1) {
                // As rewritten to another prefix.
                let rewritten = [b"/x", behind_segments(&kept, segments, rules.are_slashes_merged)].concat();
                let expected = [b"/x", &canonical[start..]].concat();
                let mut again = Vec::new();
                let is_changed = path(&rewritten, rules, &mut again).unwrap();
                prop_assert_eq!(if is_changed { &again } else { &rewritten }, &expected, "{:?}", String::from_utf8_lossy(&kept));
            }
        }
    }

    #[test]
    fn a_canonical_authority_is_its_own_canonical_form(text in any_authority(), is_https: bool) {
        let port = DefaultPort::of(if is_https { b"https" } else { b"http" });
        let mut once = Vec::new();
        if let Ok(is_changed) = authority(&text, port, &mut once) {
            let once = if is_changed { once } else { text.clone() };
            prop_assert!(once.len() <= text.len() + 6);
            prop_assert_eq!(authority(&once, port, &mut Vec::new()), Ok(false), "{:?}", once);
            prop_assert!(!once.iter().any(u8::is_ascii_uppercase));
        }
    }

    #[test]
    fn no_bytes_panic(text in prop::collection::vec(any::<u8>(), 0..60), rules in any_rules()) {
        let _ = path(&text, rules, &mut Vec::new());
        let _ = authority(&text, DefaultPort::of(b"https"), &mut Vec::new());
    }
}

/// Run with `--ignored --nocapture` on a quiet machine: nanoseconds a head.
#[test]
#[ignore = "prints a measurement"]
fn what_a_canonical_head_costs() {
    let pairs = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "www.example.com"),
        (":path", "/assets/app/main-3f2a91.js?v=20260101"),
        ("accept", "*/*"),
        ("accept-encoding", "gzip, br"),
        ("user-agent", "a browser"),
        ("cookie", "session=1"),
        ("referer", "https://www.example.com/"),
    ];
    let (mut fields, mut text, mut kept) = (request(&pairs), Vec::new(), Vec::new());
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let began = std::time::Instant::now();
        for _ in 0..100_000 {
            head(std::hint::black_box(&mut fields), KEEP, &mut text, &mut kept).unwrap();
        }
        best = best.min(began.elapsed().as_nanos() as f64 / 100_000.0);
    }
    println!("{best:.1} ns a head");
}
