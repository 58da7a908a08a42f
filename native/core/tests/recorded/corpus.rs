//! The cases: requests and answers by hand, all with all that is worth it, and thousands that are
//! made from them by cutting, doubling, swapping and flipping. The same cases on every run.

use crate::stage::{Case, Decision, Move};
use crate::support::wire::{DATA, GOAWAY, HEADERS, SETTINGS, data, frame, headers};

/// Cases made by chance.
const MIXED: usize = 1_200;
const MUTATED_REQUESTS: usize = 1_200;
const MUTATED_ANSWERS: usize = 800;

type Pairs = Vec<(&'static str, String)>;

/// A reproducible source of numbers (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize) % bound
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// A request: its name and what is written, piece by piece.
#[derive(Clone)]
struct Asked {
    name: String,
    pieces: Vec<Vec<u8>>,
    is_ended: bool,
}

/// What the origin says.
#[derive(Clone)]
struct Answered {
    name: String,
    moves: Vec<Move>,
}

/// All cases, in their order.
pub fn cases() -> Vec<Case> {
    let asked = requests();
    let (http2, http1) = (answers_of_http2(), answers_of_http1());
    let mut cases = Vec::new();
    // Each request with a plain answer of each kind, and with those of the edge's own.
    for request in &asked {
        for (decision, answer) in
            [(Decision::Http2, &http2[0]), (Decision::Http1, &http1[0]), (Decision::Own, &silence()), (Decision::Reset, &silence())]
        {
            cases.push(case(request, decision, answer));
        }
    }
    // Each answer to a request without a body, one with a body, and one for the head alone.
    for name in ["get", "post", "head"] {
        let request = asked.iter().find(|request| request.name == name).expect("a request of that name");
        for answer in &http2 {
            cases.push(case(request, Decision::Http2, answer));
            cases.push(case(request, Decision::Twice, answer));
        }
        for answer in &http1 {
            cases.push(case(request, Decision::Http1, answer));
        }
    }
    cases.extend(beside(&http2[0]));
    let mut dice = Dice(0x5eed_0001);
    for number in 0..MIXED {
        let mut request = dice.pick(&asked).clone();
        if dice.one_in(3) {
            request = cut(&request, &mut dice);
        }
        let (decision, answer) = if dice.one_in(2) { (Decision::Http1, dice.pick(&http1)) } else { (Decision::Http2, dice.pick(&http2)) };
        cases.push(numbered("mixed", number, interleaved(&request, decision, answer, &mut dice)));
    }
    for number in 0..MUTATED_REQUESTS {
        let mut request = dice.pick(&asked).clone();
        for _ in 0..=dice.below(3) {
            mutate(&mut request.pieces, &mut dice);
        }
        let (decision, answer) = if dice.one_in(2) { (Decision::Http1, &http1[0]) } else { (Decision::Http2, &http2[0]) };
        cases.push(numbered("asked", number, case(&request, decision, answer)));
    }
    for number in 0..MUTATED_ANSWERS {
        let request = dice.pick(&asked[..12]).clone();
        let is_plain = dice.one_in(2);
        let mut answer = dice.pick(if is_plain { &http1 } else { &http2 }).clone();
        for _ in 0..=dice.below(3) {
            mutate_answer(&mut answer.moves, &mut dice);
        }
        let decision = if is_plain { Decision::Http1 } else { Decision::Http2 };
        cases.push(numbered("answered", number, case(&request, decision, &answer)));
    }
    cases
}

fn silence() -> Answered {
    Answered { name: "nothing".to_owned(), moves: Vec::new() }
}

fn writes(request: &Asked) -> Vec<Move> {
    let last = request.pieces.len() - 1;
    request.pieces.iter().enumerate().map(|(place, piece)| Move::Write(piece.clone(), request.is_ended && place == last)).collect()
}

fn case(request: &Asked, decision: Decision, answer: &Answered) -> Case {
    let mut moves = writes(request);
    moves.extend(answer.moves.iter().cloned());
    Case { name: format!("{}/{decision:?}/{}", request.name, answer.name), decision, moves }
}

fn numbered(kind: &str, number: usize, case: Case) -> Case {
    Case { name: format!("{kind}-{number}/{}", case.name), ..case }
}

/// The client and the origin speak at the same time, and now and then somebody gives up.
fn interleaved(request: &Asked, decision: Decision, answer: &Answered, dice: &mut Dice) -> Case {
    let mut case = case(request, decision, answer);
    let (mut ours, mut theirs) = (writes(request), answer.moves.clone());
    case.moves.clear();
    // Before the head there is nobody to answer.
    case.moves.push(ours.remove(0));
    while !(ours.is_empty() && theirs.is_empty()) {
        let from = if theirs.is_empty() || (!ours.is_empty() && dice.one_in(2)) { &mut ours } else { &mut theirs };
        case.moves.push(from.remove(0));
    }
    if dice.one_in(6) {
        let place = 1 + dice.below(case.moves.len());
        let ends = [Move::Cancel(0x10c), Move::Stop(0x10c), Move::Cancel(0x100), Move::Refuse(8), Move::Refuse(7), Move::Close];
        case.moves.insert(place, dice.pick(&ends).clone());
    }
    case
}

// ---- requests

fn list(method: &str, path: &str, more: &[(&'static str, &str)]) -> Pairs {
    let mut fields: Pairs = vec![
        (":method", method.to_owned()),
        (":scheme", "https".to_owned()),
        (":authority", "localhost".to_owned()),
        (":path", path.to_owned()),
    ];
    fields.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    fields
}

fn section(fields: &Pairs) -> Vec<u8> {
    let borrowed: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &value[..])).collect();
    headers(&borrowed)
}

fn requests() -> Vec<Asked> {
    let mut all = Vec::new();
    let mut add = |name: &str, pieces: Vec<Vec<u8>>, is_ended: bool| {
        all.push(Asked { name: name.to_owned(), pieces, is_ended });
    };
    let with = |more: &[(&'static str, &str)]| section(&list("GET", "/", more));
    let post = |more: &[(&'static str, &str)]| section(&list("POST", "/p", more));
    let trailers = |more: &[(&str, &str)]| headers(more);
    add("get", vec![with(&[])], true);
    add("post", vec![post(&[("content-length", "5")]), data(b"hello")], true);
    add("head", vec![section(&list("HEAD", "/h", &[]))], true);
    add("post-unannounced", vec![post(&[]), data(b"hello "), data(b"world")], true);
    add("post-trailers", vec![post(&[]), data(b"x"), trailers(&[("x-sum", "1"), ("grpc-status", "0")])], true);
    add("post-empty", vec![post(&[("content-length", "0")])], true);
    add("put-long", vec![section(&list("PUT", "/l", &[("content-length", "9000")])), data(&[b'l'; 4_000]), data(&[b'm'; 5_000])], true);
    add("open", vec![post(&[("content-length", "10")]), data(b"half")], false);
    add(
        "grpc",
        vec![post(&[("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "1S")]), data(&[0, 0, 0, 0, 1, 7])],
        true,
    );
    add("delete", vec![section(&list("DELETE", "/d", &[]))], true);
    add("patch", vec![section(&list("PATCH", "/d?x=1", &[("content-length", "2")])), data(b"{}")], true);
    add("get-body", vec![section(&list("GET", "/b", &[("content-length", "1")])), data(b"b")], true);
    add("options", vec![section(&list("OPTIONS", "*", &[("max-forwards", "3")]))], true);
    add("options-0", vec![section(&list("OPTIONS", "*", &[("max-forwards", "0")]))], true);
    add("trace", vec![section(&list("TRACE", "/t", &[("cookie", "secret=1")]))], true);
    add("trace-body", vec![section(&list("TRACE", "/t", &[])), data(b"x")], true);
    add("other-method", vec![section(&list("PROPFIND", "/", &[]))], true);
    add("odd-method", vec![section(&list("G ET", "/", &[]))], true);
    add("connect", vec![section(&vec![(":method", "CONNECT".to_owned()), (":authority", "localhost:443".to_owned())])], false);
    add("connect-websocket", vec![section(&list("CONNECT", "/ws", &[(":protocol", "websocket"), ("sec-websocket-version", "13")]))], false);
    add(
        "connect-websocket-data",
        vec![section(&list("CONNECT", "/ws", &[(":protocol", "websocket"), ("sec-websocket-version", "13")])), data(b"\x81\x01a")],
        true,
    );
    add("connect-udp", vec![section(&list("CONNECT", "/.well-known/masque/udp/h/1/", &[(":protocol", "connect-udp")]))], false);
    for (name, path) in [
        ("dots", "/a/../b/./c"),
        ("slashes", "//a///b"),
        ("escapes", "/%41%2f%2e%2E/x"),
        ("bad-escape", "/%4g"),
        ("bare-percent", "/a%"),
        ("query", "/?a=1&b=%20&c"),
        ("fragment", "/a#b"),
        ("long", "/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long/long"),
        ("no-slash", "a/b"),
        ("empty", ""),
        ("backslash", "/a\\b"),
        ("space", "/a b"),
        ("quote", "/\"<>`{}|^"),
        ("nul", "/a\0b"),
        ("star", "*"),
        ("absolute", "https://localhost/x"),
        ("up-and-out", "/../../etc/passwd"),
        ("semicolon", "/a;b=c/d;e"),
        ("utf-8", "/\u{e4}\u{f6}"),
    ] {
        add(&format!("path-{name}"), vec![section(&list("GET", path, &[]))], true);
    }
    for (name, authority) in [
        ("port", "localhost:443"),
        ("upper", "LocalHost"),
        ("dot", "localhost."),
        ("v6", "[::1]:8443"),
        ("bad-v6", "[::1"),
        ("user", "user@localhost"),
        ("space", "local host"),
        ("empty", ""),
        ("bad-port", "localhost:x"),
        ("big-port", "localhost:99999"),
        ("slash", "localhost/x"),
        ("comma", "a,b"),
        ("percent", "a%20b"),
    ] {
        let mut fields = list("GET", "/", &[]);
        fields[2].1 = authority.to_owned();
        add(&format!("authority-{name}"), vec![section(&fields)], true);
    }
    for (name, scheme) in [("http", "http"), ("upper", "HTTPS"), ("ftp", "ftp"), ("empty", "")] {
        let mut fields = list("GET", "/", &[]);
        fields[1].1 = scheme.to_owned();
        add(&format!("scheme-{name}"), vec![section(&fields)], true);
    }
    for place in 0..4 {
        let mut fields = list("GET", "/", &[]);
        let (name, _) = fields.remove(place);
        add(&format!("without-{}", &name[1..]), vec![section(&fields)], true);
        let mut fields = list("GET", "/", &[]);
        let twice = fields[place].clone();
        fields.push(twice);
        add(&format!("twice-{}", &name[1..]), vec![section(&fields)], true);
    }
    let mut late = list("GET", "/", &[("x-first", "1")]);
    let path = late.remove(3);
    late.push(path);
    add("late-pseudo", vec![section(&late)], true);
    for (name, fields) in FIELDS {
        add(&format!("field-{name}"), vec![with(fields)], true);
    }
    let crumbs: Vec<(&'static str, &str)> = vec![("cookie", "a=b"); 100];
    add("crumbs", vec![with(&crumbs)], true);
    let many: Vec<(&'static str, &str)> = vec![("x-many", "v"); 70];
    add("too-many-fields", vec![with(&many)], true);
    let long = "v".repeat(20_000);
    add("too-long", vec![with(&[("x-long", &long)])], true);
    let rather = "v".repeat(7_000);
    add("rather-long", vec![with(&[("x-long", &rather)])], true);
    for (name, pieces, is_ended) in FRAMES {
        let mut bytes: Vec<Vec<u8>> = Vec::new();
        for piece in *pieces {
            bytes.push(match piece {
                Piece::Get => with(&[]),
                Piece::Post => post(&[]),
                Piece::Announced(length) => post(&[("content-length", &length.to_string())]),
                Piece::Data(payload) => data(payload),
                Piece::Trailers => trailers(&[("x-t", "1")]),
                Piece::PseudoTrailers => trailers(&[(":path", "/")]),
                Piece::Frame(kind, payload) => frame(*kind, payload),
                Piece::Bytes(raw) => raw.to_vec(),
            });
        }
        add(&format!("frames-{name}"), bytes, *is_ended);
    }
    all
}

/// Fields of requests.
const FIELDS: &[(&str, &[(&str, &str)])] = &[
    ("connection", &[("connection", "close")]),
    ("keep-alive", &[("keep-alive", "timeout=5")]),
    ("transfer-encoding", &[("transfer-encoding", "chunked")]),
    ("upgrade", &[("upgrade", "h2c"), ("http2-settings", "AAMAAABk")]),
    ("proxy-connection", &[("proxy-connection", "x")]),
    ("te-gzip", &[("te", "gzip")]),
    ("te-trailers", &[("te", "trailers")]),
    ("upper", &[("X-Upper", "1")]),
    ("break", &[("x-break", "a\r\nb: c")]),
    ("nul", &[("x-nul", "a\0b")]),
    ("tab", &[("x-tab", "a\tb")]),
    ("blank", &[("x-blank", " a ")]),
    ("empty-value", &[("x-empty", "")]),
    ("empty-name", &[("", "x")]),
    ("colon-name", &[("a:b", "x")]),
    ("latin", &[("x-latin", "gr\u{fc}n")]),
    ("unknown-pseudo", &[(":colour", "blue")]),
    ("status", &[(":status", "200")]),
    ("host-same", &[("host", "localhost")]),
    ("host-other", &[("host", "other")]),
    ("lengths-same", &[("content-length", "0"), ("content-length", "0")]),
    ("lengths-differ", &[("content-length", "1"), ("content-length", "2")]),
    ("length-list", &[("content-length", "0, 0")]),
    ("length-sign", &[("content-length", "+0")]),
    ("length-huge", &[("content-length", "99999999999999999999")]),
    ("length-word", &[("content-length", "five")]),
    ("length-missing-body", &[("content-length", "5")]),
    ("expect", &[("expect", "100-continue")]),
    ("expect-odd", &[("expect", "miracles")]),
    ("forwarded", &[("forwarded", "for=1.2.3.4"), ("x-forwarded-for", "1.2.3.4"), ("x-forwarded-proto", "http"), ("x-real-ip", "1.2.3.4")]),
    ("via", &[("via", "1.1 a, 2 b")]),
    ("priority", &[("priority", "u=1, i")]),
    ("priority-odd", &[("priority", "u=99;;;")]),
    ("early-data", &[("early-data", "1")]),
    ("range", &[("range", "bytes=0-10")]),
    ("cookies", &[("cookie", "a=b"), ("cookie", "c=d"), ("x", "y"), ("cookie", "e=f")]),
    ("authorization", &[("authorization", "Basic eDp5"), ("proxy-authorization", "Basic eDp5")]),
    ("id", &[("x-request-id", "mine"), ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]),
    ("underscore", &[("x_forwarded_for", "1.2.3.4"), ("content_length", "7")]),
    ("grpc-timeout", &[("grpc-timeout", "100m")]),
    ("accept", &[("accept", "*/*"), ("accept-encoding", "gzip, br"), ("user-agent", "recorded")]),
];

enum Piece {
    Get,
    Post,
    Announced(usize),
    Data(&'static [u8]),
    Trailers,
    PseudoTrailers,
    Frame(u64, &'static [u8]),
    Bytes(&'static [u8]),
}

/// Streams of frames.
const FRAMES: &[(&str, &[Piece], bool)] = &[
    ("nothing", &[Piece::Bytes(b"")], true),
    ("half-a-type", &[Piece::Bytes(&[0x40])], true),
    ("data-first", &[Piece::Data(b"early")], false),
    ("data-after-get", &[Piece::Get, Piece::Data(b"more")], true),
    ("two-heads", &[Piece::Get, Piece::Get], true),
    ("grease", &[Piece::Frame(0x21, b"grease"), Piece::Get, Piece::Frame(0x40, b"")], true),
    ("grease-alone", &[Piece::Frame(0x21, b"grease")], true),
    ("grease-between", &[Piece::Post, Piece::Frame(0x21, b""), Piece::Data(b"a"), Piece::Frame(0x21, &[7; 300]), Piece::Data(b"b")], true),
    ("settings", &[Piece::Post, Piece::Frame(SETTINGS, b"")], false),
    ("settings-first", &[Piece::Frame(SETTINGS, b"")], false),
    ("goaway", &[Piece::Post, Piece::Frame(GOAWAY, b"\0")], false),
    ("cancel-push", &[Piece::Frame(3, b"\0")], false),
    ("push-promise", &[Piece::Frame(5, b"\0\0\0")], false),
    ("max-push", &[Piece::Frame(13, b"\x04")], false),
    ("http2-priority", &[Piece::Frame(2, b"\0\0\0\0\x01")], false),
    ("http2-ping", &[Piece::Frame(6, &[0; 8])], false),
    ("http2-window", &[Piece::Post, Piece::Frame(8, &[0; 4])], false),
    ("http2-continuation", &[Piece::Post, Piece::Frame(9, &[0; 4])], false),
    ("empty-section", &[Piece::Frame(HEADERS, b"")], true),
    ("dynamic-table", &[Piece::Frame(HEADERS, &[2, 0, 0x80])], true),
    ("post-base", &[Piece::Frame(HEADERS, &[0, 0, 0x10])], true),
    ("static-out-of-range", &[Piece::Frame(HEADERS, &[0, 0, 0xff, 0x80, 0x01])], true),
    ("integer-overflow", &[Piece::Frame(HEADERS, &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])], true),
    ("literal-past-end", &[Piece::Frame(HEADERS, &[0, 0, 0x50, 0x7f])], true),
    ("bad-huffman", &[Piece::Frame(HEADERS, &[0, 0, 0x51, 0x84, 0xff, 0xff, 0xff, 0xff])], true),
    ("no-pseudo", &[Piece::Frame(HEADERS, &[0, 0])], true),
    ("head-cut", &[Piece::Bytes(&[1, 20, 0, 0, 0xd1])], true),
    ("head-open", &[Piece::Bytes(&[1, 20, 0, 0, 0xd1])], false),
    ("data-cut", &[Piece::Post, Piece::Bytes(&[DATA as u8, 10, 1, 2, 3])], true),
    ("data-huge", &[Piece::Post, Piece::Bytes(&[DATA as u8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1])], false),
    ("head-huge", &[Piece::Bytes(&[HEADERS as u8, 0xbf, 0xff, 0xff, 0xff, 0, 0])], false),
    ("short", &[Piece::Announced(5), Piece::Data(b"abc")], true),
    ("long", &[Piece::Announced(2), Piece::Data(b"abc")], false),
    ("exact-then-empty", &[Piece::Announced(3), Piece::Data(b"abc"), Piece::Data(b"")], true),
    ("announced-trailers", &[Piece::Announced(1), Piece::Data(b"a"), Piece::Trailers], true),
    ("short-trailers", &[Piece::Announced(2), Piece::Data(b"a"), Piece::Trailers], true),
    ("trailers-alone", &[Piece::Post, Piece::Trailers], true),
    ("trailers-pseudo", &[Piece::Post, Piece::Data(b"a"), Piece::PseudoTrailers], true),
    ("trailers-open", &[Piece::Post, Piece::Data(b"a"), Piece::Trailers], false),
    ("trailers-twice", &[Piece::Post, Piece::Trailers, Piece::Trailers], true),
    ("data-after-trailers", &[Piece::Post, Piece::Data(b"x"), Piece::Trailers, Piece::Data(b"y")], false),
    ("grease-after-trailers", &[Piece::Post, Piece::Trailers, Piece::Frame(0x21, b"z")], true),
    ("empty-data", &[Piece::Post, Piece::Data(b""), Piece::Data(b""), Piece::Data(b"")], true),
    ("end-by-itself", &[Piece::Post, Piece::Data(b"abc"), Piece::Bytes(b"")], true),
];

// ---- answers

fn head(status: &str, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut fields = vec![(":status".to_owned(), status.to_owned())];
    fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    fields
}

fn answers_of_http2() -> Vec<Answered> {
    let mut all = Vec::new();
    let mut add = |name: &str, moves: Vec<Move>| all.push(Answered { name: name.to_owned(), moves });
    let begin = |status: &str, more: &[(&str, &str)]| Move::Head(head(status, more), false);
    let only = |status: &str, more: &[(&str, &str)]| Move::Head(head(status, more), true);
    let body = |bytes: &[u8]| Move::Body(bytes.to_vec(), false);
    let last = |bytes: &[u8]| Move::Body(bytes.to_vec(), true);
    add("200", vec![begin("200", &[("content-length", "2"), ("content-type", "text/plain")]), last(b"ok")]);
    for status in
        ["200", "201", "204", "205", "206", "301", "304", "400", "401", "404", "413", "421", "429", "500", "502", "503", "504", "599"]
    {
        add(&format!("only-{status}"), vec![only(status, &[])]);
    }
    for status in ["000", "099", "100", "101", "102", "103", "199", "600", "999", "2", "20x", "", "1000", "-20"] {
        add(&format!("odd-status-{status}"), vec![only(status, &[])]);
        add(&format!("odd-status-{status}-open"), vec![begin(status, &[]), last(b"x")]);
    }
    for status in ["204", "304", "205"] {
        add(&format!("body-{status}"), vec![begin(status, &[]), last(b"none allowed")]);
        add(&format!("length-{status}"), vec![only(status, &[("content-length", "12")])]);
    }
    add("hints", vec![begin("103", &[("link", "</a>; rel=preload")]), begin("103", &[("link", "</b>")]), begin("200", &[]), last(b"ok")]);
    add("continue", vec![begin("100", &[]), begin("200", &[]), last(b"ok")]);
    add("processing", vec![begin("102", &[]), only("200", &[])]);
    add("hints-then-reset", vec![begin("103", &[("link", "</a>")]), Move::Refuse(2)]);
    add("unannounced", vec![begin("200", &[]), body(b"one "), body(b""), last(b"two")]);
    add("long", vec![begin("200", &[("content-length", "9000")]), body(&[b'x'; 4_500]), last(&[b'y'; 4_500])]);
    add("empty-end", vec![begin("200", &[("content-length", "3")]), body(b"abc"), last(b"")]);
    add("too-short", vec![begin("200", &[("content-length", "5")]), last(b"abc")]);
    add("too-long", vec![begin("200", &[("content-length", "2")]), last(b"abc")]);
    add("nothing-of-five", vec![only("200", &[("content-length", "5")])]);
    add("trailers", vec![begin("200", &[("trailer", "x-sum")]), body(b"abc"), Move::Head(pairs(&[("x-sum", "6")]), true)]);
    add(
        "grpc",
        vec![
            begin("200", &[("content-type", "application/grpc")]),
            body(&[0, 0, 0, 0, 0]),
            Move::Head(pairs(&[("grpc-status", "0"), ("grpc-message", "fine")]), true),
        ],
    );
    add("grpc-unavailable", vec![only("200", &[("content-type", "application/grpc"), ("grpc-status", "14")])]);
    add("grpc-retry", vec![only("200", &[("content-type", "application/grpc"), ("grpc-status", "14"), ("grpc-retry-pushback-ms", "10")])]);
    add("trailers-alone", vec![begin("200", &[]), Move::Head(pairs(&[("x-sum", "6")]), true)]);
    add("trailers-pseudo", vec![begin("200", &[]), body(b"a"), Move::Head(head("200", &[]), true)]);
    add("trailers-open", vec![begin("200", &[]), body(b"a"), Move::Head(pairs(&[("x-sum", "6")]), false)]);
    add("trailers-connection", vec![begin("200", &[]), Move::Head(pairs(&[("connection", "close"), ("x-a", "1")]), true)]);
    add("open", vec![begin("200", &[]), body(b"and then")]);
    add("silence", vec![]);
    for code in [0, 1, 2, 3, 7, 8, 11, 13, 99] {
        add(&format!("reset-{code}"), vec![Move::Refuse(code)]);
        add(&format!("reset-{code}-late"), vec![begin("200", &[]), body(b"a"), Move::Refuse(code)]);
        add(&format!("end-reset-{code}"), vec![begin("200", &[]), last(b"a"), Move::Refuse(code)]);
    }
    add("close", vec![Move::Close]);
    add("close-late", vec![begin("200", &[]), body(b"a"), Move::Close]);
    add("close-at-length", vec![begin("200", &[("content-length", "1")]), body(b"a"), Move::Close]);
    add("goaway-before", vec![Move::Frame(7, 0, false, vec![0; 8]), Move::Close]);
    add("goaway-after", vec![Move::Frame(7, 0, false, vec![0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]), begin("200", &[]), last(b"ok")]);
    add("goaway-calm", vec![Move::Frame(7, 0, false, vec![0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 11])]);
    add("refused-then-closed", vec![Move::Refuse(7), Move::Close]);
    for (name, more) in ANSWER_FIELDS {
        add(&format!("field-{name}"), vec![only("200", more)]);
    }
    for (name, fields) in [
        ("no-status", vec![("x-a", "1")]),
        ("two-statuses", vec![(":status", "200"), (":status", "200")]),
        ("late-status", vec![("x-a", "1"), (":status", "200")]),
        ("path", vec![(":status", "200"), (":path", "/")]),
    ] {
        add(&format!("head-{name}"), vec![Move::Head(pairs(&fields), true)]);
    }
    let long = "v".repeat(70_000);
    add("too-long-head", vec![only("200", &[("x-long", &long[..16_000]), ("x-longer", &long[..300])])]);
    let many = vec![("x-many", "v"); 250];
    add("too-many-fields", vec![only("200", &many)]);
    for (name, kind, flags, is_ours, payload) in [
        ("data-before-head", 0, 0, true, vec![1, 2]),
        ("data-on-zero", 0, 0, false, vec![1]),
        ("headers-on-zero", 1, 5, false, vec![0x88]),
        ("bad-block", 1, 5, true, vec![0xff; 4]),
        ("table-size", 1, 5, true, vec![0x3f, 0xff, 0xff, 0x03, 0x88]),
        ("padded", 1, 0xd, true, vec![2, 0x88, 0, 0]),
        ("padded-too-much", 1, 0xd, true, vec![9, 0x88]),
        ("priority-flag", 1, 0x25, true, vec![0, 0, 0, 0, 16, 0x88]),
        ("settings-odd", 4, 0, false, vec![0; 5]),
        ("settings-window", 4, 0, false, vec![0, 4, 0xff, 0xff, 0xff, 0xff]),
        ("settings-on-stream", 4, 0, true, vec![]),
        ("settings-ack-long", 4, 1, false, vec![0; 6]),
        ("ping-short", 6, 0, false, vec![0; 7]),
        ("ping-on-stream", 6, 0, true, vec![0; 8]),
        ("goaway-short", 7, 0, false, vec![0; 7]),
        ("window-zero", 8, 0, true, vec![0; 4]),
        ("window-zero-all", 8, 0, false, vec![0; 4]),
        ("window-overflow", 8, 0, true, vec![0x7f, 0xff, 0xff, 0xff]),
        ("window-short", 8, 0, true, vec![0; 3]),
        ("continuation", 9, 4, true, vec![0x88]),
        ("push", 5, 4, true, vec![0, 0, 0, 2, 0x82]),
        ("priority", 2, 0, true, vec![0; 5]),
        ("unknown", 0x2a, 0xff, true, vec![1, 2, 3]),
        ("origin", 0xc, 0, false, vec![0, 0]),
        ("reset-short", 3, 0, true, vec![0; 3]),
        ("reset-on-zero", 3, 0, false, vec![0; 4]),
    ] {
        add(&format!("frame-{name}"), vec![Move::Frame(kind, flags, is_ours, payload.clone()), only("200", &[])]);
        add(&format!("frame-{name}-late"), vec![begin("200", &[]), Move::Frame(kind, flags, is_ours, payload), last(b"x")]);
    }
    add("continued", vec![Move::Frame(1, 1, true, vec![0x88]), Move::Frame(9, 4, true, vec![])]);
    add("continued-by-another", vec![Move::Frame(1, 1, true, vec![0x88]), Move::Frame(6, 0, false, vec![0; 8])]);
    add("garbage", vec![Move::Bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())]);
    all
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Fields of responses.
const ANSWER_FIELDS: &[(&str, &[(&str, &str)])] = &[
    ("connection", &[("connection", "keep-alive, x-hop"), ("x-hop", "1")]),
    ("keep-alive", &[("keep-alive", "timeout=5")]),
    ("transfer-encoding", &[("transfer-encoding", "chunked")]),
    ("upgrade", &[("upgrade", "h3")]),
    ("upper", &[("X-Upper", "1")]),
    ("break", &[("x-break", "a\r\nb")]),
    ("nul", &[("x-nul", "a\0b")]),
    ("blank", &[("x-blank", " a ")]),
    ("empty", &[("x-empty", "")]),
    ("cookies", &[("set-cookie", "a=1"), ("set-cookie", "b=2")]),
    ("lengths-same", &[("content-length", "0"), ("content-length", "0")]),
    ("lengths-differ", &[("content-length", "0"), ("content-length", "1")]),
    ("length-word", &[("content-length", "many")]),
    ("server", &[("server", "theirs"), ("via", "1.1 them"), ("date", "Tue, 01 Jan 2030 00:00:00 GMT")]),
    ("alt-svc", &[("alt-svc", "h3=\":443\""), ("strict-transport-security", "max-age=1")]),
    ("retry-after", &[("retry-after", "7")]),
    ("ntlm", &[("www-authenticate", "NTLM"), ("www-authenticate", "Basic realm=\"x\"")]),
    ("unknown-pseudo", &[(":colour", "blue")]),
];

fn answers_of_http1() -> Vec<Answered> {
    let mut all = Vec::new();
    let mut add = |name: &str, text: &str, closes: bool| {
        let mut moves = vec![Move::Bytes(text.as_bytes().to_vec())];
        if closes {
            moves.push(Move::Close);
        }
        all.push(Answered { name: format!("{name}{}", if closes { "-closed" } else { "" }), moves });
    };
    add("200", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nok", false);
    for status in [200, 204, 205, 304, 301, 400, 404, 421, 500, 503, 599] {
        add(&format!("empty-{status}"), &format!("HTTP/1.1 {status} Reason\r\ncontent-length: 0\r\n\r\n"), false);
        add(&format!("bare-{status}"), &format!("HTTP/1.1 {status} Reason\r\n\r\n"), false);
        add(&format!("bare-{status}"), &format!("HTTP/1.1 {status} Reason\r\n\r\nrest"), true);
    }
    for (name, line) in [
        ("1.0", "HTTP/1.0 200 OK"),
        ("0.9", "HTTP/0.9 200 OK"),
        ("2", "HTTP/2 200 OK"),
        ("no-reason", "HTTP/1.1 200"),
        ("empty-reason", "HTTP/1.1 200 "),
        ("lower", "http/1.1 200 OK"),
        ("two-digits", "HTTP/1.1 20 OK"),
        ("four-digits", "HTTP/1.1 2000 OK"),
        ("word", "HTTP/1.1 abc OK"),
        ("zero", "HTTP/1.1 000 OK"),
        ("big", "HTTP/1.1 999 OK"),
        ("blanks", "HTTP/1.1  200  OK"),
        ("other", "SSH-2.0-OpenSSH"),
        ("latin", "HTTP/1.1 200 gr\u{fc}n"),
        ("control", "HTTP/1.1 200 a\u{1}b"),
        ("upgrade", "HTTP/1.1 101 Switching Protocols"),
    ] {
        add(&format!("line-{name}"), &format!("{line}\r\ncontent-length: 2\r\n\r\nok"), false);
    }
    for (name, fields, body) in [
        ("chunked", "transfer-encoding: chunked", "2\r\nok\r\n0\r\n\r\n"),
        ("chunked-upper", "Transfer-Encoding: Chunked", "2\r\nok\r\n0\r\n\r\n"),
        ("chunked-trailers", "transfer-encoding: chunked\r\ntrailer: x-sum", "2\r\nok\r\n0\r\nx-sum: 6\r\n\r\n"),
        ("chunked-bad-trailers", "transfer-encoding: chunked", "2\r\nok\r\n0\r\ncontent-length: 6\r\nx: y\r\n\r\n"),
        ("chunked-extension", "transfer-encoding: chunked", "2;a=\"b;c\"\r\nok\r\n0;x\r\n\r\n"),
        ("chunked-bare-lf", "transfer-encoding: chunked", "2\nok\n0\n\n"),
        ("chunked-no-crlf", "transfer-encoding: chunked", "2\r\nokXX0\r\n\r\n"),
        ("chunked-hex", "transfer-encoding: chunked", "A\r\n0123456789\r\n0\r\n\r\n"),
        ("chunked-zeros", "transfer-encoding: chunked", "0002\r\nok\r\n000\r\n\r\n"),
        ("chunked-huge", "transfer-encoding: chunked", "ffffffffffffffffff\r\nok"),
        ("chunked-negative", "transfer-encoding: chunked", "-1\r\nok\r\n0\r\n\r\n"),
        ("chunked-prefix", "transfer-encoding: chunked", "0x2\r\nok\r\n0\r\n\r\n"),
        ("chunked-blank", "transfer-encoding: chunked", "2 \r\nok\r\n0\r\n\r\n"),
        ("chunked-empty", "transfer-encoding: chunked", "\r\nok\r\n0\r\n\r\n"),
        ("chunked-and-length", "transfer-encoding: chunked\r\ncontent-length: 2", "2\r\nok\r\n0\r\n\r\n"),
        ("chunked-twice", "transfer-encoding: chunked, chunked", "2\r\nok\r\n0\r\n\r\n"),
        ("gzip", "transfer-encoding: gzip", "ok"),
        ("gzip-chunked", "transfer-encoding: gzip, chunked", "2\r\nok\r\n0\r\n\r\n"),
        ("identity", "transfer-encoding: identity\r\ncontent-length: 2", "ok"),
        ("lengths-same", "content-length: 2\r\ncontent-length: 2", "ok"),
        ("lengths-differ", "content-length: 2\r\ncontent-length: 3", "ok"),
        ("length-list", "content-length: 2, 2", "ok"),
        ("length-sign", "content-length: +2", "ok"),
        ("length-hex", "content-length: 0x2", "ok"),
        ("length-huge", "content-length: 99999999999999999999", "ok"),
        ("length-short", "content-length: 5", "ok"),
        ("length-long", "content-length: 1", "ok"),
        ("close", "connection: close\r\ncontent-length: 2", "ok"),
        ("close-until-end", "connection: close", "ok"),
        ("hop", "connection: x-hop\r\nx-hop: 1\r\ncontent-length: 2", "ok"),
        ("keep-alive", "connection: keep-alive\r\nkeep-alive: timeout=1\r\ncontent-length: 2", "ok"),
        ("folded", "x-a: b\r\n c\r\ncontent-length: 2", "ok"),
        ("blank-before-colon", "x-a : b\r\ncontent-length: 2", "ok"),
        ("no-colon", "x-a\r\ncontent-length: 2", "ok"),
        ("empty-name", ": b\r\ncontent-length: 2", "ok"),
        ("blank-first", " x-a: b\r\ncontent-length: 2", "ok"),
        ("nul", "x-a: a\0b\r\ncontent-length: 2", "ok"),
        ("bare-cr", "x-a: a\rb\r\ncontent-length: 2", "ok"),
        ("bare-lf", "x-a: a\ncontent-length: 2", "ok"),
        ("tabs", "x-a:\t b \t\r\ncontent-length: 2", "ok"),
        ("latin", "x-a: gr\u{fc}n\r\ncontent-length: 2", "ok"),
        ("cookies", "set-cookie: a=1\r\nset-cookie: b=2\r\ncontent-length: 2", "ok"),
        ("upgrade", "upgrade: h2c\r\ncontent-length: 2", "ok"),
        ("ntlm", "www-authenticate: NTLM\r\nwww-authenticate: Basic\r\ncontent-length: 2", "ok"),
        ("pseudo", ":status: 404\r\ncontent-length: 2", "ok"),
        ("status-name", "status: 404\r\ncontent-length: 2", "ok"),
    ] {
        for closes in [false, true] {
            add(name, &format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}"), closes);
        }
    }
    add("hints", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false);
    add("continue", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", false);
    add("interim-body", "HTTP/1.1 103 Early Hints\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", true);
    add("two-answers", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno", false);
    add("half-a-head", "HTTP/1.1 200 OK\r\ncontent-le", true);
    add("half-a-head", "HTTP/1.1 200 OK\r\ncontent-le", false);
    add("nothing", "", true);
    add("line-breaks-first", "\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", false);
    all
}

// ---- streams beside the request

/// What a client does on its other streams while a request is under way.
fn beside(answer: &Answered) -> Vec<Case> {
    let get = section(&list("GET", "/beside", &[]));
    let streams: [(&str, u64, &[u8], bool); 22] = [
        ("settings-again", 2, &[4, 0], false),
        ("goaway", 2, &[7, 1, 0], false),
        ("goaway-grows", 2, &[7, 1, 0, 7, 1, 4], false),
        ("max-push", 2, &[13, 1, 4], false),
        ("max-push-falls", 2, &[13, 1, 4, 13, 1, 1], false),
        ("cancel-push", 2, &[3, 1, 0], false),
        ("data-on-control", 2, &[0, 1, 0], false),
        ("headers-on-control", 2, &[1, 1, 0], false),
        ("priority-update", 2, &[0x80, 0x0f, 0x07, 0x00, 4, 0, b'u', b'=', b'1'], false),
        ("priority-update-push", 2, &[0x80, 0x0f, 0x07, 0x01, 4, 0, b'u', b'=', b'1'], false),
        ("control-ends", 2, &[], true),
        ("control-grease", 2, &[0x21, 3, 1, 2, 3], false),
        ("http2-frame", 2, &[6, 0], false),
        ("second-control", 6, &[0, 4, 0], false),
        ("push-stream", 6, &[1, 0], false),
        ("encoder", 6, &[2], false),
        ("encoder-capacity", 6, &[2, 0x3f, 0x10], false),
        ("encoder-zero", 6, &[2, 0x20], false),
        ("encoder-ends", 6, &[2], true),
        ("decoder", 6, &[3], false),
        ("decoder-ack", 6, &[3, 0x80], false),
        ("unknown", 6, &[0x21, 1, 2, 3], true),
    ];
    let mut cases = Vec::new();
    for (name, stream, bytes, is_fin) in streams {
        for is_late in [false, true] {
            let aside = Move::Aside(stream, bytes.to_vec(), is_fin);
            let mut moves = vec![Move::Write(get.clone(), true)];
            moves.insert(usize::from(is_late), aside);
            moves.extend(answer.moves.iter().cloned());
            let when = if is_late { "late" } else { "first" };
            cases.push(Case { name: format!("beside-{name}-{when}"), decision: Decision::Http2, moves });
        }
    }
    cases
}

// ---- chance

/// Cuts the writes elsewhere.
fn cut(request: &Asked, dice: &mut Dice) -> Asked {
    let bytes = request.pieces.concat();
    let mut pieces = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() && pieces.len() < 6 {
        let (piece, more) = rest.split_at(1 + dice.below(rest.len()));
        pieces.push(piece.to_vec());
        rest = more;
    }
    pieces.push(rest.to_vec());
    Asked { name: format!("{}-cut", request.name), pieces, ..*request }
}

fn mutate(pieces: &mut Vec<Vec<u8>>, dice: &mut Dice) {
    let place = dice.below(pieces.len());
    match dice.below(8) {
        0 => {
            let again = pieces[place].clone();
            pieces.insert(place, again);
        }
        1 if pieces.len() > 1 => drop(pieces.remove(place)),
        2 => {
            let other = dice.below(pieces.len());
            pieces.swap(place, other);
        }
        3 => {
            let length = dice.below(pieces[place].len() + 1);
            pieces[place].truncate(length);
        }
        4 => {
            let at = dice.below(pieces[place].len() + 1);
            let byte = dice.below(256) as u8;
            pieces[place].insert(at, byte);
        }
        _ => flip(&mut pieces[place], dice),
    }
}

fn flip(bytes: &mut [u8], dice: &mut Dice) {
    if !bytes.is_empty() {
        let at = dice.below(bytes.len());
        bytes[at] ^= 1 << dice.below(8);
    }
}

fn mutate_answer(moves: &mut Vec<Move>, dice: &mut Dice) {
    if moves.is_empty() {
        moves.push(Move::Close);
        return;
    }
    let place = dice.below(moves.len());
    match dice.below(5) {
        0 => {
            let again = moves[place].clone();
            moves.insert(place, again);
        }
        1 => {
            let other = dice.below(moves.len());
            moves.swap(place, other);
        }
        2 => drop(moves.remove(place)),
        _ => match &mut moves[place] {
            Move::Bytes(bytes) | Move::Body(bytes, _) | Move::Frame(_, _, _, bytes) => match dice.below(3) {
                0 => {
                    let length = dice.below(bytes.len() + 1);
                    bytes.truncate(length);
                }
                _ => flip(bytes, dice),
            },
            Move::Head(fields, is_end) => {
                let which = dice.below(fields.len());
                match dice.below(4) {
                    0 => *is_end = !*is_end,
                    1 => {
                        let again = fields[which].clone();
                        fields.push(again);
                    }
                    2 => fields[which].1.push(char::from(dice.below(128) as u8)),
                    _ => fields[which].0.push(char::from(dice.below(128) as u8)),
                }
            }
            Move::Refuse(code) => *code = dice.below(16) as u32,
            _ => {}
        },
    }
}
