//! Records with known values, for the test that compares this layout with `src/record`.

use super::inward::{self, Decision, Tag};
use super::layout;
use super::outward::{self, CompletionFacts, FailureFacts, HeadFacts, LateFacts, RequestId};
use super::ring::rings;
use crate::base::slab::Key;
use crate::http::fields::Fields;
use std::fmt::Write;
use std::net::SocketAddr;

fn request() -> Fields {
    let mut fields = Fields::new();
    let list = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "a.test:8443"),
        (":path", "/a/b?c=d"),
        ("user-agent", "sample/1"),
        ("x-empty", ""),
        ("content-length", "9007199254740991"),
    ];
    list.iter().for_each(|(name, value)| fields.push(name.as_bytes(), value.as_bytes()));
    fields
}

/// One record of each kind to the lane, with IPv4 and IPv6 addresses, back to back.
pub fn outward() -> Vec<u8> {
    let (mut ring, _decisions) = rings();
    let request_id = RequestId::new(b"0123456789abcdef0123456789abcdef").expect("a fit id");
    let exchange = Key { index: 11, generation: 12 };
    let peers: [SocketAddr; 2] = ["192.0.2.33:4444".parse().expect("an address"), "[2001:db8::77]:5555".parse().expect("an address")];
    for peer in peers {
        let head = HeadFacts {
            exchange,
            listener: 13,
            flags: layout::HEAD_HAS_BODY | layout::HEAD_LENGTH_KNOWN | layout::HEAD_UNDERSCORE,
            peer,
            cipher: 0x1301,
            group: 0x11ec,
            connection: (1 << 40) + 14,
            content_length: Some(9_007_199_254_740_991),
            request_id,
            tag: Tag { route: 16, memo: [31, 32, 33] },
            age_us: 34,
            certificate: b"Fab\nOCN=a\nUspiffe://a/b\n",
        };
        assert!(outward::write_head(&mut ring, &head, &request()));
        let failure = FailureFacts {
            attempts: 1,
            backend: 15,
            reason: 47,
            flags: layout::FAILED_IDEMPOTENT | layout::FAILED_REPLAYABLE | layout::FAILED_HELD,
            took_us: 17,
            connection: 18,
            plan: 19,
            status: 503,
            grpc_status: Some(14),
            retry_after_s: Some(35),
        };
        let tag = Tag { route: 16, memo: [36, 37, 38] };
        assert!(outward::write_attempt_failed(&mut ring, exchange, &failure, tag, 39, &request_id));
        let late = LateFacts { attempts: 1, backend: 15, tag, took_us: 40, age_us: 41, plan: 19 };
        assert!(outward::write_late(&mut ring, exchange, &late));
        let completion = CompletionFacts {
            exchange,
            tag: Tag { route: 20, memo: [42, 43, 44] },
            backend: 21,
            attempts: 2,
            status: 502,
            reason: 40,
            flags: layout::COMPLETED_COMMITTED | layout::COMPLETED_SESSION_REUSED,
            listener: 22,
            peer,
            phases_us: [23, 24, 25, 26, 27],
            rtt_us: 28,
            bytes_in: (1 << 33) + 29,
            bytes_out: (1 << 34) + 30,
            connection: (1 << 40) + 14,
            started_ms: 1_700_000_000_123.5,
            backend_status: 503,
            grpc_status: Some(8),
            retry_after_s: Some(45),
            loser: Some((46, 47)),
            request_id,
            certificate: Some(b"ab\n0C\nCN=a".as_slice().into()),
        };
        assert!(outward::write_completion(&mut ring, &completion, &request()));
    }
    let mut bytes = Vec::new();
    while let Some(record) = ring.next_for_lane() {
        bytes.extend_from_slice(&record);
    }
    bytes
}

/// Decodes decisions that stand back to back, as JSON.
pub fn inward(mut bytes: &[u8]) -> String {
    let mut rows = Vec::new();
    while let Some(size) =
        bytes.first_chunk().map(|size| u32::from_le_bytes(*size) as usize).filter(|size| (8..=bytes.len()).contains(size))
    {
        let (record, rest) = bytes.split_at(size);
        bytes = rest;
        let Some((exchange, decision)) = inward::read(record) else {
            rows.push("{\"kind\":\"invalid\"}".to_owned());
            continue;
        };
        let mut row = format!("{{\"index\":{},\"generation\":{},", exchange.index, exchange.generation);
        let _ = write_row(&mut row, decision);
        rows.push(row);
    }
    format!("[{}]", rows.join(","))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Appends the rest of a decision's row.
fn write_row(row: &mut String, decision: Decision<'_>) -> std::fmt::Result {
    match decision {
        Decision::Forward(f, values) => {
            let values: Vec<String> =
                values.iter().map(|value| value.map_or("null".to_owned(), |value| format!("\"{}\"", text(value)))).collect();
            write!(
                row,
                "\"kind\":\"forward\",\"plan\":{},\"backend\":{},{},\"flags\":{},\"connect\":{},\"head\":{},\"idle\":{},\"exchange\":{},\
                 \"attempt\":{},\"hedge\":{},\"max_body\":{},\"replay\":{},\"place\":{},\"client\":\"{:016x}\",\"values\":[{}]}}",
                f.plan,
                f.backend,
                tag(f.tag),
                f.flags,
                f.connect_timeout_ms,
                f.head_timeout_ms,
                f.idle_timeout_ms,
                f.exchange_timeout_ms,
                f.attempt_timeout_ms,
                f.hedge_delay_ms,
                f.max_body_bytes.map_or("null".to_owned(), |bytes| bytes.to_string()),
                f.replay_bytes,
                f.place_timeout_ms,
                f.client,
                values.join(","),
            )
        }
        Decision::Respond(r) => {
            let mut fields = Fields::new();
            r.write_fields(&mut fields);
            let list: Vec<String> = fields.iter().map(|f| format!("[\"{}\",\"{}\"]", text(f.name), text(f.value))).collect();
            write!(
                row,
                "\"kind\":\"respond\",\"status\":{},\"reason\":{},{},\"plan\":{},\"fields\":[{}],\"body\":\"{}\"}}",
                r.status,
                r.reason,
                tag(r.tag),
                r.plan,
                list.join(","),
                text(r.body()),
            )
        }
        Decision::Reset { code, reason } => write!(row, "\"kind\":\"reset\",\"code\":{code},\"reason\":{reason}}}"),
        Decision::Wait { tag: t, wait_ms, reason } => {
            write!(row, "\"kind\":\"wait\",{},\"wait\":{wait_ms},\"reason\":{reason}}}", tag(t))
        }
        Decision::Wake => write!(row, "\"kind\":\"wake\"}}"),
        Decision::Commit { tag: t, reason } => write!(row, "\"kind\":\"commit\",{},\"reason\":{reason}}}", tag(t)),
    }
}

fn tag(tag: Tag) -> String {
    format!("\"route\":{},\"memo\":{:?}", tag.route, tag.memo)
}
