//! What the admin API shows of upstream sessions.

use std::fmt::Write;

use super::state::Upstreams;
use crate::base::timers::Nanos;
use crate::upstream::session::{Phase, Session};

impl Upstreams {
    /// Backends and their sessions as JSON:
    /// `[{"slot":0,"authority":…,"waiting":0,"sessions":[…]}]`.
    pub fn describe(&self, now: Nanos) -> String {
        let mut text = String::from("[");
        for (index, (_, backend)) in self.backends.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let config = &backend.config;
            let _ = write!(text, "{comma}{{\"slot\":{},\"scheme\":\"{}\",\"authority\":\"", config.slot, config.scheme.name());
            escape(&mut text, &config.authority);
            let _ = write!(text, "\",\"is_retired\":{},\"waiting\":{}", backend.is_retired, backend.queue.len());
            let (fault, detail) = backend.last_fault;
            let colon = if detail.is_empty() { "" } else { ": " };
            let _ = write!(text, ",\"last_fault\":\"{fault}{colon}{detail}\",\"sessions\":[");
            for (index, member) in self.sessions.of(&backend.sessions).enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                describe_session(&mut text, &member.session, now);
            }
            text.push_str("]}");
        }
        text.push(']');
        text
    }
}

fn describe_session(text: &mut String, session: &Session, now: Nanos) {
    let state = match session.phase() {
        Phase::Connecting => "connecting",
        Phase::Handshaking => "handshaking",
        Phase::Open if session.is_lasting() => "open",
        Phase::Open => "draining",
        Phase::Closed(_) => "closed",
    };
    let _ = write!(
        text,
        "{{\"state\":\"{state}\",\"protocol\":\"{}\",\"streams\":{},\"requests\":{},\"age_ms\":{},\"pending_bytes\":{}}}",
        session.protocol.name(),
        session.open_streams(),
        session.started,
        now.saturating_sub(session.timing.opened_at) / 1_000_000,
        session.pending_bytes(),
    );
}

fn escape(text: &mut String, raw: &str) {
    for c in raw.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c < ' ' => {
                let _ = write!(text, "\\u{:04x}", c as u32);
            }
            c => text.push(c),
        }
    }
}
